//! Push registrations. They are stored but not used, because there is no push provider.

use serde::{Deserialize, Serialize};
use transport::wire::{DeviceId, DevicePushIdentifier};

use super::{Caller, Refusal};
use crate::core::Core;
use crate::secrets::new_id;
use crate::store::{Table, Transaction};

const REGISTRATIONS: Table<Registration> = Table::new("push");
const PLATFORMS: [&str; 4] = ["fcm", "apns", "dummy", "sse"];
const PRODUCTION: &str = "Production";
const ENVIRONMENTS: [&str; 2] = ["Development", PRODUCTION];
/// Maximum bytes of an app id, more than any app has.
const MAX_APP_ID_LENGTH: usize = 500;

#[derive(Serialize, Deserialize)]
struct Registration {
    id: DevicePushIdentifier,
    #[serde(rename = "wish")]
    target: PushTarget,
}

/// Where a device receives pushes.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PushTarget {
    platform: String,
    handle: String,
    // Requests call it `appId`, records `app_id`.
    #[serde(rename(serialize = "app_id"), alias = "app_id")]
    app_id: String,
    /// [`PRODUCTION`] if a request has none.
    environment: Option<String>,
}

impl PushTarget {
    fn check(&self) -> Result<(), Refusal> {
        let environment = self.environment.as_deref().unwrap_or(PRODUCTION);
        let rules = [
            (PLATFORMS.contains(&self.platform.as_str()), "platform", "must be one of fcm, apns, dummy, sse"),
            ((10..=500).contains(&self.handle.chars().count()), "handle", "must have 10 to 500 characters"),
            ((1..=MAX_APP_ID_LENGTH).contains(&self.app_id.len()), "appId", "must have 1 to 500 characters"),
            (ENVIRONMENTS.contains(&environment), "environment", "must be Development or Production"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, property, problem)) => Err(Refusal::invalid(property, problem)),
            None => Ok(()),
        }
    }
}

/// Registers the caller's device, or changes its registration. The identifier stays.
pub(crate) async fn register(
    core: &Core,
    caller: &Caller,
    mut target: PushTarget,
) -> Result<DevicePushIdentifier, Refusal> {
    target.check()?;
    target.environment.get_or_insert_with(|| PRODUCTION.to_owned());
    let key = REGISTRATIONS.key().text(&caller.device);
    let mut transaction = core.store.begin();
    transaction.lock_records(&[caller.device.as_str()]).await?;
    let id = transaction.get(&key).await?.map_or_else(new_id, |registration| registration.id);
    transaction.put(&key, &Registration { id: id.clone(), target })?;
    transaction.commit().await?;
    Ok(id)
}

/// Ends the registration of the caller's device, if there is one.
pub(crate) async fn unregister(core: &Core, caller: &Caller) -> Result<(), Refusal> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[caller.device.as_str()]).await?;
    forget(&mut transaction, &caller.device);
    Ok(transaction.commit().await?)
}

/// Removes the registration of a device.
pub(crate) fn forget(transaction: &mut Transaction<'_>, device: &DeviceId) {
    transaction.delete(&REGISTRATIONS.key().text(device));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_registration_is_stored_as_earlier_versions_stored_it() {
        let core = Core::in_memory(Config::new("")).await;
        let address = format!("did:e:localhost:dids:{}", "a".repeat(22)).parse().unwrap();
        let caller = Caller { address, device: new_id() };
        let target = json!({ "platform": "dummy", "handle": "0123456789", "appId": "app", "environment": null });
        let id = register(&core, &caller, serde_json::from_value(target).unwrap()).await.unwrap();
        let stored = core.store.get(&REGISTRATIONS.key().text(&caller.device)).await.unwrap().unwrap();
        let wish = json!({ "platform": "dummy", "handle": "0123456789", "app_id": "app", "environment": "Production" });
        assert_eq!(serde_json::to_value(stored).unwrap(), json!({ "id": id, "wish": wish }));
    }
}
