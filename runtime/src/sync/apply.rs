//! Applies the changes of other devices.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use transport::datawallet::{Changes, Collection, ObjectChange, PendingModification, Refused, Tombstone};
use transport::wire::backbone::datawallet::{Modification, ModificationType};

use crate::Result;
use crate::store::{Batch, Object, Properties, View, collection};

/// Adds the changes in a section of the log to a batch. `unpushed` are the changes of this device that follow them in the
/// log, so they are applied on top.
pub(super) fn stage(
    batch: &mut Batch,
    view: &View<'_>,
    log: &[Modification],
    changes: Changes,
    unpushed: &[PendingModification],
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let damaged = damaged_objects(&changes);
    let histories = histories(log);
    let unpushed = by_object(unpushed);
    for change in changes.objects {
        let place = (change.collection.clone(), change.id.clone());
        let stored = view.object(&place.0, &place.1)?.map(|object| object.properties);
        let name = (place.0.as_str(), place.1.as_str());
        let tombstone = view.tombstone(name.0, name.1)?;
        let history = histories.get(&name).copied().unwrap_or_default();
        let theirs = outcome.apply(change, (stored, tombstone), history.damaged_if(damaged.contains(&place)));
        let own = unpushed.get(&name).map(Vec::as_slice).unwrap_or_default();
        put(batch, name, replay(theirs, own));
    }
    Ok(outcome)
}

fn put(batch: &mut Batch, (collection, id): (&str, &str), properties: Option<Properties>) {
    let Some(mut properties) = properties else {
        batch.delete_object(collection, id);
        return;
    };
    properties.remove("id");
    let mut object = Object::new(collection, id, properties);
    drop_what_is_over(&mut object);
    batch.put_object(object);
}

/// What could not be applied.
#[derive(Default)]
pub(super) struct Outcome {
    /// Changes of immutable properties.
    pub(super) refused: Vec<RefusedChange>,
    /// The first modification of each object that was not created, because parts of it are unreadable or missing.
    pub(super) incomplete: Vec<u64>,
    /// Those of them whose other parts are missing.
    pub(super) parts: Vec<u64>,
}

impl Outcome {
    /// The object as the other devices have it.
    fn apply(
        &mut self,
        change: ObjectChange,
        (stored, tombstone): (Option<Properties>, Tombstone),
        history: History,
    ) -> Option<Properties> {
        let place = (change.collection.clone(), change.id.clone());
        let first_index = change.first_index;
        let is_there = !history.deleted && stored.is_some();
        let applied = change.apply(stored, &tombstone);
        self.refused.extend(applied.refused.into_iter().map(|refused| RefusedChange::of(&place, refused)));
        let object = applied.object?;
        if is_there || history.created && !history.damaged && has_type(&place.0, &object) {
            return Some(object);
        }
        // Readers of the store rely on complete objects.
        if history.created {
            self.incomplete.push(first_index);
            self.parts.extend(Some(first_index).filter(|_| !history.damaged));
        }
        None
    }
}

/// Whether an object has its technical data, or is of a collection without known categories. Otherwise the backbone withholds a
/// part of the object.
fn has_type(collection: &str, object: &Properties) -> bool {
    Collection::named(collection).is_none() || object.contains_key("@type")
}

/// A modification that was not applied, because it would change an immutable property.
pub(super) struct RefusedChange {
    pub(super) collection: String,
    pub(super) id: String,
    pub(super) index: u64,
    pub(super) property: &'static str,
}

impl RefusedChange {
    fn of((collection, id): &(String, String), Refused { index, property }: Refused) -> Self {
        Self { collection: collection.clone(), id: id.clone(), index, property }
    }
}

/// What happened to an object in a section of the log.
#[derive(Clone, Copy, Default)]
struct History {
    deleted: bool,
    /// After the last deletion.
    created: bool,
    /// Whether a part of it could not be read.
    damaged: bool,
}

impl History {
    fn damaged_if(self, damaged: bool) -> Self {
        Self { damaged, ..self }
    }
}

/// Updates alone create no object: they remain in the log when another device changed an object that was deleted meanwhile.
fn histories(log: &[Modification]) -> HashMap<(&str, &str), History> {
    let mut histories: HashMap<_, History> = HashMap::new();
    for entry in log {
        let history = histories.entry((entry.collection.as_str(), entry.object_identifier.as_str())).or_default();
        match entry.kind {
            ModificationType::Create => history.created = true,
            ModificationType::Delete => *history = History { deleted: true, ..History::default() },
            ModificationType::Update | ModificationType::CacheChanged => {}
        }
    }
    histories
}

fn damaged_objects(changes: &Changes) -> HashSet<(String, String)> {
    changes.unreadable.iter().map(|damage| (damage.collection.clone(), damage.id.clone())).collect()
}

fn by_object(unpushed: &[PendingModification]) -> HashMap<(&str, &str), Vec<&PendingModification>> {
    let mut changes: HashMap<_, Vec<_>> = HashMap::new();
    for change in unpushed {
        changes.entry((change.collection.as_str(), change.object_identifier.as_str())).or_default().push(change);
    }
    changes
}

/// What this device did, done once more on top of what the others did, in the order in which the log will have it.
fn replay(object: Option<Properties>, own: &[&PendingModification]) -> Option<Properties> {
    own.iter().fold(object, |object, change| match (change.kind, &change.payload) {
        (ModificationType::Delete, _) => None,
        (ModificationType::Create, Some((_, members))) => Some(merged(object.unwrap_or_default(), members)),
        (_, Some((_, members))) => object.map(|object| merged(object, members)),
        (_, None) => object,
    })
}

fn merged(mut object: Properties, members: &Properties) -> Properties {
    object.extend(members.clone());
    object
}

/// The protocol cannot tell that a member is gone. Two that matter follow from others: an onboarded device has no initial
/// password any more, and a file of somebody else no ownership token.
fn drop_what_is_over(object: &mut Object) {
    let members = &mut object.properties;
    match object.collection.as_str() {
        collection::DEVICES if members.contains_key("publicKey") => members.remove("initialPassword"),
        collection::FILES if members.get("isOwn") == Some(&Value::Bool(false)) => members.remove("ownershipToken"),
        _ => None,
    };
}
