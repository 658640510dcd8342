//! One list over stored tokens of both kinds, as they change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use transport::access::LEASE;
use transport::wire::Timestamp;
use transport::wire::backbone::token_terms::TokenTerms;

use super::super::{CreateOwnToken, CreateTokenForFile, FilesFacade, FindFileTokens, Node, StorageFacade, UpdateToken};
use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::delivery::memory::{self, Holder};
use crate::dto::{FileToken, ListedToken, TokenDelivery, TokenStatus};
use crate::held;
use crate::storage::{
    self, BucketRequest, Caller, Change, ContentUse, FileTokenChange, FileTokenQueries, FileTokenRequest,
    NewBucketFile, PresentedToken, Search as Words, records,
};
use crate::store::{Batch, StoreError, View, collection, token_values};
use crate::sync::Synchronizer;
use crate::token::TokenSettings;

const BUCKET: &str = "docs";

struct World {
    clock: Arc<ManualClock>,
    node: Arc<Node>,
    storage: StorageFacade,
    tokens: TokensFacade,
}

/// A node in a directory, without a server.
fn open(directory: &Path) -> World {
    let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00.000Z".parse().unwrap()));
    let node =
        Arc::new(Node { core: memory::node(directory, clock.clone()), sync: Synchronizer::idle(), server: None });
    World { clock, storage: StorageFacade::new(node.clone()), tokens: TokensFacade::new(node.clone()), node }
}

async fn run(test: impl AsyncFnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    // Boxed, because a test thread has a small stack.
    Box::pin(Holder::default().scope(Box::pin(test(directory.path())))).await;
}

fn query(method: &str, attribute: &str, values: &[Value]) -> String {
    json!({ "method": method, "attribute": attribute, "values": values }).to_string()
}

impl World {
    async fn find(&self, queries: &[String]) -> Vec<ListedToken> {
        let request = FindTokens { queries: queries.to_vec(), ..FindTokens::default() };
        self.tokens.find(request).await.unwrap().tokens
    }

    async fn ids(&self, queries: &[String]) -> Vec<String> {
        self.find(queries).await.into_iter().map(|token| token.id).collect()
    }

    async fn upload(&self, id: &str) {
        let new = NewBucketFile {
            bucket_id: BUCKET.to_owned(),
            file_id: id.to_owned(),
            name: "a".to_owned(),
            ..NewBucketFile::default()
        };
        let staged = self.storage.stage_content(Caller::Key, BUCKET, None, &b"content"[..]).await.unwrap();
        self.storage.create_bucket_file(Caller::Key, new, staged).await.unwrap();
    }

    async fn file_token(&self, file: &str, request: FileTokenRequest) -> FileToken {
        self.storage.create_file_token(Caller::Key, BUCKET, file, request).await.unwrap()
    }

    /// What is kept in memory, and the same read from the store.
    async fn assert_kept_as_stored(&self) {
        let all = [query("limit", "", &[json!(1000)])];
        let kept = self.find(&all).await;
        self.node.core.listed.forget();
        assert_eq!(kept, self.find(&all).await);
    }
}

#[tokio::test]
async fn tokens_of_both_kinds_are_on_one_list_in_the_order_of_their_creation() {
    run(async |directory| {
        let world = open(directory);
        world.storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
        world.upload("plan").await;
        let own = CreateOwnToken::new(json!({}), Timestamp::NEVER);
        let first = world.tokens.create_own_token(own).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        let request = FileTokenRequest { label: "for Ada".to_owned(), ..FileTokenRequest::default() };
        let second = world.file_token("plan", request).await;
        world.clock.advance(Duration::from_secs(1));
        let file = world.storage.bucket_file(Caller::Key, BUCKET, "plan").unwrap().file.unwrap();
        let files = FilesFacade::new(world.node.clone());
        let third = files.create_token_for_file(&file, CreateTokenForFile::default()).await.unwrap();

        let expected = [first.id.to_string(), second.id.to_string(), third.id.to_string()];
        assert_eq!(world.ids(&[]).await, expected);
        let newest = world.ids(&[query("orderDesc", "", &[]), query("limit", "", &[json!(2)])]).await;
        assert_eq!(newest, [expected[2].clone(), expected[1].clone()]);
        assert_eq!(world.ids(&[query("equal", "fileId", &[json!(file)])]).await, expected[1..]);
        let of_v1 = world.find(&[query("equal", "resourceId", &[json!("docs:plan")])]).await;
        assert_eq!(of_v1.len(), 1);
        assert_eq!((of_v1[0].delivery, of_v1[0].label.as_deref()), (TokenDelivery::Node, Some("for Ada")));
        assert!(!format!("{of_v1:?}").contains(second.secret.expose()));
        let after = query("cursorAfter", "", &[json!(expected[1])]);
        assert_eq!(world.ids(&[after]).await, expected[2..]);

        let of = async |file: &str| {
            let request = FindTokens { file: Some(file.to_owned()), ..FindTokens::default() };
            world.tokens.find(request).await.map(|found| found.tokens)
        };
        for name in ["docs:plan", file.as_str()] {
            let found: Vec<String> = of(name).await.unwrap().into_iter().map(|token| token.id).collect();
            assert_eq!(found, expected[1..], "{name}");
        }
        for unknown in ["docs:other", "other:plan", "FIL00000000000000000"] {
            assert!(of(unknown).await.unwrap().is_empty(), "{unknown}");
        }
        for wrong in ["plan", ":", "docs:", "docs:a:b"] {
            assert!(matches!(of(wrong).await, Err(Error::InvalidPropertyValue(_))), "{wrong}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_follows_changes_uses_and_removals_of_file_tokens() {
    run(async |directory| {
        let world = open(directory);
        world.storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
        for file in ["f", "g"] {
            world.upload(file).await;
        }
        assert!(world.find(&[]).await.is_empty());
        let counted = FileTokenRequest { max_downloads: Some(1), ..FileTokenRequest::default() };
        let token = world.file_token("f", counted).await;
        let other = world.file_token("g", FileTokenRequest::default()).await;
        let seen = async || world.find(&[query("equal", "id", &[json!(token.id.as_str())])]).await.remove(0);
        assert_eq!((seen().await.remaining, seen().await.status), (Some(1), TokenStatus::Active));

        let claim = world.storage.claim_file_token(&PresentedToken::read(token.secret.expose())).await.unwrap();
        assert_eq!((seen().await.remaining, seen().await.status), (Some(0), TokenStatus::Exhausted));
        // Nothing is stored when a lease ends.
        world.clock.advance(LEASE);
        assert_eq!((seen().await.remaining, seen().await.status), (Some(1), TokenStatus::Active));
        drop(claim);
        let change = FileTokenChange { label: Change::To("new".to_owned()), ..FileTokenChange::default() };
        world.storage.update_file_token(token.id.as_str(), change).await.unwrap();
        assert_eq!(world.ids(&[query("equal", "label", &[json!("new")])]).await, [token.id.to_string()]);
        world.storage.revoke_file_token(other.id.as_str()).await.unwrap();
        assert_eq!(world.ids(&[query("equal", "status", &[json!("revoked")])]).await, [other.id.to_string()]);
        world.assert_kept_as_stored().await;

        // As any device may remove the ordinary file.
        let file = world.storage.bucket_file(Caller::Key, BUCKET, "f").unwrap().file.unwrap();
        held::remove_object(&world.node.core, collection::FILES, file.as_str()).await.unwrap();
        assert_eq!(world.ids(&[]).await, [other.id.to_string()]);
        // The files of a deleted bucket, and their tokens, go later.
        let remove = |view: &View<'_>| {
            let (mut batch, mut edit) = (Batch::new(), records::Edit::default());
            let bucket = records::bucket(view, BUCKET)?.unwrap();
            edit.remove_bucket(view, &mut batch, &bucket)?;
            edit.finish(view, &mut batch)?;
            Ok::<_, StoreError>((batch, ()))
        };
        world.node.core.store.change(remove).await.unwrap();
        assert!(world.find(&[]).await.is_empty());
        world.assert_kept_as_stored().await;
    })
    .await;
}

#[tokio::test]
async fn lists_know_uses_that_are_not_stored_yet() {
    run(async |directory| {
        let world = open(directory);
        world.storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
        world.upload("f").await;
        let token = world.file_token("f", FileTokenRequest::default()).await;
        let used = async || {
            let filter = query("greaterThan", "downloads", &[json!(0)]);
            let find = FindFileTokens {
                queries: FileTokenQueries::parse(std::slice::from_ref(&filter)).unwrap(),
                search: Words::parse("").unwrap(),
                is_counted: true,
            };
            let found = world.storage.find_file_tokens_of(Caller::Key, BUCKET, "f", find).await.unwrap();
            assert_eq!(found.total, found.tokens.len() as u64);
            assert_eq!(world.ids(&[filter]).await.len(), found.tokens.len());
            found.tokens.first().map(|token| (token.downloads, token.accessed_at))
        };
        assert_eq!(used().await, None);
        let core = &world.node.core;
        let record = storage::token::find(&core.store.view(), token.id.as_str()).unwrap().unwrap();
        for count in 1..=2 {
            storage::token::note_use(core, &record, ContentUse::Download, 1, true).unwrap();
            assert_eq!(used().await, Some((count, Some(world.clock.now()))));
        }
        storage::token::flush(core).await.unwrap();
        assert_eq!(used().await.unwrap().0, 2);
    })
    .await;
}

#[tokio::test]
async fn a_list_tells_what_is_known_of_a_token_of_the_protocol_and_leases_end_by_themselves() {
    run(async |directory| {
        let world = open(directory);
        let own = CreateOwnToken::new(json!({}), Timestamp::NEVER);
        let id = world.tokens.create_own_token(own).await.unwrap().id;
        let seen = async || world.find(&[]).await.remove(0);
        assert_eq!((seen().await.status, seen().await.updated_at), (TokenStatus::Active, world.clock.now()));
        let keep = async |settings: &TokenSettings| {
            let mut batch = Batch::new();
            settings.put(&mut batch, &id).unwrap();
            world.node.core.store.commit(batch).await.unwrap();
        };
        let told = TokenTerms {
            expires_at: Timestamp::NEVER,
            not_before: None,
            max_uses: Some(1),
            strict_uses: false,
            committed_uses: 0,
            leased_uses: 1,
            failed_attempts: 100,
            is_locked: true,
            revoked_at: None,
            last_read_at: None,
        };
        world.clock.advance(Duration::from_secs(1));
        let changed_at = world.clock.now();
        let locked = TokenSettings::default().refreshed(&told, changed_at);
        keep(&locked).await;
        assert_eq!((seen().await.status, seen().await.updated_at), (TokenStatus::Locked, changed_at));
        let of_status = query("equal", "status", &[json!("locked")]);
        assert_eq!(world.ids(&[of_status]).await, [id.to_string()]);
        let unlocked = locked.refreshed(&TokenTerms { is_locked: false, ..told }, changed_at);
        keep(&unlocked).await;
        assert_eq!((seen().await.status, seen().await.remaining), (TokenStatus::Exhausted, Some(0)));
        world.clock.advance(LEASE);
        assert_eq!((seen().await.status, seen().await.remaining), (TokenStatus::Active, Some(1)));
        assert_eq!(seen().await.updated_at, changed_at);
        world.assert_kept_as_stored().await;

        let label = UpdateToken { label: Some(Some("a".parse().unwrap())), ..UpdateToken::default() };
        for expected in [world.clock.now(), world.clock.now()] {
            world.tokens.update_token(&id, label.clone()).await.unwrap();
            assert_eq!(seen().await.updated_at, expected, "only what changes something counts");
            world.clock.advance(Duration::from_secs(1));
        }
    })
    .await;
}

#[tokio::test]
async fn damaged_values_hide_no_other_tokens() {
    run(async |directory| {
        let world = open(directory);
        world.storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
        world.upload("f").await;
        let own = async || {
            let request = CreateOwnToken::new(json!({}), Timestamp::NEVER);
            world.tokens.create_own_token(request).await.unwrap().id
        };
        let (revoked, noted) = (own().await, own().await);
        let damaged = world.file_token("f", FileTokenRequest::default()).await;
        let unknown = world.file_token("f", FileTokenRequest::default()).await;
        let whole = world.file_token("f", FileTokenRequest::default()).await;
        let mut batch = Batch::new();
        for name in [
            format!("{}{revoked}", token_values::REVOCATION),
            format!("{}{noted}", token_values::SETTINGS),
            format!("{}{:016x}", token_values::FILE_TOKEN_USES, damaged.sequence),
            format!("{}{:016x}", token_values::FILE_TOKEN, unknown.sequence),
        ] {
            batch.put_value(&name, &"not what is there").unwrap();
        }
        world.node.core.store.commit(batch).await.unwrap();
        let (noted, whole) = (noted.to_string(), whole.id.to_string());
        let of = |id: &str| query("equal", "id", &[json!(id)]);
        assert_eq!(world.ids(&[of(&noted)]).await, [noted]);
        assert_eq!(world.ids(&[of(&whole)]).await, [whole]);
        assert_eq!(world.find(&[]).await.len(), 2);
        world.assert_kept_as_stored().await;
    })
    .await;
}

#[tokio::test]
async fn a_list_is_the_same_after_a_restart() {
    run(async |directory| {
        let before = {
            let world = open(directory);
            world.storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
            world.upload("f").await;
            world.file_token("f", FileTokenRequest::default()).await;
            let expires_at = world.clock.now().saturating_add(Duration::from_secs(9));
            world.tokens.create_own_token(CreateOwnToken::new(json!({}), expires_at)).await.unwrap();
            let found = world.find(&[]).await;
            world.node.core.background.stop().await;
            world.node.core.store.close().unwrap();
            found
        };
        assert_eq!(before.len(), 2);
        assert_eq!(open(directory).find(&[]).await, before);
    })
    .await;
}

/// What somebody does with tokens.
#[derive(Debug, Clone)]
enum Act {
    Create { expires_in: u64 },
    CreateOnFile { most: Option<u64> },
    Change { which: usize, label: String },
    Delete { which: usize },
    List,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1..5_u64).prop_map(|expires_in| Act::Create { expires_in }),
        prop::option::of(1..3_u64).prop_map(|most| Act::CreateOnFile { most }),
        (any::<prop::sample::Index>(), "[ab]{1,2}").prop_map(|(at, label)| Act::Change { which: at.index(9), label }),
        any::<prop::sample::Index>().prop_map(|at| Act::Delete { which: at.index(9) }),
        Just(Act::List),
    ]
}

impl World {
    async fn act(&self, act: Act) {
        let listed = async |which: usize| self.find(&[]).await.into_iter().nth(which);
        match act {
            Act::Create { expires_in } => {
                let expires_at = self.clock.now().saturating_add(Duration::from_secs(expires_in));
                self.tokens.create_own_token(CreateOwnToken::new(json!({}), expires_at)).await.unwrap();
            }
            Act::CreateOnFile { most } => {
                let request = FileTokenRequest { max_downloads: most, ..FileTokenRequest::default() };
                self.file_token("f", request).await;
            }
            Act::Change { which, label } => {
                if let Some(token) = listed(which).await.filter(|token| token.delivery == TokenDelivery::Node) {
                    let change = FileTokenChange { label: Change::To(label), ..FileTokenChange::default() };
                    self.storage.update_file_token(&token.id, change).await.unwrap();
                }
            }
            Act::Delete { which } => match listed(which).await {
                Some(token) if token.delivery == TokenDelivery::Node => {
                    self.storage.delete_file_token(&token.id).await.unwrap();
                }
                Some(token) => {
                    held::remove_object(&self.node.core, collection::TOKENS, &token.id).await.unwrap();
                }
                None => {}
            },
            Act::List => drop(self.find(&[]).await),
        }
        self.clock.advance(Duration::from_secs(1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_kept_in_memory_is_what_the_store_has(acts in prop::collection::vec(any_act(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(async |directory| {
            let world = open(directory);
            world.storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
            world.upload("f").await;
            for act in acts {
                world.act(act).await;
            }
            world.assert_kept_as_stored().await;
        }));
    }
}
