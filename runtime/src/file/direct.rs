//! Seals a file for a share that only this node serves: without storing a byte of its ciphertext if it is on this machine, into the
//! content store if it comes as a stream.

use transport::content::Tree;
use transport::crypto::SecretKey;
use transport::file::sign_content_ownership;

use super::blob::{BlobSealer, Limit, SealedBlob};
use super::record::ChunkMembers;
use super::{FileRecord, NewFile, Observer};
use crate::content_store::Keeping;
use crate::core::Core;
use crate::{Error, Result};

/// A file that is sealed where it is.
pub(crate) struct SealedInPlace {
    pub(crate) record: FileRecord,
    pub(crate) tree: Tree,
    /// The sealed chunks, of a content that cannot be read again.
    pub(crate) keeping: Option<Keeping>,
}

impl NewFile {
    /// Reads the content once, for the hashes of its chunks. A source can be sealed again if it has not changed then; the chunks of
    /// a stream go to the content store.
    ///
    /// # Errors
    /// [`Error::Source`] for a file that cannot be read or has changed, [`Error::InvalidPropertyValue`] for a stream that is larger
    /// than the content store.
    pub(crate) async fn seal_in_place(mut self, core: &Core, observer: Option<&Observer>) -> Result<SealedInPlace> {
        let is_stream = self.content.source().is_none();
        let (reader, cipher_key, secret_key) =
            (self.content.take_reader(), SecretKey::generate(), SecretKey::generate());
        let limit = if is_stream { core.content_store.max_size() } else { u64::MAX };
        let mut blob = BlobSealer::new(reader, &cipher_key, Limit::of_blob(limit), observer.cloned()).unhashed();
        blob.keeping = is_stream.then(|| core.content_store.keep_only_copy()).flatten();
        while blob.piece().await.map_err(|error| in_store(error, is_stream))?.is_some() {}
        let SealedBlob { length, root, cipher_hash } = blob.sealed()?;
        let tree =
            blob.built.take().ok_or_else(|| Error::Unknown("the content is not sealed to its end".to_owned()))?;
        let ChunkMembers { format, root: member, plaintext_hash } = ChunkMembers::of(&root);
        let account = &core.account;
        let record = FileRecord {
            secret_key,
            is_own: true,
            ownership_token: None,
            ownership_is_locked: None,
            filesize: length,
            filemodified: None,
            mimetype: self.mimetype,
            cipher_hash,
            created_at: core.clock.now(),
            expires_at: self.expires_at,
            cipher_key,
            owner: account.address().clone(),
            owner_signature: sign_content_ownership(&root, account.device_key()),
            plaintext_hash,
            created_by: account.address().clone(),
            created_by_device: account.device_id().clone(),
            title: self.title,
            description: self.description,
            filename: self.filename,
            tags: self.tags,
            format,
            root: member,
            manifest_length: self.content.manifest_length(),
        };
        Ok(SealedInPlace { record, tree, keeping: blob.keeping.take() })
    }

    /// Whether its metadata fit into a file.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] if they do not.
    pub(crate) fn check_metadata(&self) -> Result<()> {
        let nothing = transport::file::Extent::Growing { length: None };
        let sealed = self.metadata_v2(&SecretKey::generate(), nothing).seal(&SecretKey::generate());
        // What is known at the end only takes no more than this.
        let fits = sealed.0.len() + 256 <= transport::file::MAX_SEALED_METADATA_LENGTH;
        if fits { Ok(()) } else { Err(super::upload::metadata_too_long()) }
    }
}

/// Says of a stream that is too large which limit it exceeds: no backbone has one here.
fn in_store(error: Error, is_stream: bool) -> Error {
    match error {
        Error::InvalidPropertyValue(_) if is_stream => Error::InvalidPropertyValue(NO_ROOM.to_owned()),
        error => error,
    }
}

/// What is said of a content that the content store cannot have as a whole.
pub(crate) const NO_ROOM: &str =
    "the content store has no room for a file that is sent to the node; raise the setting enlace.contentStore.maxSize";
