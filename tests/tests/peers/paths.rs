//! One file from two sides: the node that shares it, and the backbone. Each may go away.

use std::io::Cursor;
use std::time::Duration;

use enlace_tests::{Backbone, Node, World};
use runtime::dto::File;
use runtime::facade::{ContentFormat, UploadOwnFile};
use runtime::{Config, ContentStoreConfig, MediaType, Path, PathBytes, PeerConfig, dialable_reference};
use tokio::io::AsyncReadExt as _;

pub(super) const MEBIBYTE: usize = 1024 * 1024;
/// After this long a test has hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node that shares a file, one that receives it, and their backbone.
pub(super) struct Pair {
    pub(super) world: World,
    pub(super) backbone: Backbone,
    sharer: Option<Node>,
    pub(super) receiver: Node,
    pub(super) file: File,
    reference: String,
    pub(super) content: Vec<u8>,
}

impl Pair {
    /// Both nodes run, and the receiver knows nothing yet.
    pub(super) async fn with(format: ContentFormat, length: usize) -> Self {
        let world = World::new();
        let backbone = world.backbone().await;
        let sharer = node(&world, "sharer", &backbone, vec!["/ip4/127.0.0.1/tcp/0".to_owned()]).await;
        let receiver = node(&world, "receiver", &backbone, Vec::new()).await;
        let content: Vec<u8> = (0..length).map(|place| (place * 7 % 251) as u8).collect();
        let mimetype = MediaType::of_header(Some("application/octet-stream"));
        let request = UploadOwnFile::new(Cursor::new(content.clone()), "disk.img".parse().unwrap(), mimetype);
        let file = sharer.upload_with(UploadOwnFile { format, ..request }).await.unwrap();
        let reference = sharer.share(&file).await.unwrap().reference.url;
        Self { world, backbone, sharer: Some(sharer), receiver, file, reference, content }
    }

    /// What the receiver gets; `halfway` happens after a quarter of it. Returns by which paths it came.
    pub(super) async fn load(&mut self, halfway: impl AsyncFnOnce(&mut Self)) -> Vec<PathBytes> {
        let files = self.receiver.runtime().files();
        let content = files.download_file(&self.file.id, None).await.unwrap().content;
        let (log, mut reader) = (content.path_log(), content.into_reader());
        let mut there = vec![0; self.content.len() / 4];
        reader.read_exact(&mut there).await.unwrap();
        halfway(self).await;
        let read = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut there)).await;
        read.expect("the transfer ends").unwrap();
        assert!(there == self.content, "it is another content");
        log.bytes()
    }

    async fn stop_sharer(&mut self) -> PeerConfig {
        let (config, _) = self.sharer.take().unwrap().stop().await;
        config.peers.unwrap()
    }

    async fn start_sharer(&mut self, listen: Vec<String>) {
        self.sharer = Some(node(&self.world, "sharer", &self.backbone, listen).await);
    }

    /// Where the sharer listens.
    fn listens(&self) -> Vec<String> {
        self.sharer.as_ref().unwrap().runtime().peers().dial_addresses()
    }

    pub(super) fn sharer(&self) -> &Node {
        self.sharer.as_ref().unwrap()
    }

    /// The same reference with the addresses of the sharer.
    pub(super) fn dialable(&self, reference: &str) -> String {
        let peers = self.sharer().runtime().peers();
        let peer_id = peers.connectivity().unwrap().id;
        dialable_reference(reference, &peer_id, &peers.dial_addresses(), &[]).unwrap()
    }

    pub(super) async fn end(mut self) {
        if let Some(sharer) = self.sharer.take() {
            sharer.stop().await;
        }
        self.receiver.stop().await;
    }
}

pub(super) async fn node(world: &World, name: &str, backbone: &Backbone, listen: Vec<String>) -> Node {
    // By which path a file comes depends on who is there, not on how busy the machine is.
    let patience = PATIENCE;
    let peers = PeerConfig { listen, patience, ..PeerConfig::on_this_machine() };
    let config = Config {
        peers: Some(peers),
        content_store: (name == "sharer").then(|| ContentStoreConfig::new(64 * MEBIBYTE as u64)),
        ..Config::new(world.directory(name), backbone.as_seen_by_nodes())
    };
    Node::start(config, world.clock().clone()).await.unwrap()
}

pub(super) fn by(paths: &[PathBytes]) -> Vec<Path> {
    paths.iter().map(|bytes| bytes.path).collect()
}

fn total(paths: &[PathBytes]) -> usize {
    paths.iter().map(|bytes| usize::try_from(bytes.bytes).unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_from_the_node_that_shares_it_and_the_backbone_is_not_asked_for_it() {
    for (format, length) in [(ContentFormat::V1, 3 * MEBIBYTE), (ContentFormat::V2, 8 * MEBIBYTE)] {
        let mut pair = Pair::with(format, length).await;
        pair.receiver.receive(&pair.reference).await.unwrap();
        pair.backbone.line().forget();
        let paths = pair.load(async |_| ()).await;
        assert_eq!(by(&paths), [Path::Lan]);
        // A node that shares a file of format `v1` has its body at the backbone only.
        let asked = if format == ContentFormat::V1 { 1 } else { 0 };
        assert_eq!(pair.backbone.line().content_requests(), asked);
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_backbone_a_reference_that_says_where_is_enough() {
    let mut pair = Pair::with(ContentFormat::V2, 3 * MEBIBYTE).await;
    let reference = pair.dialable(&pair.reference);
    pair.backbone.line().cut().await;
    pair.receiver.receive(&reference).await.unwrap();
    assert_eq!(by(&pair.load(async |_| ()).await), [Path::Lan]);
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_goes_on_directly_when_the_backbone_is_killed() {
    let mut pair = Pair::with(ContentFormat::V2, 16 * MEBIBYTE).await;
    pair.receiver.receive(&pair.reference).await.unwrap();
    let paths = pair.load(async |pair| pair.backbone.stop().await).await;
    assert_eq!(by(&paths), [Path::Lan]);
    pair.backbone.resume().await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_goes_on_from_the_backbone_when_the_sharer_is_killed() {
    let mut pair = Pair::with(ContentFormat::V2, 16 * MEBIBYTE).await;
    pair.receiver.receive(&pair.reference).await.unwrap();
    let paths = pair.load(async |pair| drop(pair.stop_sharer().await)).await;
    assert_eq!(by(&paths), [Path::Lan, Path::Backbone]);
    assert!(total(&paths) < 17 * MEBIBYTE, "what had arrived is not fetched again: {paths:?}");
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_goes_on_when_both_are_killed_and_one_comes_back() {
    for is_sharer in [true, false] {
        let mut pair = Pair::with(ContentFormat::V2, 16 * MEBIBYTE).await;
        pair.receiver.receive(&pair.reference).await.unwrap();
        let listens = pair.listens();
        let paths = pair
            .load(async |pair| {
                // A stopped backbone could not be joined by the node that starts again.
                pair.stop_sharer().await;
                pair.backbone.line().cut().await;
                if is_sharer {
                    pair.start_sharer(listens).await;
                } else {
                    pair.backbone.line().heal().await;
                }
            })
            .await;
        let last = if is_sharer { Path::Lan } else { Path::Backbone };
        assert_eq!(paths.last().map(|bytes| bytes.path), Some(last), "{paths:?}");
        assert!(total(&paths) < 17 * MEBIBYTE, "what had arrived is not fetched again: {paths:?}");
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_received_comes_directly_after_a_restart_too() {
    let mut pair = Pair::with(ContentFormat::V2, 3 * MEBIBYTE).await;
    pair.receiver.receive(&pair.reference).await.unwrap();
    pair.receiver = pair.receiver.restart().await;
    pair.backbone.line().forget();
    assert_eq!(by(&pair.load(async |_| ()).await), [Path::Lan]);
    assert_eq!(pair.backbone.line().content_requests(), 0);
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_nobody_is_there_the_error_names_both() {
    let mut pair = Pair::with(ContentFormat::V1, MEBIBYTE).await;
    pair.receiver.receive(&pair.reference).await.unwrap();
    pair.stop_sharer().await;
    pair.backbone.line().cut().await;
    let error = pair.receiver.download(&pair.file.id).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("The node that shares it cannot be reached directly"), "{text}");
    assert!(text.contains("cannot be reached"), "{text}");
    assert_eq!(error.code(), "error.transport.request.network");
    pair.end().await;
}
