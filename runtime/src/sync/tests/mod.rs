//! Synchronization against a backbone that misbehaves.

mod certificates;
mod datawallet;
mod events;
mod hostile;
mod onboarding;
mod stand_ins;
mod two_devices;
mod worker;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use transport::crypto::SecretKey;
use transport::datawallet::{LABEL_MEMBER, PayloadCategory, PendingModification, open_payload};
use transport::wire::ByteText;
use transport::wire::backbone::datawallet::ModificationType;

use super::run;
use crate::Config;
use crate::account;
use crate::clock::{Clock, ManualClock};
use crate::core::Core;
use crate::core::account::Account;
use crate::fake_backbone::FakeBackbone;
use crate::store::{Batch, Object, Store, StoreKeySource, collection};

const OTHER_DEVICE: &str = "DVCotherotherother12";
const TOKEN: &str = "TOKabcdefghijklmno12";

/// The data directory of a node, and its backbone.
struct Place {
    directory: tempfile::TempDir,
    backbone: FakeBackbone,
    clock: Arc<ManualClock>,
}

impl Place {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
        Self { directory: tempfile::tempdir().unwrap(), backbone: FakeBackbone::start().await, clock }
    }

    /// Starts a core without a background task; dropping it releases the data directory.
    async fn start(&self) -> Arc<Core> {
        self.start_with_datawallet(true).await
    }

    async fn start_with_datawallet(&self, datawallet_enabled: bool) -> Arc<Core> {
        let store = Arc::new(store(self.directory.path(), datawallet_enabled));
        let account = account::load_or_create(&self.config(), &store, &*self.clock).await.unwrap();
        self.core(store, account, datawallet_enabled)
    }

    fn config(&self) -> Config {
        Config::new(self.directory.path(), self.backbone.config())
    }

    fn core(&self, store: Arc<Store>, account: Account, datawallet_enabled: bool) -> Arc<Core> {
        core(Config { datawallet_enabled, ..self.config() }, store, account, self.clock.clone())
    }

    /// Another device of the identity changes a token.
    fn other_device_sets(&self, key: &SecretKey, kind: ModificationType, category: PayloadCategory, properties: Value) {
        let mut backbone = self.backbone.state();
        let change = PendingModification {
            kind,
            collection: collection::TOKENS.to_owned(),
            object_identifier: TOKEN.to_owned(),
            payload: Some((category, members(properties))),
        };
        let sealed = change.seal(key, backbone.log.len() as u64).unwrap();
        backbone.append(OTHER_DEVICE, serde_json::to_value(sealed).unwrap());
    }

    /// The log in clear: kind, object, payload.
    fn log(&self, key: &SecretKey) -> Vec<(String, String, Value)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let state = self.backbone.state();
        let entries = state.log.iter().enumerate();
        let opened = entries.map(|(index, entry)| {
            let payload = match serde_json::from_value(entry["encryptedPayload"].clone()) {
                Ok(payload) => Value::Object(opened(key, index as u64, &payload)),
                Err(_) => Value::Null,
            };
            (text(&entry["type"]), text(&entry["objectIdentifier"]), payload)
        });
        opened.collect()
    }
}

fn core(config: Config, store: Arc<Store>, account: Account, clock: Arc<dyn Clock>) -> Arc<Core> {
    let temporary_directory = config.data_dir.join("tmp");
    Core::new(config, clock, store, account, temporary_directory)
}

/// Runs what the background task does.
impl Core {
    async fn datawallet(&self) -> crate::Result<()> {
        run::datawallet(self).await
    }

    async fn push(&self) -> crate::Result<()> {
        run::push(self).await
    }

    async fn everything(&self) -> crate::Result<()> {
        run::everything(self).await
    }
}

/// The properties in a payload, without its label.
fn opened(key: &SecretKey, index: u64, payload: &ByteText) -> Map<String, Value> {
    let mut properties = open_payload(key, index, payload).unwrap();
    properties.remove(LABEL_MEMBER);
    properties
}

fn store(directory: &Path, record_modifications: bool) -> Store {
    Store::open_in(directory, &StoreKeySource::File(directory.join("store.key")), record_modifications).unwrap()
}

fn members(properties: Value) -> Map<String, Value> {
    match properties {
        Value::Object(members) => members,
        other => panic!("not an object: {other}"),
    }
}

fn token(properties: Value) -> Object {
    Object::new(collection::TOKENS, TOKEN, members(properties))
}

async fn create(core: &Core, object: Object) {
    let mut batch = Batch::new();
    batch.record_create(object);
    core.store.commit(batch).await.unwrap();
}

async fn update(core: &Core, object: Object) {
    let mut batch = Batch::new();
    batch.record_update(object);
    core.store.commit(batch).await.unwrap();
}

fn stored_token(core: &Core) -> Option<Value> {
    let object = core.store.object(collection::TOKENS, TOKEN).unwrap();
    object.map(|object| Value::Object(object.properties))
}

fn unpushed(core: &Core) -> usize {
    core.store.unpushed(1000).unwrap().len()
}

fn plain_token() -> Value {
    json!({ "@type": "Token", "isOwn": true, "content": { "a": 1 } })
}
