//! Going over more records than should be in memory at once.

use std::ops::ControlFlow;

use serde::de::DeserializeOwned;

use super::{Entry, Key, Rest, Store};
use crate::error::StoreError;

/// Keys, or small records, that are read before other work gets its turn.
pub(crate) const STEP: usize = 1000;

impl Store {
    /// Shows `visit` the rests of the keys that start with `prefix`, in key order, from the key `from` on, until it breaks
    /// off. Keys that come or go meanwhile may or may not be shown; all others are, once.
    pub(crate) async fn walk_keys<R>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
        mut visit: impl FnMut(&Rest) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut from = from.clone();
        loop {
            let step = self.keys(prefix, &from, STEP).await?;
            if step.iter().try_for_each(&mut visit).is_break() {
                return Ok(());
            }
            match step.last() {
                Some(last) if step.len() == STEP => from = prefix.after(last),
                _ => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    /// The same with records, which have to be small: [`STEP`] of them are in memory.
    pub(crate) async fn walk<R: DeserializeOwned>(
        &self,
        prefix: &Key<R>,
        mut visit: impl FnMut(&Entry<R>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut from = prefix.clone();
        loop {
            let step = self.scan(prefix, &from, STEP).await?;
            if step.iter().try_for_each(&mut visit).is_break() {
                return Ok(());
            }
            match step.last() {
                Some(last) if step.len() == STEP => from = prefix.after(&last.rest),
                _ => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }
}
