//! Files: how they are sealed, uploaded, loaded, downloaded and stored.

mod blob;
mod bodies;
mod chunked_upload;
mod chunks;
mod ciphertext;
mod direct;
mod download;
mod early;
mod follow;
mod growth;
mod load;
mod manifest;
mod piece_hash;
mod prefix;
mod reader;
mod record;
mod remote;
mod several;
mod spool;
pub(crate) mod unfinished;
mod upload;
mod verified;
mod writer;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub(crate) use self::blob::unreadable as unreadable_content;
pub(crate) use self::bodies::Bodies;
#[cfg(test)]
pub(crate) use self::bodies::MAX_BODIES;
pub(crate) use self::ciphertext::{Ciphertext, Elsewhere, Unopened, shown};
pub(crate) use self::direct::{NO_ROOM, SealedInPlace};
pub(crate) use self::download::{Wanted, download};
pub use self::early::{EarlyShare, StartedUpload};
pub(crate) use self::follow::{Found, follow};
pub use self::follow::{GrowingFile, GrowingReader};
pub(crate) use self::load::{load, stored};
pub(crate) use self::manifest::manifest;
pub(crate) use self::prefix::verified_prefix;
pub use self::reader::FileReader;
pub(crate) use self::reader::of_reader;
pub(crate) use self::record::FileRecord;
pub use self::several::SeveralFiles;
pub use self::upload::NewContent;
pub(crate) use self::upload::NewFile;
pub use self::verified::VerifiedContent;
pub use self::writer::FileWriter;

use crate::peer::Path;

/// In which format a file is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentFormat {
    /// One ciphertext over the whole, which every client of the protocol reads. At most
    /// [`max_file_size`](crate::Config::max_file_size).
    V1,
    /// Chunks that are sealed, sent and read one by one, as large as the backbone takes. Other clients of the protocol cannot
    /// read it.
    V2,
    /// `V1` for contents of at most [`max_file_size`](crate::Config::max_file_size), else `V2`.
    #[default]
    Auto,
}

impl ContentFormat {
    /// `v1`, `v2` or `auto`, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Auto => "auto",
        }
    }
}

/// Progress of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The current phase.
    pub phase: Phase,
    /// Bytes done in this phase.
    pub bytes: u64,
    /// Bytes to do in this phase, if known.
    pub total: Option<u64>,
    /// Bytes of the content that an earlier transfer moved and this one does not; `bytes` and `total` include them. 0 while content is
    /// sealed or verified, while an upload is followed, which begins with the first byte, and from the moment when a changed source
    /// turns out to need everything anew.
    pub resumed: u64,
    /// By which path the last bytes came, while content is downloaded.
    pub path: Option<Path>,
}

/// A step of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Plaintext is read, hashed and sealed.
    Sealing,
    /// Ciphertext goes to the backbone.
    Uploading,
    /// Ciphertext comes from the backbone.
    Downloading,
    /// Hashes and the authentication tag are checked.
    Verifying,
}

/// Called with the progress of a transfer, often: it must be cheap and must not block.
pub type Observer = Arc<dyn Fn(Progress) + Send + Sync>;
