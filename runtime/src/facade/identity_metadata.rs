//! Notes an application keeps about an identity.

use std::sync::Arc;

use transport::wire::Address;

use crate::Result;
use crate::dto::IdentityMetadata;
use crate::runtime::Node;

/// Values stored under an address and an optional key.
#[derive(Clone)]
pub struct IdentityMetadataFacade {
    node: Arc<Node>,
}

impl IdentityMetadataFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Stores a value, replacing the one under the same address and key.
    pub async fn upsert(&self, entry: IdentityMetadata) -> Result<IdentityMetadata> {
        let _ = (&self.node, entry);
        todo!()
    }

    /// The value under this address and key.
    pub async fn find(&self, reference: &Address, key: Option<&str>) -> Result<IdentityMetadata> {
        let _ = (reference, key);
        todo!()
    }

    /// Removes the value under this address and key.
    pub async fn delete(&self, reference: &Address, key: Option<&str>) -> Result<()> {
        let _ = (reference, key);
        todo!()
    }
}
