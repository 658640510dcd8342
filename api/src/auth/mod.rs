//! Who calls, and what they may do. A [`Gate`] is the one place where keys are tried, whichever face they are presented to.

mod keys;
mod roles;
mod throttle;

use http::request::Parts;
use listener::{Peer, Source};
use runtime::Timestamp;
use tokio::time::Instant;

pub use keys::{ApiKey, ApiKeyError, ApiKeys};
pub(crate) use roles::{Need, Roles};
use throttle::Throttle;

use crate::problem::Problem;

/// The keys of all faces, and how fast they can be tried.
#[derive(Debug)]
pub(crate) struct Gate {
    keys: ApiKeys,
    throttle: Throttle,
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) roles: &'a Roles,
    /// Whether it presented a key. A face may let others in, as guests.
    pub(crate) has_key: bool,
}

impl Gate {
    pub(crate) fn new(keys: ApiKeys) -> Self {
        Self { keys, throttle: Throttle::default() }
    }

    /// The holder of a key that a request presents.
    ///
    /// # Errors
    /// 401 for a key that is unknown or has expired, 429 if its source tried too many.
    pub(crate) fn admit(&self, presented: &[u8], parts: &Parts, now: Timestamp) -> Result<Sender<'_>, Problem> {
        let source = parts.extensions.get::<Peer>().map_or(Source::Loopback, Peer::source);
        let may_guess = self.throttle.admits(source, Instant::now());
        let found = self.keys.authenticate(presented, now);
        match found.filter(|key| key.is_strong || may_guess) {
            Some(key) => Ok(Sender { roles: &key.roles, has_key: true }),
            None if may_guess => {
                self.throttle.record_failure(source, Instant::now());
                tracing::warn!(?source, "a request presented a wrong key");
                Err(Problem::unauthorized())
            }
            None => Err(Problem::too_many_failures()),
        }
    }
}
