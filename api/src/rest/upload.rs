//! Uploads: a multipart form with one file and what is said about it, in any order.

use std::io::ErrorKind;
use std::path::Path;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use http::{HeaderValue, StatusCode, header};
use runtime::facade::{ContentFormat, NewContent, UploadOwnFile};
use runtime::{Config, FileName, MediaType, Runtime, Tags, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::paced::{Allowance, PIECE, paced};
use super::spool::Spool;
use crate::code::FaceCode;
use crate::connector::{Call, Differences};
use crate::problem::Problem;
use crate::protocol::{Body, append, part_names};
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// Most bytes of one text field.
const MAX_TEXT: usize = 64 * 1024;
/// Most bytes of all text fields of one form, which are kept in memory: title, description and tags fit many times.
const MAX_TEXTS: usize = 512 * 1024;
/// Most fields of one form.
const MAX_FIELDS: usize = 256;
/// Bytes of a form besides a file of the largest size: its fields, and what is read in vain of files that are too large,
/// so that all is checked and the client gets to see the answer.
const MAX_BESIDES_FILE: u64 = 64 * 1024 * 1024;
/// Most bytes that are read in search of the next part: the parser keeps them until a part's head is complete. Some belong
/// to the part itself, which comes in the same pieces.
const MAX_HEAD: usize = 4 * PIECE;
/// Longest time between two pieces of a body.
const PIECE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// The fields of a form besides the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    expires_at: Option<Timestamp>,
    title: Option<String>,
    description: Option<String>,
    tags: Option<Tags>,
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
    let form = match call.take_body() {
        Body::Multipart { content_type, body } => read_form(&runtime, content_type, body).await?,
        // A body that is not multipart has no file, even if it says so.
        other => other.into_json().map(|_| UploadForm::default())?,
    };
    let request = form.into_request(differences).await?;
    let file = runtime.files().upload_own_file(request).await?;
    Ok(Reply::created(&differences.file(file)))
}

#[derive(Default)]
struct UploadForm {
    fields: Map<String, Value>,
    file: Option<FilePart>,
}

struct FilePart {
    filename: FileName,
    mimetype: MediaType,
    content: Spool,
    is_too_large: bool,
}

impl UploadForm {
    async fn into_request(self, differences: Differences) -> Result<UploadOwnFile, Problem> {
        let file = self.file.ok_or_else(|| form().missing("content"))?;
        let Fields { expires_at, title, description, tags } = form().read(Value::Object(self.fields))?;
        if file.is_too_large {
            return Err(too_large());
        }
        let tags = tags.map(|tags| if differences.tags_checked { tags.only_known() } else { tags });
        let content = file.content.into_reader().await.map_err(|error| spool_failed(&error))?;
        let content = NewContent::Stream(content);
        let FilePart { filename, mimetype, .. } = file;
        // The published clients read no other format.
        let format = ContentFormat::V1;
        Ok(UploadOwnFile { content, filename, mimetype, expires_at, title, description, tags, format, observer: None })
    }
}

async fn read_form(
    runtime: &Runtime,
    content_type: HeaderValue,
    body: axum::body::Body,
) -> Result<UploadForm, Problem> {
    let (settings, directory) = (runtime.config(), runtime.temporary_directory());
    let allowance = Allowance::default();
    let mut request = Request::new(paced(body, allowance.clone()));
    request.headers_mut().insert(header::CONTENT_TYPE, content_type);
    let limit = settings.max_file_size.saturating_add(MAX_BESIDES_FILE);
    DefaultBodyLimit::max(usize::try_from(limit).unwrap_or(usize::MAX)).apply(&mut request);
    let mut multipart = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
    let (mut form, mut texts) = (UploadForm::default(), 0);
    for _ in 0..MAX_FIELDS {
        allowance.set(MAX_HEAD);
        let Some(field) = in_time(multipart.next_field()).await? else { return Ok(form) };
        allowance.set(usize::MAX);
        let names = part_names(field.headers());
        let name = names.field.ok_or_else(broken)?;
        if let Some(file) = names.file {
            read_file(settings, directory, &mut form, (&name, &file), field).await?;
            continue;
        }
        let text = read_text(&name, field).await?;
        texts += text.len();
        if texts > MAX_TEXTS {
            return Err(Problem::invalid_property(format!(
                "the form must NOT have more than {MAX_TEXTS} bytes of text"
            )));
        }
        match name.as_str() {
            "tags" | "tags[]" => push_tag(&mut form.fields, text),
            "expiresAt" | "title" | "description" => append(&mut form.fields, name, text),
            _ => {}
        }
    }
    Err(Problem::invalid_property(format!("the form must NOT have more than {MAX_FIELDS} fields")))
}

/// One tag is a list too: a form cannot tell them apart.
fn push_tag(fields: &mut Map<String, Value>, tag: String) {
    if let Some(list) = fields.entry("tags").or_insert_with(|| json!([])).as_array_mut() {
        list.push(Value::String(tag));
    }
}

async fn read_file(
    settings: &Config,
    directory: &Path,
    form: &mut UploadForm,
    (name, file_name): (&str, &str),
    field: Field<'_>,
) -> Result<(), Problem> {
    // Browsers send a part without a name when no file was chosen.
    let Ok(filename) = file_name.parse::<FileName>() else { return drain(field).await };
    if name != "file" {
        return Err(Problem::invalid_property("the file must be sent in the field 'file'"));
    }
    if form.file.is_some() {
        return Err(Problem::invalid_property("file must NOT be sent more than once"));
    }
    let mimetype = MediaType::of_header(field.content_type());
    let (content, is_too_large) = spool(settings, directory, field).await?;
    form.file = Some(FilePart { filename, mimetype, content, is_too_large });
    Ok(())
}

/// Puts the bytes aside, and whether they are more than a file may have.
async fn spool(settings: &Config, directory: &Path, mut field: Field<'_>) -> Result<(Spool, bool), Problem> {
    let (mut content, mut length) = (Spool::new(), 0_u64);
    while let Some(bytes) = in_time(field.chunk()).await? {
        length = length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if length <= settings.max_file_size {
            content.write(&bytes, directory).await.map_err(|error| spool_failed(&error))?;
        }
    }
    Ok((content, length > settings.max_file_size))
}

async fn read_text(name: &str, mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = in_time(field.chunk()).await? {
        if bytes.len() + chunk.len() > MAX_TEXT {
            return Err(Problem::invalid_property(format!("{name} must NOT have more than {MAX_TEXT} characters")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Problem::invalid_property(format!("{name} must be UTF-8")))
}

async fn drain(mut field: Field<'_>) -> Result<(), Problem> {
    while in_time(field.chunk()).await?.is_some() {}
    Ok(())
}

async fn in_time<T>(piece: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Problem> {
    match tokio::time::timeout(PIECE_TIMEOUT, piece).await {
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
        Ok(Err(error)) if listener::pace::is_too_slow(&error) => Err(Problem::timeout()),
        Ok(read) => read.map_err(|_| broken()),
        Err(_) => Err(Problem::timeout()),
    }
}

fn too_large() -> Problem {
    Problem::invalid_property("'content' is too large")
}

fn broken() -> Problem {
    let message = "The given payload is not a complete multipart form.";
    Problem::new(FaceCode::InvalidMultipart, message)
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
        let form = UploadForm { fields: fields.as_object().cloned().unwrap(), file: None };
        let problem = form.into_request(Dialect::V2.differences()).await.err().unwrap();
        let text = serde_json::to_value(problem.body(runtime::Timestamp::NEVER)).unwrap();
        assert_eq!(text["error"]["message"], "must have required property 'content'");
    }
}
