//! What this node holds for others: the tokens that it has made for its own files, with the ledger of each, so that peers load
//! token and file from here. The backbone has the same tokens, or nothing has them but this node (direct-only shares).
//!
//! # Contract
//!
//! - A token is held by the device that made it, if peers were on then or if its terms do not permit all paths between peers. Nothing of it is in the datawallet or in a list; the
//!   values are those of the node's store, sealed and power-cut safe as all of them.
//! - Other devices of the identity answer for it by what the datawallet says of it, if it has no password and they know its file:
//!   then nothing is counted that must be counted in one place ([`recorded`]). Any other id counts as unknown.
//! - It is on disk before its creation is acknowledged, in the commit that stores the token itself if that is stored.
//! - It goes when its token or file is removed, by whichever device, in the same commit; and [`RETENTION`] after its expiry,
//!   because those who have loaded it may do so again until then, as at a backbone. There are at most [`MAX_HELD_TOKENS`]; those that permit
//!   all paths go first, because the file of one that does not would be had by its id by any path.
//! - Its expiry is the one that all devices of the identity know. Once it is revoked nobody else gets it, and transfers by it end; this
//!   is on disk before the backbone is asked. What another device has revoked, or has let end before its time, is given to nobody
//!   else either, after the datawallet was synchronized. Held longer than its first expiry and [`RETENTION`] are only those whose
//!   expiry was changed here.
//! - Who may load it is decided by [`transport::access`], as at a backbone. Attempts that may count are judged one after the other,
//!   and what they count is on disk before they are answered.
//! - By a path that its terms do not permit nobody gets it, whoever asks, nor its file, nor that by the id of the file; a transfer ends when its
//!   connection takes such a path, or when its path is not permitted any more. Devices of this identity get the file by its own id. Other
//!   devices give the token to nobody, and the file to nobody else by its id, once they have synchronized (`elsewhere`).
//! - Token and backbone have a ledger each. A guesser who uses both ways has twice the attempts of one.
//! - Uses have one counter. Those of a token that the backbone has, too, are allocated there: this node reads it there under the claim
//!   of whoever asks before a byte leaves (`core::leases`), and gives nothing while the backbone cannot be asked. Those of a direct share are
//!   allocated here, and on disk before a byte leaves. Without a claim a token whose uses are counted is not here for others.

mod direct;
mod elsewhere;
mod holder;
#[cfg(test)]
mod killed;
mod ledger;
mod record;
mod recorded;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::Result;
use crate::core::Core;
use crate::store::{Batch, StoreError, View};

pub(crate) use self::direct::{NewShare, local_id, stop, terms};
pub(crate) use self::elsewhere::{leave_new_to_this_device, leave_to_this_device};
pub(crate) use self::holder::NodeHolder;
pub(crate) use self::ledger::{is_alone, is_locked, is_offered, transports, unlock};
pub(crate) use self::record::{Edit, HeldToken};

/// Tokens that are held. For one more, the one that expires first goes: of those that permit all paths, if there is one.
pub(crate) const MAX_HELD_TOKENS: u64 = 100_000;
/// Identities that are remembered as readers of one token. Others need its password each time.
pub(crate) const MAX_READERS: u32 = 1000;
/// How long after its expiry a token is held for those who have loaded it before: as long as at a backbone.
pub(crate) const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Tokens whose time is over that are removed together with the making of a new one.
const SWEPT_AT_ONCE: usize = 64;

/// Removes what need not be held any more. The node starts.
pub(crate) async fn clean_up(core: &Core) -> Result<()> {
    if core.content_store.check_is_on().is_ok() {
        direct::end_lost(core).await?;
    }
    sweep(core).await
}

/// Removes the tokens whose time is over.
async fn sweep(core: &Core) -> Result<()> {
    loop {
        let now = core.clock.now();
        let swept = core.store.change(|view| {
            let mut batch = Batch::new();
            let mut edit = Edit::of(view, &mut batch)?;
            let swept = edit.sweep(now, SWEPT_AT_ONCE)?;
            edit.finish()?;
            Ok::<_, StoreError>((batch, swept))
        });
        if swept.await? < SWEPT_AT_ONCE {
            core.content_store.sweep();
            return Ok(());
        }
    }
}

/// Removes an object, and with a file or token what is held of it, in one commit. Other devices learn of it.
pub(crate) async fn remove_object(core: &Core, collection: &str, id: &str) -> Result<()> {
    let remove = |view: &View<'_>| {
        let mut batch = Batch::new();
        let mut edit = Edit::of(view, &mut batch)?;
        edit.remove_with(collection, id)?;
        edit.finish()?;
        batch.record_delete(collection, id);
        Ok((batch, ()))
    };
    core.change(remove).await
}
