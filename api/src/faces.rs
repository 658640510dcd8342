//! Which faces there are.

use crate::connector::{self, Dialect};
use crate::face::Face;
use crate::{enlace, openapi};

/// The faces that a node has, in the order in which paths are tried: some dialects, and the own one if it is switched on. A new
/// face is a line here.
pub(crate) fn mounted(dialects: &[Dialect], own: bool) -> Vec<Face> {
    dialects.iter().map(|dialect| connector::face(*dialect)).chain(own.then(enlace::face)).collect()
}

/// All faces, as the OpenAPI document describes them.
pub(crate) fn all() -> Vec<Face> {
    mounted(&Dialect::ALL, true)
}

/// The OpenAPI document of all faces as indented JSON, the same on every machine.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = openapi::document(&all()).to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
#[path = "faces/third.rs"]
mod third;
