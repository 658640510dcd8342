//! Backbone addresses inside references.
//!
//! References are untrusted, and a receiver connects to their address, so only plain http and https URLs are accepted: no
//! credentials, query or fragment, and no separator of the reference's own syntax.

use std::borrow::Cow;

use url::Url;

use super::{MAX_DIRECT_LENGTH, ReferenceError};

/// The parameter of the query that says where a node can be reached.
pub(super) const DIRECT: &str = "direct";

/// The address of a backbone in references: an absolute http or https URL without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Validates an address. Trailing slashes are removed.
    ///
    /// # Errors
    /// [`ReferenceError::BaseUrl`] if it is not allowed in references.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        check(text).map(Self)
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The URL as given, without trailing slashes.
pub(super) fn check(text: &str) -> Result<String, ReferenceError> {
    let breaks_syntax =
        text.contains(['|', '@', '?', '#', '\\']) || text.contains(|c: char| c.is_whitespace() || c.is_control());
    if breaks_syntax || !is_plain(&Url::parse(text).map_err(|_| ReferenceError::BaseUrl)?) {
        return Err(ReferenceError::BaseUrl);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The parts of a reference URL.
pub(super) struct Split {
    /// Normalized, as in [`BaseUrl`].
    pub(super) base_url: String,
    pub(super) id: String,
    /// Of the query, if it has a form that is taken; other clients ignore the query.
    pub(super) direct: Option<String>,
    pub(super) fragment: String,
}

pub(super) fn split(text: &str) -> Result<Split, ReferenceError> {
    let url = Url::parse(text).map_err(|_| ReferenceError::BaseUrl)?;
    if !is_plain(&url) {
        return Err(ReferenceError::BaseUrl);
    }
    let fragment = url.fragment().ok_or(ReferenceError::Parts)?;
    let (path, id) = url.path().rsplit_once("/r/").ok_or(ReferenceError::Parts)?;
    let direct = url.query_pairs().find(|(name, _)| name == DIRECT).map(|(_, value)| value);
    Ok(Split {
        base_url: check(&format!("{}{path}", url.origin().ascii_serialization()))?,
        id: id.to_owned(),
        direct: direct.filter(|direct| is_direct(direct)).map(Cow::into_owned),
        fragment: fragment.to_owned(),
    })
}

/// Whether a text may be where a node can be reached: letters of base64url, and not too many.
pub(super) fn is_direct(text: &str) -> bool {
    (1..=MAX_DIRECT_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_plain(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_are_accepted() {
        assert_eq!(check("https://example.com/sub/").as_deref(), Ok("https://example.com/sub"));
        for text in
            ["https://a.b/\u{1b}[2J", "https://a.b/\u{7f}", "https://a.b/\n", "https://a.b?c", "ftp://a.b", "a.b"]
        {
            assert_eq!(check(text), Err(ReferenceError::BaseUrl), "{text:?}");
        }
    }
}
