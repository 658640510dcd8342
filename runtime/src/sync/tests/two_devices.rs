//! Two devices of one identity on the program's own backbone.

use backbone_mock::Backbone;
use tokio::io::AsyncReadExt as _;
use transport::challenge::{Challenge, ChallengeType};
use transport::crypto::SecretKey;
use transport::identity::{Device, DeviceSharedSecret, PublicIdentity, generate_device_password};
use transport::wire::Timestamp;
use transport::wire::backbone::devices::CreateDevice;

use super::*;
use crate::config::{BackboneConfig, ContentStoreConfig, Secret};
use crate::content_store::ContentStore;
use crate::file::{self, ContentFormat, NewContent, NewFile, Wanted};

pub(super) struct World {
    directory: tempfile::TempDir,
    backbone: Backbone,
    pub(super) clock: Arc<ManualClock>,
}

impl World {
    pub(super) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = backbone_mock::Config::new(directory.path().join("backbone")).with_client("test", "test");
        let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()));
        Self { backbone: Backbone::start(config).await.unwrap(), directory, clock }
    }

    pub(super) fn config(&self, name: &str) -> Config {
        let backbone = BackboneConfig::new(self.backbone.url(), "test", Secret::new("test"));
        let data_dir = self.directory.path().join(name);
        std::fs::create_dir_all(&data_dir).unwrap();
        Config::new(data_dir, backbone)
    }

    pub(super) async fn first_device(&self) -> Arc<Core> {
        let config = self.config("first");
        let store = Arc::new(store(&config.data_dir, true));
        let account = account::load_or_create(&config, &store, &*self.clock).await.unwrap();
        let first = core(config, store, account, self.clock.clone());
        first.datawallet().await.unwrap();
        first
    }

    /// Registers a device with the first one and onboards it.
    pub(super) async fn second_device(&self, first: &Core) -> Arc<Core> {
        let secret = self.register_device(first).await;
        let config = self.config("second");
        let store = Arc::new(store(&config.data_dir, true));
        let account = account::onboard(&config.backbone, &store, secret).await.unwrap();
        let second = core(config, store, account, self.clock.clone());
        second.datawallet().await.unwrap();
        second
    }

    pub(super) async fn register_device(&self, first: &Core) -> DeviceSharedSecret {
        let (account, password) = (&first.account, generate_device_password());
        let challenge = account.session().create_challenge().await.unwrap();
        let signed = Challenge::new(challenge, ChallengeType::Identity).sign(account.identity_key().unwrap());
        let request = CreateDevice {
            device_password: password.to_string(),
            signed_challenge: signed.to_wire(),
            communication_language: None,
            is_backup_device: false,
        };
        let created = account.session().create_device(&request).await.unwrap();
        let device = Device {
            created_at: created.created_at,
            created_by_device: created.created_by_device.clone(),
            datawallet_version: None,
            description: None,
            id: created.id.clone(),
            initial_password: Some(password.to_string()),
            is_admin: Some(true),
            is_backup_device: false,
            is_offboarded: None,
            last_login_at: None,
            name: Some("second".to_owned()),
            operating_system: None,
            public_key: None,
            device_type: 0,
            username: created.username.clone(),
        };
        create(first, crate::account::device_object(&device)).await;
        first.datawallet().await.unwrap();
        DeviceSharedSecret {
            created_at: created.created_at,
            created_by_device: created.created_by_device,
            description: None,
            device_index: 1,
            id: created.id,
            identity: PublicIdentity { address: account.address().clone(), public_key: *account.public_key() },
            identity_private_key: account.identity_key().cloned(),
            is_backup_device: false,
            name: Some("second".to_owned()),
            password,
            profile_name: None,
            secret_base_key: SecretKey::generate(),
            synchronization_key: account.synchronization_key().clone(),
            username: created.username,
        }
    }
}

#[tokio::test]
async fn a_token_that_another_device_removes_is_not_held_any_longer() {
    use crate::facade::{CreateTokenForFile, FilesFacade, Node};
    use crate::held::HeldToken;

    let world = World::new().await;
    let mut first = world.first_device().await;
    let second = world.second_device(&first).await;
    Arc::get_mut(&mut first).unwrap().config.peers = Some(crate::PeerConfig::default());
    std::fs::create_dir_all(&first.temporary_directory).unwrap();
    let node = Node { core: first.clone(), sync: crate::sync::Synchronizer::idle(), server: None };
    let files = FilesFacade::new(Arc::new(node));
    let (id, _) = new_file(vec![7; 100]).upload(&first, ContentFormat::V1, None).await.unwrap();
    let terms = |ephemeral| CreateTokenForFile { ephemeral, ..CreateTokenForFile::default() };
    let listed = files.create_token_for_file(&id, terms(false)).await.unwrap();
    let ephemeral = files.create_token_for_file(&id, terms(true)).await.unwrap();
    let is_held = |id| HeldToken::stored(&first.store.view(), id).unwrap().is_some();
    assert!(is_held(&listed.id) && is_held(&ephemeral.id));
    first.datawallet().await.unwrap();
    second.datawallet().await.unwrap();
    for (collection, object, held) in
        [(collection::TOKENS, listed.id.as_str(), [false, true]), (collection::FILES, id.as_str(), [false, false])]
    {
        let remove = |_: &crate::store::View<'_>| {
            let mut batch = Batch::new();
            batch.record_delete(collection, object);
            Ok((batch, ()))
        };
        second.change(remove).await.unwrap();
        second.datawallet().await.unwrap();
        first.datawallet().await.unwrap();
        assert_eq!([is_held(&listed.id), is_held(&ephemeral.id)], held);
    }
}

#[tokio::test]
async fn another_device_reads_a_file_in_chunks() {
    let world = World::new().await;
    let first = world.first_device().await;
    let second = world.second_device(&first).await;
    for device in [&first, &second] {
        std::fs::create_dir_all(&device.temporary_directory).unwrap();
    }
    for format in [ContentFormat::V1, ContentFormat::V2] {
        let content: Vec<u8> = (0..2_500_000_u32).map(|place| (place * 7 % 251) as u8).collect();
        let (id, _) = new_file(content.clone()).upload(&first, format, None).await.unwrap();
        first.datawallet().await.unwrap();
        second.datawallet().await.unwrap();
        let object = second.store.view().object(collection::FILES, id.as_str()).unwrap().unwrap();
        let is_chunked = format == ContentFormat::V2;
        for (member, of_chunks) in [("format", true), ("root", true), ("plaintextHash", false), ("cipherKey", false)] {
            assert_eq!(object.properties.contains_key(member), is_chunked || !of_chunks, "{member}");
        }
        let record = file::stored(&second.store.view(), &id).unwrap().unwrap();
        let read = file::download(&second, &id, &record, Wanted::Everything, None).await.unwrap();
        let mut bytes = Vec::new();
        read.into_reader().read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == content, "{format:?}");
    }
    assert_eq!(everything(&first), everything(&second));
}

fn new_file(content: Vec<u8>) -> NewFile {
    NewFile {
        content: NewContent::Stream(Box::pin(std::io::Cursor::new(content))),
        filename: "a".to_owned(),
        mimetype: "text/plain".to_owned(),
        expires_at: Timestamp::NEVER,
        title: None,
        description: None,
        tags: None,
        beside: None,
    }
}

#[tokio::test]
async fn the_content_of_a_file_that_another_device_deletes_is_not_kept() {
    let world = World::new().await;
    let first = world.first_device().await;
    let mut second = world.second_device(&first).await;
    std::fs::create_dir_all(&first.temporary_directory).unwrap();
    let (settings, directory) = (Some(ContentStoreConfig::default()), second.config.data_dir.clone());
    let opened = ContentStore::open(settings, &directory, &second.store, second.clock.clone()).await;
    Arc::get_mut(&mut second).unwrap().content_store = opened;
    let (id, _) = new_file(vec![7; 1_500_000]).upload(&first, ContentFormat::V2, None).await.unwrap();
    first.datawallet().await.unwrap();
    second.datawallet().await.unwrap();
    let record = file::stored(&second.store.view(), &id).unwrap().unwrap();
    let read = file::download(&second, &id, &record, Wanted::Everything, None).await.unwrap();
    read.into_reader().read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(second.content_store.usage().await.contents, 1);
    let mut batch = Batch::new();
    batch.record_delete(collection::FILES, id.as_str());
    first.store.commit(batch).await.unwrap();
    first.datawallet().await.unwrap();
    second.datawallet().await.unwrap();
    assert_eq!(second.content_store.usage().await.bytes, 0);
}

/// Every object of a device by collection and id.
fn everything(device: &Core) -> std::collections::BTreeMap<(String, String), Value> {
    let collections = [collection::DEVICES, collection::TOKENS, collection::FILES];
    let objects = collections.into_iter().flat_map(|name| device.store.objects(name).unwrap());
    let named = objects.map(Result::unwrap).map(|object| ((object.collection, object.id), object.properties.into()));
    named.collect()
}

fn numbered(number: u32, value: u32) -> Object {
    let properties = json!({ "@type": "Token", "isOwn": true, "secretKey": {}, "metadata": { "value": value } });
    Object::new(collection::TOKENS, format!("TOK{number:017}"), members(properties))
}

#[tokio::test]
async fn the_objects_of_a_device_survive_the_loss_of_its_store() {
    let world = World::new().await;
    let first = world.first_device().await;
    for number in 0..120 {
        create(&first, numbered(number, number)).await;
    }
    first.datawallet().await.unwrap();
    let second = world.second_device(&first).await;
    first.datawallet().await.unwrap();
    let (lost, recovered) = (everything(&first), everything(&second));
    assert_eq!(lost.len(), 122);
    assert_eq!(lost, recovered, "over several pages, and both know both devices");
}

#[tokio::test]
async fn devices_that_change_objects_at_the_same_time_converge() {
    let world = World::new().await;
    let first = world.first_device().await;
    let second = world.second_device(&first).await;
    for round in 0..5 {
        create(&first, numbered(round * 2, 1)).await;
        create(&second, numbered(round * 2 + 1, 2)).await;
        let (one, other) = tokio::join!(first.datawallet(), second.datawallet());
        one.and(other).unwrap();
        first.datawallet().await.unwrap();
        update(&first, numbered(round * 2 + 1, 10 + round)).await;
        update(&second, numbered(round * 2 + 1, 20 + round)).await;
        let mut batch = Batch::new();
        batch.record_delete(collection::TOKENS, &format!("TOK{:017}", round * 2));
        second.datawallet().await.unwrap();
        second.store.commit(batch).await.unwrap();
        let (one, other) = tokio::join!(first.everything(), second.push());
        one.and(other).unwrap();
    }
    for device in [&first, &second, &first] {
        device.datawallet().await.unwrap();
    }
    let (one, other) = (everything(&first), everything(&second));
    assert_eq!(one, other);
    assert_eq!(one.len(), 2 + 5, "two devices and every second token");
    assert_eq!(unpushed(&first) + unpushed(&second), 0);
}

#[tokio::test]
async fn a_change_of_an_object_that_was_deleted_meanwhile_leaves_no_partial_object() {
    let world = World::new().await;
    let first = world.first_device().await;
    create(&first, numbered(1, 1)).await;
    first.datawallet().await.unwrap();
    let second = world.second_device(&first).await;
    first.datawallet().await.unwrap();
    let mut batch = Batch::new();
    batch.record_delete(collection::TOKENS, &numbered(1, 1).id);
    first.store.commit(batch).await.unwrap();
    first.datawallet().await.unwrap();
    update(&second, numbered(1, 2)).await;
    second.datawallet().await.unwrap();
    first.datawallet().await.unwrap();
    for device in [&first, &second] {
        assert_eq!(device.store.objects(collection::TOKENS).unwrap().count(), 0);
    }
}
