//! Sub keys, as libsodium's `crypto_kdf` derives them.

use blake2::Blake2bMac;
use blake2::digest::Mac;
use blake2::digest::consts::U32;

use super::{CryptoError, SecretKey};

/// The highest number a sub key may have. The protocol's other clients refuse higher ones.
pub const MAX_KEY_ID: u64 = (1 << 31) - 1;

/// What a sub key is for. One label per purpose, so that no key serves two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KdfContext {
    /// A datawallet payload; numbered by the index of the modification.
    DataSync,
    /// A synchronised secret; numbered by the container's counter.
    Secret,
    /// Secrets that stay on one device; always number 1.
    Device,
    /// The request of a relationship; always number 1.
    RelationshipRequest,
    /// What the requestor of a relationship sends; always number 1.
    RequestorToTemplator,
    /// What the templator of a relationship sends; always number 1.
    TemplatorToRequestor,
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
        }
    }
}

/// `BLAKE2b-256(key, salt = id as 8 bytes little-endian, personalisation = label, message = empty)`, salt and
/// personalisation padded with zeros to 16 bytes.
pub(super) fn derive(key: &[u8; 32], context: KdfContext, id: u64) -> Result<SecretKey, CryptoError> {
    if id > MAX_KEY_ID {
        return Err(CryptoError::KeyId);
    }
    let mut salt = [0; 16];
    salt[..8].copy_from_slice(&id.to_le_bytes());
    let mut personalisation = [0; 16];
    personalisation[..8].copy_from_slice(context.label());
    let mac = Blake2bMac::<U32>::new_with_salt_and_personal(Some(key), &salt, &personalisation)
        .expect("BLAKE2b takes keys of up to 64 and salts of up to 16 bytes");
    Ok(SecretKey::from_bytes(mac.finalize().into_bytes().into()))
}
