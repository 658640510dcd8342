//! Forged contents of tokens and files, and what they are called: one case per class of forgery.

use enlace_tests::{Answer, Backbone, Fate, Node, World, assert_mentions, refusal};
use hyper::Method;
use runtime::dto::{File, Token};
use runtime::facade::LoadPeerToken;
use serde_json::{Value, json};
use transport::crypto::hash::sha512;
use transport::wire::bytes::{from_base64url, to_base64url};

const TOKEN: &str = "/api/enlace/v1/Tokens/*";
const METADATA: &str = "/api/v2/Files/*/Metadata";
const FILE: &str = "/api/v2/Files/*";

/// What a forged answer is called: never "not found", which would hide what happened.
const FORGED_TOKEN: [&str; 4] = [
    UNOPENED,
    "error.transport.tokens.invalidTokenContent",
    "error.transport.tokens.emptyToken",
    "error.transport.request.unknown",
];
const FORGED_METADATA: [&str; 4] =
    [UNOPENED, "error.transport.files.invalidMetadata", "error.transport.request.unknown", "error.runtime.unknown"];
/// A key that does not fit: the reference may be damaged, or the answer.
const UNOPENED: &str = "error.core-types.invalidTruncatedReference";

/// A world in which alice shared a file, twice, and bob knows nothing yet.
struct Scene {
    world: World,
    backbone: Backbone,
    alice: Node,
    bob: Node,
    file: File,
    token: Token,
    other_file: File,
    other_token: Token,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let backbone = world.backbone().await;
        let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
        let file = alice.upload("a", &content()).await.unwrap();
        let token = alice.share(&file).await.unwrap();
        let other_file = alice.upload("other", &content()).await.unwrap();
        let other_token = alice.share(&other_file).await.unwrap();
        Self { world, backbone, alice, bob, file, token, other_file, other_token }
    }

    /// What the backbone really answers to a GET.
    async fn genuine(&self, path: &str, ask: impl AsyncFn()) -> Answer {
        self.backbone.line().forget();
        ask().await;
        let seen = self.backbone.line().recording();
        let path = path.to_lowercase();
        let path_of = |target: &str| target.split('?').next().unwrap_or_default().to_lowercase();
        let exchange = seen.into_iter().find(|e| e.method == Method::GET && path_of(&e.target) == path);
        exchange.unwrap_or_else(|| panic!("nobody asked for {path}")).answer.unwrap()
    }

    async fn genuine_token(&self, token: &Token) -> Answer {
        let load = || LoadPeerToken { reference: token.reference.url.clone(), ephemeral: true, password: None };
        let path = format!("/api/enlace/v1/Tokens/{}", token.id);
        self.genuine(&path, async || drop(self.bob.runtime().tokens().load_peer_token(load()).await.unwrap())).await
    }

    async fn genuine_metadata(&self, file: &File) -> Answer {
        let path = format!("/api/v2/Files/{}/Metadata", file.id);
        let answer = self.genuine(&path, async || drop(self.bob.receive(&file.reference.url).await.unwrap())).await;
        self.bob.runtime().files().delete_file(&file.id).await.unwrap();
        answer
    }

    async fn genuine_bytes(&self, file: &File) -> Answer {
        let path = format!("/api/v2/Files/{}", file.id);
        self.genuine(&path, async || drop(self.alice.download(&file.id).await.unwrap())).await
    }

    async fn nothing_kept(&self) -> bool {
        let temporary = std::fs::read_dir(self.bob.data_dir().join("tmp")).unwrap().count();
        temporary == 0 && self.bob.files().await.is_empty() && self.bob.tokens().await.is_empty()
    }
}

fn content() -> Vec<u8> {
    (0..5000_u32).map(|i| (i % 255) as u8).collect()
}

/// An answer whose `result` has another value in one member.
fn with_member(answer: &Answer, name: &str, value: Value) -> Fate {
    let mut body = answer.json();
    body["result"][name] = value;
    let answer = answer.clone().with_json(&body);
    Fate::changed(move |_| answer.clone())
}

fn without_member(answer: &Answer, name: &str) -> Fate {
    let mut body = answer.json();
    body["result"].as_object_mut().unwrap().remove(name);
    let answer = answer.clone().with_json(&body);
    Fate::changed(move |_| answer.clone())
}

/// The sealed object in a member: base64url of `{"cph", "alg", "nnc"}`.
fn sealed(answer: &Answer, name: &str) -> Value {
    let json = from_base64url(answer.json()["result"][name].as_str().unwrap()).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn resealed(cipher: &Value) -> Value {
    json!(to_base64url(cipher.to_string().as_bytes()))
}

/// Every way to change a sealed object, one class of bytes at a time.
fn forgeries(genuine: &Value, foreign: &Value) -> Vec<(String, Value)> {
    let mut forgeries = Vec::new();
    let length = genuine["cph"].as_str().unwrap().len();
    for (class, position) in [("first byte", 0), ("middle byte", length / 2), ("tag", length - 3)] {
        forgeries.push((class.to_owned(), with_flipped(genuine, "cph", position)));
    }
    forgeries.push(("nonce".to_owned(), with_flipped(genuine, "nnc", 5)));
    let edits = [
        ("no ciphertext", "cph", json!("")),
        ("a ciphertext that is a number", "cph", json!(7)),
        ("a short nonce", "nnc", json!("AAAA")),
        ("another algorithm", "alg", json!(1)),
        ("an algorithm that is a text", "alg", json!("3")),
        ("a counter beside the nonce", "cnt", json!(0)),
    ];
    for (class, name, value) in edits {
        let mut forged = genuine.clone();
        forged[name] = value;
        forgeries.push((class.to_owned(), forged));
    }
    let truncated = genuine["cph"].as_str().unwrap();
    let mut short = genuine.clone();
    short["cph"] = json!(truncated[..truncated.len() / 8 * 4]);
    forgeries.push(("a truncated ciphertext".to_owned(), short));
    forgeries.push(("not an object".to_owned(), json!([1, 2])));
    forgeries.push(("somebody else's".to_owned(), foreign.clone()));
    forgeries
}

fn with_flipped(cipher: &Value, name: &str, position: usize) -> Value {
    let mut text = cipher[name].as_str().unwrap().as_bytes().to_vec();
    text[position] = if text[position] == b'A' { b'B' } else { b'A' };
    let mut forged = cipher.clone();
    forged[name] = json!(String::from_utf8(text).unwrap());
    forged
}

#[tokio::test]
async fn a_forged_token_content_is_refused_and_leaves_nothing() {
    let scene = Scene::new().await;
    let genuine = scene.genuine_token(&scene.token).await;
    let foreign = sealed(&scene.genuine_token(&scene.other_token).await, "content");
    let mut fates: Vec<_> = forgeries(&sealed(&genuine, "content"), &foreign)
        .into_iter()
        .map(|(class, cipher)| (class, with_member(&genuine, "content", resealed(&cipher))))
        .collect();
    for (class, value) in [("not base64", json!("§")), ("a number", json!(1)), ("null", Value::Null)] {
        fates.push((class.to_owned(), with_member(&genuine, "content", value)));
    }
    fates.push(("missing".to_owned(), without_member(&genuine, "content")));
    for (class, fate) in fates {
        scene.backbone.line().always(Method::GET, TOKEN, fate);
        let code = refusal(scene.bob.receive(&scene.token.reference.url).await);
        assert_eq!(code, refusal(scene.bob.load_token(&scene.token.reference.url).await), "{class}");
        assert!(FORGED_TOKEN.contains(&code.as_str()), "{class}: {code}");
        assert!(scene.nothing_kept().await, "{class}");
        scene.backbone.line().behave();
    }
    assert_eq!(scene.bob.fetch(&scene.token.reference.url).await.unwrap(), content());
}

#[tokio::test]
async fn a_lie_about_a_token_never_loads_something_else() {
    let scene = Scene::new().await;
    let genuine = scene.genuine_token(&scene.token).await;
    let cases = [
        ("id", json!("TOKnotanid")),
        ("id", Value::Null),
        ("createdBy", json!("somebody")),
        ("createdBy", json!({})),
        ("createdByDevice", json!("DVC")),
        ("createdAt", json!("yesterday")),
        ("createdAt", Value::Null),
        ("expiresAt", json!("2030-02-30T00:00:00.000Z")),
        ("expiresAt", json!(-1)),
        ("forIdentity", json!(17)),
    ];
    for (member, value) in cases {
        scene.backbone.line().always(Method::GET, TOKEN, with_member(&genuine, member, value.clone()));
        refusal(scene.bob.load_token(&scene.token.reference.url).await);
        assert!(scene.nothing_kept().await, "{member}: {value}");
        scene.backbone.line().behave();
    }
}

#[tokio::test]
async fn a_record_is_kept_under_the_id_it_was_asked_for_or_not_at_all() {
    let scene = Scene::new().await;
    let (token, metadata) = (scene.genuine_token(&scene.token).await, scene.genuine_metadata(&scene.file).await);
    let kept = scene.bob.load_token(&scene.other_token.reference.url).await.unwrap();
    let received = scene.bob.receive(&scene.other_token.reference.url).await.unwrap();
    scene.backbone.line().always(Method::GET, TOKEN, with_member(&token, "id", json!(scene.other_token.id)));
    scene.backbone.line().always(Method::GET, METADATA, with_member(&metadata, "id", json!(scene.other_file.id)));
    let (loaded, opened) =
        (scene.bob.load_token(&scene.token.reference.url).await, scene.bob.receive(&scene.file.reference.url).await);
    assert!(loaded.is_err() || loaded.unwrap().id == scene.token.id);
    assert!(opened.is_err() || opened.unwrap().id == scene.file.id);
    assert_eq!(scene.bob.runtime().tokens().token(&scene.other_token.id).await.unwrap(), kept);
    assert_eq!(scene.bob.runtime().files().file(&scene.other_file.id).await.unwrap(), received);
}

#[tokio::test]
async fn an_id_that_is_in_use_does_not_replace_what_it_stands_for() {
    let scene = Scene::new().await;
    let rename = |member: &'static str, id: Value| {
        Fate::changed(move |answer: Answer| {
            let mut body = answer.json();
            body["result"][member] = id.clone();
            answer.with_json(&body)
        })
    };
    let line = scene.backbone.line();
    line.next(1, Method::POST, "/api/v2/Files", rename("id", json!(scene.file.id)));
    line.next(1, Method::POST, "/api/v2/Tokens", rename("id", json!(scene.token.id)));
    let _ = scene.alice.upload("impostor", b"x").await;
    let _ = scene.alice.share(&scene.other_file).await;
    assert_eq!(scene.alice.runtime().files().file(&scene.file.id).await.unwrap(), scene.file);
    assert_eq!(scene.alice.runtime().tokens().token(&scene.token.id).await.unwrap(), scene.token);
    assert_eq!(scene.alice.download(&scene.file.id).await.unwrap(), content());
}

#[tokio::test]
async fn forged_file_metadata_is_refused_and_leaves_nothing() {
    let scene = Scene::new().await;
    let genuine = scene.genuine_metadata(&scene.file).await;
    let foreign = sealed(&scene.genuine_metadata(&scene.other_file).await, "encryptedProperties");
    let mut fates: Vec<_> = forgeries(&sealed(&genuine, "encryptedProperties"), &foreign)
        .into_iter()
        .map(|(class, cipher)| (class, with_member(&genuine, "encryptedProperties", resealed(&cipher))))
        .collect();
    let lies = [
        ("encryptedProperties", Value::Null),
        ("encryptedProperties", json!("")),
        ("id", json!("FIL")),
        ("createdBy", json!("did:e:localhost:dids:0000")),
        ("createdByDevice", Value::Null),
        ("owner", json!("me")),
        ("cipherHash", json!("not base64!")),
        ("cipherSize", json!("many")),
        ("cipherSize", json!(-1)),
        ("expiresAt", json!("never")),
        ("createdAt", json!([])),
    ];
    for (member, value) in lies {
        fates.push((format!("{member}: {value}"), with_member(&genuine, member, value)));
    }
    for (class, fate) in fates {
        scene.backbone.line().always(Method::GET, METADATA, fate);
        let code = refusal(scene.bob.receive(&scene.token.reference.url).await);
        assert!(FORGED_METADATA.contains(&code.as_str()), "{class}: {code}");
        assert!(scene.nothing_kept().await, "{class}");
        scene.backbone.line().behave();
    }
    assert_eq!(scene.bob.fetch(&scene.token.reference.url).await.unwrap(), content());
}

#[tokio::test]
async fn forged_bytes_are_refused_before_any_is_handed_out() {
    let scene = Scene::new().await;
    let genuine = scene.genuine_bytes(&scene.file).await;
    let foreign = scene.genuine_bytes(&scene.other_file).await.body;
    scene.bob.receive(&scene.token.reference.url).await.unwrap();
    let length = genuine.body.len();
    let mut bodies: Vec<(String, Vec<u8>)> = Vec::new();
    for position in [0, 1, 8, length / 3, length - 80, length - 30, length - 2, length - 1] {
        let mut body = genuine.body.to_vec();
        body[position] ^= 1;
        bodies.push((format!("bit at {position} of {length}"), body));
    }
    for kept in [0, 1, length / 2, length - 1] {
        bodies.push((format!("the first {kept} bytes"), genuine.body[..kept].to_vec()));
    }
    bodies.push(("one byte more".to_owned(), [&genuine.body[..], b" "].concat()));
    bodies.push(("twice".to_owned(), [&genuine.body[..], &genuine.body[..]].concat()));
    bodies.push(("another file".to_owned(), foreign.to_vec()));
    for (class, body) in bodies {
        let answer = Answer { body: body.into(), ..genuine.clone() };
        scene.backbone.line().always(Method::GET, FILE, Fate::changed(move |_| answer.clone()));
        let code = refusal(scene.bob.download(&scene.file.id).await);
        assert_eq!(code, "error.transport.files.cipherMismatch", "{class}");
        assert_eq!(std::fs::read_dir(scene.bob.data_dir().join("tmp")).unwrap().count(), 0, "{class}");
        scene.backbone.line().behave();
    }
    assert_eq!(scene.bob.download(&scene.file.id).await.unwrap(), content());
}

#[tokio::test]
async fn forged_bytes_with_a_fitting_hash_are_refused_by_the_key() {
    let scene = Scene::new().await;
    let metadata = scene.genuine_metadata(&scene.file).await;
    let bytes = scene.genuine_bytes(&scene.file).await;
    let foreign: Value = serde_json::from_slice(&scene.genuine_bytes(&scene.other_file).await.body).unwrap();
    let cipher: Value = serde_json::from_slice(&bytes.body).unwrap();
    for (class, forged) in forgeries(&cipher, &foreign) {
        let body = forged.to_string().into_bytes();
        let hash = to_base64url(&sha512(&body));
        scene.backbone.line().always(Method::GET, METADATA, with_member(&metadata, "cipherHash", json!(hash)));
        let answer = Answer { body: body.into(), ..bytes.clone() };
        scene.backbone.line().always(Method::GET, FILE, Fate::changed(move |_| answer.clone()));
        let file = scene.bob.receive(&scene.token.reference.url).await.unwrap();
        refusal(scene.bob.download(&file.id).await);
        assert_eq!(std::fs::read_dir(scene.bob.data_dir().join("tmp")).unwrap().count(), 0, "{class}");
        scene.bob.runtime().files().delete_file(&file.id).await.unwrap();
        scene.backbone.line().behave();
    }
}

#[tokio::test]
async fn one_file_in_place_of_another_is_refused_even_if_everything_about_it_fits_together() {
    let scene = Scene::new().await;
    let metadata = scene.genuine_metadata(&scene.other_file).await;
    let bytes = scene.genuine_bytes(&scene.other_file).await;
    let token = scene.genuine_token(&scene.other_token).await;
    scene.backbone.line().always(Method::GET, METADATA, with_member(&metadata, "id", json!(scene.file.id)));
    scene.backbone.line().always(Method::GET, FILE, Fate::changed(move |_| bytes.clone()));
    refusal(scene.bob.receive(&scene.token.reference.url).await);
    refusal(scene.bob.receive(&scene.file.reference.url).await);
    scene.backbone.line().always(Method::GET, TOKEN, with_member(&token, "id", json!(scene.token.id)));
    refusal(scene.bob.receive(&scene.token.reference.url).await);
    assert_mentions(scene.bob.receive(&scene.token.reference.url).await, &["key", "backbone"]);
    scene.backbone.line().behave();
    assert!(scene.nothing_kept().await);
}

#[tokio::test]
async fn answers_that_are_no_answers_are_errors() {
    let scene = Scene::new().await;
    let bodies = ["", "null", "0", "[]", "{}", r#"{"result":null}"#, r#"{"result":0}"#, "{\"result\":{", "<html>"];
    for body in bodies {
        for path in [TOKEN, METADATA] {
            let fate = Fate::changed(|answer: Answer| Answer { body: body.into(), ..answer });
            scene.backbone.line().always(Method::GET, path, fate);
            refusal(scene.bob.receive(&scene.token.reference.url).await);
            scene.backbone.line().behave();
        }
        for path in ["/api/v2/Files", "/api/v2/Tokens"] {
            let fate = Fate::changed(|answer: Answer| Answer { body: body.into(), ..answer });
            scene.backbone.line().next(1, Method::POST, path, fate);
        }
        refusal(scene.alice.upload("b", b"b").await);
        refusal(scene.alice.share(&scene.file).await);
        assert!(scene.nothing_kept().await, "{body}");
    }
    assert_eq!((scene.alice.files().await.len(), scene.alice.tokens().await.len()), (2, 2));
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let scene = Scene::new().await;
    let flood = "9".repeat(64 * 1024 * 1024);
    for path in [TOKEN, METADATA] {
        let body = bytes::Bytes::from(format!("{{\"result\":{flood}}}"));
        let fate = Fate::changed(move |answer: Answer| Answer { body: body.clone(), ..answer });
        scene.backbone.line().always(Method::GET, path, fate);
        refusal(scene.bob.receive(&scene.token.reference.url).await);
        scene.backbone.line().behave();
    }
    let body = bytes::Bytes::from(flood);
    scene.bob.receive(&scene.token.reference.url).await.unwrap();
    let fate = Fate::changed(move |answer: Answer| Answer { body: body.clone(), ..answer });
    scene.backbone.line().always(Method::GET, FILE, fate);
    refusal(scene.bob.download(&scene.file.id).await);
    assert_eq!(std::fs::read_dir(scene.bob.data_dir().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_identity_is_not_accepted_under_an_address_of_another_key() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let stolen = json!(alice.address());
    let fate = Fate::changed(move |answer: Answer| {
        let mut body = answer.json();
        body["result"]["address"] = stolen.clone();
        answer.with_json(&body)
    });
    backbone.line().always(Method::POST, "/api/v2/Identities", fate);
    let config = runtime::Config::new(world.directory("mallory"), backbone.as_seen_by_nodes());
    let outcome = Node::start(config.clone(), world.clock().clone()).await;
    assert!(outcome.is_err(), "an address that does not belong to the key");
    backbone.line().behave();
    let node = Node::start(config, world.clock().clone()).await.unwrap();
    assert_ne!(node.address(), alice.address());
}

#[tokio::test]
async fn an_old_answer_replayed_does_not_bring_a_deleted_record_back_into_lists() {
    let scene = Scene::new().await;
    let token = scene.genuine_token(&scene.token).await;
    let metadata = scene.genuine_metadata(&scene.file).await;
    scene.alice.runtime().files().delete_file(&scene.file.id).await.unwrap();
    scene.backbone.line().always(Method::GET, TOKEN, Fate::changed(move |_| token.clone()));
    scene.backbone.line().always(Method::GET, METADATA, Fate::changed(move |_| metadata.clone()));
    // Nothing tells a peer that an answer is old; but what it leads to is gone, and that is said.
    let file = scene.bob.receive(&scene.token.reference.url).await.unwrap();
    assert_eq!(refusal(scene.bob.download(&file.id).await), "error.runtime.recordNotFound");
    assert_eq!(scene.alice.files().await.len(), 1, "alice's own list is not the backbone's to fill");
    assert!(scene.world.directory("alice").exists());
}
