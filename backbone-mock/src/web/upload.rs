//! Uploads: a multipart form (RFC 7578) whose file part goes to disk as it arrives.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};

use axum::BoxError;
use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use bytes::Bytes;
use futures_util::Stream;
use listener::budget::Exhausted;
use transport::wire::backbone::files::part;
use transport::wire::bytes::from_any_base64;
use transport::wire::{ByteText, Timestamp};

use super::body::{BodyError, BoundedBody};
use super::problem::Problem;
use super::session;
use crate::budget::{Kept, Room};
use crate::caller::Caller;
use crate::core::Core;
use crate::domain::Refusal;
use crate::domain::files::{MAX_PROPERTIES_BYTES, NewFile};
use crate::store::{PublishedBlob, Written};

/// Characters of the longest text part, the sealed metadata in base64.
const MAX_PROPERTIES_LENGTH: usize = MAX_PROPERTIES_BYTES / 3 * 4 + 16;
/// Characters of the other text parts.
const MAX_TEXT_LENGTH: usize = 4 * 1024;
/// Bytes that the parser of the form may buffer before it returns any: the head of a part, and the rest of the two pieces that it
/// may lie in.
const MAX_GATHERED: usize = 192 * 1024;
const HEAD_TOO_LARGE: &str = "the head of a part of the form is too large";
/// The form has six parts; there is no reason to send many more.
const MAX_PARTS: usize = 32;

/// Reads an upload and stores its bytes.
pub(crate) async fn receive(core: &Core, caller: &Caller, request: Request) -> Result<NewFile, Problem> {
    let (parts, body) = request.into_parts();
    let limits = &core.config.limits;
    // For the text parts: the bytes of the file are not kept in memory.
    let room = core.bodies.open(session::source(&parts), Some(caller), limits.max_body_bytes);
    let gathered = Gathered::default();
    let kept = parts.extensions.get::<Kept>().cloned().unwrap_or_default();
    let (bounds, stream) = BoundedBody::new(body, limits.max_upload_bytes());
    let mut request = Request::from_parts(parts, Body::from_stream(gathered.count(stream)));
    // The extractor's own limit is for bodies in memory; this one is bounded already and streamed.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await.map_err(Problem::unreadable)?;
    let reader = Reader { core, room: &room, gathered: &gathered };
    let form = reader.read(form).await.map_err(|problem| bounds.problem_or(gathered.problem_or(problem)))?;
    room.complete();
    kept.keep(room);
    form.into_new_file()
}

/// Counts the bytes that the parser of a form has read and not returned yet. The parser reads as much as it gets, so the stream
/// pauses after each piece, and ends when too much is buffered.
#[derive(Clone, Default)]
struct Gathered(Arc<AtomicUsize>);

impl Gathered {
    fn count<S>(&self, stream: S) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + use<S>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send,
    {
        let gathered = self.clone();
        let (mut stream, mut is_paused) = (Box::pin(stream), false);
        futures_util::stream::poll_fn(move |context| {
            if std::mem::take(&mut is_paused) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let polled = ready!(stream.as_mut().poll_next(context));
            is_paused = true;
            Poll::Ready(polled.map(|piece| gathered.add(piece?)))
        })
    }

    fn add(&self, piece: Bytes) -> Result<Bytes, BoxError> {
        let gathered = self.0.fetch_add(piece.len(), Ordering::AcqRel) + piece.len();
        if gathered <= MAX_GATHERED { Ok(piece) } else { Err(HEAD_TOO_LARGE.into()) }
    }

    /// The problem if too much was buffered, `otherwise` if not: the parser does not report why the stream ended.
    fn problem_or(&self, otherwise: Problem) -> Problem {
        let is_too_much = self.0.load(Ordering::Acquire) > MAX_GATHERED;
        if is_too_much { Problem::unreadable(HEAD_TOO_LARGE) } else { otherwise }
    }

    fn handed_out(&self) {
        self.0.store(0, Ordering::Release);
    }
}

/// Reads the parts of a form.
struct Reader<'r> {
    core: &'r Core,
    room: &'r Room,
    gathered: &'r Gathered,
}

/// The parts of an upload, as far as they came.
#[derive(Default)]
struct UploadForm {
    content: Option<FilePart>,
    cipher_hash: Option<String>,
    owner_signature: Option<String>,
    encrypted_properties: Option<String>,
    expires_at: Option<String>,
}

/// The file part of an upload.
enum FilePart {
    InPlace(PublishedBlob, Written),
    WrongSize(Refusal),
}

impl Reader<'_> {
    async fn read(&self, mut multipart: Multipart) -> Result<UploadForm, Problem> {
        let mut form = UploadForm::default();
        let mut count = 0;
        while let Some(field) = self.unless_revoked(multipart.next_field()).await? {
            self.gathered.handed_out();
            count += 1;
            if count > MAX_PARTS {
                return Err(Problem::unreadable("the form has too many parts"));
            }
            self.take(&mut form, field).await?;
        }
        Ok(form)
    }

    /// Reads one part. Names are matched in any case, unknown parts are skipped.
    async fn take(&self, form: &mut UploadForm, field: Field<'_>) -> Result<(), Problem> {
        let name = field.name().unwrap_or_default().to_ascii_lowercase();
        let is = |part: &str| part.eq_ignore_ascii_case(&name);
        let (text, limit) = if is(part::CONTENT) && field.file_name().is_some() {
            form.content = Some(self.store(field).await?);
            return Ok(());
        } else if is(part::CIPHER_HASH) {
            (&mut form.cipher_hash, MAX_TEXT_LENGTH)
        } else if is(part::OWNER_SIGNATURE) {
            (&mut form.owner_signature, MAX_TEXT_LENGTH)
        } else if is(part::ENCRYPTED_PROPERTIES) {
            (&mut form.encrypted_properties, MAX_PROPERTIES_LENGTH)
        } else if is(part::EXPIRES_AT) {
            (&mut form.expires_at, MAX_TEXT_LENGTH)
        } else {
            self.read_text(field, 0).await?;
            return Ok(());
        };
        *text = Some(self.read_text(field, limit).await?).filter(|text| !text.is_empty());
        Ok(())
    }

    /// The next piece of a part, unless the form loses its memory to another body before.
    async fn chunk(&self, field: &mut Field<'_>) -> Result<Option<Bytes>, Problem> {
        let chunk = self.unless_revoked(field.chunk()).await?;
        self.gathered.handed_out();
        Ok(chunk)
    }

    async fn unless_revoked<T>(&self, next: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Problem> {
        tokio::select! {
            biased;
            () = self.room.revoked() => Err(Exhausted::InTotal.into()),
            next = next => next.map_err(unreadable),
        }
    }

    /// Writes a file part to disk. One that is too large is read to its end, so that its sender gets the answer.
    async fn store(&self, mut field: Field<'_>) -> Result<FilePart, Problem> {
        let max = self.core.config.limits.max_file_bytes;
        let wrong_size = || FilePart::WrongSize(Refusal::invalid("content", format!("must have 1 to {max} bytes")));
        let mut writer = Some(self.core.store.new_blob().await?);
        let mut size = 0_u64;
        while let Some(piece) = self.chunk(&mut field).await? {
            size += piece.len() as u64;
            if size > max {
                writer = None;
            }
            if let Some(writer) = &mut writer {
                writer.write(piece).await?;
            }
        }
        match writer {
            Some(writer) if size > 0 => {
                let (blob, written) = writer.publish().await?;
                Ok(FilePart::InPlace(blob, written))
            }
            _ => Ok(wrong_size()),
        }
    }

    async fn read_text(&self, mut field: Field<'_>, limit: usize) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.chunk(&mut field).await? {
            // A longer text breaks the length rule of its part anyway.
            let kept = piece.len().min((limit + 4).saturating_sub(bytes.len()));
            self.room.add(kept).await?;
            bytes.extend_from_slice(&piece[..kept]);
        }
        String::from_utf8(bytes).map_err(Problem::unreadable)
    }
}

impl UploadForm {
    fn into_new_file(self) -> Result<NewFile, Problem> {
        let missing = |name: &str| Problem::unreadable(format!("'{name}': is missing"));
        let content = self.content.ok_or_else(|| missing(part::CONTENT))?;
        let cipher_hash = self.cipher_hash.ok_or_else(|| missing(part::CIPHER_HASH))?;
        let owner_signature = self.owner_signature.ok_or_else(|| missing(part::OWNER_SIGNATURE))?;
        let encrypted_properties = self.encrypted_properties.ok_or_else(|| missing(part::ENCRYPTED_PROPERTIES))?;
        // A missing date counts as one in the past.
        let expires_at = self.expires_at.map_or(Ok(Timestamp::MIN), |text| {
            text.trim().parse().map_err(|error| Problem::unreadable(format!("'{}': {error}", part::EXPIRES_AT)))
        })?;
        let (blob, written) = match content {
            FilePart::InPlace(blob, written) => (blob, written),
            FilePart::WrongSize(refusal) => return Err(refusal.into()),
        };
        Ok(NewFile {
            blob,
            written,
            cipher_hash: decode(part::CIPHER_HASH, &cipher_hash)?,
            owner_signature: decode(part::OWNER_SIGNATURE, &owner_signature)?,
            encrypted_properties: decode(part::ENCRYPTED_PROPERTIES, &encrypted_properties)?,
            expires_at,
        })
    }
}

fn decode(name: &str, text: &str) -> Result<ByteText, Problem> {
    from_any_base64(text.trim()).map(ByteText).map_err(|error| Problem::unreadable(format!("'{name}': {error}")))
}

fn unreadable(error: MultipartError) -> Problem {
    Problem::unreadable(error.body_text())
}
