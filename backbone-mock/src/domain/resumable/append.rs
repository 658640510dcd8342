//! Appending bytes to an upload.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use transport::wire::UploadId;

use super::checksum::Computing;
use super::progress::Acknowledged;
use super::{Account, Caller, Checksum, Refusal, Role, UploadRecord, UploadRefusal, check_size, key, open, own};
use crate::core::Core;
use crate::quota::Metric;
use crate::store::{BlobAppender, Change, Progress};

/// Bytes between two acknowledgements within one request: what a sender has to repeat at most after a crash. The disk is
/// waited for each time.
const ACKNOWLEDGED_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes to be appended.
pub(crate) struct Append<S> {
    /// Behind how many.
    pub(crate) offset: u64,
    /// Bytes of the whole upload, if its sender did not know before.
    pub(crate) length: Option<u64>,
    /// How many they are, if that is known before they come.
    pub(crate) announced: Option<u64>,
    /// That of these bytes. With one, they count all together or not at all.
    pub(crate) checksum: Option<Checksum>,
    pub(crate) pieces: S,
}

/// What became of the bytes.
pub(crate) struct Appended<E> {
    /// The upload with what is acknowledged.
    pub(crate) upload: UploadRecord,
    /// Why not all of them came.
    pub(crate) broken: Option<E>,
}

/// Appends bytes, in constant memory. What came before an interruption is kept, unless there is a checksum.
///
/// # Errors
/// [`UploadRefusal::Locked`] while somebody else appends, [`UploadRefusal::OffsetConflict`] if the bytes do not go on where
/// the acknowledged ones end, and those of a length, a checksum or a quota that is not kept to.
pub(crate) async fn append<S, E>(
    core: &Core,
    caller: &Caller,
    id: &UploadId,
    append: Append<S>,
) -> Result<Appended<E>, Refusal>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    let (mut appender, mut upload) = open(core, caller, id).await?;
    check(core, &mut upload, &append)?;
    appender.resume(upload.acknowledged.progress(core, &upload.blob).await?).await?;
    let checksum = append.checksum.as_ref().map(|checksum| (checksum, checksum.begin()));
    let mut receiver = Receiver { core, caller, appender, upload };
    let broken = match checksum {
        None => receiver.take(append.pieces).await?,
        Some((checksum, computing)) => {
            let (broken, computed) = receiver.take_together(append.pieces, computing).await?;
            if broken.is_none() && !checksum.is(computed) {
                return Err(UploadRefusal::ChecksumMismatch.into());
            }
            broken
        }
    };
    if broken.is_none() || append.checksum.is_none() {
        receiver.acknowledge().await?;
    }
    Ok(Appended { upload: receiver.upload, broken })
}

fn check<S>(core: &Core, upload: &mut UploadRecord, append: &Append<S>) -> Result<(), UploadRefusal> {
    if matches!(upload.role, Role::Final(_)) {
        return Err(UploadRefusal::IsFinal);
    }
    let offset = upload.offset();
    if append.offset != offset {
        return Err(UploadRefusal::OffsetConflict { offset });
    }
    match (upload.length, append.length) {
        (Some(length), Some(other)) if length != other => return Err(UploadRefusal::LengthIsKnown { length }),
        (None, Some(length)) => upload.length = Some(length),
        (_, None) | (Some(_), Some(_)) => {}
    }
    check_size(core, upload.length.unwrap_or(0))?;
    check_end(core, upload, offset.saturating_add(append.announced.unwrap_or(0)))
}

/// Refuses more bytes than the upload may have.
fn check_end(core: &Core, upload: &UploadRecord, end: u64) -> Result<(), UploadRefusal> {
    match upload.length {
        Some(length) if end > length => Err(UploadRefusal::BeyondLength { length }),
        Some(_) => Ok(()),
        None => check_size(core, end),
    }
}

/// Takes the bytes of one request.
struct Receiver<'r> {
    core: &'r Core,
    caller: &'r Caller,
    appender: Box<dyn BlobAppender>,
    upload: UploadRecord,
}

impl Receiver<'_> {
    /// Takes bytes and acknowledges them from time to time. Returns why not all of them came.
    async fn take<E>(
        &mut self,
        mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Option<E>, Refusal> {
        let (mut size, mut written) = (self.upload.offset(), 0);
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Ok(Some(error)),
            };
            size += piece.len() as u64;
            written += piece.len() as u64;
            check_end(self.core, &self.upload, size)?;
            self.appender.write(piece).await?;
            if written >= ACKNOWLEDGED_BYTES {
                self.acknowledge().await?;
                written = 0;
            }
        }
        Ok(None)
    }

    /// Takes bytes that count together. Returns why not all of them came, and their checksum.
    async fn take_together<E>(
        &mut self,
        mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
        mut computing: Computing,
    ) -> Result<(Option<E>, Computing), Refusal> {
        let mut size = self.upload.offset();
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Ok((Some(error), computing)),
            };
            size += piece.len() as u64;
            check_end(self.core, &self.upload, size)?;
            computing.add(&piece);
            self.appender.write(piece).await?;
        }
        Ok((None, computing))
    }

    /// Makes durable what was written, then that it is there.
    async fn acknowledge(&mut self) -> Result<(), Refusal> {
        let progress = self.appender.sync().await?;
        self.upload = acknowledge(self.core, self.caller, &self.upload, &progress).await?;
        Ok(())
    }
}

/// Commits how far an upload goes, and counts what is more than was counted.
async fn acknowledge(
    core: &Core,
    caller: &Caller,
    upload: &UploadRecord,
    progress: &Progress,
) -> Result<UploadRecord, Refusal> {
    let account = Account::of(core, &upload.owner).await?;
    let mut transaction = core.store.begin();
    transaction.lock_records(&[upload.id.as_str()]).await?;
    // It may have been deleted meanwhile.
    let mut current = own(core, caller, transaction.get(&key(&upload.id)).await?)?;
    current.acknowledged = Acknowledged::from(progress);
    current.length = upload.length;
    let needed = current.length.unwrap_or(progress.size).max(current.counted);
    account.charge(&mut transaction, &Change::more(Metric::ContentBytes, needed - current.counted))?;
    current.counted = needed;
    transaction.put(&key(&current.id), &current)?;
    transaction.commit().await?;
    Ok(current)
}
