//! The access token: fetched when needed, renewed before it expires, one login for all concurrent calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use tokio::time::Instant;
use tracing::debug;
use zeroize::Zeroizing;

use super::envelope::{self, MAX_ERROR_ANSWER};
use super::http::{Http, read_body, within};
use super::http_client::LOGIN_PATH;
use super::{ClientConfig, DeviceCredentials, Error, SecretText};
use crate::wire::backbone::envelope::{AccessToken, OAuthError};

const FORM: &str = "application/x-www-form-urlencoded";
/// Initial capacity for the form, enough for usual ones: a growing buffer would leave unwiped copies in memory.
const LOGIN_FORM_LENGTH: usize = 1024;
/// The login in errors.
pub(super) const LABEL: &str = "POST /connect/token";
/// A token is renewed when it expires within this time, so that it does not expire in transit.
const RENEW_BEFORE: Duration = Duration::from_secs(10);
/// Maximum length in bytes of a login response.
const MAX_TOKEN_ANSWER: usize = 64 * 1024;
/// Maximum length in bytes of an access token. Servers refuse requests with longer headers before they read them.
const MAX_TOKEN: usize = 8 * 1024;

type Login = Shared<BoxFuture<'static, Result<Token, Error>>>;

/// Keeps one device logged in.
pub(super) struct Auth {
    http: Arc<Http>,
    state: Mutex<State>,
}

struct State {
    credentials: DeviceCredentials,
    token: Option<Token>,
    /// The login in progress. A failure is shared too, because the backbone counts each attempt with a wrong password.
    login: Option<(u64, Login)>,
    logins: u64,
}

#[derive(Clone)]
struct Token {
    text: SecretText,
    renew_at: Instant,
}

impl Auth {
    pub(super) fn new(http: Arc<Http>, credentials: DeviceCredentials) -> Self {
        Self { http, state: Mutex::new(State { credentials, token: None, login: None, logins: 0 }) }
    }

    /// A token that stays valid for some seconds, from a new login if necessary.
    pub(super) async fn token(&self) -> Result<SecretText, Error> {
        let (number, login) = match self.join() {
            Joined::Token(token) => return Ok(token),
            Joined::Login(number, login) => (number, login),
        };
        let outcome = login.await;
        let mut state = self.lock();
        if state.login.as_ref().is_some_and(|(under_way, _)| *under_way == number) {
            state.login = None;
            state.token = outcome.as_ref().ok().cloned();
        }
        outcome.map(|token| token.text)
    }

    /// Discards a token that the backbone refused, unless it has been replaced already.
    pub(super) fn forget(&self, refused: &SecretText) {
        let mut state = self.lock();
        if state.token.as_ref().is_some_and(|token| token.text == *refused) {
            state.token = None;
        }
    }

    /// Uses another password for the next login. The current token stays valid.
    pub(super) fn replace_password(&self, password: SecretText) {
        self.lock().credentials.password = password;
    }

    pub(super) fn credentials(&self) -> DeviceCredentials {
        self.lock().credentials.clone()
    }

    fn join(&self) -> Joined {
        let mut state = self.lock();
        if let Some(token) = state.token.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Joined::Token(token.text.clone());
        }
        if let Some((number, login)) = &state.login {
            return Joined::Login(*number, login.clone());
        }
        state.logins += 1;
        let number = state.logins;
        let login = log_in(self.http.clone(), state.credentials.clone()).boxed().shared();
        state.login = Some((number, login.clone()));
        Joined::Login(number, login)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Joined {
    Token(SecretText),
    Login(u64, Login),
}

async fn log_in(http: Arc<Http>, credentials: DeviceCredentials) -> Result<Token, Error> {
    let config = http.config();
    let form = login_form(config, &credentials);
    debug!(username = %credentials.username, "logging in");
    within(config.timeout, LABEL, async {
        let asked_at = Instant::now();
        let request = http.builder(Method::POST, http.root_url(LOGIN_PATH)).header(CONTENT_TYPE, FORM).body(form);
        let response = request.send().await.map_err(|error| Error::network(error, LABEL))?;
        let status = response.status();
        if !status.is_success() {
            let body = read_body(response, MAX_ERROR_ANSWER, LABEL).await.unwrap_or_default();
            return Err(refusal(status, &body.bytes));
        }
        let body = read_body(response, MAX_TOKEN_ANSWER, LABEL).await?;
        let answer: AccessToken = serde_json::from_slice(&body.bytes).map_err(|_| unreadable())?;
        if !is_usable(&answer.access_token) {
            return Err(unreadable());
        }
        let valid_for = Duration::from_secs(answer.expires_in).saturating_sub(RENEW_BEFORE);
        let renew_at = asked_at.checked_add(valid_for).ok_or_else(unreadable)?;
        Ok(Token { text: SecretText::new(answer.access_token), renew_at })
    })
    .await
}

/// Wiped once it is sent.
fn login_form(config: &ClientConfig, credentials: &DeviceCredentials) -> Bytes {
    let mut form = url::form_urlencoded::Serializer::new(String::with_capacity(LOGIN_FORM_LENGTH));
    form.append_pair("client_id", &config.client_id)
        .append_pair("client_secret", config.client_secret.expose())
        .append_pair("grant_type", "password")
        .append_pair("username", credentials.username.as_str())
        .append_pair("password", credentials.password.expose());
    Bytes::from_owner(Zeroizing::new(form.finish()))
}

/// The backbone answers 400, 404 and 500 after it has checked the credentials, and any other status without checking them.
fn refusal(status: StatusCode, body: &[u8]) -> Error {
    match status.as_u16() {
        400 | 404 | 500 => {
            let reason = serde_json::from_slice::<OAuthError>(body);
            let reason = reason.map_or_else(|_| status.to_string(), |body| envelope::printable(&body.error));
            Error::NoAuthGrant { reason }
        }
        status => Error::NoAuthPossible { status },
    }
}

/// Whether a text can be sent in a header. Checked at login: an invalid token would otherwise fail every call until it expires.
fn is_usable(token: &str) -> bool {
    (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn unreadable() -> Error {
    Error::Malformed { request: LABEL.to_owned(), reason: "it is not an access token".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_no_header_can_hold_is_none() {
        assert!(is_usable("eyJhbGciOi.J9-_~+/="));
        assert!(is_usable(&"a".repeat(MAX_TOKEN)) && !is_usable(&"a".repeat(MAX_TOKEN + 1)));
        for token in ["", " ", "a b", "a\n", "ä"] {
            assert!(!is_usable(token), "{token:?}");
        }
    }

    #[test]
    fn refusals_tell_bad_credentials_from_other_trouble() {
        let invalid = br#"{"error":"invalid_grant","error_description":"no"}"#;
        let refused = |status| refusal(StatusCode::from_u16(status).unwrap(), invalid);
        for status in [400, 404, 500] {
            assert!(matches!(refused(status), Error::NoAuthGrant { .. }), "{status}");
        }
        for status in [401, 403, 429] {
            assert!(matches!(refused(status), Error::NoAuthPossible { .. }), "{status}");
        }
    }
}
