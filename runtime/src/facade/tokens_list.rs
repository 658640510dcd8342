//! One list over the tokens of both kinds, with queries.

use serde_json::json;
use tracing::instrument;
use transport::crypto::random;
use transport::wire::FileId;

use super::TokensFacade;
use super::token_rows::Stored;
use crate::blocking::blocking;
use crate::dto::ListedTokens;
use crate::listed::{self, Search};
use crate::storage::{StorageId, records};
use crate::store::View;
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
    let no_file = || Error::InvalidPropertyValue(NO_FILE.to_owned());
    let equal = |attribute: &str, value: &str| json!({ "method": "equal", "attribute": attribute, "values": [value] });
    let Some((bucket, name)) = file.split_once(':') else {
        let id: FileId = file.parse().map_err(|_| no_file())?;
        return Ok(equal("fileId", id.as_str()).to_string());
    };
    let bucket = StorageId::parse("bucketId", bucket).map_err(|_| no_file())?;
    let name = StorageId::parse("fileId", name).map_err(|_| no_file())?;
    let bucket = records::bucket(view, bucket.as_str())?;
    let entry = bucket.map(|bucket| records::file(view, bucket.number, name.as_str())).transpose()?.flatten();
    let query = match entry.and_then(|entry| entry.content) {
        Some(content) => equal("fileId", content.file.as_str()),
        None => equal("resourceId", file),
    };
    Ok(query.to_string())
}

#[cfg(test)]
mod tests;
