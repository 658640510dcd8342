//! Paths: matched without regard to case, one trailing slash allowed, parameters decoded only after they matched.

use percent_encoding::percent_decode_str;

/// Longest path that is matched at all.
const MAX_LENGTH: usize = 8192;

/// A parameter that is not percent-encoded UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokenEncoding;

/// The segments of a path, still encoded, without the first slash and without one at the end. Empty for `/`.
pub(crate) fn segments(path: &str) -> Vec<&str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() || path.len() > MAX_LENGTH { Vec::new() } else { path.split('/').collect() }
}

/// The parameters of a path that matches a pattern such as `Files/{id}/Token`; `None` if it does not match.
pub(crate) fn match_pattern(pattern: &str, segments: &[&str]) -> Option<Result<Vec<String>, BrokenEncoding>> {
    let mut encoded = Vec::new();
    let mut given = segments.iter();
    for expected in pattern.split('/') {
        let segment = given.next()?;
        if expected.starts_with('{') {
            encoded.push(*segment);
        } else if !expected.eq_ignore_ascii_case(segment) {
            return None;
        }
    }
    if given.next().is_some() || encoded.iter().any(|parameter| parameter.is_empty()) {
        return None;
    }
    Some(encoded.into_iter().map(decode).collect())
}

fn decode(text: &str) -> Result<String, BrokenEncoding> {
    if has_stray_percent(text) {
        return Err(BrokenEncoding);
    }
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| BrokenEncoding)
}

/// The decoder passes percent signs through that are not followed by two hex digits; here they are errors.
fn has_stray_percent(text: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == b'%' && !(is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matched(pattern: &str, path: &str) -> Option<Result<Vec<String>, BrokenEncoding>> {
        match_pattern(pattern, &segments(path))
    }

    #[test]
    fn fixed_words_match_in_any_case_and_with_one_trailing_slash() {
        for path in ["/Files/Own", "/FILES/own", "/Files/Own/"] {
            assert_eq!(matched("Files/Own", path), Some(Ok(vec![])), "{path}");
        }
        for path in ["/Files//Own", "//Files/Own", "/Files/Own//", "/Files", "/Files/Own/x", "/", ""] {
            assert_eq!(matched("Files/Own", path), None, "{path}");
        }
    }

    #[test]
    fn parameters_are_decoded_once_and_may_hold_slashes() {
        assert_eq!(
            matched("Files/{id}", "/files/http%3A%2F%2Fh%2Fr%2Fx%23y"),
            Some(Ok(vec!["http://h/r/x#y".to_owned()]))
        );
        assert_eq!(matched("Files/{id}", "/files/a%2520b"), Some(Ok(vec!["a%20b".to_owned()])));
        assert_eq!(matched("Files/{id}/Token", "/Files/abc/TOKEN"), Some(Ok(vec!["abc".to_owned()])));
    }

    #[test]
    fn broken_encodings_are_told_apart_from_no_match() {
        for path in ["/Files/%E0%A4%A", "/Files/%", "/Files/%zz", "/Files/%ff"] {
            assert_eq!(matched("Files/{id}", path), Some(Err(BrokenEncoding)), "{path}");
        }
        assert_eq!(matched("Files/{id}", "/Files/"), None);
    }

    proptest! {
        #[test]
        fn any_path_is_matched_without_panic(path in ".{0,120}") {
            let _ = matched("Files/{id}/Token", &path);
        }

        #[test]
        fn an_encoded_parameter_comes_back_as_it_was(text in ".{1,40}") {
            let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(matched("Files/{id}", &format!("/Files/{encoded}")), Some(Ok(vec![text])));
        }
    }
}
