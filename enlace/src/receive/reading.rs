//! What an earlier run left, read on a thread that may block while it is verified.

use std::io::{self, Cursor, Read};

use futures_util::stream;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use crate::failure::Failure;
use crate::progress::ProgressOutput;

use super::checksum::Checksum;
use super::destination::Arrived;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;
/// Pieces that wait to be verified.
const WAITING: usize = 1;

/// Reads at most `limit` bytes and passes them on to `verify`, which says how many of them are right. Returns these and their checksum;
/// if they are not those that were read, it is of all that were read.
///
/// The reading has ended when this returns.
pub(super) async fn verified(
    reader: impl Read + Send + 'static,
    limit: u64,
    checksum: Checksum,
    progress: &ProgressOutput,
    verify: impl AsyncFnOnce(&mut (dyn AsyncRead + Send + Unpin)) -> Result<u64, Failure>,
) -> Result<(u64, Arrived), Failure> {
    progress.step("verifying", Some(limit));
    let (pieces, mut waiting) = mpsc::channel(WAITING);
    let mut reading = tokio::task::spawn_blocking({
        let progress = progress.clone();
        move || read(reader.take(limit), checksum, &pieces, &progress)
    });
    let outcome = {
        let arriving = stream::unfold(&mut waiting, async |waiting| waiting.recv().await.map(|piece| (piece, waiting)));
        let arriving = Box::pin(arriving);
        verify(&mut StreamReader::new(arriving)).await
    };
    drop(waiting);
    let arrived = (&mut reading).await.unwrap_or_else(|_| Arrived::nothing(Checksum::none()));
    Ok((outcome?, arrived))
}

fn read(
    mut reader: impl Read,
    checksum: Checksum,
    pieces: &mpsc::Sender<io::Result<Cursor<Vec<u8>>>>,
    progress: &ProgressOutput,
) -> Arrived {
    let mut arrived = Arrived::nothing(checksum);
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        match (&mut reader).take(PIECE as u64).read_to_end(&mut piece) {
            Ok(0) => return arrived,
            Ok(count) => {
                arrived.bytes += count as u64;
                arrived.checksum.update(&piece);
                if pieces.blocking_send(Ok(Cursor::new(piece))).is_err() {
                    return arrived;
                }
                progress.advance(count as u64);
            }
            Err(error) => {
                let _ = pieces.blocking_send(Err(error));
                return arrived;
            }
        }
    }
}

/// Adds bytes that are read to a checksum. Blocks.
pub(super) fn hashed(mut checksum: Checksum, mut reader: impl Read) -> io::Result<Checksum> {
    if !checksum.is_wanted() {
        return Ok(checksum);
    }
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(checksum),
            Ok(count) => checksum.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
