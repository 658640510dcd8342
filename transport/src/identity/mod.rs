//! Who somebody is: addresses that follow from keys, and the secrets that make a device part of an identity.

mod address;

pub use address::{AddressMismatch, address_belongs_to, check_address, deleted_identity_pseudonyms, derive_address};
