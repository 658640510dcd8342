//! `/Tokens`.

use reqwest::Method;

use super::bounds::AnswerBounds;
use super::http::Request;
use super::{Error, Session};
use crate::wire::TokenId;
use crate::wire::backbone::tokens::{CreateToken, CreatedToken, Token};

impl Session {
    /// Creates a token.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn create_token(&self, token: &CreateToken) -> Result<CreatedToken, Error> {
        self.json(create(token)).await
    }

    /// Loads a token; `password` is the hash in standard base64. After the first success (an allocation) it is not needed again.
    ///
    /// # Errors
    /// [`Error`]; the same for an unknown or expired token, one for another identity, and a wrong password.
    pub async fn token(&self, id: &TokenId, password: Option<&str>) -> Result<Token, Error> {
        self.json(read(id, password, self.config().max_token_content)).await
    }

    /// Deletes an own token.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_record_not_found`] if it is gone already.
    pub async fn delete_token(&self, id: &TokenId) -> Result<(), Error> {
        self.no_content(Request::new(Method::DELETE, format!("/Tokens/{id}"))).await
    }

    /// Unlocks an own token: resets its count of wrong passwords. Only enlace's backbones support this; at others, the operator
    /// has to do it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Forbidden`] for a token of another identity, [`Error::NotFound`] if the backbone does not support it.
    pub async fn unlock_token(&self, id: &TokenId) -> Result<(), Error> {
        self.no_content(Request::new(Method::POST, format!("/Tokens/{id}/ResetAccessFailedCount"))).await
    }
}

pub(super) fn create(token: &CreateToken) -> Request {
    Request::post("/Tokens", token)
}

/// `max_content` is the maximum length of the plaintext in bytes.
pub(super) fn read(id: &TokenId, password: Option<&str>, max_content: usize) -> Request {
    let request = Request::get(format!("/Tokens/{id}")).answered_within(AnswerBounds::token(max_content));
    match password {
        Some(password) => request.query("password", password),
        None => request,
    }
}
