//! Tokens of either kind by their ids, as the list of both shows them: look at them, change, revoke and delete them.
//!
//! What only one kind has stays with that kind: a token of `/v1` has no reference, no password and no paths between peers, and its secret
//! is for those who may use `/v1`.

use transport::wire::{Timestamp, TokenId};

use super::token_rows::Stored;
use super::tokens_terms::{IS_REVOKED, check_some};
use super::{StorageFacade, TokensFacade, UpdateToken};
use crate::dto::{
    self, AnyToken, AnyTokenId, ChangedAnyToken, ChangedFileToken, ListedToken, RotatedToken, TokenPath, TokenTerms,
};
use crate::held;
use crate::listed::{ReadRows as _, Row, RowId};
use crate::storage::{Change, FileTokenChange, Notify, StorageError, StorageId};
use crate::token::check_future;
use crate::{Error, Result};

const NO_PATHS: &str =
    "'transports' is about peers and the backbone, which do not have a token of /v1; this node serves it itself.";
const SHARED_DIRECTLY: &str = "The token is for a file that is shared without a backbone: it is on no list, and ends with the command or request that \
     shares the file.";
const NO_PASSWORD: &str = "A token of /v1 has no password, so it is never locked.";

impl TokensFacade {
    /// The stored token with this id. One of `/v1` comes as lists show it.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if it is not known here, [`Error::NotSupported`] if it is for a file that is
    /// [shared directly](super::FilesFacade::share_directly).
    pub async fn any_token(&self, id: &AnyTokenId) -> Result<AnyToken> {
        match id {
            AnyTokenId::E2e(id) => {
                let token = self.token(id).await.map_err(|error| self.why_unknown(id, error))?;
                Ok(AnyToken::E2e(Box::new(token)))
            }
            AnyTokenId::Node(id) => Ok(AnyToken::Node(Box::new(self.listed(id)?))),
        }
    }

    /// The [terms](Self::token_terms) of an own token. Those of one of `/v1` this node knows itself.
    ///
    /// # Errors
    /// Those of [`token_terms`](Self::token_terms).
    pub async fn any_token_terms(&self, id: &AnyTokenId) -> Result<TokenTerms> {
        match id {
            AnyTokenId::E2e(id) => self.token_terms(id).await,
            AnyTokenId::Node(id) => Ok(terms(&self.row(id)?, self.core().clock.now())),
        }
    }

    /// [Changes terms](Self::update_token) of an own token. The secret of one of `/v1` stays the same, and its uses so far count.
    ///
    /// # Errors
    /// Those of [`update_token`](Self::update_token); [`Error::NotSupported`] for `transports` that limit a token of `/v1`. As of a token of
    /// the protocol, the terms of a revoked one stay, and its label and notices can be changed.
    pub async fn update_any_token(&self, id: &AnyTokenId, request: UpdateToken) -> Result<ChangedAnyToken> {
        let id = match id {
            AnyTokenId::E2e(id) => return Ok(ChangedAnyToken::E2e(Box::new(self.update_token(id, request).await?))),
            AnyTokenId::Node(id) => id,
        };
        check_some(&request)?;
        if let Some(expires_at) = request.expires_at {
            check_future(expires_at, &*self.core().clock)?;
        }
        let are_terms = request.changes_terms() || request.allow.is_some();
        let change = file_token_change(request)?;
        if are_terms && self.row(id)?.revoked_at.is_some() {
            return Err(Error::NotSupported(IS_REVOKED.to_owned()));
        }
        let path = if change == FileTokenChange::default() { TokenPath::Unchanged } else { TokenPath::Changed };
        self.storage().update_file_token(id.as_str(), change).await.map_err(of_token)?;
        self.changed_file_token(id, path)
    }

    /// [Revokes](Self::revoke_token) an own token. One of `/v1` gives nobody anything from then on, and stays in the list.
    ///
    /// # Errors
    /// Those of [`revoke_token`](Self::revoke_token); [`Error::NotSupported`] for a token of a file that is shared directly.
    pub async fn revoke_any_token(&self, id: &AnyTokenId) -> Result<ChangedAnyToken> {
        match id {
            AnyTokenId::E2e(id) => {
                let revoked = self.revoke_token(id).await.map_err(|error| self.why_unknown(id, error))?;
                Ok(ChangedAnyToken::E2e(Box::new(revoked)))
            }
            AnyTokenId::Node(id) => {
                self.storage().revoke_file_token(id.as_str()).await.map_err(of_token)?;
                self.changed_file_token(id, TokenPath::Revoked)
            }
        }
    }

    /// [Replaces](Self::rotate_token) an own token.
    ///
    /// # Errors
    /// Those of [`rotate_token`](Self::rotate_token); [`Error::NotSupported`] for a token of `/v1`, which gets another secret there and
    /// stays the same token.
    pub async fn rotate_any_token(&self, id: &AnyTokenId) -> Result<RotatedToken> {
        match id {
            AnyTokenId::E2e(id) => self.rotate_token(id).await,
            AnyTokenId::Node(id) => {
                self.row(id)?;
                Err(Error::NotSupported(format!(
                    "It is a token of /v1, which stays the same token and has no reference; give it another secret with POST /v1/tokens/{id}/rotate."
                )))
            }
        }
    }

    /// [Unlocks](Self::unlock_token) an own token.
    ///
    /// # Errors
    /// Those of [`unlock_token`](Self::unlock_token); [`Error::NotSupported`] for a token of `/v1`.
    pub async fn unlock_any_token(&self, id: &AnyTokenId) -> Result<()> {
        match id {
            AnyTokenId::E2e(id) => self.unlock_token(id).await,
            AnyTokenId::Node(id) => {
                self.row(id)?;
                Err(Error::NotSupported(NO_PASSWORD.to_owned()))
            }
        }
    }

    /// [Deletes](Self::delete_token) a token.
    ///
    /// # Errors
    /// Those of [`delete_token`](Self::delete_token).
    pub async fn delete_any_token(&self, id: &AnyTokenId) -> Result<()> {
        match id {
            AnyTokenId::E2e(id) => self.delete_token(id).await,
            AnyTokenId::Node(id) => self.storage().delete_file_token(id.as_str()).await.map_err(of_token),
        }
    }

    /// The same error, unless the token is not unknown, but one of a file that is shared without a backbone.
    fn why_unknown(&self, id: &TokenId, error: Error) -> Error {
        let is_shared = || held::terms(self.core(), id).is_ok_and(|terms| terms.is_some());
        match matches!(error, Error::RecordNotFound(_)) && is_shared() {
            true => Error::NotSupported(SHARED_DIRECTLY.to_owned()),
            false => error,
        }
    }

    fn storage(&self) -> StorageFacade {
        StorageFacade::new(self.node.clone())
    }

    fn row(&self, id: &StorageId) -> Result<Row> {
        let row = Stored { core: self.core() }.one(&RowId::Node(id.as_str().into()))?;
        row.ok_or(Error::RecordNotFound("Token"))
    }

    fn listed(&self, id: &StorageId) -> Result<ListedToken> {
        Ok(self.row(id)?.to_dto(self.core().clock.now()))
    }

    fn changed_file_token(&self, id: &StorageId, path: TokenPath) -> Result<ChangedAnyToken> {
        Ok(ChangedAnyToken::Node(Box::new(ChangedFileToken::new(self.listed(id)?, path))))
    }
}

/// The terms of a token on a file in a bucket. Like every other token it expires in the year 9999 if it never does.
fn terms(row: &Row, now: Timestamp) -> TokenTerms {
    TokenTerms {
        status: row.status(now),
        expires_at: row.expires_at.unwrap_or(Timestamp::NEVER),
        revoked_at: row.revoked_at,
        not_before: row.not_before,
        max_uses: row.max_downloads,
        strict_uses: false,
        committed_uses: u32::try_from(row.committed).unwrap_or(u32::MAX),
        leased_uses: row.leased,
        failed_attempts: 0,
        last_read_at: row.accessed_at,
        transports: None,
    }
}

/// The same change in the words of file tokens.
fn file_token_change(request: UpdateToken) -> Result<FileTokenChange> {
    if request.transports.is_some_and(|transports| transports != dto::TokenTransports::ALL) {
        return Err(Error::NotSupported(NO_PATHS.to_owned()));
    }
    let notify = |notify| match notify {
        dto::Notify::None => Notify::None,
        dto::Notify::First => Notify::First,
        dto::Notify::Each => Notify::Each,
    };
    Ok(FileTokenChange {
        expire: to(request.expires_at).map(|at| Some(at).filter(|at| *at < Timestamp::NEVER)),
        not_before: to(request.not_before),
        label: to(request.label).map(|label| label.map(String::from).unwrap_or_default()),
        max_downloads: to(request.max_downloads).map(|most| most.map(|most| most.get().into())),
        allow: to(request.allow),
        notify: to(request.notify).map(notify),
    })
}

fn to<T>(given: Option<T>) -> Change<T> {
    given.map_or(Change::Keep, Change::To)
}

/// A refusal of a file token in the words of all tokens.
fn of_token(error: StorageError) -> Error {
    match error {
        StorageError::Node(error) => error,
        StorageError::TokenNotFound => Error::RecordNotFound("Token"),
        StorageError::InvalidArgument { name, reason } => Error::InvalidPropertyValue(format!("'{name}': {reason}")),
        other => Error::NotSupported(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::Node;
    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use crate::delivery::memory::{self, Holder};
    use crate::dto::{FileToken, TokenStatus};
    use crate::storage::{BucketRequest, Caller, FileTokenRequest, NewBucketFile};
    use crate::sync::Synchronizer;

    const BUCKET: &str = "docs";

    /// A node without a server that has a token of `/v1`.
    async fn run(test: impl AsyncFnOnce(TokensFacade, FileToken, Arc<ManualClock>)) {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00.000Z".parse().unwrap()));
        let core = memory::node(directory.path(), clock.clone());
        let node = Arc::new(Node { core, sync: Synchronizer::idle(), server: None });
        let storage = StorageFacade::new(node.clone());
        let test = async {
            storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
            let new = NewBucketFile {
                bucket_id: BUCKET.to_owned(),
                file_id: "plan".to_owned(),
                name: "a".to_owned(),
                ..NewBucketFile::default()
            };
            let staged = storage.stage_content(Caller::Key, BUCKET, None, &b"content"[..]).await.unwrap();
            storage.create_bucket_file(Caller::Key, new, staged).await.unwrap();
            let token =
                storage.create_file_token(Caller::Key, BUCKET, "plan", FileTokenRequest::default()).await.unwrap();
            test(TokensFacade::new(node), token, clock).await;
        };
        // Boxed, because a test thread has a small stack.
        Box::pin(Holder::default().scope(Box::pin(test))).await;
    }

    #[tokio::test]
    async fn a_token_of_v1_is_shown_changed_revoked_and_deleted_as_others_are() {
        run(async |tokens, token, clock| {
            let id: AnyTokenId = token.id.as_str().parse().unwrap();
            let status = async || tokens.any_token_terms(&id).await.unwrap().status;
            assert_eq!(status().await, TokenStatus::Active);
            let shown = serde_json::to_string(&tokens.any_token(&id).await.unwrap()).unwrap();
            assert!(shown.contains("docs:plan") && !shown.contains(token.secret.expose()), "{shown}");

            let end = clock.now().saturating_add(Duration::from_secs(60));
            let request = UpdateToken {
                label: Some(Some("for Bob".parse().unwrap())),
                max_downloads: Some(Some(3.try_into().unwrap())),
                notify: Some(dto::Notify::First),
                ..UpdateToken::until(end)
            };
            let ChangedAnyToken::Node(changed) = tokens.update_any_token(&id, request).await.unwrap() else { panic!() };
            assert_eq!((changed.token.expires_at, changed.token.remaining), (Some(end), Some(3)));
            assert_eq!((changed.token.label.as_deref(), changed.node), (Some("for Bob"), TokenPath::Changed));
            assert_eq!((changed.backbone, changed.peers), (TokenPath::NotOffered, TokenPath::NotOffered));
            let known = tokens.storage().file_token(token.id.as_str()).unwrap();
            assert_eq!((known.notify, known.secret), (Notify::First, token.secret));
            tokens.update_any_token(&id, UpdateToken::until(Timestamp::NEVER)).await.unwrap();
            let terms = tokens.any_token_terms(&id).await.unwrap();
            assert_eq!((terms.expires_at, terms.max_uses), (Timestamp::NEVER, Some(3)));

            let ChangedAnyToken::Node(revoked) = tokens.revoke_any_token(&id).await.unwrap() else { panic!() };
            assert_eq!((revoked.node, revoked.token.revoked_at), (TokenPath::Revoked, Some(clock.now())));
            assert_eq!(status().await, TokenStatus::Revoked);
            let refused = tokens.update_any_token(&id, UpdateToken::until(Timestamp::NEVER)).await.unwrap_err();
            assert!(matches!(&refused, Error::NotSupported(why) if why == IS_REVOKED), "{refused}");
            let labelled = UpdateToken { label: Some(Some("over".parse().unwrap())), ..UpdateToken::default() };
            tokens.update_any_token(&id, labelled).await.unwrap();
            tokens.delete_any_token(&id).await.unwrap();
            assert!(matches!(tokens.any_token(&id).await, Err(Error::RecordNotFound("Token"))));
            assert!(matches!(tokens.delete_any_token(&id).await, Err(Error::RecordNotFound("Token"))));
        })
        .await;
    }

    #[tokio::test]
    async fn what_a_token_of_v1_does_not_have_is_refused_with_the_reason() {
        run(async |tokens, token, clock| {
            let id: AnyTokenId = token.id.as_str().parse().unwrap();
            let rotated = tokens.rotate_any_token(&id).await.unwrap_err().to_string();
            assert!(rotated.contains(&format!("POST /v1/tokens/{id}/rotate", id = token.id)), "{rotated}");
            assert!(matches!(tokens.unlock_any_token(&id).await, Err(Error::NotSupported(_))));
            for (request, words) in [
                (UpdateToken::default(), "at least one of"),
                (UpdateToken::until(clock.now()), "must be in the future"),
                (UpdateToken { transports: Some("store".parse().unwrap()), ..UpdateToken::default() }, "'transports'"),
                (
                    UpdateToken {
                        not_before: Some(Some(Timestamp::NEVER)),
                        ..UpdateToken::until(clock.now().saturating_add(Duration::from_secs(1)))
                    },
                    "'notBefore'",
                ),
            ] {
                let refused = tokens.update_any_token(&id, request).await.unwrap_err().to_string();
                assert!(refused.contains(words), "{refused}");
            }
            assert_eq!(tokens.storage().file_token(token.id.as_str()).unwrap(), token);
        })
        .await;
    }
}
