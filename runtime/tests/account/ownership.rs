use runtime::dto::{File, Password, PasswordProtection};
use runtime::facade::{CreateTokenForFile, UploadOwnFile};
use runtime::{Event, EventReceiver, Runtime};
use transport::crypto::{hash_password, password};
use transport::wire::backbone::files::OwnershipToken;

use crate::stranger::stranger;
use crate::world::World;

async fn upload(node: &Runtime) -> File {
    let request = UploadOwnFile::new(&b"hello"[..], "hello.txt".parse().unwrap(), "text/plain".parse().unwrap());
    node.files().upload_own_file(request).await.unwrap()
}

async fn next(events: &mut EventReceiver, wanted: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.recv().await.unwrap();
        if wanted(&event) {
            return event;
        }
    }
}

#[tokio::test]
async fn a_wrong_ownership_token_of_another_identity_locks_the_file_here() {
    let world = World::new().await;
    let node = world.node("node").await;
    let file = upload(&node).await;
    let mut events = node.events();
    let wrong = OwnershipToken { ownership_token: "wrongwrongwrongwrong".to_owned() };
    let stranger = stranger(&world.url).await;
    assert!(!stranger.validate_ownership_token(&file.id, &wrong).await.unwrap().is_valid);
    node.account().sync_everything().await.unwrap();
    assert_eq!(node.files().file(&file.id).await.unwrap().ownership_is_locked, Some(true));
    next(&mut events, |event| matches!(event, Event::FileOwnershipLocked(locked) if locked.id == file.id)).await;
    let file = node.files().regenerate_file_ownership_token(&file.id).await.unwrap();
    assert_eq!(file.ownership_is_locked, None);
}

#[tokio::test]
async fn a_file_that_another_identity_claimed_is_not_own_any_more() {
    let world = World::new().await;
    let node = world.node("node").await;
    let file = upload(&node).await;
    let mut events = node.events();
    let token = OwnershipToken { ownership_token: file.ownership_token.clone().unwrap() };
    stranger(&world.url).await.claim_ownership(&file.id, &token).await.unwrap();
    node.account().sync_everything().await.unwrap();
    let claimed = node.files().file(&file.id).await.unwrap();
    assert!(!claimed.is_own && claimed.ownership_token.is_none());
    assert_ne!(claimed.owner, file.owner);
    next(&mut events, |event| matches!(event, Event::FileOwnershipClaimed(claimed) if claimed.id == file.id)).await;
}

#[tokio::test]
async fn a_token_locked_by_too_many_wrong_passwords_is_published_as_an_event() {
    let world = World::new().await;
    let node = world.node("node").await;
    let file = upload(&node).await;
    let password_protection = Some(PasswordProtection::new(Password::new("right").unwrap()));
    let request = CreateTokenForFile { password_protection, ..CreateTokenForFile::default() };
    let token = node.files().create_token_for_file(&file.id, request).await.unwrap();
    let mut events = node.events();
    let wrong = hash_password("wrong", &password::generate_salt()).to_backbone_text();
    let stranger = stranger(&world.url).await;
    for attempt in 1..=100 {
        let error = stranger.token(&token.id, Some(&wrong)).await.unwrap_err();
        assert_eq!(error.status(), Some(if attempt < 100 { 404 } else { 400 }));
    }
    node.account().sync_everything().await.unwrap();
    next(&mut events, |event| matches!(event, Event::TokenLocked(id) if *id == token.id)).await;
}
