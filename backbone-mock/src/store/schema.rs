//! The version of the records, which is a record itself.

/// Where the version is.
pub(super) const KEY: &[u8] = b"meta\0schema";
/// Version of the record formats this program writes: 1 was JSON, 2 is CBOR, 3 counts what everybody stores.
pub(super) const VERSION: u32 = 3;
/// What programs wrote that did not count.
pub(super) const UNCOUNTED: u32 = 2;
/// What the first version of the program wrote.
pub(super) const JSON: u32 = 1;

/// The version in the record, or 0.
pub(super) fn version(stored: Option<&[u8]>) -> u32 {
    stored.and_then(|stored| stored.try_into().ok()).map_or(0, u32::from_be_bytes)
}
