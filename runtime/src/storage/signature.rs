//! The signature of a content.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use md5::{Digest as _, Md5};
use tokio::io::{AsyncRead, ReadBuf};

/// The MD5 of what a [`SignedReader`] has read.
#[derive(Clone, Default)]
pub(super) struct Signature(Arc<Mutex<Md5>>);

impl Signature {
    /// As 32 hexadecimal digits.
    pub(super) fn digits(&self) -> String {
        let hash = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Passes a content on and hashes it.
pub(super) struct SignedReader<R> {
    pub(super) content: R,
    pub(super) signature: Signature,
}

impl<R: AsyncRead + Unpin> AsyncRead for SignedReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.content).poll_read(context, out))?;
        self.signature.0.lock().unwrap_or_else(PoisonError::into_inner).update(&out.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn the_signature_is_the_md5_of_what_was_read() {
        let signature = Signature::default();
        assert_eq!(signature.digits(), "d41d8cd98f00b204e9800998ecf8427e");
        let mut reader = SignedReader { content: &b"abc"[..], signature: signature.clone() };
        reader.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(signature.digits(), "900150983cd24fb0d6963f7d28e17f72");
    }
}
