//! First starts, interrupted ones included.

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::clock::ManualClock;
use crate::fake_backbone::FakeBackbone;
use crate::store::{StoreKeySource, collection};

struct Place {
    directory: tempfile::TempDir,
    backbone: FakeBackbone,
    clock: ManualClock,
}

impl Place {
    async fn new() -> Self {
        let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        Self { directory: tempfile::tempdir().unwrap(), backbone: FakeBackbone::start().await, clock }
    }

    fn config(&self) -> Config {
        Config::new(self.directory.path(), self.backbone.config())
    }

    async fn start_with(&self, config: &Config) -> Result<Account> {
        load_or_create(config, &store(self.directory.path()), &self.clock).await
    }

    async fn start(&self) -> Result<Account> {
        self.start_with(&self.config()).await
    }

    fn public_keys_sent(&self) -> Vec<Value> {
        let requests = self.backbone.requests();
        let creations = requests.iter().filter(|request| request.path().ends_with("/Identities"));
        creations.map(|request| request.json()["identityPublicKey"].clone()).collect()
    }
}

fn store(directory: &Path) -> Store {
    Store::open_in(directory, &StoreKeySource::File(directory.join("store.key")), true).unwrap()
}

#[tokio::test]
async fn the_first_start_creates_an_identity_and_the_next_one_needs_no_backbone() {
    let place = Place::new().await;
    let first = place.start().await.unwrap();
    assert_eq!(place.backbone.calls(), ["POST /Challenges", "POST /Identities", "POST /connect/token"]);
    let second = place.start().await.unwrap();
    assert_eq!(place.backbone.calls().len(), 3);
    assert_eq!((first.address(), first.device_id()), (second.address(), second.device_id()));
    assert_eq!(first.identity_key().unwrap().public_key(), *second.public_key());
    assert_eq!(first.device_key().public_key(), second.device_key().public_key());
    second.session().log_in().await.unwrap();
}

#[tokio::test]
async fn a_first_start_with_a_false_user_name_keeps_nothing_of_it() {
    let place = Place::new().await;
    place.backbone.state().wrong_username = true;
    assert_eq!(place.start().await.err().unwrap().code(), "error.transport.request.noAuthGrant");
    place.backbone.state().wrong_username = false;
    place.start().await.unwrap().session().log_in().await.unwrap();
    assert_eq!(place.backbone.state().identities.len(), 2, "the next start begins anew");
}

#[tokio::test]
async fn a_first_start_whose_login_is_not_answered_keeps_the_identity() {
    let place = Place::new().await;
    place.backbone.state().lose_answer_to = Some("/connect/token");
    let first = place.start().await.unwrap();
    assert_eq!(place.start().await.unwrap().address(), first.address());
    assert_eq!(place.backbone.state().identities.len(), 1);
}

#[tokio::test]
async fn the_entry_of_the_device_is_the_first_modification() {
    let place = Place::new().await;
    let config = Config {
        device: crate::DeviceProfile { name: Some("laptop".to_owned()), description: None },
        ..place.config()
    };
    let account = place.start_with(&config).await.unwrap();
    let store = store(place.directory.path());
    let device = store.object(collection::DEVICES, account.device_id().as_str()).unwrap().unwrap().properties;
    assert_eq!((&device["@type"], &device["name"]), (&"Device".into(), &"laptop".into()));
    assert!(!device.contains_key("id") && !device.contains_key("initialPassword"));
    let queued: Vec<_> = store.unpushed(10).unwrap().into_iter().map(|(_, change)| change.payload.unwrap().0).collect();
    assert_eq!(queued.iter().map(|category| category.as_str()).collect::<Vec<_>>(), ["TechnicalData", "Userdata"]);
}

#[tokio::test]
async fn keys_that_the_backbone_did_not_receive_are_used_by_the_next_start() {
    let place = Place::new().await;
    place.backbone.state().refuse = Some(("/Identities", "error.platform.unexpected"));
    assert!(place.start().await.is_err());
    place.start().await.unwrap();
    let keys = place.public_keys_sent();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert_eq!(place.backbone.state().identities.len(), 1);
}

#[tokio::test]
async fn an_identity_whose_answer_was_lost_is_replaced_by_a_new_one() {
    let place = Place::new().await;
    place.backbone.state().lose_answer_to = Some("/Identities");
    let error = place.start().await.err().unwrap();
    assert_eq!(error.code(), "error.transport.request.network");
    let account = place.start().await.unwrap();
    account.session().log_in().await.unwrap();
    let keys = place.public_keys_sent();
    assert_eq!(keys.len(), 3, "the lost one, the same again, a fresh one");
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[1], keys[2]);
    assert_eq!(place.start().await.unwrap().address(), account.address());
}

#[tokio::test]
async fn no_identity_is_created_when_that_is_not_allowed() {
    let place = Place::new().await;
    let config = Config { allow_identity_creation: false, ..place.config() };
    let error = place.start_with(&config).await.err().unwrap();
    assert_eq!(error.code(), "error.transport.general.noIdentityFound");
    assert!(place.backbone.calls().is_empty());
}

#[tokio::test]
async fn a_refused_client_is_named() {
    let place = Place::new().await;
    place.backbone.state().refuse = Some(("/Identities", "error.platform.unauthorized"));
    let error = place.start().await.err().unwrap();
    assert_eq!(error.code(), "error.transport.general.platformClientInvalid");
}

#[tokio::test]
async fn a_backbone_with_another_domain_is_refused_with_its_name() {
    let place = Place::new().await;
    let mut config = place.config();
    config.backbone.address_hostname = Some("other.example".to_owned());
    let error = place.start_with(&config).await.err().unwrap();
    assert!(matches!(&error, Error::Config(_)) && error.to_string().contains("'localhost'"), "{error}");
    assert!(store(place.directory.path()).value::<AccountRecord>(AccountRecord::NAME).unwrap().is_none());
}

#[tokio::test]
async fn without_a_setting_the_backbone_tells_its_domain() {
    let place = Place::new().await;
    let mut config = place.config();
    // The fake backbone is reached as 127.0.0.1.
    config.backbone.address_hostname = None;
    let account = place.start_with(&config).await.unwrap();
    assert_eq!(account.address().host(), "localhost");
}

fn has_begun(place: &Place) -> bool {
    is_begun(&store(place.directory.path())).unwrap()
}

#[tokio::test]
async fn an_identity_may_exist_from_its_request_until_a_refusal() {
    let place = Place::new().await;
    assert!(!has_begun(&place));
    for path in ["/Challenges", "/Identities"] {
        place.backbone.state().refuse = Some((path, "error.platform.unexpected"));
        assert!(place.start().await.is_err());
        assert!(!has_begun(&place), "{path}");
    }
    place.backbone.state().lose_answer_to = Some("/Challenges");
    assert!(place.start().await.is_err());
    assert!(!has_begun(&place), "nothing was asked for");
    place.backbone.state().wrong_username = true;
    assert!(place.start().await.is_err());
    assert!(!has_begun(&place), "nobody can log in");
    place.backbone.state().wrong_username = false;
    place.backbone.state().lose_answer_to = Some("/Identities");
    assert!(place.start().await.is_err());
    assert!(has_begun(&place), "the backbone may know it");
    place.start().await.unwrap();
    assert!(has_begun(&place));
}
