//! Reading ISO 8601 dates and date-times, in every form that the protocol's clients accept, and in those that others write.
//!
//! Calendar, week and ordinal dates, basic or extended, with `T` or a blank before an optional time. `t` and `z` may be in
//! lower case (RFC 3339, section 5.6), and 24:00 is the end of the day (ISO 8601:2004, section 4.2.3). Refused: second 60,
//! years that are not four digits, dates that do not exist.

use time::{Date, Month, Time, UtcOffset, Weekday};

/// A date, a time of day with milliseconds, and the offset from UTC.
pub(super) type Parts = (Date, Time, UtcOffset);

/// Parses a text; `None` if it is not a date-time or the date does not exist.
pub(super) fn parse(text: &str) -> Option<Parts> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let date = date(&mut cursor)?;
    let (date, time, offset) = if cursor.rest.is_empty() {
        (date, Time::MIDNIGHT, UtcOffset::UTC)
    } else {
        cursor.take(|byte| matches!(byte, b'T' | b't' | b' '))?;
        let (date, time) = time_of(date, &mut cursor)?;
        (date, time, zone(&mut cursor)?)
    };
    cursor.rest.is_empty().then_some((date, time, offset))
}

fn date(cursor: &mut Cursor<'_>) -> Option<Date> {
    let year = i32::from(cursor.number(4)?);
    cursor.take(|byte| byte == b'-');
    if cursor.take(|byte| byte == b'W').is_some() {
        return week_date(cursor, year);
    }
    match cursor.count_digits() {
        0 => Date::from_calendar_date(year, Month::January, 1).ok(),
        3 => Date::from_ordinal_date(year, cursor.number(3)?).ok(),
        _ => calendar_date(cursor, year),
    }
}

fn calendar_date(cursor: &mut Cursor<'_>, year: i32) -> Option<Date> {
    let month = Month::try_from(cursor.pair()?).ok()?;
    let separated = cursor.take(|byte| byte == b'-').is_some();
    let day = if separated || cursor.count_digits() > 0 { cursor.pair()? } else { 1 };
    Date::from_calendar_date(year, month, day).ok()
}

fn week_date(cursor: &mut Cursor<'_>, year: i32) -> Option<Date> {
    let week = cursor.pair()?;
    let separated = cursor.take(|byte| byte == b'-').is_some();
    let day = if separated || cursor.count_digits() > 0 { cursor.number(1)? } else { 1 };
    let from_monday = u8::try_from(day.checked_sub(1).filter(|days| *days < 7)?).ok()?;
    Date::from_iso_week_date(year, week, Weekday::Monday.nth_next(from_monday)).ok()
}

/// A time of that day, or the end of it, which is the beginning of the next one.
fn time_of(date: Date, cursor: &mut Cursor<'_>) -> Option<(Date, Time)> {
    match cursor.pair()? {
        24 => {
            let time = time_of_day(0, cursor)?;
            Some((date.next_day().filter(|_| time == Time::MIDNIGHT)?, time))
        }
        hour => Some((date, time_of_day(hour, cursor)?)),
    }
}

fn time_of_day(hour: u8, cursor: &mut Cursor<'_>) -> Option<Time> {
    let minute = next_clock_part(cursor)?;
    let second = if minute.is_some() { next_clock_part(cursor)? } else { None };
    let millisecond = if second.is_some() { fraction(cursor)? } else { 0 };
    Time::from_hms_milli(hour, minute.unwrap_or(0), second.unwrap_or(0), millisecond).ok()
}

/// The next two digits of a time, with or without a colon before them; `Some(None)` at the end of the time.
fn next_clock_part(cursor: &mut Cursor<'_>) -> Option<Option<u8>> {
    let separated = cursor.take(|byte| byte == b':').is_some();
    if separated || cursor.count_digits() > 0 { cursor.pair().map(Some) } else { Some(None) }
}

/// Milliseconds; further digits are truncated, not rounded.
fn fraction(cursor: &mut Cursor<'_>) -> Option<u16> {
    if cursor.take(|byte| matches!(byte, b'.' | b',')).is_none() {
        return Some(0);
    }
    let (digits, rest) = cursor.rest.split_at(cursor.count_digits());
    cursor.rest = rest;
    let value = (0..3).fold(0, |sum, place| sum * 10 + u16::from(digits.get(place).map_or(0, |digit| digit - b'0')));
    (!digits.is_empty()).then_some(value)
}

fn zone(cursor: &mut Cursor<'_>) -> Option<UtcOffset> {
    let sign = match cursor.take(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-')) {
        None | Some(b'Z' | b'z') => return Some(UtcOffset::UTC),
        Some(b'-') => -1,
        Some(_) => 1,
    };
    let hours = cursor.pair().filter(|hours| *hours < 24)?;
    let minutes = next_clock_part(cursor)?.unwrap_or(0);
    UtcOffset::from_hms(sign * i8::try_from(hours).ok()?, sign * i8::try_from(minutes).ok()?, 0).ok()
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        wanted(*first).then(|| {
            self.rest = rest;
            *first
        })
    }

    fn count_digits(&self) -> usize {
        self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Exactly `count` digits, at most four.
    fn number(&mut self, count: usize) -> Option<u16> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        let all_digits = digits.iter().all(u8::is_ascii_digit);
        all_digits.then(|| {
            self.rest = rest;
            digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
        })
    }

    fn pair(&mut self) -> Option<u8> {
        self.number(2).and_then(|value| u8::try_from(value).ok())
    }
}
