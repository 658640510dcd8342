//! What the rules stand on: settings, store, keys, and the limits that all requests share.

use std::collections::BTreeSet;
use std::sync::Arc;

use listener::Source;
use listener::guard::Guard;
use listener::turns::{TooMany, TurnLimits, Turns};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use transport::wire::Timestamp;
use zeroize::Zeroizing;

use crate::budget::Bodies;
use crate::caller::digest;
use crate::challenge_id::Serials;
use crate::config::Config;
use crate::downloads::Downloads;
use crate::error::Error;
use crate::followers::Followers;
use crate::notifications::{EventStreams, Notification};
use crate::peers::PeerServer;
use crate::rates::{Allowances, Guesses};
use crate::secrets::{PasswordHash, ServerKey};
use crate::store::contract::Backend;
#[cfg(test)]
use crate::store::memory::Memory;
use crate::store::{Store, embedded};
use crate::uploads::Uploads;

/// Password hashes that are computed at a time, that wait for one source and purpose, and that wait in total. One takes some
/// milliseconds, so the last one of a source waits for less than a second. They are computed one at a time because they share
/// their memory ([`PasswordHash`]): a second thread would only wait.
const PASSWORD_HASHES: TurnLimits = TurnLimits { at_once: 1, waiting_of_one: 128, waiting: 1024 };
/// Large bodies that are decoded at a time. Decoding one needs about its size again, because both forms exist for a while.
const CONCURRENT_DECODINGS: usize = 1;

/// The check of `Host` and `Origin`, for a backbone on loopback only: web pages in a browser of this machine could reach it.
/// Clients use the DID domain or an IP address as the host. A backbone that others reach may have any host name.
fn guard(config: &Config) -> Option<Guard> {
    let hosts = BTreeSet::from([config.did_domain_name.clone()]);
    config.listen.ip().is_loopback().then(|| Guard::new(&hosts, &BTreeSet::new()))
}

/// What a password is hashed for. Purposes of one source take turns, because all clients behind a proxy are one source, and one
/// that tries invented user names or logs in all the time would delay the others. Under load, timing therefore reveals
/// whether a user name exists; user names are random, with 100 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    New,
    Login,
    /// A login from this machine, by a digest of the device.
    LoginOf(u64),
    LoginOfUnknownUser,
}

impl Purpose {
    /// Logins from other machines take turns by their address alone.
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
    pub(crate) event_streams: Arc<EventStreams>,
    /// Who follows uploads.
    pub(crate) followers: Followers,
    /// The key for digests of token passwords and ownership tokens, and for access tokens.
    pub(crate) key: ServerKey,
    /// The check of `Host` and `Origin` on loopback.
    pub(crate) guard: Option<Guard>,
    /// The memory for request bodies.
    pub(crate) bodies: Bodies,
    /// Permits for decoding large bodies.
    pub(crate) decoding: Semaphore,
    /// The serial numbers of challenges.
    pub(crate) serials: Serials,
    /// Rates of requests without a login.
    pub(crate) allowances: Allowances,
    /// Wrong token passwords, by sender.
    pub(crate) guesses: Guesses,
    /// Bytes of unfinished uploads.
    pub(crate) uploads: Uploads,
    /// Contents of files that are being sent.
    pub(crate) downloads: Downloads,
    /// Requests that append to uploads or put them together: they outlive their connections, to keep what arrived and because
    /// nobody else may write before their last commit is decided.
    pub(crate) appending: TaskTracker,
    /// The relay and the rendezvous server, once they run.
    pub(crate) peers: Option<PeerServer>,
    password_hashing: Turns<(Source, Purpose)>,
    /// Compared with passwords of unknown users.
    dummy_hash: Arc<PasswordHash>,
}

impl Core {
    /// Opens the data directory and what is in it.
    pub(crate) async fn open(config: Config) -> Result<Self, Error> {
        let backend = embedded::open(&config.data_dir).await?;
        Self::on(backend, config).await
    }

    /// A backbone in memory, for tests of rules. The data directory is not used.
    #[cfg(test)]
    pub(crate) async fn in_memory(config: Config) -> Self {
        Self::on(Memory::default().open(), config).await.expect("memory can be opened")
    }

    /// A backbone on an implementation of the store.
    pub(crate) async fn on(backend: Backend, config: Config) -> Result<Self, Error> {
        let (store, key) = Store::on(backend).await?;
        let event_streams = Arc::new(EventStreams::new());
        let followers = Followers::default();
        let (streams, followed) = (event_streams.clone(), followers.clone());
        store.subscribe(move |notification| match notification {
            Notification::Devices(notification) => streams.send(notification),
            Notification::Upload(id) => followed.wake(id),
        });
        Ok(Self {
            event_streams,
            followers,
            key,
            guard: guard(&config),
            bodies: Bodies::new(&config.limits),
            decoding: Semaphore::new(CONCURRENT_DECODINGS),
            serials: Serials::new(),
            allowances: Allowances::new(&config.limits.rates),
            guesses: Guesses::new(config.limits.wrong_passwords),
            uploads: Uploads::default(),
            downloads: Downloads::default(),
            appending: TaskTracker::new(),
            peers: None,
            store,
            config,
            password_hashing: Turns::new(PASSWORD_HASHES),
            dummy_hash: Arc::new(PasswordHash::unmatchable()),
        })
    }

    /// Starts what the settings offer to peers.
    pub(crate) async fn serve_peers(&mut self) -> Result<(), Error> {
        self.peers = PeerServer::start(&self.config).await?;
        Ok(())
    }

    /// The current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    /// Hashes a new password without blocking other requests, and wipes it. Sources take turns.
    ///
    /// # Errors
    /// [`TooMany`] if too many requests wait for a hash.
    pub(crate) async fn hash_password(&self, source: Source, password: String) -> Result<PasswordHash, TooMany> {
        let password = Zeroizing::new(password);
        self.in_turn((source, Purpose::New), move || PasswordHash::new(&password)).await
    }

    /// Checks a password without blocking other requests, and wipes it. Without a hash it takes as long and returns false, so
    /// that the time does not reveal unknown user names. Sources take turns.
    ///
    /// # Errors
    /// [`TooMany`] if too many requests wait for a hash.
    pub(crate) async fn is_password(
        &self,
        source: Source,
        whose: Option<(&str, PasswordHash)>,
        password: String,
    ) -> Result<bool, TooMany> {
        let purpose = whose.as_ref().map_or(Purpose::LoginOfUnknownUser, |(device, _)| Purpose::login(source, device));
        let hash = whose.map(|(_, hash)| hash);
        let (password, dummy) = (Zeroizing::new(password), self.dummy_hash.clone());
        self.in_turn((source, purpose), move || hash.as_ref().unwrap_or(&dummy).matches(&password)).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        whose: (Source, Purpose),
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TooMany> {
        let turn = self.password_hashing.take(whose).await?;
        // The turn lasts as long as the work, even if the request is cancelled.
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        Ok(working.await.expect("hashing does not panic"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn invented_user_names_do_not_delay_a_login() {
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
        // One was being computed, and the purposes take turns.
        assert!(done.load(Ordering::Acquire) - before <= 2 * PASSWORD_HASHES.at_once + 2);
        for guess in guesses {
            assert_eq!(guess.await.unwrap(), Ok(false));
        }
    }

    #[tokio::test]
    async fn logins_of_one_source_beyond_the_queue_are_refused() {
        let core = Core::in_memory(Config::new("")).await;
        let most = PASSWORD_HASHES.at_once + PASSWORD_HASHES.waiting_of_one;
        let logins = (0..=most).map(|_| core.is_password(Source::Loopback, None, String::new()));
        let outcomes = futures_util::future::join_all(logins).await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(false)).count(), most);
        assert_eq!(outcomes.last(), Some(&Err(TooMany::OfOne)));
    }
}
