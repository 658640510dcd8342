//! The index by value: finds the objects that have a certain text in a member without reading all others.
//!
//! An entry is a key that holds a hash of the value and the sequence number of the object. The hash is keyed, so values can
//! neither be read nor guessed from the disk without the key of the store. Hashes are short and may collide: an entry says
//! which objects may match, and the filter is evaluated on each of them.
//!
//! Entries are written and removed in the commit that changes their object.
//!
//! Filters match more than equal texts: the filter `1` finds the number 1 too, and a list by its items. So texts and short
//! lists of texts have an entry for each text, and all other values have one entry that every look-up finds.

use std::collections::BTreeSet;

use durable::Commit;
use serde_json::Value;

use super::object::Properties;
use super::sealing::Sealing;
use super::{Result, StoreError, collection, key, projection};
use crate::query::RequiredTexts;

/// Approximate number of bytes that are written in one commit.
pub(super) const COMMIT_BYTES: usize = 1024 * 1024;

/// A root member that the index covers.
struct Member {
    /// Part of keys; never used again for another member of the collection.
    number: u8,
    name: &'static str,
}

/// Longest list whose texts have an entry each. Bounds the entries that an object of another device can cause.
const MAX_LISTED: usize = 16;

/// Members of files, the most selective first. An entry takes about 200 bytes on disk (30 in the journal, the rest in
/// sled), which is worth it for:
///
/// - `filename`: nearly unique; apps look for a file by the name under which they stored it.
/// - `title`: the same for files that have one; others have no entry.
/// - `tags`: apps store ids of their own in tags to find the files that belong together.
///
/// Not worth it: `isOwn`, `mimetype`, `createdBy` and `createdByDevice`, which most files share; dates and `filesize`, which
/// are asked for by range; `description`, which is prose; `ownershipToken`, which is known only to those who have the file.
const FILES: &[Member] =
    &[Member { number: 1, name: "filename" }, Member { number: 2, name: "title" }, Member { number: 3, name: "tags" }];

/// Members of tokens:
///
/// - `forIdentity`: one of many peers; tokens for everybody have no entry.
///
/// Not worth it: what goes for files, too. Passwords are not covered on purpose: a hash of one does not belong in a key.
const TOKENS: &[Member] = &[Member { number: 1, name: "forIdentity" }];

const COLLECTIONS: [(&str, &[Member]); 2] = [(collection::FILES, FILES), (collection::TOKENS, TOKENS)];

fn members(collection: &str) -> &'static [Member] {
    COLLECTIONS.into_iter().find(|(name, _)| *name == collection).map_or(&[], |(_, members)| members)
}

/// Names of the members that the index covers.
pub(super) fn names(collection: &str) -> Vec<&'static str> {
    members(collection).iter().map(|member| member.name).collect()
}

/// Keys of all entries that an object has.
pub(super) fn entries(
    sealing: &Sealing,
    collection: &str,
    sequence: u64,
    properties: &Properties,
) -> Result<BTreeSet<Vec<u8>>> {
    let mut keys = BTreeSet::new();
    for member in members(collection) {
        let Some(value) = properties.get(member.name).filter(|value| !value.is_null()) else { continue };
        for value in parts(value) {
            keys.insert(key::entry_at(&member.entries(sealing, collection, value)?, sequence));
        }
    }
    Ok(keys)
}

/// Prefixes of the keys of the entries of all objects that meet one of the conditions; none if the index covers none of the
/// members.
pub(super) fn entries_of(
    sealing: &Sealing,
    collection: &str,
    required: &[RequiredTexts<'_>],
) -> Result<Option<Vec<Vec<u8>>>> {
    let covered = |member: &'static Member| Some((member, required.iter().find(|other| other.member == member.name)?));
    let Some((member, required)) = members(collection).iter().find_map(covered) else { return Ok(None) };
    let texts: BTreeSet<&str> = required.texts.iter().copied().collect();
    let parts = texts.into_iter().map(Some).chain([None]);
    parts.map(|part| member.entries(sealing, collection, part)).collect::<Result<_>>().map(Some)
}

/// The texts for which a value has entries; none for the entry of all other values.
fn parts(value: &Value) -> Vec<Option<&str>> {
    match value {
        Value::String(text) => vec![Some(text)],
        Value::Array(list) if list.len() <= MAX_LISTED && list.iter().all(Value::is_string) => {
            list.iter().map(Value::as_str).collect()
        }
        _ => vec![None],
    }
}

impl Member {
    fn entries(&self, sealing: &Sealing, collection: &str, part: Option<&str>) -> Result<Vec<u8>> {
        // With collection and member, so that equal values of different members have different hashes.
        let place = [&[self.number], collection.as_bytes(), &[0]].concat();
        let value = part.map_or_else(|| vec![0], |text| [&[1], text.as_bytes()].concat());
        key::entries(collection, self.number, sealing.short_hash(&[place, value].concat()))
    }
}

/// Creates all entries again. The step to format 2, see [`super::migration`].
pub(super) fn build(disk: &durable::Store, sealing: &Sealing) -> Result<()> {
    let mut commit = Commit::new();
    let mut add = |change: &dyn Fn(&mut Commit) -> durable::Result<()>| {
        change(&mut commit)?;
        if commit.size() > COMMIT_BYTES {
            disk.commit_blocking(std::mem::take(&mut commit))?;
        }
        Ok::<_, StoreError>(())
    };
    // An interrupted attempt may have left entries, which an older program has not updated since.
    let (from, until) = key::range(key::ENTRIES);
    for entry in disk.keys(&from, Some(&until)) {
        let entry = entry?;
        add(&|commit| commit.remove(&entry))?;
    }
    for (collection, members) in COLLECTIONS {
        let names: Vec<&str> = members.iter().map(|member| member.name).collect();
        let (from, until) = key::range(&key::objects(collection)?);
        for pair in disk.range(&from, Some(&until)) {
            let (place, sealed) = pair?;
            let sequence = key::sequence_of(&place)?;
            let Ok(properties) = sealing.open(&place, &sealed).and_then(|plain| projection::decode(&plain, &names))
            else {
                // It was unreadable before; the node must start nevertheless.
                tracing::warn!(collection, sequence, "an object cannot be read and is left out of the index");
                continue;
            };
            for entry in entries(sealing, collection, sequence, &properties)? {
                add(&|commit| commit.put(&entry, b""))?;
            }
        }
    }
    Ok(disk.commit_blocking(commit)?)
}

#[cfg(test)]
mod tests;
