//! From a stretch of the log to the final state of every object in it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};

use super::{DatawalletError, PayloadCategory, SUPPORTED_VERSION, open_payload};
use crate::Error;
use crate::crypto::SecretKey;
use crate::wire::backbone::datawallet::{Modification, ModificationType};

/// What a stretch of the log amounts to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// One entry per object, in the order in which the objects first appear.
    pub objects: Vec<ObjectChange>,
    /// Index of the last modification; the device knows the log up to here once the changes are applied.
    pub last_index: Option<u64>,
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

/// The change of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectChange {
    /// The collection it is in; not necessarily one that this crate knows.
    pub collection: String,
    /// Its identifier.
    pub id: String,
    /// How it ends up.
    pub state: ObjectState,
}

/// How an object ends up.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectState {
    /// It is gone.
    Deleted,
    /// It exists.
    Present {
        /// Properties to merge over the stored object, or those of a new one. Without `id`.
        properties: Map<String, Value>,
        /// Whether it was deleted in between, so that nothing stored is left to merge over.
        anew: bool,
    },
}

impl Changes {
    /// Opens modifications and merges them per object. `known` is the index up to which the log was taken over before.
    /// Indices must ascend, with gaps: a backbone leaves modifications out that later ones of the same kind supersede.
    ///
    /// One that cannot be opened or understood is put aside, so that a single damaged payload does not keep a device from
    /// everything else for ever.
    ///
    /// A property that vanished from an object is not in its payloads, so it survives: the protocol cannot remove one.
    ///
    /// # Errors
    /// [`DatawalletError`] if the modifications are out of order or of a newer version.
    pub fn read(
        modifications: &[Modification],
        known: Option<u64>,
        synchronization_key: &SecretKey,
    ) -> Result<Self, DatawalletError> {
        let mut changes = Self { last_index: known, ..Self::default() };
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        for modification in modifications {
            changes.check_order(modification)?;
            let change = match Change::read(modification, synchronization_key) {
                Ok(Some(change)) => change,
                Ok(None) => {
                    changes.passed_over += 1;
                    continue;
                }
                Err(error) => {
                    changes.unreadable.push(Unreadable::new(modification, &error));
                    continue;
                }
            };
            let identity = (modification.collection.as_str(), modification.object_identifier.as_str());
            match places.entry(identity) {
                Entry::Occupied(place) => change.merge_into(&mut changes.objects[*place.get()].state),
                Entry::Vacant(place) => {
                    place.insert(changes.objects.len());
                    changes.objects.push(ObjectChange {
                        collection: modification.collection.clone(),
                        id: modification.object_identifier.clone(),
                        state: change.into_state(),
                    });
                }
            }
        }
        Ok(changes)
    }

    fn check_order(&mut self, modification: &Modification) -> Result<(), DatawalletError> {
        let index = modification.index;
        if let Some(last) = self.last_index.filter(|last| index <= *last) {
            return Err(DatawalletError::Order { last, found: index });
        }
        if modification.datawallet_version > SUPPORTED_VERSION {
            return Err(DatawalletError::UnsupportedVersion(modification.datawallet_version));
        }
        self.last_index = Some(index);
        Ok(())
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
    /// The object after the change, `id` included; `None` if it is gone.
    #[must_use]
    pub fn apply(self, stored: Option<Map<String, Value>>) -> Option<Map<String, Value>> {
        let ObjectState::Present { properties, anew } = self.state else { return None };
        let mut object = stored.filter(|_| !anew).unwrap_or_default();
        object.extend(properties);
        object.insert("id".to_owned(), Value::String(self.id));
        Some(object)
    }
}

/// One opened modification.
enum Change {
    Delete,
    Set(Map<String, Value>),
}

impl Change {
    /// `None` for modifications that are passed over.
    fn read(modification: &Modification, synchronization_key: &SecretKey) -> Result<Option<Self>, Error> {
        match (modification.kind, &modification.payload_category, &modification.encrypted_payload) {
            (ModificationType::CacheChanged, _, _) => Ok(None),
            (ModificationType::Delete, _, _) => Ok(Some(Self::Delete)),
            (ModificationType::Create | ModificationType::Update, Some(category), Some(payload)) => {
                let malformed = DatawalletError::Malformed(modification.index);
                category.parse::<PayloadCategory>().map_err(|_| malformed)?;
                open_payload(synchronization_key, modification.index, payload)
                    .map(|properties| Some(Self::Set(properties)))
            }
            _ => Err(DatawalletError::Malformed(modification.index).into()),
        }
    }

    fn into_state(self) -> ObjectState {
        match self {
            Self::Delete => ObjectState::Deleted,
            Self::Set(properties) => ObjectState::Present { properties, anew: false },
        }
    }

    fn merge_into(self, state: &mut ObjectState) {
        *state = match (self, std::mem::replace(state, ObjectState::Deleted)) {
            (Self::Delete, _) => ObjectState::Deleted,
            (Self::Set(properties), ObjectState::Deleted) => ObjectState::Present { properties, anew: true },
            (Self::Set(new), ObjectState::Present { mut properties, anew }) => {
                properties.extend(new);
                ObjectState::Present { properties, anew }
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::datawallet::seal_payload;

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
        let object = changes.objects.into_iter().next().unwrap().apply(None).unwrap();
        assert_eq!(Value::Object(object), json!({ "a": 1, "b": 4, "id": "object 0" }));
    }
}
