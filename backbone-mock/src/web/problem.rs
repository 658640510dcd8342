//! Error answers.

use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use listener::budget::Exhausted;
use listener::guard;
use listener::turns::TooMany;
use listener::{Malformed, RequestId};
use serde_json::{Value, json};
use transport::access::NoUseLeft;
use transport::wire::Timestamp;
use transport::wire::backbone::envelope::{ErrorBody, ErrorEnvelope};

use super::{answer, tus};
use crate::clock::{Clock, SystemClock};
use crate::domain::Refusal;
use crate::error::{StoreError, WithCauses};
use crate::rates::TooOften;

/// The `Retry-After` of answers without capacity. Most requests take less.
const RETRY_SECONDS: u16 = 5;

/// Why a request is answered with an error.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The rules refuse it.
    Refused(Refusal),
    /// The head of the request cannot be read.
    Malformed(Malformed),
    /// It needs a login.
    NotLoggedIn,
    /// The body is larger than the limit.
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body arrives too slowly.
    BodyTooSlow,
    /// There is no memory for the body now.
    NoCapacity(Exhausted),
    /// A web page of another site sent it.
    ForeignPage(guard::ForeignRequest),
    /// No route has this path.
    NoSuchRoute,
}

impl<T: Into<Refusal>> From<T> for Problem {
    fn from(refusal: T) -> Self {
        Self::Refused(refusal.into())
    }
}

impl From<Exhausted> for Problem {
    fn from(exhausted: Exhausted) -> Self {
        Self::NoCapacity(exhausted)
    }
}

impl Problem {
    /// The input cannot be parsed.
    pub(crate) fn unreadable(reason: impl ToString) -> Self {
        Self::Refused(Refusal::Unreadable(reason.to_string()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => refused(&refusal),
            Self::Malformed(malformed) => {
                let message = format!("the request cannot be read: {malformed}");
                envelope(malformed.status(), "inputCannotBeParsed", message)
            }
            Self::NotLoggedIn => {
                let mut response = StatusCode::UNAUTHORIZED.into_response();
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
            Self::BodyTooLarge { limit } => {
                let message = format!("the request body is larger than {limit} bytes");
                envelope(StatusCode::BAD_REQUEST, "requestBodyTooLarge", message)
            }
            Self::BodyTooSlow => {
                let message = "the request body arrives too slowly; send it again over a faster connection".to_owned();
                envelope(StatusCode::REQUEST_TIMEOUT, "requestBodyTooSlow", message)
            }
            Self::NoCapacity(exhausted) => busy(exhausted == Exhausted::OfOne, &exhausted),
            Self::ForeignPage(refusal) => {
                envelope(StatusCode::FORBIDDEN, "forbidden", foreign_page(refusal).to_owned())
            }
            Self::NoSuchRoute => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

/// The answer to a request that failed because of a defect or the disk.
pub(crate) fn unexpected() -> Response {
    envelope(StatusCode::INTERNAL_SERVER_ERROR, "unexpected", "an unexpected error occurred".to_owned())
}

fn refused(refusal: &Refusal) -> Response {
    let message = refusal.to_string();
    match refusal {
        Refusal::Unreadable(_) => envelope(StatusCode::BAD_REQUEST, "inputCannotBeParsed", message),
        Refusal::Invalid { .. } => envelope(StatusCode::BAD_REQUEST, "validation.invalidPropertyValue", message),
        Refusal::NotFound(_) => envelope(StatusCode::NOT_FOUND, "recordNotFound", message),
        Refusal::Forbidden => envelope(StatusCode::FORBIDDEN, "forbidden", message),
        // Clients read codes from 400 only, so even the wrong OAuth client is a bad request.
        Refusal::Rule { rule, .. } => envelope(StatusCode::BAD_REQUEST, rule.code(), message),
        Refusal::NoUseLeft(reason) => {
            let code = match reason {
                NoUseLeft::Exhausted => "token.exhausted",
                NoUseLeft::TooManyClaims => "token.tooManyClaims",
            };
            envelope(StatusCode::CONFLICT, code, message)
        }
        Refusal::Upload(refusal) => {
            let (status, code) = tus::status(refusal);
            envelope(status, code, message)
        }
        Refusal::TooManyWaiting(excess) => busy(*excess == TooMany::OfOne, excess),
        Refusal::TooOften(TooOften { wait }) => {
            let mut response = envelope(StatusCode::TOO_MANY_REQUESTS, "tooManyRequests", message);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            response
        }
        Refusal::Store(StoreError::Quota(metric)) => {
            // A quota does not end at some time.
            let data = json!([{ "metricKey": metric.key(), "isExhaustedUntil": Timestamp::NEVER }]);
            envelope_with(StatusCode::TOO_MANY_REQUESTS, "quotaExhausted", message, Some(data))
        }
        Refusal::Store(error @ StoreError::Full(_)) => {
            tracing::warn!(error = %WithCauses(error), "refused a change, because the disk is full");
            let message = "the disk of the backbone is full; nothing was changed".to_owned();
            envelope(StatusCode::INSUFFICIENT_STORAGE, "insufficientStorage", message)
        }
        Refusal::Store(error) => {
            tracing::error!(error = %WithCauses(error), "the store failed");
            unexpected()
        }
    }
}

/// The answer to a request without capacity, because its sender or others use too much of it.
fn busy(is_senders_doing: bool, reason: &dyn std::error::Error) -> Response {
    let (status, code) = if is_senders_doing {
        (StatusCode::TOO_MANY_REQUESTS, "tooManyRequests")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "overloaded")
    };
    let mut response = envelope(status, code, format!("{reason}; try again in {RETRY_SECONDS} seconds"));
    response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS.into());
    response
}

fn foreign_page(refusal: guard::ForeignRequest) -> &'static str {
    match refusal {
        guard::ForeignRequest::Host => {
            "the Host header names a host that this backbone does not answer for; use its address, or the name that is its DID domain"
        }
        guard::ForeignRequest::Origin => "web pages of other sites may not call this backbone; call it from a program",
    }
}

fn envelope(status: StatusCode, code: &str, message: String) -> Response {
    envelope_with(status, code, message, None)
}

fn envelope_with(status: StatusCode, code: &str, message: String, data: Option<Value>) -> Response {
    let error = ErrorBody {
        id: RequestId::current().of_failure(),
        code: format!("error.platform.{code}"),
        message,
        docs: String::new(),
        time: now().to_string(),
        data,
    };
    answer::json(status, &ErrorEnvelope { error })
}

/// The time in errors is compared with logs, so it is the machine's and not the injected one.
fn now() -> Timestamp {
    SystemClock.now()
}
