//! Push registrations: stored and answered, never used, because there is no push provider.

use serde::{Deserialize, Serialize};
use transport::wire::{DeviceId, DevicePushIdentifier};

use super::{Caller, Refusal};
use crate::core::Core;
use crate::secrets::new_id;
use crate::store::{Table, Transaction};

const REGISTRATIONS: Table<Registration> = Table::new("push");
const PLATFORMS: [&str; 4] = ["fcm", "apns", "dummy", "sse"];
const ENVIRONMENTS: [&str; 2] = ["Development", "Production"];
/// More than any app has as its id.
const MAX_APP_ID_LENGTH: usize = 500;

#[derive(Serialize, Deserialize)]
struct Registration {
    id: DevicePushIdentifier,
    wish: Wish,
}

/// Where a device wants its pushes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) platform: String,
    pub(crate) handle: String,
    pub(crate) app_id: String,
    pub(crate) environment: String,
}

impl Wish {
    fn check(&self) -> Result<(), Refusal> {
        let rules = [
            (PLATFORMS.contains(&self.platform.as_str()), "platform", "must be one of fcm, apns, dummy, sse"),
            ((10..=500).contains(&self.handle.chars().count()), "handle", "must have 10 to 500 characters"),
            ((1..=MAX_APP_ID_LENGTH).contains(&self.app_id.len()), "appId", "must have 1 to 500 characters"),
            (ENVIRONMENTS.contains(&self.environment.as_str()), "environment", "must be Development or Production"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, property, problem)) => Err(Refusal::invalid(property, problem)),
            None => Ok(()),
        }
    }
}

/// Registers the caller's device, or changes its registration. The identifier stays.
pub(crate) async fn register(core: &Core, caller: &Caller, wish: Wish) -> Result<DevicePushIdentifier, Refusal> {
    wish.check()?;
    let key = REGISTRATIONS.key().text(&caller.device);
    let mut transaction = core.store.begin();
    transaction.lock_records(&[caller.device.as_str()]).await?;
    let id = transaction.get(&key).await?.map_or_else(new_id, |registration| registration.id);
    transaction.put(&key, &Registration { id: id.clone(), wish })?;
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
