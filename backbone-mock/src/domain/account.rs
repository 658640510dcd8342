//! Accounts: on whose quota something is stored, and how what was stored before anything was counted is counted.

use std::collections::HashMap;
use std::time::Duration;

use transport::wire::{Address, Timestamp};

use super::{Refusal, challenges, datawallet, devices, files, identities, idle, sync_runs, tokens};
use crate::config::OAuthClient;
use crate::core::Core;
use crate::error::StoreError;
use crate::quota::{Amounts, Metric, RECORD_BYTES, Terms};
use crate::store::{Change, Entry, Holder, Key, Store, Transaction};

/// Records that the first counting reads at a time. Each may hold a megabyte.
const COUNTING_STEP: usize = 16;

/// Whoever something is stored for.
pub(crate) struct Account<'c> {
    address: Address,
    client_id: String,
    /// `None` if the client is not configured any more; then its identities keep what ordinary ones have.
    client: Option<&'c OAuthClient>,
}

impl<'c> Account<'c> {
    /// The account of an identity.
    pub(crate) async fn of(core: &'c Core, address: &Address) -> Result<Self, Refusal> {
        let client_id = identities::read(&core.store, address).await?.client_id;
        let client = core.config.clients.iter().find(|client| client.id == client_id);
        Ok(Self { address: address.clone(), client_id, client })
    }

    /// What it may do.
    pub(crate) fn terms(&self) -> Terms {
        self.client.map_or_else(Terms::ordinary, |client| client.terms.clone())
    }

    /// Counts what a transaction stores more for it.
    ///
    /// # Errors
    /// As a full disk, if less of it is free than is left to others.
    pub(crate) fn charge(&self, transaction: &mut Transaction<'_>, change: &Change) -> Result<(), StoreError> {
        let terms = self.terms();
        // What guests read and receive is small, and goes on for longer than what they upload.
        let is_content = change.of(Metric::ContentBytes) > 0;
        let reserve = if is_content { terms.disk_reserve } else { terms.disk_reserve / 2 };
        if reserve > 0 {
            transaction.committed().check_free(reserve)?;
        }
        transaction.charge(Holder::Identity(&self.address), change, Some(&terms.identity));
        transaction.charge(Holder::Client(&self.client_id), &change.of_client(), Some(&terms.client));
        Ok(())
    }

    /// The expiry of something new for which `asked` was sent. Clients send [`Timestamp::NEVER`] when nobody chose an
    /// expiry, so that one becomes the latest that its terms allow.
    ///
    /// # Errors
    /// As [`Account::check_expiry`].
    pub(crate) fn allowed_expiry(&self, asked: Timestamp, now: Timestamp) -> Result<Timestamp, Refusal> {
        let latest = self.terms().max_lifetime.map_or(Timestamp::MAX, |lifetime| now.saturating_add(lifetime));
        if asked >= Timestamp::NEVER && latest > now {
            return Ok(asked.min(latest));
        }
        self.check_expiry(asked, now).map(|()| asked)
    }

    /// Refuses an expiry that is later than its terms allow.
    pub(crate) fn check_expiry(&self, expires_at: Timestamp, now: Timestamp) -> Result<(), Refusal> {
        match self.terms().max_lifetime {
            Some(lifetime) if expires_at > now.saturating_add(lifetime) => {
                let days = lifetime.as_secs() / (24 * 60 * 60);
                let problem = format!("must be at most {days} days from now: guests store nothing for longer");
                Err(Refusal::invalid("expiresAt", problem))
            }
            _ => Ok(()),
        }
    }

    /// Names of identity and client that no two accounts share.
    pub(crate) fn names(&self) -> [String; 2] {
        [format!("identity {}", self.address), format!("client {}", self.client_id)]
    }

    /// Refuses what identity or client have no room for, before it is sent. It is counted by its commit.
    pub(crate) async fn check_room(&self, store: &Store, [own, all]: [Change; 2]) -> Result<(), StoreError> {
        let terms = self.terms();
        if terms.disk_reserve > 0 {
            let bytes = u64::try_from(all.of(Metric::ContentBytes)).unwrap_or(0);
            store.check_free(terms.disk_reserve.saturating_add(bytes))?;
        }
        own.applied(store.usage(Holder::Identity(&self.address)).await?, &terms.identity)?;
        all.of_client().applied(store.usage(Holder::Client(&self.client_id)).await?, &terms.client)?;
        Ok(())
    }
}

/// How much of one thing an identity may store, and stores.
#[derive(Debug)]
pub(crate) struct QuotaUse {
    pub(crate) metric: Metric,
    pub(crate) max: u64,
    pub(crate) usage: u64,
    /// Whether all identities of its client store it together.
    pub(crate) is_shared: bool,
}

/// What an identity may store, and for how long.
#[derive(Debug)]
pub(crate) struct Quotas {
    /// Its own quotas, then those it shares, as far as there are any.
    pub(crate) uses: Vec<QuotaUse>,
    /// How far in the future something new may expire; `None` for any time.
    pub(crate) max_lifetime: Option<Duration>,
}

/// The quotas of an identity.
pub(crate) async fn quotas(core: &Core, address: &Address) -> Result<Quotas, Refusal> {
    let account = Account::of(core, address).await?;
    let terms = account.terms();
    let own = core.store.usage(Holder::Identity(address)).await?;
    let all = core.store.usage(Holder::Client(&account.client_id)).await?;
    let mut uses = Vec::new();
    for (quota, used, is_shared) in [(terms.identity, own, false), (terms.client, all, true)] {
        let limited = Metric::ALL.into_iter().filter(|metric| quota.of(*metric) < u64::MAX);
        uses.extend(limited.map(|metric| QuotaUse {
            metric,
            max: quota.of(metric),
            usage: used.of(metric),
            is_shared,
        }));
    }
    Ok(Quotas { uses, max_lifetime: terms.max_lifetime })
}

/// A record and its content.
pub(crate) fn content(metric: Metric, bytes: u64) -> Change {
    Change::more(metric, 1).and(Metric::ContentBytes, RECORD_BYTES.saturating_add(bytes))
}

/// A datawallet entry, or anything else that is neither token nor file.
pub(crate) fn other(bytes: u64) -> Change {
    Change::more(Metric::OtherBytes, RECORD_BYTES.saturating_add(bytes))
}

/// Counts what a transaction removes of an identity, which may be gone.
pub(crate) async fn release(
    transaction: &mut Transaction<'_>,
    address: &Address,
    change: Change,
) -> Result<(), StoreError> {
    let change = change.undone();
    transaction.charge(Holder::Identity(address), &change, None);
    if change.of_client() != Change::default()
        && let Some(client_id) = identities::client_of(transaction.committed(), address).await?
    {
        transaction.charge(Holder::Client(&client_id), &change.of_client(), None);
    }
    Ok(())
}

/// Counts everything that a program stored that did not count. Idempotent, so an interruption does no harm.
///
/// Has one entry in memory for each identity.
pub(crate) async fn count_all(core: &Core) -> Result<(), StoreError> {
    let mut counts = Counts::default();
    let store = &core.store;
    let mut others = store.begin();
    let now = core.now();
    each(store, &identities::table(), |entry| {
        counts.clients.insert(entry.record.address.clone(), entry.record.client_id.clone());
        counts.add(Some(&entry.record.address), Change::more(Metric::Identities, 1));
    })
    .await?;
    for address in counts.clients.keys() {
        idle::note_use_of(core, &mut others, address, now).await?;
    }
    each(store, &devices::table(), |e| counts.add(Some(&e.record.address), Change::more(Metric::Devices, 1))).await?;
    challenges::remove_uncounted(store, now).await?;
    each(store, &challenges::table(), |e| counts.add_owned(e.record.created_by.as_ref(), challenges::cost())).await?;
    each(store, &tokens::table(), |e| counts.add(e.record.created_by.as_ref(), e.record.cost())).await?;
    each(store, &tokens::allocations(), |e| counts.add_owned(tokens::reader(&e.rest).as_ref(), other(0))).await?;
    each(store, &files::table(), |e| counts.add(Some(&e.record.created_by), e.record.cost())).await?;
    each(store, &sync_runs::table(), |e| counts.add(Some(&e.record.owner), other(0))).await?;
    each(store, &datawallet::table(), |e| {
        counts.add_owned(datawallet::owner_of(&e.rest).as_ref(), e.record.cost());
    })
    .await?;
    tracing::info!(identities = counts.clients.len(), "what is stored was counted");
    store.write_counts(counts.iter(), others).await
}

#[derive(Default)]
struct Counts {
    clients: HashMap<Address, String>,
    by_identity: HashMap<Address, Amounts>,
    by_client: HashMap<String, Amounts>,
    of_nobody: Amounts,
}

impl Counts {
    fn add(&mut self, owner: Option<&Address>, change: Change) {
        let raise = |amounts: &mut Amounts| {
            *amounts = change.applied(*amounts, &Amounts::UNLIMITED).unwrap_or(*amounts);
        };
        let Some(owner) = owner else { return raise(&mut self.of_nobody) };
        if change.of(Metric::Identities) == 0 {
            raise(self.by_identity.entry(owner.clone()).or_default());
        }
        if change.of_client() != Change::default()
            && let Some(client) = self.clients.get(owner)
        {
            raise(self.by_client.entry(client.clone()).or_default());
        }
    }

    /// The same for what is not counted if nobody owns it.
    fn add_owned(&mut self, owner: Option<&Address>, change: Change) {
        if owner.is_some() {
            self.add(owner, change);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (Holder<'_>, Amounts)> {
        let identities = self.by_identity.iter().map(|(address, amounts)| (Holder::Identity(address), *amounts));
        let clients = self.by_client.iter().map(|(client, amounts)| (Holder::Client(client), *amounts));
        identities.chain(clients).chain([(Holder::Nobody, self.of_nobody)])
    }
}

/// Shows `visit` all records of a table.
async fn each<R: serde::de::DeserializeOwned>(
    store: &Store,
    table: &Key<R>,
    mut visit: impl FnMut(&Entry<R>),
) -> Result<(), StoreError> {
    let mut from = table.clone();
    loop {
        let step = store.scan(table, &from, COUNTING_STEP).await?;
        step.iter().for_each(&mut visit);
        match step.last() {
            Some(last) => from = table.after(&last.rest),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::domain::Caller;
    use crate::domain::datawallet::{NewEntry, Wallet};
    use crate::domain::devices::DeviceRecord;
    use crate::domain::identities::{IdentityRecord, Status};
    use crate::domain::tokens::{Asking, NewToken};
    use crate::secrets::PasswordHash;
    use crate::store::memory::Memory;
    use listener::Source;
    use transport::wire::ByteText;
    use transport::wire::backbone::datawallet::ModificationType;

    fn config() -> Config {
        let mut config = Config::new("").with_client("owner", "secret");
        config.clients.push(OAuthClient::guest("guest", "guest"));
        config
    }

    async fn identity(core: &Core, digit: char, client_id: &str) -> Caller {
        let address: Address = format!("did:e:localhost:dids:{}", digit.to_string().repeat(22)).parse().unwrap();
        let identity = IdentityRecord {
            address: address.clone(),
            public_key: ByteText(vec![1; 32]),
            created_at: core.now(),
            client_id: client_id.to_owned(),
            identity_version: 1,
            status: Status::Active,
            last_used: None,
        };
        let device = DeviceRecord::new(&address, None, PasswordHash::unmatchable(), core.now());
        let mut transaction = core.store.begin();
        transaction.put(&identities::identity_key(&address), &identity).unwrap();
        devices::insert(&mut transaction, &device).unwrap();
        transaction.charge(Holder::Client(client_id), &identities::cost(), None);
        transaction.charge(Holder::Identity(&address), &devices::cost(), None);
        transaction.commit().await.unwrap();
        Caller { address, device: device.id }
    }

    async fn token(core: &Core, caller: Option<&Caller>, bytes: usize) -> transport::wire::TokenId {
        let content = caller.map(|_| ByteText(vec![7; bytes]));
        let new = NewToken {
            content,
            expires_at: core.now().saturating_add(std::time::Duration::from_secs(60)),
            for_identity: None,
            password: None,
        };
        tokens::create(core, Asking { caller, source: Source::Loopback }, new).await.unwrap().id
    }

    async fn file(core: &Core, caller: &Caller, bytes: usize) {
        let mut writer = core.store.new_blob().await.unwrap();
        writer.write(vec![1; bytes].into()).await.unwrap();
        let (blob, written) = writer.publish().await.unwrap();
        let new = files::NewFile {
            blob,
            written,
            cipher_hash: ByteText(vec![1]),
            owner_signature: ByteText(vec![1]),
            encrypted_properties: ByteText(vec![1; 10]),
            expires_at: core.now().saturating_add(std::time::Duration::from_secs(60)),
        };
        files::create(core, caller.clone(), new).await.unwrap();
    }

    async fn datawallet_entry(core: &Core, caller: &Caller, bytes: usize) {
        let entry = NewEntry {
            kind: ModificationType::Create,
            object: "object".to_owned(),
            category: None,
            collection: "Files".to_owned(),
            payload: Some(ByteText(vec![1; bytes])),
            version: 1,
        };
        let entries = datawallet::prepare(core, vec![entry]).await.unwrap();
        let mut transaction = core.store.begin();
        transaction.lock_identities(&[&caller.address]).await.unwrap();
        let mut wallet = Wallet::new(1);
        datawallet::append(core, &mut transaction, caller, &mut wallet, entries, core.now()).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn counts(core: &Core, callers: &[&Caller]) -> Vec<Amounts> {
        let mut counts = Vec::new();
        for caller in callers {
            counts.push(core.store.usage(Holder::Identity(&caller.address)).await.unwrap());
        }
        for holder in [Holder::Client("owner"), Holder::Client("guest"), Holder::Nobody] {
            counts.push(core.store.usage(holder).await.unwrap());
        }
        counts
    }

    #[tokio::test]
    async fn what_an_earlier_program_stored_is_counted_as_if_it_had_been_counted_at_once() {
        let memory = Memory::default();
        let core = Core::on(memory.open(), config()).await.unwrap();
        let (alice, guest) = (identity(&core, 'a', "owner").await, identity(&core, 'b', "guest").await);
        let read = token(&core, Some(&alice), 100).await;
        token(&core, Some(&guest), 20_000).await;
        token(&core, None, 0).await;
        file(&core, &alice, 3_000).await;
        datawallet_entry(&core, &guest, 700).await;
        challenges::create(&core, Some(alice.clone()), Source::Loopback).await.unwrap();
        let long_ago = core.now().saturating_sub(std::time::Duration::from_secs(24 * 60 * 60));
        challenges::keep_for_a_month(&core, &alice, long_ago).await;
        let who = Asking { caller: Some(&guest), source: Source::Loopback };
        tokens::read(&core, who, &read, None).await.unwrap();
        let counted = counts(&core, &[&alice, &guest]).await;
        let expected = Amounts {
            devices: 1,
            challenges: 1,
            tokens: 1,
            files: 1,
            content_bytes: 2 * RECORD_BYTES + 100 + 3_010,
            ..Amounts::default()
        };
        assert_eq!(counted[0], expected);
        assert_eq!((counted[1].other_bytes, counted[1].content_bytes), (2 * RECORD_BYTES + 700, RECORD_BYTES + 20_000));
        assert_eq!((counted[3].identities, counted[3].tokens, counted[4].tokens), (1, 1, 1));
        core.store.forget_counts().await;
        assert_eq!(counts(&core, &[&alice, &guest]).await, [Amounts::default(); 5]);
        drop(core);

        let core = Core::on(memory.open(), config()).await.unwrap();
        assert_eq!(counts(&core, &[&alice, &guest]).await, counted);
        assert_eq!(crate::sweep::sweep(&core).await.unwrap().records, 0, "what is not counted is removed");
        drop(core);
        let core = Core::on(memory.open(), config()).await.unwrap();
        assert!(!core.store.is_uncounted().await.unwrap(), "it is done once");
    }

    #[tokio::test]
    async fn what_is_removed_is_given_back_to_the_last_byte() {
        let clock = std::sync::Arc::new(crate::ManualClock::new("2030-01-01T12:00:00Z".parse().unwrap()));
        let core = Core::in_memory(config().with_clock(clock.clone())).await;
        let (alice, guest) = (identity(&core, 'a', "owner").await, identity(&core, 'b', "guest").await);
        let before = counts(&core, &[&alice, &guest]).await;
        let read = token(&core, Some(&alice), 100).await;
        tokens::read(&core, Asking { caller: Some(&guest), source: Source::Loopback }, &read, None).await.unwrap();
        token(&core, Some(&guest), 20_000).await;
        token(&core, None, 0).await;
        file(&core, &alice, 3_000).await;
        challenges::create(&core, Some(alice.clone()), Source::Loopback).await.unwrap();
        assert_ne!(counts(&core, &[&alice, &guest]).await, before);
        clock.advance(std::time::Duration::from_secs(31 * 24 * 60 * 60));
        crate::sweep::sweep(&core).await.unwrap();
        assert_eq!(counts(&core, &[&alice, &guest]).await, before);
    }
}
