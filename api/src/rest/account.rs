//! Who this node is, and its synchronization.

use runtime::dto;
use serde::Serialize;
use utoipa::ToSchema;

use crate::connector::Call;
use crate::problem::Problem;
use crate::reply::Reply;

/// Who this node is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IdentityInfo {
    /// Address of the identity.
    #[schema(example = "did:e:localhost:dids:9ec15938cbc900b5513efb")]
    address: String,
    /// base64 of the public key's JSON text.
    public_key: String,
}

/// When this node synchronized last. When it synchronized its datawallet is not said: the published clients' types forbid it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncInfo {
    /// Everything, external events included.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sync_run: Option<SyncTime>,
}

/// When a synchronization ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncTime {
    /// When.
    #[schema(format = DateTime)]
    completed_at: String,
}

/// `GET Account/IdentityInfo`
pub(crate) async fn identity_info(call: Call) -> Result<Reply, Problem> {
    let info = call.runtime().account().identity_info().await?;
    Ok(Reply::ok(&IdentityInfo::from(info)))
}

/// `POST Account/Sync`
pub(crate) async fn sync(call: Call) -> Result<Reply, Problem> {
    call.runtime().account().sync_everything().await?;
    Ok(Reply::no_content())
}

/// `GET Account/SyncInfo`
pub(crate) async fn sync_info(call: Call) -> Result<Reply, Problem> {
    let info = call.runtime().account().sync_info().await?;
    let time = |time: dto::SyncTime| SyncTime { completed_at: time.completed_at.to_string() };
    Ok(Reply::ok(&SyncInfo { last_sync_run: info.last_sync_run.map(time) }))
}

impl From<dto::IdentityInfo> for IdentityInfo {
    fn from(info: dto::IdentityInfo) -> Self {
        Self { address: info.address.to_string(), public_key: info.public_key }
    }
}
