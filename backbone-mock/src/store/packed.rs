//! Bytes as bytes: in records they need not be text. For `#[serde(with = "packed")]`.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};
use transport::wire::ByteText;

pub(crate) fn serialize<S: Serializer>(bytes: &ByteText, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&bytes.0)
}

/// Records of the first version hold text.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteText, D::Error> {
    deserializer.deserialize_any(BytesOrText)
}

struct BytesOrText;

impl Visitor<'_> for BytesOrText {
    type Value = ByteText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes or base64")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<ByteText, E> {
        Ok(ByteText(bytes.to_vec()))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<ByteText, E> {
        Ok(ByteText(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ByteText, E> {
        transport::wire::bytes::from_any_base64(text).map(ByteText).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record(#[serde(with = "super")] ByteText);

    #[test]
    fn records_hold_bytes_and_those_of_the_first_version_text() {
        let record = Record(ByteText(vec![0xff; 300]));
        let mut cbor = Vec::new();
        ciborium::into_writer(&record, &mut cbor).unwrap();
        assert_eq!(cbor.len(), 3 + 300);
        assert_eq!(ciborium::from_reader::<Record, _>(cbor.as_slice()).unwrap(), record);
        cbor.clear();
        ciborium::into_writer(&record.0, &mut cbor).unwrap();
        assert_eq!(cbor.len(), 3 + 400);
        assert_eq!(ciborium::from_reader::<Record, _>(cbor.as_slice()).unwrap(), record);
    }
}
