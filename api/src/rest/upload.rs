//! Uploads: a multipart form with one file and what is said about it, in any order.

use std::io::ErrorKind;
use std::path::Path;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use http::{HeaderValue, StatusCode, header};
use runtime::facade::UploadOwnFile;
use runtime::{Config, Runtime, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::paced::{Allowance, PIECE, paced};
use super::spool::Spool;
use super::tags;
use crate::call::read_checked;
use crate::connector::{Call, Differences};
use crate::problem::Problem;
use crate::protocol::{Body, append, part_names};
use crate::reply::Reply;
use crate::validation::{Object, Rule};

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
const DEFAULT_MEDIA_TYPE: &str = "text/plain";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    filename: String,
    mimetype: String,
    expires_at: Option<Timestamp>,
    title: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
}

/// The fields of a form once it is read. File name and media type come from the file part.
fn shape() -> Object {
    Object::new()
        .required("content", Rule::Any, "The file.")
        .required("filename", Rule::Text(0), "")
        .required("mimetype", Rule::Text(0), "")
        .optional("expiresAt", Rule::DateTime, "Must lie in the future. Default: never.")
        .optional("title", Rule::Text(0), "For people.")
        .optional("description", Rule::Text(0), "For people.")
        .optional("tags", Rule::Tags, "Repeat the field for several tags.")
}

/// What the OpenAPI document says of the form.
pub(crate) fn form() -> Object {
    let mut form = shape();
    form.properties.retain(|property| !matches!(property.name, "content" | "filename" | "mimetype"));
    form.ignoring_unknown()
}

/// `POST Files/Own`
pub(crate) async fn upload(mut call: Call) -> Result<Reply, Problem> {
    let (runtime, differences) = (call.runtime().clone(), call.differences());
    let form = match call.take_body() {
        Body::Multipart { content_type, body } => read_form(&runtime, content_type, body).await?,
        other => Form { fields: without_file(other.into_json()?), file: None },
    };
    let request = form.into_request(differences, runtime.clock().now()).await?;
    let file = runtime.files().upload_own_file(request).await?;
    Ok(Reply::created(&differences.file(file)))
}

#[derive(Default)]
struct Form {
    fields: Map<String, Value>,
    file: Option<FilePart>,
}

struct FilePart {
    filename: String,
    mimetype: String,
    content: Spool,
    is_too_large: bool,
}

impl Form {
    async fn into_request(mut self, differences: Differences, now: Timestamp) -> Result<UploadOwnFile, Problem> {
        if let Some(file) = &self.file {
            let described = json!({"content": true, "filename": file.filename, "mimetype": file.mimetype});
            self.fields.extend(described.as_object().cloned().unwrap_or_default());
        }
        let fields: Fields = read_checked(&shape(), Value::Object(self.fields))?;
        let file = self.file.ok_or_else(Problem::unexpected)?;
        if file.is_too_large {
            return Err(too_large());
        }
        // A date in the past comes first, and the runtime refuses it.
        if differences.tags_checked && fields.expires_at.is_none_or(|at| at > now) {
            tags::check(fields.tags.as_deref().unwrap_or_default())?;
        }
        let content = file.content.into_reader().await.map_err(|error| spool_failed(&error))?;
        let Fields { filename, mimetype, expires_at, title, description, tags } = fields;
        Ok(UploadOwnFile { content, filename, mimetype, expires_at, title, description, tags, observer: None })
    }
}

async fn read_form(runtime: &Runtime, content_type: HeaderValue, body: axum::body::Body) -> Result<Form, Problem> {
    let (settings, directory) = (runtime.config(), runtime.temporary_directory());
    let allowance = Allowance::default();
    let mut request = Request::new(paced(body, allowance.clone()));
    request.headers_mut().insert(header::CONTENT_TYPE, content_type);
    let limit = settings.max_file_size.saturating_add(MAX_BESIDES_FILE);
    DefaultBodyLimit::max(usize::try_from(limit).unwrap_or(usize::MAX)).apply(&mut request);
    let mut multipart = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
    let (mut form, mut texts) = (Form::default(), 0);
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
    form: &mut Form,
    (name, file_name): (&str, &str),
    field: Field<'_>,
) -> Result<(), Problem> {
    let filename = last_segment(file_name).to_owned();
    if matches!(filename.as_str(), "" | "." | "..") {
        // Browsers send such a part when no file was chosen.
        return drain(field).await;
    }
    if name != "file" {
        return Err(Problem::invalid_property("the file must be sent in the field 'file'"));
    }
    if form.file.is_some() {
        return Err(Problem::invalid_property("file must NOT be sent more than once"));
    }
    let mimetype = media_type(field.content_type());
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

/// A body that is not multipart has fields at most, and says nothing about the file even if it tries.
fn without_file(body: Value) -> Map<String, Value> {
    let Value::Object(mut fields) = body else { return Map::new() };
    for name in ["content", "filename", "mimetype"] {
        fields.remove(name);
    }
    fields
}

/// Whatever a client sends as a path, only the name is kept.
fn last_segment(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or_default()
}

/// In lower case and without parameters.
fn media_type(given: Option<&str>) -> String {
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_token = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !part.is_empty() && part.bytes().all(fits)
    };
    let readable = essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    if readable { essence } else { DEFAULT_MEDIA_TYPE.to_owned() }
}

fn too_large() -> Problem {
    Problem::invalid_property("'content' is too large")
}

fn broken() -> Problem {
    let message = "The given payload is not a complete multipart form.";
    Problem::new(StatusCode::BAD_REQUEST, "error.connector.validation.invalidMultipartPayload", message)
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_last_segment_of_a_name_is_kept() {
        for (given, kept) in [
            ("a.txt", "a.txt"),
            ("dir/name.txt", "name.txt"),
            ("c:\\dir\\name.txt", "name.txt"),
            ("../..", ".."),
            ("a/", ""),
        ] {
            assert_eq!(last_segment(given), kept);
        }
    }

    #[test]
    fn media_types_lose_case_and_parameters_and_bad_ones_become_text() {
        for (given, kept) in [
            (Some("IMAGE/PNG"), "image/png"),
            (Some("text/html; charset=utf-8"), "text/html"),
            (Some("foo/bar+baz"), "foo/bar+baz"),
            (Some("nonsense"), "text/plain"),
            (Some("a/b/c"), "text/plain"),
            (Some("a/b\r\nx: y"), "text/plain"),
            (None, "text/plain"),
        ] {
            assert_eq!(media_type(given), kept, "{given:?}");
        }
    }

    #[test]
    fn a_body_without_parts_cannot_claim_a_file() {
        let body = json!({"title": "x", "content": "eA==", "filename": "a", "mimetype": "b"});
        let problem = shape().check(&Value::Object(without_file(body))).unwrap_err();
        let text = serde_json::to_value(problem.body(Timestamp::NEVER)).unwrap();
        assert_eq!(text["error"]["message"], "must have required property 'content'");
    }

    proptest! {
        #[test]
        fn a_kept_name_never_leads_elsewhere(name in ".{0,60}") {
            prop_assert!(!last_segment(&name).contains(['/', '\\']));
        }

        #[test]
        fn a_kept_media_type_is_a_header_value(given in ".{0,60}") {
            prop_assert!(http::HeaderValue::from_str(&media_type(Some(&given))).is_ok());
        }
    }
}
