//! Every answer that a node gets, falsified in every member, one at a time.
//!
//! After each lie no record that was there has another key, hash or content, and with the honest backbone everything goes on.
//! At the end nothing that a user keeps secret went over the line in clear. A lie that is no lie to the node, because it
//! changes what only the backbone knows, may be believed.
//!
//! A deterministic selection runs; `ENLACE_ALL_MUTATIONS=1` runs all of them.

use std::time::Duration;

use enlace_tests::{Answer, Backbone, Line, Node, World, planted};
use hyper::Method;
use runtime::FileId;
use runtime::dto::{File, Token};
use runtime::facade::CreateOwnToken;
use serde_json::{Value, json};

use crate::mutation::{Mutation, of_bytes, of_json, selected};
use crate::owner::Owner;

const MODIFICATIONS: &str = "/api/v2/Datawallet/Modifications";
const RUNS: &str = "/api/v2/SyncRuns";
const EVENTS: &str = "/api/v2/SyncRuns/*/ExternalEvents";
const CONTENT: &[u8] = b"planted content of a file that is not the backbone's to read";
const FILENAME: &str = "planted-name-of-a-file";
const SECRET: &str = "planted content of a token";
const PLANTED: &[(&str, &[u8])] =
    &[("content", CONTENT), ("file name", FILENAME.as_bytes()), ("token content", SECRET.as_bytes())];

/// Longer than runs last, so that one that a lie left open is given up.
const RUN_IS_OVER: Duration = Duration::from_secs(120);

/// Two nodes of one identity, which know the same records, and a node of somebody else.
struct Scene {
    world: World,
    backbone: Backbone,
    one: Node,
    two: Node,
    bob: Node,
    file: File,
    tokens: [Token; 2],
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        // Each lie is told to somebody who loads tokens again.
        let backbone =
            world.backbone_with("backbone", |config| config.limits.rates.anonymous_reads.burst = 100_000).await;
        let owner = Owner::create(&backbone).await;
        owner.create_datawallet().await;
        let one = owner.device(&world, &backbone, "one").await;
        let two = owner.device(&world, &backbone, "two").await;
        let bob = world.node("bob", &backbone).await;
        let file = one.upload(FILENAME, CONTENT).await.unwrap();
        let own = CreateOwnToken::new(json!({ "secret": SECRET }), runtime::Timestamp::NEVER);
        let tokens = [one.share(&file).await.unwrap(), one.runtime().tokens().create_own_token(own).await.unwrap()];
        let scene = Self { world, backbone, one, two, bob, file, tokens };
        scene.in_step().await;
        scene.untouched("before").await;
        scene
    }

    fn line(&self) -> &Line {
        self.backbone.line()
    }

    async fn in_step(&self) {
        for node in [&self.one, &self.two, &self.one] {
            node.runtime().account().sync_everything().await.unwrap();
        }
    }

    /// Neither device has anything else in a record that was there.
    async fn untouched(&self, lie: &str) {
        for node in [&self.one, &self.two] {
            let file = node.runtime().files().file(&self.file.id).await.unwrap();
            assert_eq!(lasting(file), lasting(self.file.clone()), "{lie}");
            for token in &self.tokens {
                assert_eq!(node.runtime().tokens().token(&token.id).await.unwrap(), *token, "{lie}");
            }
        }
    }

    /// Runs a scenario under each lie about the answers to a kind of request, and checks what must hold. Returns how many
    /// lies were told.
    ///
    /// `prepare` happens before the lie, `lie` under it, and `truth` with the honest backbone; it panics if something does
    /// not work.
    async fn survives<T: Clone>(
        &self,
        (method, path): (Method, &str),
        lies: Vec<Mutation>,
        prepare: impl AsyncFn() -> T,
        lie: impl AsyncFn(T),
        truth: impl AsyncFn(T, Mutation),
    ) -> usize {
        for mutation in &lies {
            let name = format!("{method} {path}: {mutation}");
            let prepared = prepare().await;
            self.line().always(method.clone(), path, mutation.fate());
            lie(prepared.clone()).await;
            self.line().behave();
            assert!(mutation.happened(), "nobody was told this lie: {name}");
            self.untouched(&name).await;
            truth(prepared, mutation.clone()).await;
        }
        lies.len()
    }

    /// What the backbone really answers to a kind of request during a scenario: the last answer.
    async fn honest(&self, method: Method, path: &str, scenario: impl AsyncFn()) -> Answer {
        self.line().forget();
        scenario().await;
        let pattern: Vec<_> = path.split('/').collect();
        let fits = |target: &str| {
            let path: Vec<_> = target.split('?').next().unwrap().split('/').collect();
            path.len() == pattern.len() && pattern.iter().zip(path).all(|(p, s)| *p == "*" || p.eq_ignore_ascii_case(s))
        };
        let seen = self.line().recording();
        let last = seen.into_iter().rev().find(|seen| seen.method == method && fits(&seen.target));
        last.unwrap_or_else(|| panic!("no {method} {path}")).answer.unwrap()
    }

    /// Nothing secret went over the line; afterwards it forgets.
    fn nothing_leaked(&self) {
        for exchange in self.line().recording() {
            let found = planted(&exchange.body, PLANTED);
            assert!(found.is_empty(), "{} {}: {found:?}", exchange.method, exchange.target);
            let found = planted(exchange.target.as_bytes(), PLANTED);
            assert!(found.is_empty(), "{} {}: {found:?}", exchange.method, exchange.target);
        }
        self.line().forget();
    }

    async fn knows(&self, node: &Node, file: &File, lie: &Mutation) {
        node.runtime().account().sync_everything().await.unwrap_or_else(|error| panic!("{lie}: {error}"));
        let known = node.runtime().files().file(&file.id).await;
        assert_eq!(lasting(known.unwrap_or_else(|error| panic!("{lie}: {error}"))), lasting(file.clone()), "{lie}");
        assert_eq!(node.download(&file.id).await.unwrap(), CONTENT, "{lie}");
    }
}

/// A file without what its owner may change.
fn lasting(file: File) -> File {
    File { ownership_token: None, ownership_is_locked: None, ..file }
}

async fn uploaded(node: &Node) -> File {
    node.upload(FILENAME, CONTENT).await.unwrap()
}

async fn synchronized(node: &Node) {
    node.runtime().account().sync_datawallet().await.unwrap();
}

#[tokio::test]
async fn lists_of_modifications() {
    let scene = Scene::new().await;
    let prepare = async || {
        let file = uploaded(&scene.one).await;
        synchronized(&scene.one).await;
        file
    };
    let honest = scene
        .honest(Method::GET, MODIFICATIONS, async || {
            prepare().await;
            synchronized(&scene.two).await;
        })
        .await;
    assert!(honest.json()["result"].as_array().unwrap().len() >= 3, "the known modification and two new ones");
    let device = scene.one.runtime().account().device_info().await.unwrap().id;
    let known = [scene.file.id.as_str(), scene.tokens[1].id.as_str(), "Tokens", "Update", "Content", device.as_str()];
    let count = scene
        .survives(
            (Method::GET, MODIFICATIONS),
            selected(of_json(&honest.json(), &known), 4),
            prepare,
            async |_| drop(scene.two.runtime().account().sync_datawallet().await),
            async |file, lie| {
                let file = if lie.withholds { uploaded(&scene.one).await } else { file };
                synchronized(&scene.one).await;
                scene.knows(&scene.two, &file, &lie).await;
            },
        )
        .await;
    assert!(count >= 110, "{count}");
    scene.nothing_leaked();
    scene.in_step().await;
    let (one, two) = (scene.one.files().await, scene.two.files().await);
    assert_eq!(one.len(), two.len());
}

#[tokio::test]
async fn answers_to_pushes() {
    let scene = Scene::new().await;
    let honest = scene
        .honest(Method::POST, MODIFICATIONS, async || {
            uploaded(&scene.one).await;
            synchronized(&scene.one).await;
        })
        .await;
    let count = scene
        .survives(
            (Method::POST, MODIFICATIONS),
            selected(of_json(&honest.json(), &[]), 3),
            async || (),
            async |()| {
                uploaded(&scene.one).await;
                let _ = scene.one.runtime().account().sync_datawallet().await;
            },
            async |(), lie| {
                let files = scene.one.files().await;
                scene.one.runtime().account().sync_everything().await.unwrap_or_else(|error| panic!("{lie}: {error}"));
                scene.knows(&scene.two, files.last().unwrap(), &lie).await;
            },
        )
        .await;
    assert!(count >= 25, "{count}");
    scene.nothing_leaked();
}

#[tokio::test]
async fn answers_of_sync_runs() {
    let scene = Scene::new().await;
    let stranger = Owner::create(&scene.backbone).await;
    let prepare = async || {
        scene.one.runtime().files().regenerate_file_ownership_token(&scene.file.id).await.unwrap();
        // Pushed now: later it would have to wait for the run.
        synchronized(&scene.one).await;
        stranger.lock(&scene.file.id).await;
    };
    let everything = async || {
        prepare().await;
        scene.two.runtime().account().sync_everything().await.unwrap();
    };
    let finalize = "/api/v2/SyncRuns/*/FinalizeExternalEventSync";
    let kinds =
        [(Method::POST, RUNS), (Method::GET, EVENTS), (Method::PUT, finalize), (Method::GET, "/api/v2/Datawallet")];
    let mut count = 0;
    for (method, path) in kinds {
        let honest = match (&method, path) {
            // The last run of a synchronization finds no events; the first answer is the interesting one.
            (&Method::POST, _) => started_run(&scene, &everything).await,
            _ => scene.honest(method.clone(), path, &everything).await.json(),
        };
        let lies = selected(of_json(&honest, &[scene.file.id.as_str(), "FileOwnershipClaimed"]), 4);
        count += scene
            .survives(
                (method, path),
                lies,
                &prepare,
                async |()| {
                    let _ = scene.two.runtime().account().sync_everything().await;
                },
                async |(), lie| {
                    scene.world.advance(RUN_IS_OVER);
                    for node in [&scene.two, &scene.one] {
                        let outcome = node.runtime().account().sync_everything().await;
                        outcome.unwrap_or_else(|error| panic!("{lie}: {error}"));
                    }
                },
            )
            .await;
    }
    assert!(count >= 50, "{count}");
    scene.nothing_leaked();
}

async fn started_run(scene: &Scene, everything: impl AsyncFn()) -> Value {
    scene.line().forget();
    everything().await;
    let seen = scene.line().recording();
    let answers = seen.into_iter().filter(|seen| seen.method == Method::POST && seen.target.ends_with("/SyncRuns"));
    answers.map(|seen| seen.answer.unwrap().json()).find(|answer| answer["result"]["syncRun"].is_object()).unwrap()
}

#[derive(Clone, Copy)]
enum Deed {
    Upload,
    Share,
    Regenerate,
}

impl Deed {
    async fn attempt(self, scene: &Scene) {
        let node = &scene.one;
        match self {
            Self::Upload => drop(node.upload(FILENAME, CONTENT).await),
            Self::Share => drop(node.share(&scene.file).await),
            Self::Regenerate => {
                drop(node.runtime().files().regenerate_file_ownership_token(&scene.file.id).await);
            }
        }
    }
}

#[tokio::test]
async fn answers_to_whoever_shares() {
    let scene = Scene::new().await;
    let known = [scene.file.id.as_str(), scene.tokens[0].id.as_str()];
    let kinds = [
        (Method::POST, "/api/v2/Files", Deed::Upload),
        (Method::POST, "/api/v2/Tokens", Deed::Share),
        (Method::PATCH, "/api/v2/Files/*/RegenerateOwnershipToken", Deed::Regenerate),
    ];
    let mut count = 0;
    for (method, path, deed) in kinds {
        let honest = scene.honest(method.clone(), path, async || deed.attempt(&scene).await).await;
        count += scene
            .survives(
                (method, path),
                selected(of_json(&honest.json(), &known), 3),
                async || (),
                async |()| deed.attempt(&scene).await,
                async |(), lie| {
                    let file = uploaded(&scene.one).await;
                    let token = scene.one.share(&file).await.unwrap();
                    assert_eq!(scene.bob.fetch(&token.reference.url).await.unwrap(), CONTENT, "{lie}");
                    scene.knows(&scene.one, &file, &lie).await;
                },
            )
            .await;
    }
    assert!(count >= 30, "{count}");
    scene.nothing_leaked();
}

#[tokio::test]
async fn answers_to_whoever_loads() {
    let scene = Scene::new().await;
    let url = scene.tokens[0].reference.url.as_str();
    let load = async || {
        let _ = scene.bob.load_token(url).await;
        let _ = scene.bob.receive(url).await;
    };
    let forget = async || {
        for file in scene.bob.files().await {
            scene.bob.runtime().files().delete_file(&file.id).await.unwrap();
        }
        for token in scene.bob.tokens().await {
            scene.bob.runtime().tokens().delete_token(&token.id).await.unwrap();
        }
    };
    let mut count = 0;
    let known: [&str; 2] = [scene.file.id.as_str(), scene.tokens[1].id.as_str()];
    for path in ["/api/enlace/v1/Tokens/*", "/api/v2/Files/*/Metadata"] {
        let lies = of_json(&scene.honest(Method::GET, path, load).await.json(), &known);
        forget().await;
        let truth = async |(), lie: Mutation| {
            forget().await;
            assert_eq!(scene.bob.fetch(url).await.unwrap(), CONTENT, "{lie}");
            forget().await;
        };
        let lie = async |()| {
            load().await;
            for file in scene.bob.files().await {
                assert_eq!(file.filename, FILENAME, "a name that nobody sealed");
                let content = scene.bob.download(&file.id).await;
                assert!(content.is_err() || content.unwrap() == CONTENT, "content that nobody sealed");
            }
        };
        count += scene.survives((Method::GET, path), selected(lies, 3), async || (), lie, truth).await;
    }
    assert!(count >= 50, "{count}");
    scene.nothing_leaked();
}

#[tokio::test]
async fn contents_of_files() {
    let scene = Scene::new().await;
    let path = "/api/v2/Files/*";
    let file: FileId = scene.bob.receive(&scene.tokens[0].reference.url).await.unwrap().id;
    let length = scene.honest(Method::GET, path, async || drop(scene.bob.download(&file).await)).await.body.len();
    let count = scene
        .survives(
            (Method::GET, path),
            selected(of_bytes(length), 1),
            async || (),
            async |()| drop(scene.bob.download(&file).await.unwrap_err()),
            async |(), lie| assert_eq!(scene.bob.download(&file).await.unwrap(), CONTENT, "{lie}"),
        )
        .await;
    assert_eq!(count, 39);
    scene.nothing_leaked();
}

#[tokio::test]
async fn answers_to_a_first_start() {
    let world = World::new();
    let backbone = world.backbone().await;
    let line = backbone.line();
    let config = |name: &str| runtime::Config::new(world.directory(name), backbone.as_seen_by_nodes());
    let first = world.node("first", &backbone).await;
    synchronized(&first).await;
    let starts: Vec<_> = line.recording().into_iter().filter(|seen| seen.method != Method::GET).collect();
    let kinds = [
        (Method::POST, "/api/v2/Challenges", 4),
        (Method::POST, "/api/v2/Identities", 4),
        (Method::POST, "/connect/token", 4),
        (Method::POST, RUNS, 8),
        (Method::PUT, "/api/v2/SyncRuns/*/FinalizeDatawalletVersionUpgrade", 8),
    ];
    assert_eq!(starts.len(), kinds.len(), "every kind is in the table");
    let mut count = 0;
    for ((method, path, share), seen) in kinds.into_iter().zip(starts) {
        for lie in selected(of_json(&seen.answer.unwrap().json(), &[first.address().as_str()]), share) {
            count += 1;
            let name = format!("{method} {path}: {lie}");
            line.always(method.clone(), path, lie.fate());
            let node = Node::start(config(&name_of(count)), world.clock().clone()).await;
            if let Ok(node) = node {
                let _ = node.runtime().account().sync_datawallet().await;
                drop(node.stop().await);
            }
            line.behave();
            assert!(lie.happened(), "nobody was told this lie: {name}");
            world.advance(RUN_IS_OVER);
            let node = Node::start(config(&name_of(count)), world.clock().clone()).await;
            let node = node.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_ne!(node.address(), first.address(), "{name}");
            let file = node.upload(FILENAME, CONTENT).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            let outcome = node.runtime().account().sync_everything().await;
            outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(node.download(&file.id).await.unwrap(), CONTENT, "{name}");
            drop(node.stop().await);
        }
    }
    assert!(count >= 25, "{count}");
}

fn name_of(number: usize) -> String {
    format!("node {number}")
}
