//! What all requests share.

use std::sync::Arc;

use tokio::sync::Semaphore;
use transport::wire::Timestamp;

use crate::config::Config;
use crate::domain::account;
use crate::domain::challenge_id::Serials;
use crate::domain::uploads::Uploads;
use crate::error::Error;
use crate::notify::Hub;
use crate::rates::{Allowances, Guesses};
use crate::secrets::{PasswordHash, ServerKey, random_hex};
use crate::store::Store;

/// Password hashes that are computed at one time; each takes 7 MiB and a processor.
const CONCURRENT_PASSWORD_HASHES: usize = 2;

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
    /// Numbers of challenges.
    pub(crate) serials: Serials,
    /// How often places may do what needs no login.
    pub(crate) allowances: Allowances,
    /// Wrong passwords of places.
    pub(crate) guesses: Guesses,
    /// Bytes that are on their way.
    pub(crate) uploads: Uploads,
    password_hashing: Semaphore,
    decoy: Arc<PasswordHash>,
}

impl Core {
    /// Takes the data directory and opens what is in it.
    pub(crate) async fn open(config: Config) -> Result<Self, Error> {
        let (store, key) = Store::open(&config.data_dir).await?;
        let core = Self {
            hub: Hub::new(),
            key,
            serials: Serials::new(),
            allowances: Allowances::new(&config.limits.rates),
            guesses: Guesses::new(config.limits.wrong_passwords),
            uploads: Uploads::default(),
            store,
            config,
            password_hashing: Semaphore::new(CONCURRENT_PASSWORD_HASHES),
            decoy: Arc::new(PasswordHash::unmatchable()),
        };
        if core.store.is_uncounted() {
            account::count_all(&core).await?;
        }
        Ok(core)
    }

    /// The current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    /// Hashes a new password without blocking other requests.
    pub(crate) async fn hash_password(&self, password: String) -> PasswordHash {
        let _permit = self.password_hashing.acquire().await.expect("the semaphore is never closed");
        let hashing = tokio::task::spawn_blocking(move || PasswordHash::new(&password));
        hashing.await.expect("hashing does not panic")
    }

    /// Checks a password without blocking other requests. Without a hash it takes as long and says no, so that unknown
    /// user names cannot be told by the time the answer takes.
    pub(crate) async fn is_password(&self, hash: Option<PasswordHash>, password: String) -> bool {
        let _permit = self.password_hashing.acquire().await.expect("the semaphore is never closed");
        let decoy = self.decoy.clone();
        let checking = tokio::task::spawn_blocking(move || hash.as_ref().unwrap_or(&decoy).matches(&password));
        checking.await.expect("hashing does not panic")
    }

    /// A text that names one request in logs.
    pub(crate) fn trace_id() -> String {
        random_hex()
    }
}
