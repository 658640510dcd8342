//! One synchronization, step by step. The outcome of each step is stored before the next one.

use tracing::{debug, info, warn};
use transport::backbone;
use transport::datawallet::{Changes, DatawalletError, SUPPORTED_VERSION, Unreadable};
use transport::wire::backbone::datawallet::{
    AssignedModification, Modification, ModificationType, NewModification, PushModifications,
};
use transport::wire::backbone::sync_runs::{
    FinalizeDatawalletVersionUpgrade, FinalizeExternalEventSync, StartSyncRun, StartedSyncRun, SyncRun, SyncRunStatus,
    SyncRunType,
};

use super::apply::{Outcome, RefusedChange};
use super::digest::digest_of;
use super::log::{LogReader, ReadError, Section};
use super::plan::{self, Known, Misses, PushOutcome, SyncRefusal};
use super::state::{InFlight, Position, SyncTimes};
use super::{apply, certificates, events, state};
use crate::code::ErrorCode;
use crate::core::Core;
use crate::delivery::learn;
use crate::event::Event;
use crate::held;
use crate::store::{Batch, View, collection};
use crate::{Error, Result};

/// Attempts while another device handles events; its run lasts ten seconds by default.
const BUSY_ATTEMPTS: u32 = 5;

/// Pulls what other devices changed and pushes what this one did.
pub(super) async fn datawallet(core: &Core) -> Result<()> {
    let outcome = Run::of(core).datawallet().await;
    with_identity(core, outcome).await
}

/// Pushes the changes of this device. Pulls only if another device has pushed meanwhile.
pub(super) async fn push(core: &Core) -> Result<()> {
    let outcome = Run::of(core).push().await;
    with_identity(core, outcome).await
}

/// Handles external events, then synchronizes the datawallet.
pub(super) async fn everything(core: &Core) -> Result<()> {
    let outcome = Run::of(core).everything().await;
    with_identity(core, outcome).await
}

/// A synchronization has ended. What it brought, or time alone, may have this node prove its identity to peers from now on.
async fn with_identity(core: &Core, outcome: Result<()>) -> Result<()> {
    core.peers.identify().await;
    outcome
}

/// One synchronization, from its request to its end.
struct Run<'a> {
    core: &'a Core,
    /// Whether the datawallet was read from its start, because the backbone is behind; done at most once.
    started_over: bool,
}

/// Outcome of a pull.
#[derive(Debug, PartialEq, Eq)]
enum Pull {
    Done,
    /// The backbone does not have what this device knows.
    Behind,
}

/// Outcome of a push.
#[derive(Debug, PartialEq, Eq)]
enum Push {
    Nothing,
    Done,
    /// Another device pushed first.
    OutOfDate,
}

impl<'a> Run<'a> {
    fn of(core: &'a Core) -> Self {
        Self { core, started_over: false }
    }

    async fn datawallet(&mut self) -> Result<()> {
        self.ensure_datawallet().await?;
        if !self.core.config.datawallet_enabled {
            return Ok(());
        }
        self.check_version().await?;
        self.converge().await?;
        let times = SyncTimes { datawallet: Some(self.core.clock.now()), ..SyncTimes::load(&self.core.store)? };
        self.store_times(times).await?;
        self.core.events.publish(Event::DatawalletSynchronized);
        Ok(())
    }

    async fn push(&mut self) -> Result<()> {
        if !self.core.config.datawallet_enabled {
            return Ok(());
        }
        if !Position::load(&self.core.store)?.datawallet_exists {
            return self.datawallet().await;
        }
        match self.push_all().await? {
            Push::OutOfDate => self.converge().await,
            Push::Nothing | Push::Done => Ok(()),
        }
    }

    async fn everything(&mut self) -> Result<()> {
        self.ensure_datawallet().await?;
        for _ in 0..plan::MAX_EVENT_RUNS {
            let started = self.start_run(SyncRunType::ExternalEventSync).await?;
            let Some(run) = created(started) else { break };
            if !self.handle_events(&run).await? {
                break;
            }
        }
        self.datawallet().await?;
        let times = SyncTimes { everything: Some(self.core.clock.now()), ..SyncTimes::load(&self.core.store)? };
        self.store_times(times).await
    }

    async fn store_times(&self, times: SyncTimes) -> Result<()> {
        let mut batch = Batch::new();
        times.put(&mut batch)?;
        Ok(self.core.store.commit(batch).await?)
    }

    /// Makes sure that there is a datawallet: events need one even if it stays empty.
    async fn ensure_datawallet(&self) -> Result<()> {
        let position = Position::load(&self.core.store)?;
        if position.datawallet_exists {
            return Ok(());
        }
        // The answer to an earlier upgrade may have been lost, so ask before upgrading again.
        if position.in_flight.is_some() && self.datawallet_version().await?.is_some() {
            return self.note_datawallet(position).await;
        }
        self.upgrade().await
    }

    async fn note_datawallet(&self, position: Position) -> Result<()> {
        self.save(Position { datawallet_exists: true, ..position }, Batch::new()).await
    }

    async fn datawallet_version(&self) -> Result<Option<u16>> {
        match self.core.account.session().datawallet().await {
            Ok(datawallet) => Ok(Some(datawallet.version)),
            Err(error) if error.is_record_not_found() => Ok(None),
            Err(error) => Err(self.refused(error)),
        }
    }

    async fn check_version(&self) -> Result<()> {
        match self.datawallet_version().await? {
            Some(version) if version > SUPPORTED_VERSION => Err(self.too_old()),
            Some(_) => Ok(()),
            None => self.upgrade().await,
        }
    }

    /// Creates the datawallet with the content of the journal, normally the entry of this device. If the backbone lost its
    /// datawallet, the content of the journal may be sealed for indices that the new one does not have yet; it is pushed
    /// after the next pull.
    async fn upgrade(&self) -> Result<()> {
        let started = self.start_run(SyncRunType::DatawalletVersionUpgrade).await?;
        let Some(run) = created(started) else {
            return Err(Error::Unknown(
                "the backbone refused to create the datawallet without giving a reason".to_owned(),
            ));
        };
        let position = Position::load(&self.core.store)?;
        let (position, in_flight) =
            if position.datawallet_exists { (position, None) } else { self.store_next_push().await? };
        let finalize = FinalizeDatawalletVersionUpgrade {
            new_datawallet_version: SUPPORTED_VERSION,
            datawallet_modifications: modifications(in_flight.as_ref()),
        };
        let session = self.core.account.session();
        let answer = session.finalize_datawallet_version_upgrade(&run.id, &finalize).await;
        let answer = answer.map_err(|error| self.refused(error))?;
        let position = Position { datawallet_exists: true, ..position };
        self.acknowledge_push(position, in_flight, &answer.datawallet_modifications).await.map(drop)
    }

    /// Handles the events of a run. Returns whether another run is needed.
    async fn handle_events(&mut self, run: &SyncRun) -> Result<bool> {
        if self.core.config.datawallet_enabled {
            self.pull().await?;
        }
        let session = self.core.account.session();
        let received = session.external_events(&run.id).await.map_err(|error| self.refused(error))?;
        info!(run = %run.id, count = received.len(), "handling external events");
        let mut external_event_results = Vec::with_capacity(received.len());
        for event in received {
            external_event_results.push(events::handle(self.core, event).await);
        }
        let (position, in_flight) = if self.core.config.datawallet_enabled {
            self.store_next_push().await?
        } else {
            (Position::load(&self.core.store)?, None)
        };
        let outcome = FinalizeExternalEventSync {
            datawallet_modifications: modifications(in_flight.as_ref()),
            external_event_results,
        };
        match session.finalize_external_event_sync(&run.id, &outcome).await {
            Ok(answer) => {
                self.acknowledge_push(position, in_flight, &answer.datawallet_modifications).await?;
                Ok(answer.new_unsynced_external_events_exist)
            }
            // It took too long and another device has the events now; nothing that was sent took effect.
            Err(error) if SyncRefusal::of(&error) == SyncRefusal::RunLost => Ok(true),
            Err(error) => Err(self.refused(error)),
        }
    }

    async fn start_run(&self, kind: SyncRunType) -> Result<StartedSyncRun> {
        let start = StartSyncRun { kind, duration: None };
        self.retry_while_busy(|| self.core.account.session().start_sync_run(start))
            .await
            .map_err(|error| self.refused(error))
    }

    /// Pulls and pushes until no other device pushed in between.
    async fn converge(&mut self) -> Result<()> {
        for _ in 0..plan::MAX_ROUNDS {
            self.pull().await?;
            self.complete_device_entry().await?;
            certificates::exchange(self.core).await?;
            self.core.tell_addresses().await?;
            match self.push_all().await? {
                Push::OutOfDate => debug!("another device pushed first"),
                Push::Nothing | Push::Done => return Ok(()),
            }
        }
        Err(Error::Unknown("other devices change the datawallet all the time; synchronize again later".to_owned()))
    }

    /// Applies what is new in the log. If the backbone is behind, the whole log is read once more.
    async fn pull(&mut self) -> Result<()> {
        if self.pull_behind_position().await? == Pull::Done {
            return Ok(());
        }
        if std::mem::replace(&mut self.started_over, true) {
            return Err(self.invalid("it lost modifications again while it was read from its start"));
        }
        warn!("the backbone is behind what this device knows of the datawallet; reading it from its start");
        self.core.events.publish(Event::DatawalletBehind);
        self.save(Position::load(&self.core.store)?.start_over(), Batch::new()).await?;
        self.pull_behind_position().await.map(drop)
    }

    /// Applies the log after the position of this device, section by section.
    ///
    /// Lists never omit the newest modification of a log, so a request from the one before the position has an answer, unless
    /// the backbone lost modifications.
    async fn pull_behind_position(&self) -> Result<Pull> {
        let (start, mut misses) = self.resume().await?;
        let (known, settled) = (Known::at(&start), start.settled());
        let mut reader = LogReader::new(self.core.account.session(), start.asks_behind());
        let mut newest = None;
        loop {
            let position = Position::load(&self.core.store)?;
            let sent = position.in_flight.as_ref();
            // A push in flight must be in one section as a whole: otherwise its outcome is undecidable.
            let section = reader.next(|index| sent.is_some_and(|sent| sent.is_cut_at(index))).await;
            let Section { mut modifications, is_last } = section.map_err(|error| self.unreadable(error))?;
            newest = modifications.last().map(|entry| entry.index).or(newest);
            if known.is_missing(&modifications, newest, is_last) {
                return Ok(Pull::Behind);
            }
            modifications.retain(|entry| settled.is_none_or(|settled| entry.index > settled));
            let mut position = Position { listed: newest, ..position };
            position.note_reread(settled, is_last);
            misses = self.apply_section(position, modifications, is_last, misses).await?;
            if is_last {
                return Ok(Pull::Done);
            }
        }
    }

    /// Where a pull continues, and the modifications that earlier pulls missed.
    async fn resume(&self) -> Result<(Position, Misses)> {
        let stored = Position::load(&self.core.store)?;
        let position = stored.clone().resumed();
        let started = position.clone().started();
        let misses = Misses::at(&started);
        if started != stored {
            self.save(started, Batch::new()).await?;
        }
        Ok((position, misses))
    }

    /// Stores what a section of the log changes, and which modifications could not be read or used.
    async fn apply_section(
        &self,
        mut position: Position,
        section: Vec<Modification>,
        is_last: bool,
        mut misses: Misses,
    ) -> Result<Misses> {
        let is_new = position.index.is_none();
        let (arrived, mut foreign) = self.settle(&mut position, section, is_last)?;
        if position.is_settled(&foreign) {
            foreign.clear();
        }
        let changes = Changes::read(&foreign, None, self.core.account.synchronization_key());
        let changes = changes.map_err(|error| self.invalid(error))?;
        let count = foreign.len();
        // A device that was onboarded with a wrong key must not push what no other device can open.
        if is_new && count > 0 && changes.unreadable.len() == count {
            return Err(Error::Unknown("nothing in the datawallet can be opened with this identity's key".to_owned()));
        }
        let unreadable = note_unreadable(&mut position, &foreign, &changes, misses);
        let opened = changes.last_opened.and_then(|index| foreign.iter().find(|entry| entry.index == index));
        if let Some(entry) = opened {
            position.advance(entry.index, digest_of(entry));
        }
        if foreign.is_empty() {
            misses.note(Vec::new(), &mut position, is_last);
            if position == Position::load(&self.core.store)? {
                return Ok(misses);
            }
        }
        // Reading and writing are one step: otherwise an older state could overwrite what a facade changes meanwhile.
        let newest = position.listed;
        let stage = |view: &View<'_>| {
            let (mut batch, damaged, outcome) = staged(view, arrived, &foreign, changes)?;
            misses.note_parts(&outcome.parts);
            misses.note(damaged, &mut position, is_last);
            position.put(&mut batch)?;
            Ok::<_, Error>((batch, (outcome, misses)))
        };
        let removes_files = foreign.iter().any(is_removal_of_file);
        let changes_devices = foreign.iter().any(|entry| entry.collection == collection::DEVICES);
        let (Outcome { refused, .. }, misses) = self.core.store.change(stage).await?;
        if removes_files {
            self.core.content_store.sweep();
            learn::forget_removed(self.core).await?;
        }
        if changes_devices {
            self.core.peers.close_removed();
        }
        debug!(count, newest, "applied modifications of the datawallet");
        self.report(refused, &unreadable);
        Ok(misses)
    }

    fn report(&self, refused: Vec<RefusedChange>, unreadable: &[Unreadable]) {
        for RefusedChange { collection, id, index, property } in refused {
            warn!(index, collection, id, property, "refused a datawallet modification of an immutable property");
            self.core.events.publish(Event::DatawalletChangeRefused { collection, id, property });
        }
        for Unreadable { index, collection, id, reason } in unreadable {
            warn!(index, collection, id, reason, "skipped a datawallet modification that cannot be read");
        }
        if !unreadable.is_empty() {
            self.core.events.publish(Event::DatawalletUnreadable(unreadable.len()));
        }
    }

    /// Finds out from the log what became of a push without an answer. Returns the end of the part of the journal that the
    /// backbone accepted, and the modifications of other devices.
    fn settle(
        &self,
        position: &mut Position,
        mut section: Vec<Modification>,
        is_last: bool,
    ) -> Result<(Option<u64>, Vec<Modification>)> {
        let Some(sent) = position.in_flight.take() else { return Ok((None, section)) };
        let own_device = self.core.account.device_id();
        if let Some(index) = plan::relabelled(&sent, &section, own_device) {
            return Err(self.invalid(DatawalletError::Relabelled(index)));
        }
        match plan::push_outcome(&sent, &section, position.listed, is_last, own_device) {
            PushOutcome::Accepted => {
                info!(
                    first = sent.first_index,
                    count = sent.modifications.len(),
                    "the backbone has accepted a push without an answer"
                );
                let own = section.iter().rev().find(|entry| sent.covers(entry.index));
                if let Some(own) = own.filter(|own| own.encrypted_payload.is_some()) {
                    position.advance(own.index, digest_of(own));
                }
                section.retain(|modification| !sent.covers(modification.index));
                Ok((Some(sent.journal_end), section))
            }
            PushOutcome::Displaced => Ok((None, section)),
            PushOutcome::Pending => {
                position.in_flight = Some(sent);
                Ok((None, section))
            }
        }
    }

    async fn push_all(&self) -> Result<Push> {
        let mut outcome = Push::Nothing;
        loop {
            match self.push_next().await? {
                Push::Nothing => {
                    if outcome == Push::Done {
                        // The other devices need not wait for their next synchronization.
                        self.core.peers.hint(self.core.account.address());
                    }
                    return Ok(outcome);
                }
                Push::OutOfDate => return Ok(Push::OutOfDate),
                Push::Done => outcome = Push::Done,
            }
        }
    }

    async fn push_next(&self) -> Result<Push> {
        let (position, Some(in_flight)) = self.store_next_push().await? else { return Ok(Push::Nothing) };
        let push =
            PushModifications { local_index: position.local_index(), modifications: in_flight.modifications.clone() };
        match self.retry_while_busy(|| self.core.account.session().push_modifications(&push)).await {
            Ok(pushed) => {
                debug!(count = push.modifications.len(), index = pushed.new_index, "pushed");
                let is_taken = self.acknowledge_push(position, Some(in_flight), &pushed.modifications).await?;
                Ok(if is_taken { Push::Done } else { Push::OutOfDate })
            }
            Err(error) if SyncRefusal::of(&error) == SyncRefusal::OutOfDate => Ok(Push::OutOfDate),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Stores what is about to be sent. A push that is already in flight is sent again unchanged.
    async fn store_next_push(&self) -> Result<(Position, Option<InFlight>)> {
        let mut position = Position::load(&self.core.store)?;
        if let Some(in_flight) = position.in_flight.clone() {
            return Ok((position, Some(in_flight)));
        }
        let in_flight =
            state::seal_next(&self.core.store, self.core.account.synchronization_key(), position.next_index())?;
        if in_flight.is_some() {
            position.in_flight = in_flight.clone();
            self.save(position.clone(), Batch::new()).await?;
        }
        Ok((position, in_flight))
    }

    /// Stores that the backbone accepted a push, if it assigned the indices that the push was sealed for, and returns
    /// whether it did. If not, the push stays in flight and the log decides: another device can push before a run that takes
    /// too long, and payloads at other indices are unreadable for everybody, so they have to be pushed again.
    async fn acknowledge_push(
        &self,
        mut position: Position,
        in_flight: Option<InFlight>,
        assigned: &[AssignedModification],
    ) -> Result<bool> {
        let mut batch = Batch::new();
        let mut is_taken = true;
        if let Some(sent) = in_flight {
            is_taken = sent.got(assigned);
            if let Some(digest) = sent.last_digest().filter(|_| is_taken) {
                batch.drop_unpushed(sent.journal_end);
                position.advance(sent.last_index(), digest);
                (position.listed, position.in_flight) = (Some(sent.last_index()), None);
            } else {
                warn!(
                    expected = sent.first_index,
                    "the backbone assigned other indices than requested; looking for the modifications in the log"
                );
            }
        }
        if position != Position::load(&self.core.store)? {
            self.save(position, batch).await?;
        }
        Ok(is_taken)
    }

    async fn save(&self, position: Position, mut batch: Batch) -> Result<()> {
        position.put(&mut batch)?;
        Ok(self.core.store.commit(batch).await?)
    }

    /// Completes the entry of this device in the datawallet if another device created it.
    async fn complete_device_entry(&self) -> Result<()> {
        let complete = |view: &View<'_>| {
            let mut batch = Batch::new();
            let device = view.object(collection::DEVICES, self.core.account.device_id().as_str())?;
            if let Some(mut device) = device.filter(|device| !device.properties.contains_key("publicKey")) {
                self.core.account.describe_onboarded(&mut device.properties, self.core.clock.now());
                batch.record_update(device);
            }
            Ok((batch, ()))
        };
        self.core.store.change(complete).await
    }

    /// Repeats a call while another device handles events, up to [`BUSY_ATTEMPTS`] times.
    async fn retry_while_busy<T, F>(&self, call: impl Fn() -> F) -> Result<T, backbone::Error>
    where
        F: Future<Output = Result<T, backbone::Error>>,
    {
        for attempt in 0..BUSY_ATTEMPTS {
            match call().await {
                Err(error) if SyncRefusal::of(&error) == SyncRefusal::Busy => {
                    debug!(attempt, "another device handles events; waiting");
                    tokio::time::sleep(plan::busy_delay(attempt)).await;
                }
                outcome => return outcome,
            }
        }
        call().await
    }

    fn refused(&self, error: backbone::Error) -> Error {
        match SyncRefusal::of(&error) {
            SyncRefusal::ClientTooOld => self.too_old(),
            _ => error.into(),
        }
    }

    fn unreadable(&self, error: ReadError) -> Error {
        match error {
            ReadError::Backbone(error) => self.refused(error),
            ReadError::Invalid(DatawalletError::UnsupportedVersion(_)) => self.too_old(),
            ReadError::Invalid(error) => self.invalid(error),
            ReadError::Padded => self.invalid("between those that this device pushes there is more than they can have"),
            ReadError::TooLong => Error::Unknown(
                "the datawallet is too long to be read in one go; synchronize again to read on".to_owned(),
            ),
        }
    }

    /// The error for a log that the backbone cannot have received in this form.
    fn invalid(&self, what: impl std::fmt::Display) -> Error {
        let next = "Nothing of it was taken over. Synchronize again; if it stays so, the backbone cannot be trusted";
        let reason = format!("The backbone lists changes that cannot be: {what}. {next}");
        self.core.transport_error(ErrorCode::InvalidDatawallet, reason)
    }

    fn too_old(&self) -> Error {
        let reason = "This program is too old for the datawallet of the identity; update it";
        self.core.transport_error(ErrorCode::TooOldForDatawallet, reason)
    }
}

/// Notes in the position which modifications of a section could not be read; returns those that were not reported before.
fn note_unreadable(
    position: &mut Position,
    section: &[Modification],
    changes: &Changes,
    misses: Misses,
) -> Vec<Unreadable> {
    let place = |index: u64| section.binary_search_by_key(&index, |entry| entry.index).ok();
    let found: Vec<_> =
        changes.unreadable.iter().filter_map(|damage| Some((damage, &section[place(damage.index)?]))).collect();
    let is_fresh = |(damage, entry): &&(&Unreadable, &Modification)| {
        !misses.is_given_up(damage.index) && !position.unreadable.is_reported(entry)
    };
    let fresh = found.iter().filter(is_fresh).map(|(damage, _)| (*damage).clone()).collect();
    // Only now: each section reports as many as are remembered, whatever it adds itself.
    found.iter().for_each(|(_, entry)| position.unreadable.note(entry));
    fresh
}

/// The batch for a section of the log that has the journal up to `arrived`, and the indices of the modifications that could not
/// be read or used.
fn staged(
    view: &View<'_>,
    arrived: Option<u64>,
    foreign: &[Modification],
    changes: Changes,
) -> Result<(Batch, Vec<u64>, Outcome)> {
    let mut batch = Batch::new();
    if let Some(end) = arrived {
        batch.drop_unpushed(end);
    }
    // This runs under the lock of the writer, so the journal is read only if it is needed.
    let waiting = if changes.objects.is_empty() { Vec::new() } else { view.unpushed(usize::MAX)? };
    let waiting = waiting.into_iter().filter(|(sequence, _)| arrived.is_none_or(|end| *sequence > end));
    let unpushed: Vec<_> = waiting.map(|(_, change)| change).collect();
    let mut damaged: Vec<_> = changes.unreadable.iter().map(|damage| damage.index).collect();
    let outcome = apply::stage(&mut batch, view, foreign, changes, &unpushed)?;
    damaged.extend(&outcome.incomplete);
    let mut held = held::Edit::of(view, &mut batch)?;
    for removal in foreign.iter().filter(|entry| entry.kind == ModificationType::Delete) {
        held.remove_with(&removal.collection, &removal.object_identifier)?;
    }
    held.finish()?;
    Ok((batch, damaged, outcome))
}

/// Whether a modification removes a file, whose content is not kept any longer then.
fn is_removal_of_file(modification: &Modification) -> bool {
    modification.kind == ModificationType::Delete && modification.collection == collection::FILES
}

fn created(started: StartedSyncRun) -> Option<SyncRun> {
    started.sync_run.filter(|_| started.status == SyncRunStatus::Created)
}

fn modifications(in_flight: Option<&InFlight>) -> Vec<NewModification> {
    in_flight.map(|sent| sent.modifications.clone()).unwrap_or_default()
}
