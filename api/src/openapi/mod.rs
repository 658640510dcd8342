//! The OpenAPI document, made from the route table, the shapes of bodies and the types of answers.

mod docs;
mod document;
mod yaml;

pub(crate) use docs::Docs;

use crate::validation::Object;

/// What the document says of an operation.
pub(crate) struct Description {
    pub(crate) summary: &'static str,
    pub(crate) input: Input,
    pub(crate) output: Output,
}

/// What an operation takes besides its path.
pub(crate) enum Input {
    None,
    /// A JSON body of this shape.
    Json(fn() -> Object),
    /// The same, with a member that takes any JSON.
    FreeJson(fn() -> Object),
    /// A form with a file.
    Upload,
    /// Parameters of the query.
    Query(&'static [&'static str]),
    /// Which form of the reference a picture shows.
    QrCode,
}

/// What an operation answers; the names are those of components.
pub(crate) enum Output {
    /// 204.
    Nothing,
    /// 200 with one.
    One(&'static str),
    /// 200 with a list.
    Many(&'static str),
    /// 201 with the new one.
    New(&'static str),
    /// 200 with bytes.
    Content,
}

/// The OpenAPI document of both dialects as indented JSON, the same on every machine.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = document::document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
