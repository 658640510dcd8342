//! What all requests share.

use std::sync::Arc;

use tokio::sync::Semaphore;
use transport::wire::Timestamp;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::notify::Hub;
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
    password_hashing: Semaphore,
    decoy: Arc<PasswordHash>,
}

impl Core {
    /// Takes the data directory and opens what is in it.
    pub(crate) async fn open(config: Config) -> Result<Self, Error> {
        let (store, key) = Store::open(&config.data_dir).await?;
        Ok(Self {
            hub: Hub::new(),
            key,
            store,
            config,
            password_hashing: Semaphore::new(CONCURRENT_PASSWORD_HASHES),
            decoy: Arc::new(PasswordHash::unmatchable()),
        })
    }

    /// The current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    /// Hashes a new password without blocking other requests, and wipes it.
    pub(crate) async fn hash_password(&self, password: String) -> PasswordHash {
        let password = Zeroizing::new(password);
        let _permit = self.password_hashing.acquire().await.expect("the semaphore is never closed");
        let hashing = tokio::task::spawn_blocking(move || PasswordHash::new(&password));
        hashing.await.expect("hashing does not panic")
    }

    /// Checks a password without blocking other requests. Without a hash it takes as long and says no, so that unknown
    /// user names cannot be told by the time the answer takes. Wipes it.
    pub(crate) async fn is_password(&self, hash: Option<PasswordHash>, password: String) -> bool {
        let password = Zeroizing::new(password);
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
