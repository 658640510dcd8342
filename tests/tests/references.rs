//! References that are damaged, of the wrong kind, or nonsense: never a panic, never another file.
#![allow(clippy::unwrap_used, reason = "a test")]

use enlace_tests::{Backbone, Node, World, password, refusal};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use runtime::dto::{File, Token};
use runtime::facade::CreateTokenForFile;
use tokio::runtime::Runtime;
use transport::wire::RelationshipTemplateReference;
use transport::wire::bytes::{from_base64url, to_base64url};
use transport::wire::{FileReference, ReferenceKey};

const UNREADABLE: [&str; 3] = [
    "error.core-types.invalidTruncatedReference",
    "error.runtime.validation.invalidPropertyValue",
    "error.runtime.invalidReference",
];

struct Scene {
    _world: World,
    backbone: Backbone,
    bob: Node,
    file: File,
    token: Token,
}

async fn scene(terms: CreateTokenForFile) -> Scene {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share_as(&file, terms).await.unwrap();
    Scene { _world: world, backbone, bob, file, token }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(future)
}

impl Scene {
    /// Loads nothing, or what the undamaged reference stands for; and keeps nothing that was refused.
    async fn opens_nothing_else(&self, reference: &str) -> Result<(), TestCaseError> {
        if let Ok(file) = self.bob.receive(reference).await {
            proptest::prop_assert_eq!((&file.id, &file.filename), (&self.file.id, &self.file.filename));
            proptest::prop_assert_eq!(self.bob.download(&file.id).await.unwrap(), b"content");
            self.bob.runtime().files().delete_file(&file.id).await.unwrap();
        }
        proptest::prop_assert!(self.bob.files().await.is_empty() && self.bob.tokens().await.is_empty());
        Ok(())
    }
}

/// Damages the text of a reference at every place that proptest thinks of.
fn every_damage_is_harmless(terms: CreateTokenForFile, choose: impl Fn(&Scene) -> Vec<u8>) {
    let runtime = Runtime::new().unwrap();
    let scene = runtime.block_on(scene(terms));
    let valid = choose(&scene);
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(0..valid.len(), 0..8_u32), |(position, bit)| {
        let mut damaged = valid.clone();
        damaged[position] ^= 1 << bit;
        let damaged = String::from_utf8_lossy(&damaged).into_owned();
        runtime.block_on(scene.opens_nothing_else(&damaged))
    });
    if let Err(TestError::Fail(reason, place)) = outcome {
        panic!("{reason} at {place:?} of {}", String::from_utf8_lossy(&valid));
    }
}

#[test]
fn a_flipped_bit_in_a_truncated_reference_never_loads_something_else() {
    every_damage_is_harmless(CreateTokenForFile::default(), |scene| scene.token.reference.truncated.clone().into());
}

#[test]
fn a_flipped_bit_in_a_url_never_loads_something_else() {
    every_damage_is_harmless(CreateTokenForFile::default(), |scene| scene.token.reference.url.clone().into());
}

#[test]
fn a_flipped_bit_below_the_encoding_never_loads_something_else() {
    let runtime = Runtime::new().unwrap();
    let scene = runtime.block_on(scene(CreateTokenForFile::default()));
    let inside = from_base64url(&scene.token.reference.truncated).unwrap();
    for position in 0..inside.len() {
        let mut damaged = inside.clone();
        damaged[position] ^= 1 << (position % 8);
        runtime.block_on(scene.opens_nothing_else(&to_base64url(&damaged))).unwrap();
    }
}

#[test]
fn a_shortened_or_extended_reference_never_loads_something_else() {
    block_on(async {
        let scene = scene(CreateTokenForFile::default()).await;
        for valid in [&scene.token.reference.truncated, &scene.token.reference.url] {
            for length in 0..valid.len() {
                // Where only the last two, empty components are gone, what is left is a valid reference of the old form.
                scene.opens_nothing_else(&valid[..length]).await.unwrap();
            }
            for extended in [format!("{valid}A"), format!("{valid}="), format!("{valid} "), format!(" {valid}")] {
                scene.opens_nothing_else(&extended).await.unwrap();
            }
        }
        assert!(scene.bob.files().await.is_empty());
    });
}

#[test]
fn a_reference_of_the_wrong_kind_is_refused_without_asking_anybody() {
    block_on(async {
        let scene = scene(CreateTokenForFile::default()).await;
        let key = || ReferenceKey::from_bytes([7; ReferenceKey::LENGTH]);
        let template = RelationshipTemplateReference::new("RLTaaaaaaaaaaaaaaaaa".parse().unwrap(), key());
        let template = template.at(&scene.backbone.line().url()).unwrap();
        scene.backbone.line().forget();
        for reference in [template.to_truncated(), template.to_url(None).unwrap()] {
            let code = refusal(scene.bob.receive(&reference).await);
            assert!(UNREADABLE.contains(&code.as_str()), "{code}");
            let code = refusal(scene.bob.load_token(&reference).await);
            assert!(UNREADABLE.contains(&code.as_str()), "{code}");
        }
        let code = refusal(scene.bob.load_token(&scene.file.reference.url).await);
        assert!(UNREADABLE.contains(&code.as_str()), "a file is not a token: {code}");
        assert!(scene.backbone.line().content_requests() == 0);
    });
}

#[test]
fn nonsense_is_refused_without_asking_anybody() {
    block_on(async {
        let scene = scene(CreateTokenForFile::default()).await;
        scene.backbone.line().forget();
        let id = scene.token.id.as_str();
        let endless = "VE9L".repeat(500_000);
        let nonsense = [
            "",
            " ",
            "\0",
            "😀",
            "http://",
            "https://",
            "http://localhost/r/",
            "file:///etc/passwd",
            "javascript:1",
            id,
            "FIL",
            "TOKaaaaaaaaaaaaaaaaa|3|key",
            "../../etc/passwd",
            "VE9L",
            "RklM",
            &endless,
        ];
        for reference in nonsense {
            let short: String = reference.chars().take(30).collect();
            let code = refusal(scene.bob.receive(reference).await);
            assert!(UNREADABLE.contains(&code.as_str()), "{short}: {code}");
            let code = refusal(scene.bob.load_token(reference).await);
            assert!(UNREADABLE.contains(&code.as_str()), "{short}: {code}");
        }
        assert!(scene.backbone.line().content_requests() == 0);
    });
}

#[test]
fn a_right_id_with_another_key_is_an_error_and_not_a_file() {
    block_on(async {
        let scene = scene(CreateTokenForFile::default()).await;
        let valid = FileReference::parse(&scene.file.reference.url).unwrap();
        let mut key = *valid.key.expose();
        key[31] ^= 0x80;
        let forged = FileReference::new(valid.id, ReferenceKey::from_bytes(key)).at(&scene.backbone.line().url());
        let code = refusal(scene.bob.receive(&forged.unwrap().to_truncated()).await);
        assert_ne!(code, "error.runtime.recordNotFound");
        assert!(scene.bob.files().await.is_empty());
    });
}

#[test]
fn damage_to_the_description_of_a_password_does_not_open_what_it_protects() {
    let terms = CreateTokenForFile { password_protection: password("secret"), ..CreateTokenForFile::default() };
    block_on(async {
        let scene = scene(terms).await;
        let inside = from_base64url(&scene.token.reference.truncated).unwrap();
        let text = String::from_utf8(inside).unwrap();
        let (rest, protection) = text.rsplit_once('|').unwrap();
        assert!(protection.starts_with("pw&"), "{protection}");
        for other in
            ["", "pw", "pw&", "pin4&AAAAAAAAAAAAAAAAAAAAAA==", "pw&AAAAAAAAAAAAAAAAAAAAAA==", "pw&AA==", "x&y&z"]
        {
            let reference = to_base64url(format!("{rest}|{other}").as_bytes());
            assert!(scene.bob.receive(&reference).await.is_err(), "{other}");
            assert!(scene.bob.receive_with(&reference, "secret").await.is_err(), "{other}");
        }
        assert!(scene.bob.files().await.is_empty());
        assert!(scene.bob.receive_with(&scene.token.reference.truncated, "secret").await.is_ok());
    });
}
