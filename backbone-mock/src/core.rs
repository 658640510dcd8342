//! What all requests share.

use std::collections::BTreeSet;
use std::sync::Arc;

use listener::Source;
use listener::guard::Guard;
use listener::turns::{TooMany, TurnLimits, Turns};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use transport::wire::Timestamp;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::domain::challenge_id::Serials;
use crate::domain::{account, digest};
use crate::error::Error;
use crate::notify::Hub;
use crate::rates::{Allowances, Guesses};
use crate::secrets::{PasswordHash, ServerKey, random_hex};
use crate::store::contract::Backend;
#[cfg(test)]
use crate::store::memory::Memory;
use crate::store::{Store, embedded};
use crate::uploads::Uploads;
use crate::web::budget::Bodies;

/// Password hashes: computed at one time, waiting of one source and purpose, and waiting in total. Computing takes some
/// milliseconds of a processor, so that the last of one source waits for less than a second. One at a time, because they share
/// their memory ([`PasswordHash`]): a second one would occupy a thread only to wait.
const PASSWORD_HASHES: TurnLimits = TurnLimits { at_once: 1, waiting_of_one: 128, waiting: 1024 };
/// Large bodies that are decoded at one time: each takes almost as much memory again while both forms of it exist.
const CONCURRENT_DECODINGS: usize = 1;

/// A page that a browser here shows reaches what listens on loopback, and would be no stranger to it. Its clients use the DID
/// domain as the host name, or an address. A backbone that others reach has whatever names its operator gave it.
fn guard(config: &Config) -> Option<Guard> {
    let hosts = BTreeSet::from([config.did_domain_name.clone()]);
    config.listen.ip().is_loopback().then(|| Guard::new(&hosts, &BTreeSet::new()))
}

/// What a password is hashed for. Those of one source take turns too: everybody behind a proxy is one source, and whoever
/// makes up user names there, or logs in all the time, would delay the others. (So it shows under load whether a user name exists. They are
/// random, with 100 bits.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    New,
    Login,
    /// A login on this machine, by a digest of the device.
    LoginOf(u64),
    LoginOfNobody,
}

impl Purpose {
    /// Elsewhere an address has one turn, however many devices it logs in.
    fn login(source: Source, device: &str) -> Self {
        if source == Source::Loopback { Self::LoginOf(digest(device)) } else { Self::Login }
    }
}

/// The parts of a running backbone.
pub(crate) struct Core {
    /// Settings.
    pub(crate) config: Config,
    /// Records and files.
    pub(crate) store: Store,
    /// Open event streams.
    pub(crate) hub: Arc<Hub>,
    /// Key of what clients have to repeat later: token passwords, ownership tokens, access tokens.
    pub(crate) key: ServerKey,
    /// Keeps web pages out of a backbone that only this machine reaches.
    pub(crate) guard: Option<Guard>,
    /// Request bodies in memory.
    pub(crate) bodies: Bodies,
    /// Large bodies that are decoded.
    pub(crate) decoding: Semaphore,
    /// Numbers of challenges.
    pub(crate) serials: Serials,
    /// How often places may do what needs no login.
    pub(crate) allowances: Allowances,
    /// Wrong passwords of places.
    pub(crate) guesses: Guesses,
    /// Bytes that are on their way.
    pub(crate) uploads: Uploads,
    /// Requests that append to uploads: they outlive their connections, to keep what arrived.
    pub(crate) appending: TaskTracker,
    password_hashing: Turns<(Source, Purpose)>,
    decoy: Arc<PasswordHash>,
}

impl Core {
    /// Takes the data directory and opens what is in it.
    pub(crate) async fn open(config: Config) -> Result<Self, Error> {
        let backend = embedded::open(&config.data_dir).await?;
        Self::on(backend, config).await
    }

    /// A backbone that keeps nothing, for tests of rules. The data directory does not matter.
    #[cfg(test)]
    pub(crate) async fn in_memory(config: Config) -> Self {
        Self::on(Memory::default().open(), config).await.expect("memory can be opened")
    }

    /// A backbone on what keeps its records.
    pub(crate) async fn on(backend: Backend, config: Config) -> Result<Self, Error> {
        let (store, key) = Store::on(backend).await?;
        let hub = Arc::new(Hub::new());
        let streams = hub.clone();
        store.subscribe(move |notice| streams.tell(notice));
        let core = Self {
            hub,
            key,
            guard: guard(&config),
            bodies: Bodies::new(&config.limits),
            decoding: Semaphore::new(CONCURRENT_DECODINGS),
            serials: Serials::new(),
            allowances: Allowances::new(&config.limits.rates),
            guesses: Guesses::new(config.limits.wrong_passwords),
            uploads: Uploads::default(),
            appending: TaskTracker::new(),
            store,
            config,
            password_hashing: Turns::new(PASSWORD_HASHES),
            decoy: Arc::new(PasswordHash::unmatchable()),
        };
        if core.store.is_uncounted().await? {
            account::count_all(&core).await?;
        }
        Ok(core)
    }

    /// The current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    /// Hashes a new password without blocking other requests, and wipes it. Sources take turns.
    ///
    /// # Errors
    /// [`TooMany`] if too many hashes are waited for.
    pub(crate) async fn hash_password(&self, source: Source, password: String) -> Result<PasswordHash, TooMany> {
        let password = Zeroizing::new(password);
        self.in_turn((source, Purpose::New), move || PasswordHash::new(&password)).await
    }

    /// Checks a password without blocking other requests. Without a hash it takes as long and says no, so that unknown
    /// user names cannot be told by the time the answer takes. Wipes it. Sources take turns.
    ///
    /// # Errors
    /// [`TooMany`] if too many hashes are waited for.
    pub(crate) async fn is_password(
        &self,
        source: Source,
        whose: Option<(&str, PasswordHash)>,
        password: String,
    ) -> Result<bool, TooMany> {
        let purpose = whose.as_ref().map_or(Purpose::LoginOfNobody, |(device, _)| Purpose::login(source, device));
        let hash = whose.map(|(_, hash)| hash);
        let (password, decoy) = (Zeroizing::new(password), self.decoy.clone());
        self.in_turn((source, purpose), move || hash.as_ref().unwrap_or(&decoy).matches(&password)).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        whose: (Source, Purpose),
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TooMany> {
        let turn = self.password_hashing.take(whose).await?;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn made_up_user_names_do_not_delay_a_login() {
        let core = Arc::new(Core::in_memory(Config::new("")).await);
        let done = Arc::new(AtomicUsize::new(0));
        let guesses: Vec<_> = (0..100)
            .map(|_| {
                let (core, done) = (core.clone(), done.clone());
                tokio::spawn(async move {
                    let is_right = core.is_password(Source::Loopback, None, "guess".to_owned()).await;
                    done.fetch_add(1, Ordering::AcqRel);
                    is_right
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let hash = PasswordHash::new("right");
        let before = done.load(Ordering::Acquire);
        assert_eq!(core.is_password(Source::Loopback, Some(("DVC", hash)), "right".to_owned()).await, Ok(true));
        // One was being computed, and each purpose is served in its turn.
        assert!(done.load(Ordering::Acquire) - before <= 2 * PASSWORD_HASHES.at_once + 2);
        for guess in guesses {
            assert_eq!(guess.await.unwrap(), Ok(false));
        }
    }

    #[tokio::test]
    async fn logins_of_one_source_beyond_the_queue_are_told_to_come_back() {
        let core = Core::in_memory(Config::new("")).await;
        let most = PASSWORD_HASHES.at_once + PASSWORD_HASHES.waiting_of_one;
        let logins = (0..=most).map(|_| core.is_password(Source::Loopback, None, String::new()));
        let outcomes = futures_util::future::join_all(logins).await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(false)).count(), most);
        assert_eq!(outcomes.last(), Some(&Err(TooMany::OfOne)));
    }
}
