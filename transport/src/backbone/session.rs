//! Calls with a device's login. One file per resource adds its calls to [`Session`].

use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;

use super::auth::Auth;
use super::bounds::AnswerBounds;
use super::envelope::Page;
use super::http::{Http, Request};
use super::resumable::ChecksumAlgorithm;
use super::{ClientConfig, DeviceCredentials, Error, SecretText};
use crate::wire::ChallengeId;
use crate::wire::backbone::challenges::Challenge;
use crate::wire::backbone::devices::{ChangePassword, CreateDevice, CreatedDevice};
use crate::wire::backbone::quotas::MetricQuotas;
use crate::wire::backbone::token_terms::TokenServices;

/// A client of a backbone with the login of a device. Cheap to clone; clones share the login.
#[derive(Clone)]
pub struct Session {
    http: Arc<Http>,
    auth: Arc<Auth>,
    /// How pieces of uploads are checked, as the backbone said when it was asked.
    checksum: Arc<OnceLock<ChecksumAlgorithm>>,
    /// What the backbone does with tokens beyond the published protocol, once it has said so.
    token_services: Arc<OnceLock<TokenServices>>,
}

/// Bounds of a list that is collected in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListBounds {
    pub(super) pages: u64,
    pub(super) bytes: u64,
    /// Values and keys. Each takes up to about 100 bytes in memory, however short its text is.
    pub(super) values: u64,
}

impl Session {
    pub(super) fn new(http: Arc<Http>, credentials: DeviceCredentials) -> Self {
        let auth = Arc::new(Auth::new(http.clone(), credentials));
        Self { auth, http, checksum: Arc::default(), token_services: Arc::default() }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        self.http.config()
    }

    /// Logs in, unless there is a valid token.
    ///
    /// # Errors
    /// [`Error::NoAuthGrant`] for credentials the backbone refuses, and [`Error`] as for every call.
    pub async fn log_in(&self) -> Result<(), Error> {
        self.auth.token().await.map(drop)
    }

    /// Requests a challenge for this device.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn create_challenge(&self) -> Result<Challenge, Error> {
        self.json(Request::post("/Challenges", &serde_json::json!({}))).await
    }

    /// Looks up a challenge at the backbone.
    ///
    /// # Errors
    /// [`Error`]; see [`Error::is_record_not_found`] for unknown ones and those expired long ago.
    pub async fn challenge(&self, id: &ChallengeId) -> Result<Challenge, Error> {
        self.json(Request::get(format!("/Challenges/{id}"))).await
    }

    /// Registers another device of the identity.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn create_device(&self, device: &CreateDevice) -> Result<CreatedDevice, Error> {
        self.json(Request::post("/Devices", device)).await
    }

    /// Changes the password of this device, for later logins too. The caller has to store it.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn change_password(&self, new: SecretText) -> Result<(), Error> {
        let old = self.auth.credentials().password;
        let body = ChangePassword { old_password: old.expose().to_owned(), new_password: new.expose().to_owned() };
        self.no_content(Request::put("/Devices/Self/Password", &body)).await?;
        self.auth.replace_password(new);
        Ok(())
    }

    /// The catalogue of tags.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn tags(&self) -> Result<serde_json::Value, Error> {
        self.json(Request::get("/Tags").answered_within(AnswerBounds::PAGE)).await
    }

    /// What the identity may store, and how much of it is used.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn quotas(&self) -> Result<Vec<MetricQuotas>, Error> {
        self.json(Request::get("/Quotas")).await
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn checksum(&self) -> &OnceLock<ChecksumAlgorithm> {
        &self.checksum
    }

    pub(super) fn known_token_services(&self) -> &OnceLock<TokenServices> {
        &self.token_services
    }

    /// A token for a call that cannot be repeated.
    pub(super) async fn access_token(&self) -> Result<SecretText, Error> {
        self.auth.token().await
    }

    /// Forgets a token that the backbone refused.
    pub(super) fn forget_access_token(&self, token: &SecretText) {
        self.auth.forget(token);
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        Ok(self.page(&request).await?.value)
    }

    pub(super) async fn page<T: DeserializeOwned>(&self, request: &Request) -> Result<Page<T>, Error> {
        self.authenticated(|token| async move { self.http.json(request, Some(&token)).await }).await
    }

    pub(super) async fn no_content(&self, request: Request) -> Result<(), Error> {
        let request = &request;
        self.authenticated(|token| async move { self.http.no_content(request, Some(&token)).await }).await
    }

    pub(super) async fn streamed(&self, request: &Request) -> Result<reqwest::Response, Error> {
        self.authenticated(|token| async move { self.http.streamed(request, Some(&token)).await }).await
    }

    /// Makes a call with a token; if the backbone refuses the token, logs in again and repeats the call once.
    pub(super) async fn authenticated<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl Fn(SecretText) -> F,
    ) -> Result<T, Error> {
        let token = self.auth.token().await?;
        match call(token.clone()).await {
            Err(Error::Unauthorized { .. }) => {
                self.auth.forget(&token);
                call(self.auth.token().await?).await
            }
            outcome => outcome,
        }
    }

    /// Fetches all pages of a list.
    ///
    /// Repeats `request` with `pageNumber` while the backbone announces more pages. An answer without pagination is the only page.
    /// A list that exceeds the bounds is an error.
    pub(super) async fn all_pages<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> Request,
        bounds: ListBounds,
    ) -> Result<Vec<T>, Error> {
        let too_large = |limit, unit| Error::AnswerTooLarge { request: request().label(), limit, unit };
        let request = || request().answered_within(AnswerBounds::PAGE);
        let first: Page<Vec<T>> = self.page(&request()).await?;
        let pages = first.pagination.map_or(1, |pagination| pagination.total_pages);
        if pages > bounds.pages {
            return Err(too_large(bounds.pages, "pages"));
        }
        let (mut items, mut length, mut values) = (first.value, first.length, first.values);
        for number in 2..=pages {
            let mut page: Page<Vec<T>> = self.page(&request().query("pageNumber", number)).await?;
            length += page.length;
            if length > bounds.bytes {
                return Err(too_large(bounds.bytes, "bytes"));
            }
            values += page.values;
            if values > bounds.values {
                return Err(too_large(bounds.values, "values"));
            }
            items.append(&mut page.value);
        }
        Ok(items)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("base_url", &self.config().base_url)
            .field("username", &self.auth.credentials().username)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::Client;
    use crate::backbone::{UploadContent, UploadFile};

    fn spawnable(_: impl Send) {}

    #[expect(dead_code, reason = "compiling it is the test: servers spawn what calls these")]
    fn calls_can_be_spawned(client: &Client, session: &Session, file: &UploadFile, content: &UploadContent) {
        let id = "FILabcdefghijklmno12".parse().unwrap();
        spawnable(session.upload_file(file, content, None));
        spawnable(session.download_file(&id, 1));
        spawnable(session.modifications_page(None));
        spawnable(session.delete_file(&id));
        spawnable(client.version());
    }
}
