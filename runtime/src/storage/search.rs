//! The search for buckets and files by the words of their id and name.

use query::Words;

use super::{StorageError, StorageResult};

/// Most characters of a search.
pub const MAX_SEARCH: usize = 256;

/// Words to look for, as the query language does ([`Words`]). A search without a word finds everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(Words);

impl Search {
    /// Reads a search.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`] for more than [`MAX_SEARCH`] characters.
    pub fn parse(text: &str) -> StorageResult<Self> {
        match text.chars().take(MAX_SEARCH + 1).count() <= MAX_SEARCH {
            true => Ok(Self(Words::new(text))),
            false => Err(StorageError::argument("search", format!("a search has at most {MAX_SEARCH} characters"))),
        }
    }

    /// Whether it has no word.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the texts has one of the words.
    pub(crate) fn finds<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        self.is_empty() || texts.into_iter().any(|text| self.0.match_text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_word_is_enough_and_the_last_one_may_be_a_beginning() {
        for (search, name, is_found) in [
            ("", "a.png", true),
            (" . ", "a.png", true),
            ("holiday", "Holiday 2030.png", true),
            ("HOLI", "holiday 2030.png", true),
            ("oliday", "holiday 2030.png", false),
            ("holi 2030", "holiday 2030.png", true),
            ("holi 1999", "holiday 2030.png", false),
            ("nothing png", "holiday 2030.png", true),
            ("f-1", "x", true),
            ("ä", "ÄRGER.txt", true),
        ] {
            assert_eq!(Search::parse(search).unwrap().finds(["f-1", name]), is_found, "{search:?} {name}");
        }
        assert!(Search::parse(&"ä".repeat(MAX_SEARCH)).is_ok());
        assert!(Search::parse(&"a".repeat(MAX_SEARCH + 1)).is_err());
    }
}
