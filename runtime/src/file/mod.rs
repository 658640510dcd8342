//! Files: how they are sealed, uploaded, loaded, downloaded and stored.

mod download;
mod load;
mod progress;
mod record;
mod spool;
mod upload;
mod verified;

pub(crate) use self::download::download;
pub(crate) use self::load::{load, stored};
pub use self::progress::{Observer, Phase, Progress};
pub(crate) use self::record::FileRecord;
pub(crate) use self::upload::NewFile;
pub use self::verified::VerifiedContent;
