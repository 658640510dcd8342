//! One list over the tokens of both kinds, with queries.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use tracing::{instrument, warn};
use transport::crypto::random;
use transport::wire::{Address, FileId, Timestamp, TokenId};

use super::TokensFacade;
use crate::blocking::blocking;
use crate::core::{Core, TokenAccess};
use crate::dto::{JsonText, ListedTokens, MaxDownloads};
use crate::listed::{self, BucketFile, ReadRows, Row, RowId, Scope, Search};
use crate::logging::short;
use crate::storage::token::TokenRecord as FileTokenRecord;
use crate::storage::{self, StorageId, records};
use crate::store::{Name, Record, StoreError, View, collection, token_values};
use crate::token::{Revocation, TokenRecord, TokenSettings};
use crate::{Error, Result};

/// What a list of tokens is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindTokens {
    /// Queries in the language of `support/query`, each as JSON, over the members of [`ListedToken`](crate::dto::ListedToken).
    pub queries: Vec<String>,
    /// Only tokens for this file: its id, or `BUCKET:FILE` for a file of `/v1`, of which those of the protocol are found, too.
    pub file: Option<String>,
    /// Whether all matches are counted.
    pub is_counted: bool,
}

impl Default for FindTokens {
    /// The first tokens, counted.
    fn default() -> Self {
        Self { queries: Vec::new(), file: None, is_counted: true }
    }
}

impl TokensFacade {
    /// What [`find`](Self::find) can filter and order by.
    #[must_use]
    pub fn attributes() -> Vec<&'static str> {
        listed::schema().attributes().iter().map(query::Attribute::name).collect()
    }

    /// A page of one list over all tokens: own ones and peers' that are stored, and those of `/v1`. Without an order the list is in the
    /// order of creation, the oldest first.
    ///
    /// A token that never expires has no `expiresAt`. Of tokens of the protocol it tells what this node knows without asking the backbone.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for queries that are not in the language, a file that is not named as one, a cursor that names no
    /// token, and for a list that reaches too far or takes too long; [`Error::Store`].
    #[instrument(skip_all)]
    pub async fn find(&self, request: FindTokens) -> Result<ListedTokens> {
        let core = self.node.core.clone();
        let place = core.listed.place().await;
        blocking(move || {
            // Whoever asks may have gone, but the search goes on.
            let _place = place;
            let seed = u64::from_le_bytes(random::bytes());
            let of_file = request.file.as_deref().map(|file| of_file(&core.store.view(), file)).transpose()?;
            let queries: Vec<String> = request.queries.into_iter().chain(of_file).collect();
            let search = Search::parse(&queries, request.is_counted, core.clock.now(), seed);
            let search = search.map_err(|error| Error::InvalidPropertyValue(error.to_string()))?;
            let found = core.listed.search(&Stored { core: &core }, &search)?;
            Ok(ListedTokens { total: found.total, tokens: found.tokens().collect() })
        })
        .await
    }
}

const NO_FILE: &str = "'file' must be the ID of a file (FIL…), or BUCKET:FILE for a file of /v1";

/// The query for all tokens of a file. Those of the protocol know nothing of buckets, so the file in one is looked up.
fn of_file(view: &View<'_>, file: &str) -> Result<String> {
    let equal = |attribute: &str, value: &str| json!({ "method": "equal", "attribute": attribute, "values": [value] });
    let Some((bucket, name)) = file.split_once(':') else {
        let id: FileId = file.parse().map_err(|_| Error::InvalidPropertyValue(NO_FILE.to_owned()))?;
        return Ok(equal("fileId", id.as_str()).to_string());
    };
    let entry = match (StorageId::parse("bucketId", bucket), StorageId::parse("fileId", name)) {
        (Ok(bucket), Ok(name)) => {
            let bucket = records::bucket(view, bucket.as_str())?;
            bucket.map(|bucket| records::file(view, bucket.number, name.as_str())).transpose()?.flatten()
        }
        _ => None,
    };
    let in_bucket = equal("resourceId", file);
    let query = match entry.and_then(|entry| entry.content) {
        Some(content) => json!({ "method": "or", "values": [in_bucket, equal("fileId", content.file.as_str())] }),
        None => in_bucket,
    };
    Ok(query.to_string())
}

/// The tokens in a store.
pub(super) struct Stored<'c> {
    pub(super) core: &'c Core,
}

impl ReadRows for Stored<'_> {
    fn all(&self, of: Scope, visit: &mut dyn FnMut(Row) -> bool) -> Result<()> {
        let (store, view, now) = (&self.core.store, self.core.store.view(), self.core.clock.now());
        match of {
            Scope::All => {}
            Scope::BucketFiles => return self.file_tokens(&view, storage::token::TOKENS, visit),
            Scope::BucketFile(bucket, file) => {
                return self.file_tokens(&view, &storage::token::of_file(bucket, file), visit);
            }
        }
        let mut walk = store.walk(collection::TOKENS)?;
        while walk.has_more() {
            for record in store.page(&mut walk, &[], |_| true)? {
                if let Some(row) = token(&view, &record, now)?
                    && !visit(row)
                {
                    return Ok(());
                }
            }
        }
        self.file_tokens(&view, storage::token::TOKENS, visit)
    }

    fn one(&self, id: &RowId) -> Result<Option<Row>> {
        let view = self.core.store.view();
        match id {
            RowId::E2e(id) => match readable(id, view.record(collection::TOKENS, id))? {
                Some(record) => token(&view, &record, self.core.clock.now()),
                None => Ok(None),
            },
            RowId::Node(id) => match readable(id, storage::token::find(&view, id))? {
                Some(token) => readable(id, self.file_token(&view, &token)),
                None => Ok(None),
            },
        }
    }

    fn touched(&self, name: &Name) -> Result<Vec<RowId>> {
        let view = self.core.store.view();
        match name {
            Name::Object(_, id) | Name::Value(token_values::REVOCATION | token_values::SETTINGS, id) => {
                Ok(vec![RowId::E2e(id.as_str().into())])
            }
            // Also tells of those that are removed.
            Name::Value(token_values::FILE_TOKEN_ID, id) => Ok(vec![RowId::Node(id.as_str().into())]),
            Name::Value(token_values::BUCKET, bucket) => match number(bucket) {
                // Files and tokens of a deleted one go later.
                Some(bucket) if records::bucket_at(&view, bucket)?.is_none() => {
                    ids_of(&view, &storage::token::of_bucket(bucket))
                }
                _ => Ok(Vec::new()),
            },
            Name::Value(token_values::BUCKET_FILE, numbers) => {
                let numbers = numbers.split_once('/').and_then(|(bucket, file)| Some((number(bucket)?, number(file)?)));
                numbers.map_or(Ok(Vec::new()), |(bucket, file)| ids_of(&view, &storage::token::of_file(bucket, file)))
            }
            Name::Value(_, token) => {
                let id = number(token).map(|token| Self::id_of(&view, token)).transpose()?.flatten();
                Ok(id.into_iter().collect())
            }
        }
    }

    fn pending(&self) -> BTreeMap<u64, TokenAccess> {
        self.core.token_accesses.all()
    }
}

impl Stored<'_> {
    /// The id of a token on a file in a bucket.
    fn id_of(view: &View<'_>, number: u64) -> Result<Option<RowId>> {
        Ok(file_token_at(view, number)?.map(|token| RowId::Node(token.id.into())))
    }

    /// The row of a token on a file in a bucket; none if the bucket is deleted.
    fn file_token(&self, view: &View<'_>, token: &FileTokenRecord) -> Result<Option<Row>, StoreError> {
        if records::bucket_at(view, token.bucket)?.is_none() {
            return Ok(None);
        }
        let now = self.core.clock.now();
        let uses = storage::token::uses_of(view, token)?;
        let access = match self.core.token_accesses.pending(token.number) {
            Some(access) => Some(access),
            None => storage::token::access_of(view, token.number)?,
        };
        let file = records::file_at(view, token.bucket, token.file)?;
        Ok(Some(Row {
            id: RowId::Node(token.id.as_str().into()),
            is_own: true,
            file: file.and_then(|file| file.content).map(|content| content.file.as_str().into()),
            bucket_file: Some(BucketFile {
                number: token.number,
                bucket: token.bucket,
                file: token.file,
                notify: token.terms.notify,
            }),
            resource: Some(format!("{}:{}", token.bucket_id, token.file_id)),
            label: Some(token.terms.label.as_str()).filter(|label| !label.is_empty()).map(Into::into),
            created_at: token.created_at,
            updated_at: token.updated_at,
            expires_at: token.terms.expire,
            not_before: token.terms.not_before,
            max_downloads: token.terms.max_downloads.map(Into::into),
            committed: uses.committed(now).into(),
            leased: uses.leased(now),
            uncounted: access.map_or(0, |access| access.uncounted),
            changes_at: uses.next_end(now),
            accessed_at: access.map(|access| access.at),
            for_identity: None,
            has_password: false,
            is_locked: false,
            revoked_at: token.revoked_at,
        }))
    }

    /// Shows the tokens on files in buckets whose numbers are at the end of the names that begin so, as long as `visit` returns true.
    fn file_tokens(&self, view: &View<'_>, beginning: &str, visit: &mut dyn FnMut(Row) -> bool) -> Result<()> {
        let mut from = beginning.to_owned();
        loop {
            let names = view.value_names(beginning, &from, PAGE)?;
            for name in &names {
                // None if it was removed meanwhile.
                let token = last_number(name).map(|number| file_token_at(view, number));
                let Some(token) = token.transpose()?.flatten() else { continue };
                if let Some(row) = readable(&token.id, self.file_token(view, &token))?
                    && !visit(row)
                {
                    return Ok(());
                }
            }
            match names.last().filter(|_| names.len() == PAGE) {
                Some(last) => from = format!("{last}\0"),
                None => return Ok(()),
            }
        }
    }
}

/// Tokens that are read at a time.
const PAGE: usize = 256;

/// The tokens whose numbers are at the end of the names that begin so.
fn ids_of(view: &View<'_>, beginning: &str) -> Result<Vec<RowId>> {
    let names = view.value_names(beginning, beginning, usize::MAX)?;
    let ids = names.iter().filter_map(|name| Stored::id_of(view, last_number(name)?).transpose());
    ids.collect()
}

/// What was read; nothing, with a warning, if it is damaged. One damaged value does not hide all other tokens.
pub(super) fn readable<T>(id: &str, read: Result<Option<T>, StoreError>) -> Result<Option<T>> {
    match read {
        Err(error) if error.is_damaged() => {
            warn!(id = short(&id), %error, "left out of a list");
            Ok(None)
        }
        read => Ok(read?),
    }
}

/// The token on a file in a bucket with a number, if it can be read.
fn file_token_at(view: &View<'_>, number: u64) -> Result<Option<FileTokenRecord>> {
    match storage::token::at(view, number) {
        Err(error) if error.is_damaged() => {
            warn!(number, %error, "left out of a list");
            Ok(None)
        }
        read => Ok(read?),
    }
}

/// A number as it is in names.
fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// The number at the end of a name.
fn last_number(name: &str) -> Option<u64> {
    number(name.rsplit('/').next()?)
}

/// What a list tells of a stored token. Keys are not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(rename = "@type")]
    kind: Option<String>,
    is_own: bool,
    created_at: Timestamp,
    expires_at: Timestamp,
    for_identity: Option<Address>,
    content: JsonText,
    password_protection: Option<serde::de::IgnoredAny>,
}

/// The file of a content.
#[derive(Deserialize)]
struct Content {
    #[serde(rename = "@type")]
    kind: String,
    #[serde(rename = "fileId")]
    file_id: FileId,
}

/// The row of a stored token. One damaged record does not hide all others: it is left out, with a warning, as are other objects in the
/// collection, without one.
fn token(view: &View<'_>, record: &Record, now: Timestamp) -> Result<Option<Row>> {
    let (id, members) = match record.read::<TokenId, Members>() {
        Ok(read) => read,
        Err(error) => {
            let id = record.id().unwrap_or_default();
            if TokenRecord::is_one(record) {
                warn!(id = short(&id), %error, "left out of a list");
            }
            return Ok(None);
        }
    };
    if members.kind.is_some_and(|kind| kind != TokenRecord::TYPE) {
        return Ok(None);
    }
    let (revocation, settings) = match members.is_own {
        true => {
            // Whether it is revoked has to be known; it can do without settings.
            let revocation = readable(id.as_str(), Revocation::stored(view, &id).map(Some))?;
            let Some(revocation) = revocation else { return Ok(None) };
            let settings = readable(id.as_str(), TokenSettings::stored(view, &id).map(Some))?;
            (revocation, settings.unwrap_or_default())
        }
        false => (None, TokenSettings::default()),
    };
    let uses = settings.uses;
    let revoked_at = revocation.filter(|revocation| revocation.is_complete).map(|revocation| revocation.at);
    Ok(Some(Row {
        id: RowId::E2e(id.as_str().into()),
        is_own: members.is_own,
        file: file_of(&members.content).map(|file| file.as_str().into()),
        bucket_file: None,
        resource: None,
        label: settings.label.as_ref().map(|label| label.as_str().into()),
        created_at: members.created_at,
        updated_at: [revoked_at, settings.changed_at].into_iter().flatten().fold(members.created_at, Timestamp::max),
        expires_at: Some(members.expires_at).filter(|at| *at < Timestamp::NEVER),
        not_before: settings.not_before,
        max_downloads: settings.max_downloads.map(MaxDownloads::get),
        committed: uses.map_or(0, |uses| uses.committed.into()),
        leased: uses.map_or(0, |uses| uses.leased_at(now)),
        uncounted: 0,
        changes_at: uses.and_then(|uses| uses.next_end(now)),
        accessed_at: uses.and_then(|uses| uses.last_read_at),
        for_identity: members.for_identity,
        has_password: members.password_protection.is_some(),
        is_locked: settings.is_locked || settings.is_locked_for_peers,
        revoked_at,
    }))
}

/// The file that a content is for, if it is for one.
fn file_of(content: &JsonText) -> Option<FileId> {
    // Lists would pass for members in their order.
    let text = Some(content.as_str()).filter(|text| text.starts_with('{'))?;
    let content: Content = serde_json::from_str(text).ok()?;
    (content.kind == "TokenContentFile").then_some(content.file_id)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use transport::access::LEASE;
    use transport::wire::backbone::token_terms::TokenTerms;

    use super::super::{
        CreateOwnToken, CreateTokenForFile, FilesFacade, FindFileTokens, Node, StorageFacade, UpdateToken,
    };
    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use crate::delivery::memory::{self, Holder};
    use crate::dto::{FileToken, ListedToken, TokenDelivery, TokenStatus};
    use crate::held;
    use crate::storage::{
        BucketRequest, Caller, Change, ContentUse, FileTokenChange, FileTokenQueries, FileTokenRequest, NewBucketFile,
        PresentedToken, Search as Words,
    };
    use crate::store::{Batch, StoreError};
    use crate::sync::Synchronizer;

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
            for unknown in ["docs:other", "other:plan", "FIL00000000000000000", ":", "docs:a:b"] {
                assert!(of(unknown).await.unwrap().is_empty(), "{unknown}");
            }
            assert!(matches!(of("plan").await, Err(Error::InvalidPropertyValue(_))));
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
            (any::<prop::sample::Index>(), "[ab]{1,2}")
                .prop_map(|(at, label)| Act::Change { which: at.index(9), label }),
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
}
