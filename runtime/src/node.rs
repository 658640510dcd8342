//! What operations on files and tokens have in common.

use crate::Result;
use crate::error::{Error, TransportError};
use crate::runtime::Node;
use crate::store::Batch;

impl Node {
    /// Applies changes, waits until they are on disk, and has them pushed to the other devices in the background.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<()> {
        self.store.commit(batch).await?;
        self.sync.changed();
        Ok(())
    }

    /// Refuses an id that already stands for something here. Ids are the backbone's to give, and remembering a new record
    /// under an old id would lose the old one's key.
    pub(crate) fn check_unused(&self, collection: &str, id: &str) -> Result<()> {
        match self.store.object(collection, id)? {
            None => Ok(()),
            Some(_) => Err(Error::Unknown(format!("the backbone gave out the id {id}, which is in use already"))),
        }
    }

    /// The backbone that references name.
    pub(crate) fn base_url(&self) -> &str {
        &self.account.client().config().base_url
    }

    /// An error that the transport layer has a code for, now.
    pub(crate) fn transport_error(&self, kind: TransportError, reason: impl Into<String>) -> Error {
        Error::Transport { kind, reason: reason.into(), at: self.clock.now() }
    }

    /// Adds to "not found" what most often explains it: the reference names another backbone than this node's.
    pub(crate) fn not_found_elsewhere(&self, named: Option<&str>, error: Error) -> Error {
        match (error, named) {
            (Error::RecordNotFoundAtBackbone(text), Some(named)) if !same_place(named, self.base_url()) => {
                Error::RecordNotFoundAtBackbone(format!(
                    "{text} The reference names the backbone {named}, but this node uses {}.",
                    self.base_url()
                ))
            }
            (error, _) => error,
        }
    }
}

fn same_place(left: &str, right: &str) -> bool {
    left.trim_end_matches('/').eq_ignore_ascii_case(right.trim_end_matches('/'))
}
