//! External events: what other identities did to this identity's files and tokens.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::{debug, warn};
use transport::wire::backbone::events::ExternalEvent;
use transport::wire::backbone::sync_runs::ExternalEventResult;
use transport::wire::{FileId, TokenId};

use crate::core::Core;
use crate::dto;
use crate::event::Event;
use crate::file::FileRecord;
use crate::store::{Batch, Object, Properties, View, collection};
use crate::token::TokenSettings;
use crate::{Error, Result};

/// Longest error code that the backbone accepts.
const MAX_CODE: usize = 100;
/// Characters of an event type that are logged: the backbone may send any text. Known types have about 20.
const MAX_KIND: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilePayload {
    file_id: FileId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenPayload {
    token_id: TokenId,
}

/// Handles an event. A failure is reported to the backbone, which offers the event again; it does not stop the others.
pub(super) async fn handle(core: &Core, event: ExternalEvent) -> ExternalEventResult {
    let outcome = match event.kind.as_str() {
        "FileOwnershipLocked" => ownership_locked(core, event.payload).await,
        "FileOwnershipClaimed" => ownership_claimed(core, event.payload).await,
        "TokenLocked" => token_locked(core, event.payload).await,
        _ => Err(unknown(&shown(&event.kind))),
    };
    let error_code = outcome.err().map(|error| {
        warn!(id = %event.id, kind = shown(&event.kind), code = error.code(), "an external event could not be handled");
        error.code().chars().take(MAX_CODE).collect()
    });
    ExternalEventResult { external_event_id: event.id, error_code }
}

async fn ownership_locked(core: &Core, payload: Value) -> Result<()> {
    let FilePayload { file_id } = read(payload)?;
    let lock = |members: &mut Properties| drop(members.insert("ownershipIsLocked".to_owned(), Value::Bool(true)));
    update(core, &file_id, lock, Event::FileOwnershipLocked).await
}

async fn ownership_claimed(core: &Core, payload: Value) -> Result<()> {
    let FilePayload { file_id } = read(payload)?;
    if file(&core.store.view(), &file_id)?.is_none() {
        return Ok(());
    }
    let owner = core.account.session().file_metadata(&file_id).await?.owner;
    let is_own = owner == *core.account.address();
    let hand_over = |members: &mut Properties| {
        members.insert("owner".to_owned(), Value::from(owner.as_str()));
        members.insert("isOwn".to_owned(), Value::Bool(is_own));
        if !is_own {
            members.remove("ownershipToken");
            members.remove("ownershipIsLocked");
        }
    };
    update(core, &file_id, hand_over, Event::FileOwnershipClaimed).await
}

async fn token_locked(core: &Core, payload: Value) -> Result<()> {
    let TokenPayload { token_id } = read(payload)?;
    let lock = |view: &View<'_>| Ok::<_, Error>((TokenSettings::locking(view, &token_id, true)?, ()));
    core.store.change(lock).await?;
    core.events.publish(Event::TokenLocked(token_id));
    Ok(())
}

fn file(view: &View<'_>, id: &FileId) -> Result<Option<Object>> {
    Ok(view.object(collection::FILES, id.as_str())?)
}

/// Changes a file and announces it, if it is known here.
async fn update(
    core: &Core,
    id: &FileId,
    change: impl FnOnce(&mut Properties),
    event: fn(Box<dto::File>) -> Event,
) -> Result<()> {
    let build = |view: &View<'_>| -> Result<_> {
        let mut batch = Batch::new();
        let Some(mut file) = file(view, id)? else { return Ok((batch, None)) };
        change(&mut file.properties);
        let (id, record) = FileRecord::read(&file)?;
        let described = record.into_dto(id, &core.account.client().config().base_url)?;
        batch.record_update(file);
        Ok((batch, Some(described)))
    };
    if let Some(described) = core.store.change(build).await? {
        core.events.publish(event(Box::new(described)));
    }
    Ok(())
}

fn read<T: DeserializeOwned>(payload: Value) -> Result<T> {
    serde_json::from_value(payload).map_err(|_| unknown("an unreadable payload"))
}

/// A type of event as the log has it.
fn shown(kind: &str) -> String {
    kind.chars().take(MAX_KIND).collect()
}

fn unknown(what: &str) -> Error {
    debug!(what, "not known here");
    Error::UnknownEvent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_type_is_logged_up_to_its_bound() {
        for (length, shown_length) in [(MAX_KIND, MAX_KIND), (MAX_KIND + 1, MAX_KIND), (1 << 20, MAX_KIND)] {
            assert_eq!(shown(&"é".repeat(length)).chars().count(), shown_length);
        }
    }
}
