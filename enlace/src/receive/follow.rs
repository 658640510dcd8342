//! Receives a file while its sender uploads it.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use runtime::dto::File;
use runtime::facade::{Followed, GrowingFile, LoadFile};
use runtime::{Error, ErrorCode, Secret};
use tokio::io::{AsyncRead, ReadBuf};

use super::checksum::Checksum;
use super::destination::{Arrived, Destination, INCOMPLETE_OUTPUT, Saved, announce, enough_for_rest};
use super::fetch::one_file;
use super::kept::Kept;
use super::partial::Partial;
use crate::access::Access;
use crate::code::{Code, Kind};
use crate::failure::Failure;
use crate::output::{Output, printable};
use crate::paths::Paths;
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

/// Checks that what is asked for can be received before the upload has ended.
///
/// # Errors
/// A failure for several files: their list is verified by what the sender tells at the end.
pub(crate) fn check(manifest_length: Option<u64>, only: Option<&str>, list: bool) -> Result<(), Failure> {
    match (manifest_length, only) {
        (Some(_), _) => Err(too_early("several files that are still being uploaded cannot be received yet")),
        (None, Some(_)) => Err(one_file()),
        (None, None) if list => Err(too_early("a file that is still being uploaded cannot be listed yet")),
        (None, None) => Ok(()),
    }
}

fn too_early(message: &str) -> Failure {
    Failure { code: Some(Code::Runtime(ErrorCode::UploadUnfinished)), ..Failure::new(Kind::Network, message) }
        .hint("run the command again when the upload has ended")
}

/// Writes a file as it comes. It gets its name when the upload has ended and everything is verified. Else what came stays at `kept`,
/// from where a later run goes on when the upload has ended; one before that writes the same again.
///
/// # Errors
/// A failure if the upload is given up, the file is larger than allowed, or it cannot be written.
pub(crate) async fn save(
    access: &Access,
    file: GrowingFile,
    place: Place<'_>,
    kept: &Kept,
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
        Some(length) => progress.begin(length),
        None => progress.begin_without_length(),
    }
    // Only a backbone shows uploads that have not ended.
    progress.comes_by(&Paths::Said { first: Some(runtime::Path::Backbone), request: None });
    let mut reader = Bounded { content: file.content, left: place.max_size, failure: None };
    let saved = match destination.is_standard_output() {
        true => {
            let written = destination.write_to_end(&mut reader, file.length, progress).await;
            written.map_err(|failure| reader.failure.take().unwrap_or(failure).hint(INCOMPLETE_OUTPUT))?
        }
        false => {
            let partial = Partial::open_or_create(&destination, &file.id, kept)?;
            enough_for_rest(file.length.unwrap_or(0), partial.length(), destination.path())?;
            write(destination, &partial, &mut reader, file.length, progress).await?
        }
    };
    Ok((node.runtime.files().followed(&reader.content)?, saved))
}

/// Writes from the first byte on, over what an earlier run left: nobody can verify that before the upload has ended.
async fn write<R: AsyncRead + Unpin>(
    destination: Destination,
    partial: &Partial,
    reader: &mut Bounded<R>,
    length: Option<u64>,
    progress: &ProgressOutput,
) -> Result<Saved, Failure> {
    let written = destination
        .write_behind(Arrived::nothing(Checksum::shown_by(progress)), &partial.0, &mut *reader, length, progress)
        .await;
    written.map_err(|failure| {
        let failure = reader.failure.take().unwrap_or(failure);
        // The file will never be there, or is not wanted.
        if failure.kind == Kind::Refused || failure.code == Some(Code::Runtime(ErrorCode::UploadGivenUp)) {
            partial.0.remove();
            return match failure.hint {
                Some(_) => failure,
                None => failure.hint("nothing was kept"),
            };
        }
        failure
    })
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
                Ok(error) => Failure::from(error),
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

    #[test]
    fn several_files_are_received_when_their_upload_has_ended() {
        assert!(check(None, None, false).is_ok());
        for (manifest_length, list) in [(Some(100), false), (Some(100), true), (None, true)] {
            let refused = check(manifest_length, None, list).unwrap_err();
            assert_eq!(refused.code, Some(Code::Runtime(ErrorCode::UploadUnfinished)));
            assert_eq!(refused.hint.as_deref(), Some("run the command again when the upload has ended"));
        }
        assert_eq!(check(None, Some("a"), false).unwrap_err().kind, Kind::Usage);
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
