//! What a failure looks like outside: status, stable code, safe text.
//!
//! Inner layers know codes, not statuses; [`status_of`] is the one place that joins them.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode, header};
use listener::guard::Refusal;
use listener::{Malformed, RequestId};
use runtime::{Error, Timestamp};
use serde::Serialize;

const DOCS_BASE: &str = "https://enmeshed.eu/integrate/error-codes#";

/// A failed request.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    hint: Option<Hint>,
}

/// What a header adds to a failure.
#[derive(Debug)]
enum Hint {
    /// The methods that a path has.
    Allow(String),
    /// Seconds.
    RetryAfter(u32),
}

/// The JSON text of a failed request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ErrorBody {
    /// What went wrong.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ErrorDetail {
    /// Stable; programs decide by it.
    #[schema(example = "error.runtime.recordNotFound")]
    code: String,
    /// For people.
    message: String,
    /// Names this one failure, in the log as well.
    #[schema(pattern = "^ERR[A-HJ-NP-Z2-9]{17}$")]
    id: String,
    /// When.
    #[schema(format = DateTime)]
    time: String,
    /// Where the code is explained.
    docs: String,
}

impl Problem {
    /// A failure of this layer.
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code: code.into(), message: message.into(), hint: None }
    }

    /// A value breaks a rule; `message` says which value and which rule.
    pub(crate) fn invalid_property(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "error.runtime.validation.invalidPropertyValue", message)
    }

    /// The head of the request cannot be read.
    pub(crate) fn malformed(malformed: Malformed) -> Self {
        let code = match malformed {
            Malformed::TargetTooLong => "error.connector.http.uriTooLong",
            Malformed::TooLarge => "error.connector.http.headerTooLarge",
            _ => "error.connector.http.malformedRequest",
        };
        Self::new(malformed.status(), code, format!("The request cannot be read: {malformed}."))
    }

    /// The body is not JSON, or not in a form that is read.
    pub(crate) fn invalid_json() -> Self {
        let message = "The given payload is not a valid json object.";
        Self::new(StatusCode::BAD_REQUEST, "error.connector.validation.invalidJsonInPayload", message)
    }

    /// The body has a `Content-Encoding` that is not read, at least not for this kind of body.
    pub(crate) fn unsupported_encoding() -> Self {
        let message = "The payload has a Content-Encoding that is not supported. Send JSON with gzip, deflate or none, \
             and forms with parts without one.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "error.connector.http.unsupportedContentEncoding", message)
    }

    /// Larger than `limit` bytes.
    pub(crate) fn payload_too_large(limit: usize) -> Self {
        let message = format!("The payload is larger than {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "error.connector.http.payloadTooLarge", message)
    }

    /// The body did not arrive in time.
    pub(crate) fn timeout() -> Self {
        let message = "The payload did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "error.connector.http.requestTimeout", message)
    }

    /// Other large bodies take all the memory there is for them.
    pub(crate) fn busy() -> Self {
        let message = "Too many large payloads arrive at the same time. Wait, then send it again.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "error.connector.http.serviceUnavailable", message);
        Self { hint: Some(Hint::RetryAfter(1)), ..problem }
    }

    /// More than `limit` values.
    pub(crate) fn too_many_values(limit: usize) -> Self {
        let message = format!("The payload holds more than {limit} values.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "error.connector.http.payloadTooLarge", message)
    }

    /// No key, or a wrong one.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "error.connector.unauthorized", "Unauthorized.")
    }

    /// Too many wrong keys from one place.
    pub(crate) fn too_many_failures() -> Self {
        let message = "Too many requests with a wrong key. Wait, then use the right one.";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "error.connector.tooManyUnauthorizedRequests", message);
        Self { hint: Some(Hint::RetryAfter(1)), ..problem }
    }

    /// The key lacks a role.
    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "error.connector.forbidden", "You are not allowed to access this endpoint.")
    }

    /// No such path.
    pub(crate) fn route_does_not_exist() -> Self {
        let message = "The requested route does not exist.";
        Self::new(StatusCode::NOT_FOUND, "error.connector.http.routeDoesNotExist", message)
    }

    /// The path exists, the method does not. `allow` lists those that do.
    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let message = "The request method is not supported for the requested resource.";
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "error.connector.http.methodNotAllowed", message);
        Self { hint: Some(Hint::Allow(allow)), ..problem }
    }

    /// The client accepts nothing that the route makes.
    pub(crate) fn not_acceptable() -> Self {
        let message = "The requested resource is capable of generating only content not acceptable according to the \
                       Accept headers sent in the request.";
        Self::new(StatusCode::NOT_ACCEPTABLE, "error.connector.http.notAcceptable", message)
    }

    /// The disk has no room.
    pub(crate) fn storage_full() -> Self {
        let message = "The disk of this node is full.";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "error.runtime.storageFull", message)
    }

    /// A fault of ours.
    pub(crate) fn unexpected() -> Self {
        let message = "An unexpected error occurred.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "error.connector.unexpected", message)
    }

    /// `Allow` or `Retry-After`, if there is something to add.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.hint.as_ref()? {
            Hint::Allow(methods) => Some((header::ALLOW, HeaderValue::from_str(methods).ok()?)),
            Hint::RetryAfter(seconds) => Some((header::RETRY_AFTER, (*seconds).into())),
        }
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The body, as one failure at this time.
    pub(crate) fn body(&self, now: Timestamp) -> ErrorBody {
        let docs = format!("{DOCS_BASE}{}", self.code);
        let (code, message) = (self.code.clone().into_owned(), self.message.clone().into_owned());
        ErrorBody {
            error: ErrorDetail { code, message, id: RequestId::current().of_failure(), time: now.to_string(), docs },
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = status_of(&error);
        if status.is_server_error() {
            tracing::warn!(code = error.code(), %error, "a request failed");
        }
        if matches!(error, Error::Store(_) | Error::Config(_)) {
            // Their texts name files of this machine: they are for the log.
            return Self::unexpected();
        }
        if matches!(error, Error::StorageFull(_)) {
            return Self::storage_full();
        }
        let code = error.code().to_owned();
        Self::new(status, code, error.to_string())
    }
}

/// The status that belongs to an error of the runtime.
fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::RecordNotFound(_) | Error::RecordNotFoundAtBackbone(_) => StatusCode::NOT_FOUND,
        Error::Transport { kind, .. } if kind.code() == "error.transport.recordNotFound" => StatusCode::NOT_FOUND,
        Error::Backbone { code, .. } if code.starts_with("error.platform.validation.") => StatusCode::BAD_REQUEST,
        Error::Backbone { code, .. } if code == "error.platform.recordNotFound" => StatusCode::NOT_FOUND,
        Error::Backbone { status, .. } => foreign_status(*status),
        Error::Network { code, .. } => network_status(code),
        Error::StorageFull(_) => StatusCode::INSUFFICIENT_STORAGE,
        Error::Store(_) | Error::Config(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The backbone's own status, if it is one that says something went wrong.
fn foreign_status(status: u16) -> StatusCode {
    match StatusCode::from_u16(status) {
        Ok(status) if status.is_client_error() || status.is_server_error() => status,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn network_status(code: &str) -> StatusCode {
    match code {
        "error.transport.request.notFound" => StatusCode::NOT_FOUND,
        "error.transport.request.badRequest" => StatusCode::BAD_REQUEST,
        "error.transport.request.bodyLengthExceeded" => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::Host => (
                "error.connector.http.hostNotAllowed",
                "The Host header names a host that this node does not answer for. Use its address, or allow the name in the configuration.",
            ),
            Refusal::Origin => (
                "error.connector.http.originNotAllowed",
                "The page's origin may not call this node. Allow it in the configuration.",
            ),
        };
        Self::new(StatusCode::FORBIDDEN, code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backbone(status: u16, code: &str) -> Error {
        let (message, request) = ("text".to_owned(), "POST /Tokens".to_owned());
        Error::Backbone { status, code: code.to_owned(), message, request, trace_id: None }
    }

    #[test]
    fn statuses_follow_the_table() {
        let cases = [
            (Error::RecordNotFound("File"), 404),
            (Error::RecordNotFoundAtBackbone("Token not found.".to_owned()), 404),
            (Error::InvalidPayload, 400),
            (Error::IdentityMetadataNotFound, 400),
            (Error::Unknown("text".to_owned()), 400),
            (backbone(401, "error.platform.unauthorized"), 401),
            (backbone(429, "error.platform.quotaExhausted"), 429),
            (backbone(400, "error.platform.validation.invalidPropertyValue"), 400),
            (backbone(99, "error.platform.unexpected"), 500),
            (backbone(200, "error.platform.unexpected"), 500),
            (Error::Network { code: "error.transport.request.network", message: String::new() }, 500),
            (Error::Network { code: "error.transport.request.bodyLengthExceeded", message: String::new() }, 413),
            (Error::Store("damaged".to_owned()), 500),
            (Error::StorageFull("full".to_owned()), 507),
            (backbone(507, "error.platform.insufficientStorage"), 507),
        ];
        for (error, status) in cases {
            assert_eq!(Problem::from(error).status().as_u16(), status);
        }
    }

    #[test]
    fn store_errors_do_not_show_paths() {
        let problem = Problem::from(Error::Store("/data/node is locked".to_owned()));
        assert_eq!((problem.code(), problem.message.contains("/data")), ("error.connector.unexpected", false));
        let problem = Problem::from(Error::StorageFull("the disk with /data/node is full".to_owned()));
        assert_eq!((problem.code(), problem.message.contains("/data")), ("error.runtime.storageFull", false));
    }

    #[test]
    fn the_body_has_the_envelope_of_errors() {
        let body = serde_json::to_value(Problem::unauthorized().body(Timestamp::NEVER)).unwrap();
        let error = body["error"].as_object().unwrap();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "id", "time", "docs"]);
        assert_eq!(error["docs"], "https://enmeshed.eu/integrate/error-codes#error.connector.unauthorized");
        assert_eq!(error["time"], "9999-12-31T00:00:00.000Z");
        let id = error["id"].as_str().unwrap();
        assert!(id.len() == 20 && id.starts_with("ERR") && !id[3..].contains(['I', 'O', '0', '1']), "{id}");
    }
}
