//! Sync runs: the lease under which one device of an identity handles external events.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use transport::wire::backbone::events::ExternalEvent;
use transport::wire::backbone::sync_runs::{
    FinalizedDatawalletVersionUpgrade, FinalizedExternalEventSync, StartedSyncRun, SyncRun, SyncRunStatus, SyncRunType,
};
use transport::wire::{Address, DeviceId, ExternalEventId, SyncRunId, Timestamp};

use super::account::{self, Account};
use super::datawallet::{self, NewModifications, Wallet};
use super::external_events::{self, Ending, ExternalEventRecord};
use super::identities::{self, Status};
use super::page::{Page, PageRequest};
use super::{Caller, EXPIRIES, Record, Refusal, Rule, expiring, parse_id};
use crate::core::Core;
use crate::error::StoreError;
use crate::lenient::AtMost;
use crate::secrets::new_id;
use crate::store::{Key, Table, Transaction};

const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// How long after its expiry a run still blocks pushes. Its device may still finalize it, and has encrypted its entries for the
/// indices that a push would use.
const PUSH_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_ERROR_CODE: usize = 100;

const RUNS: Table<RunRecord> = Table::new("sync-run");
const LEASES: Table<Lease> = Table::new("sync-lease");

/// A run as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    id: SyncRunId,
    kind: SyncRunType,
    index: u64,
    pub(crate) owner: Address,
    device: DeviceId,
    created_at: Timestamp,
    expires_at: Timestamp,
    event_count: u64,
    /// Set when the run was finalized or cancelled.
    ended_at: Option<Timestamp>,
}

/// How handling an event ended.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventResult {
    external_event_id: String,
    error_code: Option<String>,
}

/// The results of one finalization: at most those of all events that a run may have.
pub(crate) type EventResults = AtMost<EventResult, { external_events::MAX_EVENTS_OF_RUN }>;

/// The lease of an identity.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Lease {
    next_index: u64,
    /// The run that has not ended; there is one at most.
    open: Option<SyncRunId>,
}

/// Starts a run and takes the lease, if there is something to do.
pub(crate) async fn start(
    core: &Core,
    caller: &Caller,
    kind: SyncRunType,
    duration: Option<u16>,
    supported_version: u16,
) -> Result<StartedSyncRun, Refusal> {
    let now = core.now();
    let mut transaction = core.store.begin();
    transaction.lock_identities(&[&caller.address]).await?;
    check_may_start(core, &transaction, caller, kind, supported_version).await?;
    let mut lease = read_lease(&transaction, &caller.address).await?;
    let mut events = end_expired(&mut transaction, &mut lease, now).await?;
    if kind == SyncRunType::ExternalEventSync {
        events.append(&mut external_events::deliverable(&core.store, &caller.address).await?);
        events.sort_unstable();
        events.truncate(external_events::MAX_EVENTS_OF_RUN);
    } else {
        events.clear();
    }
    let sync_run = if kind == SyncRunType::ExternalEventSync && events.is_empty() {
        None
    } else {
        let duration = duration.map_or(DEFAULT_DURATION, |seconds| Duration::from_secs(seconds.into()));
        Account::of(core, &caller.address).await?.charge(&mut transaction, &account::other(0))?;
        let run = open(&mut transaction, caller, &mut lease, kind, now, duration, events.len() as u64)?;
        external_events::attach(&mut transaction, &caller.address, &run.id, &events)?;
        Some(run.into_wire())
    };
    transaction.put(&lease_key(&caller.address), &lease)?;
    transaction.commit().await?;
    let status = if sync_run.is_some() { SyncRunStatus::Created } else { SyncRunStatus::NoNewEvents };
    Ok(StartedSyncRun { status, sync_run })
}

/// The events of an open run of the caller's device.
pub(crate) async fn events(
    core: &Core,
    caller: &Caller,
    id: &SyncRunId,
    page: PageRequest,
) -> Result<Page<ExternalEvent>, Refusal> {
    let run = own(core.store.get(&run_key(id)).await?, caller)?;
    if run.ended_at.is_some() {
        return Err(Rule::SyncRunAlreadyFinalized.into());
    }
    if run.device != caller.device {
        return Err(Rule::EventsOfAnotherDevice.into());
    }
    let page = external_events::attached_page(&core.store, id, page).await?;
    let mut events = Vec::with_capacity(page.items.len());
    for index in &page.items {
        events.extend(external_events::read(&core.store, &caller.address, *index).await?.map(to_wire));
    }
    Ok(page.with(events))
}

/// Finalizes a run that handled events: records the results, appends entries and releases the lease.
pub(crate) async fn finalize_event_sync(
    core: &Core,
    caller: &Caller,
    id: &SyncRunId,
    results: EventResults,
    entries: NewModifications,
) -> Result<FinalizedExternalEventSync, Refusal> {
    let results = index_results(results)?;
    let entries = datawallet::prepare(core, entries).await?;
    let now = core.now();
    let mut transaction = core.store.begin();
    transaction.lock_identities(&[&caller.address]).await?;
    let run = check_may_finalize(&transaction, caller, id, SyncRunType::ExternalEventSync).await?;
    let mut wallet =
        datawallet::read_wallet(&transaction, &caller.address).await?.ok_or(Refusal::NotFound(Record::Datawallet))?;
    let modifications = datawallet::append(core, &mut transaction, caller, &mut wallet, entries, now).await?;
    let result_of = |event: &ExternalEventId| results.get(event).cloned();
    external_events::detach_unhandled(&mut transaction, &caller.address, id, Ending::Results(&result_of)).await?;
    end(&mut transaction, run, now).await?;
    let new_unsynced_external_events_exist = external_events::has_fresh(&core.store, &caller.address).await?;
    if !modifications.is_empty() {
        transaction.notify(datawallet::notification(caller));
    }
    transaction.commit().await?;
    Ok(FinalizedExternalEventSync {
        new_datawallet_modification_index: wallet.newest_index(),
        datawallet_modifications: modifications,
        new_unsynced_external_events_exist,
    })
}

/// Finalizes a run that created or migrated the datawallet: appends entries and releases the lease.
pub(crate) async fn finalize_upgrade(
    core: &Core,
    caller: &Caller,
    id: &SyncRunId,
    version: u16,
    entries: NewModifications,
) -> Result<FinalizedDatawalletVersionUpgrade, Refusal> {
    if version == 0 {
        return Err(Refusal::invalid("newDatawalletVersion", "must be greater than 0"));
    }
    let entries = datawallet::prepare(core, entries).await?;
    let now = core.now();
    let mut transaction = core.store.begin();
    transaction.lock_identities(&[&caller.address]).await?;
    let run = check_may_finalize(&transaction, caller, id, SyncRunType::DatawalletVersionUpgrade).await?;
    let mut wallet = match datawallet::read_wallet(&transaction, &caller.address).await? {
        Some(wallet) if version < wallet.version => return Err(Rule::CannotDowngrade.into()),
        Some(wallet) => wallet.with_version(version),
        None => Wallet::new(version),
    };
    let modifications = datawallet::append(core, &mut transaction, caller, &mut wallet, entries, now).await?;
    end(&mut transaction, run, now).await?;
    if !modifications.is_empty() {
        transaction.notify(datawallet::notification(caller));
    }
    transaction.commit().await?;
    Ok(FinalizedDatawalletVersionUpgrade {
        new_datawallet_modification_index: wallet.newest_index(),
        datawallet_modifications: modifications,
    })
}

/// Checks before a push that no run is open. Cancels a run that expired long ago: otherwise a late finalization could append
/// entries under other indices than they were encrypted for.
pub(crate) async fn check_before_push(
    transaction: &mut Transaction<'_>,
    address: &Address,
    now: Timestamp,
) -> Result<(), Refusal> {
    let mut lease = read_lease(transaction, address).await?;
    let Some(run) = open_run(transaction, &lease).await? else { return Ok(()) };
    if now <= run.expires_at.saturating_add(PUSH_TIMEOUT) {
        return Err(Refusal::rule(Rule::NoPushDuringSyncRun, run.id.as_str()));
    }
    cancel(transaction, &mut lease, run, now).await?;
    transaction.put(&lease_key(address), &lease)?;
    Ok(())
}

/// Removes a run that ended long ago, with its handled events.
pub(crate) async fn remove(transaction: &mut Transaction<'_>, id: &SyncRunId) -> Result<(), StoreError> {
    if let Some(run) = transaction.get(&run_key(id)).await? {
        external_events::remove_handled(transaction, &run.owner, id).await?;
        account::release(transaction, &run.owner, account::other(0)).await?;
        transaction.delete(&run_key(id));
    }
    Ok(())
}

/// The key that all runs start with.
pub(crate) fn table() -> Key<RunRecord> {
    RUNS.key()
}

/// Removes the lease of an identity, with its open run.
pub(crate) async fn remove_lease(transaction: &mut Transaction<'_>, address: &Address) -> Result<(), StoreError> {
    if let Some(open) = read_lease(transaction, address).await?.open {
        remove(transaction, &open).await?;
    }
    transaction.delete(&lease_key(address));
    Ok(())
}

impl RunRecord {
    fn into_wire(self) -> SyncRun {
        SyncRun {
            id: self.id,
            kind: self.kind,
            expires_at: self.expires_at,
            index: self.index,
            created_at: self.created_at,
            created_by: self.owner,
            created_by_device: self.device,
            event_count: self.event_count,
        }
    }
}

async fn check_may_start(
    core: &Core,
    transaction: &Transaction<'_>,
    caller: &Caller,
    kind: SyncRunType,
    supported_version: u16,
) -> Result<(), Refusal> {
    let identity = identities::read(&core.store, &caller.address).await?;
    if identity.status != Status::Active {
        return Err(Rule::IdentityIsToBeDeleted.into());
    }
    match datawallet::read_wallet(transaction, &caller.address).await? {
        Some(wallet) => datawallet::check_supported(supported_version, &wallet),
        None if kind == SyncRunType::ExternalEventSync => Err(Refusal::NotFound(Record::Datawallet)),
        None => Ok(()),
    }
}

/// Cancels the open run if it has expired. Returns the events that are deliverable again.
async fn end_expired(
    transaction: &mut Transaction<'_>,
    lease: &mut Lease,
    now: Timestamp,
) -> Result<Vec<u64>, Refusal> {
    match open_run(transaction, lease).await? {
        None => Ok(Vec::new()),
        Some(run) if now < run.expires_at => Err(Refusal::rule(Rule::AnotherSyncRunIsRunning, run.id.as_str())),
        Some(run) => Ok(cancel(transaction, lease, run, now).await?),
    }
}

async fn cancel(
    transaction: &mut Transaction<'_>,
    lease: &mut Lease,
    run: RunRecord,
    now: Timestamp,
) -> Result<Vec<u64>, StoreError> {
    lease.open = None;
    let offered_again = external_events::detach_unhandled(transaction, &run.owner, &run.id, Ending::Cancelled).await?;
    note_end(transaction, run, now)?;
    Ok(offered_again)
}

fn open(
    transaction: &mut Transaction<'_>,
    caller: &Caller,
    lease: &mut Lease,
    kind: SyncRunType,
    now: Timestamp,
    duration: Duration,
    event_count: u64,
) -> Result<RunRecord, StoreError> {
    let run = RunRecord {
        id: new_id(),
        kind,
        index: lease.next_index,
        owner: caller.address.clone(),
        device: caller.device.clone(),
        created_at: now,
        expires_at: now.saturating_add(duration),
        event_count,
        ended_at: None,
    };
    lease.next_index += 1;
    lease.open = Some(run.id.clone());
    transaction.put(&run_key(&run.id), &run)?;
    Ok(run)
}

async fn check_may_finalize(
    transaction: &Transaction<'_>,
    caller: &Caller,
    id: &SyncRunId,
    kind: SyncRunType,
) -> Result<RunRecord, Refusal> {
    let run = own(transaction.get(&run_key(id)).await?, caller)?;
    let objection = if run.kind != kind {
        Rule::UnexpectedSyncRunType
    } else if run.device != caller.device {
        Rule::FinalizeOfAnotherDevice
    } else if run.ended_at.is_some() {
        Rule::SyncRunAlreadyFinalized
    } else {
        return Ok(run);
    };
    Err(objection.into())
}

async fn end(transaction: &mut Transaction<'_>, run: RunRecord, now: Timestamp) -> Result<(), StoreError> {
    let mut lease = read_lease(transaction, &run.owner).await?;
    lease.open = None;
    transaction.put(&lease_key(&run.owner), &lease)?;
    note_end(transaction, run, now)
}

fn note_end(transaction: &mut Transaction<'_>, mut run: RunRecord, now: Timestamp) -> Result<(), StoreError> {
    run.ended_at = Some(now);
    transaction.put(&run_key(&run.id), &run)?;
    transaction.put(&EXPIRIES.key().time(now).text(expiring::SYNC_RUN).text(&run.id), &())
}

/// The results by event. Of several results for one event the first counts; an empty error code means success.
fn index_results(results: EventResults) -> Result<HashMap<ExternalEventId, Option<String>>, Refusal> {
    let mut by_event = HashMap::with_capacity(results.0.len());
    for EventResult { external_event_id, error_code } in results.0 {
        let event = parse_id("externalEventId", &external_event_id)?;
        let code = error_code.filter(|code| !code.is_empty());
        if code.as_ref().is_some_and(|code| code.chars().count() > MAX_ERROR_CODE) {
            return Err(Refusal::invalid("errorCode", format!("must have at most {MAX_ERROR_CODE} characters")));
        }
        by_event.entry(event).or_insert(code);
    }
    Ok(by_event)
}

fn own(run: Option<RunRecord>, caller: &Caller) -> Result<RunRecord, Refusal> {
    run.filter(|run| run.owner == caller.address).ok_or(Refusal::NotFound(Record::SyncRun))
}

async fn open_run(transaction: &Transaction<'_>, lease: &Lease) -> Result<Option<RunRecord>, StoreError> {
    match &lease.open {
        Some(id) => transaction.get(&run_key(id)).await,
        None => Ok(None),
    }
}

async fn read_lease(transaction: &Transaction<'_>, address: &Address) -> Result<Lease, StoreError> {
    Ok(transaction.get(&lease_key(address)).await?.unwrap_or_default())
}

fn to_wire(event: ExternalEventRecord) -> ExternalEvent {
    ExternalEvent {
        sync_error_count: event.error_count(),
        id: event.id,
        kind: event.kind,
        index: event.index,
        created_at: event.created_at,
        payload: event.payload,
    }
}

fn run_key(id: &SyncRunId) -> Key<RunRecord> {
    RUNS.key().text(id)
}

fn lease_key(address: &Address) -> Key<Lease> {
    LEASES.key().text(address)
}
