//! Appending bytes to an upload.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use transport::wire::UploadId;

use super::checksum::Computing;
use super::commit::{acknowledge, reserve, take_back};
use super::{Account, Caller, Checksum, Refusal, Role, UploadRecord, UploadRefusal, check_size, open};
use crate::core::Core;
use crate::store::BlobAppender;

/// Bytes between two acknowledgements within one request: what a sender has to repeat at most after a crash. The disk is
/// waited for each time. So many are also counted ahead of those that come, while the length is not known.
pub(super) const STEP_BYTES: u64 = 16 * 1024 * 1024;

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
    let (appender, mut upload) = open(core, caller, id).await?;
    check(core, &mut upload, &append)?;
    let offset = upload.offset();
    let announced = append.announced.map(|bytes| offset.saturating_add(bytes));
    let account = Account::of(core, &caller.address).await?;
    let mut receiver = Receiver { core, caller, account, appender, upload, announced, room: offset };
    match receiver.receive(append).await {
        Ok(broken) => Ok(Appended { upload: receiver.upload, broken }),
        Err(refusal) => {
            take_back(core, caller, &mut *receiver.appender, &receiver.upload).await;
            Err(refusal)
        }
    }
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
    account: Account<'r>,
    appender: Box<dyn BlobAppender>,
    upload: UploadRecord,
    /// Where the bytes end, if that is known before they come.
    announced: Option<u64>,
    /// Up to where there is room for bytes.
    room: u64,
}

impl Receiver<'_> {
    /// Takes all bytes. Returns why not all of them came.
    async fn receive<S, E>(&mut self, append: Append<S>) -> Result<Option<E>, Refusal>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        self.appender.resume(self.upload.acknowledged.progress(self.core, &self.upload.blob).await?).await?;
        if let Some(length) = append.length {
            self.account.check_disk(&self.core.store, length - append.offset)?;
            reserve(self.core, self.caller, &mut self.upload, length).await?;
        }
        let mut computing = append.checksum.as_ref().map(Checksum::begin);
        let broken = self.take(append.pieces, computing.as_mut()).await?;
        if let (Some(checksum), Some(computed)) = (append.checksum, computing) {
            if broken.is_some() {
                take_back(self.core, self.caller, &mut *self.appender, &self.upload).await;
                return Ok(broken);
            }
            if !checksum.is(computed) {
                return Err(UploadRefusal::ChecksumMismatch.into());
            }
        }
        self.acknowledge(true).await?;
        Ok(broken)
    }

    /// Takes bytes, and acknowledges them from time to time unless they count together. Returns why not all of them came.
    async fn take<E>(
        &mut self,
        mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
        mut together: Option<&mut Computing>,
    ) -> Result<Option<E>, Refusal> {
        let mut size = self.upload.offset();
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Ok(Some(error)),
            };
            size += piece.len() as u64;
            check_end(self.core, &self.upload, size)?;
            self.make_room(size).await?;
            if let Some(computing) = &mut together {
                computing.add(&piece);
            }
            self.appender.write(piece).await?;
            if together.is_none() && size - self.upload.offset() >= STEP_BYTES {
                self.acknowledge(false).await?;
            }
        }
        Ok(None)
    }

    /// Makes room, on the quota and on the disk, for bytes up to `end` and some of those behind them.
    async fn make_room(&mut self, end: u64) -> Result<(), Refusal> {
        if end <= self.room {
            return Ok(());
        }
        let last = self.announced.or(self.upload.length).unwrap_or(u64::MAX);
        let room = self.room.saturating_add(STEP_BYTES).min(last).max(end);
        self.account.check_disk(&self.core.store, room - self.room)?;
        reserve(self.core, self.caller, &mut self.upload, room).await?;
        self.room = room;
        Ok(())
    }

    /// Makes durable what was written, then that it is there.
    async fn acknowledge(&mut self, is_end: bool) -> Result<(), Refusal> {
        let progress = self.appender.sync().await?;
        self.upload = acknowledge(self.core, self.caller, &self.upload, &progress, is_end).await?;
        Ok(())
    }
}
