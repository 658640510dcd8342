//! Following an upload: its acknowledged bytes, and further ones as they are acknowledged.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use transport::wire::{FileId, UploadId};

use super::preview::{Shown, shown};
use super::{Account, Caller, Refusal, UploadRefusal};
use crate::core::Core;
use crate::domain::Record;
use crate::error::StoreError;
use crate::followers::Follower;

type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Follows an upload from behind the first `offset` bytes, in constant memory. The stream ends when the file exists and all of
/// its bytes were handed out. It ends with an error if the upload is gone, nothing more is acknowledged for
/// [`Limits::follow_idle`](crate::Limits::follow_idle), or the server stops. A file whose upload has ended is handed out to its
/// end.
///
/// # Errors
/// [`Refusal::NotFound`], [`UploadRefusal::BeyondOffset`] if there are not so many bytes yet, and [`Refusal::TooManyWaiting`].
pub(crate) async fn follow(
    core: Arc<Core>,
    caller: &Caller,
    id: FileId,
    offset: u64,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, Refusal> {
    let is_guest = Account::of(&core, &caller.address).await?.terms().idle.is_some();
    let follower = core.followers.add(&UploadId::of_file(&id), &caller.address, is_guest)?;
    let known = shown(&core, &id).await?.acknowledged();
    if offset > known {
        return Err(UploadRefusal::BeyondOffset { offset: known }.into());
    }
    let following = Following { core, id, follower, position: offset, pieces: None };
    Ok(stream::unfold(Some(following), |following| async {
        let mut following = following?;
        match following.next().await {
            Ok(None) => None,
            Ok(Some(bytes)) => Some((Ok(bytes), Some(following))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

struct Following {
    core: Arc<Core>,
    id: FileId,
    follower: Follower,
    /// Of the next byte.
    position: u64,
    /// Acknowledged bytes from there, and where they end.
    pieces: Option<(Pieces, u64)>,
}

impl Following {
    /// The next bytes; none when the file exists and this was all of it.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.read().await? {
                return Ok(Some(bytes));
            }
            // Before the record is read, so that no change is missed.
            self.follower.look();
            let now = shown(&self.core, &self.id).await.map_err(io::Error::other)?;
            let end = now.acknowledged();
            if end > self.position {
                let pieces = open(&self.core, now.blob(), self.position..end).await.map_err(io::Error::other)?;
                self.pieces = Some((pieces, end));
                continue;
            }
            if let Shown::Complete(_) = now {
                return if end == self.position { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            self.wait().await?;
        }
    }

    /// The next bytes of those that are open.
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        let Some((pieces, end)) = &mut self.pieces else { return Ok(None) };
        match pieces.next().await.transpose()? {
            Some(bytes) => {
                self.position += bytes.len() as u64;
                Ok(Some(bytes))
            }
            None if self.position == *end => {
                self.pieces = None;
                Ok(None)
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn wait(&mut self) -> io::Result<()> {
        let idle = self.core.config.limits.follow_idle;
        match tokio::time::timeout(idle, self.follower.changed()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other("the server stops")),
            Err(_) => Err(io::Error::other("nothing was acknowledged for too long")),
        }
    }
}

/// Opens bytes of a blob, and none of those behind, which are not acknowledged.
async fn open(core: &Core, blob: &str, range: Range<u64>) -> Result<Pieces, Refusal> {
    let length = range.end - range.start;
    // The upload may have been deleted meanwhile.
    let part = core.store.read_part_of_blob(blob, range.start, length).await?.ok_or(Refusal::NotFound(Record::File))?;
    if part.size() < length {
        return Err(StoreError::Damaged(io::Error::from(io::ErrorKind::UnexpectedEof).into()).into());
    }
    Ok(Box::pin(part.into_stream()))
}

impl Shown {
    fn acknowledged(&self) -> u64 {
        match self {
            Self::Growing(upload) => upload.offset(),
            Self::Complete(file) => file.cipher_size,
        }
    }

    fn blob(&self) -> &str {
        match self {
            Self::Growing(upload) => &upload.blob,
            Self::Complete(file) => &file.blob,
        }
    }
}
