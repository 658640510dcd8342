//! Files: upload, list, share by token, load, download.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tracing::{info, instrument};
use transport::crypto::SecretKey;
use transport::token::TokenContent;
use transport::wire::{Address, AnyReference, FileId, Timestamp};

use super::Node;
use super::list::List;
use crate::code::ErrorCode;
use crate::config::{Secret, serialize_in_clear};
use crate::core::place;
use crate::delivery::learn;
use crate::dto::{File, PasswordProtection, Token};
use crate::event::Event;
use crate::file::{
    self, ContentFormat, EarlyShare, FileReader, FileRecord, FileWriter, Found, GrowingFile, GrowingReader, NewContent,
    NewFile, Observer, StartedUpload, VerifiedContent, Wanted,
};
use crate::held;
use crate::logging::short;
use crate::query::{self, FILES, Ownership, Query};
use crate::source::Source;
use crate::store::{Batch, View, collection};
use crate::token::{self, NewPassword, NewTerms, NewToken, TokenJson, check_future};
use crate::{Error, FileName, MediaType, Result, Tags};

/// A file on its way to the backbone.
pub struct UploadOwnFile {
    /// The plaintext.
    pub content: NewContent,
    /// The last segment of a path.
    pub filename: FileName,
    /// Media type without parameters.
    pub mimetype: MediaType,
    /// `9999-12-31T00:00:00.000Z` if absent; must lie in the future. Backbones shorten the former for guests, and the file
    /// that comes back has the expiry that holds.
    pub expires_at: Option<Timestamp>,
    /// Title shown to receivers.
    pub title: Option<String>,
    /// Description shown to receivers.
    pub description: Option<String>,
    /// Free or controlled tags, each of them once.
    pub tags: Option<Tags>,
    /// How the content is sealed.
    pub format: ContentFormat,
    /// Is told how far it is.
    pub observer: Option<Observer>,
}

impl UploadOwnFile {
    /// A file about which nothing else is said, and that never expires.
    pub fn new(content: impl AsyncRead + Send + 'static, filename: FileName, mimetype: MediaType) -> Self {
        Self::with_content(NewContent::Stream(Box::pin(content)), filename, mimetype)
    }

    /// The same for files on this machine. Several have format `v2`.
    #[must_use]
    pub fn from_source(source: Source, filename: FileName, mimetype: MediaType) -> Self {
        Self::with_content(NewContent::Source(source), filename, mimetype)
    }

    fn with_content(content: NewContent, filename: FileName, mimetype: MediaType) -> Self {
        Self {
            content,
            filename,
            mimetype,
            expires_at: None,
            title: None,
            description: None,
            tags: None,
            format: ContentFormat::Auto,
            observer: None,
        }
    }
}

/// A reference to a file, or to a token that holds one.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoadFile {
    /// Truncated or URL form.
    pub reference: String,
    /// For protected tokens; `""` counts as none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_in_clear")]
    pub password: Option<Secret>,
}

/// How a file is to be shared.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateTokenForFile {
    /// The file's own expiry if absent; must lie in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether the token is left out of the store. JSON that does not say so means `true`.
    #[serde(default = "ephemeral")]
    pub ephemeral: bool,
    /// The only identity that may load it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_identity: Option<Address>,
    /// What loading it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_protection: Option<PasswordProtection>,
    /// What is beyond the published protocol.
    #[serde(flatten)]
    pub terms: NewTerms,
}

/// What the published connectors do.
fn ephemeral() -> bool {
    true
}

/// A file with its bytes.
#[derive(Debug)]
pub struct Download {
    /// What is known of it.
    pub file: File,
    /// Its bytes.
    pub content: VerifiedContent,
}

/// A file that a reference names, or its upload.
#[derive(Debug)]
pub enum Followed {
    /// Its upload goes on.
    Growing(Box<GrowingFile>),
    /// It is there.
    Complete(Box<File>),
}

/// Everything a node does with files.
#[derive(Clone)]
pub struct FilesFacade {
    pub(super) node: Arc<Node>,
}

impl FilesFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Seals a file, uploads it and remembers it.
    ///
    /// Of format `v2` the chunks are sent while the content is read, in constant memory. A broken connection is continued; bytes
    /// that were sent are not sealed again. If the future is dropped, what was sent is removed at the backbone, or expires there.
    ///
    /// Of files on this machine ([`UploadOwnFile::from_source`]) what was sent stays, and so it does after an error that may pass, a
    /// kill or a power cut: the next upload of the same files in the same state goes on with it, for 7 days and 32 uploads. Uploads
    /// of the same files wait for each other.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for an expiry that is not in the future or later than the backbone allows,
    /// [`Error::InvalidTags`], then [`Error::InvalidPropertyValue`] for a content that is too large; [`Error::Source`] for a file on
    /// this machine that cannot be read or has changed; the backbone's errors; [`Error::Store`] if the backbone has the file but it
    /// could not be remembered here.
    #[instrument(skip_all)]
    pub async fn upload_own_file(&self, request: UploadOwnFile) -> Result<File> {
        let (format, observer) = (request.format, request.observer.clone());
        let new = self.checked(request).await?;
        let (id, record) = new.upload(&self.node.core, format, observer.as_ref()).await?;
        self.uploaded(id, record)
    }

    /// The same for a file of format `v2` that others can follow while it is uploaded: see [`EarlyShare`], and
    /// [`create_token_for_started_upload`](Self::create_token_for_started_upload).
    ///
    /// An upload of files on this machine that was interrupted goes on as the same file, so tokens that were made for it stay right.
    /// If that is not possible, a warning in the log says that they do not work any more.
    ///
    /// # Errors
    /// As [`upload_own_file`](Self::upload_own_file); [`Error::NotSupported`] if the request asks for format `v1`,
    /// [`Error::InvalidPropertyValue`] if the content has another length than was told, or turns out to have changed since an
    /// earlier run that is continued; in this case the next upload begins anew.
    #[instrument(skip_all)]
    pub async fn upload_own_file_early(&self, request: UploadOwnFile, early: EarlyShare) -> Result<File> {
        if request.format == ContentFormat::V1 {
            return Err(Error::NotSupported(
                "Only a file of format v2 can be shared before its upload has ended.".into(),
            ));
        }
        let observer = request.observer.clone();
        let new = self.checked(request).await?;
        let (id, record) = new.upload_early(&self.node.core, early, observer.as_ref()).await?;
        self.uploaded(id, record)
    }

    /// Checks everything but the content.
    async fn checked(&self, request: UploadOwnFile) -> Result<NewFile> {
        let expires_at = request.expires_at.unwrap_or(Timestamp::NEVER);
        check_future(expires_at, &*self.node.core.clock)?;
        self.check_lifetime(expires_at).await?;
        Self::new_file(request)
    }

    /// What is asked for, with permitted tags.
    pub(super) fn new_file(request: UploadOwnFile) -> Result<NewFile> {
        Ok(NewFile {
            content: request.content,
            filename: request.filename.into(),
            mimetype: request.mimetype.into(),
            expires_at: request.expires_at.unwrap_or(Timestamp::NEVER),
            title: request.title,
            description: request.description,
            tags: request.tags.map(Tags::into_permitted).transpose()?,
            beside: None,
        })
    }

    fn uploaded(&self, id: FileId, record: FileRecord) -> Result<File> {
        let file = record.into_dto(id, self.node.core.base_url())?;
        self.node.core.events.publish(Event::FileUploaded(Box::new(file.clone())));
        Ok(file)
    }

    /// A new file as a writer: what is written is sealed and sent at once. The content of `request` comes before it.
    ///
    /// Must be called within a tokio runtime. Dropping the writer before it is [finished](FileWriter::finish) gives the file up.
    #[must_use]
    pub fn write_own_file(&self, mut request: UploadOwnFile) -> FileWriter {
        let files = self.clone();
        FileWriter::new(move |written| async move {
            let start = request.content.into_reader();
            request.content = NewContent::Stream(Box::pin(start.chain(written)));
            files.upload_own_file(request).await
        })
    }

    /// The file with this id.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if it is not known here.
    pub async fn file(&self, id: &FileId) -> Result<File> {
        self.record(id)?.into_dto(id.clone(), self.node.core.base_url())
    }

    /// What [`files`](Self::files) can be filtered by.
    #[must_use]
    pub fn filters() -> Vec<&'static str> {
        query::public(FILES)
    }

    /// Files that match all parameters, in the order in which they became known. They are read page by page.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for fields that files do not have and values that a field does not take,
    /// [`Error::Unknown`] for unreadable regular expressions.
    pub fn files(&self, ownership: Ownership, parameters: &[(String, String)]) -> Result<List<File>> {
        let query = Query::parse(FILES, parameters, ownership)?;
        let place = place(self.node.core.base_url())?;
        let show = move |id, record: FileRecord| Ok(record.into_dto_at(id, &place));
        Ok(List::of_objects(self.node.core.clone(), collection::FILES, query, show))
    }

    /// Loads a file by its reference, or by the reference of a token that holds one. A known file is not asked for again.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for references to something else, [`Error::InvalidTruncatedReference`] for
    /// unreadable ones, [`Error::InvalidTokenContent`] if the token holds no file, `notIntendedForYou` and
    /// `noPasswordProvided` where the reference tells, `maxFileSizeExceeded` for files that are larger than this node takes,
    /// `uploadUnfinished` while the file is uploaded, and the backbone's errors.
    #[instrument(skip_all)]
    pub async fn get_or_load_file(&self, request: LoadFile) -> Result<File> {
        let (id, key, backbone) = self.named(&request).await?;
        let record = file::load(&self.node.core, &id, key, backbone.as_deref()).await?;
        record.into_dto(id, self.node.core.base_url())
    }

    /// Loads a file as [`get_or_load_file`](Self::get_or_load_file) does, or follows its upload if that has not ended: then the
    /// content can be read as it comes, and is remembered here once all of it was read.
    ///
    /// # Errors
    /// As [`get_or_load_file`](Self::get_or_load_file), without `uploadUnfinished`.
    #[instrument(skip_all)]
    pub async fn follow_file(&self, request: LoadFile, observer: Option<Observer>) -> Result<Followed> {
        let (id, key, backbone) = self.named(&request).await?;
        match file::follow(&self.node.core, &id, key, backbone.as_deref(), observer.as_ref()).await? {
            Found::Growing(growing) => Ok(Followed::Growing(growing)),
            Found::Complete(record) => {
                Ok(Followed::Complete(Box::new(record.into_dto(id, self.node.core.base_url())?)))
            }
        }
    }

    /// The file whose upload was followed.
    ///
    /// # Errors
    /// `uploadUnfinished` unless the reader was read to its end.
    pub fn followed(&self, content: &GrowingReader) -> Result<File> {
        let text = "The content was not read to its end; read the rest first.";
        let unread = || self.node.core.transport_error(ErrorCode::UploadUnfinished, text);
        let (id, record) = content.record().ok_or_else(unread)?;
        record.into_dto(id, self.node.core.base_url())
    }

    /// What a reference names: a file, the key to its metadata, and the backbone.
    async fn named(&self, request: &LoadFile) -> Result<(FileId, SecretKey, Option<String>)> {
        match AnyReference::parse(&request.reference).map_err(token::unreadable_reference)? {
            AnyReference::File(reference) => {
                learn::of_file_reference(&self.node.core, &reference).await?;
                Ok((reference.id, (&reference.key).into(), reference.backbone_base_url))
            }
            AnyReference::Token(reference) => {
                let password = request.password.as_ref().map(Secret::expose);
                let loaded = token::load(&self.node.core, &reference, password).await?;
                match TokenContent::parse_open(loaded.record.content.as_str(), true) {
                    Ok(TokenContent::File { file_id, secret_key, .. }) => {
                        Ok((file_id, secret_key, reference.backbone_base_url))
                    }
                    _ => Err(Error::InvalidTokenContent),
                }
            }
            AnyReference::RelationshipTemplate(_) => {
                Err(Error::InvalidPropertyValue("token / file reference invalid".to_owned()))
            }
        }
    }

    /// Fetches a file's bytes. Of format `v1` all of them are verified before the first one is handed out; of format `v2` they are
    /// fetched and verified chunk by chunk while they are read, from the first authenticated chunk on, and the errors below
    /// may come from the reader ([`FileReader`](crate::facade::FileReader)).
    ///
    /// What the [content store](crate::Config::content_store) has is read from there: if it has all of the file, the backbone is not
    /// asked, and may have removed the file meanwhile.
    ///
    /// Dropping the future or the reader ends the transfer; nothing remains but what the content store has taken.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if the file is not known here, [`Error::RecordNotFoundAtBackbone`] if it expired or was
    /// deleted there, `maxFileSizeExceeded` and [`Error::StorageFull`] if there is no room for it, `cipherMismatch` and `plaintextHashMismatch` if the bytes are not those that were uploaded.
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn download_file(&self, id: &FileId, observer: Option<Observer>) -> Result<Download> {
        let record = self.record(id)?;
        let content = file::download(&self.node.core, id, &record, Wanted::Everything, observer.as_ref()).await?;
        Ok(Download { file: record.into_dto(id.clone(), self.node.core.base_url())?, content })
    }

    /// Some bytes of a file. Of format `v2` only the chunks with these bytes are fetched, and the hashes that verify them; of
    /// format `v1` all of the file is, because nothing less can be verified.
    ///
    /// # Errors
    /// As [`download_file`](Self::download_file); [`Error::InvalidPropertyValue`] for a range that is not within the file.
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn read_range(&self, id: &FileId, range: Range<u64>) -> Result<Download> {
        let record = self.record(id)?;
        let content = file::download(&self.node.core, id, &record, Wanted::Range(range), None).await?;
        Ok(Download { file: record.into_dto(id.clone(), self.node.core.base_url())?, content })
    }

    /// A file of format `v2` as a reader that can jump; only what is read is fetched.
    ///
    /// # Errors
    /// As [`download_file`](Self::download_file); [`Error::NotSupported`] for files of format `v1`.
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn open_file(&self, id: &FileId) -> Result<FileReader> {
        let record = self.record(id)?;
        if record.format.is_none() {
            return Err(Error::NotSupported("A file of format v1 cannot be read in parts.".to_owned()));
        }
        let content = file::download(&self.node.core, id, &record, Wanted::Anything, None).await?;
        content.into_seekable().map_err(|_| Error::Unknown("the file is not in chunks".to_owned()))
    }

    /// Creates a token by which others load the file. Each call makes a new one.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for an expiry that is not in the future, an invalid PIN and an invalid password location,
    /// in this order; then [`Error::RecordNotFound`]; then the backbone's errors.
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn create_token_for_file(&self, id: &FileId, request: CreateTokenForFile) -> Result<Token> {
        if let Some(expires_at) = request.expires_at {
            check_future(expires_at, &*self.node.core.clock)?;
        }
        let password = request.password_protection.clone().map(NewPassword::check).transpose()?;
        let record = self.record(id)?;
        let content = TokenContent::file(id.clone(), record.secret_key);
        // Only the node of the owner serves a file.
        let shares = Some(id.clone()).filter(|_| record.is_own);
        self.create_token((content, shares), record.expires_at, password, request).await
    }

    /// Creates a token by which others follow an upload, and load the file when it has ended.
    ///
    /// # Errors
    /// As [`create_token_for_file`](Self::create_token_for_file), without [`Error::RecordNotFound`].
    #[instrument(skip_all, fields(file = short(upload.file_id())))]
    pub async fn create_token_for_started_upload(
        &self,
        upload: &StartedUpload,
        request: CreateTokenForFile,
    ) -> Result<Token> {
        if let Some(expires_at) = request.expires_at {
            check_future(expires_at, &*self.node.core.clock)?;
        }
        let password = request.password_protection.clone().map(NewPassword::check).transpose()?;
        let (file_id, secret_key) = (upload.file_id().clone(), upload.metadata_key().clone());
        let shares = Some(file_id.clone());
        let content = TokenContent::file(file_id, secret_key);
        self.create_token((content, shares), upload.expires_at(), password, request).await
    }

    async fn create_token(
        &self,
        (content, shares): (TokenContent, Option<FileId>),
        expires_at: Timestamp,
        password: Option<NewPassword>,
        request: CreateTokenForFile,
    ) -> Result<Token> {
        let new = NewToken {
            terms: request.terms,
            replaces: None,
            content: TokenJson::from(&content),
            expires_at: request.expires_at.unwrap_or(expires_at),
            ephemeral: request.ephemeral,
            for_identity: request.for_identity,
            password,
            shares,
        };
        new.create(&self.node.core).await
    }

    /// Deletes a file: at the backbone too if it is ours. One that is gone there already counts as deleted.
    ///
    /// Tokens for it stay until they expire, but loading the file fails.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if it is not known here, and the backbone's errors; then nothing was deleted.
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn delete_file(&self, id: &FileId) -> Result<()> {
        let record = self.record(id)?;
        if record.is_own {
            match self.node.core.account.session().delete_file(id).await {
                Err(error) if error.is_record_not_found() => info!("the file was gone at the backbone already"),
                outcome => outcome?,
            }
        }
        held::remove_object(&self.node.core, collection::FILES, id.as_str()).await?;
        learn::forget(&self.node.core, id).await?;
        if let Some(root) = record.root {
            self.node.core.content_store.remove(&root).await;
        }
        self.node.core.events.publish(Event::FileDeleted(id.clone()));
        Ok(())
    }

    /// Replaces the ownership token and clears the lock.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if the file is not known here, [`Error::FileNotOwnedByYou`] for peers' files, and the
    /// backbone's errors.
    #[instrument(skip_all, fields(file = short(id)))]
    pub async fn regenerate_file_ownership_token(&self, id: &FileId) -> Result<File> {
        if !self.record(id)?.is_own {
            return Err(Error::FileNotOwnedByYou);
        }
        let token = self.node.core.account.session().regenerate_ownership_token(id).await?.new_ownership_token;
        let replace = |view: &View<'_>| {
            let object = view.object(collection::FILES, id.as_str())?;
            let mut object = object.ok_or(Error::RecordNotFound("File"))?;
            object.properties.insert("ownershipToken".to_owned(), token.into());
            object.properties.remove("ownershipIsLocked");
            let (_, record) = FileRecord::read(&object)?;
            let mut batch = Batch::new();
            batch.record_update(object);
            Ok((batch, record))
        };
        let record = self.node.core.change(replace).await?;
        record.into_dto(id.clone(), self.node.core.base_url())
    }

    /// Refuses an expiry that the backbone would refuse once it has the content. [`Timestamp::NEVER`] it shortens.
    async fn check_lifetime(&self, expires_at: Timestamp) -> Result<()> {
        if expires_at >= Timestamp::NEVER {
            return Ok(());
        }
        let Some(lifetime) = self.node.core.account.max_lifetime().await else { return Ok(()) };
        if expires_at <= self.node.core.clock.now().saturating_add(lifetime) {
            return Ok(());
        }
        let longest = match (lifetime.as_secs() / DAY, lifetime.as_secs() % DAY) {
            (days, 0) => format!("{days} days"),
            _ => format!("{} seconds", lifetime.as_secs()),
        };
        Err(Error::InvalidPropertyValue(format!(
            "'expiresAt' must be at most {longest} from now: the backbone keeps nothing of this identity for longer"
        )))
    }

    pub(super) fn record(&self, id: &FileId) -> Result<FileRecord> {
        file::stored(&self.node.core.store.view(), id)?.ok_or(Error::RecordNotFound("File"))
    }
}

/// In seconds.
const DAY: u64 = 24 * 60 * 60;
