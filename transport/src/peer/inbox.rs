//! `/enlace/inbox/1`: "there is something for you at the backbone, synchronize now" (specification, section 8).
//!
//! ```text
//! sender              receiver
//!     hint [1]     ->
//!                  <- accepted [2] or refused [3, number]
//! ```
//!
//! A hint says nothing else, so a false one costs a synchronization, and [`HintGate`] bounds how many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::cbor;
use super::{Channel, FrameError, Message, Now, PeerError, Refusal, Side, Turn};
use crate::wire::Address;

/// The name of the protocol.
pub const INBOX_PROTOCOL: &str = "/enlace/inbox/1";

/// One identity is heard once in this time.
pub const HINT_INTERVAL: Duration = Duration::from_secs(5);

/// All hints together lead to one synchronization in this time.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Identities that are remembered as heard. While there are more within [`HINT_INTERVAL`], new ones wait.
pub const MAX_HEARD: usize = 1024;

/// A message of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboxMessage {
    /// There is something.
    Hint,
    /// The hint has arrived. Says nothing about what follows.
    Accepted,
    /// The hint was not heard.
    Refused(Refusal),
}

impl Message for InboxMessage {
    const MAX_LENGTH: usize = 8;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hint => cbor::encode(&(1_u8,)),
            Self::Accepted => cbor::encode(&(2_u8,)),
            Self::Refused(refusal) => cbor::encode(&(3_u8, refusal.number())),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        match (cbor::kind(bytes)?, bytes) {
            (1, _) => Ok(Self::Hint),
            (2, _) => Ok(Self::Accepted),
            (3, _) => cbor::decode(bytes).map(|(_, number): (u8, u8)| Self::Refused(Refusal::of_number(number))),
            _ => Err(FrameError::Malformed),
        }
    }
}

/// Which hints lead to a synchronization. One for a node, over all its connections.
#[derive(Debug, Default)]
pub struct HintGate {
    heard: HashMap<Address, Instant>,
    last_sync: Option<Instant>,
}

impl HintGate {
    /// Nobody was heard yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to synchronize on a hint of an identity now.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if it comes too soon after another one.
    pub fn hear(&mut self, from: &Address, now: Instant) -> Result<(), Refusal> {
        let is_recent = |then: Instant, interval| now.saturating_duration_since(then) < interval;
        if self.heard.get(from).is_some_and(|then| is_recent(*then, HINT_INTERVAL))
            || self.last_sync.is_some_and(|then| is_recent(then, SYNC_INTERVAL))
        {
            return Err(Refusal::Busy);
        }
        if self.heard.len() >= MAX_HEARD {
            self.heard.retain(|_, then| is_recent(*then, HINT_INTERVAL));
        }
        if self.heard.len() >= MAX_HEARD {
            return Err(Refusal::Busy);
        }
        self.heard.insert(from.clone(), now);
        self.last_sync = Some(now);
        Ok(())
    }
}

/// The side that has something to say.
#[derive(Debug, Default)]
pub struct SendHint(());

impl SendHint {
    /// Tells the other side of a channel.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Side for SendHint {
    type Outcome = ();

    const TIME_LIMIT: Duration = Duration::from_secs(15);

    fn open(&mut self) -> Option<Vec<u8>> {
        Some(InboxMessage::Hint.to_frame())
    }

    fn bound(&self) -> usize {
        InboxMessage::MAX_LENGTH
    }

    fn receive(&mut self, message: &[u8], _: Now) -> Turn<()> {
        match InboxMessage::decode(message) {
            Ok(InboxMessage::Accepted) => Turn::finish(()),
            Ok(InboxMessage::Refused(refusal)) => Turn::fail(PeerError::Refused(refusal)),
            Ok(InboxMessage::Hint) => Turn::fail(PeerError::OutOfTurn),
            Err(error) => Turn::fail(error),
        }
    }
}

/// The side that is told. Ends with a result if it is to synchronize.
#[derive(Debug)]
pub struct ReceiveHint<'a> {
    channel: &'a Channel,
    gate: &'a mut HintGate,
}

impl<'a> ReceiveHint<'a> {
    /// Listens to the other side of a channel.
    #[must_use]
    pub fn new(channel: &'a Channel, gate: &'a mut HintGate) -> Self {
        Self { channel, gate }
    }
}

impl Side for ReceiveHint<'_> {
    type Outcome = ();

    const TIME_LIMIT: Duration = Duration::from_secs(15);

    fn open(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn bound(&self) -> usize {
        InboxMessage::MAX_LENGTH
    }

    fn receive(&mut self, message: &[u8], now: Now) -> Turn<()> {
        match InboxMessage::decode(message) {
            Ok(InboxMessage::Hint) => {}
            Ok(_) => return Turn::fail(PeerError::OutOfTurn),
            Err(error) => return Turn::fail(error),
        }
        let heard = match self.channel.caller(now.time) {
            Some(address) => self.gate.hear(address, now.instant),
            None => Err(Refusal::IdentityRequired),
        };
        match heard {
            Ok(()) => Turn::reply_and_finish(InboxMessage::Accepted.to_frame(), ()),
            Err(refusal) => Turn::refuse(InboxMessage::Refused(refusal).to_frame(), PeerError::Refused(refusal)),
        }
    }
}
