//! What every implementation of [`Delivery`] has to do, run over each of them.

use std::sync::Arc;

use transport::backbone::{UploadContent, UploadFile};
use transport::crypto::hash::Sha512Hash;
use transport::wire::backbone::tokens::CreateToken;
use transport::wire::{Address, ByteText, Timestamp};

use super::{Delivery, Failure, Incoming as _};
use crate::clock::SystemClock;
use crate::config::{BackboneConfig, Config, Secret};
use crate::core::Core;
use crate::store::{Store, StoreKeySource};
use crate::{ErrorCode, account};

/// What the other side takes as the hash of a password: any bytes.
const PASSWORD: &str = "cGFzc3dvcmQ=";
const WRONG: &str = "d3Jvbmc=";
const ELSEWHERE: &str = "https://elsewhere.example";

/// `sender` creates and uploads, `receiver` reads as another identity. `max_token_content` is the bound of the receiver.
async fn conforms(sender: &impl Delivery, owner: &Address, receiver: &impl Delivery, max_token_content: usize) {
    tokens_come_as_they_were_created(sender, receiver).await;
    a_password_is_asked_for_once(sender, receiver).await;
    what_is_not_there_is_not_found(sender, receiver).await;
    a_token_that_is_too_large_is_refused(sender, receiver, max_token_content).await;
    files_come_in_order_and_within_their_limit(sender, owner, receiver).await;
}

fn token(content: Vec<u8>, password: Option<&str>) -> CreateToken {
    let password = password.map(str::to_owned);
    CreateToken { content: Some(ByteText(content)), expires_at: Timestamp::NEVER, for_identity: None, password }
}

async fn tokens_come_as_they_were_created(sender: &impl Delivery, receiver: &impl Delivery) {
    let given = token(b"sealed".to_vec(), None);
    let created = sender.create_token(&given).await.unwrap();
    assert!(created.expires_at.is_none_or(|granted| granted <= given.expires_at));
    let read = receiver.token(&created.id, None, None).await.unwrap();
    assert_eq!((read.id, read.content), (created.id, given.content));
}

async fn a_password_is_asked_for_once(sender: &impl Delivery, receiver: &impl Delivery) {
    let id = sender.create_token(&token(b"sealed".to_vec(), Some(PASSWORD))).await.unwrap().id;
    for wrong in [None, Some(WRONG)] {
        assert!(matches!(receiver.token(&id, wrong, None).await, Err(Failure::NotFound(_))));
    }
    for password in [Some(PASSWORD), None] {
        assert!(receiver.token(&id, password, None).await.is_ok(), "{password:?}");
    }
}

async fn what_is_not_there_is_not_found(sender: &impl Delivery, receiver: &impl Delivery) {
    let (token, file) = ("TOKunknownunknown123".parse().unwrap(), "FILunknownunknown123".parse().unwrap());
    for delivery in [receiver.token(&token, None, Some(ELSEWHERE)).await.map(drop), {
        receiver.file_metadata(&file, Some(ELSEWHERE)).await.map(drop)
    }] {
        let Err(Failure::NotFound(error)) = delivery else { panic!("found") };
        assert_eq!(error.known_code(), Some(ErrorCode::RecordNotFound));
        assert!(error.to_string().contains(ELSEWHERE), "{error}");
    }
    assert!(matches!(sender.file_content(&file, 1).await.map(drop), Err(Failure::NotFound(_))));
}

async fn a_token_that_is_too_large_is_refused(sender: &impl Delivery, receiver: &impl Delivery, max: usize) {
    // The bound is one of the answer, in which the content is encoded twice and framed.
    let id = sender.create_token(&token(vec![0; 20 * max], None)).await.unwrap().id;
    assert!(matches!(receiver.token(&id, None, None).await, Err(Failure::TooLarge(_))));
}

async fn files_come_in_order_and_within_their_limit(sender: &impl Delivery, owner: &Address, receiver: &impl Delivery) {
    let bytes: Vec<u8> = (0..600_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    let length = bytes.len() as u64;
    let file = UploadFile {
        cipher_hash: Sha512Hash::of(&bytes).into(),
        owner: owner.clone(),
        owner_signature: ByteText(b"signature".to_vec()),
        expires_at: Timestamp::NEVER,
        encrypted_properties: ByteText(b"properties".to_vec()),
    };
    let content = UploadContent::Memory(bytes.clone().into());
    let created = sender.upload_file(&file, &content, None).await.unwrap();
    assert!(created.expires_at <= file.expires_at);
    let metadata = receiver.file_metadata(&created.id, None).await.unwrap();
    assert_eq!((metadata.id, metadata.encrypted_properties), (created.id.clone(), file.encrypted_properties));

    let mut incoming = receiver.file_content(&created.id, length).await.unwrap();
    let mut received = Vec::new();
    while let Some(chunk) = incoming.chunk().await.unwrap() {
        received.extend_from_slice(&chunk);
        assert_eq!(incoming.received(), received.len() as u64);
    }
    assert!(received == bytes);
    let cut = match receiver.file_content(&created.id, length - 1).await {
        Err(failure) => failure,
        Ok(mut incoming) => loop {
            match incoming.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("more than the limit was handed out"),
                Err(failure) => break failure,
            }
        },
    };
    assert!(matches!(cut, Failure::TooLarge(_)), "{cut:?}");
}

async fn node(directory: &std::path::Path, backbone: BackboneConfig) -> Arc<Core> {
    std::fs::create_dir_all(directory).unwrap();
    let config = Config::new(directory, backbone);
    let key = StoreKeySource::File(directory.join("store.key"));
    let store = Arc::new(Store::open_in(directory, &key, true).unwrap());
    let account = account::load_or_create(&config, &store, &SystemClock).await.unwrap();
    Core::new(config, Arc::new(SystemClock), store, account, directory.join("tmp"))
}

#[tokio::test]
async fn the_backbone_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let config = backbone_mock::Config::new(place.join("backbone")).with_client("test", "test");
    let backbone = backbone_mock::Backbone::start(config).await.unwrap();
    let max_token_content = 10_000;
    let settings =
        BackboneConfig { max_token_content, ..BackboneConfig::new(backbone.url(), "test", Secret::new("test")) };
    let sender = node(&place.join("sender"), settings.clone()).await;
    let receiver = node(&place.join("receiver"), settings).await;
    let owner = sender.account.address();
    conforms(&super::of(&sender), owner, &super::of(&receiver), max_token_content).await;
}
