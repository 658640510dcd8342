//! An identity without a node, whose other devices are nodes.

use enlace_tests::{Backbone, Family, Node, World};
use serde_json::{Map, Value};
use transport::datawallet::{LABEL_MEMBER, open_payload, seal_payload};
use transport::wire::FileId;
use transport::wire::backbone::datawallet::{Modification, NewModification};
use transport::wire::backbone::files::OwnershipToken;

/// A modification in clear.
#[derive(Clone)]
pub(crate) struct Change {
    listed: Modification,
    properties: Map<String, Value>,
}

impl Change {
    /// The category of its payload.
    pub(crate) fn category(&self) -> Option<&str> {
        self.listed.payload_category.as_deref()
    }
}

/// An identity; its first device talks to the backbone directly.
pub(crate) struct Owner(Family);

impl Owner {
    /// A new identity.
    pub(crate) async fn create(backbone: &Backbone) -> Self {
        // Past the line: what the harness does is not tampered with.
        Self(Family::create(&format!("http://localhost:{}", backbone.server().local_addr().port())).await)
    }

    /// Makes the datawallet, as a first device does.
    pub(crate) async fn create_datawallet(&self) {
        self.0.create_datawallet().await;
    }

    /// A node that is another device of the identity.
    pub(crate) async fn device(&self, world: &World, backbone: &Backbone, name: &str) -> Node {
        let config = runtime::Config::new(world.directory(name), backbone.as_seen_by_nodes());
        let secret = self.0.register(Some(&self.0.key)).await;
        Node::onboard(config, world.clock().clone(), secret).await.unwrap()
    }

    /// What the datawallet says of an object, without labels.
    pub(crate) async fn changes_of(&self, object: &str) -> Vec<Change> {
        let log = self.0.log().await;
        let open = |listed: Modification| {
            let payload = listed.encrypted_payload.as_ref().unwrap();
            let mut properties = open_payload(&self.0.synchronization_key, listed.index, payload).unwrap();
            properties.remove(LABEL_MEMBER);
            Change { listed, properties }
        };
        log.into_iter().filter(|listed| listed.object_identifier == object).map(open).collect()
    }

    /// Pushes changes as official clients do: payloads have no labels.
    pub(crate) async fn push_unlabelled(&self, changes: &[Change]) {
        let seal = |Change { listed, properties }: &Change, index| NewModification {
            kind: listed.kind,
            object_identifier: listed.object_identifier.clone(),
            payload_category: listed.payload_category.clone(),
            collection: listed.collection.clone(),
            encrypted_payload: Some(seal_payload(&self.0.synchronization_key, index, properties).unwrap()),
            datawallet_version: 1,
        };
        self.0.push(changes.iter().collect(), seal).await;
    }

    /// Presents a wrong ownership token, which locks the file and tells its owner.
    pub(crate) async fn lock(&self, file: &FileId) {
        let wrong = OwnershipToken { ownership_token: "wrongwrongwrongwrong".to_owned() };
        assert!(self.0.session.claim_ownership(file, &wrong).await.is_err());
    }
}
