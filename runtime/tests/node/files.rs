//! Files: upload, share, load, download, delete.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backbone_mock::fault::{Fault, Matching};
use http::{Method, StatusCode};
use runtime::facade::{ContentFormat, CreateTokenForFile, LoadFile, Ownership, Phase, Progress, UploadOwnFile};
use runtime::{Config, Event, FileId, Tags, Timestamp};
use serde_json::json;

use crate::world::{World, bytes_of, code, file, load_file, own_token, protected, stored, temporary_files};

const UNKNOWN: &str = "FIL00000000000000000";

#[tokio::test]
async fn another_node_receives_an_uploaded_file_byte_for_byte() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    for size in [0, 1, 100_000, 256 * 1024, 256 * 1024 + 1, 3_000_000] {
        let content: Vec<u8> = (0..size).map(|number: usize| (number * 7 % 251) as u8).collect();
        let file = alice.files().upload_own_file(file("a.bin", content.clone())).await.unwrap();
        assert_eq!((file.filesize, file.is_own), (size as u64, true));
        let token = alice.files().create_token_for_file(&file.id, stored()).await.unwrap();
        let loaded = load_file(&bob, &token.reference, None).await.unwrap();
        assert_eq!((loaded.id.clone(), loaded.is_own, loaded.filesize), (file.id, false, size as u64));
        assert_eq!(loaded.ownership_token, None);
        assert!(bytes_of(&bob, &loaded).await.unwrap() == content, "{size} bytes");
    }
    assert_eq!(temporary_files(bob.config()) + temporary_files(alice.config()), 0);
}

#[tokio::test]
async fn all_metadata_of_a_file_are_received() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let request = UploadOwnFile {
        title: Some("A title".into()),
        description: Some(String::new()),
        tags: Some(Tags::new(vec!["x:a".into(), "x:b".into()]).unwrap()),
        expires_at: Some(world.at(60)),
        ..file("../dir\\Grüße 😀.txt", "text")
    };
    let file = alice.files().upload_own_file(request).await.unwrap();
    assert_eq!(file.filename, "Grüße 😀.txt");
    let loaded = load_file(&bob, &file.reference, None).await.unwrap();
    let seen = |file: &runtime::dto::File| {
        (file.filename.clone(), file.title.clone(), file.description.clone(), file.tags.clone(), file.expires_at)
    };
    assert_eq!(seen(&loaded), seen(&file));
    assert_eq!(loaded.reference, file.reference);
    assert_eq!(alice.files().file(&file.id).await.unwrap(), file);
}

#[tokio::test]
async fn a_file_without_expiry_never_expires_and_its_token_expires_with_it() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let never = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    assert_eq!(never.expires_at, Timestamp::NEVER);
    let request = UploadOwnFile { expires_at: Some(world.at(100)), ..file("b", "b") };
    let soon = alice.files().upload_own_file(request).await.unwrap();
    let token = alice.files().create_token_for_file(&soon.id, stored()).await.unwrap();
    assert_eq!(token.expires_at, world.at(100));
    let later = CreateTokenForFile { expires_at: Some(world.at(200)), ..stored() };
    assert_eq!(alice.files().create_token_for_file(&soon.id, later).await.unwrap().expires_at, world.at(200));
}

#[tokio::test]
async fn an_ephemeral_token_works_but_is_not_remembered() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let file = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let ephemeral = CreateTokenForFile { ephemeral: true, ..stored() };
    let token = alice.files().create_token_for_file(&file.id, ephemeral).await.unwrap();
    assert!(token.is_ephemeral);
    assert_eq!(
        token.content.to_value(),
        json!({"@type": "TokenContentFile", "fileId": file.id, "secretKey": token.content.to_value()["secretKey"]})
    );
    assert_eq!(code(alice.tokens().token(&token.id).await), "error.runtime.recordNotFound");
    assert_eq!(code(alice.tokens().delete_token(&token.id).await), "error.runtime.recordNotFound");
    assert!(alice.tokens().tokens(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
    assert!(load_file(&bob, &token.reference, None).await.is_ok());
    assert!(bob.tokens().tokens(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
}

#[tokio::test]
async fn each_token_for_a_file_is_a_new_one() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let file = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let first = alice.files().create_token_for_file(&file.id, stored()).await.unwrap();
    let second = alice.files().create_token_for_file(&file.id, stored()).await.unwrap();
    assert_ne!(first.reference, second.reference);
    let listed = alice.tokens().tokens(Ownership::Own, &[]).unwrap().collect().await.unwrap();
    assert_eq!(listed, [first, second]);
}

#[tokio::test]
async fn a_received_file_can_be_shared_again() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let file = alice.files().upload_own_file(file("a", "from alice")).await.unwrap();
    let loaded = load_file(&bob, &file.reference, None).await.unwrap();
    let token = bob.files().create_token_for_file(&loaded.id, stored()).await.unwrap();
    let received = load_file(&carol, &token.reference, None).await.unwrap();
    assert_eq!(bytes_of(&carol, &received).await.unwrap(), b"from alice");
    assert_eq!(received.owner, file.owner);
}

#[tokio::test]
async fn a_personalized_token_is_for_one_identity() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let address = bob.account().identity_info().await.unwrap().address;
    let file = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let request = CreateTokenForFile { for_identity: Some(address.clone()), ephemeral: true, ..stored() };
    let token = alice.files().create_token_for_file(&file.id, request).await.unwrap();
    assert_eq!(token.for_identity, Some(address));
    let refusal = load_file(&carol, &token.reference, None).await.unwrap_err();
    assert_eq!(refusal.code(), "error.transport.general.notIntendedForYou");
    assert!(refusal.to_string().contains(&format!("personalized content '{}'", token.id)), "{refusal}");
    assert_eq!(code(load_file(&alice, &token.reference, None).await), "error.transport.general.notIntendedForYou");
    assert!(load_file(&bob, &token.reference, None).await.is_ok());
}

#[tokio::test]
async fn a_reference_altered_to_look_like_mine_is_refused_by_the_backbone() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let bobs = bob.account().identity_info().await.unwrap().address;
    let carols = carol.account().identity_info().await.unwrap().address;
    let file = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let request = CreateTokenForFile { for_identity: Some(bobs), ..stored() };
    let token = alice.files().create_token_for_file(&file.id, request).await.unwrap();
    let mut reference = transport::wire::TokenReference::parse(&token.reference.truncated).unwrap();
    reference.for_identity_truncated = Some(carols.truncated().to_owned());
    for forged in [Some(carols.truncated().to_owned()), None] {
        reference.for_identity_truncated = forged;
        let request = LoadFile { reference: reference.to_truncated(), password: None };
        assert_eq!(code(carol.files().get_or_load_file(request).await), "error.runtime.recordNotFound");
    }
}

#[tokio::test]
async fn a_protected_token_requires_its_password() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let file = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let request = CreateTokenForFile { password_protection: protected("secret"), ..stored() };
    let token = alice.files().create_token_for_file(&file.id, request).await.unwrap();
    for missing in [None, Some("")] {
        let refusal = load_file(&bob, &token.reference, missing).await.unwrap_err();
        assert_eq!(refusal.code(), "error.transport.noPasswordProvided");
        assert!(refusal.to_string().contains("You need to provide a password to perform this operation."), "{refusal}");
    }
    assert_eq!(code(load_file(&bob, &token.reference, Some("wrong")).await), "error.runtime.recordNotFound");
    assert!(load_file(&bob, &token.reference, Some("secret")).await.is_ok());
}

#[tokio::test]
async fn a_password_that_is_not_required_is_ignored() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let file = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    assert!(load_file(&bob, &file.reference, Some("anything")).await.is_ok());
}

#[tokio::test]
async fn requests_are_checked_in_the_documented_order() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let id: FileId = UNKNOWN.parse().unwrap();
    let pin = |password: &str| {
        let mut protection = protected(password).unwrap();
        protection.password_is_pin = true;
        protection
    };
    let request = CreateTokenForFile {
        expires_at: Some(world.at(0)),
        password_protection: Some(pin("x")),
        ..CreateTokenForFile::default()
    };
    let refusal = alice.files().create_token_for_file(&id, request.clone()).await.unwrap_err();
    assert_eq!(refusal.code(), "error.runtime.validation.invalidPropertyValue");
    assert_eq!(refusal.to_string(), "'expiresAt' must be in the future");
    let request = CreateTokenForFile { expires_at: Some(world.at(1)), ..request };
    let refusal = alice.files().create_token_for_file(&id, request.clone()).await.unwrap_err();
    assert!(refusal.to_string().starts_with("'passwordProtection.passwordIsPin' is true"), "{refusal}");
    let request = CreateTokenForFile { password_protection: Some(pin("1234")), ..request };
    let refusal = alice.files().create_token_for_file(&id, request).await.unwrap_err();
    assert_eq!(refusal.code(), "error.runtime.recordNotFound");
    assert_eq!(refusal.to_string(), "File not found. Make sure the ID exists and the record is not expired.");
}

#[tokio::test]
async fn unknown_files_are_not_found_anywhere() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let id: FileId = UNKNOWN.parse().unwrap();
    assert_eq!(code(alice.files().file(&id).await), "error.runtime.recordNotFound");
    assert_eq!(code(alice.files().download_file(&id, None).await), "error.runtime.recordNotFound");
    assert_eq!(code(alice.files().delete_file(&id).await), "error.runtime.recordNotFound");
    assert_eq!(code(alice.files().regenerate_file_ownership_token(&id).await), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn invalid_uploads_are_refused_and_leave_nothing_behind() {
    let world = World::new().await;
    let mut config = world.config("alice");
    config.max_file_size = 1_500_000;
    let alice = world.start(config).await.unwrap();
    let request = UploadOwnFile { format: ContentFormat::V1, ..file("a", vec![0; 1_500_001]) };
    let too_large = alice.files().upload_own_file(request).await.unwrap_err();
    assert_eq!(too_large.to_string(), "'content' is too large");
    let plain = Tags::new(vec!["plain".into()]).unwrap();
    let unknown = |expires_at| {
        let tags = Some(plain.clone().only_known());
        UploadOwnFile { tags, expires_at: Some(world.at(expires_at)), ..file("a", "a") }
    };
    let expired = alice.files().upload_own_file(unknown(0)).await.unwrap_err();
    assert_eq!(expired.to_string(), "'expiresAt' must be in the future");
    assert_eq!(code(alice.files().upload_own_file(unknown(60)).await), "error.consumption.attributes.invalidTags");
    assert!(alice.files().files(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
    assert_eq!(temporary_files(alice.config()), 0);
    assert!(alice.files().upload_own_file(file("a", vec![0; 1_500_000])).await.is_ok());
}

#[tokio::test]
async fn a_known_file_is_not_asked_for_again() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let uploaded = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let loaded = load_file(&bob, &uploaded.reference, None).await.unwrap();
    world.faults.inject(Matching::path("/Files"), Fault::RefuseBefore(StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(load_file(&bob, &uploaded.reference, None).await.unwrap(), loaded);
    assert_eq!(load_file(&alice, &uploaded.reference, None).await.unwrap(), uploaded);
}

#[tokio::test]
async fn an_own_file_that_is_not_stored_any_more_is_own_when_it_is_loaded() {
    let world = World::new().await;
    let without_datawallet = |name| Config { datawallet_enabled: false, ..world.config(name) };
    let alice = world.start(without_datawallet("alice")).await.unwrap();
    alice.shutdown().await.unwrap();
    drop(alice);
    copy_directory(&world.data_dir("alice"), &world.data_dir("backup"));
    let alice = world.start(without_datawallet("alice")).await.unwrap();
    let uploaded = alice.files().upload_own_file(file("a", "a")).await.unwrap();

    let restored = world.start(without_datawallet("backup")).await.unwrap();
    assert_eq!(code(restored.files().file(&uploaded.id).await), "error.runtime.recordNotFound");
    let loaded = load_file(&restored, &uploaded.reference, None).await.unwrap();
    assert!(loaded.is_own);
    assert_eq!(loaded.ownership_token, None);
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn files_expire() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let request = UploadOwnFile { expires_at: Some(world.at(60)), ..file("a", "a") };
    let uploaded = alice.files().upload_own_file(request).await.unwrap();
    let later = CreateTokenForFile { expires_at: Some(world.at(1000)), ..stored() };
    let token = alice.files().create_token_for_file(&uploaded.id, later).await.unwrap();
    load_file(&bob, &uploaded.reference, None).await.unwrap();
    world.clock.advance(Duration::from_secs(120));
    assert!(load_file(&bob, &uploaded.reference, None).await.is_ok(), "a local copy wins");
    assert_eq!(code(load_file(&carol, &uploaded.reference, None).await), "error.runtime.recordNotFound");
    assert_eq!(code(load_file(&carol, &token.reference, None).await), "error.runtime.recordNotFound");
    assert_eq!(code(bob.files().download_file(&uploaded.id, None).await), "error.runtime.recordNotFound");
    assert!(alice.files().file(&uploaded.id).await.is_ok());
    let later = CreateTokenForFile { expires_at: Some(world.at(1000)), ..stored() };
    assert!(alice.files().create_token_for_file(&uploaded.id, later).await.is_ok());
    assert!(code(alice.files().create_token_for_file(&uploaded.id, stored()).await).starts_with("error.platform."));
    alice.files().delete_file(&uploaded.id).await.unwrap();
}

#[tokio::test]
async fn deleting_an_own_file_deletes_it_for_everybody() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let uploaded = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let token = alice.files().create_token_for_file(&uploaded.id, stored()).await.unwrap();
    load_file(&bob, &uploaded.reference, None).await.unwrap();
    bob.files().delete_file(&uploaded.id).await.unwrap();
    assert_eq!(code(bob.files().file(&uploaded.id).await), "error.runtime.recordNotFound");
    assert!(load_file(&bob, &uploaded.reference, None).await.is_ok(), "a peer deletes its own copy only");
    alice.files().delete_file(&uploaded.id).await.unwrap();
    assert_eq!(code(alice.files().file(&uploaded.id).await), "error.runtime.recordNotFound");
    assert_eq!(code(load_file(&carol, &token.reference, None).await), "error.runtime.recordNotFound");
    assert_eq!(code(bob.files().download_file(&uploaded.id, None).await), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn nothing_is_deleted_here_when_the_backbone_refuses() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let uploaded = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let refused = Matching::path("/Files").method(Method::DELETE).times(1);
    world.faults.inject(refused, Fault::RefuseBefore(StatusCode::INTERNAL_SERVER_ERROR));
    assert!(alice.files().delete_file(&uploaded.id).await.is_err());
    assert_eq!(alice.files().file(&uploaded.id).await.unwrap(), uploaded);
    let unanswered = Matching::path("/Files").method(Method::DELETE).times(1);
    world.faults.inject(unanswered, Fault::DropAfter);
    assert!(alice.files().delete_file(&uploaded.id).await.is_err());
    alice.files().delete_file(&uploaded.id).await.expect("gone at the backbone counts as deleted");
    assert_eq!(code(alice.files().file(&uploaded.id).await), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn only_the_owner_replaces_the_ownership_token() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let uploaded = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let regenerated = alice.files().regenerate_file_ownership_token(&uploaded.id).await.unwrap();
    assert!(regenerated.ownership_token.is_some());
    assert_ne!(regenerated.ownership_token, uploaded.ownership_token);
    assert_eq!(alice.files().file(&uploaded.id).await.unwrap(), regenerated);
    load_file(&bob, &uploaded.reference, None).await.unwrap();
    let refusal = bob.files().regenerate_file_ownership_token(&uploaded.id).await;
    assert_eq!(code(refusal), "error.runtime.files.notOwnedByYou");
}

#[tokio::test]
async fn references_to_something_else_are_refused() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(own_token(json!({"a": 1}), world.at(60))).await.unwrap();
    assert_eq!(code(load_file(&bob, &token.reference, None).await), "error.runtime.invalidTokenContent");
    for reference in ["", "RklM", "%%%", "RklM|", "http://localhost/r/FIL00000000000000000"] {
        let request = LoadFile { reference: reference.into(), password: None };
        let code = code(bob.files().get_or_load_file(request).await);
        assert!(
            matches!(code.as_str(), "error.core-types.invalidTruncatedReference" | "error.runtime.invalidReference"),
            "{reference}: {code}"
        );
    }
}

#[tokio::test]
async fn the_observer_is_called_in_every_phase() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let seen = Arc::new(Mutex::new(Vec::<Progress>::new()));
    let log = seen.clone();
    let observer: runtime::facade::Observer = Arc::new(move |progress| log.lock().unwrap().push(progress));
    let request = UploadOwnFile { observer: Some(observer.clone()), ..file("a", vec![1; 700_000]) };
    let uploaded = alice.files().upload_own_file(request).await.unwrap();
    alice.files().download_file(&uploaded.id, Some(observer)).await.unwrap();
    let seen = seen.lock().unwrap();
    let last = |phase| seen.iter().rfind(|progress| progress.phase == phase).copied().unwrap();
    assert_eq!(last(Phase::Sealing).bytes, 700_000);
    assert_eq!(last(Phase::Verifying).bytes, 700_000);
    for phase in [Phase::Uploading, Phase::Downloading] {
        assert_eq!(Some(last(phase).bytes), last(phase).total, "{phase:?}");
        let bytes: Vec<u64> =
            seen.iter().filter(|progress| progress.phase == phase).map(|progress| progress.bytes).collect();
        assert!(bytes.is_sorted(), "{phase:?}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_in_order() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    for name in ["z.txt", "a.txt", "m.txt"] {
        alice.files().upload_own_file(file(name, name)).await.unwrap();
    }
    let bobs = bob.files().upload_own_file(file("b.txt", "b")).await.unwrap();
    load_file(&alice, &bobs.reference, None).await.unwrap();
    let names = async |ownership, parameters: &[(&str, &str)]| {
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let files = alice.files().files(ownership, &parameters).unwrap().collect().await.unwrap();
        files.into_iter().map(|file| file.filename).collect::<Vec<_>>()
    };
    assert_eq!(names(Ownership::Any, &[]).await, ["z.txt", "a.txt", "m.txt", "b.txt"]);
    assert_eq!(names(Ownership::Own, &[]).await, ["z.txt", "a.txt", "m.txt"]);
    assert_eq!(names(Ownership::Peer, &[("isOwn", "true")]).await, ["b.txt"]);
    assert_eq!(names(Ownership::Any, &[("filename", "~^[ab]")]).await, ["a.txt", "b.txt"]);
    let unknown = alice.files().files(Ownership::Any, &[("owner".into(), "x".into())]);
    assert_eq!(unknown.unwrap_err().to_string(), "query must NOT have additional properties");
}

#[tokio::test]
async fn events_are_published_for_every_operation() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let (mut at_alice, mut at_bob) = (alice.events(), bob.events());
    let uploaded = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let token = alice.files().create_token_for_file(&uploaded.id, stored()).await.unwrap();
    load_file(&bob, &token.reference, None).await.unwrap();
    alice.files().delete_file(&uploaded.id).await.unwrap();
    let next = async |events: &mut runtime::EventReceiver| loop {
        match events.recv().await.unwrap() {
            Event::DatawalletSynchronized => {}
            event => break event,
        }
    };
    assert!(matches!(next(&mut at_alice).await, Event::FileUploaded(file) if *file == uploaded));
    assert!(matches!(next(&mut at_alice).await, Event::TokenCreated(created) if *created == token));
    assert!(matches!(next(&mut at_alice).await, Event::FileDeleted(id) if id == uploaded.id));
    assert!(matches!(next(&mut at_bob).await, Event::PeerFileLoaded(file) if file.id == uploaded.id));
}

#[tokio::test]
async fn a_peers_file_name_is_shown_without_misleading_characters_and_an_own_one_unchanged() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let name = format!("in\u{202e}fdp\u{1b}[31m\u{85}{}.exe", "x".repeat(300));
    let uploaded = alice.files().upload_own_file(file(&name, "a")).await.unwrap();
    assert_eq!(uploaded.filename, name);
    let loaded = load_file(&bob, &uploaded.reference, None).await.unwrap();
    assert_eq!(loaded.filename, runtime::file_name::shown(&name));
    assert!(loaded.filename.starts_with("infdp[31mxxx") && loaded.filename.ends_with("x.exe"));
    assert_eq!(loaded.filename.len(), runtime::file_name::MAX_LENGTH);
    let shown = bob.files().download_file(&loaded.id, None).await.unwrap().file;
    assert_eq!(shown.filename, loaded.filename);
    // It is still found by the name under which it was sealed.
    let query = [("filename".to_owned(), name)];
    let found = bob.files().files(Ownership::Peer, &query).unwrap().collect().await.unwrap();
    assert_eq!(found.iter().map(|file| file.filename.as_str()).collect::<Vec<_>>(), [loaded.filename]);
}
