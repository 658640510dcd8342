//! What a user can do, one noun a file.

mod account;
mod challenges;
mod files;
mod identity_metadata;
pub(crate) mod list;
mod tokens;

pub use account::{AccountFacade, Health};
pub use challenges::{ChallengesFacade, CreateChallenge, ValidateChallenge};
pub use files::{CreateTokenForFile, Download, FilesFacade, LoadFile, UploadOwnFile};
pub use identity_metadata::IdentityMetadataFacade;
pub use list::List;
pub use tokens::{CreateOwnToken, LoadPeerToken, TokensFacade};

pub use crate::file::{Observer, Phase, Progress, VerifiedContent};
pub use crate::query::{Ownership, Parameters};
