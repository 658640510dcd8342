//! Points in time as the protocol writes them: `YYYY-MM-DDTHH:mm:ss.SSSZ`.
//!
//! Stored as milliseconds since the Unix epoch, the precision of the protocol. `9999-12-31T00:00:00.000Z` is in common use
//! as "never", so arithmetic saturates.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::iso8601;

/// A text is not an ISO 8601 date or date-time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 8601 date-time")]
pub struct ParseTimestampError;

/// A point in time with millisecond precision, from year 0 to year 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// `9999-12-31T00:00:00.000Z`, which the protocol uses for "never".
    pub const NEVER: Self = Self(253_402_214_400_000);
    /// The last representable millisecond, `9999-12-31T23:59:59.999Z`.
    pub const MAX: Self = Self(253_402_300_799_999);
    /// The first representable millisecond, `0000-01-01T00:00:00.000Z`.
    pub const MIN: Self = Self(-62_167_219_200_000);

    /// From milliseconds since the Unix epoch, clamped to the representable range.
    #[must_use]
    pub fn from_unix_milliseconds(milliseconds: i64) -> Self {
        Self(milliseconds.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_unix_milliseconds(self) -> i64 {
        self.0
    }

    /// This point in time plus a duration, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_milliseconds(self.0.saturating_add(milliseconds))
    }

    /// This point in time minus a duration, at least [`Timestamp::MIN`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_milliseconds(self.0.saturating_sub(milliseconds))
    }

    /// The duration since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `YYYY-MM-DDTHH:mm:ss.SSSZ` in ASCII.
    fn to_digits(self) -> [u8; 24] {
        let (day, millisecond) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, day) = civil(day);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |range: std::ops::Range<usize>, mut number: i64| {
            for digit in text[range].iter_mut().rev() {
                *digit += u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        };
        put(0..4, year);
        put(5..7, month);
        put(8..10, day);
        put(11..13, millisecond / 3_600_000);
        put(14..16, millisecond / 60_000 % 60);
        put(17..19, millisecond / 1000 % 60);
        put(20..23, millisecond % 1000);
        text
    }
}

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar.
///
/// Computes with years that begin in March, so that a leap day is the last day of its year. An era has 400 years and
/// 146,097 days.
fn civil(day: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    // From 0000-03-01.
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(ERA), day.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // The five months from March on have 153 days, and so have the next five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    (era * 400 + year + i64::from(is_next_year), if is_next_year { month - 9 } else { month + 3 }, day)
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        let nanoseconds = OffsetDateTime::from(time).unix_timestamp_nanos();
        Self::from_unix_milliseconds(i64::try_from(nanoseconds.div_euclid(1_000_000)).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_digits()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads an ISO 8601 date or date-time: calendar, week or ordinal date, basic or extended form, `T` or a blank
    /// before an optional time. A missing zone means UTC, offsets are converted, digits beyond milliseconds are truncated.
    ///
    /// # Errors
    /// [`ParseTimestampError`] for anything else, for dates that do not exist and for times outside the years 0 to 9999.
    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let (date, time, offset) = iso8601::parse(text).ok_or(ParseTimestampError)?;
        let local = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp_nanos() / 1_000_000;
        let utc = i64::try_from(local).map_err(|_| ParseTimestampError)? - i64::from(offset.whole_seconds()) * 1000;
        if (Self::MIN.0..=Self::MAX.0).contains(&utc) { Ok(Self(utc)) } else { Err(ParseTimestampError) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_and_the_bounds_are_formatted_exactly() {
        assert_eq!(Timestamp::NEVER.to_string(), "9999-12-31T00:00:00.000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00.000Z");
        assert_eq!("9999-12-31T00:00:00.000Z".parse(), Ok(Timestamp::NEVER));
    }

    #[test]
    fn every_day_of_the_calendar_is_formatted() {
        let mut date = time::Date::from_calendar_date(0, time::Month::January, 1).unwrap();
        let mut milliseconds = Timestamp::MIN.0;
        loop {
            let text = Timestamp(milliseconds + milliseconds.rem_euclid(86_399_999)).to_string();
            let expected = format!("{:04}-{:02}-{:02}T", date.year(), u8::from(date.month()), date.day());
            assert!(text.starts_with(&expected), "{text}, not {expected}");
            assert_eq!(text.parse(), Ok(Timestamp(milliseconds + milliseconds.rem_euclid(86_399_999))));
            milliseconds += DAY;
            match date.next_day().filter(|date| date.year() <= 9999) {
                Some(next) => date = next,
                None => return,
            }
        }
    }

    #[test]
    fn digits_beyond_milliseconds_are_truncated_and_offsets_converted() {
        let read = |text: &str| text.parse::<Timestamp>().unwrap().to_string();
        assert_eq!(read("2030-01-01T12:00:00.9999999Z"), "2030-01-01T12:00:00.999Z");
        assert_eq!(read("2030-01-01T12:00:00+02:00"), "2030-01-01T10:00:00.000Z");
        assert_eq!(read("2030-01-01"), "2030-01-01T00:00:00.000Z");
        assert_eq!(read("2030-01-01T12:00"), "2030-01-01T12:00:00.000Z");
    }

    #[test]
    fn every_form_of_iso_8601_is_read() {
        for (text, expected) in [
            ("2025", "2025-01-01T00:00:00.000Z"),
            ("2025-03", "2025-03-01T00:00:00.000Z"),
            ("20250304", "2025-03-04T00:00:00.000Z"),
            ("2025-W03-2", "2025-01-14T00:00:00.000Z"),
            ("2025W032", "2025-01-14T00:00:00.000Z"),
            ("2025-W03", "2025-01-13T00:00:00.000Z"),
            ("2025-031", "2025-01-31T00:00:00.000Z"),
            ("2025031T10", "2025-01-31T10:00:00.000Z"),
            ("2025-01-31 12:34:56,7", "2025-01-31T12:34:56.700Z"),
            ("20250131T123456.789Z", "2025-01-31T12:34:56.789Z"),
            ("20250131T1234-0130", "2025-01-31T14:04:00.000Z"),
            ("2025-01-31T12+05:30", "2025-01-31T06:30:00.000Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000Z"),
            ("2025-01-31t12:34:56z", "2025-01-31T12:34:56.000Z"),
            ("2025-12-31T24:00:00Z", "2026-01-01T00:00:00.000Z"),
            ("20250228T24", "2025-03-01T00:00:00.000Z"),
            ("2025-01-31T24:00:00.000+02:00", "2025-01-31T22:00:00.000Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().map(|date| date.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn invalid_and_nonexistent_dates_are_refused() {
        for text in [
            "",
            " 2025-01-01",
            "2025-01-01 ",
            "2025-01-01T",
            "2025-02-29",
            "2099-02-30",
            "2025-13-01",
            "2025-366",
            "2025-W54",
            "2025-W01-8",
            "2025-W01-0",
            "2025-01-01T24:00:01Z",
            "2025-01-01T24:01Z",
            "2025-01-01T24:00:00.001Z",
            "2025-01-01T25:00:00Z",
            "9999-12-31T24:00:00Z",
            "2025-01-01T00:60:00Z",
            "2025-01-01T00:00:60Z",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00.5Z",
            "2025-01-01T00:00:00+24:00",
            "2025-01-01Z",
            "-2025-01-01",
            "+002025-01-01",
            "12025-01-01",
            "1735689600000",
            "2025-01-01T00:00:00ZZ",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "2025-01-\u{0661}1",
            "never",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(ParseTimestampError), "{text:?}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::NEVER.saturating_add(Duration::from_secs(u64::MAX)), Timestamp::MAX);
        assert_eq!(Timestamp::NEVER.saturating_sub(Duration::MAX), Timestamp::MIN);
    }
}
