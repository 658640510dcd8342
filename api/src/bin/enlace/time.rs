//! Times as people give them: `7d`, or an ISO 8601 date.

use std::time::{Duration, SystemTime};

use runtime::Timestamp;

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

/// A time of expiry for people.
pub(crate) fn expiry(time: Timestamp) -> String {
    if time >= Timestamp::NEVER { "never".to_owned() } else { time.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(expiry("2030-01-01".parse().unwrap()), "2030-01-01T00:00:00.000Z");
    }
}
