//! Counting the records of earlier versions, which did not count usage.

use std::collections::HashMap;

use transport::wire::Address;

use super::account::other;
use super::{challenges, datawallet, devices, files, identities, sync_runs, tokens};
use crate::core::Core;
use crate::error::StoreError;
use crate::quota::{Amounts, Metric};
use crate::store::{Change, Entry, Holder, Key, Store};

/// Records that are read at a time. Each may have a megabyte.
const COUNTING_STEP: usize = 16;

/// Counts the records of an earlier version, if that has not been done; called at the start, before anything is changed. An
/// interruption does no harm, because it is idempotent.
///
/// Uses memory for each identity.
pub(crate) async fn count_uncounted(core: &Core) -> Result<(), StoreError> {
    if core.store.is_uncounted().await? { count_all(core).await } else { Ok(()) }
}

async fn count_all(core: &Core) -> Result<(), StoreError> {
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
        identities::note_use_of(core, &mut others, address, now).await?;
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
    tracing::info!(identities = counts.clients.len(), "counted the records of an earlier version");
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

    /// The same for records that are only counted if they have an owner.
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
    use crate::caller::Caller;
    use crate::config::{Config, OAuthClient};
    use crate::domain::datawallet::{NewModification, Wallet};
    use crate::domain::devices::DeviceRecord;
    use crate::domain::token_reads;
    use crate::domain::token_uses::Purpose;
    use crate::domain::tokens::{Asking, NewToken};
    use crate::lenient::AtMost;
    use crate::quota::RECORD_BYTES;
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

    /// An identity with one device, charged for both.
    async fn identity(core: &Core, number: u8, client_id: &str) -> Caller {
        let Caller { address, .. } = identities::registered(core, number, client_id).await;
        let device = DeviceRecord::new(&address, None, PasswordHash::unmatchable(), core.now());
        let mut transaction = core.store.begin();
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
        let entry = NewModification {
            kind: ModificationType::Create,
            object_identifier: "object".to_owned(),
            payload_category: None,
            collection: "Files".to_owned(),
            encrypted_payload: Some(ByteText(vec![1; bytes])),
            datawallet_version: 1,
        };
        let entries = datawallet::prepare(core, AtMost(vec![entry])).await.unwrap();
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
    async fn records_of_an_earlier_version_are_counted_like_new_ones() {
        let memory = Memory::default();
        let core = Core::on(memory.open(), config()).await.unwrap();
        let (alice, guest) = (identity(&core, 1, "owner").await, identity(&core, 2, "guest").await);
        let read = token(&core, Some(&alice), 100).await;
        token(&core, Some(&guest), 20_000).await;
        token(&core, None, 0).await;
        file(&core, &alice, 3_000).await;
        datawallet_entry(&core, &guest, 700).await;
        challenges::create(&core, Some(alice.clone()), Source::Loopback).await.unwrap();
        let long_ago = core.now().saturating_sub(std::time::Duration::from_secs(24 * 60 * 60));
        challenges::keep_for_a_month(&core, &alice, long_ago).await;
        let who = Asking { caller: Some(&guest), source: Source::Loopback };
        token_reads::read(&core, who, &read, None, Purpose::Read).await.unwrap();
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
        count_uncounted(&core).await.unwrap();
        assert_eq!(counts(&core, &[&alice, &guest]).await, counted);
        assert_eq!(crate::sweep::sweep(&core).await.unwrap().records, 0, "what is not counted is removed");
        drop(core);
        let core = Core::on(memory.open(), config()).await.unwrap();
        assert!(!core.store.is_uncounted().await.unwrap(), "it is done once");
    }

    #[tokio::test]
    async fn removing_records_reduces_usage_to_the_last_byte() {
        let clock = std::sync::Arc::new(crate::ManualClock::new("2030-01-01T12:00:00Z".parse().unwrap()));
        let core = Core::in_memory(config().with_clock(clock.clone())).await;
        let (alice, guest) = (identity(&core, 1, "owner").await, identity(&core, 2, "guest").await);
        let before = counts(&core, &[&alice, &guest]).await;
        let read = token(&core, Some(&alice), 100).await;
        token_reads::read(&core, Asking { caller: Some(&guest), source: Source::Loopback }, &read, None, Purpose::Read)
            .await
            .unwrap();
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
