//! What an earlier run left, read on a thread that may block while it is verified.

use std::io::{self, Cursor, Read};

use futures_util::stream;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use crate::failure::Failure;
use crate::progress::ProgressOutput;

use super::destination::Arrived;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;
/// Pieces that wait to be verified.
const WAITING: usize = 1;

/// Reads at most `limit` bytes and passes them on to `verify`, which says how many of them are right. Returns these and their hash;
/// if they are not those that were read, the hash is of all that were read.
///
/// The reading has ended when this returns.
pub(super) async fn verified(
    reader: impl Read + Send + 'static,
    limit: u64,
    progress: &ProgressOutput,
    verify: impl AsyncFnOnce(&mut (dyn AsyncRead + Send + Unpin)) -> Result<u64, Failure>,
) -> Result<(u64, Arrived), Failure> {
    progress.step("verifying", Some(limit));
    let (pieces, mut waiting) = mpsc::channel(WAITING);
    let mut reading = tokio::task::spawn_blocking({
        let progress = progress.clone();
        move || read(reader.take(limit), &pieces, &progress)
    });
    let outcome = {
        let arriving = stream::unfold(&mut waiting, async |waiting| waiting.recv().await.map(|piece| (piece, waiting)));
        let arriving = Box::pin(arriving);
        verify(&mut StreamReader::new(arriving)).await
    };
    drop(waiting);
    let arrived = (&mut reading).await.unwrap_or_else(|_| Arrived::nothing());
    Ok((outcome?, arrived))
}

fn read(
    mut reader: impl Read,
    pieces: &mpsc::Sender<io::Result<Cursor<Vec<u8>>>>,
    progress: &ProgressOutput,
) -> Arrived {
    let mut arrived = Arrived::nothing();
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        match (&mut reader).take(PIECE as u64).read_to_end(&mut piece) {
            Ok(0) => return arrived,
            Ok(count) => {
                arrived.bytes += count as u64;
                arrived.hash.update(&piece);
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

/// The hash of bytes that are read. Blocks.
pub(super) fn hashed(mut reader: impl Read) -> io::Result<Sha256> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hash),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
