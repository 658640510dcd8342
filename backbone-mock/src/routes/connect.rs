//! `POST /connect/token`: the OAuth 2.0 password grant (RFC 6749 section 4.3). No envelope.

use std::collections::HashMap;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use percent_encoding::percent_decode_str;
use transport::wire::backbone::envelope::{AccessToken, OAuthError};
use zeroize::Zeroizing;

use crate::core::Core;
use crate::domain::identity_creation;
use crate::domain::login::{self, Outcome};
use crate::web::AppState;
use crate::web::answer::json;
use crate::web::body::read_all;
use crate::web::problem::Problem;
use crate::web::session::SentFrom;

/// Maximum bytes of a login. Names and secrets have some hundred.
const MAX_LOGIN: u64 = 8 * 1024;

/// Logs a device in.
pub(super) async fn token(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = read_all(&core, &parts, body, MAX_LOGIN).await?;
    let form = LoginForm::parse(&body);
    let mut response = match check(&core, &form) {
        Ok((username, password)) => answer(&core, login::log_in(&core, source, username, password).await?),
        Err(refused) => refused.into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// An error answer (RFC 6749 section 5.2).
struct ErrorResponse(StatusCode, &'static str, &'static str);

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let Self(status, error, description) = self;
        json(status, &OAuthError { error: error.to_owned(), error_description: description.to_owned() })
    }
}

/// Checks everything but the password.
fn check<'f>(core: &Core, form: &'f LoginForm) -> Result<(&'f str, String), ErrorResponse> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    match form.value("grant_type") {
        None => return Err(ErrorResponse(BAD, "invalid_request", "grant_type is missing")),
        Some("password") => {}
        Some(_) => return Err(ErrorResponse(BAD, "unsupported_grant_type", "only password is supported")),
    }
    let (Some(username), Some(password)) = (form.value("username"), form.value("password")) else {
        return Err(ErrorResponse(BAD, "invalid_request", "username or password is missing"));
    };
    let id = form.value("client_id").unwrap_or_default();
    let secret = form.value("client_secret").unwrap_or_default();
    if identity_creation::client(core, id, secret).is_none() {
        return Err(ErrorResponse(StatusCode::UNAUTHORIZED, "invalid_client", "client id or client secret is wrong"));
    }
    Ok((username, password.to_owned()))
}

fn answer(core: &Core, outcome: Outcome) -> Response {
    let refused = match outcome {
        Outcome::LoggedIn(access_token) => {
            let expires_in = core.config.access_token_lifetime.as_secs();
            let token = AccessToken { access_token, token_type: "Bearer".to_owned(), expires_in };
            return json(StatusCode::OK, &token);
        }
        Outcome::WrongCredentials => {
            ErrorResponse(StatusCode::BAD_REQUEST, "invalid_grant", "username or password is wrong")
        }
        Outcome::LockedOut => {
            ErrorResponse(StatusCode::BAD_REQUEST, "access_denied", "too many failed logins, try again in some minutes")
        }
    };
    refused.into_response()
}

/// The fields of a form (`application/x-www-form-urlencoded`). Wiped when dropped: one of them is a password.
struct LoginForm(HashMap<String, Zeroizing<String>>);

impl LoginForm {
    fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let fields = text.split('&').filter_map(|field| field.split_once('='));
        Self(fields.map(|(name, value)| (decode(name), Zeroizing::new(decode(value)))).collect())
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }
}
