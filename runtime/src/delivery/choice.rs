//! The way that tests choose: through a holder in memory within its scope, else through the backbone.

use std::ops::Range;

use bytes::Bytes;
use transport::access::ClaimEnd;
use transport::backbone::{Download, UploadContent, UploadFile, UploadObserver};
use transport::wire::backbone::files::{CreatedFile, FileMetadata};
use transport::wire::backbone::previews::FilePreview;
use transport::wire::backbone::token_terms::CreateTokenWithTerms;
use transport::wire::backbone::tokens::{CreatedToken, Token};
use transport::wire::{ClaimId, FileId, TokenId, UploadId};

use super::backbone::Backbone;
use super::memory::{HeldContent, Holder, Memory};
use super::{Delivery, Failure, Incoming, Outgoing, PieceSupport, ResumedUpload, UploadState};
use crate::core::Core;

/// One of two ways.
pub(crate) enum Choice<B, M> {
    Backbone(B),
    Memory(M),
}

impl<'a> Choice<Backbone<'a>, Memory<'a>> {
    pub(super) fn of(core: &'a Core) -> Self {
        match Holder::current() {
            Some(holder) => Self::Memory(Memory { core, holder }),
            None => Self::Backbone(Backbone::of(core)),
        }
    }
}

impl Delivery for Choice<Backbone<'_>, Memory<'_>> {
    type FileContent = Choice<Download, HeldContent>;

    async fn token(
        &self,
        id: &TokenId,
        password_hash: Option<&str>,
        claim: Option<&ClaimId>,
        named: Option<&str>,
    ) -> Result<Token, Failure> {
        match self {
            Self::Backbone(by) => by.token(id, password_hash, claim, named).await,
            Self::Memory(by) => by.token(id, password_hash, claim, named).await,
        }
    }

    async fn counts_uses(&self, id: &TokenId) -> Result<bool, Failure> {
        match self {
            Self::Backbone(by) => by.counts_uses(id).await,
            Self::Memory(by) => by.counts_uses(id).await,
        }
    }

    async fn count_use(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Failure> {
        match self {
            Self::Backbone(by) => by.count_use(id, claim).await,
            Self::Memory(by) => by.count_use(id, claim).await,
        }
    }

    async fn renew_claim(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Failure> {
        match self {
            Self::Backbone(by) => by.renew_claim(id, claim).await,
            Self::Memory(by) => by.renew_claim(id, claim).await,
        }
    }

    async fn end_claim(&self, id: &TokenId, claim: &ClaimId, end: ClaimEnd) -> Result<(), Failure> {
        match self {
            Self::Backbone(by) => by.end_claim(id, claim, end).await,
            Self::Memory(by) => by.end_claim(id, claim, end).await,
        }
    }

    async fn file_metadata(&self, id: &FileId, named: Option<&str>) -> Result<FileMetadata, Failure> {
        match self {
            Self::Backbone(by) => by.file_metadata(id, named).await,
            Self::Memory(by) => by.file_metadata(id, named).await,
        }
    }

    async fn file_content(&self, id: &FileId, limit: u64) -> Result<Self::FileContent, Failure> {
        Ok(match self {
            Self::Backbone(by) => Choice::Backbone(by.file_content(id, limit).await?),
            Self::Memory(by) => Choice::Memory(by.file_content(id, limit).await?),
        })
    }

    async fn file_range(&self, id: &FileId, range: Range<u64>, limit: u64) -> Result<Self::FileContent, Failure> {
        Ok(match self {
            Self::Backbone(by) => Choice::Backbone(by.file_range(id, range, limit).await?),
            Self::Memory(by) => Choice::Memory(by.file_range(id, range, limit).await?),
        })
    }

    async fn file_preview(&self, id: &FileId) -> Result<FilePreview, Failure> {
        match self {
            Self::Backbone(by) => by.file_preview(id).await,
            Self::Memory(by) => by.file_preview(id).await,
        }
    }

    async fn follow_file(&self, id: &FileId, offset: u64, limit: u64) -> Result<Self::FileContent, Failure> {
        Ok(match self {
            Self::Backbone(by) => Choice::Backbone(by.follow_file(id, offset, limit).await?),
            Self::Memory(by) => Choice::Memory(by.follow_file(id, offset, limit).await?),
        })
    }

    async fn create_token(&self, token: &CreateTokenWithTerms) -> Result<CreatedToken, Failure> {
        match self {
            Self::Backbone(by) => by.create_token(token).await,
            Self::Memory(by) => by.create_token(token).await,
        }
    }

    async fn upload_file(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Failure> {
        match self {
            Self::Backbone(by) => by.upload_file(file, content, observer).await,
            Self::Memory(by) => by.upload_file(file, content, observer).await,
        }
    }

    async fn piece_support(&self) -> Result<Option<PieceSupport>, Failure> {
        match self {
            Self::Backbone(by) => by.piece_support().await,
            Self::Memory(by) => by.piece_support().await,
        }
    }

    async fn upload_pieces<O: Outgoing>(
        &self,
        content: &mut O,
        resumed: Option<ResumedUpload>,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Failure> {
        match self {
            Self::Backbone(by) => by.upload_pieces(content, resumed, observer).await,
            Self::Memory(by) => by.upload_pieces(content, resumed, observer).await,
        }
    }

    async fn upload_state(&self, id: &UploadId) -> Result<UploadState, Failure> {
        match self {
            Self::Backbone(by) => by.upload_state(id).await,
            Self::Memory(by) => by.upload_state(id).await,
        }
    }

    async fn remove_upload(&self, id: &UploadId) {
        match self {
            Self::Backbone(by) => by.remove_upload(id).await,
            Self::Memory(by) => by.remove_upload(id).await,
        }
    }
}

impl Incoming for Choice<Download, HeldContent> {
    fn offset(&self) -> u64 {
        match self {
            Self::Backbone(content) => Incoming::offset(content),
            Self::Memory(content) => content.offset(),
        }
    }

    fn length(&self) -> Option<u64> {
        match self {
            Self::Backbone(content) => Incoming::length(content),
            Self::Memory(content) => content.length(),
        }
    }

    fn received(&self) -> u64 {
        match self {
            Self::Backbone(content) => Incoming::received(content),
            Self::Memory(content) => content.received(),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Backbone(content) => Incoming::chunk(content).await,
            Self::Memory(content) => content.chunk().await,
        }
    }
}
