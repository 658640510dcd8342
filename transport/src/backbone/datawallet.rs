//! `/Datawallet`.

use super::http::Request;
use super::{Error, Session};
use crate::wire::backbone::datawallet::{Datawallet, Modification, PushModifications, PushedModifications};

/// Most pages of modifications that are fetched in one go.
const MAX_PAGES: u64 = 20_000;

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
        self.all_pages(request, MAX_PAGES).await
    }

    /// Appends modifications; all of them or none.
    ///
    /// # Errors
    /// [`Error`]; `…datawalletNotUpToDate` if another device was faster, `…DuringActiveSyncRun` while one handles events.
    pub async fn push_modifications(&self, push: &PushModifications) -> Result<PushedModifications, Error> {
        self.json(Request::post("/Datawallet/Modifications", push).datawallet()).await
    }
}
