//! Devices of an identity: registering, changing and removing them.

use std::collections::HashSet;
use std::ops::ControlFlow;

use listener::Source;
use serde::{Deserialize, Serialize};
use transport::wire::backbone::challenges as wire;
use transport::wire::backbone::devices::{ChangePassword, CreatedDevice, Device, LastLogin};
use transport::wire::{Address, DeviceId, Timestamp, Username};

use super::account::{self, Account};
use super::challenges::UnverifiedChallenge;
use super::page::{Page, PageRequest};
use super::proof::IdentityKey;
use super::{Caller, Record, Refusal, Rule, identities, push};
use crate::core::Core;
use crate::error::StoreError;
use crate::lenient;
use crate::quota::Metric;
use crate::secrets::{PasswordHash, new_id};
use crate::store::{Change, Key, Rest, STEP, Store, Table, Transaction};

/// The language of devices that send none.
const DEFAULT_LANGUAGE: &str = "en";

/// Two-letter language codes of ISO 639-1.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv \
    dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it \
    iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb \
    nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss \
    st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

const DEVICES: Table<DeviceRecord> = Table::new("device");
const USERNAMES: Table<DeviceId> = Table::new("username");
const BY_IDENTITY: Table<()> = Table::new("identity-device");

/// A device as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DeviceRecord {
    pub(crate) id: DeviceId,
    pub(crate) username: Username,
    pub(crate) address: Address,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by_device: DeviceId,
    pub(crate) last_login: Option<Timestamp>,
    pub(crate) language: String,
    pub(crate) is_backup: bool,
    pub(crate) password: PasswordHash,
    /// Since the last success or lockout.
    pub(crate) failed_logins: u32,
    pub(crate) locked_until: Option<Timestamp>,
}

/// A device to be registered.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewDevice {
    device_password: String,
    communication_language: Option<String>,
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    is_backup_device: bool,
    signed_challenge: wire::SignedChallenge,
}

impl DeviceRecord {
    /// A device that has never logged in. The first device of an identity counts as created by itself.
    pub(crate) fn new(
        address: &Address,
        created_by: Option<&DeviceId>,
        password: PasswordHash,
        now: Timestamp,
    ) -> Self {
        let id: DeviceId = new_id();
        Self {
            created_by_device: created_by.unwrap_or(&id).clone(),
            id,
            username: new_id(),
            address: address.clone(),
            created_at: now,
            last_login: None,
            language: DEFAULT_LANGUAGE.to_owned(),
            is_backup: false,
            password,
            failed_logins: 0,
            locked_until: None,
        }
    }

    fn to_wire(&self) -> Device {
        Device {
            id: self.id.clone(),
            username: self.username.clone(),
            created_at: self.created_at,
            created_by_device: self.created_by_device.clone(),
            last_login: self.last_login.map(|time| LastLogin { time }),
            communication_language: self.language.clone(),
            is_backup_device: self.is_backup,
        }
    }
}

/// Registers a further device, with a challenge that the identity's key signed.
pub(crate) async fn register(
    core: &Core,
    caller: &Caller,
    source: Source,
    new: NewDevice,
) -> Result<CreatedDevice, Refusal> {
    if new.device_password.is_empty() {
        return Err(Refusal::invalid("devicePassword", "must not be empty"));
    }
    let challenge = UnverifiedChallenge::parse(new.signed_challenge)?;
    let language = parse_language(new.communication_language)?;
    // Both are repeated under the lock. Here they avoid hashing a password in vain.
    check_backup(core, caller, new.is_backup_device).await?;
    challenge.verify(&key_of(core, caller).await?)?.check(core, core.now()).await?;
    let password = core.hash_password(source, new.device_password.clone()).await?;
    let now = core.now();

    let mut transaction = core.store.begin();
    transaction.lock_records(&[challenge.lock_name()]).await?;
    transaction.lock_identities(&[&caller.address]).await?;
    check_backup(core, caller, new.is_backup_device).await?;
    challenge.verify(&key_of(core, caller).await?)?.spend(core, &mut transaction, &caller.address, now).await?;
    if let Some(objection) = core.config.password_policy.objection(&new.device_password) {
        return Err(Refusal::rule(Rule::RegistrationFailed, objection));
    }
    let mut device = DeviceRecord::new(&caller.address, Some(&caller.device), password, now);
    device.language = language;
    device.is_backup = new.is_backup_device;
    Account::of(core, &caller.address).await?.charge(&mut transaction, &cost())?;
    insert(&mut transaction, &device)?;
    transaction.commit().await?;
    Ok(CreatedDevice {
        id: device.id,
        username: device.username,
        created_at: device.created_at,
        created_by_device: device.created_by_device,
        is_backup_device: device.is_backup,
    })
}

async fn check_backup(core: &Core, caller: &Caller, is_backup: bool) -> Result<(), Refusal> {
    let is_second = is_backup && has_backup(&core.store, &caller.address).await?;
    if is_second { Err(Rule::OnlyOneBackupDevice.into()) } else { Ok(()) }
}

async fn key_of(core: &Core, caller: &Caller) -> Result<IdentityKey, Refusal> {
    let identity = identities::read(&core.store, &caller.address).await?;
    IdentityKey::from_bytes(&identity.public_key.0).ok_or_else(|| Rule::InvalidSignature.into())
}

/// Writes a new device.
pub(crate) fn insert(transaction: &mut Transaction<'_>, device: &DeviceRecord) -> Result<(), StoreError> {
    transaction.put(&key(&device.id), device)?;
    transaction.put(&username_key(device.username.as_str()), &device.id)?;
    transaction.put(&by_identity(device), &())
}

/// Writes an existing device.
pub(crate) fn update(transaction: &mut Transaction<'_>, device: &DeviceRecord) -> Result<(), StoreError> {
    transaction.put(&key(&device.id), device)
}

/// The caller's device.
pub(crate) async fn own(core: &Core, caller: &Caller) -> Result<Device, Refusal> {
    Ok(existing(core.store.get(&key(&caller.device)).await?)?.to_wire())
}

/// The devices of the caller's identity, or those of them that `ids` names.
pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    ids: Option<&HashSet<DeviceId>>,
    page: PageRequest,
) -> Result<Page<Device>, Refusal> {
    let mut cut = page.cut();
    let visit = |id: DeviceId| {
        cut.extend(Some(id).filter(|id| ids.is_none_or(|ids| ids.contains(id))));
        ControlFlow::Continue(())
    };
    for_each_of(&core.store, &caller.address, visit).await?;
    let page = cut.finish();
    let mut devices = Vec::with_capacity(page.items.len());
    for id in &page.items {
        devices.extend(core.store.get(&key(id)).await?.map(|device| device.to_wire()));
    }
    Ok(page.with(devices))
}

/// Sets the language of the caller's device.
pub(crate) async fn set_language(core: &Core, caller: &Caller, language: String) -> Result<(), Refusal> {
    let language = parse_language(Some(language))?;
    let mut transaction = core.store.begin();
    transaction.lock_records(&[caller.device.as_str()]).await?;
    let mut device = existing(transaction.get(&key(&caller.device)).await?)?;
    device.language = language;
    update(&mut transaction, &device)?;
    Ok(transaction.commit().await?)
}

/// Sets the password of the caller's device. Its access tokens stay valid.
pub(crate) async fn change_password(
    core: &Core,
    caller: &Caller,
    source: Source,
    passwords: ChangePassword,
) -> Result<(), Refusal> {
    let ChangePassword { old_password: old, new_password: new } = passwords;
    for (property, password) in [("oldPassword", &old), ("newPassword", &new)] {
        if password.is_empty() {
            return Err(Refusal::invalid(property, "must not be empty"));
        }
    }
    let failed = |reason: &str| Refusal::rule(Rule::ChangePasswordFailed, reason);
    let before = existing(core.store.get(&key(&caller.device)).await?)?;
    if !core.is_password(source, Some((caller.device.as_str(), before.password.clone())), old).await? {
        return Err(failed("the old password is wrong"));
    }
    if let Some(objection) = core.config.password_policy.objection(&new) {
        return Err(failed(objection));
    }
    let hash = core.hash_password(source, new).await?;
    let mut transaction = core.store.begin();
    transaction.lock_records(&[caller.device.as_str()]).await?;
    let mut device = existing(transaction.get(&key(&caller.device)).await?)?;
    if device.password != before.password {
        return Err(failed("the password was changed at the same time"));
    }
    device.password = hash;
    update(&mut transaction, &device)?;
    Ok(transaction.commit().await?)
}

/// Removes a device of the caller's identity that never logged in.
pub(crate) async fn remove(core: &Core, caller: &Caller, id: &DeviceId) -> Result<(), Refusal> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await?;
    let device = existing(transaction.get(&key(id)).await?)?;
    if device.last_login.is_some() || device.address != caller.address {
        return Err(Rule::DeviceCannotBeDeleted.into());
    }
    remove_record(&mut transaction, &device);
    account::release(&mut transaction, &device.address, cost()).await?;
    Ok(transaction.commit().await?)
}

/// Removes all devices of an identity, and reduces its usage.
pub(crate) async fn remove_all(transaction: &mut Transaction<'_>, address: &Address) -> Result<(), StoreError> {
    let mut ids = Vec::new();
    let visit = |id: DeviceId| {
        ids.push(id);
        ControlFlow::Continue(())
    };
    for_each_of(transaction.committed(), address, visit).await?;
    for id in ids {
        if let Some(device) = transaction.get(&key(&id)).await? {
            remove_record(transaction, &device);
            account::release(transaction, address, cost()).await?;
        }
    }
    Ok(())
}

fn remove_record(transaction: &mut Transaction<'_>, device: &DeviceRecord) {
    transaction.delete(&key(&device.id));
    transaction.delete(&username_key(device.username.as_str()));
    transaction.delete(&by_identity(device));
    push::forget(transaction, &device.id);
}

/// What a device adds to usage.
pub(crate) fn cost() -> Change {
    Change::more(Metric::Devices, 1)
}

/// The key that all devices start with.
pub(crate) fn table() -> Key<DeviceRecord> {
    DEVICES.key()
}

/// The device with a user name, regardless of case and surrounding blanks.
pub(crate) async fn by_username(store: &Store, username: &str) -> Result<Option<DeviceRecord>, StoreError> {
    let username = username.trim();
    if username.contains('\0') {
        return Ok(None);
    }
    match store.get(&username_key(username)).await? {
        Some(id) => store.get(&key(&id)).await,
        None => Ok(None),
    }
}

/// The key of a device.
pub(crate) fn key(id: &DeviceId) -> Key<DeviceRecord> {
    DEVICES.key().text(id)
}

fn existing(device: Option<DeviceRecord>) -> Result<DeviceRecord, Refusal> {
    device.ok_or(Refusal::NotFound(Record::Device))
}

fn username_key(username: &str) -> Key<DeviceId> {
    USERNAMES.key().text(username.to_ascii_uppercase())
}

fn by_identity(device: &DeviceRecord) -> Key<()> {
    BY_IDENTITY.key().text(&device.address).time(device.created_at).text(&device.id)
}

/// Calls `visit` with the devices of an identity by age, until it breaks.
async fn for_each_of(
    store: &Store,
    address: &Address,
    mut visit: impl FnMut(DeviceId) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let prefix = BY_IDENTITY.key().text(address);
    let visit = |rest: &Rest| match device_of(rest) {
        Some(id) => visit(id),
        None => ControlFlow::Continue(()),
    };
    store.walk_keys(&prefix, &prefix, visit).await
}

/// Whether an identity has a backup device. Reads its devices one by one.
async fn has_backup(store: &Store, address: &Address) -> Result<bool, StoreError> {
    let prefix = BY_IDENTITY.key().text(address);
    let mut from = prefix.clone();
    loop {
        let step = store.keys(&prefix, &from, STEP).await?;
        for id in step.iter().filter_map(device_of) {
            if store.get(&key(&id)).await?.is_some_and(|device| device.is_backup) {
                return Ok(true);
            }
        }
        match step.last() {
            Some(last) => from = prefix.after(last),
            None => return Ok(false),
        }
    }
}

/// The id in the rest of a key of [`BY_IDENTITY`].
fn device_of(rest: &Rest) -> Option<DeviceId> {
    let mut parts = rest.parts();
    parts.time()?;
    parts.text()?.parse().ok()
}

/// Reads a language code; absent means [`DEFAULT_LANGUAGE`].
pub(crate) fn parse_language(text: Option<String>) -> Result<String, Refusal> {
    let text = text.unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned());
    if LANGUAGES.split_ascii_whitespace().any(|code| code == text) {
        Ok(text)
    } else {
        Err(Rule::InvalidLanguage.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_183_codes() {
        assert_eq!(LANGUAGES.split_ascii_whitespace().count(), 183);
        assert!(parse_language(Some("de".to_owned())).is_ok());
        assert_eq!(parse_language(None).unwrap(), "en");
        for text in ["", "DE", "xx", "deu"] {
            assert!(parse_language(Some(text.to_owned())).is_err(), "{text:?}");
        }
    }
}
