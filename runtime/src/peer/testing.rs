//! Identities, a holder in memory, and channels, for tests of this module and over its network.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use transport::access::{Attempt, ClaimEnd, FailedAttempt, Ledger, Uses};
use transport::crypto::{PasswordHash, SignatureKeypair};
use transport::identity::{PublicIdentity, derive_address};
use transport::peer::{
    Caller, Channel, Claims, Content, Conversation, Credentials, Disclosure, FileTarget, Format, HeldContent, Holder,
    IdentityExchange, PeerId, PeerKey, Refusal,
};
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;
use transport::wire::{Address, ClaimId, DeviceId, Timestamp, TokenId};

use super::certificate::{Certifier, DeviceKeys};
use super::drive::{Time, converse};
use crate::clock::ManualClock;

/// 2025-11-29, in whole days.
pub(super) fn today() -> Timestamp {
    Timestamp::from_unix_milliseconds(1_764_374_400_000)
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(today()))
}

pub(super) fn time() -> Time {
    Time::new(clock())
}

/// An identity with one device.
#[derive(Clone)]
pub(crate) struct Person {
    pub(super) identity_key: SignatureKeypair,
    pub(super) device_key: SignatureKeypair,
}

impl Person {
    /// Always the same one for a number.
    pub(crate) fn new(number: u8) -> Self {
        let [identity_key, device_key] = [0, 100].map(|offset| SignatureKeypair::from_seed(&[number + offset; 32]));
        Self { identity_key, device_key }
    }

    pub(super) fn peer_id(&self) -> PeerId {
        PeerKey::derive(&self.device_key).peer_id()
    }

    pub(super) fn address(&self) -> Address {
        derive_address(&self.identity_key.public_key(), "example.org").unwrap()
    }

    pub(super) fn keys(&self) -> DeviceKeys {
        let public_key = self.identity_key.public_key();
        DeviceKeys {
            identity: PublicIdentity { address: self.address(), public_key },
            certifier: Certifier::Own(Box::new(self.identity_key.clone())),
            device_id: Self::device_id(),
            device_key: self.device_key.clone(),
        }
    }

    pub(super) fn device_id() -> DeviceId {
        "DVCabcDEF123ghiJKL45".parse().unwrap()
    }

    /// Valid for a week from the current day on.
    pub(super) fn claims(&self) -> Claims {
        Claims {
            address: self.address(),
            identity_key: self.identity_key.public_key(),
            device_id: Self::device_id(),
            device_key: self.device_key.public_key(),
            peer_id: self.peer_id(),
            valid_from: today(),
            valid_until: today().saturating_add(Duration::from_secs(7 * 24 * 60 * 60)),
        }
    }

    pub(super) fn credentials(&self) -> Credentials {
        self.credentials_of(self.claims())
    }

    pub(super) fn credentials_of(&self, claims: Claims) -> Credentials {
        Credentials { certificate: claims.sign(&self.identity_key).unwrap(), device_key: self.device_key.clone() }
    }

    pub(super) fn initiator(&self, to: &Self) -> IdentityExchange<fn(&Address, &DeviceId) -> bool> {
        let ids = [self.peer_id(), to.peer_id()];
        IdentityExchange::initiator(ids, [1; 32], Some(self.credentials()), nobody_removed as fn(&_, &_) -> bool)
    }

    pub(super) fn responder(&self, to: &Self) -> IdentityExchange<fn(&Address, &DeviceId) -> bool> {
        let (ids, proof) = ([self.peer_id(), to.peer_id()], (self.credentials(), Disclosure::Identified));
        IdentityExchange::responder(ids, [2; 32], Some(proof), nobody_removed as fn(&_, &_) -> bool)
    }

    /// The channels of this one, which has opened the connection, and of another one, after the exchange of identities.
    pub(super) async fn meet(&self, other: &Self) -> [Channel; 2] {
        let (time, (mut left, mut right)) = (time(), tokio::io::duplex(1024));
        let now = time.now().instant;
        let mut one = Conversation::new(self.initiator(other), now);
        let mut two = Conversation::new(other.responder(self), now);
        let (one, two) = tokio::join!(converse(&mut left, &mut one, &time), converse(&mut right, &mut two, &time));
        [one.unwrap(), two.unwrap()]
    }
}

pub(super) fn nobody_removed(_: &Address, _: &DeviceId) -> bool {
    false
}

/// What a node shares: one token for one file, under the rules of `transport::access`.
pub(crate) struct Shelf {
    pub(crate) token: Token,
    pub(super) password: Option<PasswordHash>,
    pub(super) counted: Mutex<Counted>,
    /// Its uses, if they are counted.
    pub(super) uses: Mutex<Option<Uses>>,
    pub(crate) metadata: FileMetadata,
    pub(super) format: Format,
    pub(crate) bytes: Bytes,
}

/// What attempts have left behind.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) failed_attempts: u32,
    pub(super) readers: BTreeSet<Address>,
}

impl Shelf {
    /// What somebody shares: a content of this length.
    pub(crate) fn of(owner: &Person, length: usize) -> Self {
        Self {
            token: token(owner),
            password: None,
            counted: Mutex::default(),
            uses: Mutex::default(),
            metadata: metadata(owner, length as u64),
            format: Format::V2,
            bytes: (0..length).map(|at| (at % 251) as u8).collect::<Vec<_>>().into(),
        }
    }

    pub(super) fn token_target(&self) -> FileTarget {
        FileTarget::Token(self.token.id.clone())
    }

    pub(super) fn file_target(&self) -> FileTarget {
        FileTarget::File(self.metadata.id.clone())
    }

    async fn access(&self, id: &TokenId, caller: Caller<'_>) -> Result<(), Refusal> {
        let is_counted = self.uses.lock().unwrap().is_some();
        if *id != self.token.id || (is_counted && caller.claim().is_none()) {
            return Err(Refusal::NotFound);
        }
        let attempt = self.attempt(&self.counted.lock().unwrap(), &caller);
        let ledger = InMemory { counted: &self.counted, reader: caller.address() };
        Refusal::unless_granted(attempt.judge().settle(&attempt, ledger).await.unwrap())?;
        if let (Some(uses), Some(claim)) = (self.uses.lock().unwrap().as_mut(), caller.claim()) {
            let _ = uses.read(claim, caller.now())?;
        }
        Ok(())
    }

    fn attempt<'a>(&'a self, counted: &Counted, caller: &Caller<'a>) -> Attempt<'a> {
        Attempt {
            caller: caller.address(),
            creator: self.token.created_by.as_ref(),
            is_allocated: caller.address().is_some_and(|address| counted.readers.contains(address)),
            for_identity: self.token.for_identity.as_ref(),
            password_fits: caller.password_fits(&self.token.id, self.password.as_ref()),
            failed_attempts: counted.failed_attempts,
            not_before: None,
            expires_at: self.token.expires_at,
            is_revoked: false,
            now: caller.now(),
        }
    }

    async fn find(&self, target: &FileTarget, caller: Caller<'_>) -> Result<(), Refusal> {
        match target {
            FileTarget::Token(id) => self.access(id, caller).await,
            FileTarget::File(id) if *id != self.metadata.id => Err(Refusal::NotFound),
            FileTarget::File(_) if caller.address().is_none() => Err(Refusal::IdentityRequired),
            FileTarget::File(_) => Ok(()),
        }
    }
}

struct InMemory<'a> {
    counted: &'a Mutex<Counted>,
    reader: Option<&'a Address>,
}

impl Ledger for InMemory<'_> {
    type Error = std::convert::Infallible;

    async fn allocate(self) -> Result<(), Self::Error> {
        self.counted.lock().unwrap().readers.extend(self.reader.cloned());
        Ok(())
    }

    async fn count(self, failed: FailedAttempt) -> Result<(), Self::Error> {
        self.counted.lock().unwrap().failed_attempts = failed.number;
        Ok(())
    }
}

impl Holder for Shelf {
    type Content = Bytewise;

    async fn token(&self, id: &TokenId, caller: Caller<'_>) -> Result<Token, Refusal> {
        self.access(id, caller).await.map(|()| self.token.clone())
    }

    async fn metadata(&self, target: &FileTarget, caller: Caller<'_>) -> Result<FileMetadata, Refusal> {
        self.find(target, caller).await.map(|()| self.metadata.clone())
    }

    async fn content(&self, target: &FileTarget, caller: Caller<'_>) -> Result<HeldContent<Bytewise>, Refusal> {
        self.find(target, caller).await?;
        let (file, length) = (self.metadata.id.clone(), self.bytes.len() as u64);
        Ok(HeldContent { file, format: self.format, length, content: Bytewise(self.bytes.clone()) })
    }

    async fn end_claim(&self, id: &TokenId, claim: &ClaimId, end: ClaimEnd, caller: Caller<'_>) -> Result<(), Refusal> {
        let mut uses = self.uses.lock().unwrap();
        let uses = uses.as_mut().filter(|_| *id == self.token.id).ok_or(Refusal::NotFound)?;
        Ok(uses.end(claim, end, caller.now())?)
    }
}

pub(crate) struct Bytewise(pub(super) Bytes);

impl Content for Bytewise {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, Refusal> {
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

pub(super) fn token(owner: &Person) -> Token {
    Token {
        id: "TOKabcDEF123ghiJKL45".parse().unwrap(),
        created_by: Some(owner.address()),
        created_by_device: Some(Person::device_id()),
        for_identity: None,
        created_at: today(),
        expires_at: Timestamp::NEVER,
        content: Some(vec![1, 2, 3].into()),
        is_password_protected: false,
    }
}

pub(super) fn metadata(owner: &Person, cipher_size: u64) -> FileMetadata {
    FileMetadata {
        id: "FILabcDEF123ghiJKL45".parse().unwrap(),
        created_at: today(),
        created_by: owner.address(),
        created_by_device: Person::device_id(),
        modified_at: None,
        modified_by: None,
        modified_by_device: None,
        deleted_at: None,
        deleted_by: None,
        deleted_by_device: None,
        owner: owner.address(),
        owner_signature: vec![4; 90].into(),
        ownership_is_locked: false,
        cipher_size,
        cipher_hash: vec![5; 64].into(),
        expires_at: Timestamp::NEVER,
        encrypted_properties: vec![6; 300].into(),
    }
}
