//! Reads a few members of a stored object without decoding the rest, so that filtering long lists is cheap.
//!
//! Records are CBOR (RFC 8949). Other members are skipped by their lengths.

use super::cbor::{MAP, TEXT, head, skip};
use super::object::Properties;
use super::{Result, StoreError, cbor};

/// Those of the named root members that a [`StoredObject`](super::object::StoredObject) has.
pub(super) fn decode(record: &[u8], members: &[&str]) -> Result<Properties> {
    let mut picked = Properties::new();
    decode_into(&mut picked, record, members)?;
    Ok(picked)
}

/// The same into an existing map, so that one map serves many records.
pub(super) fn decode_into(picked: &mut Properties, record: &[u8], members: &[&str]) -> Result<()> {
    picked.clear();
    for entry in Entries::of(record)? {
        let (name, value) = entry?;
        if name == "p" {
            for entry in Entries::of(value)? {
                let (name, value) = entry?;
                if members.contains(&name) {
                    picked.insert(name.to_owned(), cbor::from_slice(value)?);
                }
            }
        }
    }
    Ok(())
}

/// Names and encoded values of a map with text keys.
struct Entries<'a> {
    left: u64,
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    fn of(map: &'a [u8]) -> Result<Self> {
        match head(map) {
            Some((MAP, left, rest)) => Ok(Self { left, rest }),
            _ => Err(StoreError::Damaged),
        }
    }

    fn next_entry(&mut self) -> Option<(&'a str, &'a [u8])> {
        let (TEXT, length, rest) = head(self.rest)? else { return None };
        let (name, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let after = skip(rest)?;
        let value = &rest[..rest.len() - after.len()];
        self.rest = after;
        Some((std::str::from_utf8(name).ok()?, value))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a str, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(self.next_entry().ok_or(StoreError::Damaged))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::store::object::StoredObject;
    use crate::store::sealing;

    fn record(properties: serde_json::Value) -> Vec<u8> {
        let properties = properties.as_object().unwrap().clone();
        sealing::encode(&StoredObject { id: "id".into(), properties }).unwrap().to_vec()
    }

    #[test]
    fn the_named_members_and_no_others_are_read() {
        let long = "x".repeat(70_000);
        let record = record(json!({"a": {"deep": [1, null, -7, {}]}, "long": long, "b": true, "c": 2.5}));
        let read = |members: &[&str]| serde_json::Value::Object(decode(&record, members).unwrap());
        assert_eq!(read(&["c", "a", "missing"]), json!({"a": {"deep": [1, null, -7, {}]}, "c": 2.5}));
        assert_eq!(read(&[]), json!({}));
        for cut in 0..record.len() {
            assert!(decode(&record[..cut], &["c"]).is_err(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, &["a"]);
        }
    }
}
