//! What a user can do, one noun a file.

mod account;
mod challenges;
mod content_store;
mod files;
mod files_direct;
mod files_in_parts;
mod identity_metadata;
pub(crate) mod list;
mod peers;
mod storage;
mod storage_find;
mod storage_previews;
mod storage_tokens;
#[cfg(test)]
mod tests;
mod token_rows;
mod tokens;
mod tokens_any;
mod tokens_list;
mod tokens_rotate;
mod tokens_terms;
pub(crate) mod tokens_watch;

use std::sync::Arc;

use crate::core::Core;
use crate::peer::PeerServer;
use crate::sync::Synchronizer;

pub use account::{AccountFacade, Health};
pub use challenges::{ChallengesFacade, CreateChallenge, ValidateChallenge};
pub use content_store::ContentStoreFacade;
pub use files::{CreateTokenForFile, Download, FilesFacade, Followed, LoadFile, UploadOwnFile};
pub use identity_metadata::IdentityMetadataFacade;
pub use list::List;
pub use peers::PeersFacade;
pub use storage::{BucketContent, ContentRequest, DELETION_WAIT, FileChange, StorageFacade};
pub use storage_previews::WantedPreview;
pub use storage_tokens::{ByToken, FindFileTokens, FoundFileTokens, SENT_UNASKED, TokenUse};
pub use tokens::{CreateOwnToken, LoadPeerToken, TokensFacade};
pub use tokens_list::FindTokens;
pub use tokens_terms::UpdateToken;

pub use crate::file::{ContentFormat, EarlyShare, FileReader, FileWriter, GrowingFile, GrowingReader, NewContent};
pub use crate::file::{Observer, Phase, Progress, SeveralFiles, StartedUpload, VerifiedContent};
pub use crate::query::{Ownership, Parameters};
pub use crate::token::NewTerms;

/// What facades share: the core, and what runs above it. Nothing below the facades knows it.
pub(crate) struct Node {
    pub(crate) core: Arc<Core>,
    /// Pushes what facades changed and learns what others did.
    pub(crate) sync: Synchronizer,
    /// Answers peers, if there are any.
    pub(crate) server: Option<PeerServer>,
}
