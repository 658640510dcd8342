//! A new file as a writer: what is written is sealed and sent at once.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::task::JoinHandle;
use transport::content::CHUNK_LENGTH;

use crate::Result;
use crate::blocking::joined;
use crate::dto::File;

/// Bytes that are taken before any of them is sealed.
const BUFFER: usize = CHUNK_LENGTH as usize;

/// The content of a new file, which is written from its start to its end. Takes bytes as fast as the backbone does; a write waits
/// else. The file exists once [`finish`](Self::finish) has returned it.
///
/// Dropping the writer, or the future of `finish`, gives the file up: what was sent is removed at the backbone, or expires
/// there. Shutting the writer down without `finish` does the same. When the upload has failed, writes fail with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe), and `finish` says why.
pub struct FileWriter {
    pipe: DuplexStream,
    is_whole: Arc<AtomicBool>,
    uploading: JoinHandle<Result<File>>,
}

/// The other end of a writer.
pub(crate) struct Written {
    pipe: DuplexStream,
    is_whole: Arc<AtomicBool>,
}

impl FileWriter {
    /// A writer for a content that `upload` reads on a task of its own.
    pub(crate) fn new<F>(upload: impl FnOnce(Written) -> F) -> Self
    where
        F: Future<Output = Result<File>> + Send + 'static,
    {
        let (pipe, other) = tokio::io::duplex(BUFFER);
        let is_whole = Arc::new(AtomicBool::new(false));
        let uploading = tokio::spawn(upload(Written { pipe: other, is_whole: is_whole.clone() }));
        Self { pipe, is_whole, uploading }
    }

    /// Ends the content, and waits until the backbone has the file.
    ///
    /// # Errors
    /// Those of [`upload_own_file`](crate::facade::FilesFacade::upload_own_file).
    pub async fn finish(mut self) -> Result<File> {
        self.is_whole.store(true, Ordering::Release);
        // Fails only if nobody reads any more; why, the upload says.
        let _ = self.pipe.shutdown().await;
        joined(&mut self.uploading).await
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        self.uploading.abort();
    }
}

/// Cancel-safe: a write that was given up has taken nothing.
impl AsyncWrite for FileWriter {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

/// Ends only if the writer was finished: a content that was given up must not become a shorter file.
impl AsyncRead for Written {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.pipe).poll_read(context, out))?;
        let is_end = out.filled().len() == before && out.remaining() > 0;
        if is_end && !self.is_whole.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the writer was not finished")));
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileWriter")
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// What the upload read, or why it read no more.
    async fn read(give_up: bool) -> String {
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut writer = FileWriter::new(|mut written| async move {
            let mut content = Vec::new();
            let outcome = written.read_to_end(&mut content).await.map(|_| String::from_utf8(content).unwrap());
            let _ = tell.send(outcome.unwrap_or_else(|error| error.to_string()));
            Err(crate::Error::InvalidPayload)
        });
        writer.write_all(b"abc").await.unwrap();
        if give_up {
            writer.shutdown().await.unwrap();
            return told.await.unwrap();
        }
        writer.finish().await.unwrap_err();
        told.await.unwrap()
    }

    #[tokio::test]
    async fn the_upload_reads_an_end_only_if_the_writer_was_finished() {
        assert_eq!(read(false).await, "abc");
        assert_eq!(read(true).await, "the writer was not finished");
    }
}
