//! Sub keys, as libsodium's `crypto_kdf` derives them.

use blake2::Blake2bMac;
use blake2::digest::Mac;
use blake2::digest::consts::U32;

use super::{CryptoError, SecretKey};

/// The highest number of a sub key. Other clients of the protocol refuse higher ones.
pub const MAX_KEY_ID: u64 = (1 << 31) - 1;

/// What a sub key is for. One label per purpose, so that no key serves two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KdfContext {
    /// A datawallet payload; numbered by the index of the modification.
    DataSync,
    /// A secret in the datawallet; numbered by the container's counter.
    Secret,
    /// Secrets that stay on one device; always number 1.
    Device,
    /// The request of a relationship; always number 1.
    RelationshipRequest,
    /// What the requestor of a relationship sends; always number 1.
    RequestorToTemplator,
    /// What the templator of a relationship sends; always number 1.
    TemplatorToRequestor,
    /// Hashes in the index of a node's store, which stay on the device; always number 1.
    StoreIndex,
}

impl KdfContext {
    fn label(self) -> &'static [u8; 8] {
        match self {
            Self::DataSync => b"DataSync",
            Self::Secret => b"SECRET01",
            Self::Device => b"DEVICE01",
            Self::RelationshipRequest => b"REQTMP01",
            Self::RequestorToTemplator => b"RELREQ01",
            Self::TemplatorToRequestor => b"RELTEM01",
            Self::StoreIndex => b"STOREIDX",
        }
    }
}

/// `BLAKE2b-256(key, salt = id as 8 bytes little-endian, personalization = label, message = empty)`, salt and
/// personalization padded with zeros to 16 bytes.
pub(super) fn derive(key: &[u8; 32], context: KdfContext, id: u64) -> Result<SecretKey, CryptoError> {
    if id > MAX_KEY_ID {
        return Err(CryptoError::KeyId);
    }
    let mut salt = [0; 16];
    salt[..8].copy_from_slice(&id.to_le_bytes());
    let mut personalization = [0; 16];
    personalization[..8].copy_from_slice(context.label());
    let mac = Blake2bMac::<U32>::new_with_salt_and_personal(Some(key), &salt, &personalization)
        .expect("BLAKE2b takes keys of up to 64 and salts of up to 16 bytes");
    Ok(SecretKey::from_bytes(mac.finalize().into_bytes().into()))
}

/// `BLAKE2b-256(key, message)`.
pub(super) fn keyed_hash(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mac = Blake2bMac::<U32>::new_with_salt_and_personal(Some(key), &[], &[])
        .expect("BLAKE2b takes keys of up to 64 and salts of up to 16 bytes");
    mac.chain_update(message).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected value: Python's `hashlib.blake2b(b"abc", key=bytes(range(32)), digest_size=32)`.
    #[test]
    fn a_keyed_hash_is_blake2b_256() {
        let key = std::array::from_fn(|at| at as u8);
        let hash = keyed_hash(&key, b"abc").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hash, "d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f");
    }
}
