//! How many wrong passwords each peer may try, as a backbone limits those who ask it.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};

use tokio::time::Instant;
use transport::access::{self, Guesser, TooManyGuesses};
use transport::peer::Caller;
use transport::wire::TokenId;

/// What peers count together in when there are too many.
const COMMON_SHARES: u64 = 1024;

/// Wrong passwords of peers, by who tries them.
///
/// A peer id or an identity costs nothing, so peers are told apart by their hosts: those behind one NAT or relay count together. Only
/// on this machine, where all have one address, identities are told apart.
pub(crate) struct Guesses {
    counts: access::Guesses<Share>,
    digests: RandomState,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Share {
    /// Of one host or identity, by a digest.
    Own(u64),
    /// Of several.
    Common(u64),
}

impl Guesses {
    /// Allows so many wrong passwords of each sender for a token; any number if it is zero.
    pub(super) fn new(allowed: u32) -> Self {
        Self { counts: access::Guesses::new(allowed), digests: RandomState::new() }
    }

    /// Checks that a peer may try a password for a token.
    ///
    /// # Errors
    /// [`TooManyGuesses`] after too many wrong ones.
    pub(crate) fn check(&self, caller: &Caller<'_>, token: &TokenId) -> Result<(), TooManyGuesses> {
        self.counts.check(self.guesser(caller), token, Instant::now().into_std())
    }

    /// Counts a wrong password.
    pub(crate) fn note_wrong(&self, caller: &Caller<'_>, token: &TokenId) {
        self.counts.note_wrong(self.guesser(caller), token, Instant::now().into_std());
    }

    /// Resets the counts of a token.
    pub(crate) fn forget(&self, token: &TokenId) {
        self.counts.forget(token);
    }

    fn guesser(&self, caller: &Caller<'_>) -> Guesser<Share> {
        let is_here = caller.host().is_none_or(|host| host.is_loopback());
        let (own, common) = match (caller.address(), caller.host()) {
            (Some(identity), _) if is_here => {
                let digest = self.digests.hash_one(identity.as_str());
                (digest, digest)
            }
            (_, Some(host)) => (self.digests.hash_one(host), self.digests.hash_one(network(host))),
            (_, None) => (0, 0),
        };
        Guesser { share: Share::Own(own), common: Share::Common(common % COMMON_SHARES) }
    }
}

/// The large network of a host: 16 bits of an IPv4 address, 32 of an IPv6 address.
fn network(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(host) => {
            let [first, second, ..] = host.octets();
            [first, second, 0, 0].into()
        }
        IpAddr::V6(host) => {
            let [first, second, ..] = host.segments();
            Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0).into()
        }
    }
}
