//! For benchmarks and tests: puts a node into a state, or makes an error, that takes long to provoke otherwise. With the feature `testing`.

use serde_json::Value;
use transport::crypto::SecretKey;
use transport::peer::PeerError;
use transport::wire::{Timestamp, TokenId};

use crate::core::Core;
use crate::delivery::{Failure, Undelivered};
use crate::dto::JsonText;
use crate::facade::List;
use crate::facade::list::Page;
use crate::runtime::Runtime;
use crate::storage::token::{self, TokenKey, TokenRecord as FileTokenRecord};
use crate::storage::{FileTokenRequest, StorageError, StorageId, StorageResult, records};
use crate::store::{Batch, View};
use crate::token::{TokenJson, TokenRecord};
use crate::{Error, Result};

/// What is said of a token that the own backbone does not have, where the connection to the node that shares it ended early.
#[must_use]
pub fn cut_off() -> Error {
    let backbone = Failure::NotFound(Error::RecordNotFound("Token"));
    Error::Undelivered(Box::new(Undelivered::by_all(PeerError::Cut.into(), backbone, false)))
}

/// Tokens per commit.
const AT_ONCE: usize = 1000;

/// Stores own tokens with these contents and expiries, as if the node had created them. No backbone knows them, and they are
/// not pushed to other devices.
///
/// # Errors
/// [`crate::Error::InvalidTokenContent`] for contents that no token has, [`crate::Error::Store`] if the store cannot be
/// written.
pub async fn remember_tokens(runtime: &Runtime, tokens: impl IntoIterator<Item = (Value, Timestamp)>) -> Result<()> {
    let core = &runtime.node.core;
    let mut batch = Batch::new();
    for (number, (content, expires_at)) in tokens.into_iter().enumerate() {
        let record = record(core, TokenJson::check(content, usize::MAX)?, expires_at);
        batch.put_object(record.to_object(&id(number)));
        if (number + 1).is_multiple_of(AT_ONCE) {
            core.store.commit(std::mem::take(&mut batch)).await?;
        }
    }
    Ok(core.store.commit(batch).await?)
}

/// Stores tokens on files in a bucket, each with the id of its file, as if a key holder had created them.
///
/// # Errors
/// As [`StorageFacade::create_file_token`](crate::facade::StorageFacade::create_file_token).
pub async fn remember_file_tokens(
    runtime: &Runtime,
    bucket: &str,
    tokens: impl IntoIterator<Item = (String, FileTokenRequest)>,
) -> StorageResult<()> {
    let core = &runtime.node.core;
    let now = core.clock.now();
    let mut tokens = tokens.into_iter().peekable();
    while tokens.peek().is_some() {
        let some: Vec<_> = tokens.by_ref().take(AT_ONCE).collect();
        let add = |view: &View<'_>| {
            let (mut batch, mut edit) = (Batch::new(), records::Edit::default());
            let bucket = records::bucket(view, bucket)?.ok_or(StorageError::BucketNotFound)?;
            TokenKey::stored_or_new(view, &mut batch)?;
            for (file, request) in &some {
                let file = records::file(view, bucket.number, file)?.ok_or(StorageError::FileNotFound)?;
                let token = FileTokenRecord {
                    id: StorageId::of_new("tokenId", "unique()")?.to_string(),
                    number: edit.number(view)?,
                    bucket: bucket.number,
                    file: file.number,
                    bucket_id: bucket.id.clone(),
                    file_id: file.id,
                    created_at: now,
                    updated_at: now,
                    terms: request.clone().check(now)?,
                    generation: 0,
                    revoked_at: None,
                    carried: 0,
                };
                token::add(view, &mut batch, &mut edit, &token)?;
            }
            edit.finish(view, &mut batch)?;
            Ok::<_, StorageError>((batch, ()))
        };
        core.store.change(add).await?;
    }
    Ok(())
}

/// A list of `count` pages that `page` reads, numbered from 0.
pub fn list<T: Send + 'static>(
    count: usize,
    mut page: impl FnMut(usize) -> Result<Vec<T>> + Send + 'static,
) -> List<T> {
    let mut pages = 0..count;
    List::new(move || {
        let items = pages.next().map_or(Ok(Vec::new()), &mut page)?;
        Ok(Page { items: Box::new(|| items), has_more: !pages.is_empty() })
    })
}

fn id(number: usize) -> TokenId {
    format!("TOK{number:017}").parse().expect("a prefix and 17 digits")
}

fn record(core: &Core, content: TokenJson, expires_at: Timestamp) -> TokenRecord {
    TokenRecord {
        secret_key: SecretKey::generate(),
        is_own: true,
        created_by: core.account.address().clone(),
        created_at: core.clock.now(),
        expires_at,
        created_by_device: core.account.device_id().clone(),
        for_identity: None,
        content: JsonText::from(content.value()),
        password_protection: None,
        has_terms: false,
    }
}
