//! File tokens: grants on exactly one file in a bucket, which this node serves itself. Whoever presents the secret of one gets the
//! content of its file, whatever permissions bucket and file have.
//!
//! # Contract
//!
//! - A token is bound to the numbers of its bucket and file, so that a new file with an old id does not inherit it. It goes in the
//!   commit that removes its file. Once its bucket is deleted there is no such token any more, for anybody.
//! - Neither a secret nor a hash of it is stored. A secret is a keyed hash over the id of the token and its generation, under a key of
//!   this node that nothing else uses ([`PresentedToken`]). It stays the same until it is rotated, whatever else changes.
//! - Whether a secret opens something is decided by the pure function [`judge`]. Unknown, revoked and wrong ones are the same refusal.
//! - Uses are counted by [`transport::access::Uses`]: each of them is on disk before the first byte that it pays for leaves. At most
//!   [`Terms::max_downloads`](FileTokenRequest::max_downloads) are ever leased or counted, in any order of requests and kills. A limit that is set
//!   later counts the uses from before; answers that are on their way then may be missing.
//! - Under a claim that counts content can be had for [`READABLE_FOR`] more, and then no longer.
//! - What was begun ends when the token is revoked, deleted or given another secret, and goes on when its time is over, as between
//!   nodes (`held`).
//! - When a token was used last is written behind the answer, [`ACCESS_DELAY`] later, and when the node stops. A try that fails is
//!   repeated, more and more rarely, up to once a minute. Whoever reads the token sees it at once.
//! - Tokens of a file and of the node are bounded ([`MAX_TOKENS_OF_FILE`], [`MAX_TOKENS`]). Those that are expired or revoked are removed
//!   after [`StorageConfig::token_retention`](crate::StorageConfig::token_retention).

mod access;
mod claim;
mod judge;
mod record;
mod secret;
mod terms;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use self::access::{flush, note_use, sweep};
pub use self::claim::{Counting, READABLE_FOR, TokenClaim, TokenClaimId};
pub(crate) use self::claim::{claim, commit, current, pay};
pub use self::judge::TokenRefusal;
pub(crate) use self::judge::{Facts, judge};
pub(crate) use self::record::{
    Named, TOKENS, TokenRecord, access_of, add, at, carry, find, of_bucket, of_file, presented, put, remove,
    remove_of_file, remove_unreadable, to_dto, uses_of,
};
pub(crate) use self::secret::TokenKey;
pub use self::secret::{MAX_SECRET, PresentedToken};
pub use self::terms::{Change, Endpoints, FileTokenChange, FileTokenRequest, MAX_DOWNLOADS, MAX_LABEL, Notify};

/// Tokens of one file, expired and revoked ones included.
pub const MAX_TOKENS_OF_FILE: usize = 1000;
/// Tokens of a node, expired and revoked ones included.
pub const MAX_TOKENS: u64 = 100_000;
/// How long after it the time of a use is on disk.
pub const ACCESS_DELAY: Duration = Duration::from_millis(500);
