//! Uploads that go to the backbone while they are received, in memory that does not depend on their length.
//!
//! The file is the last part of the form: what is said about it must be known when its first byte comes. The backbone gets the
//! end of the file only after the end of the form, so a form that breaks off, or that goes on behind the file, leaves no file.

use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};

use axum::extract::multipart::Field;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use runtime::facade::{NewContent, UploadOwnFile};
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio_util::io::StreamReader;

use super::form::{Form, Part, Texts, piece};
use super::upload::{self, Fields, FileHead};
use crate::connector::{Call, Differences};
use crate::problem::Problem;
use crate::protocol::Body;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// Most pieces of a body that wait to be sealed, each of at most [`PIECE`](super::paced::PIECE) bytes.
const MAX_WAITING: usize = 4;

/// The field that says that there are several files: how many bytes their list has, with which the content begins.
const MANIFEST_LENGTH: &str = "manifestLength";
/// The fields for the content of one file, and of several ones. A node that knows only the first one refuses the other.
const FILE: &str = "file";
const FILES: &str = "files";

/// The fields of a form, which precede the file; others mean nothing.
pub(crate) fn form() -> Object {
    let description = "Format of the encrypted file: v1, which every client of the protocol reads, v2 for files of any size, or \
        auto for v1 up to its limit and v2 above. Default: auto.";
    with_several(upload::form().optional("format", ValueRule::Choice(&["v1", "v2", "auto"]), description))
}

/// A form that takes several files, too.
pub(super) fn with_several(form: Object) -> Object {
    let description = "For several files and folders in place of one: bytes of their list, with which the content begins. The content \
        is then sent in the field 'files', not in 'file'.";
    form.optional(MANIFEST_LENGTH, ValueRule::Text(1), description)
}

/// `POST Files/Own`
pub(crate) async fn upload(mut call: Call) -> Result<Reply, Problem> {
    let (runtime, differences) = (call.runtime().clone(), call.differences());
    let upload = async |request, fields| {
        let request = with_manifest(request, &fields).await?;
        Ok(runtime.files().upload_own_file(request).await?)
    };
    let file = received(&mut call, form(), upload).await?;
    Ok(Reply::created(&differences.file(file)))
}

/// Reads the list of files, if the form says that there are several.
///
/// # Errors
/// 400 for a list that is not valid.
pub(super) async fn with_manifest(request: UploadOwnFile, fields: &Value) -> Result<UploadOwnFile, Problem> {
    let Some(length) = manifest_length(fields)? else { return Ok(request) };
    let content = NewContent::several(request.content.into_reader(), length).await?;
    Ok(UploadOwnFile { content, ..request })
}

fn manifest_length(fields: &Value) -> Result<Option<u64>, Problem> {
    let Some(text) = fields[MANIFEST_LENGTH].as_str() else { return Ok(None) };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let length = text.parse().ok().filter(|_| is_number);
    length.map(Some).ok_or_else(|| Problem::invalid_property("manifestLength must be a number of bytes"))
}

/// Receives a form of this shape, and does something with its file, and with its fields, while that is received. If the form breaks
/// off, the work is dropped.
pub(super) async fn received<T>(
    call: &mut Call,
    shape: Object,
    work: impl AsyncFnOnce(UploadOwnFile, Value) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let differences = call.differences();
    let form = match call.take_body() {
        Body::Multipart { content_type, body } => Form::new(content_type, body, None).await?,
        // A body that is not multipart has no file, even if it says so.
        other => return Err(other.into_json().map_or_else(|problem| problem, |_| shape.missing("file"))),
    };
    let (begin, begun) = oneshot::channel();
    let mut receiving = pin!(receive(form, shape, differences, begin));
    let mut working = pin!(async {
        match begun.await {
            Ok((request, fields)) => work(request, fields).await,
            // There is no file, which the form's reader says.
            Err(_) => std::future::pending().await,
        }
    });
    tokio::select! {
        biased;
        // If it fails, the upload is dropped with what was sent of it.
        received = &mut receiving => {
            received?;
            working.await
        }
        outcome = &mut working => outcome,
    }
}

/// Reads a form, begins the upload at the head of its file, and passes the file's bytes on.
async fn receive(
    mut form: Form,
    shape: Object,
    differences: Differences,
    begin: oneshot::Sender<(UploadOwnFile, Value)>,
) -> Result<(), Problem> {
    let mut texts = Texts::new(shape);
    while let Some(part) = form.next().await? {
        if part.file.is_none() {
            texts.read(part).await?;
            continue;
        }
        let (sender, content) = channel();
        let request = request(texts, &part, content, differences)?;
        // Nobody waits for it only if the whole request was given up.
        let _ = begin.send(request);
        pass_on(part.content, &sender).await?;
        if form.next().await?.is_some() {
            return Err(Problem::invalid_property("the file must be the last part of the form"));
        }
        let _ = sender.send(Passed::End).await;
        return Ok(());
    }
    Err(texts.into_parts().0.missing("file"))
}

fn request(
    texts: Texts,
    part: &Part<'_>,
    content: Pin<Box<dyn AsyncRead + Send>>,
    differences: Differences,
) -> Result<(UploadOwnFile, Value), Problem> {
    let (shape, values) = texts.into_parts();
    let field = if manifest_length(&values)?.is_some() { FILES } else { FILE };
    let head =
        FileHead::read_from(field, part)?.ok_or_else(|| Problem::invalid_property("the file must have a name"))?;
    let fields: Fields = shape.read(values.clone())?;
    Ok((fields.into_request(head, content, differences), values))
}

async fn pass_on(mut field: Field<'_>, sender: &mpsc::Sender<Passed>) -> Result<(), Problem> {
    while let Some(bytes) = piece(&mut field).await? {
        if sender.send(Passed::Bytes(bytes)).await.is_err() {
            // The upload has failed, and says why.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

/// What comes from a form for the upload.
enum Passed {
    Bytes(Bytes),
    /// That was the whole file, and the whole form.
    End,
}

/// A way for bytes, which fails at its reader if it breaks off before the end was announced.
fn channel() -> (mpsc::Sender<Passed>, Pin<Box<dyn AsyncRead + Send>>) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let pieces = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Passed::Bytes(bytes)) => Some((Ok(bytes), Some(receiver))),
            Some(Passed::End) => None,
            None => Some((Err(io::Error::new(ErrorKind::UnexpectedEof, "the form is incomplete")), None)),
        }
    });
    (sender, Box::pin(StreamReader::new(Box::pin(pieces.fuse()))))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn bytes_end_only_where_the_end_is_announced() {
        for (is_announced, expected) in [(true, None), (false, Some(ErrorKind::UnexpectedEof))] {
            let (sender, mut content) = channel();
            sender.send(Passed::Bytes(Bytes::from_static(b"ab"))).await.unwrap();
            if is_announced {
                sender.send(Passed::End).await.unwrap();
            }
            drop(sender);
            let mut read = Vec::new();
            let outcome = content.read_to_end(&mut read).await;
            assert_eq!((outcome.err().map(|error| error.kind()), read.as_slice()), (expected, &b"ab"[..]));
        }
    }

    #[tokio::test]
    async fn a_sender_waits_for_the_reader() {
        use futures_util::FutureExt as _;
        let (sender, mut content) = channel();
        for _ in 0..MAX_WAITING {
            sender.send(Passed::Bytes(Bytes::from_static(b"a"))).now_or_never().expect("there is room").unwrap();
        }
        assert!(sender.send(Passed::Bytes(Bytes::from_static(b"a"))).now_or_never().is_none());
        assert_eq!(content.read_u8().await.unwrap(), b'a');
        assert!(sender.send(Passed::End).now_or_never().is_some());
    }
}
