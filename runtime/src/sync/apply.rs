//! Taking over what other devices did.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use tracing::warn;
use transport::datawallet::Changes;
use transport::wire::backbone::datawallet::{Modification, ModificationType};

use crate::Result;
use crate::store::{Batch, LocalModification, Object, Store, collection};

/// Longest names of collections and objects that are taken over, in bytes; the protocol allows 50 and 100 characters.
const MAX_COLLECTION: usize = 200;
const MAX_ID: usize = 400;

/// Adds what a stretch of the log amounts to to a batch. `unpushed` are the changes of this device that other devices will
/// see after these, so their effect stays.
pub(super) fn stage(
    batch: &mut Batch,
    store: &Store,
    log: &[Modification],
    changes: Changes,
    unpushed: &[LocalModification],
) -> Result<()> {
    let damaged = report_unreadable(&changes);
    let histories = histories(log);
    for change in changes.objects {
        if change.collection.len() > MAX_COLLECTION || change.id.len() > MAX_ID {
            warn!(bytes = change.id.len(), "passing over an object with an oversized name");
            continue;
        }
        let stored = store.object(&change.collection, &change.id)?.map(|object| object.properties);
        let place = (change.collection.clone(), change.id.clone());
        let is_whole = histories.get(&(place.0.as_str(), place.1.as_str())).is_some_and(|history| {
            history.created && !damaged.contains(&place) || !history.deleted && stored.is_some()
        });
        let (collection, id) = place;
        match change.apply(stored) {
            Some(mut properties) if is_whole => {
                properties.remove("id");
                let mut object = Object::new(&collection, id, properties);
                overlay(&mut object, unpushed);
                drop_what_is_over(&mut object);
                batch.put_object(object);
            }
            // Half an object would only puzzle those who read it.
            _ => {
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

fn overlay(object: &mut Object, unpushed: &[LocalModification]) {
    let own = unpushed.iter().filter(|change| change.collection == object.collection && change.object_id == object.id);
    for payload in own.filter_map(|change| change.payload.as_ref()) {
        object.properties.extend(payload.clone());
    }
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
