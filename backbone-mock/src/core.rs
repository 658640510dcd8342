//! What all requests share.

use std::collections::BTreeSet;
use std::sync::Arc;

use listener::Source;
use listener::guard::Guard;
use listener::turns::{TooMany, TurnLimits, Turns};
use tokio::sync::Semaphore;
use transport::wire::Timestamp;

use crate::config::Config;
use crate::error::Error;
use crate::notify::Hub;
use crate::secrets::{PasswordHash, ServerKey, random_hex};
use crate::store::Store;
use crate::web::budget::Bodies;

/// Password hashes: computed at one time, waiting of one source, and waiting in total. Computing takes some milliseconds of
/// a processor, so that the last of one source waits for less than a second.
const PASSWORD_HASHES: TurnLimits = TurnLimits { at_once: 2, waiting_of_one: 128, waiting: 1024 };
/// Large bodies that are decoded at one time: each takes almost as much memory again while both forms of it exist.
const CONCURRENT_DECODINGS: usize = 1;

/// A page that a browser here shows reaches what listens on loopback, and would be no stranger to it. Its clients use the DID
/// domain as the host name, or an address. A backbone that others reach has whatever names its operator gave it.
fn guard(config: &Config) -> Option<Guard> {
    let hosts = BTreeSet::from([config.did_domain_name.clone()]);
    let origins = config.cors_origins.iter().cloned().collect();
    config.listen.ip().is_loopback().then(|| Guard::new(&hosts, &origins))
}

/// The parts of a running backbone.
pub(crate) struct Core {
    /// Settings.
    pub(crate) config: Config,
    /// Records and files.
    pub(crate) store: Store,
    /// Open event streams.
    pub(crate) hub: Hub,
    /// Key of what clients have to repeat later: token passwords, ownership tokens, access tokens.
    pub(crate) key: ServerKey,
    /// Keeps web pages out of a backbone that only this machine reaches.
    pub(crate) guard: Option<Guard>,
    /// Request bodies in memory.
    pub(crate) bodies: Bodies,
    /// Large bodies that are decoded.
    pub(crate) decoding: Semaphore,
    password_hashing: Turns<Source>,
    decoy: Arc<PasswordHash>,
}

impl Core {
    /// Takes the data directory and opens what is in it.
    pub(crate) async fn open(config: Config) -> Result<Self, Error> {
        let (store, key) = Store::open(&config.data_dir).await?;
        Ok(Self {
            hub: Hub::new(),
            key,
            guard: guard(&config),
            bodies: Bodies::new(&config.limits),
            decoding: Semaphore::new(CONCURRENT_DECODINGS),
            store,
            config,
            password_hashing: Turns::new(PASSWORD_HASHES),
            decoy: Arc::new(PasswordHash::unmatchable()),
        })
    }

    /// The current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    /// Hashes a new password without blocking other requests. Sources take turns.
    ///
    /// # Errors
    /// [`TooMany`] if too many hashes are waited for.
    pub(crate) async fn hash_password(&self, source: Source, password: String) -> Result<PasswordHash, TooMany> {
        self.in_turn(source, move || PasswordHash::new(&password)).await
    }

    /// Checks a password without blocking other requests. Without a hash it takes as long and says no, so that unknown
    /// user names cannot be told by the time the answer takes. Sources take turns.
    ///
    /// # Errors
    /// [`TooMany`] if too many hashes are waited for.
    pub(crate) async fn is_password(
        &self,
        source: Source,
        hash: Option<PasswordHash>,
        password: String,
    ) -> Result<bool, TooMany> {
        let decoy = self.decoy.clone();
        self.in_turn(source, move || hash.as_ref().unwrap_or(&decoy).matches(&password)).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        source: Source,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TooMany> {
        let turn = self.password_hashing.take(source).await?;
        // The turn lasts as long as the work, also if nobody waits for it any more.
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        Ok(working.await.expect("hashing does not panic"))
    }

    /// A text that names one request in logs.
    pub(crate) fn trace_id() -> String {
        random_hex()
    }
}
