//! `/Datawallet`.

use super::bounds::AnswerBounds;
use super::http::Request;
use super::{Error, Session};
use crate::wire::backbone::datawallet::{Datawallet, Modification, PushModifications, PushedModifications};

/// A page of the log, oldest modification first.
#[derive(Debug)]
pub struct ModificationsPage {
    /// In the order of the log.
    pub modifications: Vec<Modification>,
    /// Whether there are more according to the backbone. To get them, ask for those after the last one.
    pub has_more: bool,
    /// Bytes of the answer.
    pub bytes: u64,
}

impl Session {
    /// The datawallet of the identity.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::is_record_not_found`] before the first version upgrade.
    pub async fn datawallet(&self) -> Result<Datawallet, Error> {
        self.json(Request::get("/Datawallet").datawallet()).await
    }

    /// The oldest modifications with a greater index, the oldest of all if there is none: as many as the backbone puts on a
    /// page. Own ones are included, superseded ones may be left out. Reading on behind the last one misses nothing, while the numbers of pages shift when modifications are superseded.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn modifications_page(&self, local_index: Option<u64>) -> Result<ModificationsPage, Error> {
        let page = self.page::<Vec<Modification>>(&after(local_index).answered_within(AnswerBounds::PAGE)).await?;
        let has_more = page.pagination.is_some_and(|pagination| pagination.total_pages > 1);
        Ok(ModificationsPage { modifications: page.value, has_more, bytes: page.length })
    }

    /// Appends modifications atomically.
    ///
    /// # Errors
    /// [`Error`]; `…datawalletNotUpToDate` if another device was faster, `…DuringActiveSyncRun` while one handles events.
    pub async fn push_modifications(&self, push: &PushModifications) -> Result<PushedModifications, Error> {
        let request = Request::post("/Datawallet/Modifications", push).datawallet();
        self.json(request.answered_within(AnswerBounds::ASSIGNMENTS)).await
    }
}

fn after(local_index: Option<u64>) -> Request {
    let request = Request::get("/Datawallet/Modifications").datawallet();
    match local_index {
        Some(index) => request.query("localIndex", index),
        None => request,
    }
}
