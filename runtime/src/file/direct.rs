//! Seals a file of this machine without storing a byte of its ciphertext: for a share that only this node serves.

use transport::content::Tree;
use transport::crypto::SecretKey;
use transport::file::sign_content_ownership;

use super::blob::{BlobSealer, Limit, SealedBlob};
use super::record::ChunkMembers;
use super::{FileRecord, NewFile, Observer};
use crate::core::Core;
use crate::{Error, Result};

/// A file that is sealed where it is.
pub(crate) struct SealedInPlace {
    pub(crate) record: FileRecord,
    pub(crate) tree: Tree,
}

impl NewFile {
    /// Reads the content once, for the hashes of its chunks. It can be sealed again from its source, which has not changed then.
    ///
    /// # Errors
    /// [`Error::Source`] for a file that cannot be read or has changed.
    pub(crate) async fn seal_in_place(mut self, core: &Core, observer: Option<&Observer>) -> Result<SealedInPlace> {
        let (reader, cipher_key, secret_key) =
            (self.content.take_reader(), SecretKey::generate(), SecretKey::generate());
        let mut blob = BlobSealer::new(reader, &cipher_key, Limit::of_blob(u64::MAX), observer.cloned());
        while blob.piece().await?.is_some() {}
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
        Ok(SealedInPlace { record, tree })
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
