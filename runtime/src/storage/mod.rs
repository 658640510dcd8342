//! Buckets and the files in them: what Appwrite's storage is to its clients, over the ordinary files of the node.
//!
//! # Contract
//!
//! - A bucket is a named group of own files with rules. A file in it is an entry that points to an ordinary own file, which is in
//!   the list of files as every other one, encrypted and uploaded as every other one. If the ordinary file is removed, by whichever
//!   device, its entry goes in the same commit.
//! - Buckets and entries are named values of the node's store, sealed and power-cut safe as all of them. None of them is in the
//!   datawallet: other devices and published clients see the ordinary files only.
//! - Who may do what is decided by the pure functions in `access.rs`, in the order of the interface.
//! - A content comes at once, or in parts in any order. A part is on disk, sealed, before it is acknowledged, and an upload goes on
//!   after the process was killed. Whoever brings the part that was missing makes the file, once.
//! - Everything that callers can make grow has a bound: buckets ([`MAX_BUCKETS`]), files ([`MAX_FILES_OF_BUCKET`]), permissions
//!   ([`MAX_PERMISSIONS`]), unfinished uploads by number, bytes and time ([`MAX_UPLOADS`],
//!   [`StorageConfig::max_unfinished_bytes`](crate::StorageConfig::max_unfinished_bytes), [`UPLOAD_LIFETIME`]).
//! - What was admitted goes on without its caller, and ends with the node only. Guests cannot take the places and the room of those
//!   with a key: a quarter of the places for contents ([`MAX_STAGED_OF_GUESTS`]) is kept for keys, and unfinished uploads of guests
//!   make room for theirs.
//! - A number of a bucket or file is never used again, so what is bound to one (a token) is not inherited by a later one with the
//!   same id. What holds for tokens is said in `token/mod.rs`.

pub(crate) mod access;
mod attribute;
mod bucket;
mod entry;
mod error;
#[cfg(test)]
mod faults;
mod find;
mod folder;
mod id;
#[cfg(test)]
mod killed;
mod ordinary;
mod parts;
mod permission;
mod range;
pub(crate) mod records;
mod search;
mod signature;
pub(crate) mod token;
pub(crate) mod upkeep;
pub(crate) mod upload;

pub use self::access::ContentUse;
pub use self::attribute::Listable;
pub(crate) use self::bucket::check_name;
pub use self::bucket::{
    BucketRequest, Compression, MAX_BUCKETS, MAX_EXTENSION, MAX_EXTENSIONS, MAX_FILES_OF_BUCKET, MAX_NAME,
};
pub use self::error::{StorageError, StorageResult};
pub use self::find::{Find, Found, Queries};
pub use self::folder::MAX_FOLDER;
pub use self::id::{MAX_ID, StorageId};
pub use self::permission::{Action, Caller, MAX_PERMISSIONS, Permissions, PermissionsOf};
pub use self::range::{PART_LENGTH, PartRange, parts_of};
pub use self::search::{MAX_SEARCH, Search};
pub use self::token::{
    ACCESS_DELAY, Change, Counting, Endpoints, FileTokenChange, FileTokenRequest, MAX_DOWNLOADS, MAX_LABEL, MAX_SECRET,
    MAX_TOKENS, MAX_TOKENS_OF_FILE, Notify, PresentedToken, READABLE_FOR, TokenClaim, TokenClaimId, TokenRefusal,
};
pub use crate::core::{MAX_STAGED, MAX_STAGED_OF_GUESTS};
pub use crate::listed::FileTokenQueries;
/// What previews are, what can be asked of them, and their bounds.
pub use preview;
/// The media type with which a browser may show a content of a type: its own if that is harmless, else that of text.
pub use preview::inline_type;

pub use self::upload::{
    MAX_UPLOADED_NAME, MAX_UPLOADS, NewBucketFile, SEEKABLE_ABOVE, STAGING_WAIT, StagedContent, UPLOAD_IDLE,
    UPLOAD_LIFETIME, UploadedFile,
};
