//! Media types of files: `type/subtype`, in lower case, without parameters.

use std::fmt;
use std::str::FromStr;

/// What a media type becomes that nobody can read.
const FALLBACK: &str = "text/plain";

/// A media type without parameters, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(String);

/// A text is not a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a media type such as text/plain or application/pdf")]
pub struct InvalidMediaType;

impl MediaType {
    /// The media type that the `Content-Type` of a form's part names. Parameters are left out; `text/plain` if there is none, or
    /// an unreadable one.
    #[must_use]
    pub fn of_header(value: Option<&str>) -> Self {
        let essence = value.unwrap_or_default().split(';').next().unwrap_or_default();
        essence.trim().parse().unwrap_or_else(|_| Self(FALLBACK.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MediaType {
    type Err = InvalidMediaType;

    fn from_str(text: &str) -> Result<Self, InvalidMediaType> {
        let (kind, subtype) = text.split_once('/').ok_or(InvalidMediaType)?;
        if is_token(kind) && is_token(subtype) { Ok(Self(text.to_ascii_lowercase())) } else { Err(InvalidMediaType) }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.0
    }
}

/// [RFC 9110, section 5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2)
fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_media_type_has_two_parts_and_no_parameters() {
        assert_eq!("Image/PNG".parse::<MediaType>().unwrap().as_str(), "image/png");
        for text in ["", "image", "image/", "/png", "a b/c", "a/b/c", "text/plain; charset=utf-8", "text/plain\n"] {
            assert_eq!(text.parse::<MediaType>(), Err(InvalidMediaType), "{text:?}");
        }
    }

    #[test]
    fn headers_lose_case_and_parameters_and_bad_ones_become_text() {
        for (given, kept) in [
            (Some("IMAGE/PNG"), "image/png"),
            (Some("text/html; charset=utf-8"), "text/html"),
            (Some("foo/bar+baz"), "foo/bar+baz"),
            (Some("nonsense"), "text/plain"),
            (Some("a/b/c"), "text/plain"),
            (Some("a/b\r\nx: y"), "text/plain"),
            (None, "text/plain"),
        ] {
            assert_eq!(MediaType::of_header(given).as_str(), kept, "{given:?}");
        }
    }

    proptest! {
        #[test]
        fn a_kept_media_type_is_a_header_value(given in ".{0,60}") {
            prop_assert!(http::HeaderValue::from_str(MediaType::of_header(Some(&given)).as_str()).is_ok());
        }
    }
}
