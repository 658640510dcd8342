//! What the server may do with keys: derive an address, check a signature.
//!
//! The texts are read leniently: clients of all versions name different algorithms beside the same bytes.

use serde::Deserialize;
use transport::crypto::{Signature, SignatureHash, SignaturePublicKey};
use transport::identity::{check_address, derive_address};
use transport::wire::{Address, ByteText};

/// The public half of an identity's key.
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

    /// The address of the identity that holds this key.
    pub(crate) fn address(&self, domain: &str) -> Option<Address> {
        derive_address(&self.0, domain).ok()
    }

    /// Whether the signature is this key's over the text.
    pub(crate) fn has_signed(&self, text: &str, signature: &SignedBytes) -> bool {
        signature.0.as_ref().is_some_and(|signature| self.0.verify(text.as_bytes(), signature).is_ok())
    }
}

/// A signature from a request. It may be of a wrong length; then it fits nothing.
pub(crate) struct SignedBytes(Option<Signature>);

impl SignedBytes {
    /// Reads the JSON text `{"sig": …, "alg": 2}`. The algorithm names a hash and is ignored.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let text: SignatureText = serde_json::from_slice(json).ok()?;
        let bytes = text.sig.0.try_into().ok();
        Some(Self(bytes.map(|bytes| Signature::from_raw(bytes, SignatureHash::Sha512))))
    }
}

/// Whether the last two digits of an address are right.
pub(crate) fn has_valid_checksum(address: &Address) -> bool {
    check_address(address).is_ok()
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
}
