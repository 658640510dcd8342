//! What a node shares that shares nothing.

use std::convert::Infallible;
use std::ops::Range;

use bytes::Bytes;
use transport::peer::{Caller, Content, FileTarget, HeldContent, Holder, Refusal};
use transport::wire::TokenId;
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;

/// Shares nothing.
pub(crate) struct SharesNothing;

/// A content that cannot be.
pub(crate) struct NoContent(Infallible);

impl Holder for SharesNothing {
    type Content = NoContent;

    async fn token(&self, _: &TokenId, _: Caller<'_>) -> Result<Token, Refusal> {
        Err(Refusal::NotFound)
    }

    async fn metadata(&self, _: &FileTarget, _: Caller<'_>) -> Result<FileMetadata, Refusal> {
        Err(Refusal::NotFound)
    }

    async fn content(&self, _: &FileTarget, _: Caller<'_>) -> Result<HeldContent<NoContent>, Refusal> {
        Err(Refusal::NotFound)
    }
}

impl Content for NoContent {
    async fn read(&mut self, _: Range<u64>) -> Result<Bytes, Refusal> {
        match self.0 {}
    }
}
