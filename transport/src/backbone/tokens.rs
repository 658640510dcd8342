//! `/Tokens`.

use reqwest::Method;

use super::bounds::AnswerBounds;
use super::http::Request;
use super::{Error, Session};
use crate::wire::TokenId;
use crate::wire::backbone::tokens::{CreateToken, CreatedToken, Token, UpdateTokenContent, UpdatedToken};

impl Session {
    /// Creates a token.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn create_token(&self, token: &CreateToken) -> Result<CreatedToken, Error> {
        self.json(create(token)).await
    }

    /// Reads a token; `password` is the hash in standard base64. Who has read it once may do so again without.
    ///
    /// # Errors
    /// [`Error`]; unknown, expired, personalised for others and wrong password all look the same.
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

    /// Forgets the wrong passwords that were tried for an own token, so that it is not locked any more. The backbones of enlace
    /// can do that; for other ones it is a matter of their operator.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Forbidden`] for somebody else's token, [`Error::NotFound`] if the backbone cannot do it.
    pub async fn unlock_token(&self, id: &TokenId) -> Result<(), Error> {
        self.no_content(Request::new(Method::POST, format!("/Tokens/{id}/ResetAccessFailedCount"))).await
    }

    /// Fills an empty token.
    ///
    /// # Errors
    /// [`Error`]; `…contentUpdateNotPossibleBecauseContentAlreadyExists` if somebody was faster.
    pub async fn update_token_content(&self, id: &TokenId, update: &UpdateTokenContent) -> Result<UpdatedToken, Error> {
        self.json(Request::post(format!("/Tokens/{id}/UpdateContent"), update)).await
    }
}

pub(super) fn create(token: &CreateToken) -> Request {
    Request::post("/Tokens", token)
}

/// `max_content` is the largest plaintext in bytes.
pub(super) fn read(id: &TokenId, password: Option<&str>, max_content: usize) -> Request {
    let request = Request::get(format!("/Tokens/{id}")).answered_within(AnswerBounds::token(max_content));
    match password {
        Some(password) => request.query("password", password),
        None => request,
    }
}
