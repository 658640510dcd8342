//! Certificates for devices without the key of the identity: these ask in the datawallet, and a device that has the key answers
//! there (`docs/peer-protocols.md`, section 4.1).
//!
//! A request and its answer are properties of the object of the device that asks. Nothing is remembered beside them, so each
//! synchronization decides anew by what the datawallet says, and a crash between two steps changes nothing.

use std::sync::Arc;

use serde_json::Value;
use tracing::{debug, info};
use transport::crypto::{CryptoObject as _, SignatureKeypair, SignaturePublicKey};
use transport::peer::{
    CertificateRequest, DeviceCertificate, Message, PeerKey, RequestClaims, VerifiedRequest, of_property, to_property,
};
use transport::wire::{DeviceId, Timestamp};

use crate::core::Core;
use crate::peer::{CERTIFICATE_VALIDITY, is_fresh, says_removed};
use crate::store::{Batch, Object, Properties, Store, View, collection};
use crate::{Error, Result};

/// The property by which a device asks.
const REQUEST: &str = "peerCertificateRequest";

/// The property with the answer.
const CERTIFICATE: &str = "peerCertificate";

/// Devices that are answered in one synchronization. The next one answers further ones.
pub(super) const MAX_ANSWERS: usize = 32;

/// What other devices have issued last for a device, not verified. Reads it from the store each time.
pub(crate) fn received_certificate(
    store: Arc<Store>,
    device: DeviceId,
) -> Arc<dyn Fn() -> Option<DeviceCertificate> + Send + Sync> {
    Arc::new(move || {
        let object = store.object(collection::DEVICES, device.as_str()).ok().flatten()?;
        read(&object.properties, CERTIFICATE)
    })
}

/// Asks for a certificate if this device needs one, or answers those that ask. After a pull.
pub(super) async fn exchange(core: &Core) -> Result<()> {
    match core.account.identity_key() {
        Some(key) => answer(core, key).await,
        None if core.config.peers.is_some() => ask(core).await,
        None => Ok(()),
    }
}

async fn ask(core: &Core) -> Result<()> {
    let ask = |view: &View<'_>| {
        let mut batch = Batch::new();
        let Some(mut device) = view.object(collection::DEVICES, core.account.device_id().as_str())? else {
            return Ok((batch, ()));
        };
        if let Some(request) = wanted(core, &device.properties) {
            device.properties.insert(REQUEST.to_owned(), Value::from(to_property(&request)));
            batch.record_update(device);
        }
        Ok((batch, ()))
    };
    core.store.change(ask).await
}

/// The request to make now; none while the certificate is fresh, or others may still answer an earlier request.
fn wanted(core: &Core, own: &Properties) -> Option<CertificateRequest> {
    let (account, now) = (&core.account, core.clock.now());
    let claims = RequestClaims {
        address: account.address().clone(),
        device_id: account.device_id().clone(),
        device_key: account.device_key().public_key(),
        peer_id: PeerKey::derive(account.device_key()).peer_id(),
        requested_at: now,
    };
    let asked: Option<CertificateRequest> = read(own, REQUEST);
    let waits = asked.is_some_and(|asked| may_be_answered(asked.claims(), &claims));
    if says_removed(own) || waits || is_certified(own, &claims, account.public_key(), now) {
        return None;
    }
    claims.sign(account.device_key()).ok()
}

/// Whether a request is the one that would be made now, but for its time, and lately made.
fn may_be_answered(asked: &RequestClaims, now: &RequestClaims) -> bool {
    let requested_at = asked.requested_at;
    let is_recent =
        requested_at <= now.requested_at && now.requested_at <= requested_at.saturating_add(CERTIFICATE_VALIDITY / 2);
    is_recent && *asked == RequestClaims { requested_at, ..now.clone() }
}

async fn answer(core: &Core, key: &SignatureKeypair) -> Result<()> {
    let asks = |members: &Properties| members.contains_key(REQUEST);
    let view = core.store.view();
    let mut waiting = Vec::new();
    for device in view.objects_where(collection::DEVICES, &[REQUEST], asks)? {
        if waiting.len() < MAX_ANSWERS && due(core, &view, &device)?.is_some() {
            waiting.push(device.id);
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let answer = |view: &View<'_>| {
        let mut batch = Batch::new();
        for id in &waiting {
            let Some(device) = view.object(collection::DEVICES, id)? else { continue };
            // Once more: what was read before may have changed.
            if let Some(request) = due(core, view, &device)? {
                batch.record_update(certified(core, key, device, request)?);
            }
        }
        Ok((batch, ()))
    };
    core.store.change(answer).await
}

/// The request of a device if it has to be answered now.
fn due(core: &Core, view: &View<'_>, device: &Object) -> Result<Option<VerifiedRequest>> {
    let (account, now, properties) = (&core.account, core.clock.now(), &device.properties);
    let key = properties.get("publicKey").and_then(|key| SignaturePublicKey::from_value(key).ok());
    let (Some(request), Ok(id), Some(key)) = (read::<CertificateRequest>(properties, REQUEST), device.id.parse(), key)
    else {
        return Ok(None);
    };
    if is_certified(properties, request.claims(), account.public_key(), now) || is_removed(view, device)? {
        return Ok(None);
    }
    let verified = request.verify(account.address(), &id, &key, now);
    Ok(verified.inspect_err(|error| debug!(device = %id, %error, "refused a request for a certificate")).ok())
}

/// The object of a device with the answer.
fn certified(core: &Core, key: &SignatureKeypair, mut device: Object, request: VerifiedRequest) -> Result<Object> {
    let issued = request.certify(&core.account.identity(), key, core.clock.now(), CERTIFICATE_VALIDITY);
    let certificate = issued.map_err(|error| Error::Unknown(error.to_string()))?;
    info!(device = device.id, peer = %certificate.claims().peer_id, "issued the certificate of another device");
    device.properties.insert(CERTIFICATE.to_owned(), Value::from(to_property(&certificate)));
    Ok(device)
}

/// Whether the object of a device has a certificate for what the device claims to be, of which at least half is left.
fn is_certified(
    properties: &Properties,
    claims: &RequestClaims,
    identity_key: &SignaturePublicKey,
    now: Timestamp,
) -> bool {
    let Some(certificate) = read::<DeviceCertificate>(properties, CERTIFICATE) else { return false };
    let Ok(verified) = certificate.verify(&claims.peer_id, now, |_, _| false) else { return false };
    let certified = verified.claims();
    let is_of_identity = (&certified.address, &certified.identity_key) == (&claims.address, identity_key);
    let is_of_device = (&certified.device_id, &certified.device_key) == (&claims.device_id, &claims.device_key);
    is_of_identity && is_of_device && is_fresh(certified, now)
}

/// Whether a device was ever removed: ids are given out once, so its object does not come back by right.
fn is_removed(view: &View<'_>, device: &Object) -> Result<bool> {
    let was_deleted = !view.tombstone(collection::DEVICES, &device.id)?.is_empty();
    Ok(was_deleted || says_removed(&device.properties))
}

fn read<M: Message>(properties: &Properties, name: &str) -> Option<M> {
    properties.get(name).and_then(Value::as_str).and_then(of_property)
}
