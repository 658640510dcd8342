//! Bounds of request bodies.

use runtime::json_budget;

/// Bodies of so many bytes are not counted: there are no more of them than connections.
pub(crate) const UNCOUNTED_BYTES: usize = 64 * 1024;
/// Bodies of so many values are not counted: more than any body of a known shape has, and some 100 KiB when decoded.
pub(crate) const UNCOUNTED_VALUES: usize = 1024;

/// What the JSON body of a route may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyBounds {
    bytes: usize,
    values: usize,
}

impl BodyBounds {
    /// For bodies whose shape the route knows: a reference, dates, a password, tags.
    pub(crate) const KNOWN: Self = Self { bytes: UNCOUNTED_BYTES, values: UNCOUNTED_VALUES };
    /// For bodies with JSON of the caller's own. Clients know the limit of bytes; the values are as many as the node keeps
    /// in one member of a record, and those around them.
    pub(crate) const FREE: Self = Self { bytes: 2 * 1024 * 1024, values: json_budget::MAX_CONTENT.max_nodes + 64 };

    /// Most bytes.
    pub(super) fn bytes(self) -> usize {
        self.bytes
    }

    /// Most values.
    pub(super) fn values(self) -> usize {
        self.values
    }
}
