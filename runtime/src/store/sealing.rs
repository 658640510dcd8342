//! Records at rest: CBOR, bound to their key, sealed.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Result, StoreError};

/// The key of the store.
pub(crate) struct StoreSecret([u8; 32]);

impl StoreSecret {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Seals and opens values of the database.
pub(super) struct Sealing {
    _secret: StoreSecret,
}

impl Sealing {
    pub(super) fn new(secret: StoreSecret) -> Self {
        Self { _secret: secret }
    }

    pub(super) fn seal(&self, key: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        Ok(bind(key, plain))
    }

    pub(super) fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        unbind(key, sealed)
    }
}

/// Puts the key in front of the value, so that a sealed value is worthless under any other key.
fn bind(key: &[u8], plain: &[u8]) -> Vec<u8> {
    [key, plain].concat()
}

fn unbind(key: &[u8], bound: &[u8]) -> Result<Vec<u8>> {
    bound.strip_prefix(key).map(<[u8]>::to_vec).ok_or(StoreError::Damaged)
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| StoreError::Encoding(error.to_string()))?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    ciborium::from_reader(bytes).map_err(|_| StoreError::Damaged)
}
