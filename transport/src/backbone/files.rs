//! `/Files`, except for the transfers in `upload` and `download`.

use reqwest::Method;

use super::bounds::AnswerBounds;
use super::http::Request;
use super::{Error, Session};
use crate::wire::FileId;
use crate::wire::backbone::files::{FileMetadata, NewOwnershipToken, OwnershipToken, OwnershipTokenValidity};

impl Session {
    /// Metadata of a file at the backbone.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::is_record_not_found`] for unknown and expired ones.
    pub async fn file_metadata(&self, id: &FileId) -> Result<FileMetadata, Error> {
        self.json(Request::get(format!("/Files/{id}/metadata")).answered_within(AnswerBounds::FILE_METADATA)).await
    }

    /// Deletes an own file.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_record_not_found`] if it is gone or expired already.
    pub async fn delete_file(&self, id: &FileId) -> Result<(), Error> {
        self.no_content(Request::new(Method::DELETE, format!("/Files/{id}"))).await
    }

    /// Replaces the ownership token of an own file and lifts its lock.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for files of others, and [`Error`] as for every call.
    pub async fn regenerate_ownership_token(&self, id: &FileId) -> Result<NewOwnershipToken, Error> {
        self.json(Request::new(Method::PATCH, format!("/Files/{id}/RegenerateOwnershipToken"))).await
    }

    /// Becomes the owner of a file. A wrong token locks the file's ownership.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a wrong token and locked files, and [`Error`] as for every call.
    pub async fn claim_ownership(&self, id: &FileId, token: &OwnershipToken) -> Result<NewOwnershipToken, Error> {
        self.json(Request::new(Method::PATCH, format!("/Files/{id}/ClaimOwnership")).body(token)).await
    }

    /// Whether an ownership token is valid. A wrong one locks the file's ownership, except for its owner.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn validate_ownership_token(
        &self,
        id: &FileId,
        token: &OwnershipToken,
    ) -> Result<OwnershipTokenValidity, Error> {
        self.json(Request::post(format!("/Files/{id}/ValidateOwnershipToken"), token)).await
    }
}
