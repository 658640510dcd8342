//! The OpenAPI document, made from the route table, the shapes of bodies and the types of answers.

mod components;
mod docs;
mod document;
mod yaml;

pub(crate) use components::Components;
pub(crate) use docs::Docs;
#[cfg(test)]
pub(crate) use document::document;

use crate::faces;
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
    /// A form with a file, and with fields of this shape.
    Upload(fn() -> Object),
    /// Parameters of the query.
    Query(Vec<&'static str>),
    /// Parameters of the query that are true or false.
    Flags(&'static [&'static str]),
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

/// The OpenAPI document of all faces as indented JSON, the same on every machine.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = document::document(&faces::all()).to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
