//! Times: reading `7d` or an ISO 8601 date, and showing them in the local time zone.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use runtime::Timestamp;

/// How long something lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// So long.
    For(Duration),
    /// For as long as it can.
    Never,
}

/// As [`parse_duration`], or `never`.
///
/// # Errors
/// A text for the command line's error.
pub(crate) fn parse_span(text: &str) -> Result<Span, String> {
    if text == "never" { Ok(Span::Never) } else { parse_duration(text).map(Span::For) }
}

/// `90s`, `15m`, `12h`, `7d` or `2w`.
///
/// # Errors
/// A text for the command line's error.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let unreadable = || format!("{text:?} is not a time span such as 90s, 15m, 12h, 7d or 2w");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err(unreadable()),
    };
    let count: u32 = digits.parse().map_err(|_| unreadable())?;
    if count == 0 {
        return Err("a time span must be longer than zero".to_owned());
    }
    Ok(Duration::from_secs(u64::from(count) * seconds))
}

/// The largest unit of which a time span has a whole number: its name, its letter, and how many.
fn units(span: Duration) -> (&'static str, char, u64) {
    const UNITS: [(&str, char, u64); 3] = [("day", 'd', 24 * 60 * 60), ("hour", 'h', 60 * 60), ("minute", 'm', 60)];
    let seconds = span.as_secs();
    let fits = |(_, _, length): &&(&str, char, u64)| seconds > 0 && seconds.is_multiple_of(*length);
    let (name, letter, length) = UNITS.iter().find(fits).unwrap_or(&("second", 's', 1));
    (name, *letter, seconds / length)
}

/// A time span in words: `7 days`.
pub(crate) fn span(span: Duration) -> String {
    let (name, _, count) = units(span);
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// The same as [`parse_duration`] reads it: `7d`.
pub(crate) fn short_span(span: Duration) -> String {
    let (_, letter, count) = units(span);
    format!("{count}{letter}")
}

/// An ISO 8601 date or time; UTC without a zone.
///
/// # Errors
/// A text for the command line's error.
pub(crate) fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("{text:?} is not an ISO 8601 time such as 2030-01-31 or 2030-01-31T12:00:00Z"))
}

/// The time now.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// A time of expiry in the time zone of this machine.
pub(crate) fn expiry(time: Timestamp) -> String {
    match time >= Timestamp::NEVER {
        true => "never".to_owned(),
        false => in_zone(time, TimeZone::try_system().unwrap_or(TimeZone::UTC)),
    }
}

/// A time with the zone's abbreviation, or its distance from UTC where it has none.
fn in_zone(time: Timestamp, zone: TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(time.as_unix_milliseconds()) {
        Ok(instant) => instant.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        // No time that a file has.
        Err(_) => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_in_the_largest_unit_that_fits() {
        for (seconds, words, short) in [
            (7 * 24 * 60 * 60, "7 days", "7d"),
            (60 * 60, "1 hour", "1h"),
            (90 * 60, "90 minutes", "90m"),
            (61, "61 seconds", "61s"),
            (0, "0 seconds", "0s"),
        ] {
            let duration = Duration::from_secs(seconds);
            assert_eq!((span(duration).as_str(), short_span(duration).as_str()), (words, short));
        }
    }

    #[test]
    fn spans_have_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "7", "d", "0d", "-1d", "1.5d", "7 d", "7y", "7dd", "99999999999d", "7é"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn never_is_called_never() {
        assert_eq!(expiry(Timestamp::NEVER), "never");
        assert_eq!(parse_span("never"), Ok(Span::Never));
        assert_eq!(parse_span("7d"), Ok(Span::For(Duration::from_secs(604_800))));
        assert!(parse_span("Never ").is_err());
    }

    #[test]
    fn a_time_is_shown_by_the_clock_of_its_zone_at_that_time() {
        let shown = |time: &str, zone: &TimeZone| in_zone(time.parse().unwrap(), zone.clone());
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(shown("2030-01-01T23:30:15.999Z", &berlin), "2030-01-02 00:30:15 CET");
        assert_eq!(shown("2030-07-01T12:00:00Z", &berlin), "2030-07-01 14:00:00 CEST");
        assert_eq!(shown("2030-01-01", &TimeZone::UTC), "2030-01-01 00:00:00 UTC");
        assert_eq!(shown("2030-01-01", &TimeZone::posix("<-03>3").unwrap()), "2029-12-31 21:00:00 -03");
        for bound in [Timestamp::MIN, Timestamp::MAX] {
            assert!(!in_zone(bound, berlin.clone()).is_empty());
        }
    }
}
