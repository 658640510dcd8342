//! Receives a file while its sender uploads it.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use runtime::dto::File;
use runtime::facade::{Followed, GrowingFile, LoadFile};
use runtime::{Error, Secret};
use tokio::io::{AsyncRead, ReadBuf};

use super::{Destination, Saved, announce};
use crate::access::Access;
use crate::code::Kind;
use crate::failure::Failure;
use crate::output::{Output, printable};
use crate::progress::ProgressOutput;

/// Where a file goes, and how large it may be.
pub(crate) struct Place<'a> {
    pub(crate) output: Option<&'a Path>,
    pub(crate) force: bool,
    /// Bytes.
    pub(crate) max_size: u64,
}

/// Finds what a reference names. Only a node in this process can follow an upload.
///
/// # Errors
/// Those of loading the file; `uploadUnfinished` of another process.
pub(crate) async fn find(access: &Access, reference: &str, password: Option<&Secret>) -> Result<Followed, Failure> {
    match access {
        Access::Here(node) => {
            let request = LoadFile { reference: reference.to_owned(), password: password.cloned() };
            Ok(node.runtime.files().follow_file(request, None).await?)
        }
        Access::There { .. } => Ok(Followed::Complete(Box::new(access.load_file(reference, password).await?))),
    }
}

/// Why several files that are being uploaded are not received yet.
pub(crate) fn several() -> Failure {
    Failure::new(Kind::Refused, "several files that are still being uploaded cannot be received yet")
        .hint("run the command again when the upload has ended")
}

/// Writes a file as it comes. It gets its name when the upload has ended and everything is verified.
///
/// # Errors
/// A failure if the upload is given up, the file is larger than allowed, or it cannot be written.
pub(crate) async fn save(
    access: &Access,
    file: GrowingFile,
    place: Place<'_>,
    progress: &ProgressOutput,
    output: Output,
) -> Result<(File, Saved), Failure> {
    let Access::Here(node) = access else {
        return Err(Failure::usage("another process cannot follow an upload"));
    };
    match file.length {
        Some(length) => announce(&file.filename, length, place.max_size, output)?,
        None => output.talk(printable(&file.filename)),
    }
    output.talk("the sender is still uploading the file; it is received at the same time");
    let destination = Destination::choose(place.output, &file.filename, place.force)?;
    destination.explain(output);
    match file.length {
        Some(length) => {
            destination.check_room(length)?;
            progress.begin(length);
        }
        None => progress.begin_without_length(),
    }
    let mut reader = Bounded { content: file.content, left: place.max_size, failure: None };
    let written = destination.write_to_end(&mut reader, file.length, progress).await;
    let saved = written.map_err(|failure| reader.failure.take().unwrap_or(failure))?;
    Ok((node.runtime.files().followed(&reader.content)?, saved))
}

/// Reads at most so many bytes, and keeps why there are no more.
struct Bounded<R> {
    content: R,
    left: u64,
    failure: Option<Failure>,
}

impl<R> Bounded<R> {
    fn fail(&mut self, failure: Failure) -> io::Error {
        let error = io::Error::other(failure.message.clone());
        self.failure = Some(failure);
        error
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Bounded<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        if let Err(error) = ready!(Pin::new(&mut self.content).poll_read(context, out)) {
            let failure = match error.downcast::<Error>() {
                Ok(error) => Failure::from(error).hint("nothing was kept"),
                Err(error) => return Poll::Ready(Err(error)),
            };
            return Poll::Ready(Err(self.fail(failure)));
        }
        let read = (out.filled().len() - before) as u64;
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => {
                out.set_filled(before);
                let failure = Failure::new(Kind::Refused, "the file is larger than the limit");
                let failure = failure.hint("allow it with --max-size SIZE, for example --max-size 20G");
                return Poll::Ready(Err(self.fail(failure)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio_util::io::StreamReader;

    use super::*;

    async fn read(content: impl AsyncRead + Unpin, left: u64) -> (Vec<u8>, Option<Failure>) {
        let mut reader = Bounded { content, left, failure: None };
        let mut all = Vec::new();
        let outcome = reader.read_to_end(&mut all).await;
        assert_eq!(outcome.is_err(), reader.failure.is_some());
        (all, reader.failure)
    }

    #[tokio::test]
    async fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
        assert!(read(&b"abc"[..], 3).await.1.is_none());
        let (_, failure) = read(&b"abcd"[..], 3).await;
        assert_eq!(failure.unwrap().kind, Kind::Refused);
    }

    #[tokio::test]
    async fn the_failure_is_that_of_the_node() {
        let pieces = [Ok(&b"abc"[..]), Err(io::Error::other(Error::Stopped))];
        let (read, failure) = read(StreamReader::new(futures_util::stream::iter(pieces)), 10).await;
        assert_eq!((read, failure.unwrap().message), (b"abc".to_vec(), Failure::from(Error::Stopped).message));
    }
}
