//! The encoding of everything that peers exchange: CBOR in its one deterministic form (RFC 8949, section 4.2.1).
//!
//! Items are arrays of a fixed number of members, so there is nothing that a reader may skip. Readers accept the one encoding
//! of a value only: they encode what they read again and compare.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FrameError;

/// The encoding of a value that has no maps and no floats, whose encoding is the deterministic one.
pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("memory takes whatever is written to it");
    bytes
}

/// Reads a value. What is not its only encoding may be accepted here; the caller compares.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    ciborium::from_reader(bytes).map_err(|_| FrameError::Malformed)
}

/// The first member of an array of fewer than 24, which says what it is.
pub(super) fn kind(bytes: &[u8]) -> Result<u8, FrameError> {
    match bytes {
        [0x80..=0x97, kind @ 0..24, ..] => Ok(*kind),
        _ => Err(FrameError::Malformed),
    }
}

/// Bytes of any length as a byte string, where serde would write an array of numbers.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

/// Bytes of a fixed length as a byte string.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Array<const N: usize>(pub(super) [u8; N]);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(ByteString).map(Self)
    }
}

impl<const N: usize> Serialize for Array<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Array<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_byte_buf(ByteString)?;
        bytes.try_into().map(Self).map_err(|_| D::Error::custom("byte string of another length"))
    }
}

struct ByteString;

impl<'de> Visitor<'de> for ByteString {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom("an array in place of a byte string"))
    }
}
