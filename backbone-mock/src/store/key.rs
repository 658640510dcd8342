//! Keys: a table name, then the parts, such that the order of the bytes is the order of the parts.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use transport::wire::Timestamp;

use crate::error::StoreError;

/// Separates texts inside a key. No identifier, address or digest contains it.
const SEPARATOR: u8 = 0;

/// A kind of record.
pub(crate) struct Table<R> {
    name: &'static str,
    record: PhantomData<fn() -> R>,
}

impl<R> Table<R> {
    /// The table with this name.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, record: PhantomData }
    }

    /// The key that all keys of this table start with.
    pub(crate) fn key(&self) -> Key<R> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.push(SEPARATOR);
        Key { table: self.name, bytes, record: PhantomData }
    }
}

/// The key of a record, or the prefix of the keys of several.
pub(crate) struct Key<R> {
    table: &'static str,
    bytes: Vec<u8>,
    record: PhantomData<fn() -> R>,
}

impl<R> Key<R> {
    /// Appends a text. The text must not contain a zero byte.
    pub(crate) fn text(mut self, text: impl AsRef<str>) -> Self {
        let text = text.as_ref().as_bytes();
        debug_assert!(!text.contains(&SEPARATOR));
        self.bytes.extend_from_slice(text);
        self.bytes.push(SEPARATOR);
        self
    }

    /// Appends a number; smaller ones sort first.
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.bytes.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Appends a point in time; earlier ones sort first.
    pub(crate) fn time(self, time: Timestamp) -> Self {
        // Flipping the sign bit makes the order of the unsigned numbers that of the signed ones.
        self.number(time.as_unix_milliseconds().cast_unsigned() ^ (1 << 63))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> StoreError {
        StoreError::Record { table: self.table, reason: error.to_string() }
    }

    /// The first key after the one that is this prefix and `rest`.
    pub(crate) fn after(&self, rest: &[u8]) -> Self {
        let bytes = [&self.bytes, rest, &[0]].concat();
        Self { table: self.table, bytes, record: PhantomData }
    }

    /// The key that is this prefix and `rest`.
    pub(crate) fn with_rest(&self, rest: &[u8]) -> Self {
        Self { table: self.table, bytes: [&self.bytes, rest].concat(), record: PhantomData }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first key after all that start with this one.
    pub(super) fn end(&self) -> Vec<u8> {
        let mut end = self.bytes.clone();
        while let Some(last) = end.pop() {
            if let Some(next) = last.checked_add(1) {
                end.push(next);
                break;
            }
        }
        end
    }
}

impl<R> Clone for Key<R> {
    fn clone(&self) -> Self {
        Self { table: self.table, bytes: self.bytes.clone(), record: PhantomData }
    }
}

impl<R: DeserializeOwned> Key<R> {
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<R, StoreError> {
        ciborium::from_reader(bytes).map_err(|error| self.failed(&error))
    }
}

impl<R: Serialize> Key<R> {
    pub(super) fn encode(&self, record: &R) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        ciborium::into_writer(record, &mut bytes).map_err(|error| self.failed(&error))?;
        Ok(bytes)
    }
}

/// Splits a text off the front of the rest of a key.
pub(crate) fn split_text(rest: &[u8]) -> Option<(&str, &[u8])> {
    let end = rest.iter().position(|byte| *byte == SEPARATOR)?;
    Some((std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 1..]))
}

/// Splits a number off the front of the rest of a key.
pub(crate) fn split_number(rest: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = rest.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: Table<()> = Table::new("t");

    #[test]
    fn the_end_of_a_prefix_lies_after_its_largest_key() {
        let prefix = TABLE.key().number(u64::MAX);
        assert_eq!(prefix.end(), b"t\x01");
        assert!(TABLE.key().text("a").number(u64::MAX).bytes() < TABLE.key().text("a").end().as_slice());
    }

    #[test]
    fn parts_can_be_split_off_again() {
        let key = TABLE.key().text("abc").number(7);
        let (text, rest) = split_text(&key.bytes()[2..]).unwrap();
        assert_eq!(text, "abc");
        assert_eq!(split_number(rest), Some((7, &[][..])));
    }

    #[test]
    fn a_walk_goes_on_behind_its_last_key() {
        let prefix = TABLE.key().text("a");
        let next = prefix.after(&7_u64.to_be_bytes());
        assert!(TABLE.key().text("a").number(7).bytes() < next.bytes());
        assert!(next.bytes() < TABLE.key().text("a").number(8).bytes());
    }

    proptest! {
        #[test]
        fn earlier_times_sort_first(a in any::<i64>(), b in any::<i64>()) {
            let (a, b) = (Timestamp::from_unix_milliseconds(a), Timestamp::from_unix_milliseconds(b));
            prop_assert_eq!(TABLE.key().time(a).bytes().cmp(TABLE.key().time(b).bytes()), a.cmp(&b));
        }
    }
}
