//! Calls without login.

use std::sync::Arc;

use super::http::{Http, Request};
use super::{ClientConfig, ConfigError, DeviceCredentials, Error, Session, tokens};
use crate::wire::backbone::challenges::Challenge;
use crate::wire::backbone::envelope::{IsDeleted, Version};
use crate::wire::backbone::identities::{CreateIdentity, CreatedIdentity};
use crate::wire::backbone::tokens::{CreateToken, CreatedToken, Token};
use crate::wire::{TokenId, Username};

/// A client of a backbone, without login. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: Arc<Http>,
}

impl Client {
    /// Creates a client. Sends nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] for invalid settings.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        Ok(Self { http: Arc::new(Http::new(config)?) })
    }

    /// A session of a device. It logs in with the first call.
    #[must_use]
    pub fn login(&self, credentials: DeviceCredentials) -> Session {
        Session::new(self.http.clone(), credentials)
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        self.http.config()
    }

    /// Whether the backbone is on this machine, by its URL.
    #[must_use]
    pub fn is_on_this_machine(&self) -> bool {
        self.http.base().is_loopback()
    }

    /// Which major version the backbone speaks.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn version(&self) -> Result<Version, Error> {
        self.json(Request::get("/Version")).await
    }

    /// Requests an anonymous challenge.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn create_challenge(&self) -> Result<Challenge, Error> {
        self.json(Request::post("/Challenges", &serde_json::json!({}))).await
    }

    /// Creates an identity with its first device.
    ///
    /// # Errors
    /// [`Error`]; a wrong client id or secret is `error.platform.unauthorized` with status 400.
    pub async fn create_identity(&self, identity: &CreateIdentity) -> Result<CreatedIdentity, Error> {
        self.json(Request::post("/Identities", identity)).await
    }

    /// Whether the identity of a device was deleted; for devices that can no longer log in.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn is_deleted(&self, username: &Username) -> Result<IsDeleted, Error> {
        self.json(Request::get("/Identities/IsDeleted").query("username", username)).await
    }

    /// Creates an empty token, to be filled by another device.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn create_token(&self, token: &CreateToken) -> Result<CreatedToken, Error> {
        self.json(tokens::create(token)).await
    }

    /// Reads a token; `password` is the hash in standard base64.
    ///
    /// # Errors
    /// [`Error`]; the same for an unknown or expired token, one for another identity, and a wrong password.
    pub async fn token(&self, id: &TokenId, password: Option<&str>) -> Result<Token, Error> {
        self.json(tokens::read(id, password, self.config().max_token_content)).await
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    pub(super) async fn json<T: serde::de::DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        Ok(self.http.json(&request, None).await?.value)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base_url", &self.config().base_url).finish_non_exhaustive()
    }
}
