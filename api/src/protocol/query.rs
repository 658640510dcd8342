//! Query strings as flat lists of names and values, in the order given. Brackets mean nothing.

use listener::query;
use runtime::facade::Parameters;

use crate::problem::Problem;

/// Most parameters of one request. More are refused: a filter that is left out would match too much.
const MAX_PARAMETERS: usize = 256;

/// Reads a query or a form body. `+` is a blank; text that is not percent-encoded UTF-8 is taken as it stands.
///
/// # Errors
/// 400 for too many.
pub(crate) fn parse(text: &str) -> Result<Parameters, Problem> {
    if query::pairs(text).nth(MAX_PARAMETERS).is_some() {
        return Err(Problem::invalid_property(format!("must NOT have more than {MAX_PARAMETERS} parameters")));
    }
    let decode = query::decode_leniently;
    Ok(query::pairs(text).map(|(name, value)| (decode(name), decode(value))).collect())
}

/// Whether a parameter is an element of a list: `queries`, `queries[]` and `queries[7]` are elements of `queries`.
pub(crate) fn is_element(name: &str, of: &str) -> bool {
    let Some(index) = name.strip_prefix(of) else { return false };
    let index = if index.is_empty() { Some("") } else { index.strip_prefix('[').and_then(|it| it.strip_suffix(']')) };
    index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn names_and_values_are_decoded_in_order() {
        assert_eq!(pairs("a=1&b=x+y&a=%3E%3D2&c"), [pair("a", "1"), pair("b", "x y"), pair("a", ">=2"), pair("c", "")]);
        assert_eq!(pairs("title=~y%20a"), [pair("title", "~y a")]);
        assert_eq!(pairs("f=!=x"), [pair("f", "!=x")]);
        assert_eq!(pairs("a[]=1"), [pair("a[]", "1")]);
        assert_eq!(pairs("=1"), [pair("", "1")]);
    }

    #[test]
    fn nothing_but_separators_is_no_parameter() {
        assert!(pairs("").is_empty() && pairs("&").is_empty() && pairs("&&&").is_empty());
    }

    #[test]
    fn broken_encodings_stay_as_they_are() {
        assert_eq!(pairs("a=%"), [pair("a", "%")]);
        assert_eq!(pairs("a=%ff"), [pair("a", "%ff")]);
    }

    #[test]
    fn the_number_of_parameters_is_bounded() {
        assert_eq!(pairs(&"a=1&".repeat(MAX_PARAMETERS)).len(), MAX_PARAMETERS);
        assert_eq!(parse(&"a=1&".repeat(MAX_PARAMETERS + 1)).unwrap_err().status().as_u16(), 400);
    }

    #[test]
    fn lists_in_parameters_are_written_in_three_ways() {
        for (name, expected) in [
            ("queries", true),
            ("queries[]", true),
            ("queries[0]", true),
            ("queries[100]", true),
            ("queries[a]", false),
            ("queries[0", false),
            ("queries0", false),
            ("query", false),
        ] {
            assert_eq!(is_element(name, "queries"), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn encoded_pairs_come_back(name in ".{1,20}", value in ".{0,20}") {
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(pairs(&format!("{}={}", encode(&name), encode(&value))), vec![(name, value)]);
        }
    }
}
