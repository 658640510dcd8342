//! Delivery through the backbone of the node.

use std::time::Duration;

use bytes::Bytes;
use transport::backbone::{self, Download, Session, UploadContent, UploadFile, UploadObserver};
use transport::wire::backbone::files::{CreatedFile, FileMetadata};
use transport::wire::backbone::tokens::{CreateToken, CreatedToken, Token};
use transport::wire::{FileId, Timestamp, TokenId};

use super::{Delivery, Failure, Incoming};
use crate::Error;
use crate::core::Core;

/// How the backbone refuses a value.
const INVALID_VALUE: &str = "error.platform.validation.invalidPropertyValue";

/// How far the clocks of node and backbone may differ before what the backbone grants looks wrong: nodes whose clock is a
/// day off work.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

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

    /// A failed write. Adds to an expiry that the backbone takes for the past but that lies in the future here what explains
    /// it: one of the clocks is wrong.
    fn not_written(&self, expires_at: Timestamp, error: backbone::Error) -> Failure {
        let now = self.core.clock.now();
        let explain = |error| match error {
            Error::Backbone { status, code, message, request, trace_id }
                if code == INVALID_VALUE && is_about_a_past_expiry(&message) && expires_at > now =>
            {
                let message = format!(
                    "{message} By this node's clock it is {now} and {expires_at} lies ahead, so this machine's clock or \
                     the backbone's is wrong: check both."
                );
                Error::Backbone { status, code, message, request, trace_id }
            }
            other => other,
        };
        match Failure::from(error) {
            Failure::Failed(error) => Failure::Failed(explain(error)),
            other => other,
        }
    }

    /// A failed read. Adds to "not found" what most often explains it: the reference names another backbone than this node's.
    pub(super) fn not_read(&self, named: Option<&str>, error: backbone::Error) -> Failure {
        let own = self.core.base_url();
        match (Failure::from(error), named) {
            (Failure::NotFound(error), Some(named)) if !is_same_backbone(named, own) => {
                Failure::NotFound(Error::RecordNotFoundAtBackbone(format!(
                    "{error} The reference names the backbone {named}, but this node uses {own}."
                )))
            }
            (failure, _) => failure,
        }
    }
}

impl Delivery for Backbone<'_> {
    type FileContent = Download;

    async fn token(&self, id: &TokenId, password_hash: Option<&str>, named: Option<&str>) -> Result<Token, Failure> {
        self.session().token(id, password_hash).await.map_err(|error| self.not_read(named, error))
    }

    async fn file_metadata(&self, id: &FileId, named: Option<&str>) -> Result<FileMetadata, Failure> {
        self.session().file_metadata(id).await.map_err(|error| self.not_read(named, error))
    }

    async fn file_content(&self, id: &FileId, limit: u64) -> Result<Download, Failure> {
        Ok(self.session().download_file(id, limit).await?)
    }

    async fn create_token(&self, token: &CreateToken) -> Result<CreatedToken, Failure> {
        let created = self.session().create_token(token).await;
        let created = created.map_err(|error| self.not_written(token.expires_at, error))?;
        let expires_at = created.expires_at.map(|told| self.granted_expiry(token.expires_at, told));
        Ok(CreatedToken { expires_at, ..created })
    }

    async fn upload_file(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Failure> {
        let created = self.session().upload_file(file, content, observer).await;
        let created = created.map_err(|error| self.not_written(file.expires_at, error))?;
        Ok(CreatedFile { expires_at: self.granted_expiry(file.expires_at, created.expires_at), ..created })
    }
}

impl Incoming for Download {
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
            _ => Self::Failed,
        };
        kind(error.into())
    }
}

/// Backbones write "must be in the future" for an expiry that has passed, and something else for one that is too late.
fn is_about_a_past_expiry(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("expires") && message.contains("in the future")
}

fn is_same_backbone(left: &str, right: &str) -> bool {
    left.trim_end_matches('/').eq_ignore_ascii_case(right.trim_end_matches('/'))
}
