//! The OpenAPI document, made from the route table, the shapes of bodies and the types of answers.

mod components;
mod docs;
mod document;
mod failures;
mod yaml;

pub(crate) use components::Components;
pub(crate) use docs::Docs;
pub(crate) use document::document;
