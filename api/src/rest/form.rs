//! Multipart forms: their parts one by one, in bounded memory and time.

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::paced::{Allowance, PIECE, paced};
use crate::code::FaceCode;
use crate::problem::Problem;
use crate::protocol::{append, part_names};
use crate::validation::Object;

/// Most bytes of one text field.
const MAX_TEXT: usize = 64 * 1024;
/// Most bytes of all text fields of one form, which are kept in memory: title, description and tags fit many times.
const MAX_TEXTS: usize = 512 * 1024;
/// Most fields of one form.
const MAX_FIELDS: usize = 256;
/// Most bytes that are read in search of the next part: the parser keeps them until a part's head is complete. Some belong
/// to the part itself, which comes in the same pieces.
const MAX_HEAD: usize = 4 * PIECE;
/// Longest time between two pieces of a body.
const PIECE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// A form that is being read.
pub(crate) struct Form {
    multipart: Multipart,
    allowance: Allowance,
    parts: usize,
}

/// A part of a form.
pub(crate) struct Part<'a> {
    /// Of the field.
    pub(crate) name: String,
    /// The name of the file, if it is one.
    pub(crate) file: Option<String>,
    pub(crate) content: Field<'a>,
}

impl Form {
    /// A form of at most `limit` bytes.
    ///
    /// # Errors
    /// 400 for a header without a boundary.
    pub(crate) async fn new(
        content_type: HeaderValue,
        body: axum::body::Body,
        limit: Option<u64>,
    ) -> Result<Self, Problem> {
        let allowance = Allowance::default();
        let mut request = Request::new(paced(body, allowance.clone()));
        request.headers_mut().insert(header::CONTENT_TYPE, content_type);
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        limit.map_or_else(DefaultBodyLimit::disable, DefaultBodyLimit::max).apply(&mut request);
        let multipart = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
        Ok(Self { multipart, allowance, parts: 0 })
    }

    /// The next part; none at the end of the form.
    ///
    /// # Errors
    /// 400 for what is not a form, ends too early, or has too many parts; 408 for a slow sender.
    pub(crate) async fn next(&mut self) -> Result<Option<Part<'_>>, Problem> {
        if self.parts == MAX_FIELDS {
            return Err(Problem::invalid_property(format!("the form must NOT have more than {MAX_FIELDS} fields")));
        }
        self.parts += 1;
        self.allowance.set(MAX_HEAD);
        let Some(content) = in_time(self.multipart.next_field()).await? else { return Ok(None) };
        self.allowance.set(usize::MAX);
        let names = part_names(content.headers());
        let name = names.field.ok_or_else(broken)?;
        Ok(Some(Part { name, file: names.file, content }))
    }
}

/// The text fields of a form that its shape knows; others mean nothing.
pub(super) struct Texts {
    shape: Object,
    values: Map<String, Value>,
    bytes: usize,
}

impl Texts {
    /// None yet.
    pub(super) fn new(shape: Object) -> Self {
        Self { shape, values: Map::new(), bytes: 0 }
    }

    /// Reads a field.
    ///
    /// # Errors
    /// 400 for a text that is too long or not UTF-8, and as [`piece`].
    pub(super) async fn read(&mut self, part: Part<'_>) -> Result<(), Problem> {
        let Part { name, content, .. } = part;
        let text = read_text(&name, content).await?;
        self.bytes += text.len();
        if self.bytes > MAX_TEXTS {
            return Err(Problem::invalid_property(format!(
                "the form must NOT have more than {MAX_TEXTS} bytes of text"
            )));
        }
        match name.as_str() {
            "tags" | "tags[]" => self.push_tag(text),
            known if self.shape.properties.iter().any(|property| property.name == known) => {
                append(&mut self.values, name, text);
            }
            _ => {}
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn of(shape: Object, values: &Value) -> Self {
        Self { values: values.as_object().cloned().unwrap_or_default(), ..Self::new(shape) }
    }

    /// The shape, and the fields as an object of it.
    pub(super) fn into_parts(self) -> (Object, Value) {
        (self.shape, Value::Object(self.values))
    }

    /// One tag is a list too: a form cannot tell them apart.
    fn push_tag(&mut self, tag: String) {
        if let Some(list) = self.values.entry("tags").or_insert_with(|| json!([])).as_array_mut() {
            list.push(Value::String(tag));
        }
    }
}

/// A field that is a text.
///
/// # Errors
/// 400 for one that is too long or not UTF-8, and as [`piece`].
pub(crate) async fn read_text(name: &str, mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = piece(&mut field).await? {
        if bytes.len() + chunk.len() > MAX_TEXT {
            return Err(Problem::invalid_property(format!("{name} must NOT have more than {MAX_TEXT} characters")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Problem::invalid_property(format!("{name} must be UTF-8")))
}

/// The next bytes of a part; none at its end.
///
/// # Errors
/// 400 for a form that ends too early or is too long, 408 for a slow sender.
pub(crate) async fn piece(field: &mut Field<'_>) -> Result<Option<bytes::Bytes>, Problem> {
    in_time(field.chunk()).await
}

async fn in_time<T>(piece: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Problem> {
    match tokio::time::timeout(PIECE_TIMEOUT, piece).await {
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
        Ok(Err(error)) if listener::pace::is_too_slow(&error) => Err(Problem::timeout()),
        Ok(read) => read.map_err(|_| broken()),
        Err(_) => Err(Problem::timeout()),
    }
}

pub(super) fn too_large() -> Problem {
    Problem::invalid_property("'content' is too large")
}

fn broken() -> Problem {
    let message = "The given payload is not a complete multipart form.";
    Problem::new(FaceCode::InvalidMultipart, message)
}
