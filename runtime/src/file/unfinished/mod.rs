//! Uploads of files on this machine that are not finished: what it takes to go on with them in a later run.
//!
//! They are named values of the store, sealed as all of them, and no other device learns of them. One value lists all unfinished
//! uploads with their keys. The hashes of the chunks that are sealed are values of their own, one for each piece, so that
//! a long upload does not write a growing value again and again.
//!
//! # Order
//!
//! 1. The backbone creates the upload. If the process ends here, an empty upload expires there.
//! 2. The upload is listed, with the hashes of its first piece, in one commit. Now the first bytes leave. One that others are to
//!    follow is listed before its first piece is sealed, and shown before that leaves.
//! 3. The hashes of each further piece are on disk before a byte of it leaves. While that takes its time, the piece before it is sent.
//! 4. The backbone makes a file of the upload. If the process ends here, the next run finds the file.
//! 5. The file is stored and its upload leaves the list, in one commit. Then its hashes are removed; if the process ends here, the
//!    next start of the node removes them.
//!
//! So whatever has left was sealed with a key that is known, and has hashes that are known: sealed again, it is the same, or the
//! source has changed and nothing of it leaves (`docs/content-v2.md`, section 8).

mod resume;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};
use transport::content::{ContentKey, HASH_LENGTH};
use transport::crypto::hash::sha512;
use transport::crypto::{SecretKey, compact};
use transport::wire::bytes::to_base64url;
use transport::wire::{ByteText, Timestamp, UploadId};

pub(super) use self::resume::Continued;
use crate::Result;
use crate::core::Core;
use crate::delivery::{self, Delivery as _};
use crate::logging::short;
use crate::source::SourceIdentity;
use crate::store::{Batch, Store, StoreError, View};

/// Unfinished uploads that are kept. For one more, the one that began first is given up.
pub(crate) const MAX_UNFINISHED: usize = 32;
/// How long after its beginning an upload can be continued: as long as a backbone keeps it at most.
pub(crate) const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Hashes are removed in batches of this many values.
const REMOVED_AT_ONCE: usize = 1000;

/// Name of the value that lists them.
const LIST: &str = "UnfinishedUploads";
/// The names of values with hashes begin with this.
const HASHES: &str = "UploadHashes/";

/// An upload that is not finished.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Unfinished {
    /// The bytes of the [`SourceIdentity`].
    source: ByteText,
    /// URL of the backbone.
    backbone: String,
    pub(super) upload: UploadId,
    #[serde(with = "compact")]
    pub(super) content_key: SecretKey,
    #[serde(with = "compact")]
    pub(super) metadata_key: SecretKey,
    /// The expiry that was asked for.
    expires_at: Timestamp,
    /// Whether others may have a token for it.
    #[serde(default)]
    is_shown: bool,
    began_at: Timestamp,
}

impl Unfinished {
    /// An upload that begins now.
    pub(super) fn new(
        core: &Core,
        source: &SourceIdentity,
        upload: UploadId,
        keys: (&SecretKey, &SecretKey),
        (expires_at, is_shown): (Timestamp, bool),
    ) -> Self {
        Self {
            source: ByteText(source.as_bytes().to_vec()),
            backbone: core.base_url().to_owned(),
            upload,
            content_key: keys.0.clone(),
            metadata_key: keys.1.clone(),
            expires_at,
            is_shown,
            began_at: core.clock.now(),
        }
    }

    /// Lists it, with the hashes of its first chunks. Returns `false` if it cannot be listed, because as many others as there may be
    /// are being uploaded at the moment. The upload that makes room is given up.
    pub(super) async fn begin(&self, core: &Core, hashes: &[u8]) -> Result<bool> {
        let change = |view: &View<'_>| -> Result<_, StoreError> {
            let (mut list, removed) = list(view)?.into_iter().partition(|other| self.stays_beside(other));
            let evicted = make_room(&mut list, |other| is_uploading(core, other));
            if list.len() >= MAX_UNFINISHED {
                return Ok((Batch::new(), None));
            }
            list.push(self.clone());
            let mut batch = Batch::new();
            batch.put_value(LIST, &list)?;
            batch.put_value(&self.name(0), &ByteText(hashes.to_vec()))?;
            Ok((batch, Some((evicted, removed))))
        };
        let Some((evicted, removed)): Option<(Option<Self>, Vec<Self>)> = core.store.change(change).await? else {
            return Ok(false);
        };
        for gone in removed.iter().chain(&evicted) {
            remove_hashes(&core.store, &gone.hashes()).await?;
        }
        if let Some(evicted) = evicted {
            info!("the oldest unfinished upload is given up, because there are {MAX_UNFINISHED}");
            evicted.warn_of_tokens();
            delivery::of(core).remove_upload(&evicted.upload).await;
        }
        Ok(true)
    }

    /// Whether another upload stays in the list when this one comes.
    fn stays_beside(&self, other: &Self) -> bool {
        !(other.is_stale(self.began_at) || other.source == self.source && other.backbone == self.backbone)
    }

    /// Puts the hashes of further chunks on disk.
    pub(super) async fn keep(&self, core: &Core, first: u64, hashes: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        batch.put_value(&self.name(first), &ByteText(hashes.to_vec()))?;
        Ok(core.store.commit(batch).await?)
    }

    /// The hashes on disk, one after the other; none if some are missing between them, or all: those of the first piece were listed
    /// with the upload, so without them nothing shows what has left under its key.
    fn kept(&self, core: &Core) -> Result<Option<Vec<u8>>> {
        let values: Vec<(String, ByteText)> = core.store.view().values(&self.hashes())?;
        let mut hashes = Vec::new();
        for (name, value) in values {
            if name != self.name(hashes.len() as u64 / HASH_LENGTH) {
                return Ok(None);
            }
            hashes.extend_from_slice(&value.0);
        }
        Ok(Some(hashes).filter(|hashes| !hashes.is_empty()))
    }

    /// Notes another expiry that is asked for, and that others are going to be shown it.
    async fn asks_for(&mut self, core: &Core, (expires_at, is_shown): (Timestamp, bool)) -> Result<()> {
        let is_shown = self.is_shown || is_shown;
        if (self.expires_at, self.is_shown) == (expires_at, is_shown) {
            return Ok(());
        }
        (self.expires_at, self.is_shown) = (expires_at, is_shown);
        let changed = self.clone();
        let change = |view: &View<'_>| {
            let mut list = list(view)?;
            list.iter_mut().filter(|other| other.is(&changed)).for_each(|other| *other = changed.clone());
            let mut batch = Batch::new();
            batch.put_value(LIST, &list)?;
            Ok::<_, StoreError>((batch, ()))
        };
        Ok(core.store.change(change).await?)
    }

    /// Says that tokens for it are of no use any more, if there may be some.
    pub(super) fn warn_of_tokens(&self) {
        if self.is_shown {
            let file = self.upload.file_id();
            warn!(
                file = short(&file),
                "an unfinished upload is given up; references to it that were given out do not work any more"
            );
        }
    }

    /// Takes it from the list, as a part of a batch.
    pub(super) fn end(&self, view: &View<'_>, batch: &mut Batch) -> Result<()> {
        let mut list = list(view)?;
        list.retain(|other| !other.is(self));
        batch.put_value(LIST, &list)?;
        Ok(())
    }

    /// Removes the hashes of an upload that is not in the list any more. If that fails, the next start of the node does it.
    pub(super) async fn remove_hashes(&self, core: &Core) {
        if let Err(error) = remove_hashes(&core.store, &self.hashes()).await {
            debug!(%error, "the hashes of an upload remain until the next start");
        }
    }

    /// Takes it from the list, and removes its hashes.
    pub(super) async fn forget(&self, core: &Core) -> Result<()> {
        let change = |view: &View<'_>| {
            let mut batch = Batch::new();
            self.end(view, &mut batch).map(|()| (batch, ()))
        };
        core.store.change(change).await?;
        self.remove_hashes(core).await;
        Ok(())
    }

    fn is_stale(&self, now: Timestamp) -> bool {
        now.saturating_duration_since(self.began_at) >= LIFETIME
    }

    fn is_of(&self, source: &SourceIdentity) -> bool {
        self.source.0 == source.as_bytes()
    }

    /// Whether both are the same one. Only the key tells: ids come from the backbone.
    fn is(&self, other: &Self) -> bool {
        self.content_key == other.content_key
    }

    /// What the names of its hashes begin with: no two uploads have the same key.
    fn hashes(&self) -> String {
        let header = sha512(ContentKey::new(&self.content_key).header().as_bytes());
        format!("{HASHES}{}/", to_base64url(&header[..16]))
    }

    /// The name of the hashes from this chunk on. Their order is that of the chunks.
    fn name(&self, first: u64) -> String {
        format!("{}{first:016x}", self.hashes())
    }
}

/// The upload of a source to this backbone, if there is one that can be continued.
pub(super) fn find(core: &Core, source: &SourceIdentity) -> Result<Option<Unfinished>> {
    let now = core.clock.now();
    let fits =
        |upload: &Unfinished| upload.is_of(source) && upload.backbone == core.base_url() && !upload.is_stale(now);
    Ok(list(&core.store.view())?.into_iter().find(fits))
}

fn list(view: &View<'_>) -> Result<Vec<Unfinished>, StoreError> {
    Ok(view.value(LIST)?.unwrap_or_default())
}

/// Takes the upload from a full list that began first and is not going on.
fn make_room(list: &mut Vec<Unfinished>, is_going_on: impl Fn(&Unfinished) -> bool) -> Option<Unfinished> {
    if list.len() < MAX_UNFINISHED {
        return None;
    }
    let resting = list.iter().enumerate().filter(|(_, upload)| !is_going_on(upload));
    let oldest = resting.min_by_key(|(_, upload)| upload.began_at).map(|(index, _)| index)?;
    Some(list.remove(oldest))
}

fn is_uploading(core: &Core, upload: &Unfinished) -> bool {
    let source = upload.source.0.as_slice().try_into().map(SourceIdentity::from_bytes);
    source.is_ok_and(|source| core.uploading.is_held(&source))
}

/// Removes what has expired, and hashes that belong to no upload. The node starts: nothing is being uploaded.
pub(crate) async fn clean_up(core: &Core) -> Result<()> {
    let now = core.clock.now();
    let change = |view: &View<'_>| {
        let (stale, fresh): (Vec<_>, Vec<_>) = list(view)?.into_iter().partition(|upload| upload.is_stale(now));
        let mut batch = Batch::new();
        if !stale.is_empty() {
            batch.put_value(LIST, &fresh)?;
        }
        Ok::<_, StoreError>((batch, fresh))
    };
    let listed: Vec<_> = core.store.change(change).await?.iter().map(Unfinished::hashes).collect();
    let mut from = HASHES.to_owned();
    loop {
        let names = core.store.view().value_names(HASHES, &from, REMOVED_AT_ONCE)?;
        let Some(last) = names.last() else { return Ok(()) };
        from = format!("{last}\0");
        let orphans = names.iter().filter(|name| !listed.iter().any(|listed| name.starts_with(listed)));
        remove(&core.store, orphans).await?;
    }
}

async fn remove_hashes(store: &Store, beginning: &str) -> Result<(), StoreError> {
    loop {
        let names = store.view().value_names(beginning, beginning, REMOVED_AT_ONCE)?;
        if names.is_empty() {
            return Ok(());
        }
        remove(store, names.iter()).await?;
    }
}

async fn remove(store: &Store, names: impl Iterator<Item = &String>) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    names.for_each(|name| {
        batch.remove_value(name);
    });
    if batch.is_empty() { Ok(()) } else { store.commit(batch).await }
}
