//! One list over the tokens of both kinds, with queries.

use serde::Deserialize;
use tracing::{instrument, warn};
use transport::crypto::random;
use transport::wire::{Address, FileId, Timestamp, TokenId};

use super::TokensFacade;
use crate::blocking::blocking;
use crate::core::Core;
use crate::dto::{JsonText, ListedTokens, MaxDownloads};
use crate::listed::{self, ReadRows, Row, RowId, Search};
use crate::logging::short;
use crate::store::{Record, View, collection};
use crate::token::{Revocation, TokenRecord, TokenSettings};
use crate::{Error, Result};

/// What a list of tokens is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindTokens {
    /// Queries in the language of `support/query`, each as JSON, over the members of [`ListedToken`](crate::dto::ListedToken).
    pub queries: Vec<String>,
    /// Whether all matches are counted.
    pub is_counted: bool,
}

impl Default for FindTokens {
    /// The first tokens, counted.
    fn default() -> Self {
        Self { queries: Vec::new(), is_counted: true }
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
    /// [`Error::InvalidPropertyValue`] for queries that are not in the language, a cursor that names no token, and for a list that
    /// reaches too far or takes too long; [`Error::Store`].
    #[instrument(skip_all)]
    pub async fn find(&self, request: FindTokens) -> Result<ListedTokens> {
        let core = self.node.core.clone();
        blocking(move || {
            let seed = u64::from_le_bytes(random::bytes());
            let search = Search::parse(&request.queries, request.is_counted, core.clock.now(), seed);
            let search = search.map_err(|error| Error::InvalidPropertyValue(error.to_string()))?;
            let found = core.listed.search(&Stored { core: &core }, &search)?;
            Ok(ListedTokens { total: found.total, tokens: found.tokens().collect() })
        })
        .await
    }
}

/// The tokens in a store.
struct Stored<'c> {
    core: &'c Core,
}

impl ReadRows for Stored<'_> {
    fn all(&self, visit: &mut dyn FnMut(Row) -> bool) -> Result<()> {
        let (store, view) = (&self.core.store, self.core.store.view());
        let mut walk = store.walk(collection::TOKENS)?;
        while walk.has_more() {
            for record in store.page(&mut walk, &[], |_| true)? {
                if let Some(row) = token(&view, &record)?
                    && !visit(row)
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn one(&self, id: &RowId) -> Result<Option<Row>> {
        let view = self.core.store.view();
        match id {
            RowId::E2e(id) => match view.record(collection::TOKENS, id)? {
                Some(record) => token(&view, &record),
                None => Ok(None),
            },
            RowId::Node(_) => Ok(None),
        }
    }
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
fn token(view: &View<'_>, record: &Record) -> Result<Option<Row>> {
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
        true => (Revocation::stored(view, &id)?, TokenSettings::stored(view, &id)?),
        false => (None, TokenSettings::default()),
    };
    let revoked_at = revocation.filter(|revocation| revocation.is_complete).map(|revocation| revocation.at);
    Ok(Some(Row {
        id: RowId::E2e(id.as_str().into()),
        is_own: members.is_own,
        file: file_of(&members.content),
        resource: None,
        label: settings.label.map(String::from),
        created_at: members.created_at,
        updated_at: revoked_at.map_or(members.created_at, |at| at.max(members.created_at)),
        expires_at: Some(members.expires_at).filter(|at| *at < Timestamp::NEVER),
        not_before: settings.not_before,
        max_downloads: settings.max_downloads.map(MaxDownloads::get),
        committed: settings.uses.map_or(0, |uses| uses.committed.into()),
        leased: settings.uses.map_or(0, |uses| uses.leased),
        accessed_at: settings.uses.and_then(|uses| uses.last_read_at),
        for_identity: members.for_identity,
        has_password: members.password_protection.is_some(),
        is_locked: false,
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
