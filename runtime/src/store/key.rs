//! Keys of the database. The first byte says what kind of record it is.
//!
//! ```text
//! 'f'                                     format version of the store, in clear
//! 'k'                                     a known text, sealed: distinguishes a wrong key from a damaged store
//! 'v' name                                a named value
//! 'o' length(1) collection sequence(8)    an object, in the order of insertion
//! 'x' length(1) collection id             sequence of an object
//! 'e' length(1) collection member(1) hash(8) sequence(8)
//!                                         an object with a certain value in a member, see `index`; the value is empty
//! 'j' sequence(8)                         a change that was not pushed
//! 't' length(1) collection id             tombstone of an object that was removed
//! ```
//!
//! Names, collections and ids are in clear; all values are sealed. On the disk, entries of the index show which objects have
//! the same value in a member, but not which value.

use super::{Result, StoreError};

/// Longest collection name in bytes. The datawallet allows 50 characters of up to four bytes.
pub(crate) const MAX_COLLECTION: usize = 200;
/// Longest object id or value name in bytes. The datawallet allows 100 characters of up to four bytes.
pub(crate) const MAX_NAME: usize = 400;

pub(super) const FORMAT: &[u8] = b"f";
pub(super) const CANARY: &[u8] = b"k";
/// All objects of all collections begin with this.
pub(super) const OBJECTS: &[u8] = b"o";
/// All entries of the index begin with this.
pub(super) const ENTRIES: &[u8] = b"e";

pub(super) fn value(name: &str) -> Result<Vec<u8>> {
    Ok([b"v", bounded(name, MAX_NAME)?].concat())
}

/// The name at the end of the key of a value.
pub(super) fn name_of(key: &[u8]) -> Result<String> {
    let name = key.get(1..).and_then(|name| std::str::from_utf8(name).ok());
    name.map(str::to_owned).ok_or(StoreError::Damaged)
}

pub(super) fn objects(collection: &str) -> Result<Vec<u8>> {
    in_collection(b'o', collection)
}

pub(super) fn object_at(collection: &str, sequence: u64) -> Result<Vec<u8>> {
    Ok([&objects(collection)?, sequence.to_be_bytes().as_slice()].concat())
}

pub(super) fn object_index(collection: &str, id: &str) -> Result<Vec<u8>> {
    Ok([&in_collection(b'x', collection)?, bounded(id, MAX_NAME)?].concat())
}

/// Tombstone of an object that was removed.
pub(super) fn tombstone(collection: &str, id: &str) -> Result<Vec<u8>> {
    Ok([&in_collection(b't', collection)?, bounded(id, MAX_NAME)?].concat())
}

/// Entries of the index for objects with a certain value in a member.
pub(super) fn entries(collection: &str, member: u8, hash: [u8; 8]) -> Result<Vec<u8>> {
    Ok([in_collection(b'e', collection)?.as_slice(), &[member], &hash].concat())
}

/// One of the [`entries`] with this beginning.
pub(super) fn entry_at(entries: &[u8], sequence: u64) -> Vec<u8> {
    [entries, sequence.to_be_bytes().as_slice()].concat()
}

pub(super) fn journal() -> &'static [u8] {
    b"j"
}

pub(super) fn journal_at(sequence: u64) -> Vec<u8> {
    [b"j", sequence.to_be_bytes().as_slice()].concat()
}

/// Prefix of the keys of all objects in the collection of the object that has this key.
pub(super) fn collection_of(key: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*key.get(1)?);
    key.get(..2 + length)
}

/// The first key that begins with `prefix`, and the first key after all of them.
pub(super) fn range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    (prefix.to_vec(), end)
}

/// The sequence number at the end of a key.
pub(super) fn sequence_of(key: &[u8]) -> Result<u64> {
    let (_, sequence) = key.split_last_chunk().ok_or(StoreError::Damaged)?;
    Ok(u64::from_be_bytes(*sequence))
}

fn in_collection(kind: u8, collection: &str) -> Result<Vec<u8>> {
    let name = bounded(collection, MAX_COLLECTION)?;
    let length = u8::try_from(name.len()).map_err(|_| StoreError::NameTooLong)?;
    Ok([&[kind, length], name].concat())
}

fn bounded(name: &str, limit: usize) -> Result<&[u8]> {
    if name.len() <= limit { Ok(name.as_bytes()) } else { Err(StoreError::NameTooLong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_does_not_include_one_with_the_same_beginning() {
        let short = objects("Token").unwrap();
        assert!(!object_at("Tokens", 1).unwrap().starts_with(&short));
    }

    #[test]
    fn order_of_keys_is_order_of_sequences() {
        assert!(object_at("Files", 255).unwrap() < object_at("Files", 256).unwrap());
        assert_eq!(sequence_of(&object_at("Files", 77).unwrap()).unwrap(), 77);
    }

    #[test]
    fn names_are_bounded() {
        assert!(matches!(object_index("Files", &"x".repeat(401)), Err(StoreError::NameTooLong)));
        assert!(matches!(objects(&"x".repeat(201)), Err(StoreError::NameTooLong)));
    }
}
