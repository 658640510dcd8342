//! Taking over what other devices did.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use tracing::warn;
use transport::datawallet::{Changes, PendingModification};
use transport::wire::backbone::datawallet::{Modification, ModificationType};

use crate::Result;
use crate::store::{Batch, MAX_COLLECTION, MAX_NAME, Object, Properties, View, collection};

/// Adds what a stretch of the log amounts to to a batch. `unpushed` are the changes of this device that other devices will
/// see after these, so their effect stays.
pub(super) fn stage(
    batch: &mut Batch,
    view: &View<'_>,
    log: &[Modification],
    changes: Changes,
    unpushed: &[PendingModification],
) -> Result<()> {
    let damaged = report_unreadable(&changes);
    let histories = histories(log);
    let unpushed = by_object(unpushed);
    for change in changes.objects {
        if change.collection.len() > MAX_COLLECTION || change.id.len() > MAX_NAME {
            warn!(bytes = change.id.len(), "passing over an object with an oversized name");
            continue;
        }
        let stored = view.object(&change.collection, &change.id)?.map(|object| object.properties);
        let place = (change.collection.clone(), change.id.clone());
        let is_whole = histories.get(&(place.0.as_str(), place.1.as_str())).is_some_and(|history| {
            history.created && !damaged.contains(&place) || !history.deleted && stored.is_some()
        });
        // Half an object would only puzzle those who read it.
        let theirs = change.apply(stored).filter(|_| is_whole);
        let (collection, id) = place;
        let own = unpushed.get(&(collection.as_str(), id.as_str())).map(Vec::as_slice).unwrap_or_default();
        match replay(theirs, own) {
            Some(mut properties) => {
                properties.remove("id");
                let mut object = Object::new(&collection, id, properties);
                drop_what_is_over(&mut object);
                batch.put_object(object);
            }
            None => {
                batch.delete_object(&collection, &id);
            }
        }
    }
    Ok(())
}

/// What happened to an object in a stretch of the log.
#[derive(Default)]
struct History {
    deleted: bool,
    /// After the last deletion.
    created: bool,
}

/// Updates alone make no object: they are what remains when another device changed something that was deleted meanwhile.
fn histories(log: &[Modification]) -> HashMap<(&str, &str), History> {
    let mut histories: HashMap<_, History> = HashMap::new();
    for entry in log {
        let history = histories.entry((entry.collection.as_str(), entry.object_identifier.as_str())).or_default();
        match entry.kind {
            ModificationType::Create => history.created = true,
            ModificationType::Delete => *history = History { deleted: true, created: false },
            ModificationType::Update | ModificationType::CacheChanged => {}
        }
    }
    histories
}

fn report_unreadable(changes: &Changes) -> HashSet<(String, String)> {
    for damage in &changes.unreadable {
        warn!(
            index = damage.index,
            collection = damage.collection,
            id = damage.id,
            reason = damage.reason,
            "a datawallet modification cannot be read and is passed over"
        );
    }
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
