//! The embedded implementation: records in a store of `durable`, blobs in files.

pub(super) mod blobs;
pub(super) mod open;
