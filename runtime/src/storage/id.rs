//! Ids of buckets and of files in them.

use std::fmt;

use transport::crypto::random;

use super::{StorageError, StorageResult};

/// Most characters of an id.
pub const MAX_ID: usize = 36;
/// What asks for a new id where one is given.
const UNIQUE: &str = "unique()";
/// Characters of new ids: enough random bits (103) that none is given twice.
const GENERATED: usize = 20;
const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The id of a bucket, or of a file in one: `[A-Za-z0-9][A-Za-z0-9._-]{0,35}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageId(String);

impl StorageId {
    /// Reads an id. `name` is what the argument is called.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`].
    pub fn parse(name: &'static str, text: &str) -> StorageResult<Self> {
        if is_id(text) {
            return Ok(Self(text.to_owned()));
        }
        let reason = format!(
            "an id has 1 to {MAX_ID} characters a-z, A-Z, 0-9, period, hyphen and underscore, and begins with a letter or digit"
        );
        Err(StorageError::argument(name, reason))
    }

    /// The same for something new: `unique()` makes an id.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of_new(name: &'static str, text: &str) -> StorageResult<Self> {
        if is_unique(text) { Ok(Self(random::text(ALPHABET, GENERATED))) } else { Self::parse(name, text) }
    }

    /// Reads an id as `unique()` makes them; none if the text has another form.
    pub(crate) fn generated(text: &str) -> Option<Self> {
        let is_one = text.len() == GENERATED && text.bytes().all(|byte| ALPHABET.contains(&byte));
        is_one.then(|| Self(text.to_owned()))
    }

    /// One that was checked before it was stored.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text asks for a new id.
pub(super) fn is_unique(text: &str) -> bool {
    text == UNIQUE
}

/// Whether a text has the form of an id.
pub(super) fn is_id(text: &str) -> bool {
    let (mut bytes, length) = (text.bytes(), text.len());
    length <= MAX_ID
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_at_most_36_characters_of_a_small_alphabet() {
        let longest = "a".repeat(MAX_ID);
        for id in ["a", "0", "A.b_c-d", longest.as_str()] {
            assert_eq!(StorageId::parse("bucketId", id).unwrap().as_str(), id);
        }
        let too_long = "a".repeat(MAX_ID + 1);
        for text in ["", ".a", "-a", "_a", "a/b", "a b", "ä", "a\0", "unique()", too_long.as_str()] {
            let refused = StorageId::parse("bucketId", text).unwrap_err();
            assert!(matches!(refused, StorageError::InvalidArgument { name: "bucketId", .. }), "{text:?}");
        }
    }

    #[test]
    fn unique_makes_another_id_each_time() {
        let ids = [(); 2].map(|()| StorageId::of_new("fileId", "unique()").unwrap());
        assert!(ids[0] != ids[1] && ids.iter().all(|id| is_id(id.as_str())));
        assert_eq!(StorageId::of_new("fileId", "own").unwrap().as_str(), "own");
        assert!(StorageId::of_new("fileId", "unique").is_ok());
        assert!(StorageId::of_new("fileId", "unique(1)").is_err());
    }
}
