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
    /// How many notes of clients of major version 6 were passed over. They say that something cached changed and carry
    /// no data; the objects themselves come with other modifications.
    pub passed_over: usize,
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
    /// Opens modifications and merges them per object. `known` is the index up to which the log was taken over before;
    /// the modifications must follow it without a gap.
    ///
    /// A property that vanished from an object is not in its payloads, so it survives: the protocol cannot remove one.
    ///
    /// # Errors
    /// [`Error::Datawallet`] if the stretch has gaps, is malformed or of a newer version, [`Error::Decryption`] if a
    /// payload does not belong where it is.
    pub fn read(
        modifications: &[Modification],
        known: Option<u64>,
        synchronization_key: &SecretKey,
    ) -> Result<Self, Error> {
        let mut changes = Self { last_index: known, ..Self::default() };
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        for modification in modifications {
            changes.check_order(modification)?;
            let Some(change) = Change::read(modification, synchronization_key)? else {
                changes.passed_over += 1;
                continue;
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
        let expected = self.last_index.map_or(0, |index| index.saturating_add(1));
        if modification.index != expected {
            return Err(DatawalletError::Gap { expected, found: modification.index });
        }
        if modification.datawallet_version > SUPPORTED_VERSION {
            return Err(DatawalletError::UnsupportedVersion(modification.datawallet_version));
        }
        self.last_index = Some(expected);
        Ok(())
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
