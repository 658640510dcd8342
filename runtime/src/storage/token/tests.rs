//! File tokens over a store: who gets a content by one, what is counted, and what becomes of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use transport::access::LEASE;
use transport::wire::Timestamp;

use super::{MAX_TOKENS, MAX_TOKENS_OF_FILE, READABLE_FOR, TokenKey, TokenRefusal, access, record};
use crate::StorageConfig;
use crate::clock::{Clock as _, ManualClock};
use crate::delivery::memory::{self, Holder};
use crate::dto::{FileToken, FileTokenStatus};
use crate::event::Event;
use crate::facade::{BucketContent, ContentRequest, FindFileTokens, Node, StorageFacade, TokenUse};
use crate::listed::MAX_DELETED;
use crate::storage::records::Edit;
use crate::storage::{
    BucketRequest, Caller, Change, ContentUse, Counting, Endpoints, FileTokenChange, FileTokenQueries,
    FileTokenRequest, NewBucketFile, Notify, PresentedToken, Search, StorageError, StorageResult, TokenClaimId,
    records,
};
use crate::store::{Batch, View, collection, work};
use crate::sync::Synchronizer;

const BUCKET: &str = "bucket";
const TICK: Duration = Duration::from_millis(1);

struct World {
    clock: Arc<ManualClock>,
    node: Arc<Node>,
    storage: StorageFacade,
}

fn start() -> Timestamp {
    "2030-01-01T00:00:00.000Z".parse().unwrap()
}

fn open(directory: &Path) -> World {
    let clock = Arc::new(ManualClock::new(start()));
    let core = memory::node(directory, clock.clone());
    let node = Arc::new(Node { core, sync: Synchronizer::idle(), server: None });
    World { clock, storage: StorageFacade::new(node.clone()), node }
}

async fn upload(storage: &StorageFacade, id: &str) {
    let new = NewBucketFile {
        bucket_id: BUCKET.to_owned(),
        file_id: id.to_owned(),
        name: "a".to_owned(),
        ..NewBucketFile::default()
    };
    let staged = storage.stage_content(Caller::Key, BUCKET, None, &b"content"[..]).await.unwrap();
    storage.create_bucket_file(Caller::Key, new, staged).await.unwrap();
}

/// A bucket that guests may not read, with the files `f` and `g`.
async fn world(directory: &Path) -> World {
    let world = open(directory);
    world.storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
    for id in ["f", "g"] {
        upload(&world.storage, id).await;
    }
    world
}

impl World {
    async fn token(&self, request: FileTokenRequest) -> FileToken {
        self.storage.create_file_token(Caller::Key, BUCKET, "f", request).await.unwrap()
    }

    /// Stores tokens like this one with these numbers, on other files if they are named.
    async fn fill(&self, like: &FileToken, others: impl Iterator<Item = (u64, Option<u64>)> + Clone) {
        let fill = |view: &View<'_>| {
            let template = record::find(view, like.id.as_str())?.unwrap();
            let (mut batch, mut edit) = (Batch::new(), Edit::default());
            for (number, file) in others.clone() {
                let (id, number) = (format!("t{number}"), 1_000_000 + number);
                let file = file.unwrap_or(template.file);
                record::add(
                    view,
                    &mut batch,
                    &mut edit,
                    &record::TokenRecord { id, number, file, ..template.clone() },
                )?;
            }
            edit.finish(view, &mut batch)?;
            Ok::<_, StorageError>((batch, ()))
        };
        self.node.core.store.change(fill).await.unwrap();
    }

    async fn counted(&self, max_downloads: u64) -> FileToken {
        self.token(FileTokenRequest { max_downloads: Some(max_downloads), ..FileTokenRequest::default() }).await
    }

    fn ask(&self, secret: &str, file: &str, used_as: ContentUse, counting: Counting) -> StorageResult<BucketContent> {
        let token = Some(TokenUse { token: PresentedToken::read(secret), counting });
        self.storage.content(Caller::Guest, BUCKET, file, ContentRequest { token, used_as })
    }

    /// As a face does: asks for the content from its first byte on.
    async fn load(&self, token: &FileToken, counting: Counting) -> StorageResult<BucketContent> {
        let content = self.ask(token.secret.expose(), "f", ContentUse::Download, counting)?;
        self.storage.use_token(&content, Some(0)).await?;
        Ok(content)
    }

    async fn told(&self, token: &FileToken, counting: Counting) -> Option<TokenRefusal> {
        refusal(self.load(token, counting).await)
    }

    async fn listed(&self) -> Vec<FileToken> {
        self.storage.find_file_tokens(everything()).await.unwrap().tokens
    }

    async fn listed_of(&self, caller: Caller, file: &str) -> StorageResult<Vec<FileToken>> {
        Ok(self.storage.find_file_tokens_of(caller, BUCKET, file, everything()).await?.tokens)
    }

    fn now_of(&self, token: &FileToken) -> FileToken {
        self.storage.file_token(token.id.as_str()).unwrap()
    }
}

fn everything() -> FindFileTokens {
    let queries = FileTokenQueries::parse(&[query::Query::limit(5000).to_string()]).unwrap();
    FindFileTokens { queries, search: Search::parse("").unwrap(), is_counted: false }
}

fn refusal<T>(outcome: StorageResult<T>) -> Option<TokenRefusal> {
    match outcome {
        Ok(_) => None,
        Err(StorageError::Token(refusal)) => Some(refusal),
        Err(other) => panic!("{other}"),
    }
}

fn counts(token: &FileToken) -> (u64, Option<u32>, FileTokenStatus) {
    (token.downloads, token.remaining, token.status)
}

#[tokio::test]
async fn a_secret_opens_its_file_as_long_as_it_is_the_current_one() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let token = world.token(FileTokenRequest::default()).await;
        let secret = token.secret.expose();
        let told = |secret: &str| refusal(world.ask(secret, "f", ContentUse::View, Counting::Unclaimed));
        assert_eq!(world.load(&token, Counting::Unclaimed).await.unwrap().file.id.as_str(), "f");
        let other = world.ask(secret, "g", ContentUse::View, Counting::Unclaimed);
        assert!(matches!(other, Err(StorageError::TokenOfOtherFile)));
        let unknown = secret.replace(token.id.as_str(), "x");
        for wrong in ["", "x", &secret[1..], &secret[..60], &unknown] {
            assert_eq!(told(wrong), Some(TokenRefusal::Invalid), "{wrong}");
        }
        // The secret follows the expiry, and neither a rotation nor a revocation leaves it anything.
        let end = start().saturating_add(TICK);
        let changed = world.storage.update_file_token(token.id.as_str(), FileTokenChange::of_expiry(Some(end))).await;
        assert_eq!(changed.unwrap().secret, token.secret);
        world.clock.advance(2 * TICK);
        assert_eq!(told(secret), Some(TokenRefusal::Expired));
        let later = FileTokenChange::of_expiry(Some(end.saturating_add(LEASE)));
        world.storage.update_file_token(token.id.as_str(), later).await.unwrap();
        assert_eq!(told(secret), None);
        let rotated = world.storage.rotate_file_token(token.id.as_str()).await.unwrap();
        assert_eq!((told(secret), told(rotated.secret.expose())), (Some(TokenRefusal::Invalid), None));
        let revoked = world.storage.revoke_file_token(token.id.as_str()).await.unwrap();
        assert_eq!(
            (revoked.status, told(rotated.secret.expose())),
            (FileTokenStatus::Revoked, Some(TokenRefusal::Invalid))
        );
        let again = world.storage.revoke_file_token(token.id.as_str()).await.unwrap();
        assert_eq!(again, revoked);
        assert!(matches!(world.storage.rotate_file_token(token.id.as_str()).await, Err(StorageError::TokenRevoked)));
        world.storage.delete_file_token(token.id.as_str()).await.unwrap();
        let gone = world.storage.delete_file_token(token.id.as_str()).await;
        assert!(matches!(gone, Err(StorageError::TokenNotFound)));
        assert!(matches!(world.storage.file_token(token.id.as_str()), Err(StorageError::TokenNotFound)));
    })))
    .await;
}

#[tokio::test]
async fn tokens_go_with_their_file_and_bucket_and_a_new_file_inherits_none() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let (token, other) = (world.token(FileTokenRequest::default()).await, world.counted(3).await);
        world.load(&other, Counting::Once).await.unwrap();
        access::flush(&world.node.core).await.unwrap();
        // As any device may remove the ordinary file.
        let file = world.storage.bucket_file(Caller::Key, BUCKET, "f").unwrap().file.unwrap();
        crate::held::remove_object(&world.node.core, collection::FILES, file.as_str()).await.unwrap();
        // Nothing is left but the key.
        for prefix in
            ["StorageToken/", "StorageTokenId/", "StorageTokenOf/", "StorageTokenUses/", "StorageTokenAccess/"]
        {
            let left = world.node.core.store.view().value_names(prefix, prefix, 9).unwrap();
            assert_eq!(left, [""; 0], "{prefix}");
        }
        upload(&world.storage, "f").await;
        assert_eq!(world.told(&token, Counting::Unclaimed).await, Some(TokenRefusal::Invalid));
        let token = world.token(FileTokenRequest::default()).await;
        let listed = world.listed().await;
        assert_eq!(listed, std::slice::from_ref(&token));
        let of_file = world.listed_of(Caller::Key, "f").await.unwrap();
        assert_eq!(of_file, listed);
        assert!(world.listed_of(Caller::Key, "g").await.unwrap().is_empty());
        assert!(matches!(world.listed_of(Caller::Guest, "f").await, Err(StorageError::NotPermitted(_))));
        // Files of a deleted bucket may take a while; its tokens do not.
        let remove = |view: &View<'_>| {
            let (mut batch, mut edit) = (Batch::new(), Edit::default());
            let bucket = records::bucket(view, BUCKET)?.unwrap();
            edit.remove_bucket(view, &mut batch, &bucket)?;
            edit.finish(view, &mut batch)?;
            Ok::<_, StorageError>((batch, ()))
        };
        world.node.core.store.change(remove).await.unwrap();
        assert!(world.listed().await.is_empty());
        assert!(matches!(world.storage.file_token(token.id.as_str()), Err(StorageError::TokenNotFound)));
        let claimed = world.storage.claim_file_token(&PresentedToken::read(token.secret.expose())).await;
        assert_eq!(refusal(claimed), Some(TokenRefusal::Invalid));
    })))
    .await;
}

#[tokio::test]
async fn tokens_are_taken_up_to_their_bounds() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let first = world.token(FileTokenRequest::default()).await;
        world.fill(&first, (1..MAX_TOKENS_OF_FILE as u64 - 1).map(|number| (number, None))).await;
        let create = |file| world.storage.create_file_token(Caller::Key, BUCKET, file, FileTokenRequest::default());
        let last = create("f").await.unwrap();
        assert!(matches!(create("f").await, Err(StorageError::LimitReached(_))));
        world.storage.delete_file_token(last.id.as_str()).await.unwrap();
        create("f").await.unwrap();
        let crowd = |view: &View<'_>| {
            let (mut batch, mut edit) = (Batch::new(), Edit::default());
            let left = MAX_TOKENS - edit.tokens(view)?;
            edit.add_tokens(view, left - 1)?;
            edit.finish(view, &mut batch)?;
            Ok::<_, StorageError>((batch, ()))
        };
        world.node.core.store.change(crowd).await.unwrap();
        create("g").await.unwrap();
        assert!(matches!(create("g").await, Err(StorageError::LimitReached(_))));
        let all = world.listed().await;
        let ids: Vec<_> = all.into_iter().map(|token| token.id).collect();
        assert_eq!(ids.len(), MAX_TOKENS_OF_FILE + 1);
        assert_eq!(world.storage.delete_file_tokens(&ids).await.unwrap(), ids.len() as u64);
        assert_eq!(world.storage.delete_file_tokens(&ids).await.unwrap(), 0);
    })))
    .await;
}

#[tokio::test]
async fn the_last_use_is_known_at_once_and_written_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let mut events = world.node.core.events.subscribe();
        let request = FileTokenRequest {
            allow: Endpoints::parse(&["download"]).unwrap(),
            notify: Notify::First,
            ..FileTokenRequest::default()
        };
        let token = world.token(request).await;
        let stored = || record::access_of(&world.node.core.store.view(), token.sequence).unwrap();
        let secret = token.secret.expose();
        for (secret, used_as) in [("x", ContentUse::Download), (secret, ContentUse::View)] {
            assert!(world.ask(secret, "f", used_as, Counting::Unclaimed).is_err());
        }
        assert!(world.ask(secret, "g", ContentUse::Download, Counting::Unclaimed).is_err());
        assert_eq!(world.now_of(&token).accessed_at, None);
        for _ in 0..2 {
            world.clock.advance(TICK);
            world.load(&token, Counting::Unclaimed).await.unwrap();
            let known = world.now_of(&token);
            assert_eq!(known.accessed_at, Some(world.clock.now()));
        }
        assert_eq!(stored(), None);
        access::flush(&world.node.core).await.unwrap();
        assert_eq!(stored().unwrap().at, world.clock.now());
        assert_eq!(counts(&world.now_of(&token)), (2, None, FileTokenStatus::Active));
        // What is sent from elsewhere than the beginning, or not at all, is a use, but none more.
        world.clock.advance(TICK);
        let content = world.ask(secret, "f", ContentUse::Download, Counting::Unclaimed).unwrap();
        world.storage.use_token(&content, Some(1)).await.unwrap();
        world.storage.use_token(&content, None).await.unwrap();
        assert_eq!((world.now_of(&token).downloads, world.now_of(&token).accessed_at), (2, Some(world.clock.now())));
        // One that is deleted meanwhile leaves nothing.
        world.storage.delete_file_token(token.id.as_str()).await.unwrap();
        access::flush(&world.node.core).await.unwrap();
        assert_eq!(stored(), None);
        let told = |event| matches!(event, Event::FileTokenUsed { file, used_as: ContentUse::Download, .. } if file.as_str() == "f");
        let mut count = 0;
        while let Ok(event) = events.try_recv() {
            count += usize::from(told(event));
        }
        assert_eq!(count, 1);
    })))
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_nothing_is_counted_for_goes_on_without_the_store_and_is_not_tried_to_be_written_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let (token, counted) = (world.token(FileTokenRequest::default()).await, world.counted(1).await);
        world.node.core.background.idle().await;
        world.node.core.store.close().unwrap();
        world.load(&token, Counting::Unclaimed).await.unwrap();
        let content = world.ask(counted.secret.expose(), "f", ContentUse::View, Counting::Once).unwrap();
        assert!(world.storage.use_token(&content, Some(0)).await.is_err(), "what is counted has to be stored");
        // Ends, because writing does.
        world.node.core.background.idle().await;
        assert_eq!(world.now_of(&token).downloads, 1, "it stays noted");
    })))
    .await;
}

#[tokio::test]
async fn of_64_claimants_of_one_use_one_gets_it_and_keeps_it_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        for counting in [Counting::Once, Counting::Nothing] {
            let token = world.counted(1).await;
            let presented = PresentedToken::read(token.secret.expose());
            let attempts = (0..64).map(|_| async {
                match &counting {
                    Counting::Once => world.told(&token, Counting::Once).await,
                    _ => refusal(world.storage.claim_file_token(&presented).await),
                }
            });
            let outcomes = futures_util::future::join_all(attempts).await;
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 1);
            assert!(outcomes.iter().flatten().all(|refusal| *refusal == TokenRefusal::Exhausted));
            assert_eq!(world.now_of(&token).status, FileTokenStatus::Exhausted);
        }
        let before = world.listed().await;
        let World { node, storage, .. } = world;
        node.core.background.stop().await;
        access::flush(&node.core).await.unwrap();
        node.core.store.close().unwrap();
        drop((storage, node));
        let world = open(directory.path());
        assert_eq!(world.listed().await, before);
        assert_eq!(world.told(&before[0], Counting::Once).await, Some(TokenRefusal::Exhausted));
    })))
    .await;
}

#[tokio::test]
async fn a_claim_is_one_use_however_often_it_reads() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let token = world.counted(2).await;
        let presented = PresentedToken::read(token.secret.expose());
        assert_eq!(world.told(&token, Counting::Unclaimed).await, Some(TokenRefusal::ClaimRequired));
        // Looking costs nothing.
        let looked = world.ask(token.secret.expose(), "f", ContentUse::View, Counting::Nothing).unwrap();
        assert!(looked.by_token.is_some_and(|by| by.is_limited));
        assert_eq!(counts(&world.now_of(&token)), (0, Some(2), FileTokenStatus::Active));
        let claim = world.storage.claim_file_token(&presented).await.unwrap();
        assert_eq!((claim.remaining, claim.lease_ends_at), (Some(1), start().saturating_add(LEASE)));
        for first in [0, 3, 0] {
            let under = Counting::Under(claim.id.clone());
            let content = world.ask(token.secret.expose(), "f", ContentUse::Download, under).unwrap();
            world.storage.use_token(&content, Some(first)).await.unwrap();
        }
        assert_eq!(counts(&world.now_of(&token)), (0, Some(1), FileTokenStatus::Active));
        for _ in 0..2 {
            world.storage.commit_token_claim(&claim.id).await.unwrap();
        }
        assert_eq!(counts(&world.now_of(&token)), (1, Some(1), FileTokenStatus::Active));
        let of_other = Counting::Under(TokenClaimId::new("other"));
        assert_eq!(world.told(&token, of_other).await, Some(TokenRefusal::ClaimRequired));
        // A lease without content is free when it is over, and one with content counts.
        let idle = world.storage.claim_file_token(&presented).await.unwrap();
        assert_eq!(refusal(world.storage.claim_file_token(&presented).await), Some(TokenRefusal::Exhausted));
        world.clock.advance(LEASE);
        let lapsed = world.storage.commit_token_claim(&idle.id).await;
        assert!(matches!(lapsed, Err(StorageError::ClaimNotFound)));
        assert_eq!(counts(&world.now_of(&token)), (1, Some(1), FileTokenStatus::Active));
        let unknown = Some(TokenRefusal::UnknownClaim);
        for id in [idle.id, TokenClaimId::new(token.id.as_str())] {
            assert_eq!(world.told(&token, Counting::Under(id)).await, unknown);
        }
        assert_eq!(counts(&world.now_of(&token)), (1, Some(1), FileTokenStatus::Active));
        let lapsing = world.storage.claim_file_token(&presented).await.unwrap();
        let begun =
            world.ask(token.secret.expose(), "f", ContentUse::View, Counting::Under(lapsing.id.clone())).unwrap();
        world.clock.advance(LEASE);
        assert_eq!(refusal(world.storage.use_token(&begun, Some(0)).await), unknown, "it is decided when it is stored");
        let read = world.storage.claim_file_token(&presented).await.unwrap();
        world.load(&token, Counting::Under(read.id.clone())).await.unwrap();
        world.clock.advance(LEASE);
        assert_eq!(counts(&world.now_of(&token)), (2, Some(0), FileTokenStatus::Exhausted));
        // Whoever has used it goes on under the claim for a time, and then no longer.
        let over = Some(TokenRefusal::Exhausted);
        assert_eq!(world.told(&token, Counting::Under(claim.id.clone())).await, over);
        let lapsed = Counting::Under(read.id);
        world.clock.advance(READABLE_FOR.saturating_sub(TICK));
        let last = world.ask(token.secret.expose(), "f", ContentUse::View, lapsed.clone()).unwrap();
        world.storage.use_token(&last, Some(0)).await.unwrap();
        world.clock.advance(TICK);
        assert_eq!(refusal(world.storage.use_token(&last, Some(0)).await), over, "it is decided when it is stored");
        assert_eq!(world.told(&token, lapsed).await, over);
        assert_eq!(world.told(&token, Counting::Once).await, Some(TokenRefusal::Exhausted));
        let more = FileTokenChange { max_downloads: Change::To(Some(4)), ..FileTokenChange::default() };
        world.storage.update_file_token(token.id.as_str(), more).await.unwrap();
        assert_eq!(world.told(&token, Counting::Once).await, None);
        // Between the decision and the reservation it may be revoked.
        let content = world.ask(token.secret.expose(), "f", ContentUse::View, Counting::Once).unwrap();
        world.storage.revoke_file_token(token.id.as_str()).await.unwrap();
        assert_eq!(refusal(world.storage.use_token(&content, Some(0)).await), Some(TokenRefusal::Invalid));
        let ended = world.storage.commit_token_claim(&claim.id).await;
        assert!(matches!(ended, Err(StorageError::ClaimNotFound)));
    })))
    .await;
}

#[tokio::test]
async fn a_limit_that_is_set_later_counts_the_uses_from_before() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let token = world.token(FileTokenRequest::default()).await;
        let limit = async |most: Option<u64>| {
            let change = FileTokenChange { max_downloads: Change::To(most), ..FileTokenChange::default() };
            counts(&world.storage.update_file_token(token.id.as_str(), change).await.unwrap())
        };
        for _ in 0..3 {
            assert_eq!(world.told(&token, Counting::Unclaimed).await, None);
        }
        assert_eq!(limit(Some(3)).await, (3, Some(0), FileTokenStatus::Exhausted));
        assert_eq!(world.told(&token, Counting::Once).await, Some(TokenRefusal::Exhausted));
        access::flush(&world.node.core).await.unwrap();
        assert_eq!(limit(Some(5)).await, (3, Some(2), FileTokenStatus::Active));
        assert_eq!(world.told(&token, Counting::Once).await, None);
        assert_eq!(limit(None).await, (4, None, FileTokenStatus::Active));
        assert_eq!(world.told(&token, Counting::Unclaimed).await, None);
        assert_eq!(limit(None).await, (5, None, FileTokenStatus::Active));
        assert_eq!(limit(Some(10)).await, (5, Some(5), FileTokenStatus::Active));
        assert_eq!(limit(Some(2)).await, (5, Some(0), FileTokenStatus::Exhausted));
    })))
    .await;
}

#[tokio::test]
async fn what_earlier_versions_counted_is_read_and_opens_nothing_any_more() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let token = world.counted(2).await;
        let id = TokenClaimId::new(token.id.as_str());
        let store = |_: &View<'_>| {
            let claims = serde_json::json!([[id.claim(), null]]);
            let uses = serde_json::json!({"limit": 2, "is_strict": false, "committed": 1, "claims": claims});
            let mut batch = Batch::new();
            batch.put_value(&format!("StorageTokenUses/{:016x}", token.sequence), &uses)?;
            Ok::<_, StorageError>((batch, ()))
        };
        world.node.core.store.change(store).await.unwrap();
        assert_eq!(counts(&world.now_of(&token)), (1, Some(1), FileTokenStatus::Active));
        assert_eq!(world.told(&token, Counting::Under(id)).await, Some(TokenRefusal::Exhausted));
        assert_eq!(world.told(&token, Counting::Once).await, None);
    })))
    .await;
}

#[tokio::test]
async fn a_secret_of_no_token_costs_the_reads_of_a_wrong_one_whatever_ids_there_are() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        // Of the first and the last one uses are counted, of the others none.
        let mut tokens =
            [world.counted(2).await, world.counted(2).await, world.counted(2).await, world.counted(2).await];
        tokens.sort_by_key(|token| token.id.to_string());
        for token in [&tokens[0], &tokens[3]] {
            world.load(token, Counting::Once).await.unwrap();
        }
        world.storage.revoke_file_token(tokens[2].id.as_str()).await.unwrap();
        world.storage.revoke_file_token(tokens[3].id.as_str()).await.unwrap();
        // Nothing is left to be written behind the answers, so only the requests read.
        access::flush(&world.node.core).await.unwrap();
        let hash =
            world.token(FileTokenRequest::default()).await.secret.expose().rsplit_once('.').unwrap().1.to_owned();
        let revoked = tokens[2..].iter().map(|token| token.secret.expose().to_owned());
        let wrong = tokens.iter().map(|token| format!("{}.{hash}", token.id));
        // Behind each token, before all of them and behind all.
        let behind = tokens.iter().map(|token| format!("{}0", token.id));
        let unknown = behind.chain(["0".to_owned(), "z".repeat(24)]).map(|id| format!("{id}.{hash}"));
        let mut costs = Vec::new();
        for secret in wrong.chain(revoked).chain(unknown).chain(["none".to_owned()]) {
            let _ = work();
            let told = refusal(world.ask(&secret, "f", ContentUse::View, Counting::Once));
            let asked = work();
            let claimed = refusal(world.storage.claim_file_token(&PresentedToken::read(&secret)).await);
            assert_eq!((told, claimed), (Some(TokenRefusal::Invalid), Some(TokenRefusal::Invalid)), "{secret}");
            costs.push((asked, work()));
        }
        // The key, the number, the token and its bucket; the request is for a bucket and a file, too.
        assert!(costs[0].0.opened > 4 && costs[0].1.opened > 3, "{costs:?}");
        assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    })))
    .await;
}

#[tokio::test]
async fn its_owner_is_told_of_each_use_and_not_of_each_request() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let mut events = world.node.core.events.subscribe();
        let mut told = || {
            let told = std::iter::from_fn(|| events.try_recv().ok());
            told.filter(|event| matches!(event, Event::FileTokenUsed { .. })).count()
        };
        let each =
            |max_downloads| FileTokenRequest { max_downloads, notify: Notify::Each, ..FileTokenRequest::default() };
        let [endless, counted] = [world.token(each(None)).await, world.token(each(Some(5))).await];
        let ranges = |token: &FileToken, counting: Counting| {
            let content = world.ask(token.secret.expose(), "f", ContentUse::Download, counting).unwrap();
            let storage = &world.storage;
            async move {
                for first in [Some(0), Some(3), None] {
                    storage.use_token(&content, first).await.unwrap();
                }
            }
        };
        for counting in [Counting::Unclaimed, Counting::Once] {
            ranges(&endless, counting).await;
            assert_eq!(told(), 1);
        }
        assert_eq!(counts(&world.now_of(&endless)), (2, None, FileTokenStatus::Active));
        let uses = record::uses_of(&world.node.core.store.view(), &stored(&world, &endless)).unwrap();
        assert_eq!(uses.committed(start()), 0, "without a limit no answer waits for the disk");
        let presented = PresentedToken::read(counted.secret.expose());
        let [read, committed] = [
            world.storage.claim_file_token(&presented).await.unwrap(),
            world.storage.claim_file_token(&presented).await.unwrap(),
        ];
        // Who says that the content has arrived before it was asked for does not get it unnoticed.
        world.storage.commit_token_claim(&committed.id).await.unwrap();
        assert_eq!(told(), 0);
        for claim in [read, committed] {
            ranges(&counted, Counting::Under(claim.id.clone())).await;
            assert_eq!(told(), 1);
            ranges(&counted, Counting::Under(claim.id)).await;
            assert_eq!(told(), 0);
        }
    })))
    .await;
}

fn stored(world: &World, token: &FileToken) -> record::TokenRecord {
    record::at(&world.node.core.store.view(), token.sequence).unwrap().unwrap()
}

#[tokio::test]
async fn nothing_is_counted_where_permissions_are_enough() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let token = world.counted(1).await;
        let token_use = TokenUse { token: PresentedToken::read(token.secret.expose()), counting: Counting::Once };
        let request = ContentRequest { token: Some(token_use), used_as: ContentUse::Download };
        let content = world.storage.content(Caller::Key, BUCKET, "f", request).unwrap();
        assert!(content.by_token.is_none());
        world.storage.use_token(&content, Some(0)).await.unwrap();
        assert_eq!(world.now_of(&token), token);
        let other = world.ask(token.secret.expose(), "g", ContentUse::View, Counting::Unclaimed);
        assert!(matches!(other, Err(StorageError::TokenOfOtherFile)), "before it is said that a claim is missing");
    })))
    .await;
}

#[tokio::test]
async fn a_damaged_token_does_not_keep_others_from_being_removed() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let ended = || world.token(FileTokenRequest { expire: Some(start()), ..FileTokenRequest::default() });
        let (damaged, other) = (ended().await, ended().await);
        let mut batch = Batch::new();
        batch.put_value(&format!("StorageToken/{:016x}", damaged.sequence), &"not what is there").unwrap();
        world.node.core.store.commit(batch).await.unwrap();
        world.clock.advance(StorageConfig::DEFAULT_TOKEN_RETENTION + TICK);
        access::sweep(&world.node.core).await.unwrap();
        assert!(matches!(world.storage.file_token(other.id.as_str()), Err(StorageError::TokenNotFound)));
        assert!(matches!(world.storage.file_token(damaged.id.as_str()), Err(StorageError::Node(_))));
    })))
    .await;
}

#[tokio::test]
async fn a_damaged_token_goes_with_its_file_and_keeps_no_use_of_others_from_being_written() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let (damaged, other) =
            (world.token(FileTokenRequest::default()).await, world.token(FileTokenRequest::default()).await);
        let request = FileTokenRequest::default();
        let elsewhere = world.storage.create_file_token(Caller::Key, BUCKET, "g", request).await.unwrap();
        let core = &world.node.core;
        for token in [&damaged, &other, &elsewhere] {
            access::note_use(core, &stored(&world, token), ContentUse::View, 1, true).unwrap();
        }
        let mut batch = Batch::new();
        for token in [&damaged, &elsewhere] {
            batch.put_value(&format!("StorageToken/{:016x}", token.sequence), &"not what is there").unwrap();
        }
        core.store.commit(batch).await.unwrap();
        access::flush(core).await.unwrap();
        assert!(core.token_accesses.all().is_empty(), "nobody tries again for ever");
        assert!(record::access_of(&core.store.view(), other.sequence).unwrap().is_some());
        let remove = |view: &View<'_>| {
            let bucket = records::bucket(view, BUCKET)?.unwrap();
            let (mut batch, mut edit) = (Batch::new(), Edit::default());
            for id in ["f", "g"] {
                edit.remove_file(view, &mut batch, &records::file(view, bucket.number, id)?.unwrap())?;
            }
            edit.finish(view, &mut batch)?;
            Ok::<_, StorageError>((batch, ()))
        };
        core.store.change(remove).await.unwrap();
        let view = core.store.view();
        for beginning in
            ["StorageToken/", "StorageTokenId/", "StorageTokenOf/", "StorageTokenUses/", "StorageTokenAccess/"]
        {
            assert_eq!(view.value_names(beginning, beginning, 10).unwrap(), Vec::<String>::new());
        }
        assert_eq!(Edit::default().tokens(&view).unwrap(), 0);
        assert_eq!(world.listed().await, []);
    })))
    .await;
}

#[tokio::test]
async fn a_token_whose_id_leads_to_nothing_readable_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let token = world.token(FileTokenRequest::default()).await;
        let mut batch = Batch::new();
        batch.put_value(&format!("StorageTokenId/{}", token.id.as_str()), &"not a number").unwrap();
        world.node.core.store.commit(batch).await.unwrap();
        assert!(matches!(world.storage.file_token(token.id.as_str()), Err(StorageError::TokenNotFound)));
        assert_eq!(world.told(&token, Counting::Unclaimed).await, Some(TokenRefusal::Invalid));
        assert_eq!(world.storage.delete_file_tokens(&[token.id]).await.unwrap(), 0);
    })))
    .await;
}

#[tokio::test]
async fn as_many_tokens_as_are_deleted_at_a_time_leave_the_rest_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let first = world.token(FileTokenRequest::default()).await;
        // Each on another file, as one cannot have as many.
        world.fill(&first, (1..=MAX_DELETED).map(|number| (number, Some(number)))).await;
        let everything = everything();
        let find = FindFileTokens { queries: everything.queries.clone().for_deletion(), ..everything };
        let found = world.storage.find_file_tokens(find).await.unwrap().tokens;
        assert_eq!(found.len() as u64, MAX_DELETED);
        let ids: Vec<_> = found.into_iter().map(|token| token.id).collect();
        assert!(!world.node.core.listed.is_behind());
        assert_eq!(world.storage.delete_file_tokens(&ids).await.unwrap(), MAX_DELETED);
        assert!(!world.node.core.listed.is_behind());
        assert_eq!(world.listed().await.len(), 1);
    })))
    .await;
}

#[tokio::test]
async fn tokens_are_kept_for_a_time_after_they_have_ended() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let endless = world.token(FileTokenRequest::default()).await;
        world.token(FileTokenRequest { expire: Some(start()), ..FileTokenRequest::default() }).await;
        let revoked = world.token(FileTokenRequest::default()).await;
        world.clock.advance(TICK);
        world.storage.revoke_file_token(revoked.id.as_str()).await.unwrap();
        let retention = StorageConfig::DEFAULT_TOKEN_RETENTION;
        let mut left = Vec::new();
        for step in [retention.saturating_sub(TICK), TICK, TICK] {
            world.clock.advance(step);
            access::sweep(&world.node.core).await.unwrap();
            left.push(world.listed().await.len());
        }
        assert_eq!(left, [3, 2, 1]);
        assert_eq!(world.now_of(&endless).status, FileTokenStatus::Active);
        assert_eq!(Edit::default().tokens(&world.node.core.store.view()).unwrap(), 1);
    })))
    .await;
}

#[tokio::test]
async fn the_key_is_made_once() {
    let directory = tempfile::tempdir().unwrap();
    Box::pin(Holder::default().scope(Box::pin(async {
        let world = world(directory.path()).await;
        let [one, other] = [(); 2].map(|()| TokenKey::stored(&world.node.core.store.view()).unwrap());
        assert_ne!(one.secret("a", 0), other.secret("a", 0), "there is none yet, so nothing fits");
        let (first, second) = tokio::join!(world.token(FileTokenRequest::default()), world.counted(1));
        for token in [first, second] {
            assert_eq!(world.now_of(&token).secret, token.secret);
        }
    })))
    .await;
}
