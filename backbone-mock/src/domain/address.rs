//! Which addresses are accepted as input.

use transport::wire::Address;

use super::{Refusal, proof};

/// Reads an address that a request names: form, checksum and host name have to be right.
///
/// The host name is a domain name, or exactly the configured one: `127.0.0.1` is no domain name, but servers are
/// configured that way.
pub(crate) fn parse(text: &str, property: &'static str, configured_domain: &str) -> Result<Address, Refusal> {
    text.parse::<Address>()
        .ok()
        .filter(|address| address.host() == configured_domain || is_domain_name(address.host()))
        .filter(proof::has_valid_checksum)
        .ok_or_else(|| Refusal::invalid(property, "not an address"))
}

/// `([a-z0-9-]+\.)*[a-z]{2,}`, 3 to 45 characters.
pub(crate) fn is_domain_name(text: &str) -> bool {
    let (labels, top) = match text.rsplit_once('.') {
        Some((labels, top)) => (Some(labels), top),
        None => (None, text),
    };
    let label_fits =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    (3..=45).contains(&text.len())
        && labels.is_none_or(|labels| labels.split('.').all(label_fits))
        && top.len() >= 2
        && top.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names_are_told_from_other_texts() {
        for text in ["localhost", "bb.example.org", "a-1.de"] {
            assert!(is_domain_name(text), "{text}");
        }
        for text in ["", "ab", "127.0.0.1", "Local.host", ".de", "a..de", "a.d"] {
            assert!(!is_domain_name(text), "{text}");
        }
    }

    #[test]
    fn an_address_with_a_wrong_checksum_is_refused() {
        let parse = |text| parse(text, "forIdentity", "localhost");
        assert!(parse("did:e:bb.example.org:dids:c5b454f4a8133c3d2cf2ef").is_ok());
        assert!(parse("did:e:bb.example.org:dids:c5b454f4a8133c3d2cf2ee").is_err());
    }
}
