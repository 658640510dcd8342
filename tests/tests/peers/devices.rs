//! A device without the key of its identity, which another device certifies through the datawallet, and a node of somebody else.

use std::io::Cursor;
use std::time::Duration;

use enlace_tests::{Backbone, Family, Node, World, password};
use runtime::dto::Peer;
use runtime::facade::{ContentFormat, CreateTokenForFile, UploadOwnFile};
use runtime::source::Source;
use runtime::{Address, Config, ContentStoreConfig, MediaType, Path, PeerConfig, dialable_reference};
use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt as _;
use transport::crypto::SignatureKeypair;
use transport::datawallet::{Collection, PayloadCategory, PendingModification, create_modifications};
use transport::identity::DeviceSharedSecret;
use transport::wire::backbone::datawallet::ModificationType;

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Registers a device, as published clients do, and starts it as a node. Without the key of the identity another one has to certify it.
async fn device(family: &Family, world: &World, config: Config, identity_key: Option<&SignatureKeypair>) -> Node {
    let secret = family.register(identity_key).await;
    push(family, create_modifications(&Collection::DEVICES, secret.id.as_str(), &entry(&secret))).await;
    let node = Node::onboard(config, world.clock().clone(), secret).await.unwrap();
    synchronize(&node).await;
    node
}

/// Says in the datawallet that a device was removed.
async fn remove(family: &Family, device: &Node) {
    let id = device.runtime().account().device_info().await.unwrap().id;
    let Value::Object(properties) = json!({ "isOffboarded": true }) else { unreachable!() };
    let removal = PendingModification {
        kind: ModificationType::Update,
        collection: Collection::DEVICES.name.to_owned(),
        object_identifier: id.to_string(),
        payload: Some((PayloadCategory::TechnicalData, properties)),
    };
    push(family, vec![removal]).await;
}

async fn push(family: &Family, changes: Vec<PendingModification>) {
    let key = &family.synchronization_key;
    family.push(changes, |change, index| change.seal(key, index).unwrap()).await;
}

fn entry(device: &DeviceSharedSecret) -> Map<String, Value> {
    let entry = json!({
        "@type": "Device",
        "createdAt": device.created_at,
        "createdByDevice": device.created_by_device,
        "isBackupDevice": false,
        "type": 0,
        "username": device.username,
    });
    let Value::Object(entry) = entry else { unreachable!() };
    entry
}

fn config(world: &World, backbone: &Backbone, name: &str) -> Config {
    Config {
        peers: Some(PeerConfig::on_this_machine()),
        content_store: Some(ContentStoreConfig::new(16 * 1024 * 1024)),
        ..Config::new(world.directory(name), backbone.as_seen_by_nodes())
    }
}

async fn synchronize(node: &Node) {
    node.runtime().account().sync_datawallet().await.unwrap();
}

async fn connect(node: &Node, to: &Node) -> runtime::Result<Peer> {
    let peers = to.runtime().peers();
    node.runtime().peers().connect(&peers.connectivity().unwrap().id, &peers.dial_addresses()).await
}

/// The peer that a node is, as another one that it is connected to sees it.
fn seen(node: &Node, by: &Node) -> Option<Peer> {
    let id = node.runtime().peers().connectivity().unwrap().id;
    by.runtime().peers().peers().into_iter().find(|peer| peer.id == id)
}

/// An identity with both kinds of devices, and somebody who shares with it without a backbone.
struct Scene {
    world: World,
    backbone: Backbone,
    family: Family,
    admin: Node,
    member: Node,
    sharer: Node,
    content: Vec<u8>,
}

impl Scene {
    async fn new() -> Self {
        Self::with_stand_in(false).await
    }

    /// Whether the device without the key stands in for the other one.
    async fn with_stand_in(stand_in: bool) -> Self {
        let world = World::new();
        let backbone = world.backbone().await;
        let family = Family::create(&backbone.line().url()).await;
        family.create_datawallet().await;
        let admin = device(&family, &world, config(&world, &backbone, "admin"), Some(&family.key)).await;
        let mut of_member = config(&world, &backbone, "member");
        of_member.peers = of_member.peers.map(|peers| PeerConfig { stand_in, ..peers });
        let member = device(&family, &world, of_member, None).await;
        let sharer = Node::start(config(&world, &backbone, "sharer"), world.clock().clone()).await.unwrap();
        let content = (0..3_000_000_u32).map(|place| (place * 7 % 251) as u8).collect();
        Self { world, backbone, family, admin, member, sharer, content }
    }

    /// The device with the key answers, and the other one learns it.
    async fn certify(&self) {
        synchronize(&self.admin).await;
        synchronize(&self.member).await;
    }

    /// The reference of a token for the identity alone, which only the node of the sharer knows.
    async fn share(&self) -> String {
        let path = self.world.directory("shared.bin");
        std::fs::write(&path, &self.content).unwrap();
        let mimetype = MediaType::of_header(Some("application/octet-stream"));
        let request = UploadOwnFile::from_source(Source::file(&path).unwrap(), "a.bin".parse().unwrap(), mimetype);
        let for_identity = Some(self.member.address().clone());
        let terms = CreateTokenForFile { for_identity, ..CreateTokenForFile::default() };
        let token = self.sharer.runtime().files().share_directly(request, terms).await.unwrap();
        Self::at(&self.sharer, &token.reference.url)
    }

    /// A reference of the family that says where a device is.
    fn at(device: &Node, reference: &str) -> String {
        let peers = device.runtime().peers();
        dialable_reference(reference, &peers.connectivity().unwrap().id, &peers.dial_addresses(), &[]).unwrap()
    }

    async fn end(self) {
        for node in [self.admin, self.member, self.sharer] {
            node.stop().await;
        }
        drop(self.backbone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_the_identity_key_loads_what_is_for_its_identity_directly() {
    let scene = Scene::new().await;
    let reference = scene.share().await;
    assert!(scene.member.receive(&reference).await.is_err(), "a stranger");
    assert_eq!(seen(&scene.member, &scene.sharer).unwrap().address, None);

    scene.certify().await;
    let file = scene.member.receive(&reference).await.unwrap();
    let peer = seen(&scene.member, &scene.sharer).unwrap();
    assert_eq!(peer.address.as_ref(), Some(scene.member.address()));
    let device = scene.member.runtime().account().device_info().await.unwrap();
    assert_eq!((peer.device, device.is_admin), (Some(device.id), false));
    let content = scene.member.runtime().files().download_file(&file.id, None).await.unwrap().content;
    let (log, mut bytes) = (content.path_log(), Vec::new());
    content.into_reader().read_to_end(&mut bytes).await.unwrap();
    assert!(bytes == scene.content);
    assert_eq!(log.bytes().iter().map(|bytes| bytes.path).collect::<Vec<_>>(), [Path::Lan]);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_answers_for_the_tokens_of_another_one_where_nothing_is_counted() {
    let scene = Scene::new().await;
    scene.certify().await;
    let mimetype = MediaType::of_header(Some("application/octet-stream"));
    let request = UploadOwnFile::new(Cursor::new(scene.content.clone()), "a.bin".parse().unwrap(), mimetype);
    let file = scene.admin.upload_with(UploadOwnFile { format: ContentFormat::V2, ..request }).await.unwrap();
    let for_identity = |address: &Address| Some(address.clone());
    let terms = [
        CreateTokenForFile { for_identity: for_identity(scene.sharer.address()), ..CreateTokenForFile::default() },
        CreateTokenForFile { for_identity: for_identity(scene.admin.address()), ..CreateTokenForFile::default() },
        CreateTokenForFile { password_protection: password("secret"), ..CreateTokenForFile::default() },
    ];
    let mut references = Vec::new();
    for terms in terms {
        references.push(scene.admin.share_as(&file, terms).await.unwrap().reference.url);
    }
    synchronize(&scene.admin).await;
    synchronize(&scene.member).await;
    assert!(scene.member.download(&file.id).await.unwrap() == scene.content, "from now on it has the content");

    // Neither the device that made them nor the backbone can be asked any more.
    let Scene { world, backbone, family, admin, member, sharer: reader, content } = scene;
    let maker = admin.runtime().account().device_info().await.unwrap().id;
    admin.stop().await;
    backbone.line().cut().await;
    let [for_reader, for_other, protected] = [0, 1, 2].map(|place| Scene::at(&member, &references[place]));
    assert!(reader.receive(&for_other).await.is_err(), "it is for somebody else");
    assert!(reader.receive_with(&protected, "secret").await.is_err(), "its ledger is elsewhere");
    let token = reader.load_token(&for_reader).await.unwrap();
    assert_eq!((&token.created_by, &token.created_by_device), (member.address(), &maker));
    let received = reader.receive(&for_reader).await.unwrap();
    let download = reader.runtime().files().download_file(&received.id, None).await.unwrap().content;
    let (log, mut bytes) = (download.path_log(), Vec::new());
    download.into_reader().read_to_end(&mut bytes).await.unwrap();
    assert!(bytes == content);
    assert_eq!(log.bytes().iter().map(|bytes| bytes.path).collect::<Vec<_>>(), [Path::Lan]);
    for node in [member, reader] {
        node.stop().await;
    }
    drop((world, backbone, family));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_stands_in_for_the_one_that_made_a_token_and_has_stopped() {
    let scene = Scene::with_stand_in(true).await;
    scene.certify().await;
    synchronize(&scene.admin).await;
    let mimetype = MediaType::of_header(Some("application/octet-stream"));
    let request = UploadOwnFile::new(Cursor::new(scene.content.clone()), "a.bin".parse().unwrap(), mimetype);
    let file = scene.admin.upload_with(UploadOwnFile { format: ContentFormat::V2, ..request }).await.unwrap();
    let reference = scene.admin.share_as(&file, CreateTokenForFile::default()).await.unwrap().reference.url;
    synchronize(&scene.admin).await;
    synchronize(&scene.member).await;
    assert!(scene.member.download(&file.id).await.unwrap() == scene.content, "from now on it has the content");

    let Scene { world: _world, backbone, family: _family, admin, member, sharer: reader, content } = scene;
    admin.stop().await;
    // The token comes from the backbone, which then cannot be asked any more.
    let received = reader.receive(&reference).await.unwrap();
    backbone.line().cut().await;
    assert!(reader.download(&received.id).await.unwrap() == content);
    let seen = seen(&member, &reader).unwrap();
    assert_eq!(seen.address.as_ref(), Some(member.address()), "it has proven whose it is");
    for node in [member, reader] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_ends_and_is_renewed_by_the_datawallet() {
    let scene = Scene::new().await;
    let until = |node: &Node| node.runtime().peers().connectivity().unwrap().certificate_valid_until;
    assert_eq!(until(&scene.member), None);
    scene.certify().await;
    let first = until(&scene.member).unwrap();
    scene.world.advance(WEEK + TOLERANCE);
    assert_eq!(until(&scene.member), None, "nobody has renewed it");
    let reference = scene.share().await;
    assert!(scene.member.receive(&reference).await.is_err(), "a stranger again");

    synchronize(&scene.member).await;
    scene.certify().await;
    assert!(until(&scene.member).unwrap() >= first.saturating_add(WEEK));
    assert!(scene.member.receive(&reference).await.is_ok());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_device_is_refused_by_its_identity_and_gets_no_other_certificate() {
    let scene = Scene::new().await;
    scene.certify().await;
    let peer = connect(&scene.member, &scene.admin).await.unwrap();
    assert_eq!(peer.address.as_ref(), Some(scene.admin.address()));
    assert_eq!(seen(&scene.member, &scene.admin).unwrap().address.as_ref(), Some(scene.member.address()));

    remove(&scene.family, &scene.member).await;
    synchronize(&scene.admin).await;
    let gone = async {
        // On both sides: the one that was turned out notices it a little later.
        while seen(&scene.member, &scene.admin).is_some() || seen(&scene.admin, &scene.member).is_some() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("its connection is closed");
    let refused = connect(&scene.member, &scene.admin).await.unwrap_err().to_string();
    assert!(refused.contains("removed"), "{refused}");

    // Others learn of it when its certificate ends.
    let reference = scene.share().await;
    scene.world.advance(WEEK + TOLERANCE);
    scene.certify().await;
    synchronize(&scene.member).await;
    scene.certify().await;
    assert_eq!(scene.member.runtime().peers().connectivity().unwrap().certificate_valid_until, None);
    assert!(scene.member.receive(&reference).await.is_err(), "a stranger to everybody");
    scene.end().await;
}
