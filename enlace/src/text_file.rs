//! Text as editors and shells write it into files: UTF-8, perhaps with a byte order mark in front, as on Windows.

use crate::failure::Failure;

/// Stands in front of some texts and says in which order their bytes are. It belongs to no value.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text in the bytes of a file, without its byte order mark.
///
/// # Errors
/// A failure that names the file and its encoding, if that is not UTF-8.
pub(crate) fn decode<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Failure> {
    let encoding = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => return Ok(without_mark(text)),
            Err(_) => "not UTF-8",
        },
    };
    Err(Failure::usage(format!("the text in {name} is {encoding}")).hint("save it as UTF-8"))
}

/// A text without its byte order mark.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        for (bytes, expected) in [
            (b"\xef\xbb\xbfpw\r\n".as_slice(), "pw\r\n"),
            (b"pw", "pw"),
            (b"", ""),
            (b"\xef\xbb\xbf", ""),
            ("a\u{feff}b".as_bytes(), "a\u{feff}b"),
        ] {
            assert_eq!(decode("f", bytes).unwrap(), expected);
        }
    }

    #[test]
    fn other_encodings_are_named_without_showing_the_text() {
        for (bytes, encoding) in
            [(b"\xff\xfep\0w\0".as_slice(), "UTF-16"), (b"\xfe\xff\0p\0w", "UTF-16"), (b"p\xe4ss", "not UTF-8")]
        {
            let failure = decode("pw.txt", bytes).unwrap_err();
            assert_eq!(failure.message, format!("the text in pw.txt is {encoding}"));
            assert!(failure.hint.unwrap().contains("UTF-8"));
        }
    }
}
