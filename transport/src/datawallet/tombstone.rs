//! Tombstones: hashes that are kept of removed objects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Collection;
use crate::crypto::hash::Sha512Hash;
use crate::wire::{ByteText, Timestamp};

/// Length of a truncated hash in bytes: enough to prevent collisions.
const HASH_LENGTH: usize = 16;

/// Immutable, but without a hash: a user who loads a removed token again may type another password.
pub(super) const TYPED: &str = "passwordProtection";

/// Hashes of the immutable properties of a removed object, so that a backbone that forges its deletion cannot replace it by
/// another object with the same id.
///
/// Takes about 40 bytes per property, at most 400 per object, and is kept forever. Their number is bounded by the number of
/// objects that the device has had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tombstone {
    hashes: BTreeMap<String, ByteText>,
}

impl Tombstone {
    /// Adds the hashes of the immutable properties that `before` has and `after` does not have. Existing hashes are kept.
    pub fn bury(&mut self, collection: &Collection, before: &Map<String, Value>, after: Option<&Map<String, Value>>) {
        for name in collection.immutable().iter().filter(|name| **name != TYPED) {
            let is_kept = after.is_some_and(|after| present(after, name).is_some());
            if let Some(value) = present(before, name).filter(|_| !is_kept) {
                self.hashes.entry((*name).to_owned()).or_insert_with(|| hash(value));
            }
        }
    }

    /// Remembers what another tombstone does. What is remembered already stays.
    pub fn absorb(&mut self, other: Self) {
        for (name, hash) in other.hashes {
            self.hashes.entry(name).or_insert(hash);
        }
    }

    /// The first immutable property to which `new` gives another value than the removed object had.
    #[must_use]
    pub fn contradiction(&self, collection: &Collection, new: &Map<String, Value>) -> Option<&'static str> {
        let contradicts = |name: &&str| match (self.hashes.get(*name), present(new, name)) {
            (Some(known), Some(value)) => *known != hash(value),
            _ => false,
        };
        collection.immutable().iter().copied().find(|name| contradicts(name))
    }

    /// Whether it has no hashes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

fn present<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn hash(value: &Value) -> ByteText {
    let text = normal(value).to_string();
    ByteText(Sha512Hash::of(text.as_bytes()).as_bytes()[..HASH_LENGTH].to_vec())
}

/// A normal form, the same for equivalent values as defined at [`Collection::contradiction`]. The recursion is bounded as there.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let named = members.iter().filter(|(name, value)| !name.starts_with('@') && !value.is_null());
            let mut members: Map<_, _> = named.map(|(name, value)| (name.clone(), normal(value))).collect();
            members.sort_keys();
            Value::Object(members)
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Number(number) => number.as_f64().map_or_else(|| value.clone(), Value::from),
        Value::String(text) => text.parse::<Timestamp>().map_or_else(|_| value.clone(), |time| time.to_string().into()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn of(collection: &Collection, object: Value) -> Tombstone {
        let mut tombstone = Tombstone::default();
        tombstone.bury(collection, &members(object), None);
        tombstone
    }

    #[test]
    fn a_removed_token_may_come_back_with_another_password() {
        let tokens = Collection::TOKENS;
        let tombstone = of(&tokens, json!({ "content": {}, "passwordProtection": { "password": "right" } }));
        let again = json!({ "content": {}, "passwordProtection": { "password": "wrong" } });
        assert_eq!(tombstone.contradiction(&tokens, &members(again)), None);
    }

    #[test]
    fn different_values_contradict_and_equivalent_ones_do_not() {
        let tokens = Collection::TOKENS;
        let known = json!({ "content": { "at": "2030-01-01T00:00:00.000Z", "n": 1, "none": null }, "isOwn": true });
        let tombstone = of(&tokens, known);
        let same = json!({ "content": { "n": 1.0, "@type": "X", "at": "2030-01-01T00:00:00Z" }, "isOwn": false });
        assert_eq!(tombstone.contradiction(&tokens, &members(same)), None);
        for other in [json!(1), json!({ "n": 1 }), json!({ "at": "2030-01-01T00:00:00.001Z", "n": 1 })] {
            let object = members(json!({ "content": other }));
            assert_eq!(tombstone.contradiction(&tokens, &object), Some("content"));
        }
        assert_eq!(tombstone.contradiction(&tokens, &members(json!({ "content": null }))), None);
        assert_eq!(tombstone.contradiction(&tokens, &members(json!({ "secretKey": 1 }))), None, "not known");
    }

    #[test]
    fn the_first_hash_is_kept_and_properties_that_the_object_still_has_need_none() {
        let files = Collection::FILES;
        let mut tombstone = of(&files, json!({ "secretKey": "a" }));
        tombstone.bury(&files, &members(json!({ "secretKey": "b" })), None);
        assert_eq!(tombstone.contradiction(&files, &members(json!({ "secretKey": "b" }))), Some("secretKey"));
        let mut tombstone = Tombstone::default();
        let object = members(json!({ "secretKey": "a", "filesize": 1 }));
        tombstone.bury(&files, &object, Some(&object));
        assert!(tombstone.is_empty());
        tombstone.bury(&files, &object, Some(&members(json!({ "secretKey": "a" }))));
        assert_eq!(tombstone.contradiction(&files, &members(json!({ "filesize": 2 }))), Some("filesize"));
    }

    #[test]
    fn a_tombstone_is_small() {
        let mut object = Map::new();
        for name in Collection::FILES.immutable() {
            object.insert((*name).to_owned(), "x".repeat(10_000).into());
        }
        let text = serde_json::to_string(&of(&Collection::FILES, Value::Object(object))).unwrap();
        assert!(text.len() <= 500, "{}: {text}", text.len());
    }
}
