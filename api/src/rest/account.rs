//! Who this node is, and its synchronization.

use crate::connector::{Call, sync_info as sync_info_of};
use crate::problem::Problem;
use crate::reply::Reply;

/// `GET Account/IdentityInfo`
pub(crate) async fn identity_info(call: Call) -> Result<Reply, Problem> {
    let info = call.runtime().account().identity_info().await?;
    Ok(Reply::ok(&info))
}

/// `POST Account/Sync`
pub(crate) async fn sync(call: Call) -> Result<Reply, Problem> {
    call.runtime().account().sync_everything().await?;
    Ok(Reply::no_content())
}

/// `GET Account/SyncInfo`
pub(crate) async fn sync_info(call: Call) -> Result<Reply, Problem> {
    let info = call.runtime().account().sync_info().await?;
    Ok(Reply::ok(&sync_info_of(info)))
}
