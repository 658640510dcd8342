//! One synchronization, driven step by step. Everything it learns is stored before the next step.

use std::sync::Arc;

use tracing::{debug, info, warn};
use transport::backbone;
use transport::datawallet::Changes;
use transport::wire::backbone::datawallet::{AssignedModification, Modification, NewModification, PushModifications};
use transport::wire::backbone::sync_runs::{
    FinalizeDatawalletVersionUpgrade, FinalizeExternalEventSync, StartSyncRun, StartedSyncRun, SyncRun, SyncRunStatus,
    SyncRunType,
};

use super::plan::{self, Fate, Refusal};
use super::state::{InFlight, Position, SyncTimes};
use super::{DATAWALLET_VERSION, apply, events, journal};
use crate::account::Account;
use crate::clock::Clock;
use crate::error::TransportError;
use crate::event::{Event, EventBus};
use crate::store::{Batch, Store, View, collection};
use crate::{Error, Result};

/// Attempts while another device handles events; its run lasts ten seconds by default.
const BUSY_ATTEMPTS: u32 = 5;

/// What a synchronization works with.
pub(crate) struct Context {
    pub(crate) store: Arc<Store>,
    pub(crate) account: Arc<Account>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: EventBus,
    /// Whether changes are exchanged with other devices; external events are handled in any case.
    pub(crate) datawallet_enabled: bool,
}

/// What a push came to.
#[derive(Debug, PartialEq, Eq)]
enum Push {
    Nothing,
    Done,
    /// Another device was faster.
    OutOfDate,
}

impl Context {
    /// Pulls what other devices changed and pushes what this one did.
    pub(super) async fn datawallet(&self) -> Result<()> {
        self.ensure_datawallet().await?;
        if !self.datawallet_enabled {
            return Ok(());
        }
        self.check_version().await?;
        self.converge().await?;
        self.note_times(SyncTimes { datawallet: Some(self.clock.now()), ..SyncTimes::load(&self.store)? }).await?;
        self.events.publish(Event::DatawalletSynchronized);
        Ok(())
    }

    /// Pushes what this device did, in the hope that nobody else did anything.
    pub(super) async fn push(&self) -> Result<()> {
        if !self.datawallet_enabled {
            return Ok(());
        }
        if !Position::load(&self.store)?.datawallet_exists {
            return self.datawallet().await;
        }
        match self.push_all().await? {
            Push::OutOfDate => self.converge().await,
            Push::Nothing | Push::Done => Ok(()),
        }
    }

    /// Handles external events, then synchronizes the datawallet.
    pub(super) async fn everything(&self) -> Result<()> {
        self.ensure_datawallet().await?;
        for _ in 0..plan::MAX_EVENT_RUNS {
            let started = self.start_run(SyncRunType::ExternalEventSync).await?;
            let Some(run) = created(started) else { break };
            if !self.handle_events(&run).await? {
                break;
            }
        }
        self.datawallet().await?;
        self.note_times(SyncTimes { everything: Some(self.clock.now()), ..SyncTimes::load(&self.store)? }).await
    }

    async fn note_times(&self, times: SyncTimes) -> Result<()> {
        let mut batch = Batch::new();
        times.put(&mut batch)?;
        Ok(self.store.commit(batch).await?)
    }

    /// Makes sure that there is a datawallet: events need one even if it stays empty.
    async fn ensure_datawallet(&self) -> Result<()> {
        let position = Position::load(&self.store)?;
        if position.datawallet_exists {
            return Ok(());
        }
        // After an upgrade whose answer was lost, asking comes before doing it again.
        if position.in_flight.is_some() && self.datawallet_version().await?.is_some() {
            return self.note_datawallet(position).await;
        }
        self.upgrade().await
    }

    async fn note_datawallet(&self, position: Position) -> Result<()> {
        self.save(Position { datawallet_exists: true, ..position }, Batch::new()).await
    }

    async fn datawallet_version(&self) -> Result<Option<u16>> {
        match self.account.session().datawallet().await {
            Ok(datawallet) => Ok(Some(datawallet.version)),
            Err(error) if error.is_record_not_found() => Ok(None),
            Err(error) => Err(self.refused(error)),
        }
    }

    async fn check_version(&self) -> Result<()> {
        match self.datawallet_version().await? {
            Some(version) if version > DATAWALLET_VERSION => Err(self.too_old()),
            Some(_) => Ok(()),
            None => self.upgrade().await,
        }
    }

    /// Creates the datawallet with what the journal holds, normally the entry of this device.
    async fn upgrade(&self) -> Result<()> {
        let started = self.start_run(SyncRunType::DatawalletVersionUpgrade).await?;
        let Some(run) = created(started) else {
            return Err(Error::Unknown("the backbone refused to create the datawallet without a reason".to_owned()));
        };
        let (position, in_flight) = self.take_off().await?;
        let finalize = FinalizeDatawalletVersionUpgrade {
            new_datawallet_version: DATAWALLET_VERSION,
            datawallet_modifications: modifications(in_flight.as_ref()),
        };
        let session = self.account.session();
        let answer = session.finalize_datawallet_version_upgrade(&run.id, &finalize).await;
        let answer = answer.map_err(|error| self.refused(error))?;
        let position = Position { datawallet_exists: true, ..position };
        self.land(position, in_flight, &answer.datawallet_modifications).await.map(drop)
    }

    /// Handles the events of a run; whether another run is worth it.
    async fn handle_events(&self, run: &SyncRun) -> Result<bool> {
        if self.datawallet_enabled {
            self.pull().await?;
        }
        let session = self.account.session();
        let received = session.external_events(&run.id).await.map_err(|error| self.refused(error))?;
        info!(run = %run.id, count = received.len(), "handling external events");
        let mut external_event_results = Vec::with_capacity(received.len());
        for event in received {
            external_event_results.push(events::handle(self, event).await);
        }
        let (position, in_flight) =
            if self.datawallet_enabled { self.take_off().await? } else { (Position::load(&self.store)?, None) };
        let outcome = FinalizeExternalEventSync {
            datawallet_modifications: modifications(in_flight.as_ref()),
            external_event_results,
        };
        match session.finalize_external_event_sync(&run.id, &outcome).await {
            Ok(answer) => {
                self.land(position, in_flight, &answer.datawallet_modifications).await?;
                Ok(answer.new_unsynced_external_events_exist)
            }
            // It took too long and somebody else has the events now; what was sent did not count.
            Err(error) if Refusal::of(&error) == Refusal::RunLost => Ok(true),
            Err(error) => Err(self.refused(error)),
        }
    }

    async fn start_run(&self, kind: SyncRunType) -> Result<StartedSyncRun> {
        let start = StartSyncRun { kind, duration: None };
        self.patiently(|| self.account.session().start_sync_run(start)).await.map_err(|error| self.refused(error))
    }

    /// Pull and push until nobody was faster.
    async fn converge(&self) -> Result<()> {
        for _ in 0..plan::MAX_ROUNDS {
            self.pull().await?;
            self.introduce_device().await?;
            match self.push_all().await? {
                Push::OutOfDate => debug!("another device was faster"),
                Push::Nothing | Push::Done => return Ok(()),
            }
        }
        Err(Error::Unknown("other devices change the datawallet all the time; synchronize again later".to_owned()))
    }

    async fn pull(&self) -> Result<()> {
        let position = Position::load(&self.store)?;
        let log = self.account.session().modifications(position.index).await.map_err(|error| self.refused(error))?;
        if log.is_empty() {
            return Ok(());
        }
        self.take_over(position, log).await
    }

    /// Stores what a stretch of the log changes here.
    async fn take_over(&self, mut position: Position, log: Vec<Modification>) -> Result<()> {
        let newest = log.last().map(|modification| modification.index);
        let (arrived, foreign) = self.settle(&mut position, log);
        let count = foreign.len();
        let changes = Changes::read(&foreign, position.index, self.account.synchronization_key());
        let changes = changes.map_err(|error| Error::Unknown(error.to_string()))?;
        let unreadable = changes.unreadable.len();
        if position.index.is_none() && count > 0 && unreadable == count {
            return Err(Error::Unknown("nothing in the datawallet can be opened with this identity's key".to_owned()));
        }
        position.index = position.index.max(newest);
        let stage = |view: &View<'_>| -> Result<_> {
            let mut batch = Batch::new();
            if let Some(end) = arrived {
                batch.drop_unpushed(end);
            }
            let waiting = view.unpushed(usize::MAX)?.into_iter();
            let waiting = waiting.filter(|(sequence, _)| arrived.is_none_or(|end| *sequence > end));
            let unpushed: Vec<_> = waiting.map(|(_, change)| change).collect();
            apply::stage(&mut batch, view, &foreign, changes, &unpushed)?;
            position.put(&mut batch)?;
            Ok((batch, ()))
        };
        // Reading and changing are one step: what a facade changes meanwhile must not be overwritten by an older state.
        self.store.change(stage).await?;
        debug!(count, newest, "took over the datawallet");
        if unreadable > 0 {
            self.events.publish(Event::DatawalletUnreadable(unreadable));
        }
        Ok(())
    }

    /// Learns from the log what became of a push that was not answered: the end of the journal's part that arrived, and
    /// what others did.
    fn settle(&self, position: &mut Position, mut log: Vec<Modification>) -> (Option<u64>, Vec<Modification>) {
        let Some(sent) = position.in_flight.take() else { return (None, log) };
        match plan::fate(&sent, &log, self.account.device_id()) {
            Fate::Arrived => {
                info!(first = sent.first_index, count = sent.modifications.len(), "an unanswered push had arrived");
                log.retain(|modification| !sent.covers(modification.index));
                (Some(sent.journal_end), log)
            }
            Fate::Displaced => (None, log),
            Fate::Open => {
                position.in_flight = Some(sent);
                (None, log)
            }
        }
    }

    async fn push_all(&self) -> Result<Push> {
        let mut outcome = Push::Nothing;
        loop {
            match self.push_next().await? {
                Push::Nothing => return Ok(outcome),
                Push::OutOfDate => return Ok(Push::OutOfDate),
                Push::Done => outcome = Push::Done,
            }
        }
    }

    async fn push_next(&self) -> Result<Push> {
        let (position, Some(in_flight)) = self.take_off().await? else { return Ok(Push::Nothing) };
        let push =
            PushModifications { local_index: position.local_index(), modifications: in_flight.modifications.clone() };
        match self.patiently(|| self.account.session().push_modifications(&push)).await {
            Ok(pushed) => {
                debug!(count = push.modifications.len(), index = pushed.new_index, "pushed");
                let landed = self.land(position, Some(in_flight), &pushed.modifications).await?;
                Ok(if landed { Push::Done } else { Push::OutOfDate })
            }
            Err(error) if Refusal::of(&error) == Refusal::OutOfDate => Ok(Push::OutOfDate),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Stores what is about to be sent. What is in flight already is sent again as it was.
    async fn take_off(&self) -> Result<(Position, Option<InFlight>)> {
        let mut position = Position::load(&self.store)?;
        if let Some(in_flight) = position.in_flight.clone() {
            return Ok((position, Some(in_flight)));
        }
        let in_flight = journal::seal_next(&self.store, self.account.synchronization_key(), position.next_index())?;
        if in_flight.is_some() {
            position.in_flight = in_flight.clone();
            self.save(position.clone(), Batch::new()).await?;
        }
        Ok((position, in_flight))
    }

    /// Stores that what was sent arrived, if it got the indices it was sealed for; whether it did. (A run that took too long
    /// can be overtaken; what landed elsewhere then is unreadable for everybody and has to be pushed once more.)
    async fn land(
        &self,
        position: Position,
        in_flight: Option<InFlight>,
        assigned: &[AssignedModification],
    ) -> Result<bool> {
        if in_flight.is_none() && position == Position::load(&self.store)? {
            return Ok(true);
        }
        let mut batch = Batch::new();
        let (mut index, mut landed) = (position.index, true);
        if let Some(sent) = in_flight {
            landed = assigned.first().is_none_or(|first| first.index == sent.first_index);
            if landed {
                batch.drop_unpushed(sent.journal_end);
                index = Some(sent.last_index());
            } else {
                warn!(expected = sent.first_index, "the backbone gave out other indices than announced; pushing again");
            }
        }
        self.save(Position { index, in_flight: None, ..position }, batch).await?;
        Ok(landed)
    }

    async fn save(&self, position: Position, mut batch: Batch) -> Result<()> {
        position.put(&mut batch)?;
        Ok(self.store.commit(batch).await?)
    }

    /// Completes the entry of a device that was made by another one and has just learned of itself.
    async fn introduce_device(&self) -> Result<()> {
        let complete = |view: &View<'_>| {
            let mut batch = Batch::new();
            let device = view.object(collection::DEVICES, self.account.device_id().as_str())?;
            if let Some(mut device) = device.filter(|device| !device.properties.contains_key("publicKey")) {
                self.account.describe_onboarded(&mut device.properties, self.clock.now());
                batch.record_update(device);
            }
            Ok((batch, ()))
        };
        self.store.change(complete).await
    }

    /// Waits for a device that handles events, within reason.
    async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T, backbone::Error>
    where
        F: Future<Output = Result<T, backbone::Error>>,
    {
        for attempt in 0..BUSY_ATTEMPTS {
            match call().await {
                Err(error) if Refusal::of(&error) == Refusal::Busy => {
                    debug!(attempt, "another device handles events; waiting");
                    tokio::time::sleep(plan::busy_delay(attempt)).await;
                }
                outcome => return outcome,
            }
        }
        call().await
    }

    fn refused(&self, error: backbone::Error) -> Error {
        match Refusal::of(&error) {
            Refusal::ClientTooOld => self.too_old(),
            _ => error.into(),
        }
    }

    fn too_old(&self) -> Error {
        Error::Transport {
            kind: TransportError::InsufficientSupportedDatawalletVersion,
            reason: "This program is too old for the datawallet of the identity; update it".to_owned(),
            at: self.clock.now(),
        }
    }
}

fn created(started: StartedSyncRun) -> Option<SyncRun> {
    started.sync_run.filter(|_| started.status == SyncRunStatus::Created)
}

fn modifications(in_flight: Option<&InFlight>) -> Vec<NewModification> {
    in_flight.map(|sent| sent.modifications.clone()).unwrap_or_default()
}
