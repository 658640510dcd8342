//! Keys: a table name, then the parts, such that the order of the bytes is the order of the parts.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use transport::wire::Timestamp;

use crate::error::StoreError;

/// Separates texts inside a key. No identifier, address or digest contains it.
const SEPARATOR: u8 = 0;
/// Flipping the sign bit makes the order of unsigned numbers that of signed ones.
const SIGN: u64 = 1 << 63;

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
        self.number(time.as_unix_milliseconds().cast_unsigned() ^ SIGN)
    }

    /// The first key behind this one.
    pub(crate) fn next(&self) -> Self {
        self.with(&[0])
    }

    /// The first key behind the one that is this prefix and `rest`.
    pub(crate) fn after(&self, rest: &Rest) -> Self {
        self.with_rest(rest).next()
    }

    /// The key that is this prefix and `rest`.
    pub(crate) fn with_rest(&self, rest: &Rest) -> Self {
        self.with(&rest.0)
    }

    fn with(&self, bytes: &[u8]) -> Self {
        Self { table: self.table, bytes: [&self.bytes, bytes].concat(), record: PhantomData }
    }

    /// What follows this prefix in a key that starts with it.
    pub(super) fn rest_of(&self, key: &[u8]) -> Rest {
        Rest(key[self.bytes.len()..].to_vec())
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
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<R, StoreError> {
        #[cfg(test)]
        super::WORK.with_borrow_mut(|work| work.decoded += 1);
        ciborium::from_reader(bytes).map_err(|error| Undecodable::error(self.table, &error))
    }
}

impl<R: Serialize> Key<R> {
    pub(crate) fn encode(&self, record: &R) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        ciborium::into_writer(record, &mut bytes).map_err(|error| StoreError::Failed(error.into()))?;
        Ok(bytes)
    }
}

/// A record that is not what its table holds.
#[derive(Debug, thiserror::Error)]
#[error("a record of table {table} cannot be decoded ({reason})")]
pub(super) struct Undecodable {
    table: &'static str,
    reason: String,
}

impl Undecodable {
    pub(super) fn error(table: &'static str, reason: &dyn std::fmt::Display) -> StoreError {
        StoreError::Damaged(Self { table, reason: reason.to_string() }.into())
    }
}

/// What follows a prefix in a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest(Vec<u8>);

impl Rest {
    /// Its parts, which are read in the order in which they were appended.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts(&self.0)
    }
}

/// The parts of a key that were not read yet. `None` where a key has no such part.
pub(crate) struct Parts<'r>(&'r [u8]);

impl<'r> Parts<'r> {
    /// Reads a text.
    pub(crate) fn text(&mut self) -> Option<&'r str> {
        let end = self.0.iter().position(|byte| *byte == SEPARATOR)?;
        let text = std::str::from_utf8(&self.0[..end]).ok()?;
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    /// Reads a number.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    /// Reads a point in time.
    pub(crate) fn time(&mut self) -> Option<Timestamp> {
        self.number().map(|number| Timestamp::from_unix_milliseconds((number ^ SIGN).cast_signed()))
    }
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
        let time = Timestamp::from_unix_milliseconds(-5);
        let key = TABLE.key().text("abc").number(7).time(time);
        let rest = TABLE.key().rest_of(key.bytes());
        let mut parts = rest.parts();
        assert_eq!((parts.text(), parts.number(), parts.time()), (Some("abc"), Some(7), Some(time)));
        assert_eq!((parts.text(), parts.number(), parts.time()), (None, None, None));
    }

    #[test]
    fn a_walk_goes_on_behind_its_last_key() {
        let prefix = TABLE.key().text("a");
        let next = prefix.after(&prefix.rest_of(prefix.clone().number(7).bytes()));
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
