//! Certificates for devices without the key of the identity, on the program's own backbone.

use std::time::Duration;

use transport::peer::{
    CertificateRequest, Claims, DeviceCertificate, MAX_REQUEST_AGE, PeerKey, RequestClaims, of_property, to_property,
};
use transport::wire::{DeviceId, Timestamp};

use super::super::certificates::{self, received_certificate};
use super::super::state::Position;
use super::two_devices::World;
use super::*;
use crate::PeerConfig;
use crate::peer::CERTIFICATE_VALIDITY;
use transport::crypto::{CryptoObject as _, Form, SignatureKeypair};

const REQUEST: &str = "peerCertificateRequest";
const CERTIFICATE: &str = "peerCertificate";
const MOMENT: Duration = Duration::from_millis(1);

/// An identity with a device that has its key, and one that has not.
struct Pair {
    world: World,
    admin: Arc<Core>,
    member: Arc<Core>,
}

impl Pair {
    /// The second device asks if it has peers.
    async fn new(peers: Option<PeerConfig>) -> Self {
        let world = World::new().await;
        let admin = world.first_device().await;
        let mut secret = world.register_device(&admin).await;
        secret.identity_private_key = None;
        let config = Config { peers, ..world.config("second") };
        let store = Arc::new(store(&config.data_dir, true));
        let account = account::onboard(&config.backbone, &store, secret).await.unwrap();
        let member = core(config, store, account, world.clock.clone());
        member.datawallet().await.unwrap();
        Self { world, admin, member }
    }

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    async fn synchronize(&self, who: [&Core; 2]) {
        for core in who {
            core.datawallet().await.unwrap();
        }
    }

    /// The device with the key synchronizes, then the other one.
    async fn answer(&self) {
        self.synchronize([&self.admin, &self.member]).await;
    }

    /// The end of the log, as both know it.
    fn ends(&self) -> [Position; 2] {
        [&self.admin, &self.member].map(|core| Position::load(&core.store).unwrap())
    }

    /// What the second device has got, with all that peers check.
    fn certificate(&self) -> Option<DeviceCertificate> {
        let account = &self.member.account;
        let received = received_certificate(self.member.store.clone(), account.device_id().clone())();
        received.inspect(|certificate| {
            let verified = certificate.verify(&self.peer_id(), self.now(), |_, _| false).unwrap();
            let Claims { address, device_id, device_key, .. } = verified.claims();
            assert_eq!((address, device_id), (account.address(), account.device_id()));
            assert_eq!(*device_key, account.device_key().public_key());
        })
    }

    fn peer_id(&self) -> transport::peer::PeerId {
        PeerKey::derive(self.member.account.device_key()).peer_id()
    }

    fn entry(&self, core: &Core) -> Object {
        core.store.object(collection::DEVICES, self.member.account.device_id().as_str()).unwrap().unwrap()
    }

    /// A device of the identity changes what the datawallet says of the second device.
    async fn set(&self, by: &Core, name: &str, value: Value) {
        let mut entry = self.entry(by);
        entry.properties.insert(name.to_owned(), value);
        update(by, entry).await;
        by.datawallet().await.unwrap();
    }

    fn claims(&self) -> RequestClaims {
        let account = &self.member.account;
        RequestClaims {
            address: account.address().clone(),
            device_id: account.device_id().clone(),
            device_key: account.device_key().public_key(),
            peer_id: self.peer_id(),
            requested_at: self.now(),
        }
    }
}

#[tokio::test]
async fn a_device_without_the_identity_key_gets_a_certificate_by_the_datawallet_and_renews_it() {
    let pair = Pair::new(Some(PeerConfig::default())).await;
    assert_eq!(pair.certificate(), None);
    pair.answer().await;
    let first = pair.certificate().unwrap();
    assert_eq!(first.claims().valid_until, pair.now().saturating_add(CERTIFICATE_VALIDITY));

    pair.answer().await;
    let ends = pair.ends();
    pair.world.clock.advance(CERTIFICATE_VALIDITY / 2);
    for _ in 0..2 {
        pair.synchronize([&pair.member, &pair.admin]).await;
    }
    assert_eq!(pair.ends(), ends, "nothing is said while it is fresh");
    assert_eq!(pair.certificate(), Some(first.clone()));

    pair.world.clock.advance(MOMENT);
    pair.member.datawallet().await.unwrap();
    assert_eq!(pair.certificate(), Some(first), "it stays until there is another one");
    pair.answer().await;
    let second = pair.certificate().unwrap();
    assert_eq!(second.claims().valid_from, pair.now());
}

#[tokio::test]
async fn a_request_that_is_too_old_is_made_again_and_then_answered() {
    let pair = Pair::new(Some(PeerConfig::default())).await;
    let asked = pair.entry(&pair.member).properties[REQUEST].clone();
    pair.member.datawallet().await.unwrap();
    assert_eq!(pair.entry(&pair.member).properties[REQUEST], asked, "it waits");
    pair.world.clock.advance(MAX_REQUEST_AGE + MOMENT);
    pair.admin.datawallet().await.unwrap();
    assert!(!pair.entry(&pair.admin).properties.contains_key(CERTIFICATE));
    pair.member.datawallet().await.unwrap();
    assert_ne!(pair.entry(&pair.member).properties[REQUEST], asked);
    pair.answer().await;
    assert!(pair.certificate().is_some());
}

#[tokio::test]
async fn a_device_without_peers_does_not_ask() {
    let pair = Pair::new(None).await;
    pair.answer().await;
    assert!(!pair.entry(&pair.admin).properties.contains_key(REQUEST));
}

#[tokio::test]
async fn a_forged_request_is_refused() {
    let pair = Pair::new(None).await;
    let (own, other) = (pair.member.account.device_key(), SignatureKeypair::generate());
    let text = |claims: RequestClaims, key: &SignatureKeypair| to_property(&claims.sign(key).unwrap());
    let genuine = text(pair.claims(), own);
    let with_other_peer = RequestClaims { peer_id: PeerKey::derive(&other).peer_id(), ..pair.claims() };
    let other_peer = text(with_other_peer, own);
    // The end of the text is in the signature only.
    let place = genuine.len() - 80;
    let unsigned = [&other_peer[..place], &genuine[place..]].concat();
    assert!(of_property::<CertificateRequest>(&unsigned).is_some());
    let forgeries = [
        Value::from(text(RequestClaims { device_key: other.public_key(), ..pair.claims() }, &other)),
        Value::from(text(RequestClaims { device_id: pair.admin.account.device_id().clone(), ..pair.claims() }, own)),
        Value::from(text(RequestClaims { address: other_address(), ..pair.claims() }, own)),
        Value::from(unsigned),
        Value::from("A".repeat(1 << 16)),
        json!({ "request": genuine }),
    ];
    for forged in forgeries {
        pair.set(&pair.member, REQUEST, forged.clone()).await;
        pair.answer().await;
        let entry = pair.entry(&pair.admin).properties;
        assert_eq!(entry[REQUEST], forged);
        assert!(!entry.contains_key(CERTIFICATE), "{forged}");
    }
    pair.set(&pair.member, REQUEST, Value::from(genuine)).await;
    pair.answer().await;
    assert!(pair.certificate().is_some());
}

fn other_address() -> transport::wire::Address {
    transport::identity::derive_address(&SignatureKeypair::generate().public_key(), "localhost").unwrap()
}

#[tokio::test]
async fn a_removed_device_gets_none() {
    let pair = Pair::new(None).await;
    let request = to_property(&pair.claims().sign(pair.member.account.device_key()).unwrap());
    pair.set(&pair.member, "isOffboarded", Value::from(true)).await;
    pair.set(&pair.member, REQUEST, Value::from(request)).await;
    pair.admin.datawallet().await.unwrap();
    assert!(!pair.entry(&pair.admin).properties.contains_key(CERTIFICATE));

    let entry = pair.entry(&pair.admin);
    let mut batch = Batch::new();
    batch.record_delete(collection::DEVICES, &entry.id);
    pair.admin.store.commit(batch).await.unwrap();
    let mut again = entry;
    again.properties.insert("isOffboarded".to_owned(), Value::from(false));
    create(&pair.admin, again).await;
    pair.admin.datawallet().await.unwrap();
    let entry = pair.entry(&pair.admin).properties;
    assert!(entry.contains_key(REQUEST) && !entry.contains_key(CERTIFICATE), "it was removed and came back");
}

#[tokio::test]
async fn so_many_devices_are_answered_in_one_synchronization_and_no_more() {
    let pair = Pair::new(None).await;
    for number in 0..=certificates::MAX_ANSWERS {
        let (key, id) = (SignatureKeypair::generate(), format!("DVCabcDEF123ghiJK{number:03}"));
        let device_id: DeviceId = id.parse().unwrap();
        let peer_id = PeerKey::derive(&key).peer_id();
        let claims = RequestClaims { device_id, device_key: key.public_key(), peer_id, ..pair.claims() };
        let entry = json!({
            "@type": "Device",
            "publicKey": key.public_key().to_value(Form::Compact),
            "username": "USR1",
            REQUEST: to_property(&claims.sign(&key).unwrap()),
        });
        create(&pair.member, Object::new(collection::DEVICES, id, members(entry))).await;
    }
    pair.member.datawallet().await.unwrap();
    let answered = || {
        let devices = pair.admin.store.objects(collection::DEVICES).unwrap().map(Result::unwrap);
        devices.filter(|device| device.properties.contains_key(CERTIFICATE)).count()
    };
    for expected in [certificates::MAX_ANSWERS, certificates::MAX_ANSWERS + 1] {
        pair.admin.datawallet().await.unwrap();
        assert_eq!(answered(), expected);
    }
}
