//! How identifiers appear in logs.

/// The kind and the first letters of an identifier: enough to tell two lines apart, too little to be of use elsewhere.
pub(crate) fn short(id: &impl AsRef<str>) -> &str {
    let id = id.as_ref();
    id.get(..8).unwrap_or(id)
}
