//! Contents for buckets: a form with a file, or with a part of one, and what is said about it, in any order.

use std::io;
use std::sync::{Mutex, PoisonError};

use axum::extract::multipart::Field;
use futures_util::stream;
use http::{HeaderMap, HeaderName, StatusCode, header};
use runtime::Runtime;
use runtime::storage::{Caller, NewBucketFile, PartRange, StagedContent, StorageError};
use tokio_util::io::StreamReader;

use super::arguments::{invalid, not_optional};
use super::model::File;
use super::{NEW_ID, caller, parameter};
use crate::call::Call;
use crate::problem::Problem;
use crate::protocol::Body;
use crate::protocol::is_element;
use crate::reply::Reply;
use crate::rest::form::{Form, piece, read_text};
use crate::validation::{Object, ValueRule};

/// The id of the file whose part this is.
const UPLOAD_ID: HeaderName = HeaderName::from_static("x-appwrite-id");
/// Most bytes of all text fields of a form: ids, a folder and permissions fit many times.
const MAX_TEXTS: usize = 128 * 1024;

/// The fields of a form beside the file.
pub(super) fn form() -> Object {
    Object::new()
        .required("fileId", ValueRule::Pattern(NEW_ID), "An id, or unique().")
        .optional("permissions", ValueRule::Texts, "Such as read(\"any\").")
        .optional("folder", ValueRule::Text(0), "Segments, separated by slashes.")
        .ignoring_unknown()
}

/// `POST storage/buckets/{bucketId}/files`
pub(super) async fn create(mut call: Call<()>) -> Result<Reply, Problem> {
    let (runtime, caller) = (call.runtime().clone(), caller(&call));
    let (range, upload_id) = (content_range(&call.headers)?, upload_id(&call.headers)?);
    let form = match call.take_body() {
        Body::Multipart { content_type, body } => Form::new(content_type, body, None).await?,
        other => return Err(other.into_json().map_or_else(|problem| problem, |_| not_optional("file"))),
    };
    let bucket_id = parameter(&call, 0).to_owned();
    let Received { content, name, texts } = receive(&runtime, caller, &bucket_id, range, form).await?;
    let Texts { file_id, permissions, folder, .. } = texts;
    let file_id = match (file_id, &upload_id) {
        (Some(id), _) => id,
        (None, Some(_)) => String::new(),
        (None, None) => return Err(not_optional("fileId")),
    };
    let new = NewBucketFile { bucket_id, file_id, upload_id, name, permissions, folder };
    let uploaded = runtime.storage().create_bucket_file(caller, new, content).await?;
    let reply = Reply::created(&File::from(uploaded.file));
    Ok(if uploaded.is_new { reply } else { Reply { status: StatusCode::OK, ..reply } })
}

fn content_range(headers: &HeaderMap) -> Result<Option<PartRange>, Problem> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else { return Ok(None) };
    // What is not ASCII is not a range either.
    Ok(Some(PartRange::parse(value.to_str().unwrap_or_default())?))
}

fn upload_id(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(UPLOAD_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Problem::from(StorageError::InvalidUploadId))?;
    Ok(Some(text.to_owned()))
}

/// What a form holds.
struct Received {
    content: StagedContent,
    name: String,
    texts: Texts,
}

/// Text fields.
#[derive(Default)]
struct Texts {
    file_id: Option<String>,
    permissions: Option<Vec<String>>,
    folder: Option<String>,
    /// Of all of them.
    bytes: usize,
}

impl Texts {
    /// Takes a field; unknown ones mean nothing.
    fn add(&mut self, name: &str, text: String) -> Result<(), Problem> {
        self.bytes += text.len();
        if self.bytes > MAX_TEXTS {
            return Err(invalid(name, format!("a form has at most {MAX_TEXTS} bytes of text")));
        }
        match name {
            "fileId" => self.file_id = Some(text),
            "folder" => self.folder = Some(text),
            name if is_element(name, "permissions") => self.permissions.get_or_insert_default().push(text),
            _ => {}
        }
        Ok(())
    }
}

async fn receive(
    runtime: &Runtime,
    caller: Caller,
    bucket: &str,
    range: Option<PartRange>,
    mut form: Form,
) -> Result<Received, Problem> {
    let (mut file, mut texts) = (None, Texts::default());
    while let Some(part) = form.next().await? {
        match part.file {
            Some(name) if part.name == "file" && file.is_none() => {
                let content = stage(runtime, caller, bucket, range, part.content).await?;
                file = Some((content, unescaped(&name)));
            }
            Some(_) => return Err(invalid(&part.name, "the form has one file, in the field `file`")),
            None => texts.add(&part.name, read_text(&part.name, part.content).await?)?,
        }
    }
    let (content, name) = file.ok_or_else(|| not_optional("file"))?;
    Ok(Received { content, name, texts })
}

/// Passes a content on while it comes.
async fn stage(
    runtime: &Runtime,
    caller: Caller,
    bucket: &str,
    range: Option<PartRange>,
    field: Field<'_>,
) -> Result<StagedContent, Problem> {
    let failed = Mutex::new(None);
    let pieces = stream::unfold(Some(field), |field| async {
        let mut field = field?;
        match piece(&mut field).await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(field))),
            Ok(None) => None,
            Err(problem) => {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
                Some((Err(io::Error::other("the form broke off")), None))
            }
        }
    });
    let content = StreamReader::new(Box::pin(pieces));
    let staged = runtime.storage().stage_content(caller, bucket, range, content).await;
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(problem) => Err(problem),
        None => Ok(staged?),
    }
}

/// What forms escape in names of files.
fn unescaped(name: &str) -> String {
    name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_written_in_both_ways() {
        let mut texts = Texts::default();
        for (name, text) in [("permissions[]", "a"), ("permissions[1]", "b"), ("permissions", "c"), ("folder", "d")] {
            texts.add(name, text.to_owned()).unwrap();
        }
        assert_eq!(texts.permissions.unwrap(), ["a", "b", "c"]);
        assert_eq!(texts.folder.as_deref(), Some("d"));
    }

    #[test]
    fn texts_are_bounded_together() {
        let mut texts = Texts::default();
        texts.add("a", "x".repeat(MAX_TEXTS)).unwrap();
        assert!(texts.add("b", "x".to_owned()).is_err());
    }
}
