//! An identity without a node, whose other devices are nodes: its first device talks to the backbone directly.

use transport::backbone::Session;
use transport::challenge::{Challenge, ChallengeType};
use transport::crypto::{SecretKey, SignatureKeypair};
use transport::identity::{DeviceSharedSecret, PublicIdentity, generate_device_password};
use transport::wire::backbone::datawallet::{Modification, NewModification, PushModifications};
use transport::wire::backbone::devices::CreateDevice;
use transport::wire::backbone::identities::CreatedIdentity;
use transport::wire::backbone::sync_runs::{FinalizeDatawalletVersionUpgrade, StartSyncRun, SyncRunType};

use crate::{NewIdentity, client};

/// An identity, with the session of its first device.
///
/// Its methods panic if the backbone does not do what they ask for.
pub struct Family {
    /// The key of the identity.
    pub key: SignatureKeypair,
    /// The key of its datawallet.
    pub synchronization_key: SecretKey,
    /// What the backbone answered when it was created.
    pub created: CreatedIdentity,
    /// The login of the first device.
    pub session: Session,
}

impl Family {
    /// A new identity at the backbone with this URL, without a datawallet.
    ///
    /// # Panics
    /// As all methods.
    pub async fn create(url: &str) -> Self {
        let client = client(url);
        let NewIdentity { key, created, credentials } = NewIdentity::create(&client).await;
        let session = client.login(credentials);
        Self { key, synchronization_key: SecretKey::generate(), created, session }
    }

    /// Makes the datawallet, as a first device does.
    ///
    /// # Panics
    /// As all methods.
    pub async fn create_datawallet(&self) {
        let start = StartSyncRun { kind: SyncRunType::DatawalletVersionUpgrade, duration: None };
        let started = self.session.start_sync_run(start).await.expect("sync runs start");
        let run = started.sync_run.expect("an upgrade is a run");
        let upgrade =
            FinalizeDatawalletVersionUpgrade { new_datawallet_version: 1, datawallet_modifications: Vec::new() };
        let ended = self.session.finalize_datawallet_version_upgrade(&run.id, &upgrade).await;
        ended.expect("a new datawallet is upgraded");
    }

    /// Registers another device; what it is onboarded with. Only with the key of the identity it is an admin device.
    ///
    /// # Panics
    /// As all methods.
    pub async fn register(&self, identity_key: Option<&SignatureKeypair>) -> DeviceSharedSecret {
        let password = generate_device_password();
        let challenge = self.session.create_challenge().await.expect("the backbone makes challenges");
        let request = CreateDevice {
            device_password: password.to_string(),
            signed_challenge: Challenge::new(challenge, ChallengeType::Identity).sign(&self.key).to_wire(),
            communication_language: None,
            is_backup_device: false,
        };
        let created = self.session.create_device(&request).await.expect("devices are registered");
        DeviceSharedSecret {
            created_at: created.created_at,
            created_by_device: created.created_by_device,
            description: None,
            device_index: 1,
            id: created.id,
            identity: PublicIdentity { address: self.created.address.clone(), public_key: self.key.public_key() },
            identity_private_key: identity_key.cloned(),
            is_backup_device: false,
            name: None,
            password,
            profile_name: None,
            secret_base_key: SecretKey::generate(),
            synchronization_key: self.synchronization_key.clone(),
            username: created.username,
        }
    }

    /// All modifications of the datawallet.
    ///
    /// # Panics
    /// As all methods.
    pub async fn log(&self) -> Vec<Modification> {
        let mut log = Vec::<Modification>::new();
        loop {
            let newest = log.last().map(|last| last.index);
            let page = self.session.modifications_page(newest).await.expect("the datawallet is listed");
            log.extend(page.modifications);
            if !page.has_more {
                return log;
            }
        }
    }

    /// Pushes changes, each of which is sealed for its index.
    ///
    /// # Panics
    /// As all methods.
    pub async fn push<T>(&self, changes: Vec<T>, seal: impl Fn(T, u64) -> NewModification) {
        let newest = self.log().await.last().map(|last| last.index);
        let first = newest.map_or(0, |index| index + 1);
        let modifications = changes.into_iter().zip(first..).map(|(change, index)| seal(change, index)).collect();
        let local_index = newest.map_or(-1, |index| index.try_into().expect("few modifications"));
        let pushed = self.session.push_modifications(&PushModifications { local_index, modifications }).await;
        pushed.expect("modifications are pushed");
    }
}
