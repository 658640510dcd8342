//! Who sends a request, and to whom it is attributed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use listener::Source;
use transport::wire::{Address, DeviceId};

/// A logged-in sender: a device, and the identity it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The identity.
    pub(crate) address: Address,
    /// The device.
    pub(crate) device: DeviceId,
}

impl Caller {
    /// A short stand-in for the address, unique enough to tell identities apart.
    pub(crate) fn digest(&self) -> u64 {
        digest(self.address.as_str())
    }
}

/// To whom a request is attributed where senders take turns or share a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// Everybody behind a network address.
    Source(Source),
    /// One identity on this machine, by a digest. Behind a reverse proxy, all identities are on this machine.
    Identity(u64),
}

impl Sender {
    /// All programs of this machine and all clients of a proxy are one source, so logged-in ones among them are attributed
    /// separately.
    pub(crate) fn of(source: Source, caller: Option<&Caller>) -> Self {
        match (source, caller) {
            (Source::Loopback, Some(caller)) => Self::Identity(caller.digest()),
            _ => Self::Source(source),
        }
    }
}

/// A digest of a text, valid in this process only.
pub(crate) fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
