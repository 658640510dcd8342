//! Backbone addresses inside references.
//!
//! A reference comes from anybody, and its address is one that a reader will connect to, so only plain http and https
//! URLs pass: no credentials, no query, no fragment, nothing that would break the reference's own syntax.

use url::Url;

use super::ReferenceError;

/// The address of a backbone that can stand in references: an absolute http or https URL without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Checks an address. Trailing slashes are cut off.
    ///
    /// # Errors
    /// [`ReferenceError::BaseUrl`] if it cannot stand in a reference.
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

/// Takes a reference URL apart: normalised base URL, id, fragment.
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
    fn only_plain_urls_without_anything_hidden_pass() {
        assert_eq!(check("https://example.com/sub/").as_deref(), Ok("https://example.com/sub"));
        for text in
            ["https://a.b/\u{1b}[2J", "https://a.b/\u{7f}", "https://a.b/\n", "https://a.b?c", "ftp://a.b", "a.b"]
        {
            assert_eq!(check(text), Err(ReferenceError::BaseUrl), "{text:?}");
        }
    }
}
