//! The state of a file, as its directory tells it.

use std::fs::Metadata;
use std::time::{SystemTime, UNIX_EPOCH};

use transport::content::manifest::MAX_MODE;
use transport::wire::Timestamp;

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) length: u64,
    /// Nanoseconds since 1970; 0 if the system does not say.
    modified: i128,
    /// Which file it is on its file system; 0 where that has no number. The number of the file system is left out, because
    /// some change when the machine starts.
    number: u64,
}

impl FileState {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().map_or(0, nanoseconds);
        Self { length: metadata.len(), modified, number: number(metadata) }
    }

    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.modified.to_le_bytes());
        bytes[24..].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let number = |start: usize| bytes[start..].first_chunk().copied().map_or(0, u64::from_le_bytes);
        let modified = bytes[8..].first_chunk().copied().map_or(0, i128::from_le_bytes);
        Self { length: number(0), modified, number: number(24) }
    }
}

/// Permissions as a manifest has them; nothing where there are none.
pub(super) fn permissions(metadata: &Metadata) -> Option<u16> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        u16::try_from(metadata.permissions().mode() & u32::from(MAX_MODE)).ok()
    }
    #[cfg(not(unix))]
    {
        let _ = (metadata, MAX_MODE);
        None
    }
}

/// When it was last changed, if that is a time that a manifest can have.
pub(super) fn modified_at(metadata: &Metadata) -> Option<Timestamp> {
    let milliseconds = nanoseconds(metadata.modified().ok()?).div_euclid(1_000_000);
    let milliseconds = i64::try_from(milliseconds).ok()?;
    let (earliest, latest) = (Timestamp::from_unix_milliseconds(0), Timestamp::MAX);
    Some(Timestamp::from_unix_milliseconds(milliseconds)).filter(|time| (earliest..=latest).contains(time))
}

fn nanoseconds(time: SystemTime) -> i128 {
    let signed = |nanoseconds: u128| i128::try_from(nanoseconds).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => signed(since.as_nanos()),
        Err(before) => -signed(before.duration().as_nanos()),
    }
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> u64 {
    0
}
