//! What the server can check of identities: their addresses and their signatures.
//!
//! The algorithms that texts name are ignored: they differ between versions of clients, while the bytes are the same.

use serde::Deserialize;
use transport::crypto::{Signature, SignatureHash, SignaturePublicKey};
use transport::identity::{check_address, derive_address};
use transport::wire::{Address, ByteText};

use super::Refusal;

/// The public key of an identity.
pub(crate) struct IdentityKey(SignaturePublicKey);

#[derive(Deserialize)]
struct PublicKeyText {
    #[serde(rename = "pub")]
    public: ByteText,
}

#[derive(Deserialize)]
struct SignatureText {
    sig: ByteText,
}

impl IdentityKey {
    /// Reads the JSON text `{"pub": …, "alg": 3}`.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let text: PublicKeyText = serde_json::from_slice(json).ok()?;
        Self::from_bytes(&text.public.0)
    }

    /// A key from its 32 bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(SignaturePublicKey::from_raw).map(Self)
    }

    /// Its 32 bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_raw()
    }

    /// The address of the identity with this key.
    pub(crate) fn address(&self, domain: &str) -> Option<Address> {
        derive_address(&self.0, domain).ok()
    }

    /// Whether the signature over the text was made with this key.
    pub(crate) fn has_signed(&self, text: &str, signature: &SignedBytes) -> bool {
        signature.0.as_ref().is_some_and(|signature| self.0.verify(text.as_bytes(), signature).is_ok())
    }
}

/// A signature from a request. One of a wrong length matches nothing.
pub(crate) struct SignedBytes(Option<Signature>);

impl SignedBytes {
    /// Reads the JSON text `{"sig": …, "alg": 2}`. The algorithm names a hash and is ignored.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let text: SignatureText = serde_json::from_slice(json).ok()?;
        let bytes = text.sig.0.try_into().ok();
        Some(Self(bytes.map(|bytes| Signature::from_raw(bytes, SignatureHash::Sha512))))
    }
}

/// Whether the checksum of an address, its last two digits, is right.
fn has_valid_checksum(address: &Address) -> bool {
    check_address(address).is_ok()
}

/// Parses an address from a request, and checks its checksum and host name.
///
/// The host name has to be a domain name or the configured one, which may be an IP address such as `127.0.0.1`.
pub(crate) fn parse_address(text: &str, property: &'static str, configured_domain: &str) -> Result<Address, Refusal> {
    text.parse::<Address>()
        .ok()
        .filter(|address| address.host() == configured_domain || is_domain_name(address.host()))
        .filter(has_valid_checksum)
        .ok_or_else(|| Refusal::invalid(property, "must be the address of an identity"))
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
    use transport::wire::bytes::from_base64url;

    #[test]
    fn addresses_are_derived_as_clients_derive_them() {
        for (key, address) in [
            ("0EqyMnQrtKs6E2i9RhXk5tAiSrcaAWuvhSCjMsl3hzc", "did:e:bb.example.org:dids:c5b454f4a8133c3d2cf2ef"),
            ("oJql9HpnWYAv-VX43C0qFKXJnSO-l_hkEn_5ODRVpPA", "did:e:bb.example.org:dids:a02495b53ef152589babd8"),
        ] {
            let key = IdentityKey::from_bytes(&from_base64url(key).unwrap()).unwrap();
            let derived = key.address("bb.example.org").unwrap();
            assert_eq!(derived.as_str(), address);
            assert!(has_valid_checksum(&derived));
        }
    }

    #[test]
    fn domain_names_are_distinguished_from_other_texts() {
        for text in ["localhost", "bb.example.org", "a-1.de"] {
            assert!(is_domain_name(text), "{text}");
        }
        for text in ["", "ab", "127.0.0.1", "Local.host", ".de", "a..de", "a.d"] {
            assert!(!is_domain_name(text), "{text}");
        }
    }

    #[test]
    fn an_address_with_a_wrong_checksum_is_refused() {
        let parse = |text| parse_address(text, "forIdentity", "localhost");
        assert!(parse("did:e:bb.example.org:dids:c5b454f4a8133c3d2cf2ef").is_ok());
        assert!(parse("did:e:bb.example.org:dids:c5b454f4a8133c3d2cf2ee").is_err());
    }
}
