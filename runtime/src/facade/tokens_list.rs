//! One list over the tokens of both kinds, with queries.

use tracing::instrument;
use transport::crypto::random;

use super::TokensFacade;
use super::token_rows::Stored;
use crate::blocking::blocking;
use crate::dto::ListedTokens;
use crate::listed::{self, Search};
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
        let place = core.listed.place().await;
        blocking(move || {
            // Whoever asks may have gone, but the search goes on.
            let _place = place;
            let seed = u64::from_le_bytes(random::bytes());
            let search = Search::parse(&request.queries, request.is_counted, core.clock.now(), seed);
            let search = search.map_err(|error| Error::InvalidPropertyValue(error.to_string()))?;
            let found = core.listed.search(&Stored { core: &core }, &search)?;
            Ok(ListedTokens { total: found.total, tokens: found.tokens().collect() })
        })
        .await
    }
}

#[cfg(test)]
mod tests;
