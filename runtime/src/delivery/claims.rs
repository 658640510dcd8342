//! Uses of the tokens of others, as this node remembers them.
//!
//! Who counts the uses of a token knows one by its [`ClaimId`]. It is stored before it is asked first, so that a load that is repeated,
//! after a lost answer or a kill, too, is the same use; and it stays when the use has ended, so that loading the token again here is none.
//! A use ends when every chunk of the file of the token was verified, in one run of the node and in any order, and at once if the token has
//! no file. The end is told in the background: who counts lets a use count by itself some time after its content was sent, so while
//! the file is loaded the use is [renewed](Loading::arrived).
//!
//! ```text
//! TokenClaim/<token>              the use
//! TokenClaimOf/<file>/<token>     the file belongs to a use that has not ended
//! TokenClaimOrder/<time>/<token>  in the order in which they were made
//! ```
//!
//! Nothing of this is in the datawallet: a use is one of this device.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::info;
use transport::access::{ClaimEnd, LEASE};
use transport::backbone::new_claim_id;
use transport::token::TokenContent;
use transport::wire::{ClaimId, FileId, Timestamp, TokenId};

use super::{Delivery as _, Failure};
use crate::code::ErrorCode;
use crate::core::Core;
use crate::logging::short;
use crate::peer::Path;
use crate::store::{Batch, StoreError, View};
use crate::{Error, Result};

const CLAIM: &str = "TokenClaim/";
const OF: &str = "TokenClaimOf/";
const ORDER: &str = "TokenClaimOrder/";

/// Uses that are remembered. For one more the oldest one goes; loading its token again is a new use.
pub(crate) const MAX_CLAIMS: usize = 1024;

/// How long a node that stops waits until the ends of uses are told.
pub(crate) const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a use is renewed while its file comes: several times in a lease, so that one attempt may fail.
const RENEWAL: Duration = Duration::from_secs(LEASE.as_secs() / 3);
/// How often it is looked up whether a use is to be renewed.
const LOOK: Duration = Duration::from_secs(60);

/// The use of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ClaimRecord {
    #[serde(rename = "c")]
    claim: ClaimId,
    #[serde(rename = "a")]
    made_at: Timestamp,
    /// The file that the token shares, once that is known.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    file: Option<FileId>,
    /// Whether who counts knows that it has ended.
    #[serde(rename = "e", default)]
    is_ended: bool,
    /// Whether the token was read without the claim. Who has read one before is not counted again.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    is_plain: bool,
    /// Whether several loads have begun under it, so that the failure of one of them says nothing about the others.
    #[serde(rename = "s", default, skip_serializing_if = "std::ops::Not::not")]
    is_shared: bool,
    /// When it was renewed last, if it was.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    renewed_at: Option<Timestamp>,
}

/// How a use is written, by the version of the form.
#[derive(Serialize, Deserialize)]
enum Stored<T> {
    #[serde(rename = "1")]
    V1(T),
}

/// The use under which a token is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) claim: ClaimId,
    /// Whether nobody was asked for it before.
    is_new: bool,
}

impl ClaimRecord {
    fn new(made_at: Timestamp) -> Self {
        let claim = new_claim_id();
        Self { claim, made_at, file: None, is_ended: false, is_plain: false, is_shared: false, renewed_at: None }
    }

    fn stored(view: &View<'_>, token: &TokenId) -> Result<Option<Self>, StoreError> {
        let stored: Option<Stored<Self>> = view.value(&name(token))?;
        Ok(stored.map(|Stored::V1(record)| record))
    }

    fn put(&self, batch: &mut Batch, token: &TokenId) -> Result<(), StoreError> {
        batch.put_value(&name(token), &Stored::V1(self)).map(drop)
    }

    /// Whether its lease is to be renewed, if its file is being loaded.
    fn is_due(&self, now: Timestamp) -> bool {
        !self.is_ended && !is_within(self.renewed_at.unwrap_or(self.made_at), now, RENEWAL)
    }

    fn remove(&self, batch: &mut Batch, token: &TokenId) {
        batch.remove_value(&name(token));
        batch.remove_value(&order(self.made_at, token));
        if let Some(file) = &self.file {
            batch.remove_value(&of(file, token));
        }
    }
}

/// The use under which a token that is not known here is to be loaded; none if nobody who is asked counts. It is on disk.
///
/// # Errors
/// Those of the store, and of the backbone if it cannot be asked whether it counts.
pub(crate) async fn begin(core: &Core, token: &TokenId) -> Result<Option<Use>> {
    if !super::of(core).counts_uses(token).await? {
        return Ok(None);
    }
    begin_load(core, token).await
}

/// The same for a token whose uses are counted.
async fn begin_load(core: &Core, token: &TokenId) -> Result<Option<Use>> {
    let new = ClaimRecord::new(core.clock.now());
    let begin = |view: &View<'_>| {
        let mut batch = Batch::new();
        if let Some(known) = ClaimRecord::stored(view, token)? {
            let used = Some(Use { claim: known.claim.clone(), is_new: false }).filter(|_| !known.is_plain);
            if !known.is_shared {
                ClaimRecord { is_shared: true, ..known }.put(&mut batch, token)?;
            }
            return Ok((batch, used));
        }
        make_room(view, &mut batch, MAX_CLAIMS)?;
        new.put(&mut batch, token)?;
        batch.put_value(&order(new.made_at, token), &())?;
        Ok((batch, Some(Use { claim: new.claim, is_new: true })))
    };
    Ok(core.store.change::<_, StoreError>(begin).await?)
}

/// The use of a stored token under which its file is read from who shares it: the one that is known, else a new one. The token may have come
/// from another device, whose uses are not known here. Of own tokens there is no new one.
///
/// # Errors
/// Those of the store.
pub(crate) async fn of_stored(
    core: &Arc<Core>,
    token: &TokenId,
    content: &TokenContent,
    is_own: bool,
) -> Result<Option<ClaimId>> {
    match ClaimRecord::stored(&core.store.view(), token)? {
        Some(known) if known.is_plain => return Ok(None),
        Some(known) if known.is_ended || known.file.is_some() => return Ok(Some(known.claim)),
        None if is_own => return Ok(None),
        _ => {}
    }
    let Some(used) = begin_load(core, token).await? else { return Ok(None) };
    opened(core, token, used.clone(), Some(content)).await?;
    Ok(Some(used.claim))
}

/// Removes the oldest uses until there are fewer than `most`.
fn make_room(view: &View<'_>, batch: &mut Batch, most: usize) -> Result<(), StoreError> {
    let names = view.value_names(ORDER, ORDER, 2 * MAX_CLAIMS)?;
    let surplus = (names.len() + 1).saturating_sub(most);
    for name in names.iter().take(surplus) {
        let token: TokenId = name.rsplit('/').next().and_then(|id| id.parse().ok()).ok_or(StoreError::Damaged)?;
        match ClaimRecord::stored(view, &token)? {
            Some(record) => record.remove(batch, &token),
            None => _ = batch.remove_value(name),
        }
    }
    Ok(())
}

/// A token was not sent under a use. Forgets a new one if that is final, so that failures do not drive out those that matter: if everybody
/// who was asked has refused, and no other load has begun under it. Whoever does not answer may have counted it, and the next attempt must
/// be the same use.
///
/// Returns whether the token is to be read without it, as published clients do: a backbone limits how many claims it makes for one identity,
/// but not how many tokens this reads. That is one use, too, and is on disk as such.
///
/// # Errors
/// Those of the store.
pub(crate) async fn refused(core: &Core, token: &TokenId, used: &Use, failure: &Failure) -> Result<bool> {
    let (is_refused_by_peer, is_refused_by_all) = match failure.error() {
        Error::Undelivered(undelivered) => (undelivered.is_refused_by_peer(), undelivered.is_refused_by_all()),
        _ => (true, true),
    };
    let is_over = is_refused_by_all && matches!(failure, Failure::NotFound(_) | Failure::NoUseLeft(_));
    let is_too_fast = is_refused_by_peer && failure.error().known_code() == Some(ErrorCode::TooManyRequests);
    if !used.is_new || !(is_over || is_too_fast) {
        return Ok(false);
    }
    let note = |view: &View<'_>| {
        let mut batch = Batch::new();
        match ClaimRecord::stored(view, token)?.filter(|record| record.claim == used.claim) {
            Some(record) if is_too_fast => ClaimRecord { is_plain: true, ..record }.put(&mut batch, token)?,
            Some(record) if !record.is_shared => record.remove(&mut batch, token),
            Some(_) | None => {}
        }
        Ok((batch, is_too_fast))
    };
    Ok(core.store.change::<_, StoreError>(note).await?)
}

/// What came under a use cannot be opened. It is given back, which counts where content was sent; it stays for another attempt with the
/// right key.
pub(crate) fn unusable(core: &Arc<Core>, token: &TokenId, used: Use) {
    end(core, token.clone(), used.claim, ClaimEnd::Release);
}

/// A token was opened: its use lasts until its file was loaded, or ends if it has none.
///
/// # Errors
/// Those of the store.
pub(crate) async fn opened(core: &Arc<Core>, token: &TokenId, used: Use, content: Option<&TokenContent>) -> Result<()> {
    let Some(TokenContent::File { file_id, .. }) = content else {
        end(core, token.clone(), used.claim, ClaimEnd::Commit);
        return Ok(());
    };
    let note = |view: &View<'_>| {
        let mut batch = Batch::new();
        let known = ClaimRecord::stored(view, token)?.filter(|record| record.claim == used.claim && !record.is_ended);
        if let Some(record) = known.filter(|record| record.file.is_none()) {
            ClaimRecord { file: Some(file_id.clone()), ..record }.put(&mut batch, token)?;
            batch.put_value(&of(file_id, token), &())?;
        }
        Ok((batch, ()))
    };
    Ok(core.store.change::<_, StoreError>(note).await?)
}

/// All of a file was verified: the uses end that it belongs to. A failure of the store is a line in the log.
pub(crate) fn verified(core: &Arc<Core>, file: &FileId) {
    core.verified_chunks.forget(file);
    for (token, record) in of_file(core, file) {
        end(core, token, record.claim, ClaimEnd::Commit);
    }
}

/// The uses that a file belongs to and that have not ended. A failure of the store is a line in the log.
fn of_file(core: &Core, file: &FileId) -> Vec<(TokenId, ClaimRecord)> {
    let prefix = format!("{OF}{file}/");
    let read = || {
        let view = core.store.view();
        let names = view.value_names(&prefix, &prefix, MAX_CLAIMS)?;
        let tokens = names.iter().filter_map(|name| name[prefix.len()..].parse::<TokenId>().ok());
        let read = |token| Ok(ClaimRecord::stored(&view, &token)?.map(|record| (token, record)));
        tokens.map(read).filter_map(Result::transpose).collect::<Result<Vec<_>, StoreError>>()
    };
    read().unwrap_or_else(|error| {
        tracing::warn!(%error, file = short(file), "the uses that a file belongs to cannot be read");
        Vec::new()
    })
}

/// A file that is being loaded, for the uses that it belongs to.
pub(crate) struct Loading {
    core: Arc<Core>,
    file: FileId,
    looked_at: Option<Timestamp>,
    /// Whether it belonged to a use when its first chunk was verified, once that is known.
    is_used: Option<bool>,
}

impl Loading {
    pub(crate) fn of(core: Arc<Core>, file: FileId) -> Self {
        Self { core, file, looked_at: None, is_used: None }
    }

    /// Bytes of it have come by a path, or by several. If that is the backbone, it renews the uses whose last renewal is a while ago, in the
    /// background: whoever counts must not take a load that lasts for one that was given up.
    ///
    /// A peer renews a use with each request under it, also at the backbone if that allocates it. So nothing is done for its bytes, and no backbone
    /// is asked about a use of which it knows nothing.
    pub(crate) fn arrived(&mut self, by: Option<Path>) {
        if by != Some(Path::Backbone) {
            return;
        }
        let now = self.core.clock.now();
        if self.looked_at.is_some_and(|at| is_within(at, now, LOOK)) {
            return;
        }
        self.looked_at = Some(now);
        let mut uses = of_file(&self.core, &self.file);
        uses.retain(|(_, record)| record.is_due(now));
        if uses.is_empty() {
            return;
        }
        let core = self.core.clone();
        drop(self.core.background.run(async move {
            for (token, record) in uses {
                if let Err(error) = renew(&core, &token, &record.claim, now).await {
                    info!(%error, token = short(&token), "a use was not renewed");
                }
            }
        }));
    }

    /// These of so many chunks were verified. With the last ones, the uses end: those who read a part only may come back for the rest.
    pub(crate) fn has_verified(&mut self, chunks: Range<u64>, count: u64) {
        let (core, file) = (&self.core, &self.file);
        let is_used = *self.is_used.get_or_insert_with(|| !of_file(core, file).is_empty());
        if is_used && core.verified_chunks.add(file, chunks) == (0..count) {
            verified(core, file);
        }
    }
}

/// Renews a use, unless somebody else does. It is noted before, so that a failure is not repeated for each chunk.
async fn renew(core: &Core, token: &TokenId, claim: &ClaimId, now: Timestamp) -> Result<()> {
    let note = |view: &View<'_>| {
        let mut batch = Batch::new();
        let known = ClaimRecord::stored(view, token)?.filter(|record| record.claim == *claim && record.is_due(now));
        let is_due = known.is_some();
        if let Some(record) = known {
            ClaimRecord { renewed_at: Some(now), ..record }.put(&mut batch, token)?;
        }
        Ok((batch, is_due))
    };
    if core.store.change::<_, StoreError>(note).await? {
        super::of(core).renew_claim(token, claim).await?;
    }
    Ok(())
}

/// Whether less than `time` has passed. A clock that was set back says nothing.
fn is_within(since: Timestamp, now: Timestamp, time: Duration) -> bool {
    since <= now && now.saturating_duration_since(since) < time
}

/// Tells who counts that a use has ended, in the background.
fn end(core: &Arc<Core>, token: TokenId, claim: ClaimId, how: ClaimEnd) {
    let at = core.clone();
    // A node that stops waits for it for a moment.
    drop(core.ending.run(async move {
        let outcome = super::of(&at).end_claim(&token, &claim, how).await;
        let failure = match outcome {
            // Who does not know it counts nothing any more.
            Ok(()) | Err(Failure::NotFound(_)) => ended(&at, &token, &claim, how).await.err(),
            Err(failure) => Some(failure.into()),
        };
        if let Some(error) = failure {
            info!(%error, token = short(&token), "the end of a use was not told; it counts by itself");
        }
    }));
}

async fn ended(core: &Core, token: &TokenId, claim: &ClaimId, how: ClaimEnd) -> Result<()> {
    let note = |view: &View<'_>| {
        let mut batch = Batch::new();
        let known = ClaimRecord::stored(view, token)?.filter(|record| record.claim == *claim && !record.is_ended);
        if let Some(record) = known.filter(|_| how == ClaimEnd::Commit) {
            if let Some(file) = &record.file {
                batch.remove_value(&of(file, token));
            }
            ClaimRecord { is_ended: true, ..record }.put(&mut batch, token)?;
        }
        Ok((batch, ()))
    };
    Ok(core.store.change::<_, StoreError>(note).await?)
}

fn name(token: &TokenId) -> String {
    format!("{CLAIM}{token}")
}

fn of(file: &FileId, token: &TokenId) -> String {
    format!("{OF}{file}/{token}")
}

/// Names in the order of the times.
fn order(made_at: Timestamp, token: &TokenId) -> String {
    let ordered = made_at.as_unix_milliseconds().cast_unsigned() ^ (1 << 63);
    format!("{ORDER}{ordered:016x}/{token}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use crate::delivery::memory;
    use crate::store::{Store, StoreKeySource};

    fn token(number: usize) -> TokenId {
        format!("TOK{number:017}").parse().unwrap()
    }

    fn record(second: i64) -> ClaimRecord {
        ClaimRecord::new(Timestamp::from_unix_milliseconds(1000 * second))
    }

    fn not_found() -> Failure {
        Failure::NotFound(Error::RecordNotFound("Token"))
    }

    #[tokio::test]
    async fn the_failure_of_one_load_forgets_no_use_under_which_another_one_has_begun() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00.000Z".parse().unwrap()));
        let core = memory::node(directory.path(), clock);
        let known =
            |token: &TokenId| ClaimRecord::stored(&core.store.view(), token).unwrap().map(|record| record.claim);
        let alone = begin_load(&core, &token(1)).await.unwrap().unwrap();
        assert!(!refused(&core, &token(1), &alone, &not_found()).await.unwrap());
        assert_eq!(known(&token(1)), None);
        let first = begin_load(&core, &token(2)).await.unwrap().unwrap();
        let second = begin_load(&core, &token(2)).await.unwrap().unwrap();
        assert_eq!((first.claim.clone(), first.is_new, second.is_new), (second.claim, true, false));
        assert!(!refused(&core, &token(2), &first, &not_found()).await.unwrap());
        assert_eq!(known(&token(2)), Some(first.claim));
    }

    #[tokio::test]
    async fn a_use_is_renewed_at_the_backbone_only_while_the_file_comes_from_there() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00.000Z".parse().unwrap()));
        let core = memory::node(directory.path(), clock.clone());
        let file: FileId = "FILabcdefghijklmno12".parse().unwrap();
        let used = begin_load(&core, &token(1)).await.unwrap().unwrap();
        let content = TokenContent::file(file.clone(), transport::crypto::SecretKey::generate());
        opened(&core, &token(1), used, Some(&content)).await.unwrap();
        let mut loading = Loading::of(core.clone(), file);
        clock.advance(RENEWAL);
        let bytes_come = async {
            let by = [Some(Path::Lan), Some(Path::Relayed), None, Some(Path::Backbone)];
            for (by, is_renewed) in by.into_iter().zip([false, false, false, true]) {
                loading.arrived(by);
                core.background.idle().await;
                let record = ClaimRecord::stored(&core.store.view(), &token(1)).unwrap().unwrap();
                assert_eq!(record.renewed_at, is_renewed.then(|| clock.now()), "{by:?}");
            }
        };
        memory::Holder::default().scope(bytes_come).await;
    }

    #[tokio::test]
    async fn at_the_bound_the_oldest_use_makes_room_with_all_that_is_kept_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        let store = Store::open_in(directory.path(), &key, true).unwrap();
        let file: FileId = "FILabcdefghijklmno12".parse().unwrap();
        // The one that was made last has the first number.
        for number in 0..3 {
            let record = ClaimRecord { file: Some(file.clone()), ..record(9 - i64::try_from(number).unwrap()) };
            let mut batch = Batch::new();
            make_room(&store.view(), &mut batch, 3).unwrap();
            record.put(&mut batch, &token(number)).unwrap();
            batch.put_value(&order(record.made_at, &token(number)), &()).unwrap();
            batch.put_value(&of(&file, &token(number)), &()).unwrap();
            store.commit(batch).await.unwrap();
        }
        let known = |store: &Store| -> Vec<bool> {
            (0..3).map(|number| ClaimRecord::stored(&store.view(), &token(number)).unwrap().is_some()).collect()
        };
        assert_eq!(known(&store), [true; 3], "as many as there may be");
        let mut batch = Batch::new();
        make_room(&store.view(), &mut batch, 3).unwrap();
        store.commit(batch).await.unwrap();
        assert_eq!(known(&store), [true, true, false]);
        let names = store.view().value_names("TokenClaim", "TokenClaim", 99).unwrap();
        assert!(names.len() == 6 && names.iter().all(|name| !name.ends_with(token(2).as_str())), "{names:?}");
    }
}
