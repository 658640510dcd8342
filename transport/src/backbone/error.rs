//! Errors of calls to the backbone.
//!
//! The codes are those of the published clients in the same situations, so that their documentation applies. Messages never
//! contain bodies, queries or credentials.

use std::sync::Arc;

/// Error of a backbone call. Cloned when simultaneous calls share a failed login.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backbone answered with an error code.
    #[error("{code} ({status}): '{message}' for {request}")]
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
    #[error("the backbone refused the login for {request}")]
    Unauthorized {
        /// Method and path.
        request: String,
    },
    /// The device is logged in, but not allowed to do this.
    #[error("the backbone does not allow {request}")]
    Forbidden {
        /// Method and path.
        request: String,
    },
    /// An error status without known details (409, 413, 429, 502, 503, …).
    #[error("the backbone answered {request} with the unexpected status {status}")]
    UnexpectedStatus {
        /// HTTP status.
        status: u16,
        /// Method and path.
        request: String,
    },
    /// 404 without an error body: the server is not a backbone, or does not have this route.
    #[error("{request} was not found: is this the base URL of a backbone?")]
    NotFound {
        /// Method and path.
        request: String,
    },
    /// 4xx without an error body.
    #[error("{request} was refused with status {status} and no reason")]
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
    #[error("the backbone answered {request} without a result")]
    ResultUndefined {
        /// Method and path.
        request: String,
    },
    /// An answer that cannot be decoded. The message has the position, not the content, which must not be logged.
    #[error("the backbone's answer to {request} cannot be read: {reason}")]
    Malformed {
        /// Method and path.
        request: String,
        /// Where it went wrong.
        reason: String,
    },
    /// The answer exceeds the call's bounds on bytes, values, nesting or pages.
    #[error("the backbone's answer to {request} is larger than {limit} {unit}")]
    AnswerTooLarge {
        /// Method and path.
        request: String,
        /// The bound.
        limit: u64,
        /// What is counted: `bytes`, `values`, `levels`, `pages`.
        unit: &'static str,
    },
    /// No answer.
    #[error("{kind} ({request})")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The host name does not resolve.
    #[error("the backbone's host name cannot be resolved: check the base URL and the network")]
    AddressNotFound,
    /// No connection could be established.
    #[error("the backbone cannot be reached: is it running, and is the base URL right?")]
    Connect,
    /// The TLS handshake failed, for instance because of the certificate.
    #[error("the TLS connection to the backbone failed: check its certificate")]
    Tls,
    /// The answer took too long.
    #[error("the backbone did not answer in time")]
    Timeout,
    /// The connection broke in the middle of a request or an answer.
    #[error("the connection to the backbone broke")]
    Broken,
    /// More redirects than allowed, a redirect to another origin, or one of a login.
    #[error(
        "the backbone redirects too often, to another origin, or a login: check that the base URL is its final address"
    )]
    Redirect,
}

impl Error {
    /// The stable code, `error.platform.…` or `error.transport.request.…`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Api { code, .. } => code,
            other => other.own_code().expect("only `Api` has a code from elsewhere"),
        }
    }

    /// The code, unless it came from the backbone.
    #[must_use]
    pub fn own_code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Api { .. } => return None,
            Self::Unauthorized { .. } => "error.platform.unauthorized",
            Self::Forbidden { .. } => "error.platform.forbidden",
            Self::UnexpectedStatus { .. } => "error.platform.unexpected",
            Self::NotFound { .. } => "error.transport.request.notFound",
            Self::BadRequest { .. } => "error.transport.request.badRequest",
            Self::NoAuthGrant { .. } => "error.transport.request.noAuthGrant",
            Self::NoAuthPossible { .. } => "error.transport.request.noAuthPossible",
            Self::ResultUndefined { .. } => "error.transport.request.resultUndefined",
            Self::AnswerTooLarge { .. } => "error.transport.request.bodyLengthExceeded",
            Self::Network { kind: NetworkError::AddressNotFound, .. } => "error.transport.request.addressNotFound",
            Self::Network { kind: NetworkError::Timeout, .. } => "error.transport.request.aborted",
            Self::Network { .. } => "error.transport.request.network",
            Self::Malformed { .. } | Self::UnreadableContent(_) => "error.transport.request.unknown",
        })
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

    /// Whether the backbone does not have the record, or does not show it to this identity.
    #[must_use]
    pub fn is_record_not_found(&self) -> bool {
        matches!(self, Self::Api { status: 404, code, .. } if code == "error.platform.recordNotFound")
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
