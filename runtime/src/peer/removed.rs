//! Which devices of the own identity were removed, as far as this node knows.

use std::sync::Arc;

use transport::wire::{Address, DeviceId};

use crate::store::{Properties, Store, StoreError, collection};

/// Says whether a device of an identity was removed.
pub(crate) type IsRemoved = Arc<dyn Fn(&Address, &DeviceId) -> bool + Send + Sync>;

/// By the entries of the devices of the own identity: a device was removed if its entry was, or says so. Of devices of other
/// identities nothing is known.
pub(crate) fn removed_devices(store: Arc<Store>, own: Address) -> IsRemoved {
    Arc::new(move |address, device| {
        // A store that cannot be read does not say who may come in.
        *address == own && is_removed(&store, device).unwrap_or(true)
    })
}

fn is_removed(store: &Store, device: &DeviceId) -> Result<bool, StoreError> {
    match store.object(collection::DEVICES, device.as_str())? {
        Some(entry) => Ok(says_removed(&entry.properties)),
        // An entry that has not arrived yet leaves no tombstone.
        None => Ok(!store.view().tombstone(collection::DEVICES, device.as_str())?.is_empty()),
    }
}

/// Whether the entry of a device says that the device was removed.
pub(crate) fn says_removed(entry: &Properties) -> bool {
    entry.get("isOffboarded").is_some_and(|value| *value == true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::peer::testing::Person;
    use crate::store::{Batch, Object, StoreKeySource};

    #[tokio::test]
    async fn devices_whose_entry_was_deleted_or_says_so_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::of(directory.path(), &crate::StoreKey::File);
        let store = Arc::new(Store::open_in(directory.path(), &key, false).unwrap());
        let (own, other) = (Person::new(1).address(), Person::new(2).address());
        let is_removed = removed_devices(store.clone(), own.clone());
        let device = Person::device_id();
        assert!(!is_removed(&own, &device), "an entry that has not arrived");

        let put = async |members: Value| {
            let Value::Object(members) = members else { unreachable!() };
            let mut batch = Batch::new();
            batch.put_object(Object::new(collection::DEVICES, device.as_str(), members));
            store.commit(batch).await.unwrap();
        };
        let entry = json!({ "@type": "Device", "createdAt": "2026-01-01T00:00:00.000Z", "username": "USR1" });
        put(entry).await;
        assert!(!is_removed(&own, &device));
        put(json!({ "@type": "Device", "createdAt": "2026-01-01T00:00:00.000Z", "isOffboarded": true })).await;
        assert!(is_removed(&own, &device));
        assert!(!is_removed(&other, &device), "the same id at another identity");

        put(json!({ "@type": "Device", "createdAt": "2026-01-01T00:00:00.000Z" })).await;
        let mut batch = Batch::new();
        batch.delete_object(collection::DEVICES, device.as_str());
        store.commit(batch).await.unwrap();
        assert!(is_removed(&own, &device));
    }
}
