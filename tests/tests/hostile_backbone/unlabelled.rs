//! A second device that seals without labels, as official clients do: nothing but the rules of what never changes tells where
//! its payloads belong.

use std::collections::BTreeSet;

use enlace_tests::{Answer, Backbone, Fate, Node, World};
use hyper::Method;
use runtime::{Event, EventReceiver, FileId};
use serde_json::{Value, json};

use crate::mutation::{of_json, selected};
use crate::owner::{Change, Owner};

const MODIFICATIONS: &str = "/api/v2/Datawallet/Modifications";
const CONTENT: &[u8] = b"content of a file that another device received";
const FILENAME: &str = "a file";
/// After each lie everything that the node knows is read again, and with each it knows more.
const LIES_OF_A_SCENE: usize = 32;

/// An identity with a node and a device that seals without labels. What that device records comes from another identity, which
/// receives the same files with a node.
struct Scene {
    _world: World,
    backbone: Backbone,
    bob: Node,
    source: (Owner, Node),
    owner: Owner,
    node: Node,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let backbone = world.backbone().await;
        let bob = world.node("bob", &backbone).await;
        let (source, owner) = (Owner::create(&backbone).await, Owner::create(&backbone).await);
        for owner in [&source, &owner] {
            owner.create_datawallet().await;
        }
        let source_node = source.device(&world, &backbone, "source").await;
        let node = owner.device(&world, &backbone, "node").await;
        Self { _world: world, backbone, bob, source: (source, source_node), owner, node }
    }

    /// A file of bob, with what a device that received it says of it.
    async fn received(&self) -> (FileId, Vec<Change>) {
        let file = self.bob.upload(FILENAME, CONTENT).await.unwrap();
        let token = self.bob.share(&file).await.unwrap();
        let (owner, node) = &self.source;
        node.receive(&token.reference.url).await.unwrap();
        node.runtime().account().sync_datawallet().await.unwrap();
        let changes = owner.changes_of(file.id.as_str()).await;
        assert!(changes.len() >= 2, "technical data and content");
        (file.id, changes)
    }

    /// The device without labels receives a file.
    async fn other_device_receives(&self) -> FileId {
        let (file, changes) = self.received().await;
        self.owner.push_unlabelled(&changes).await;
        file
    }

    async fn synchronized(&self) {
        self.node.runtime().account().sync_datawallet().await.unwrap();
    }

    async fn knows(&self, file: &FileId, lie: &str) {
        let known = self.node.runtime().files().file(file).await;
        assert_eq!(known.unwrap_or_else(|error| panic!("{lie}: {error}")).filename, FILENAME, "{lie}");
        assert_eq!(self.node.download(file).await.unwrap(), CONTENT, "{lie}");
    }

    /// Of nothing that is known here the content is another one.
    async fn is_consistent(&self, lie: &str) {
        for file in self.node.files().await {
            let content = self.node.download(&file.id).await;
            assert!(content.is_err() || content.unwrap() == CONTENT, "{lie}: {}", file.id);
        }
    }
}

#[tokio::test]
async fn what_a_device_without_labels_records_survives_every_lie() {
    let count = survives_lies_from(0).await;
    for first in (LIES_OF_A_SCENE..count).step_by(LIES_OF_A_SCENE) {
        assert_eq!(survives_lies_from(first).await, count, "each scene has the same lies");
    }
    assert!(count >= 50, "{count}");
}

/// Tells a node the lies from number `first` on, as many as a scene has. Returns how many there are for all scenes.
async fn survives_lies_from(first: usize) -> usize {
    let scene = Scene::new().await;
    let kept = scene.other_device_receives().await;
    scene.synchronized().await;
    scene.knows(&kept, "before").await;
    let line = scene.backbone.line();
    line.forget();
    scene.other_device_receives().await;
    scene.synchronized().await;
    let seen = line.recording();
    let honest = seen.iter().rev().find(|seen| seen.method == Method::GET && seen.target.contains("Modifications"));
    let honest = honest.unwrap().answer.clone().unwrap().json();
    assert!(honest["result"].as_array().unwrap().len() >= 3, "{honest}");
    let before = scene.node.runtime().files().file(&kept).await.unwrap();
    let lies = selected(of_json(&honest, &[kept.as_str(), "Tokens", "Update", "Content"]), 8);
    for lie in lies.iter().skip(first).take(LIES_OF_A_SCENE) {
        let name = lie.to_string();
        let mut file = scene.other_device_receives().await;
        line.always(Method::GET, MODIFICATIONS, lie.fate());
        let _ = scene.node.runtime().account().sync_datawallet().await;
        line.behave();
        assert!(lie.happened(), "nobody was told this lie: {name}");
        assert_eq!(scene.node.runtime().files().file(&kept).await.unwrap(), before, "{name}");
        scene.is_consistent(&name).await;
        if lie.withholds {
            file = scene.other_device_receives().await;
        }
        scene.synchronized().await;
        scene.knows(&file, &name).await;
    }
    lies.len()
}

/// A list in which the technical data of files other than `kept` has another object, collection or type, or none of its payload.
fn about_technical_data(kept: &FileId, member: &'static str, value: Value) -> Fate {
    let kept = kept.to_string();
    Fate::changed(move |answer: Answer| {
        let mut body = answer.json();
        for entry in body["result"].as_array_mut().unwrap() {
            if entry["payloadCategory"] == "TechnicalData"
                && entry["collection"] == "Files"
                && entry["objectIdentifier"] != kept
            {
                entry[member] = value.clone();
            }
        }
        answer.with_json(&body)
    })
}

#[tokio::test]
async fn a_lie_that_is_followed_by_a_broken_connection_costs_nothing() {
    let lies = [
        ("objectIdentifier", json!("FILanotheranotherano"), false),
        ("collection", json!("Anything"), false),
        ("encryptedPayload", Value::Null, true),
        ("type", json!("Delete"), true),
    ];
    for (member, value, is_reported) in lies {
        let scene = Scene::new().await;
        let kept = scene.other_device_receives().await;
        scene.synchronized().await;
        let own = scene.node.upload("own", b"own").await.unwrap();
        scene.synchronized().await;
        let files = (scene.other_device_receives().await, scene.other_device_receives().await);
        let line = scene.backbone.line();
        // One list is a lie; then no list arrives any more, and no push is answered.
        line.next(1, Method::GET, MODIFICATIONS, about_technical_data(&kept, member, value.clone()));
        line.always(Method::GET, MODIFICATIONS, Fate::LostRequest);
        line.always(Method::POST, MODIFICATIONS, Fate::LostAnswer);
        let mut events = scene.node.runtime().events();
        let pushed = scene.node.upload("meanwhile", b"meanwhile").await.unwrap();
        let _ = scene.node.runtime().account().sync_datawallet().await;
        assert!(scene.node.runtime().files().file(&files.0).await.is_err(), "{member}: the lie was told");
        line.cut().await;
        assert!(scene.node.runtime().account().sync_datawallet().await.is_err(), "{member}: the line is dead");
        let reported = happened(&mut events).iter().any(|event| matches!(event, Event::DatawalletUnreadable(_)));
        assert_eq!(reported, is_reported, "{member}");
        let node = scene.node.restart().await;
        assert_eq!(node.runtime().files().file(&own.id).await.unwrap(), own, "{member}");
        let scene = Scene { node, ..scene };
        line_is_honest(&scene.backbone).await;
        scene.synchronized().await;
        for file in [&kept, &files.0, &files.1] {
            scene.knows(file, member).await;
        }
        assert_eq!(scene.node.download(&own.id).await.unwrap(), b"own", "{member}");
        assert_eq!(scene.node.download(&pushed.id).await.unwrap(), b"meanwhile", "{member}");
        let log = scene.owner.changes_of(pushed.id.as_str()).await;
        let categories: BTreeSet<_> = log.iter().map(Change::category).collect();
        assert_eq!(log.len(), categories.len(), "{member}: everything arrived once");
        assert!(!log.is_empty(), "{member}: it arrived");
    }
}

async fn line_is_honest(backbone: &Backbone) {
    backbone.line().behave();
    backbone.line().heal().await;
}

fn happened(events: &mut EventReceiver) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}
