//! Heads of requests, as anybody sends them.
#![no_main]

// The listener keeps it to itself.
#[allow(dead_code, reason = "the target needs a part of the module")]
#[path = "../../support/listener/src/head.rs"]
mod head;

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use head::{Malformed, ReadableHeads};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};

const MAX_HEAD: usize = 4 * 1024;

/// A connection from which so many bytes at a time can be read.
struct Pieces<'a>(&'a [u8], usize);

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (piece, rest) = self.0.split_at(self.1.min(self.0.len()).min(buf.remaining()));
        buf.put_slice(piece);
        self.0 = rest;
        Poll::Ready(Ok(()))
    }
}

/// What the HTTP library reads, and the first malformed request.
fn read(bytes: &[u8], size: usize) -> (Vec<u8>, Option<(u64, Malformed)>) {
    let (heads, verdict) = ReadableHeads::new(Pieces(bytes, size), MAX_HEAD);
    let (mut heads, mut out) = (pin!(heads), Vec::new());
    let mut buffer = [0; 1024];
    loop {
        let mut buffer = ReadBuf::new(&mut buffer);
        match heads.as_mut().poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => out.extend(buffer.filled()),
            _ => break,
        }
    }
    let malformed = (0..=bytes.len() as u64).find_map(|request| Some((request, verdict.on(request)?)));
    (out, malformed)
}

fuzz_target!(|data: (u8, &[u8])| {
    let (size, bytes) = data;
    let whole = read(bytes, usize::MAX);
    assert_eq!(read(bytes, usize::from(size) + 1), whole);
});
