//! Sizes: reading them, and showing two of them so that they differ.

use crate::output::bytes;

/// Two sizes such that a reader sees which one is larger: in full where the rounded forms are equal.
pub(crate) fn different(one: u64, other: u64) -> (String, String) {
    match (bytes(one), bytes(other)) {
        (first, second) if first == second && one != other => (format!("{one} bytes"), format!("{other} bytes")),
        rounded => rounded,
    }
}

/// `1048576`, `10M`, `10MiB` or `10MB`: K, M, G and T, alone or with `iB`, are powers of 1024; with `B` powers of 1000.
///
/// # Errors
/// A text for the command line's error.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let unreadable = || format!("{text:?} is not a size such as 500000, 10M, 2G or 2GB");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_uppercase();
    let (letter, base) = match (unit.strip_suffix("IB"), unit.strip_suffix('B')) {
        (Some(letter), _) => (letter, 1024),
        (None, Some(letter)) => (letter, 1000),
        (None, None) => (unit.as_str(), 1024),
    };
    let power = match letter {
        "" if unit != "IB" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(unreadable()),
    };
    let count: u64 = digits.trim_end().parse().map_err(|_| unreadable())?;
    count.checked_mul(u64::pow(base, power)).ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_look_equal_are_told_in_bytes() {
        let mebibyte = 1024 * 1024;
        let texts = |one, other| {
            let (one, other) = different(one, other);
            format!("{one}, {other}")
        };
        assert_eq!(texts(mebibyte + 1, mebibyte), "1048577 bytes, 1048576 bytes");
        assert_eq!(texts(2 * mebibyte, mebibyte), "2.0 MiB, 1.0 MiB");
        assert_eq!(texts(5, 4), "5 bytes, 4 bytes");
        assert_eq!(texts(mebibyte, mebibyte), "1.0 MiB, 1.0 MiB");
    }

    #[test]
    fn a_size_may_have_a_unit() {
        for (text, size) in [
            ("0", 0),
            ("500", 500),
            ("500B", 500),
            ("10k", 10 << 10),
            ("10M", 10 << 20),
            ("10 MiB", 10 << 20),
            ("10MB", 10_000_000),
            ("2G", 2 << 30),
            ("1t", 1 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
        for text in ["", "M", "iB", "10iB", "10X", "1.5G", "-1", "10MM", "10é", "18446744073709551616", "16777216T"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
