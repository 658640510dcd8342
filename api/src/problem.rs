//! What a failure looks like outside: status, stable code, safe text.
//!
//! Inner layers know codes, not statuses; the tables in [`crate::code`] join them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use listener::guard::ForeignRequest;
use listener::{Malformed, RequestId};
use runtime::{Error, ErrorCode, Timestamp};
use serde::Serialize;

use crate::code::{FaceCode, status_of, status_of_code, status_of_face};

const DOCS_BASE: &str = "https://enmeshed.eu/integrate/error-codes#";

/// A failed request.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    hint: Option<Hint>,
    /// Further headers.
    also: Option<Box<HeaderMap>>,
}

/// What a header or a member of its own adds to a failure.
#[derive(Debug)]
enum Hint {
    /// The methods that a path has.
    Allow(String),
    /// Seconds.
    RetryAfter(u32),
    /// Which bytes there are, and their entity tag.
    Representation(Box<HeaderMap>),
    /// The token that was made although the request failed.
    NewToken(String),
    /// The node that shares was reached, and may give it yet.
    SenderReached,
}

/// The JSON text of a failed request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ErrorBody {
    /// What went wrong.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
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
    /// If the rotation of a token has failed after the new token was made: that token. The same request completes the rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_token: Option<String>,
    /// `true` if the node that shares a token or file was reached, and something came between that may pass: try again in a moment, whatever
    /// the code says of the backbone. Otherwise left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_reached: Option<bool>,
}

impl Problem {
    /// A failure of this layer.
    pub(crate) fn new(code: FaceCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: status_of_face(code),
            code: code.as_str().into(),
            message: message.into(),
            hint: None,
            also: None,
        }
    }

    /// A failure with a code that one face has.
    pub(crate) fn of_face(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: code.into(), message: message.into(), hint: None, also: None }
    }

    /// With one more header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.also.get_or_insert_default().insert(name, value);
        self
    }

    /// The same, which passes by itself after some seconds.
    pub(crate) fn for_some(self, seconds: u32) -> Self {
        Self { hint: Some(Hint::RetryAfter(seconds)), ..self }
    }

    /// A failure that the runtime has a code for.
    fn of_runtime(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        let status = status_of_code(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code: code.as_str().into(), message: message.into(), hint: None, also: None }
    }

    /// A value breaks a rule; `message` says which value and which rule.
    pub(crate) fn invalid_property(message: impl Into<Cow<'static, str>>) -> Self {
        Self::of_runtime(ErrorCode::InvalidPropertyValue, message)
    }

    /// The head of the request cannot be read.
    pub(crate) fn malformed(malformed: Malformed) -> Self {
        let code = match malformed {
            Malformed::TargetTooLong => FaceCode::UriTooLong,
            Malformed::TooLarge => FaceCode::HeaderTooLarge,
            _ => FaceCode::MalformedRequest,
        };
        Self::new(code, format!("The request cannot be read: {malformed}."))
    }

    /// The body is not JSON, or not in a form that is read.
    pub(crate) fn invalid_json() -> Self {
        let message = "The given payload is not a valid json object.";
        Self::new(FaceCode::InvalidJson, message)
    }

    /// The body has a `Content-Encoding` that is not read, at least not for this kind of body.
    pub(crate) fn unsupported_encoding() -> Self {
        let message = "The payload has a Content-Encoding that is not supported. Send JSON with gzip, deflate or none, \
             and forms with parts without one.";
        Self::new(FaceCode::UnsupportedEncoding, message)
    }

    /// Larger than `limit` bytes.
    pub(crate) fn payload_too_large(limit: usize) -> Self {
        let message = format!("The payload is larger than {limit} bytes.");
        Self::new(FaceCode::PayloadTooLarge, message)
    }

    /// The body did not arrive in time.
    pub(crate) fn timeout() -> Self {
        let message = "The payload did not arrive in time.";
        Self::new(FaceCode::RequestTimeout, message)
    }

    /// Other large bodies take all the memory there is for them.
    pub(crate) fn busy() -> Self {
        let message = "Too many large payloads arrive at the same time. Wait, then send it again.";
        let problem = Self::new(FaceCode::ServiceUnavailable, message);
        Self { hint: Some(Hint::RetryAfter(1)), ..problem }
    }

    /// More than `limit` values.
    pub(crate) fn too_many_values(limit: usize) -> Self {
        let message = format!("The payload holds more than {limit} values.");
        Self::new(FaceCode::PayloadTooLarge, message)
    }

    /// No key, or a wrong one.
    pub(crate) fn unauthorized() -> Self {
        Self::new(FaceCode::Unauthorized, "Unauthorized.")
    }

    /// Too many wrong keys from one place.
    pub(crate) fn too_many_failures() -> Self {
        let message = "Too many requests with a wrong key. Wait, then use the right one.";
        let problem = Self::new(FaceCode::TooManyUnauthorized, message);
        Self { hint: Some(Hint::RetryAfter(1)), ..problem }
    }

    /// The key lacks a role.
    pub(crate) fn forbidden() -> Self {
        Self::new(FaceCode::Forbidden, "You are not allowed to access this endpoint.")
    }

    /// No such path.
    pub(crate) fn route_does_not_exist() -> Self {
        let message = "The requested route does not exist.";
        Self::new(FaceCode::RouteDoesNotExist, message)
    }

    /// The path exists, the method does not. `allow` lists those that do.
    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let message = "The request method is not supported for the requested resource.";
        let problem = Self::new(FaceCode::MethodNotAllowed, message);
        Self { hint: Some(Hint::Allow(allow)), ..problem }
    }

    /// The client accepts nothing that the route makes.
    pub(crate) fn not_acceptable() -> Self {
        let message = "The requested resource is capable of generating only content not acceptable according to the \
                       Accept headers sent in the request.";
        Self::new(FaceCode::NotAcceptable, message)
    }

    /// None of the ranges is in the `size` bytes of the file; `headers` say so to programs.
    pub(crate) fn range_not_satisfiable(size: u64, headers: HeaderMap) -> Self {
        let message = format!("The file has {size} bytes, and none of them is in the requested range.");
        let problem = Self::new(FaceCode::RangeNotSatisfiable, message);
        Self { hint: Some(Hint::Representation(Box::new(headers))), ..problem }
    }

    /// The file is not the one that the client wants to read on; `headers` have its entity tag.
    pub(crate) fn precondition_failed(headers: HeaderMap) -> Self {
        let message = "The file does not have an entity tag that If-Match names.";
        let problem = Self::new(FaceCode::PreconditionFailed, message);
        Self { hint: Some(Hint::Representation(Box::new(headers))), ..problem }
    }

    /// The disk has no room.
    pub(crate) fn storage_full() -> Self {
        let message = "The disk of this node is full.";
        Self::of_runtime(ErrorCode::StorageFull, message)
    }

    /// A fault of ours.
    pub(crate) fn unexpected() -> Self {
        let message = "An unexpected error occurred.";
        Self::new(FaceCode::Unexpected, message)
    }

    /// What its headers add to it.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = self.also.as_deref().cloned().unwrap_or_default();
        match &self.hint {
            Some(Hint::Allow(methods)) => {
                headers.extend(HeaderValue::from_str(methods).ok().map(|methods| (header::ALLOW, methods)));
            }
            Some(Hint::RetryAfter(seconds)) => {
                headers.insert(header::RETRY_AFTER, (*seconds).into());
            }
            Some(Hint::Representation(those)) => headers.extend(those.as_ref().clone()),
            Some(Hint::NewToken(_) | Hint::SenderReached) | None => {}
        }
        headers
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// What it says to people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The body, as one failure at this time.
    pub(crate) fn body(&self, now: Timestamp) -> ErrorBody {
        let docs = format!("{DOCS_BASE}{}", self.code);
        let (code, message) = (self.code.clone().into_owned(), self.message.clone().into_owned());
        let new_token = match &self.hint {
            Some(Hint::NewToken(id)) => Some(id.clone()),
            _ => None,
        };
        let sender_reached = matches!(self.hint, Some(Hint::SenderReached)).then_some(true);
        let (id, time) = (RequestId::current().of_failure(), now.to_string());
        ErrorBody { error: ErrorDetail { code, message, id, time, docs, new_token, sender_reached } }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = status_of(&error);
        // Of a cause it is the cause that is noted.
        if status.is_server_error() && !matches!(error, Error::Unreplaced { .. }) {
            log(&error);
        }
        match error {
            // Their texts name files and settings of this machine: they are for the log.
            Error::Store(_) | Error::Config(_) => Self::unexpected(),
            Error::StorageFull(_) => Self::storage_full(),
            Error::Unreplaced { new, cause } => {
                let hint = Some(Hint::NewToken(new.to_string()));
                Self { hint, ..Self::from(*cause) }
            }
            error => {
                let (code, message) = (error.code().to_owned().into(), error.to_string().into());
                let is_reached = matches!(&error, Error::Undelivered(undelivered) if undelivered.is_sender_reached());
                Self { status, code, message, hint: is_reached.then_some(Hint::SenderReached), also: None }
            }
        }
    }
}

/// Notes a failure, and which request of the backbone it was, if it was one.
fn log(error: &Error) {
    let cause = std::error::Error::source(error).map(tracing::field::display);
    let failed = match error {
        Error::Backbone(failed) => Some(failed),
        _ => None,
    };
    let (request, trace_id) = (failed.and_then(|it| it.request()), failed.and_then(|it| it.trace_id()));
    tracing::warn!(code = error.code(), %error, cause, request, trace_id, "a request failed");
}

impl From<ForeignRequest> for Problem {
    fn from(refusal: ForeignRequest) -> Self {
        let (code, message) = match refusal {
            ForeignRequest::Host => (
                FaceCode::HostNotAllowed,
                "The Host header names a host that this node does not answer for. Use its address, or allow the name in the configuration.",
            ),
            ForeignRequest::Origin => {
                (FaceCode::OriginNotAllowed, "The page's origin may not call this node. Allow it in the configuration.")
            }
        };
        Self::new(code, message)
    }
}

#[cfg(test)]
mod tests {
    use runtime::ConfigError;

    use super::*;

    #[test]
    fn statuses_follow_the_table() {
        let invalid = ErrorCode::InvalidPropertyValue;
        let cases = [
            (Error::RecordNotFound("File"), 404),
            (Error::RecordNotFoundAtBackbone("Token not found.".to_owned()), 404),
            (Error::InvalidPropertyValue("text".to_owned()), 400),
            (Error::InvalidPayload, 400),
            (Error::IdentityMetadataNotFound, 400),
            (Error::Unknown("text".to_owned()), 400),
            (Error::Stopped, 500),
        ];
        for (error, status) in cases {
            assert_eq!(Problem::from(error).status().as_u16(), status);
        }
        let problem = Problem::invalid_property("text");
        assert_eq!((problem.status(), problem.code()), (StatusCode::BAD_REQUEST, invalid.as_str()));
    }

    #[test]
    fn a_rotation_that_failed_after_the_new_token_names_it_in_a_member_of_its_own() {
        let cause = || Error::NotSupported("text".to_owned());
        let new = "TOKabcdefghijklmno12".parse().unwrap();
        let (bare, failed) = (Problem::from(cause()), Problem::from(Error::Unreplaced { new, cause: cause().into() }));
        assert_eq!((failed.status(), failed.code()), (bare.status(), bare.code()));
        let body = failed.body(Timestamp::NEVER).error;
        assert_eq!((body.message.as_str(), body.new_token.as_deref()), ("text", Some("TOKabcdefghijklmno12")));
    }

    #[test]
    fn that_the_sender_was_reached_is_a_member_of_its_own_beside_the_code_of_the_backbone() {
        let cut_off = Problem::from(runtime::testing::cut_off());
        assert_eq!((cut_off.status().as_u16(), cut_off.code()), (404, "error.runtime.recordNotFound"));
        assert_eq!(serde_json::to_value(cut_off.body(Timestamp::NEVER)).unwrap()["error"]["senderReached"], true);
        let missing =
            serde_json::to_value(Problem::from(Error::RecordNotFound("Token")).body(Timestamp::NEVER)).unwrap();
        assert_eq!(missing["error"].get("senderReached"), None);
    }

    #[test]
    fn errors_of_this_machine_do_not_show_paths() {
        let (held, wanted) = ("/data/a".into(), "/data/b".into());
        let problem = Problem::from(Error::from(ConfigError::OtherLock { held, wanted }));
        assert_eq!((problem.code(), problem.message.contains("/data")), ("error.connector.unexpected", false));
        let problem = Problem::storage_full();
        assert_eq!((problem.code(), problem.status().as_u16()), ("error.runtime.storageFull", 507));
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
