//! From a stretch of the log to what becomes of every object in it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::label::Label;
use super::{
    Collection, DatawalletError, MAX_COLLECTION, MAX_INDEX, MAX_OBJECT, PayloadCategory, SUPPORTED_VERSION, Tombstone,
    open_payload,
};
use crate::Error;
use crate::crypto::SecretKey;
use crate::wire::backbone::datawallet::{Modification, ModificationType};

/// What a stretch of the log amounts to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// One entry per object, in the order in which the objects first appear.
    pub objects: Vec<ObjectChange>,
    /// Index of the last modification, whether it could be read or not. Only the backbone's word.
    pub last_index: Option<u64>,
    /// Index of the last modification whose payload opened: somebody who has the key sealed it for this place.
    pub last_opened: Option<u64>,
    /// Modifications that could not be read. The rest is not affected; what they would have changed stays as it is.
    pub unreadable: Vec<Unreadable>,
    /// How many notes of clients of major version 6 were passed over. They say that something cached changed and carry
    /// no data; the objects themselves come with other modifications.
    pub passed_over: usize,
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
    /// What is wrong with it.
    pub reason: String,
}

/// What happens to one object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectChange {
    /// The collection it is in; not necessarily one that this crate knows.
    pub collection: String,
    /// Its identifier.
    pub id: String,
    /// Index of the first modification of it.
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
    /// The object, `id` included; none if it is gone.
    pub object: Option<Map<String, Value>>,
    /// Modifications that would have changed what never changes; nothing of them was applied.
    pub refused: Vec<Refused>,
}

/// A modification that contradicts what is known of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Its index.
    pub index: u64,
    /// The immutable property that it gives another value to.
    pub property: &'static str,
}

/// Checks what can be checked without a key: indices ascend from `known` on, with gaps, and somebody can have sealed for them.
/// Returns the last index.
///
/// # Errors
/// [`DatawalletError`] if the modifications are out of order, of a newer version, in places that cannot be, or about names that
/// are too long.
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
    /// Opens modifications and collects them per object. `known` is the index up to which the log was read before.
    /// Indices must ascend, with gaps: a backbone leaves modifications out that later ones of the same kind supersede.
    ///
    /// One that cannot be opened or understood is put aside, so that a single damaged payload does not keep a device from
    /// everything else for ever. One that opens but was sealed for another object, collection, category or type is a lie of
    /// the backbone, and then nothing is believed.
    ///
    /// # Errors
    /// [`DatawalletError`] if the modifications are out of order, of a newer version, or under labels that they were not
    /// sealed with.
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
                    changes.passed_over += 1;
                    continue;
                }
                Err(Error::Datawallet(lie @ DatawalletError::Relabelled(_))) => return Err(lie),
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
    fn new(modification: &Modification, error: &Error) -> Self {
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

    /// Applies the change to the stored object, if there is one. `tombstone` is what is remembered of what it once was.
    ///
    /// A modification that gives an immutable property another value than the stored object, the tombstone or an earlier
    /// modification is refused as a whole; if it was to make the object anew, the object is gone.
    ///
    /// A property that vanished from an object is not in its payloads, so it survives: the protocol cannot remove one.
    #[must_use]
    pub fn apply(self, stored: Option<Map<String, Value>>, tombstone: &Tombstone) -> Applied {
        let collection = Collection::named(&self.collection);
        let mut known = stored.clone().unwrap_or_default();
        let (mut object, mut refused, mut is_half) = (stored, Vec::new(), false);
        for step in self.steps {
            match step {
                Step::Delete => (object, is_half) = (None, false),
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
    /// `None` for modifications that are passed over.
    fn read(modification: &Modification, synchronization_key: &SecretKey) -> Result<Option<Self>, Error> {
        let index = modification.index;
        let malformed = || Error::from(DatawalletError::Malformed(index));
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

/// Opens the payload, if there is one, and compares the label in it with the one it is listed under.
fn open(modification: &Modification, key: &SecretKey) -> Result<Option<Map<String, Value>>, Error> {
    let Some(payload) = &modification.encrypted_payload else { return Ok(None) };
    let index = modification.index;
    let mut properties = open_payload(key, index, payload)?;
    match Label::take(&mut properties).map_err(|_| DatawalletError::Malformed(index))? {
        Some(label) if !label.is_of(modification) => Err(DatawalletError::Relabelled(index).into()),
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
    fn superseded_modifications_may_be_left_out_but_the_order_may_not_change() {
        let key = SecretKey::generate();
        let log = [3, 4, 9].map(|index| modification(&key, index, index, json!({ "a": index })));
        let changes = Changes::read(&log, Some(1), &key).unwrap();
        assert_eq!((changes.objects.len(), changes.last_index), (2, Some(9)));
        for known in [3, 10] {
            assert_eq!(Changes::read(&log, Some(known), &key), Err(DatawalletError::Order { last: known, found: 3 }));
        }
    }

    #[test]
    fn moved_swapped_and_replayed_payloads_are_told_from_those_in_their_place() {
        let key = SecretKey::generate();
        let sealed = |index, sealed_for| modification(&key, index, sealed_for, json!({ "a": sealed_for }));
        for (log, expected) in [
            // moved to a later place, as if what lay between had never been
            (vec![sealed(0, 0), sealed(1, 2)], vec![1]),
            // swapped
            (vec![sealed(0, 1), sealed(1, 0), sealed(2, 2)], vec![0, 1]),
            // an old state once more, as the newest
            (vec![sealed(0, 0), sealed(2, 2), sealed(3, 3), sealed(4, 0)], vec![4]),
        ] {
            let changes = Changes::read(&log, None, &key).unwrap();
            let unreadable: Vec<_> = changes.unreadable.iter().map(|item| item.index).collect();
            assert_eq!(unreadable, expected);
            assert_eq!(changes.last_index, log.last().map(|modification| modification.index));
        }
    }

    #[test]
    fn a_payload_in_the_wrong_place_is_put_aside_and_the_rest_is_read() {
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
    fn what_was_sealed_under_one_label_is_not_read_under_another() {
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
    fn a_content_at_its_bound_is_read_by_other_devices() {
        let key = SecretKey::generate();
        let nested = (0..MAX_CONTENT.max_depth).fold(json!(0), |inner, _| json!([inner]));
        for content in [Value::from(vec![0; MAX_CONTENT.max_nodes - 1]), nested] {
            let entry = labelled(&key, 4, "A", json!({ "content": content }));
            assert_eq!(Changes::read(&[entry], None, &key).unwrap().unreadable, []);
        }
    }

    #[test]
    fn the_label_is_no_property() {
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
    fn only_what_opens_counts_as_opened() {
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
    fn a_modification_that_contradicts_is_refused_as_a_whole_and_the_others_are_applied() {
        let stored = json!({ "secretKey": "a", "isOwn": true }).as_object().cloned();
        let relabelled = json!({ "secretKey": "b", "isOwn": false, "filename": "b" });
        let applied = change([Some(relabelled), Some(json!({ "metadata": 1 }))]).apply(stored, &Tombstone::default());
        assert_eq!(applied.refused, [Refused { index: 0, property: "secretKey" }]);
        let expected = json!({ "secretKey": "a", "isOwn": true, "metadata": 1, "id": "A" });
        assert_eq!(applied.object.map(Value::Object), Some(expected));
    }

    #[test]
    fn a_deletion_in_between_does_not_let_another_key_in() {
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
