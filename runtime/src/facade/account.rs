//! The node's own identity and its synchronization.

use std::sync::Arc;
use std::time::Duration;

use transport::crypto::CryptoObject as _;
use transport::wire::Timestamp;

use super::Node;
use crate::Result;
use crate::dto::{DeviceInfo, IdentityInfo, SyncInfo, SyncTime};
use crate::store::collection;
use crate::sync::SyncTimes;

/// Who the node is, and keeping it in step.
#[derive(Clone)]
pub struct AccountFacade {
    node: Arc<Node>,
}

impl AccountFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Address and public key.
    ///
    /// # Errors
    /// None today; the identity is known since the start.
    pub async fn identity_info(&self) -> Result<IdentityInfo> {
        let account = &self.node.core.account;
        Ok(IdentityInfo { address: account.address().clone(), public_key: account.public_key().to_base64() })
    }

    /// This device.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if the store cannot be read.
    pub async fn device_info(&self) -> Result<DeviceInfo> {
        let account = &self.node.core.account;
        let entry = self.node.core.store.object(collection::DEVICES, account.device_id().as_str())?;
        let text = |name: &str| Some(entry.as_ref()?.properties.get(name)?.as_str()?.to_owned());
        let device = account.device();
        Ok(DeviceInfo {
            id: device.id,
            name: text("name"),
            description: text("description"),
            created_at: device.created_at,
            created_by_device: device.created_by_device,
            username: device.username.to_string(),
            is_admin: account.identity_key().is_some(),
            public_key: account.device_key().public_key().to_base64(),
        })
    }

    /// Handles external events, then synchronizes the datawallet. Callers that wait at the same time share one run.
    /// Dropping the future does not stop the run.
    ///
    /// # Errors
    /// The backbone's, and `error.transport.datawallet.insufficientSupportedDatawalletVersion` if this program is too old.
    pub async fn sync_everything(&self) -> Result<()> {
        self.node.sync.everything().await
    }

    /// Pulls what other devices changed and pushes what this one did. Callers that wait at the same time share one
    /// synchronization. Dropping the future does not stop it.
    ///
    /// # Errors
    /// As [`AccountFacade::sync_everything`].
    pub async fn sync_datawallet(&self) -> Result<()> {
        self.node.sync.datawallet().await
    }

    /// When the node synchronized last.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if the store cannot be read.
    pub async fn sync_info(&self) -> Result<SyncInfo> {
        let times = SyncTimes::load(&self.node.core.store)?;
        let at = |time: Option<Timestamp>| time.map(|completed_at| SyncTime { completed_at });
        Ok(SyncInfo { last_sync_run: at(times.everything), last_datawallet_sync: at(times.datawallet) })
    }

    /// How far in the future new files and tokens may expire, if the backbone limits that and says so: enlace's backbones
    /// do for guests.
    pub async fn max_lifetime(&self) -> Option<Duration> {
        self.node.core.account.max_lifetime().await
    }

    /// Whether store, backbone and login work, for health checks. Never fails; says what is wrong instead.
    pub async fn health(&self) -> Health {
        let account = &self.node.core.account;
        let (version, login) = tokio::join!(account.client().version(), account.session().log_in());
        let read = SyncTimes::load(&self.node.core.store).map(drop);
        let database_failure = self.node.core.store.failure().map(crate::Error::from).or(read.err());
        Health {
            database: database_failure.is_none(),
            database_failure: database_failure.map(|error| error.to_string()),
            backbone_connection: version.is_ok(),
            backbone_authentication: login.is_ok(),
        }
    }
}

/// What a health check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The local store can be read, and none of its writes failed.
    pub database: bool,
    /// If not, what is wrong with it, for whoever runs the node: it may name files of this machine.
    pub database_failure: Option<String>,
    /// The backbone can be reached.
    pub backbone_connection: bool,
    /// The device can log in.
    pub backbone_authentication: bool,
}
