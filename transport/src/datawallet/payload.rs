//! Payloads: the properties of one category of one object, sealed for one index of the log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::DatawalletError;
use crate::crypto::{Cipher, CryptoObject, KdfContext, NONCE_LENGTH, SecretKey, random};
use crate::wire::{ByteText, json};

/// The category of an object's properties, in the order of the modifications of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PayloadCategory {
    /// Properties that the protocol needs, including `@type`.
    TechnicalData,
    /// The content of the object.
    Content,
    /// Properties set by applications.
    Metadata,
    /// Properties set by the user.
    Userdata,
}

impl PayloadCategory {
    /// The name in modifications.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TechnicalData => "TechnicalData",
            Self::Content => "Content",
            Self::Metadata => "Metadata",
            Self::Userdata => "Userdata",
        }
    }
}

impl fmt::Display for PayloadCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is not the name of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown payload category")]
pub struct UnknownCategory;

impl FromStr for PayloadCategory {
    type Err = UnknownCategory;

    fn from_str(text: &str) -> Result<Self, UnknownCategory> {
        [Self::TechnicalData, Self::Content, Self::Metadata, Self::Userdata]
            .into_iter()
            .find(|category| category.as_str() == text)
            .ok_or(UnknownCategory)
    }
}

/// Seals properties for the modification that will get `index`.
///
/// # Errors
/// [`DatawalletError::Crypto`] if the index is 2^31 or more.
pub fn seal_payload(
    synchronization_key: &SecretKey,
    index: u64,
    properties: &Map<String, Value>,
) -> Result<ByteText, DatawalletError> {
    seal_payload_with_nonce(synchronization_key, index, properties, random::bytes())
}

/// As [`seal_payload`], with a given nonce, which must never have been used for this index before.
pub(super) fn seal_payload_with_nonce(
    synchronization_key: &SecretKey,
    index: u64,
    properties: &Map<String, Value>,
    nonce: [u8; NONCE_LENGTH],
) -> Result<ByteText, DatawalletError> {
    let text = Zeroizing::new(json::to_text(&Value::Object(properties.clone())));
    let key = synchronization_key.derive(&KdfContext::DataSync, index)?;
    Ok(key.encrypt_with_nonce(text.as_bytes(), nonce).to_byte_text())
}

/// Opens the payload of the modification that has `index`.
///
/// # Errors
/// [`DatawalletError::Crypto`] if it is not a ciphertext, was altered, or was sealed for another index or identity;
/// [`DatawalletError::Malformed`] if the plaintext is not a JSON object.
pub fn open_payload(
    synchronization_key: &SecretKey,
    index: u64,
    payload: &ByteText,
) -> Result<Map<String, Value>, DatawalletError> {
    let key = synchronization_key.derive(&KdfContext::DataSync, index)?;
    let plaintext = key.decrypt(&Cipher::from_bytes(&payload.0)?)?;
    let text = std::str::from_utf8(&plaintext).map_err(|_| DatawalletError::Malformed(index))?;
    match json::from_text(text) {
        Ok(Value::Object(properties)) => Ok(properties),
        _ => Err(DatawalletError::Malformed(index)),
    }
}
