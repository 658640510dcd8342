//! Verified plaintext as an async reader: decrypting is handed to threads that may be busy, one piece at a time, and no
//! thread waits for a slow consumer.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::JoinHandle;
use transport::file::VerifiedFile;

use super::spool::SpoolReader;

/// Plaintext that is decrypted in one go.
const PIECE: usize = 256 * 1024;

type File = Box<VerifiedFile<SpoolReader>>;

pub(super) struct VerifiedReader {
    state: State,
    /// Decrypted plaintext, of which `taken` bytes were handed out.
    piece: Vec<u8>,
    taken: usize,
}

enum State {
    /// Nothing is decrypted; the buffer is for the next piece.
    Idle(File, Vec<u8>),
    Busy(JoinHandle<io::Result<(File, Vec<u8>)>>),
    Failed,
}

impl VerifiedReader {
    pub(super) fn new(file: VerifiedFile<SpoolReader>) -> Self {
        Self { state: State::Idle(Box::new(file), Vec::new()), piece: Vec::new(), taken: 0 }
    }

    /// Replaces the spent piece by the next one, which is empty at the end.
    fn poll_next_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Idle(..) = self.state {
            let State::Idle(file, buffer) = std::mem::replace(&mut self.state, State::Failed) else { unreachable!() };
            self.state = State::Busy(tokio::task::spawn_blocking(move || decrypt(file, buffer)));
        }
        let State::Busy(work) = &mut self.state else {
            return Poll::Ready(Err(io::Error::other("the content failed before")));
        };
        let outcome = ready!(Pin::new(work).poll(context));
        self.state = State::Failed;
        let (file, next) = outcome.map_err(io::Error::other)??;
        self.state = State::Idle(file, std::mem::replace(&mut self.piece, next));
        self.taken = 0;
        Poll::Ready(Ok(()))
    }
}

fn decrypt(mut file: File, mut piece: Vec<u8>) -> io::Result<(File, Vec<u8>)> {
    piece.clear();
    file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((file, piece))
}

impl AsyncRead for VerifiedReader {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken == self.piece.len() {
            ready!(self.poll_next_piece(context))?;
        }
        let length = out.remaining().min(self.piece.len() - self.taken);
        out.put_slice(&self.piece[self.taken..self.taken + length]);
        self.taken += length;
        Poll::Ready(Ok(()))
    }
}
