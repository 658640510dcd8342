//! Nodes that cannot dial each other, and a relay between them.

use std::io::Cursor;
use std::time::Duration;

use backbone_mock::{PeerServices, RelayLimits};
use enlace_tests::{Backbone, Node, World};
use runtime::dto::File;
use runtime::facade::{ContentFormat, UploadOwnFile};
use runtime::{Config, ContentStoreConfig, MediaType, Path, PathBytes, PeerConfig};
use tokio::io::AsyncReadExt as _;

const MEBIBYTE: usize = 1024 * 1024;
/// After this long a test has hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// A relay and a rendezvous server in the process of a backbone.
fn serving(limits: RelayLimits) -> impl FnOnce(&mut backbone_mock::Config) {
    move |config| {
        let services = PeerServices::new(vec!["/ip4/127.0.0.1/tcp/0".to_owned()]);
        config.peers = Some(PeerServices { relay: Some(limits), ..services });
    }
}

/// Two nodes that listen nowhere.
struct Pair {
    sharer: Node,
    receiver: Node,
    reference: String,
    content: Vec<u8>,
}

impl Pair {
    /// The sharer has a file that it keeps, and that can be loaded from it through a relay.
    async fn at(world: &World, backbone: &Backbone, relays: &[String]) -> Self {
        let (sharer, receiver) =
            (node(world, "sharer", backbone, relays).await, node(world, "receiver", backbone, relays).await);
        let is_reserved =
            || sharer.runtime().peers().connectivity().unwrap().relays.iter().any(|relay| relay.is_reserved);
        let reserved = async {
            while !is_reserved() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, reserved).await.expect("a relay grants a reservation");
        let content: Vec<u8> = (0..20 * MEBIBYTE).map(|place| (place * 7 % 251) as u8).collect();
        let mimetype = MediaType::of_header(Some("application/octet-stream"));
        let request = UploadOwnFile::new(Cursor::new(content.clone()), "disk.img".parse().unwrap(), mimetype);
        let file = sharer.upload_with(UploadOwnFile { format: ContentFormat::V2, ..request }).await.unwrap();
        let reference = sharer.share(&file).await.unwrap().reference.url;
        Self { sharer, receiver, reference, content }
    }

    async fn received(&self) -> File {
        self.receiver.receive(&self.reference).await.unwrap()
    }

    /// Loads the content; `halfway` happens after a quarter of it. Returns by which paths it came.
    async fn load(&self, file: &File, halfway: impl AsyncFnOnce()) -> Vec<PathBytes> {
        let content = self.receiver.runtime().files().download_file(&file.id, None).await.unwrap().content;
        let (log, mut reader) = (content.path_log(), content.into_reader());
        let mut there = vec![0; self.content.len() / 4];
        reader.read_exact(&mut there).await.unwrap();
        halfway().await;
        reader.read_to_end(&mut there).await.unwrap();
        assert!(there == self.content, "it is another content");
        log.bytes()
    }

    async fn end(self) {
        self.sharer.stop().await;
        self.receiver.stop().await;
    }
}

async fn node(world: &World, name: &str, backbone: &Backbone, relays: &[String]) -> Node {
    let peers = PeerConfig {
        listen: Vec::new(),
        mdns: false,
        relays: relays.to_vec(),
        // The relay of these tests is on this machine.
        loopback_addresses: true,
        ..PeerConfig::default()
    };
    let config = Config {
        peers: Some(peers),
        content_store: Some(ContentStoreConfig::new(64 * MEBIBYTE as u64)),
        ..Config::new(world.directory(name), backbone.as_seen_by_nodes())
    };
    Node::start(config, world.clock().clone()).await.unwrap()
}

fn of(paths: &[PathBytes], path: Path) -> u64 {
    paths.iter().filter(|bytes| bytes.path == path).map(|bytes| bytes.bytes).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_through_the_relay_of_the_backbone() {
    let world = World::new();
    let backbone = world.backbone_with("backbone", serving(RelayLimits::default())).await;
    let pair = Pair::at(&world, &backbone, &[]).await;
    let file = pair.received().await;
    let paths = pair.load(&file, async || ()).await;
    assert!(of(&paths, Path::Relayed) > 20 * MEBIBYTE as u64 && of(&paths, Path::Backbone) == 0, "{paths:?}");
    let relayed = backbone.server().peer_services().unwrap();
    assert!(relayed.relay);
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_goes_on_from_the_backbone_when_the_relay_is_killed() {
    let world = World::new();
    let backbone = world.backbone().await;
    let mut relay = world.backbone_with("relay", serving(RelayLimits::default())).await;
    let addresses = relay.server().peer_services().unwrap().addresses;
    let pair = Pair::at(&world, &backbone, &addresses).await;
    let file = pair.received().await;
    let paths = pair.load(&file, async || relay.stop().await).await;
    assert!(of(&paths, Path::Relayed) > 0 && of(&paths, Path::Backbone) > 0, "{paths:?}");
    let all: u64 = paths.iter().map(|bytes| bytes.bytes).sum();
    assert!(all < 26 * MEBIBYTE as u64, "what had arrived is not fetched again: {paths:?}");
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_larger_than_a_relayed_connection_may_be_arrives_all_the_same() {
    let world = World::new();
    let limits = RelayLimits { bytes_per_circuit: 6 * MEBIBYTE as u64, ..RelayLimits::default() };
    let backbone = world.backbone_with("backbone", serving(limits)).await;
    let pair = Pair::at(&world, &backbone, &[]).await;
    let file = pair.received().await;
    let paths = pair.load(&file, async || ()).await;
    assert!(of(&paths, Path::Relayed) > 0, "{paths:?}");
    pair.end().await;
}
