//! Delivery through the backbone of the node.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use transport::access::ClaimEnd;
use transport::backbone::{self, Download, Session, UploadContent, UploadFile, UploadObserver};
use transport::wire::backbone::files::{CreatedFile, FileMetadata};
use transport::wire::backbone::previews::FilePreview;
use transport::wire::backbone::token_terms::CreateTokenWithTerms;
use transport::wire::backbone::tokens::{CreatedToken, Token};
use transport::wire::{ClaimId, FileId, Timestamp, TokenId, UploadId};

use super::{Delivery, Failure, Incoming, Outgoing, PieceSupport, ResumedUpload, UploadState, pieces};
use crate::Error;
use crate::code::ErrorCode;
use crate::core::Core;

/// How long a challenge lasts from its creation, by the clock of the backbone.
const CHALLENGE_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// How long the backbone is asked what time it is. The refusal that this explains must not wait for longer.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How far the clocks of node and backbone may differ before what the backbone grants looks wrong: nodes whose clock is a
/// day off work.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

const NO_COUNT: &str = "The backbone does not say that it counts uses of tokens.";

/// The backbone of a node, in the name of its device.
pub(super) struct Backbone<'a> {
    core: &'a Core,
}

impl<'a> Backbone<'a> {
    pub(super) fn of(core: &'a Core) -> Self {
        Self { core }
    }

    fn session(&self) -> &'a Session {
        self.core.account.session()
    }

    /// When something expires for which the backbone said `told` although `asked` was sent. A backbone shortens what its
    /// guests store; it cannot lengthen anything, and what it says has ended long ago is not believed.
    fn granted_expiry(&self, asked: Timestamp, told: Timestamp) -> Timestamp {
        let is_over = told < self.core.clock.now().saturating_sub(CLOCK_TOLERANCE);
        if told < asked && !is_over { told } else { asked }
    }

    /// A failed write. Adds to an expiry that lies in the future here but has passed at the backbone what explains it: one of
    /// the clocks is wrong.
    async fn not_written(&self, expires_at: Timestamp, error: backbone::Error) -> Failure {
        match Failure::from(error) {
            Failure::Failed(Error::Backbone(error))
                if error.code().known() == Some(ErrorCode::PlatformInvalidPropertyValue) =>
            {
                let explanation = self.clocks_differ(expires_at).await;
                Failure::Failed(Error::Backbone(match explanation {
                    Some(explanation) => error.explained(explanation),
                    None => error,
                }))
            }
            other => other,
        }
    }

    /// What is said of the clocks if an expiry has passed by the backbone's and not by this node's.
    ///
    /// The backbone refuses any value with the same code, so it is asked what time it is: a challenge says it.
    async fn clocks_differ(&self, expires_at: Timestamp) -> Option<String> {
        let asked = tokio::time::timeout(CLOCK_TIMEOUT, self.core.account.client().create_challenge());
        let challenge = asked.await.ok()?.ok()?;
        let (here, there) = (self.core.clock.now(), challenge.expires_at.saturating_sub(CHALLENGE_LIFETIME));
        (here < expires_at && expires_at <= there).then(|| {
            format!(
                "By this node's clock it is {here} and {expires_at} lies ahead, so this machine's clock or the \
                 backbone's is wrong: check both."
            )
        })
    }

    /// A failed read. Adds to "not found" what most often explains it: the reference names another backbone than this node's.
    pub(super) fn not_read(&self, named: Option<&str>, error: backbone::Error) -> Failure {
        let own = self.core.base_url();
        match (Failure::from(error), named) {
            (Failure::NotFound(error), Some(named)) if !is_same_backbone(named, own) => {
                let (message, named, own) = (error.to_string(), named.to_owned(), own.to_owned());
                Failure::NotFound(Error::RecordOfAnotherBackbone { message, named, own })
            }
            (failure, _) => failure,
        }
    }
}

impl Delivery for Backbone<'_> {
    type FileContent = Download;

    /// A backbone that does not count uses is asked as one that has never heard of them.
    async fn token(
        &self,
        id: &TokenId,
        password_hash: Option<&str>,
        claim: Option<&ClaimId>,
        named: Option<&str>,
    ) -> Result<Token, Failure> {
        let session = self.session();
        let read = match claim {
            Some(claim) if self.counts_uses(id).await? => session.claimed_token(id, claim, password_hash).await,
            _ => session.token(id, password_hash).await,
        };
        read.map_err(|error| self.not_read(named, error))
    }

    async fn counts_uses(&self, _: &TokenId) -> Result<bool, Failure> {
        Ok(self.core.account.counts_uses().await?)
    }

    /// Without a claim the creator reads the token uncounted, so there is no way around it.
    async fn count_use(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Failure> {
        if !self.counts_uses(id).await? {
            return Err(Failure::Failed(Error::NotSupported(NO_COUNT.to_owned())));
        }
        Ok(self.session().claimed_token(id, claim, None).await.map(drop)?)
    }

    async fn renew_claim(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Failure> {
        if !self.counts_uses(id).await? {
            return Err(Failure::NotFound(Error::RecordNotFound("Claim")));
        }
        // Whoever has read it before needs no password.
        Ok(self.session().claim_token(id, claim, None).await.map(drop)?)
    }

    async fn end_claim(&self, id: &TokenId, claim: &ClaimId, end: ClaimEnd) -> Result<(), Failure> {
        if !self.counts_uses(id).await? {
            return Err(Failure::NotFound(Error::RecordNotFound("Claim")));
        }
        let ended = match end {
            ClaimEnd::Commit => self.session().commit_claim(id, claim).await,
            ClaimEnd::Release => self.session().release_claim(id, claim).await,
        };
        Ok(ended?)
    }

    async fn file_metadata(&self, id: &FileId, named: Option<&str>) -> Result<FileMetadata, Failure> {
        self.session().file_metadata(id).await.map_err(|error| self.not_read(named, error))
    }

    async fn file_content(&self, id: &FileId, limit: u64) -> Result<Download, Failure> {
        Ok(self.session().download_file(id, limit).await?)
    }

    async fn file_range(&self, id: &FileId, range: Range<u64>, limit: u64) -> Result<Download, Failure> {
        let length = range.end.saturating_sub(range.start);
        Ok(self.session().download_range(id, range.start, length, limit).await?)
    }

    async fn file_preview(&self, id: &FileId) -> Result<FilePreview, Failure> {
        Ok(self.session().file_preview(id).await?)
    }

    async fn follow_file(&self, id: &FileId, offset: u64, limit: u64) -> Result<Download, Failure> {
        Ok(self.session().follow_file(id, offset, limit).await?)
    }

    async fn create_token(&self, token: &CreateTokenWithTerms) -> Result<CreatedToken, Failure> {
        let expires_at = token.token.expires_at;
        // Any backbone makes a token of the published protocol.
        let created = match token.has_terms() {
            true => self.session().create_token_with_terms(token).await,
            false => self.session().create_token(&token.token).await,
        };
        let created = match created {
            Ok(created) => created,
            Err(error) => return Err(self.not_written(expires_at, error).await),
        };
        let expires_at = created.expires_at.map(|told| self.granted_expiry(expires_at, told));
        Ok(CreatedToken { expires_at, ..created })
    }

    async fn upload_file(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Failure> {
        let created = self.session().upload_file(file, content, observer).await;
        let created = match created {
            Ok(created) => created,
            Err(error) => return Err(self.not_written(file.expires_at, error).await),
        };
        Ok(CreatedFile { expires_at: self.granted_expiry(file.expires_at, created.expires_at), ..created })
    }

    /// Also without support if the backbone refuses the question, as one may that does not know it.
    async fn piece_support(&self) -> Result<Option<PieceSupport>, Failure> {
        match self.session().upload_support().await {
            Ok(support) => Ok(support
                .filter(|support| support.has_deferred_length)
                .map(|support| PieceSupport { max_length: support.max_size })),
            Err(error) if error.failure().is_refusal() && !error.is_transient() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn upload_pieces<O: Outgoing>(
        &self,
        content: &mut O,
        resumed: Option<ResumedUpload>,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Failure> {
        let (file, created) = pieces::upload(self.session(), content, resumed, observer).await?;
        Ok(CreatedFile { expires_at: self.granted_expiry(file.expires_at, created.expires_at), ..created })
    }

    async fn upload_state(&self, id: &UploadId) -> Result<UploadState, Failure> {
        Ok(pieces::state(self.session(), id).await?)
    }

    async fn remove_upload(&self, id: &UploadId) {
        pieces::remove(self.session(), id).await;
    }
}

impl Incoming for Download {
    fn offset(&self) -> u64 {
        self.offset()
    }

    fn length(&self) -> Option<u64> {
        self.length()
    }

    fn received(&self) -> u64 {
        self.received()
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        Ok(Self::chunk(self).await?)
    }
}

impl From<backbone::Error> for Failure {
    fn from(error: backbone::Error) -> Self {
        let kind = match &error {
            backbone::Error::AnswerTooLarge { .. } => Self::TooLarge,
            error if error.is_record_not_found() => Self::NotFound,
            error if error.is_exhausted() => Self::NoUseLeft,
            _ => Self::Failed,
        };
        kind(error.into())
    }
}

pub(super) fn is_same_backbone(left: &str, right: &str) -> bool {
    left.trim_end_matches('/').eq_ignore_ascii_case(right.trim_end_matches('/'))
}
