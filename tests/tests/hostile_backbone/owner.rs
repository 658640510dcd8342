//! An identity without a node, whose other devices are nodes.

use enlace_tests::{Backbone, NewIdentity, Node, World, client};
use serde_json::{Map, Value};
use transport::backbone::Session;
use transport::challenge::{Challenge, ChallengeType};
use transport::crypto::{SecretKey, SignatureKeypair};
use transport::datawallet::{LABEL_MEMBER, open_payload, seal_payload};
use transport::identity::{DeviceSharedSecret, PublicIdentity, generate_device_password};
use transport::wire::FileId;
use transport::wire::backbone::datawallet::{Modification, NewModification, PushModifications};
use transport::wire::backbone::devices::CreateDevice;
use transport::wire::backbone::files::OwnershipToken;
use transport::wire::backbone::identities::CreatedIdentity;
use transport::wire::backbone::sync_runs::{FinalizeDatawalletVersionUpgrade, StartSyncRun, SyncRunType};

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
pub(crate) struct Owner {
    key: SignatureKeypair,
    synchronization_key: SecretKey,
    created: CreatedIdentity,
    session: Session,
}

impl Owner {
    /// A new identity.
    pub(crate) async fn create(backbone: &Backbone) -> Self {
        // Past the line: what the harness does is not tampered with.
        let client = client(&format!("http://localhost:{}", backbone.server().local_addr().port()));
        let NewIdentity { key, created, credentials } = NewIdentity::create(&client).await;
        let session = client.login(credentials);
        Self { key, synchronization_key: SecretKey::generate(), created, session }
    }

    /// Makes the datawallet, as a first device does.
    pub(crate) async fn create_datawallet(&self) {
        let start = StartSyncRun { kind: SyncRunType::DatawalletVersionUpgrade, duration: None };
        let run = self.session.start_sync_run(start).await.unwrap().sync_run.unwrap();
        let upgrade =
            FinalizeDatawalletVersionUpgrade { new_datawallet_version: 1, datawallet_modifications: Vec::new() };
        self.session.finalize_datawallet_version_upgrade(&run.id, &upgrade).await.unwrap();
    }

    /// A node that is another device of the identity.
    pub(crate) async fn device(&self, world: &World, backbone: &Backbone, name: &str) -> Node {
        let config = runtime::Config::new(world.directory(name), backbone.as_seen_by_nodes());
        let secret = self.secret_for_new_device().await;
        Node::onboard(config, world.clock().clone(), secret).await.unwrap()
    }

    async fn secret_for_new_device(&self) -> DeviceSharedSecret {
        let password = generate_device_password();
        let challenge = self.session.create_challenge().await.unwrap();
        let request = CreateDevice {
            device_password: password.to_string(),
            signed_challenge: Challenge::new(challenge, ChallengeType::Identity).sign(&self.key).to_wire(),
            communication_language: None,
            is_backup_device: false,
        };
        let created = self.session.create_device(&request).await.unwrap();
        DeviceSharedSecret {
            created_at: created.created_at,
            created_by_device: created.created_by_device,
            description: None,
            device_index: 1,
            id: created.id,
            identity: PublicIdentity { address: self.created.address.clone(), public_key: self.key.public_key() },
            identity_private_key: Some(self.key.clone()),
            is_backup_device: false,
            name: None,
            password,
            profile_name: None,
            secret_base_key: SecretKey::generate(),
            synchronization_key: self.synchronization_key.clone(),
            username: created.username,
        }
    }

    async fn log(&self) -> Vec<Modification> {
        let mut log = Vec::<Modification>::new();
        loop {
            let page = self.session.modifications_page(log.last().map(|last| last.index)).await.unwrap();
            log.extend(page.modifications);
            if !page.has_more {
                return log;
            }
        }
    }

    /// What the datawallet says of an object, without labels.
    pub(crate) async fn changes_of(&self, object: &str) -> Vec<Change> {
        let log = self.log().await;
        let open = |listed: Modification| {
            let payload = listed.encrypted_payload.as_ref().unwrap();
            let mut properties = open_payload(&self.synchronization_key, listed.index, payload).unwrap();
            properties.remove(LABEL_MEMBER);
            Change { listed, properties }
        };
        log.into_iter().filter(|listed| listed.object_identifier == object).map(open).collect()
    }

    /// Pushes changes as official clients do: payloads have no labels.
    pub(crate) async fn push_unlabelled(&self, changes: &[Change]) {
        let log = self.log().await;
        let newest = log.last().map(|listed| listed.index);
        let seal = |(index, Change { listed, properties }): (u64, &Change)| NewModification {
            kind: listed.kind,
            object_identifier: listed.object_identifier.clone(),
            payload_category: listed.payload_category.clone(),
            collection: listed.collection.clone(),
            encrypted_payload: Some(seal_payload(&self.synchronization_key, index, properties).unwrap()),
            datawallet_version: 1,
        };
        let modifications = (newest.map_or(0, |index| index + 1)..).zip(changes).map(seal).collect();
        let local_index = newest.map_or(-1, |index| index.try_into().unwrap());
        self.session.push_modifications(&PushModifications { local_index, modifications }).await.unwrap();
    }

    /// Presents a wrong ownership token, which locks the file and tells its owner.
    pub(crate) async fn lock(&self, file: &FileId) {
        let wrong = OwnershipToken { ownership_token: "wrongwrongwrongwrong".to_owned() };
        assert!(self.session.claim_ownership(file, &wrong).await.is_err());
    }
}
