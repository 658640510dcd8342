//! Uploads: a multipart form (RFC 7578) whose file part goes to disk as it arrives.

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use transport::wire::backbone::files::part;
use transport::wire::bytes::from_any_base64;
use transport::wire::{ByteText, Timestamp};

use super::body::BoundedBody;
use super::problem::Problem;
use crate::core::Core;
use crate::domain::Refusal;
use crate::domain::files::{MAX_PROPERTIES_BYTES, NewFile};
use crate::store::{PublishedBlob, Written};

/// Characters of a text part; the longest is the sealed metadata in base64.
const MAX_TEXT_LENGTH: usize = MAX_PROPERTIES_BYTES / 3 * 4 + 16;
/// The form has six parts; there is no reason to send many more.
const MAX_PARTS: usize = 32;

/// Reads an upload and puts its bytes in place.
pub(crate) async fn receive(core: &Core, request: Request) -> Result<NewFile, Problem> {
    let (parts, body) = request.into_parts();
    let limits = &core.config.limits;
    let (bounds, stream) = BoundedBody::new(body, limits.max_upload_bytes(), limits.body_timeout);
    let mut request = Request::from_parts(parts, Body::from_stream(stream));
    // The extractor's own limit is for bodies in memory; this one is bounded already and streamed.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await.map_err(Problem::unreadable)?;
    match Form::read(core, form).await {
        Ok(form) => form.into_new_file(),
        Err(problem) => Err(bounds.problem_or(problem)),
    }
}

/// The parts of an upload, as far as they came.
#[derive(Default)]
struct Form {
    content: Option<Content>,
    cipher_hash: Option<String>,
    owner_signature: Option<String>,
    encrypted_properties: Option<String>,
    expires_at: Option<String>,
}

enum Content {
    InPlace(PublishedBlob, Written),
    WrongSize(Refusal),
}

impl Form {
    async fn read(core: &Core, mut multipart: Multipart) -> Result<Self, Problem> {
        let mut form = Self::default();
        let mut count = 0;
        while let Some(field) = multipart.next_field().await.map_err(unreadable)? {
            count += 1;
            if count > MAX_PARTS {
                return Err(Problem::unreadable("the form has too many parts"));
            }
            form.take(core, field).await?;
        }
        Ok(form)
    }

    /// Takes one part. Names are matched in any case, parts that nobody knows are passed over.
    async fn take(&mut self, core: &Core, field: Field<'_>) -> Result<(), Problem> {
        let name = field.name().unwrap_or_default().to_ascii_lowercase();
        let is = |part: &str| part.eq_ignore_ascii_case(&name);
        let text = if is(part::CONTENT) && field.file_name().is_some() {
            self.content = Some(store(core, field).await?);
            return Ok(());
        } else if is(part::CIPHER_HASH) {
            &mut self.cipher_hash
        } else if is(part::OWNER_SIGNATURE) {
            &mut self.owner_signature
        } else if is(part::ENCRYPTED_PROPERTIES) {
            &mut self.encrypted_properties
        } else if is(part::EXPIRES_AT) {
            &mut self.expires_at
        } else {
            return Ok(());
        };
        *text = Some(read_text(field).await?).filter(|text| !text.is_empty());
        Ok(())
    }

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
            Content::InPlace(blob, written) => (blob, written),
            Content::WrongSize(refusal) => return Err(refusal.into()),
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

/// Writes a file part to disk. One that turns out too large is read to its end, so that its sender sees the answer.
async fn store(core: &Core, mut field: Field<'_>) -> Result<Content, Problem> {
    let max = core.config.limits.max_file_bytes;
    let wrong_size = || Content::WrongSize(Refusal::invalid("content", format!("must have 1 to {max} bytes")));
    let mut writer = Some(core.store.new_blob().await?);
    let mut size = 0_u64;
    while let Some(piece) = field.chunk().await.map_err(unreadable)? {
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
            Ok(Content::InPlace(blob, written))
        }
        _ => Ok(wrong_size()),
    }
}

async fn read_text(mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(unreadable)? {
        // What is beyond the limit breaks the length rule of the part anyway.
        let room = (MAX_TEXT_LENGTH + 4).saturating_sub(bytes.len());
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    String::from_utf8(bytes).map_err(Problem::unreadable)
}

fn decode(name: &str, text: &str) -> Result<ByteText, Problem> {
    from_any_base64(text.trim()).map(ByteText).map_err(|error| Problem::unreadable(format!("'{name}': {error}")))
}

fn unreadable(error: MultipartError) -> Problem {
    Problem::unreadable(error.body_text())
}
