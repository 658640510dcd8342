//! Uploads: a multipart form with one file and what is said about it, in any order.

use std::io::ErrorKind;
use std::path::Path;
use std::pin::Pin;

use axum::extract::multipart::Field;
use runtime::facade::{ContentFormat, NewContent, UploadOwnFile};
use runtime::{Config, FileName, MediaType, Runtime, Tags, Timestamp};
use serde::Deserialize;
use tokio::io::AsyncRead;

use super::form::{Form, Part, Texts, piece, too_large};
use super::spool::Spool;
use crate::connector::{Call, Differences};
use crate::problem::Problem;
use crate::protocol::Body;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// Bytes of a form besides a file of the largest size: its fields, and what is read in vain of files that are too large,
/// so that all is checked and the client gets to see the answer.
const MAX_BESIDES_FILE: u64 = 64 * 1024 * 1024;

/// The fields of a form besides the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fields {
    expires_at: Option<Timestamp>,
    title: Option<String>,
    description: Option<String>,
    tags: Option<Tags>,
    format: Option<ContentFormat>,
}

/// What the head of the part with the file says of it.
pub(super) struct FileHead {
    filename: FileName,
    mimetype: MediaType,
}

impl FileHead {
    /// Reads a part; none if it has no name for a file. Browsers send such a part when no file was chosen.
    ///
    /// # Errors
    /// 400 for a file in another field than `file`.
    pub(super) fn read(part: &Part<'_>) -> Result<Option<Self>, Problem> {
        Self::read_from("file", part)
    }

    /// The same for a file in this field.
    pub(super) fn read_from(field: &str, part: &Part<'_>) -> Result<Option<Self>, Problem> {
        let Ok(filename) = part.file.as_deref().unwrap_or_default().parse() else { return Ok(None) };
        if part.name != field {
            return Err(Problem::invalid_property(format!("the file must be sent in the field '{field}'")));
        }
        Ok(Some(Self { filename, mimetype: MediaType::of_header(part.content.content_type()) }))
    }
}

impl Fields {
    /// The facade's request.
    pub(super) fn into_request(
        self,
        file: FileHead,
        content: Pin<Box<dyn AsyncRead + Send>>,
        differences: Differences,
    ) -> UploadOwnFile {
        let Self { expires_at, title, description, tags, format } = self;
        let FileHead { filename, mimetype } = file;
        let tags = tags.map(|tags| if differences.tags_checked { tags.only_known() } else { tags });
        // The published clients read no other format than the first one.
        let default = if differences.formats { ContentFormat::Auto } else { ContentFormat::V1 };
        let format = format.unwrap_or(default);
        let content = NewContent::Stream(content);
        UploadOwnFile { content, filename, mimetype, expires_at, title, description, tags, format, observer: None }
    }
}

/// The fields of a form besides the file; others mean nothing.
pub(crate) fn form() -> Object {
    Object::new()
        .optional("expiresAt", ValueRule::DateTime, "Must lie in the future. Default: never.")
        .optional("title", ValueRule::Text(0), "Title shown to receivers.")
        .optional("description", ValueRule::Text(0), "Description shown to receivers.")
        .optional("tags", ValueRule::Tags, "Repeat the field for several tags.")
        .ignoring_unknown()
}

/// `POST Files/Own`
pub(crate) async fn upload(mut call: Call) -> Result<Reply, Problem> {
    let (runtime, differences) = (call.runtime().clone(), call.differences());
    let mut upload = UploadForm { texts: Texts::new(form()), file: None };
    match call.take_body() {
        Body::Multipart { content_type, body } => {
            let limit = runtime.config().max_file_size.saturating_add(MAX_BESIDES_FILE);
            upload.read(&runtime, Form::new(content_type, body, Some(limit)).await?).await?;
        }
        // A body that is not multipart has no file, even if it says so.
        other => drop(other.into_json()?),
    }
    let request = upload.into_request(differences).await?;
    let file = runtime.files().upload_own_file(request).await?;
    Ok(Reply::created(&differences.file(file)))
}

struct UploadForm {
    texts: Texts,
    file: Option<FilePart>,
}

struct FilePart {
    head: FileHead,
    content: Spool,
    is_too_large: bool,
}

impl UploadForm {
    async fn read(&mut self, runtime: &Runtime, mut form: Form) -> Result<(), Problem> {
        while let Some(part) = form.next().await? {
            match part.file.is_some() {
                true => self.read_file(runtime, part).await?,
                false => self.texts.read(part).await?,
            }
        }
        Ok(())
    }

    async fn read_file(&mut self, runtime: &Runtime, part: Part<'_>) -> Result<(), Problem> {
        let Some(head) = FileHead::read(&part)? else { return drain(part.content).await };
        if self.file.is_some() {
            return Err(Problem::invalid_property("file must NOT be sent more than once"));
        }
        let (content, is_too_large) = spool(runtime.config(), runtime.temporary_directory(), part.content).await?;
        self.file = Some(FilePart { head, content, is_too_large });
        Ok(())
    }

    async fn into_request(self, differences: Differences) -> Result<UploadOwnFile, Problem> {
        let (shape, values) = self.texts.into_parts();
        let file = self.file.ok_or_else(|| shape.missing("content"))?;
        let fields: Fields = shape.read(values)?;
        if file.is_too_large {
            return Err(too_large());
        }
        let content = file.content.into_reader().await.map_err(|error| spool_failed(&error))?;
        Ok(fields.into_request(file.head, content, differences))
    }
}

/// Puts the bytes aside, and whether they are more than a file may have.
async fn spool(settings: &Config, directory: &Path, mut field: Field<'_>) -> Result<(Spool, bool), Problem> {
    let (mut content, mut length) = (Spool::new(), 0_u64);
    while let Some(bytes) = piece(&mut field).await? {
        length = length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if length <= settings.max_file_size {
            content.write(&bytes, directory).await.map_err(|error| spool_failed(&error))?;
        }
    }
    Ok((content, length > settings.max_file_size))
}

async fn drain(mut field: Field<'_>) -> Result<(), Problem> {
    while piece(&mut field).await?.is_some() {}
    Ok(())
}

fn spool_failed(error: &std::io::Error) -> Problem {
    tracing::error!(%error, "an upload could not be put aside; look at the space left in the data directory");
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Problem::storage_full(),
        _ => Problem::unexpected(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connector::Dialect;

    #[tokio::test]
    async fn a_form_without_a_file_is_refused_before_its_fields_are_read() {
        let fields = json!({"expiresAt": "x", "content": "eA==", "filename": "a", "mimetype": "b"});
        let form = UploadForm { texts: Texts::of(form(), &fields), file: None };
        let problem = form.into_request(Dialect::V2.differences()).await.err().unwrap();
        let text = serde_json::to_value(problem.body(runtime::Timestamp::NEVER)).unwrap();
        assert_eq!(text["error"]["message"], "must have required property 'content'");
    }
}
