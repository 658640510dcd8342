//! Reads a few members of a stored object without decoding the rest, so that filtering long lists is cheap.
//!
//! Records are CBOR (RFC 8949). Other members are skipped by their lengths.

use super::object::Properties;
use super::{Result, StoreError, cbor};

/// Major types of RFC 8949 section 3.1 that matter for skipping an item.
const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
pub(super) const ARRAY: u8 = 4;
pub(super) const MAP: u8 = 5;
const TAG: u8 = 6;

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

/// What follows the first item.
pub(super) fn skip(bytes: &[u8]) -> Option<&[u8]> {
    let mut items: u64 = 1;
    let mut rest = bytes;
    while items > 0 {
        let (major, argument, after) = head(rest)?;
        items -= 1;
        rest = after;
        match major {
            BYTES | TEXT => rest = rest.get(usize::try_from(argument).ok()?..)?,
            ARRAY => items = items.checked_add(argument)?,
            MAP => items = items.checked_add(argument.checked_mul(2)?)?,
            TAG => items = items.checked_add(1)?,
            // Numbers, booleans and null are their heads.
            _ => {}
        }
    }
    Some(rest)
}

/// Major type and argument of the first item, and what follows its head. Records have definite lengths only.
pub(super) fn head(bytes: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let length = match first & 0x1f {
        small @ 0..=23 => return Some((first >> 5, u64::from(small), rest)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let (argument, rest) = rest.split_at_checked(length)?;
    let argument = argument.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some((first >> 5, argument, rest))
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
