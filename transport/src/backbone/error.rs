//! Errors of calls to the backbone.
//!
//! Messages never contain bodies, queries, credentials or the request, which is in [`Error::request`].

use std::fmt;
use std::sync::Arc;

use super::auth;
use crate::wire::backbone::envelope::RECORD_NOT_FOUND;

/// Error of a backbone call. Cloned when simultaneous calls share a failed login.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backbone answered with an error code.
    #[error("{code}: '{message}'")]
    Api {
        /// HTTP status.
        status: u16,
        /// Its code, `error.platform.…`.
        code: String,
        /// Its text.
        message: String,
        /// Method and path, without the query.
        request: String,
        /// Id of the request in the backbone's log.
        trace_id: Option<String>,
    },
    /// The backbone refused the access token, even after a new login.
    #[error("the backbone refused the login")]
    Unauthorized {
        /// Method and path.
        request: String,
    },
    /// The device is logged in, but not allowed to do this.
    #[error("the backbone does not allow this")]
    Forbidden {
        /// Method and path.
        request: String,
    },
    /// An error status without known details (409, 413, 429, 502, 503, …).
    #[error("the backbone answered with the unexpected status {status}")]
    UnexpectedStatus {
        /// HTTP status.
        status: u16,
        /// Method and path.
        request: String,
    },
    /// 404 without an error body: the server is not a backbone, or does not have this route.
    #[error("the server does not know the request: is this the base URL of a backbone?")]
    NotFound {
        /// Method and path.
        request: String,
    },
    /// 4xx without an error body.
    #[error("the request was refused with status {status} and no reason")]
    BadRequest {
        /// HTTP status.
        status: u16,
        /// Method and path.
        request: String,
    },
    /// The backbone refused the user name or password of the device.
    #[error("the backbone refused the device's credentials: {reason}")]
    NoAuthGrant {
        /// `invalid_grant`, `access_denied`, …
        reason: String,
    },
    /// The login failed for another reason than the device's credentials, for instance a wrong OAuth client.
    #[error("the login failed (status {status}): check client id and secret")]
    NoAuthPossible {
        /// HTTP status.
        status: u16,
    },
    /// A successful answer without a result.
    #[error("the backbone answered without a result")]
    ResultUndefined {
        /// Method and path.
        request: String,
    },
    /// An answer that cannot be decoded. The message has the position, not the content, which must not be logged.
    #[error("the backbone's answer cannot be read: {reason}")]
    Malformed {
        /// Method and path.
        request: String,
        /// Where it went wrong.
        reason: String,
    },
    /// The answer exceeds the call's bounds on bytes, values, nesting or pages.
    #[error("the backbone's answer is larger than {limit} {unit}")]
    AnswerTooLarge {
        /// Method and path.
        request: String,
        /// The bound.
        limit: u64,
        /// What is counted: `bytes`, `values`, `levels`, `pages`.
        unit: &'static str,
    },
    /// No answer.
    #[error("{kind}")]
    Network {
        /// What failed.
        kind: NetworkError,
        /// Method and path.
        request: String,
        /// The cause, without the URL.
        #[source]
        source: Option<Arc<reqwest::Error>>,
    },
    /// The content to upload cannot be read.
    #[error("the content to upload cannot be read")]
    UnreadableContent(#[source] Arc<std::io::Error>),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkError {
    /// The host name does not resolve.
    AddressNotFound,
    /// No connection could be established.
    Connect,
    /// The TLS handshake failed, for instance because of the certificate.
    Tls,
    /// The answer took too long.
    Timeout,
    /// The connection broke in the middle of a request or an answer.
    Broken,
    /// More redirects than allowed, a redirect to another origin, or one of a login.
    Redirect,
}

impl NetworkError {
    /// What happened.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::AddressNotFound => "the backbone's host name cannot be resolved",
            Self::Connect => "the backbone cannot be reached",
            Self::Tls => "the TLS connection to the backbone failed",
            Self::Timeout => "the backbone did not answer in time",
            Self::Broken => "the connection to the backbone broke",
            Self::Redirect => "the backbone redirects too often, to another origin, or a login",
        }
    }

    /// The next step, if one is known.
    #[must_use]
    pub fn next_step(self) -> Option<&'static str> {
        match self {
            Self::AddressNotFound => Some("check the base URL and the network"),
            Self::Connect => Some("is it running, and is the base URL right?"),
            Self::Tls => Some("check its certificate"),
            Self::Timeout | Self::Broken => None,
            Self::Redirect => Some("check that the base URL is its final address"),
        }
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.next_step() {
            Some(next_step) => write!(f, "{}: {next_step}", self.what()),
            None => f.write_str(self.what()),
        }
    }
}

/// What became of a call, for callers that treat the cases differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackboneFailure {
    /// The backbone refuses the login of this device, or the request without one.
    Unauthorized,
    /// The backbone does not allow this.
    Forbidden,
    /// The backbone does not accept the request.
    Refused,
    /// The backbone does not have what was asked for.
    NotFound,
    /// The request contradicts what the backbone has.
    Conflict,
    /// The request is too large.
    TooLarge,
    /// The backbone is asked too often, or stores too much for this identity.
    TooMany,
    /// The disk of the backbone is full.
    Full,
    /// The backbone, or what stands before it, cannot serve anybody at the moment.
    Unavailable,
    /// The backbone failed, or its answer means nothing.
    Failed,
    /// The backbone could not be reached, or this device cannot log in there.
    Unreachable,
}

impl BackboneFailure {
    fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            429 => Self::TooMany,
            400..=499 => Self::Refused,
            502..=504 => Self::Unavailable,
            507 => Self::Full,
            _ => Self::Failed,
        }
    }

    /// Whether the backbone says that the call had no effect.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            Self::Unauthorized
            | Self::Forbidden
            | Self::Refused
            | Self::NotFound
            | Self::Conflict
            | Self::TooLarge
            | Self::TooMany
            | Self::Full => true,
            Self::Unavailable | Self::Failed | Self::Unreachable => false,
        }
    }
}

impl Error {
    /// Method and path of the request, without the query.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        match self {
            Self::Api { request, .. }
            | Self::Unauthorized { request }
            | Self::Forbidden { request }
            | Self::UnexpectedStatus { request, .. }
            | Self::NotFound { request }
            | Self::BadRequest { request, .. }
            | Self::ResultUndefined { request }
            | Self::Malformed { request, .. }
            | Self::AnswerTooLarge { request, .. }
            | Self::Network { request, .. } => Some(request),
            Self::NoAuthGrant { .. } | Self::NoAuthPossible { .. } => Some(auth::LABEL),
            Self::UnreadableContent(_) => None,
        }
    }

    /// The HTTP status the backbone answered with, if it answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. }
            | Self::UnexpectedStatus { status, .. }
            | Self::BadRequest { status, .. }
            | Self::NoAuthPossible { status } => Some(*status),
            Self::Unauthorized { .. } => Some(401),
            Self::Forbidden { .. } => Some(403),
            Self::NotFound { .. } => Some(404),
            _ => None,
        }
    }

    /// What became of the call.
    #[must_use]
    pub fn failure(&self) -> BackboneFailure {
        match self {
            Self::Network { .. } | Self::NoAuthGrant { .. } | Self::NoAuthPossible { .. } => {
                BackboneFailure::Unreachable
            }
            other => other.status().map_or(BackboneFailure::Failed, BackboneFailure::of_status),
        }
    }

    /// Whether the backbone does not have the record, or does not show it to this identity.
    #[must_use]
    pub fn is_record_not_found(&self) -> bool {
        matches!(self, Self::Api { status: 404, code, .. } if code == RECORD_NOT_FOUND)
    }

    /// Whether the error is transient: the backbone is unreachable, too slow or overloaded.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Network { kind, .. } => !matches!(kind, NetworkError::Tls | NetworkError::Redirect),
            Self::UnexpectedStatus { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    pub(super) fn network(error: reqwest::Error, request: &str) -> Self {
        let kind = NetworkError::of(&error);
        // The URL of an error may hold a password hash.
        Self::Network { kind, request: request.to_owned(), source: Some(Arc::new(error.without_url())) }
    }

    pub(super) fn timeout(request: &str) -> Self {
        Self::Network { kind: NetworkError::Timeout, request: request.to_owned(), source: None }
    }
}

impl NetworkError {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_redirect() {
            Self::Redirect
        } else if error.is_dns() {
            Self::AddressNotFound
        } else if has_source::<rustls::Error>(error) {
            Self::Tls
        } else if error.is_connect() {
            Self::Connect
        } else {
            Self::Broken
        }
    }
}

/// Whether the chain of causes has an error of this type. Also checks the error inside an `io::Error`, which its `source()`
/// skips.
fn has_source<E: std::error::Error + 'static>(error: &reqwest::Error) -> bool {
    std::iter::successors(std::error::Error::source(error), |cause| inner(*cause)).any(|cause| cause.is::<E>())
}

fn inner<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_became_of_the_call() {
        for (status, failure, is_refusal) in [
            (400, BackboneFailure::Refused, true),
            (401, BackboneFailure::Unauthorized, true),
            (403, BackboneFailure::Forbidden, true),
            (404, BackboneFailure::NotFound, true),
            (409, BackboneFailure::Conflict, true),
            (413, BackboneFailure::TooLarge, true),
            (418, BackboneFailure::Refused, true),
            (429, BackboneFailure::TooMany, true),
            (499, BackboneFailure::Refused, true),
            (500, BackboneFailure::Failed, false),
            (503, BackboneFailure::Unavailable, false),
            (507, BackboneFailure::Full, true),
            (99, BackboneFailure::Failed, false),
            (200, BackboneFailure::Failed, false),
            (301, BackboneFailure::Failed, false),
        ] {
            let error = Error::UnexpectedStatus { status, request: String::new() };
            assert_eq!((error.failure(), error.failure().is_refusal()), (failure, is_refusal), "{status}");
        }
        let cut = Error::AnswerTooLarge { request: String::new(), limit: 1, unit: "bytes" };
        assert!(!cut.failure().is_refusal(), "the request may have had its effect");
    }
}
