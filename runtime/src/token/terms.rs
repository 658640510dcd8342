//! How own tokens end before the time that was set at their creation: by another expiry, or because they were revoked.
//!
//! The expiry is a member of the synchronized object, which every client may change. Its schema has no member for a revocation, so
//! that is a value of this device, and the expiry of the object becomes the time of the revocation: the other devices of the identity
//! end the token when they synchronize.
//!
//! ```text
//! RevokedToken/<token>  since when, and whether the backbone knows
//! ```

use serde::{Deserialize, Serialize};
use transport::wire::{Timestamp, TokenId};

use crate::store::token_values::REVOCATION;
use crate::store::{Batch, StoreError, View, collection};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A token that this device has revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revocation {
    /// Since when nobody else gets it here.
    #[serde(rename = "a")]
    pub(crate) at: Timestamp,
    /// Whether the backbone has confirmed it. Until then it is to be repeated.
    #[serde(rename = "c")]
    pub(crate) is_complete: bool,
}

impl Revocation {
    /// The revocation of a token, complete or not.
    pub(crate) fn stored(view: &View<'_>, id: &TokenId) -> Result<Option<Self>> {
        view.value(&name(id))
    }

    pub(crate) fn put(self, batch: &mut Batch, id: &TokenId) -> Result<()> {
        batch.put_value(&name(id), &self).map(drop)
    }

    /// Forgets it, with its token.
    pub(crate) fn remove(batch: &mut Batch, id: &TokenId) {
        batch.remove_value(&name(id));
    }
}

fn name(id: &TokenId) -> String {
    format!("{REVOCATION}{id}")
}

/// How a token that is held ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) expires_at: Timestamp,
    pub(crate) is_revoked: bool,
}

impl Ending {
    /// `held` is the expiry with which this device holds it; another device may have changed the one of the object.
    ///
    /// An object that another device let end before its time counts as revoked when that time has come: whether it was, the object
    /// does not tell, and those who have loaded the token before must not get it again if it was.
    pub(crate) fn of(view: &View<'_>, id: &TokenId, held: Timestamp, now: Timestamp) -> Result<Self> {
        let shared = shared_expiry(view, id)?.unwrap_or(held);
        let is_cut_short = shared < held && shared <= now;
        let is_revoked = is_cut_short || Revocation::stored(view, id)?.is_some();
        Ok(Self { expires_at: shared, is_revoked })
    }
}

/// The only member that is read of an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expiry {
    expires_at: Option<Timestamp>,
}

/// The expiry that all devices of the identity know; none for a token that is not stored.
fn shared_expiry(view: &View<'_>, id: &TokenId) -> Result<Option<Timestamp>> {
    let Some(record) = view.record(collection::TOKENS, id.as_str())? else { return Ok(None) };
    Ok(record.read::<TokenId, Expiry>()?.1.expires_at)
}
