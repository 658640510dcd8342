//! Names and values of a query string or a form (`application/x-www-form-urlencoded`), in the order given.
//!
//! Brackets mean nothing. What becomes of a text that is not UTF-8 is the caller's decision.

use std::borrow::Cow;
use std::str::Utf8Error;

use percent_encoding::percent_decode_str;

/// The parameters of a query, still encoded. Empty ones, as between `&&`, are none.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// With blanks for `+`, and with what stands for other characters decoded. A percent sign without two hex digits stays.
///
/// # Errors
/// The decoded bytes are not UTF-8.
pub fn decode(text: &str) -> Result<String, Utf8Error> {
    let blanks = blanks(text);
    percent_decode_str(&blanks).decode_utf8().map(Cow::into_owned)
}

/// As [`decode`], but a text that is not UTF-8 then stays as it is, with blanks for `+`.
#[must_use]
pub fn decode_leniently(text: &str) -> String {
    decode(text).unwrap_or_else(|_| blanks(text))
}

fn blanks(text: &str) -> String {
    text.replace('+', " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_come_in_order_and_empty_ones_are_none() {
        let given: Vec<_> = pairs("a=1&b&&=2&c=d=e&").collect();
        assert_eq!(given, [("a", "1"), ("b", ""), ("", "2"), ("c", "d=e")]);
    }

    #[test]
    fn a_plus_is_a_blank_and_an_encoded_one_is_not() {
        assert_eq!(decode("a+b%2Bc%20d").unwrap(), "a b+c d");
        assert_eq!(decode("%").unwrap(), "%");
        assert!(decode("%ff").is_err());
        assert_eq!(decode_leniently("%ff+"), "%ff ");
    }

    proptest! {
        #[test]
        fn encoded_texts_come_back(text in ".{0,20}") {
            let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(decode(&encoded).unwrap(), text);
        }
    }
}
