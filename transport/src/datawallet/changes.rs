//! Computes the changes of objects from part of the log.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::label::Label;
use super::tombstone;
use super::{
    Collection, DatawalletError, MAX_COLLECTION, MAX_INDEX, MAX_OBJECT, PayloadCategory, SUPPORTED_VERSION, Tombstone,
    open_payload,
};
use crate::crypto::SecretKey;
use crate::wire::backbone::datawallet::{Modification, ModificationType};

/// The changes in part of the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// One entry per object, in the order in which the objects first appear.
    pub objects: Vec<ObjectChange>,
    /// Index of the last modification, readable or not. Not authenticated.
    pub last_index: Option<u64>,
    /// Index of the last modification whose payload opened. Authenticated: a device with the key sealed it for this index.
    pub last_opened: Option<u64>,
    /// Modifications that could not be read. Their changes are missing; all others are not affected.
    pub unreadable: Vec<Unreadable>,
    /// Number of skipped `CacheChanged` modifications, which clients of major version 6 write. They carry no data.
    pub skipped: usize,
}

/// A modification that could not be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its index.
    pub index: u64,
    /// The collection of the object.
    pub collection: String,
    /// The object.
    pub id: String,
    /// Why it could not be read.
    pub reason: String,
}

/// The changes of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectChange {
    /// Its collection, which may be unknown to this crate.
    pub collection: String,
    /// Its identifier.
    pub id: String,
    /// Index of its first modification.
    pub first_index: u64,
    /// In the order of the log.
    steps: Vec<Step>,
}

/// One modification of an object.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Delete,
    Set { index: u64, properties: Map<String, Value> },
}

/// An object after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The object, including `id`; `None` if it was deleted.
    pub object: Option<Map<String, Value>>,
    /// Modifications that would have changed an immutable property. No part of them was applied.
    pub refused: Vec<Refused>,
}

/// A modification that contradicts an immutable property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Its index.
    pub index: u64,
    /// The immutable property that it would have changed.
    pub property: &'static str,
}

/// Checks everything that needs no key: indices ascend from `known` on, with gaps, and are in range. Returns the last index.
///
/// # Errors
/// [`DatawalletError`] if the modifications are out of order or of a newer version, or have an index out of range or a name
/// that is too long.
pub fn check_order(modifications: &[Modification], known: Option<u64>) -> Result<Option<u64>, DatawalletError> {
    let mut last = known;
    for modification in modifications {
        let index = modification.index;
        if let Some(last) = last.filter(|last| index <= *last) {
            return Err(DatawalletError::Order { last, found: index });
        }
        if index > MAX_INDEX {
            return Err(DatawalletError::Index(index));
        }
        if is_longer(&modification.collection, MAX_COLLECTION) || is_longer(&modification.object_identifier, MAX_OBJECT)
        {
            return Err(DatawalletError::Name(index));
        }
        if modification.datawallet_version > SUPPORTED_VERSION {
            return Err(DatawalletError::UnsupportedVersion(modification.datawallet_version));
        }
        last = Some(index);
    }
    Ok(last)
}

fn is_longer(name: &str, characters: usize) -> bool {
    name.chars().nth(characters).is_some()
}

impl Changes {
    /// Opens modifications and groups them by object. `known` is the index up to which the log was read before. Indices must
    /// ascend but may have gaps, because a backbone omits modifications that later ones of the same kind supersede.
    ///
    /// A modification that cannot be opened or parsed is set aside, so that a single damaged payload does not block
    /// synchronization forever. One that opens but was sealed with another label proves that the backbone manipulates the log,
    /// so the whole log is refused.
    ///
    /// # Errors
    /// [`DatawalletError`] if the modifications are out of order or of a newer version, or do not match their sealed labels.
    pub fn read(
        modifications: &[Modification],
        known: Option<u64>,
        synchronization_key: &SecretKey,
    ) -> Result<Self, DatawalletError> {
        let mut changes = Self { last_index: check_order(modifications, known)?, ..Self::default() };
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        for modification in modifications {
            let step = match Step::read(modification, synchronization_key) {
                Ok(Some(step)) => step,
                Ok(None) => {
                    changes.skipped += 1;
                    continue;
                }
                Err(lie @ DatawalletError::Relabelled(_)) => return Err(lie),
                Err(error) => {
                    changes.unreadable.push(Unreadable::new(modification, &error));
                    continue;
                }
            };
            if let Step::Set { index, .. } = &step {
                changes.last_opened = Some(*index);
            }
            let identity = (modification.collection.as_str(), modification.object_identifier.as_str());
            let place = *places.entry(identity).or_insert(changes.objects.len());
            if place == changes.objects.len() {
                changes.objects.push(ObjectChange::of(modification));
            }
            changes.objects[place].steps.push(step);
        }
        Ok(changes)
    }
}

impl Unreadable {
    fn new(modification: &Modification, error: &DatawalletError) -> Self {
        Self {
            index: modification.index,
            collection: modification.collection.clone(),
            id: modification.object_identifier.clone(),
            reason: error.to_string(),
        }
    }
}

impl ObjectChange {
    fn of(modification: &Modification) -> Self {
        let (collection, id) = (modification.collection.clone(), modification.object_identifier.clone());
        Self { collection, id, first_index: modification.index, steps: Vec::new() }
    }

    /// Applies the changes to the stored object, if there is one. `tombstone` has the hashes of an earlier, removed one.
    ///
    /// A modification is refused as a whole if it gives an immutable property another value than the stored object, the
    /// tombstone or an earlier modification. If it was a creation, the object does not exist afterwards.
    ///
    /// A property that is missing from a payload is kept: the protocol has no way to remove one.
    #[must_use]
    pub fn apply(self, stored: Option<Map<String, Value>>, tombstone: &Tombstone) -> Applied {
        let collection = Collection::named(&self.collection);
        let mut known = stored.clone().unwrap_or_default();
        let (mut object, mut refused, mut is_half) = (stored, Vec::new(), false);
        for step in self.steps {
            match step {
                Step::Delete => {
                    (object, is_half) = (None, false);
                    known.remove(tombstone::TYPED);
                }
                Step::Set { index, properties } => {
                    let contradiction = |rules: &Collection| {
                        let with_known = rules.contradiction(&known, &properties);
                        with_known.or_else(|| tombstone.contradiction(rules, &properties))
                    };
                    if let Some(property) = collection.as_ref().and_then(contradiction) {
                        is_half |= object.is_none();
                        refused.push(Refused { index, property });
                        continue;
                    }
                    known.extend(properties.clone());
                    object.get_or_insert_default().extend(properties);
                }
            }
        }
        let mut object = object.filter(|_| !is_half);
        if let Some(object) = &mut object {
            object.insert("id".to_owned(), Value::String(self.id));
        }
        Applied { object, refused }
    }
}

impl Step {
    /// `None` for skipped modifications.
    fn read(modification: &Modification, synchronization_key: &SecretKey) -> Result<Option<Self>, DatawalletError> {
        let index = modification.index;
        let malformed = || DatawalletError::Malformed(index);
        let properties = open(modification, synchronization_key)?;
        match (modification.kind, properties) {
            (ModificationType::CacheChanged, None) => Ok(None),
            (ModificationType::Delete, None) => Ok(Some(Self::Delete)),
            (ModificationType::Create | ModificationType::Update, Some(properties)) => {
                let category = modification.payload_category.as_deref().ok_or_else(malformed)?;
                category.parse::<PayloadCategory>().map_err(|_| malformed())?;
                Ok(Some(Self::Set { index, properties }))
            }
            _ => Err(malformed()),
        }
    }
}

/// Opens the payload, if there is one, and compares its label with the modification.
fn open(modification: &Modification, key: &SecretKey) -> Result<Option<Map<String, Value>>, DatawalletError> {
    let Some(payload) = &modification.encrypted_payload else { return Ok(None) };
    let index = modification.index;
    let mut properties = open_payload(key, index, payload)?;
    match Label::take(&mut properties).map_err(|_| DatawalletError::Malformed(index))? {
        Some(label) if !label.is_of(modification) => Err(DatawalletError::Relabelled(index)),
        _ => Ok(Some(properties)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::datawallet::{LABEL_MEMBER, PendingModification, seal_payload};
    use crate::wire::json_budget::MAX_CONTENT;

    fn modification(key: &SecretKey, index: u64, sealed_for: u64, properties: Value) -> Modification {
        let Value::Object(properties) = properties else { panic!("an object") };
        Modification {
            id: "DWMabcdefghijklmno12".parse().unwrap(),
            datawallet_version: 1,
            index,
            object_identifier: format!("object {}", index % 2),
            payload_category: Some("TechnicalData".to_owned()),
            created_at: crate::wire::Timestamp::MIN,
            created_by_device: "DVCabcdefghijklmno12".parse().unwrap(),
            collection: "Anything".to_owned(),
            kind: ModificationType::Update,
            encrypted_payload: Some(seal_payload(key, sealed_for, &properties).unwrap()),
        }
    }

    #[test]
    fn superseded_modifications_may_be_missing_but_the_order_must_not_change() {
        let key = SecretKey::generate();
        let log = [3, 4, 9].map(|index| modification(&key, index, index, json!({ "a": index })));
        let changes = Changes::read(&log, Some(1), &key).unwrap();
        assert_eq!((changes.objects.len(), changes.last_index), (2, Some(9)));
        for known in [3, 10] {
            assert_eq!(Changes::read(&log, Some(known), &key), Err(DatawalletError::Order { last: known, found: 3 }));
        }
    }

    #[test]
    fn moved_swapped_and_replayed_payloads_are_detected() {
        let key = SecretKey::generate();
        let sealed = |index, sealed_for| modification(&key, index, sealed_for, json!({ "a": sealed_for }));
        for (log, expected) in [
            // moved to a later index, hiding what was before it
            (vec![sealed(0, 0), sealed(1, 2)], vec![1]),
            // swapped
            (vec![sealed(0, 1), sealed(1, 0), sealed(2, 2)], vec![0, 1]),
            // an old state, replayed as the newest
            (vec![sealed(0, 0), sealed(2, 2), sealed(3, 3), sealed(4, 0)], vec![4]),
        ] {
            let changes = Changes::read(&log, None, &key).unwrap();
            let unreadable: Vec<_> = changes.unreadable.iter().map(|item| item.index).collect();
            assert_eq!(unreadable, expected);
            assert_eq!(changes.last_index, log.last().map(|modification| modification.index));
        }
    }

    #[test]
    fn a_payload_at_the_wrong_index_is_set_aside_and_the_rest_is_read() {
        let key = SecretKey::generate();
        let log = [
            modification(&key, 0, 0, json!({ "a": 1, "b": 1 })),
            modification(&key, 2, 3, json!({ "a": 2 })),
            modification(&key, 4, 4, json!({ "b": 4 })),
        ];
        let changes = Changes::read(&log, None, &key).unwrap();
        let unreadable: Vec<_> = changes.unreadable.iter().map(|item| (item.index, item.id.as_str())).collect();
        assert_eq!(unreadable, [(2, "object 0")]);
        let object = changes.objects.into_iter().next().unwrap().apply(None, &Tombstone::default()).object.unwrap();
        assert_eq!(Value::Object(object), json!({ "a": 1, "b": 4, "id": "object 0" }));
    }
    /// A modification as this client seals it, with its label.
    fn labelled(key: &SecretKey, index: u64, id: &str, properties: Value) -> Modification {
        let Value::Object(properties) = properties else { panic!("an object") };
        let pending = PendingModification {
            kind: ModificationType::Update,
            collection: "Files".to_owned(),
            object_identifier: id.to_owned(),
            payload: Some((PayloadCategory::TechnicalData, properties)),
        };
        let sealed = pending.seal(key, index).unwrap();
        Modification {
            object_identifier: sealed.object_identifier,
            collection: sealed.collection,
            encrypted_payload: sealed.encrypted_payload,
            ..modification(key, index, index, json!({}))
        }
    }

    #[test]
    fn a_payload_listed_under_another_label_is_refused() {
        let key = SecretKey::generate();
        let genuine = labelled(&key, 4, "A", json!({ "secretKey": "a" }));
        let lies: [fn(&mut Modification); 7] = [
            |entry| entry.object_identifier = "B".to_owned(),
            |entry| entry.collection = "Tokens".to_owned(),
            |entry| entry.payload_category = Some("Content".to_owned()),
            |entry| entry.payload_category = Some("Unknown".to_owned()),
            |entry| entry.payload_category = None,
            |entry| entry.kind = ModificationType::Create,
            |entry| entry.kind = ModificationType::Delete,
        ];
        for lie in lies {
            let mut entry = genuine.clone();
            lie(&mut entry);
            assert_eq!(
                Changes::read(std::slice::from_ref(&entry), None, &key),
                Err(DatawalletError::Relabelled(4)),
                "{entry:?}"
            );
        }
    }

    #[test]
    fn a_content_of_maximum_size_is_read_by_other_devices() {
        let key = SecretKey::generate();
        let nested = (0..MAX_CONTENT.max_depth).fold(json!(0), |inner, _| json!([inner]));
        for content in [Value::from(vec![0; MAX_CONTENT.max_nodes - 1]), nested] {
            let entry = labelled(&key, 4, "A", json!({ "content": content }));
            assert_eq!(Changes::read(&[entry], None, &key).unwrap().unreadable, []);
        }
    }

    #[test]
    fn the_label_is_not_a_property() {
        let key = SecretKey::generate();
        let genuine = labelled(&key, 4, "A", json!({ "isOwn": true }));
        let changes = Changes::read(&[genuine], None, &key).unwrap();
        let object = changes.objects.into_iter().next().unwrap().apply(None, &Tombstone::default()).object.unwrap();
        assert_eq!(Value::Object(object), json!({ "isOwn": true, "id": "A" }));
    }

    #[test]
    fn payloads_without_a_label_and_with_an_unreadable_one() {
        let key = SecretKey::generate();
        let older = modification(&key, 1, 1, json!({ "a": 1 }));
        let odd = modification(&key, 2, 2, json!({ "a": 1, LABEL_MEMBER: 7 }));
        let changes = Changes::read(&[older, odd], None, &key).unwrap();
        assert_eq!((changes.objects.len(), changes.last_opened), (1, Some(1)));
        assert_eq!(changes.unreadable[0].index, 2);
    }

    #[test]
    fn a_deletion_with_a_payload_deletes_nothing() {
        let key = SecretKey::generate();
        let mut entry = modification(&key, 1, 1, json!({ "a": 1 }));
        entry.kind = ModificationType::Delete;
        let changes = Changes::read(&[entry], None, &key).unwrap();
        assert_eq!((changes.objects.len(), changes.unreadable.len()), (0, 1));
    }

    #[test]
    fn the_highest_index_is_the_highest_that_keys_are_derived_from() {
        let key = SecretKey::generate();
        let last = modification(&key, MAX_INDEX, MAX_INDEX, json!({ "a": 1 }));
        assert_eq!(Changes::read(std::slice::from_ref(&last), None, &key).unwrap().last_opened, Some(MAX_INDEX));
        for index in [MAX_INDEX + 1, 1 << 40, u64::MAX] {
            let beyond = Modification { index, ..last.clone() };
            assert_eq!(Changes::read(&[beyond], None, &key), Err(DatawalletError::Index(index)));
        }
    }

    #[test]
    fn the_opened_index_follows_only_payloads_that_open() {
        let key = SecretKey::generate();
        let mut deletion = modification(&key, 9, 9, json!({}));
        (deletion.kind, deletion.encrypted_payload) = (ModificationType::Delete, None);
        let log = [modification(&key, 3, 3, json!({})), modification(&key, 5, 4, json!({})), deletion];
        let changes = Changes::read(&log, None, &key).unwrap();
        assert_eq!((changes.last_opened, changes.last_index), (Some(3), Some(9)));
    }

    fn change(steps: impl IntoIterator<Item = Option<Value>>) -> ObjectChange {
        let steps = (0..).zip(steps).map(|(index, step)| match step {
            Some(Value::Object(properties)) => Step::Set { index, properties },
            _ => Step::Delete,
        });
        ObjectChange { collection: "Files".to_owned(), id: "A".to_owned(), first_index: 0, steps: steps.collect() }
    }

    #[test]
    fn a_contradicting_modification_is_refused_as_a_whole_and_the_others_are_applied() {
        let stored = json!({ "secretKey": "a", "isOwn": true }).as_object().cloned();
        let relabelled = json!({ "secretKey": "b", "isOwn": false, "filename": "b" });
        let applied = change([Some(relabelled), Some(json!({ "metadata": 1 }))]).apply(stored, &Tombstone::default());
        assert_eq!(applied.refused, [Refused { index: 0, property: "secretKey" }]);
        let expected = json!({ "secretKey": "a", "isOwn": true, "metadata": 1, "id": "A" });
        assert_eq!(applied.object.map(Value::Object), Some(expected));
    }

    #[test]
    fn a_deletion_in_between_does_not_allow_another_key() {
        let stored = json!({ "secretKey": "a" }).as_object().cloned();
        let steps = [None, Some(json!({ "secretKey": "b" })), Some(json!({ "filename": "b" }))];
        let applied = change(steps).apply(stored, &Tombstone::default());
        assert_eq!((applied.object, applied.refused.len()), (None, 1));
    }

    #[test]
    fn a_new_object_keeps_the_first_key_that_the_log_gives_it() {
        let steps = [Some(json!({ "secretKey": "a" })), Some(json!({ "secretKey": "b" }))];
        let applied = change(steps).apply(None, &Tombstone::default());
        assert_eq!(applied.object.unwrap()["secretKey"], "a");
        assert_eq!(applied.refused, [Refused { index: 1, property: "secretKey" }]);
    }
}
