//! Which faces there are.

use crate::appwrite::{self, AppwriteConfig};
use crate::connector::{self, Dialect};
use crate::face::Face;
use crate::{enlace, openapi};

/// The faces that a node has, in the order in which paths are tried: some dialects, and the own one and Appwrite's if they are
/// switched on. A new face is a line here.
pub(crate) fn mounted(dialects: &[Dialect], own: bool, appwrite: Option<&AppwriteConfig>) -> Vec<Face> {
    let dialects = dialects.iter().map(|dialect| connector::face(*dialect));
    dialects.chain(own.then(enlace::face)).chain(appwrite.map(appwrite::face)).collect()
}

/// All faces, as the OpenAPI document describes them.
pub(crate) fn all() -> Vec<Face> {
    mounted(&Dialect::ALL, true, Some(&AppwriteConfig::default()))
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
