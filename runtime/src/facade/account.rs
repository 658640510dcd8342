//! The node's own identity and its synchronization.

use std::sync::Arc;

use crate::Result;
use crate::dto::{DeviceInfo, IdentityInfo, SyncInfo};
use crate::runtime::Node;

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
    pub async fn identity_info(&self) -> Result<IdentityInfo> {
        let _ = &self.node;
        todo!()
    }

    /// This device.
    pub async fn device_info(&self) -> Result<DeviceInfo> {
        todo!()
    }

    /// Handles external events, then synchronizes the datawallet. Simultaneous calls share one run.
    pub async fn sync_everything(&self) -> Result<()> {
        todo!()
    }

    /// Pulls what other devices changed and pushes what this one did. Simultaneous calls share one run.
    pub async fn sync_datawallet(&self) -> Result<()> {
        todo!()
    }

    /// When the node synchronized last.
    pub async fn sync_info(&self) -> Result<SyncInfo> {
        todo!()
    }

    /// Whether store, backbone and login work, for health checks. Never fails; says what is wrong instead.
    pub async fn health(&self) -> Health {
        todo!()
    }
}

/// What a health check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The local store answers.
    pub database: bool,
    /// The backbone can be reached.
    pub backbone_connection: bool,
    /// The device can log in.
    pub backbone_authentication: bool,
}
