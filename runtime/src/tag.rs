//! Tags of files.
//!
//! Generation 7 of the published connectors takes tags of known kinds only, generation 6 takes any. Tags of the backbone's own
//! collection (`bkb:…`) are not known: this node does not know the collection.

use std::collections::HashMap;

use serde::Deserialize;

use crate::{Error, Result};

/// Prefixes of the kinds of tags.
pub const KINDS: [&str; 4] = ["x:", "urn:", "language:", "mimetype:"];

/// ISO 639-1.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv \
     dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu \
     ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne \
     ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv \
     sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// The tags of a file that is uploaded, each of them once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Tags {
    list: Vec<String>,
    only_known: bool,
}

/// The same tag twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must NOT have duplicate items (items ## {later} and {earlier} are identical)")]
pub struct DuplicateTag {
    /// Position of the second one, from 0.
    pub later: usize,
    /// Position of the first one.
    pub earlier: usize,
}

impl Tags {
    /// Takes any tags.
    ///
    /// # Errors
    /// A tag is there twice.
    pub fn new(list: Vec<String>) -> Result<Self, DuplicateTag> {
        let mut first = HashMap::with_capacity(list.len());
        for (later, tag) in list.iter().enumerate() {
            if let Some(earlier) = first.insert(tag, later) {
                return Err(DuplicateTag { later, earlier });
            }
        }
        drop(first);
        Ok(Self { list, only_known: false })
    }

    /// The same, to be refused by the facade if one is not of a known kind.
    #[must_use]
    pub fn only_known(self) -> Self {
        Self { only_known: true, ..self }
    }

    /// The tags.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.list
    }

    /// The tags, unless one has to be of a known kind and is not. Facades ask in their turn, after the expiry.
    pub(crate) fn into_permitted(self) -> Result<Vec<String>> {
        let unknown: Vec<String> = self.list.iter().filter(|tag| self.only_known && !is_valid(tag)).cloned().collect();
        if unknown.is_empty() { Ok(self.list) } else { Err(Error::InvalidTags(unknown)) }
    }
}

impl TryFrom<Vec<String>> for Tags {
    type Error = DuplicateTag;

    fn try_from(list: Vec<String>) -> Result<Self, DuplicateTag> {
        Self::new(list)
    }
}

/// Whether a tag is of a known kind and has a valid value.
#[must_use]
pub fn is_valid(tag: &str) -> bool {
    match tag.split_once(':') {
        Some(("x" | "X" | "urn", _)) => true,
        Some(("language", code)) => LANGUAGES.split_ascii_whitespace().any(|language| language == code),
        Some(("mimetype", media)) => is_media_type(media),
        _ => false,
    }
}

fn is_media_type(text: &str) -> bool {
    let fits = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'*'))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| fits(kind) && fits(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &[&str]) -> Result<Tags, DuplicateTag> {
        Tags::new(list.iter().map(|tag| (*tag).to_owned()).collect())
    }

    #[test]
    fn a_duplicate_tag_is_reported_with_both_positions() {
        let duplicate = tags(&["a", "b", "a"]).unwrap_err();
        assert_eq!(duplicate, DuplicateTag { later: 2, earlier: 0 });
        assert_eq!(duplicate.to_string(), "must NOT have duplicate items (items ## 2 and 0 are identical)");
        assert_eq!(tags(&["a", "b"]).unwrap().as_slice(), ["a", "b"]);
    }

    #[test]
    fn every_unknown_tag_is_named_where_they_have_to_be_known() {
        let list = ["x:", "language:xx", "plain"];
        assert_eq!(tags(&list).unwrap().into_permitted().unwrap(), list);
        let refusal = tags(&list).unwrap().only_known().into_permitted().unwrap_err();
        assert_eq!(refusal.code(), "error.consumption.attributes.invalidTags");
        assert_eq!(refusal.to_string(), "Detected invalidity of the following tags: 'language:xx', 'plain'.");
        assert!(tags(&list[..1]).unwrap().only_known().into_permitted().is_ok());
    }

    #[test]
    fn tags_of_the_known_kinds_are_valid() {
        for tag in ["x:a", "X:", "x:", "urn:isbn:1", "urn:", "language:de", "mimetype:image/*", "mimetype:*/x-y"] {
            assert!(is_valid(tag), "{tag}");
        }
        for tag in
            ["", "plain", "language:xx", "language:", "mimetype:a1/b", "mimetype:a", "mimetype:a/b/c", "bkb:unknown"]
        {
            assert!(!is_valid(tag), "{tag}");
        }
    }
}
