//! Backbone addresses inside references.
//!
//! References are untrusted, and a receiver connects to their address, so only plain http and https URLs are accepted: no
//! credentials, query or fragment, and no separator of the reference's own syntax.

use url::Url;

use super::ReferenceError;

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

/// Splits a reference URL into normalized base URL, id and fragment.
pub(super) fn split(text: &str) -> Result<(String, String, String), ReferenceError> {
    let url = Url::parse(text).map_err(|_| ReferenceError::BaseUrl)?;
    if !is_plain(&url) {
        return Err(ReferenceError::BaseUrl);
    }
    let fragment = url.fragment().ok_or(ReferenceError::Parts)?;
    let (path, id) = url.path().rsplit_once("/r/").ok_or(ReferenceError::Parts)?;
    Ok((check(&format!("{}{path}", url.origin().ascii_serialization()))?, id.to_owned(), fragment.to_owned()))
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
