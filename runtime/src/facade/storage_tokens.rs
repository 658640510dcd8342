//! File tokens: grants on single files in buckets, which this node serves itself.

use std::collections::BTreeSet;

use tracing::{info, instrument};
use transport::crypto::random;
use transport::peer::PIECE_LENGTH;
use transport::wire::Timestamp;

use super::storage::{BucketContent, StorageFacade};
use super::token_rows::{Stored, readable};
use crate::blocking::blocking;
use crate::dto::FileToken;
use crate::listed;
use crate::storage::access::{self, Presented};
use crate::storage::records::FileEntry;
use crate::storage::token::{self, Facts, Named, TokenKey, TokenRecord};
use crate::storage::{
    Action, Caller, ContentUse, Counting, FileTokenChange, FileTokenQueries, FileTokenRequest, PresentedToken, Search,
    StorageError, StorageId, StorageResult, TokenClaim, TokenClaimId, TokenRefusal, records,
};
use crate::store::{Batch, StoreError, View};

/// Bytes that may be sent by a token before it is asked again whether they are [still given](StorageFacade::check_still_given): as many as a node sends to
/// another one without asking.
pub const SENT_UNASKED: u64 = PIECE_LENGTH;

/// Tokens that are deleted in one commit.
const DELETED_AT_ONCE: usize = 256;

/// A file token that comes with a request for content, right or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    /// The secret.
    pub token: PresentedToken,
    /// As which use the request is counted, if they are.
    pub counting: Counting,
}

/// The file token by which somebody has a content.
#[derive(Debug, Clone)]
pub struct ByToken {
    /// Until when it is valid; for ever if absent.
    pub expire: Option<Timestamp>,
    /// Whether its uses are limited.
    pub is_limited: bool,
    used_as: ContentUse,
    counting: Counting,
    token: TokenRecord,
}

/// What a list of file tokens is asked for.
#[derive(Debug, Clone)]
pub struct FindFileTokens {
    /// Filters, orders and the page.
    pub queries: FileTokenQueries,
    /// Words of their ids and labels.
    pub search: Search,
    /// Whether matches are counted, up to [`StorageConfig::max_total`](crate::StorageConfig::max_total).
    pub is_counted: bool,
}

/// A page of a list of file tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFileTokens {
    /// In the order of the list.
    pub tokens: Vec<FileToken>,
    /// How many match, as far as they are counted; 0 if they are not.
    pub total: u64,
}

/// What a token is worth that was presented.
pub(super) struct Examined {
    presented: Presented,
    outcome: Result<ByToken, TokenRefusal>,
}

impl TokenUse {
    /// Whether the token helps. Takes the same work whether or not there is such a token, see [`token::presented`].
    pub(super) fn examine(self, view: &View<'_>, used_as: ContentUse, now: Timestamp) -> Result<Examined, StoreError> {
        let Named { token: found, secret_fits, uses } = token::presented(view, &self.token)?;
        let is_limited = found.as_ref().is_some_and(|token| token.terms.max_downloads.is_some());
        let counting = match self.counting {
            // A claim of another token is none of this one.
            Counting::Under(claim) if claim.token() != self.token.id() => Counting::Unclaimed,
            // Without a limit an answer is counted as if nothing was said.
            Counting::Once if !is_limited => Counting::Unclaimed,
            other => other,
        };
        let facts = Facts {
            terms: found.as_ref().map(|token| &token.terms),
            is_revoked: found.as_ref().is_some_and(|token| token.revoked_at.is_some()),
            secret_fits,
            endpoint: Some(used_as),
            counting: &counting,
            uses: &uses,
            now,
        };
        let judged = token::judge(&facts);
        // Whose time is over are as good as none for those who may read the file anyway.
        let is_token = !matches!(judged, Err(TokenRefusal::Invalid | TokenRefusal::Expired));
        let file = found.as_ref().filter(|_| is_token).map(|token| token.file);
        let outcome = judged.and_then(|()| found.ok_or(TokenRefusal::Invalid)).map(|token| ByToken {
            expire: token.terms.expire,
            is_limited,
            used_as,
            counting,
            token,
        });
        Ok(Examined { presented: Presented { file, judged }, outcome })
    }
}

impl Examined {
    /// What decides who gets a content.
    pub(super) fn presented(&self) -> Presented {
        self.presented
    }

    /// The token, if it helps.
    pub(super) fn valid(self) -> Option<ByToken> {
        self.outcome.ok()
    }
}

impl StorageFacade {
    /// Creates a token on a file. An unfinished file can have some, which help once it is complete.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketNotFound`], [`StorageError::NotPermitted`],
    /// [`StorageError::FileNotFound`], [`StorageError::LimitReached`].
    #[instrument(skip_all)]
    pub async fn create_file_token(
        &self,
        caller: Caller,
        bucket: &str,
        file: &str,
        request: FileTokenRequest,
    ) -> StorageResult<FileToken> {
        let core = &self.node.core;
        let now = core.clock.now();
        let (bucket, file) = (StorageId::parse("bucketId", bucket)?, StorageId::parse("fileId", file)?);
        let terms = request.check(now)?;
        let id = StorageId::of_new("tokenId", "unique()")?;
        let create = |view: &View<'_>| {
            let bucket = access::visible(caller, records::bucket(view, bucket.as_str())?)?;
            let found = records::file(view, bucket.number, file.as_str())?;
            let file = access::tokens(Action::Update, caller, &bucket, found)?;
            let (mut batch, mut edit) = (Batch::new(), records::Edit::default());
            let token = TokenRecord {
                id: id.to_string(),
                number: edit.number(view)?,
                bucket: bucket.number,
                file: file.number,
                bucket_id: bucket.id,
                file_id: file.id,
                created_at: now,
                updated_at: now,
                terms,
                generation: 0,
                revoked_at: None,
                carried: 0,
            };
            token::add(view, &mut batch, &mut edit, &token)?;
            let key = TokenKey::stored_or_new(view, &mut batch)?;
            edit.finish(view, &mut batch)?;
            Ok::<_, StorageError>((batch, (token, key)))
        };
        let (token, key) = core.store.change(create).await?;
        info!("a file token was created");
        Ok(token::to_dto(&core.store.view(), &token, &key, &core.token_accesses, now)?)
    }

    /// A token.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`] for what is not an id, [`StorageError::TokenNotFound`].
    pub fn file_token(&self, id: &str) -> StorageResult<FileToken> {
        let core = &self.node.core;
        let view = core.store.view();
        let token = found(&view, &StorageId::parse("tokenId", id)?)?;
        Ok(token::to_dto(&view, &token, &TokenKey::stored(&view)?, &core.token_accesses, core.clock.now())?)
    }

    /// A page of the list of all tokens of this node, which is in the order of their creation unless queries say otherwise. A token that
    /// is deleted meanwhile, or that cannot be read, is left out.
    ///
    /// # Errors
    /// [`StorageError::List`] for a cursor that names no token, and for a list that reaches too far or takes too long.
    #[instrument(skip_all)]
    pub async fn find_file_tokens(&self, find: FindFileTokens) -> StorageResult<FoundFileTokens> {
        self.find_on(None, find).await
    }

    /// The same of the tokens of one file.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::BucketNotFound`], [`StorageError::NotPermitted`],
    /// [`StorageError::FileNotFound`], and those of [`find_file_tokens`](Self::find_file_tokens).
    #[instrument(skip_all)]
    pub async fn find_file_tokens_of(
        &self,
        caller: Caller,
        bucket: &str,
        file: &str,
        find: FindFileTokens,
    ) -> StorageResult<FoundFileTokens> {
        let file = self.file_with_tokens(caller, bucket, file)?;
        self.find_on(Some((file.bucket, file.number)), find).await
    }

    /// Searches tokens on a file with the numbers of its bucket and of itself, or on all files.
    async fn find_on(&self, file: Option<(u64, u64)>, find: FindFileTokens) -> StorageResult<FoundFileTokens> {
        let core = self.node.core.clone();
        let place = core.listed.place().await;
        blocking(move || {
            // Whoever asks may have gone, but the search goes on.
            let _place = place;
            let ceiling = find.is_counted.then_some(core.config.storage.max_total);
            let (now, seed) = (core.clock.now(), u64::from_le_bytes(random::bytes()));
            let search = listed::Search::of_bucket_files(find.queries, file, find.search, ceiling, now, seed);
            let found = core.listed.search(&Stored { core: &core }, &search)?;
            let view = core.store.view();
            let key = TokenKey::stored(&view)?;
            let read = |id: &str| match token::find(&view, id)? {
                Some(token) => token::to_dto(&view, &token, &key, &core.token_accesses, now).map(Some),
                None => Ok(None),
            };
            let tokens = found.ids().filter_map(|id| readable(id, read(id)).transpose());
            Ok(FoundFileTokens { tokens: tokens.collect::<Result<_, _>>()?, total: found.total })
        })
        .await
    }

    /// Changes what a token allows. Its secret stays the same. A new limit of uses counts those from before, too.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::TokenNotFound`].
    #[instrument(skip_all)]
    pub async fn update_file_token(&self, id: &str, change: FileTokenChange) -> StorageResult<FileToken> {
        change.check(self.node.core.clock.now())?;
        self.change_token(id, |token| {
            token.terms = change.apply(token.terms.clone())?;
            Ok(())
        })
        .await
    }

    /// Ends a token. It stays in the list, and cannot be used again. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::TokenNotFound`].
    #[instrument(skip_all)]
    pub async fn revoke_file_token(&self, id: &str) -> StorageResult<FileToken> {
        let now = self.node.core.clock.now();
        self.change_token(id, |token| {
            token.revoked_at = token.revoked_at.or(Some(now));
            Ok(())
        })
        .await
    }

    /// Gives a token another secret; the one that it had is worth nothing from then on. What it allows, and what was counted, stays.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::TokenNotFound`], [`StorageError::TokenRevoked`].
    #[instrument(skip_all)]
    pub async fn rotate_file_token(&self, id: &str) -> StorageResult<FileToken> {
        self.change_token(id, |token| {
            if token.revoked_at.is_some() {
                return Err(StorageError::TokenRevoked);
            }
            token.generation += 1;
            Ok(())
        })
        .await
    }

    /// Deletes a token. What starts after that gets nothing by it.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`], [`StorageError::TokenNotFound`].
    #[instrument(skip_all)]
    pub async fn delete_file_token(&self, id: &str) -> StorageResult<()> {
        let id = StorageId::parse("tokenId", id)?;
        match self.delete_some(&[id]).await? {
            0 => Err(StorageError::TokenNotFound),
            _ => Ok(()),
        }
    }

    /// Deletes tokens, and says how many of them there were. They go in groups of some hundred: after a failure some are left.
    ///
    /// # Errors
    /// [`StorageError::Node`].
    #[instrument(skip_all)]
    pub async fn delete_file_tokens(&self, ids: &[StorageId]) -> StorageResult<u64> {
        let mut deleted = 0;
        for some in ids.chunks(DELETED_AT_ONCE) {
            deleted += self.delete_some(some).await?;
        }
        Ok(deleted)
    }

    /// Leases a use of a token for whoever presents it, for [`LEASE`](transport::access::LEASE).
    ///
    /// # Errors
    /// [`StorageError::Token`].
    #[instrument(skip_all)]
    pub async fn claim_file_token(&self, presented: &PresentedToken) -> StorageResult<TokenClaim> {
        token::claim(&self.node.core, presented).await
    }

    /// Ends a use whose content has arrived: it counts. Again, it changes nothing.
    ///
    /// # Errors
    /// [`StorageError::ClaimNotFound`].
    #[instrument(skip_all)]
    pub async fn commit_token_claim(&self, claim: &TokenClaimId) -> StorageResult<()> {
        token::commit(&self.node.core, claim).await
    }

    /// Counts that a content is had by a token; does nothing if it is not, because permissions are enough. A counted use is on disk when this returns, so it comes before
    /// the first byte that is sent. `first` is the number of that byte; none if the client has the content already.
    ///
    /// # Errors
    /// [`StorageError::Token`] if the use is not left any more. Then nothing must be sent.
    pub async fn use_token(&self, content: &BucketContent, first: Option<u64>) -> StorageResult<()> {
        let Some(by) = &content.by_token else { return Ok(()) };
        let counting = first.map_or(&Counting::Nothing, |_| &by.counting);
        let is_first = token::pay(&self.node.core, &by.token, counting).await?;
        let uncounted = *counting == Counting::Unclaimed && first == Some(0);
        Ok(token::note_use(&self.node.core, &by.token, by.used_as, uncounted.into(), is_first || uncounted)?)
    }

    /// Whether somebody who has begun to get a content by a token gets more of it: not if the token was revoked, deleted or given another secret since.
    /// One whose time is over meanwhile still gives it. To be asked while a content is sent, each time before more than [`SENT_UNASKED`] bytes leave: it costs
    /// one read of the store.
    ///
    /// # Errors
    /// [`StorageError::Token`] if not. Then no more must be sent.
    pub fn check_still_given(&self, by: &ByToken) -> StorageResult<()> {
        token::current(&self.node.core.store.view(), &by.token).map(drop)
    }

    /// A file whose tokens the caller may list.
    fn file_with_tokens(&self, caller: Caller, bucket: &str, file: &str) -> StorageResult<FileEntry> {
        let view = self.node.core.store.view();
        let file = StorageId::parse("fileId", file)?;
        let bucket = self.bucket_for(&view, caller, bucket)?;
        let found = records::file(&view, bucket.number, file.as_str())?;
        access::tokens(Action::Read, caller, &bucket, found)
    }

    async fn change_token(
        &self,
        id: &str,
        change: impl FnOnce(&mut TokenRecord) -> StorageResult<()>,
    ) -> StorageResult<FileToken> {
        let core = &self.node.core;
        let id = StorageId::parse("tokenId", id)?;
        let now = core.clock.now();
        let replace = |view: &View<'_>| {
            let before = found(view, &id)?;
            let mut token = before.clone();
            change(&mut token)?;
            let mut batch = Batch::new();
            if before.terms.max_downloads.is_none() && token.terms.max_downloads.is_some() {
                token::carry(view, &mut batch, &mut token, &core.token_accesses)?;
            }
            if token != before {
                token.updated_at = now;
                token::put(&mut batch, &token)?;
            }
            Ok::<_, StorageError>((batch, (token, TokenKey::stored(view)?)))
        };
        let (token, key) = core.store.change(replace).await?;
        Ok(token::to_dto(&core.store.view(), &token, &key, &core.token_accesses, now)?)
    }

    async fn delete_some(&self, ids: &[StorageId]) -> StorageResult<u64> {
        let remove = |view: &View<'_>| {
            let (mut batch, mut edit, mut count) = (Batch::new(), records::Edit::default(), 0);
            for id in ids.iter().collect::<BTreeSet<_>>() {
                if let Some(token) = token::find(view, id.as_str())? {
                    token::remove(view, &mut batch, &mut edit, &token)?;
                    count += 1;
                }
            }
            edit.finish(view, &mut batch)?;
            Ok::<_, StorageError>((batch, count))
        };
        self.node.core.store.change(remove).await
    }
}

fn found(view: &View<'_>, id: &StorageId) -> StorageResult<TokenRecord> {
    token::find(view, id.as_str())?.ok_or(StorageError::TokenNotFound)
}
