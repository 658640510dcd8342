//! Who sends a request, and as whom it counts.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use listener::Source;
use transport::wire::{Address, DeviceId};

/// Who is asking: a device, and the identity it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The identity.
    pub(crate) address: Address,
    /// The device.
    pub(crate) device: DeviceId,
}

impl Caller {
    /// Tells identities apart where their addresses would be too long.
    pub(crate) fn digest(&self) -> u64 {
        digest(self.address.as_str())
    }
}

/// As whom a request counts where senders take turns or have shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// Everybody at a network address.
    Source(Source),
    /// One identity on this machine, by a digest: a reverse proxy brings all of them.
    Identity(u64),
}

impl Sender {
    /// All programs of this machine and all clients of a proxy are one source, so those of them who are logged in count for
    /// themselves.
    pub(crate) fn of(source: Source, caller: Option<&Caller>) -> Self {
        match (source, caller) {
            (Source::Loopback, Some(caller)) => Self::Identity(caller.digest()),
            _ => Self::Source(source),
        }
    }
}

/// Tells texts apart in this process.
pub(crate) fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
