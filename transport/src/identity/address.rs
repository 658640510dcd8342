//! Addresses are derived from public keys, so an identity cannot claim the address of another.
//!
//! ```text
//! h       = SHA-256(SHA-512(public key))[0..10]
//! p       = "did:e:" host ":dids:" hex(h)
//! address = p hex(SHA-256(p)[0..1])
//! ```

use crate::crypto::SignaturePublicKey;
use crate::crypto::hash::{sha256, sha512};
use crate::wire::bytes::hex;
use crate::wire::{Address, AddressError};

const KEY_HASH_LENGTH: usize = 10;
const CHECKSUM_LENGTH: usize = 1;

/// An address that does not match its checksum or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressMismatch {
    /// The checksum is wrong: the address was mistyped or altered.
    #[error("address has a wrong checksum")]
    Checksum,
    /// The address belongs to another public key.
    #[error("address does not belong to the public key")]
    Key,
}

/// Derives the address of the identity with a public key at a backbone with a host name.
///
/// # Errors
/// [`AddressError`] if the host name is not allowed in an address.
pub fn derive_address(public_key: &SignaturePublicKey, host: &str) -> Result<Address, AddressError> {
    address_of(public_key.as_raw(), host)
}

/// Verifies the checksum of an address, its last two digits.
///
/// # Errors
/// [`AddressMismatch::Checksum`] if it is wrong.
pub fn check_address(address: &Address) -> Result<(), AddressMismatch> {
    let expected = checksum(address.checked_part());
    if address.checksum_digits() == expected { Ok(()) } else { Err(AddressMismatch::Checksum) }
}

/// Verifies that an address is derived from a public key.
///
/// # Errors
/// [`AddressMismatch`] if its checksum is wrong or it belongs to another key.
pub fn address_belongs_to(address: &Address, public_key: &SignaturePublicKey) -> Result<(), AddressMismatch> {
    check_address(address)?;
    if address.key_digits() == key_digits(public_key.as_raw()) { Ok(()) } else { Err(AddressMismatch::Key) }
}

/// The pseudonyms that replace the address of a deleted identity. Clients hash a text in UTF-8 in place of the key,
/// backbones the same text in UTF-16, so there are two: the client's comes first.
///
/// # Errors
/// [`AddressError`] if the host name is not allowed in an address.
pub fn deleted_identity_pseudonyms(host: &str) -> Result<[Address; 2], AddressError> {
    const TEXT: &str = "deleted identity";
    let utf16: Vec<u8> = TEXT.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Ok([address_of(TEXT.as_bytes(), host)?, address_of(&utf16, host)?])
}

fn address_of(key_material: &[u8], host: &str) -> Result<Address, AddressError> {
    let checked_part = format!("did:e:{host}:dids:{}", key_digits(key_material));
    format!("{checked_part}{}", checksum(&checked_part)).parse()
}

fn key_digits(key_material: &[u8]) -> String {
    hex(&sha256(&sha512(key_material))[..KEY_HASH_LENGTH])
}

fn checksum(checked_part: &str) -> String {
    hex(&sha256(checked_part.as_bytes())[..CHECKSUM_LENGTH])
}
