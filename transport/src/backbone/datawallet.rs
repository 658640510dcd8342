//! `/Datawallet`.

use super::bounds::AnswerBounds;
use super::http::Request;
use super::session::ListBounds;
use super::{Error, Session};
use crate::wire::backbone::datawallet::{Datawallet, Modification, PushModifications, PushedModifications};

/// Most modifications that are fetched in one go.
const BOUNDS: ListBounds = ListBounds { pages: 20_000, bytes: 512 * 1024 * 1024 };

impl Session {
    /// The datawallet of the identity.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::is_record_not_found`] before the first version upgrade.
    pub async fn datawallet(&self) -> Result<Datawallet, Error> {
        self.json(Request::get("/Datawallet").datawallet()).await
    }

    /// All modifications with a greater index, all of them if there is none. Own ones are included, superseded ones may
    /// be left out.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn modifications(&self, local_index: Option<u64>) -> Result<Vec<Modification>, Error> {
        let request = || {
            let request = Request::get("/Datawallet/Modifications").datawallet();
            match local_index {
                Some(index) => request.query("localIndex", index),
                None => request,
            }
        };
        self.all_pages(request, BOUNDS).await
    }

    /// Appends modifications; all of them or none.
    ///
    /// # Errors
    /// [`Error`]; `…datawalletNotUpToDate` if another device was faster, `…DuringActiveSyncRun` while one handles events.
    pub async fn push_modifications(&self, push: &PushModifications) -> Result<PushedModifications, Error> {
        let request = Request::post("/Datawallet/Modifications", push).datawallet();
        self.json(request.answered_within(AnswerBounds::ASSIGNMENTS)).await
    }
}
