//! The contract of stores for records, blobs and notifications. The rest of the crate uses these traits only.
//!
//! The embedded implementation serves one process. The traits ask for nothing that a database server with an object store
//! cannot give to several: a [`Session`] is a database transaction with advisory locks, an [`Update`] a row that is locked,
//! read and written, a [`Notification`] what `NOTIFY` sends at the commit, a [`Claim`] an upload that has no row yet.
//!
//! What one process can observe of the contract is a test in `conformance`, which runs against every implementation; what only
//! a power cut or a full disk shows is tested with the whole server (`tests/tests/power_cut`, `tests/tests/full_disk.rs`,
//! `backbone-mock/tests/durability.rs`).
//!
//! # Records
//!
//! Bytes under keys of bytes, in the order of the keys.
//!
//! - **Atomic.** A commit takes effect as a whole or not at all, also across a crash.
//! - **Durable.** When [`Session::commit`] has returned, the changes survive a loss of power, and every read sees them. None
//!   sees them before they are durable.
//! - **Refused** commits change nothing, send no notification and give their claims back. A full disk refuses a commit
//!   ([`StoreError::Full`]); so does an [`Update`] that fails.
//! - **Ordered.** [`Records::scan`] and [`Records::keys`] return at most `limit` of what is in the range, the smallest keys
//!   first. Keys that come or go meanwhile may or may not show; all others do. So whoever goes on behind the last key of
//!   each step sees each of the others once.
//! - **Exclusive.** A name is locked by one session at a time in each [`LockSpace`]. Names of different spaces have nothing
//!   to do with each other. Two names of one space may exclude each other too.
//! - **Free of deadlock.** All names of one call are locked in an order that all sessions share. A session calls
//!   [`Session::lock`] at most once for each space, in the order of the spaces.
//! - **Released.** Locks end when their session is dropped, or when its commit has taken effect or was refused; whoever gets
//!   them next reads what the commit wrote. An implementation that can lose a lock refuses the commit then.
//! - **Released early**, if [`Changes`] ask for it, locks end as soon as the order of the commit is decided, so that those who wait for
//!   the same lock share what makes them durable. Whoever gets them next reads what the commit wrote by [`Session::latest`], and only by
//!   that until it is durable. It may be lost; then everything is refused that was committed after it was read. So whoever has read that
//!   way commits before anything is answered, be it without changes. An implementation may also release them as all others.
//! - **Reads** need no lock and wait for none. They see what is committed, each by itself. A session that holds locks can
//!   always read: reads must not wait for something that sessions take and keep, such as a place in a pool of connections.
//! - **Exact.** An [`Update`] sees what all commits before it wrote, although no lock is held on its key.
//! - **Cancelled** commits, whose future is dropped, are decided all the same: by the time their locks are free, they have
//!   taken effect or never will; of one that releases early, its order is decided. A commit that was never polled has no effect.
//! - **Wide enough.** Keys of any bytes are taken up to [`MAX_KEY_BYTES`], and commits up to [`MAX_COMMIT_BYTES`]. Larger ones
//!   may be refused. The rules keep to it: the largest commit is that of a request body with the records it becomes.
//! - **Closed** records refuse commits. Closing twice does nothing more.
//!
//! # Errors
//!
//! Whoever calls knows the kinds of [`StoreError`] only; the error of the implementation is the source.
//!
//! - **Full**: there is no room. Nothing has changed, and later commits can succeed.
//! - **Stopped**: no commit is acknowledged any more until the store is opened again; [`Records::is_healthy`] says so too. What
//!   the failed commit wrote may be there then.
//! - **Damaged**: what was asked for is there but cannot be read.
//! - **Failed**: everything else. Other operations can succeed.
//! - **Quota** comes from updates only, and passes through.
//!
//! # Blobs
//!
//! Bytes in any amount under names that the implementation chooses. They come first; the record that names them is written
//! second. So a crash leaves at most a blob that no record names, never a record without its bytes.
//!
//! - **Published** blobs are complete, durable and readable by the time [`BlobWriter::publish`] returns; their names were
//!   never used before. Blobs that are not published leave nothing.
//! - **Claimed** blobs, by whichever process, are not listed by [`Blobs::unclaimed`]. A [`Claim`] that is dropped before it
//!   is kept removes its blob; one that was kept leaves it.
//! - **Read** to the end, a blob gives what was written. A missing one is `None`. Who has opened a blob may read it to its
//!   end, although it is deleted meanwhile.
//! - **In part**, it gives the bytes behind an offset, as many as are asked for and are there. That costs what is read.
//! - **Appended** bytes are durable and readable by the time [`BlobAppender::sync`] returns. What was written after the last
//!   [`sync`](BlobAppender::sync) may be there or not: whoever goes on says behind how many bytes, and what is behind them is
//!   cut off. A blob that has fewer is an error.
//! - **One at a time**, of all processes, appends to a blob. The next one can when the [`BlobAppender`] is dropped.
//! - **Deleted** blobs are gone; deleting what is not there does nothing.
//! - **Listed** in steps of bounded size, every blob is in one of them that was there all the time and not claimed.
//!
//! # Notifications
//!
//! - **Sent** once to all receivers of all processes, this one too, after the commit has become visible, also if nobody
//!   waits for the commit. They may be lost on the way: whoever receives the next one finds everything in the records.
//!
//! # The server's key
//!
//! - **Kept.** The key is made with the first records and is the same ever after. It lies beside them, not in them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha512};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::error::StoreError;
use crate::notifications::Notification;
use crate::secrets::ServerKey;

/// Bytes of the longest key that every implementation takes.
pub(crate) const MAX_KEY_BYTES: usize = 1024;
/// Bytes of the keys and values of the largest commit that every implementation takes.
pub(crate) const MAX_COMMIT_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of a blob that a reader asks for at a time.
pub(super) const READ_SIZE: usize = 120 * 1024;

/// What an implementation is doing.
pub(crate) type Pending<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The parts of an implementation.
pub(crate) struct Backend {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) notifications: Arc<dyn Notifications>,
    pub(crate) server_key: ServerKey,
}

/// Records. The contract is that of the [module](self).
pub(crate) trait Records: Send + Sync {
    /// Reads the record under a key.
    fn get<'a>(&'a self, key: &'a [u8]) -> Pending<'a, Option<Vec<u8>>>;

    /// Whether there is a record under a key.
    fn contains<'a>(&'a self, key: &'a [u8]) -> Pending<'a, bool>;

    /// Reads up to `limit` records of a range, with their keys.
    fn scan<'a>(&'a self, range: KeyRange<'a>, limit: usize) -> Pending<'a, Vec<(Vec<u8>, Vec<u8>)>>;

    /// Reads up to `limit` keys of a range.
    fn keys<'a>(&'a self, range: KeyRange<'a>, limit: usize) -> Pending<'a, Vec<Vec<u8>>>;

    /// Begins a session. Acquires nothing yet: no lock, no connection.
    fn begin(&self) -> Box<dyn Session>;

    /// [`StoreError::Full`] if fewer bytes are free. Answers without waiting.
    fn check_room(&self, bytes: u64) -> Result<(), StoreError>;

    /// Whether commits can still succeed.
    fn is_healthy(&self) -> bool;

    /// Does periodic work. Every sweep calls it.
    fn maintain(&self);

    /// Ends background work and waits for pending commits.
    fn close(&self) -> Pending<'_, ()>;
}

/// Keys from `from` up to but not including `until`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyRange<'a> {
    pub(crate) from: &'a [u8],
    pub(crate) until: &'a [u8],
}

/// Separate spaces of lock names, in the order in which sessions lock them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LockSpace {
    /// Single records.
    Records,
    /// What belongs to identities.
    Identities,
}

/// Locks, and a commit under them. Dropping it releases the locks and changes nothing.
pub(crate) trait Session: Send + Sync {
    /// Locks names until the end of the session.
    ///
    /// # Cancellation
    /// The session holds what it held before, or more; all of it ends with the session.
    fn lock<'a>(&'a mut self, space: LockSpace, names: &'a [&'a str]) -> Pending<'a, ()>;

    /// Reads the record under a key, as the commits left it that held the same lock and released it early.
    fn latest<'a>(&'a mut self, key: &'a [u8]) -> Pending<'a, Option<Vec<u8>>>;

    /// Makes changes durable, then visible, then releases the locks, unless that happens early.
    fn commit(self: Box<Self>, changes: Changes) -> Pending<'static, ()>;
}

/// What a commit changes.
#[derive(Default)]
pub(crate) struct Changes {
    /// Records to be written or, without a value, removed.
    pub(crate) writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Records that are computed from what they were. None of them is in `writes`.
    pub(crate) updates: BTreeMap<Vec<u8>, Update>,
    /// Blobs that records in `writes` name from now on. Kept from when the commit may take effect, and dropped when that is
    /// decided.
    pub(crate) claims: Vec<Box<dyn Claim>>,
    /// Notifications to send once the commit is visible.
    pub(crate) notifications: Vec<Notification>,
    /// Whether the locks may end before the changes are durable.
    pub(crate) releases_early: bool,
}

/// Computes a record from what it was. May be called several times. Its error is that of the commit.
pub(crate) type Update = Box<dyn Fn(Option<Vec<u8>>) -> Result<Option<Vec<u8>>, StoreError> + Send + Sync>;

/// Blobs. The contract is that of the [module](self).
pub(crate) trait Blobs: Send + Sync {
    /// Starts a blob.
    fn create(&self) -> Pending<'_, Box<dyn BlobWriter>>;

    /// Opens a blob.
    fn open<'a>(&'a self, name: &'a str) -> Pending<'a, Option<BlobReader>> {
        self.open_part(name, 0, u64::MAX)
    }

    /// Opens a blob to read at most `length` bytes behind the first `offset` ones.
    fn open_part<'a>(&'a self, name: &'a str, offset: u64, length: u64) -> Pending<'a, Option<BlobReader>>;

    /// Opens a blob to append to it.
    fn append<'a>(&'a self, name: &'a str) -> Pending<'a, Appending>;

    /// Removes a blob.
    fn delete<'a>(&'a self, name: &'a str) -> Pending<'a, ()>;

    /// A step of the unclaimed blobs, after the step that ended with this cursor.
    fn unclaimed<'a>(&'a self, after: Option<&'a str>) -> Pending<'a, Unclaimed>;
}

/// A step of a list of blobs.
pub(crate) struct Unclaimed {
    pub(crate) names: Vec<String>,
    /// The cursor of the next step, if there is one.
    pub(crate) next: Option<String>,
}

/// Takes the bytes of a new blob, in constant memory. Dropped before [`publish`](Self::publish), it leaves nothing.
pub(crate) trait BlobWriter: Send {
    /// Appends bytes. After an error the blob cannot be published any more.
    fn write(&mut self, bytes: Bytes) -> Pending<'_, ()>;

    /// Makes the bytes durable and readable.
    fn publish(self: Box<Self>) -> Pending<'static, (PublishedBlob, Written)>;
}

/// Whether a blob can be appended to.
pub(crate) enum Appending {
    /// There is no such blob.
    Missing,
    /// Somebody else appends to it.
    Busy,
    /// Nobody else appends to it for as long as this exists.
    Open(Box<dyn BlobAppender>),
}

/// Appends bytes to a blob, in constant memory. Dropped, it leaves what is behind the last [`sync`](Self::sync) undecided.
pub(crate) trait BlobAppender: Send {
    /// Goes on behind these bytes, and cuts off what is behind them. Comes first, and whenever something shall be taken back,
    /// also after an error of the other functions.
    fn resume(&mut self, behind: AppendProgress) -> Pending<'_, ()>;

    /// Appends bytes. After an error nothing can be appended until [`resume`](Self::resume).
    fn write(&mut self, bytes: Bytes) -> Pending<'_, ()>;

    /// Makes all bytes durable and readable. Returns how far they go.
    fn sync(&mut self) -> Pending<'_, AppendProgress>;
}

/// How far the bytes of a blob go.
#[derive(Clone, Default)]
pub(crate) struct AppendProgress {
    /// Bytes.
    pub(crate) size: u64,
    /// What hashes them, to go on with.
    pub(crate) sha512: Sha512,
}

impl AppendProgress {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha512.update(bytes);
    }

    /// What a blob is that ends here.
    pub(crate) fn written(self) -> Written {
        Written { size: self.size, sha512: self.sha512.finalize().to_vec() }
    }
}

/// What a finished blob turned out to be.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// Bytes.
    pub(crate) size: u64,
    /// SHA-512 of the bytes.
    pub(crate) sha512: Vec<u8>,
}

/// The claim of an upload, or of a pending commit, to a blob.
pub(crate) trait Claim: Send + Sync {
    /// Keeps the blob from now on, because a record may name it.
    fn keep(&mut self);
}

/// A published blob that no record names yet. Dropping it removes the blob.
pub(crate) struct PublishedBlob {
    name: String,
    claim: Box<dyn Claim>,
}

impl PublishedBlob {
    pub(super) fn new(name: String, claim: impl Claim + 'static) -> Self {
        Self { name, claim: Box::new(claim) }
    }

    /// Its name: lower-case hex digits.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn into_claim(self) -> Box<dyn Claim> {
        self.claim
    }
}

/// A blob, or a part of one, that is open.
pub(crate) struct BlobReader {
    size: u64,
    bytes: Pin<Box<dyn AsyncRead + Send>>,
}

impl BlobReader {
    pub(super) fn new(size: u64, bytes: impl AsyncRead + Send + 'static) -> Self {
        Self { size, bytes: Box::pin(bytes) }
    }

    /// Bytes that it gives.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes, in order.
    pub(crate) fn into_bytes(self) -> impl AsyncRead + Send + 'static {
        self.bytes
    }

    /// The bytes in pieces. Ends after an error.
    pub(crate) fn into_stream(self) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
        ReaderStream::with_capacity(self.bytes, READ_SIZE)
    }
}

/// Notifications of commits. The contract is that of the [module](self).
pub(crate) trait Notifications: Send + Sync {
    /// Passes all notifications from now on to a receiver, for as long as the store is open.
    fn subscribe(&self, receiver: Receiver);
}

/// Receives notifications. Must not wait.
pub(crate) type Receiver = Box<dyn Fn(&Notification) + Send + Sync>;
