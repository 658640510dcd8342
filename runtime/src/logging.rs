//! How identifiers appear in logs.

/// The prefix and the first letters of an identifier: enough to distinguish lines, too little to use the identifier.
pub(crate) fn short(id: &impl AsRef<str>) -> &str {
    let id = id.as_ref();
    id.get(..8).unwrap_or(id)
}
