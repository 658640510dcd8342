//! How errors of backbone calls appear in this crate.

use std::fmt;
use std::sync::Arc;

use transport::backbone::{self, BackboneFailure, NetworkError};

use crate::Error;
use crate::code::{BackboneCode, ErrorCode};

/// A call to the backbone that failed.
#[derive(Debug, Clone)]
pub struct BackboneError {
    code: BackboneCode,
    explanation: Option<String>,
    cause: Arc<backbone::Error>,
}

impl BackboneError {
    /// The code.
    #[must_use]
    pub fn code(&self) -> &BackboneCode {
        &self.code
    }

    /// What became of the call.
    #[must_use]
    pub fn failure(&self) -> BackboneFailure {
        self.cause.failure()
    }

    /// Why there was no answer, if there was none.
    #[must_use]
    pub fn network(&self) -> Option<NetworkError> {
        match &*self.cause {
            backbone::Error::Network { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// The HTTP status, if the backbone answered with one.
    pub(crate) fn status(&self) -> Option<u16> {
        self.cause.status()
    }

    /// The error of the call.
    pub(crate) fn cause(&self) -> &backbone::Error {
        &self.cause
    }

    /// Whether another attempt may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        self.cause.is_transient()
    }

    /// Method and path of the request, for the log.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.cause.request()
    }

    /// The id of the request in the backbone's log, if it sent one.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        match &*self.cause {
            backbone::Error::Api { trace_id, .. } => trace_id.as_deref(),
            _ => None,
        }
    }

    /// The same with a sentence behind the backbone's text.
    #[must_use]
    pub(crate) fn explained(self, explanation: String) -> Self {
        Self { explanation: Some(explanation), ..self }
    }
}

impl fmt::Display for BackboneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.cause {
            backbone::Error::Api { message, .. } => f.write_str(message),
            other => other.fmt(f),
        }?;
        self.explanation.as_ref().map_or(Ok(()), |explanation| write!(f, " {explanation}"))
    }
}

impl std::error::Error for BackboneError {
    /// The cause of the cause: this error says what the cause itself says.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

impl From<backbone::Error> for BackboneError {
    fn from(error: backbone::Error) -> Self {
        Self { code: code_of(&error), explanation: None, cause: Arc::new(error) }
    }
}

/// The code that the published clients have for the same.
pub(crate) fn code_of(error: &backbone::Error) -> BackboneCode {
    use backbone::Error as Cause;
    BackboneCode::Known(match error {
        Cause::Api { code, .. } => return BackboneCode::of_backbone(code),
        Cause::Unauthorized { .. } => ErrorCode::Unauthorized,
        Cause::Forbidden { .. } => ErrorCode::Forbidden,
        Cause::UnexpectedStatus { .. } => ErrorCode::Unexpected,
        Cause::NotFound { .. } => ErrorCode::RequestNotFound,
        Cause::BadRequest { .. } => ErrorCode::RequestRefused,
        Cause::NoAuthGrant { .. } => ErrorCode::NoAuthGrant,
        Cause::NoAuthPossible { .. } => ErrorCode::NoAuthPossible,
        Cause::ResultUndefined { .. } => ErrorCode::ResultUndefined,
        Cause::AnswerTooLarge { .. } => ErrorCode::AnswerTooLarge,
        Cause::Network { kind: NetworkError::AddressNotFound, .. } => ErrorCode::AddressNotFound,
        Cause::Network { kind: NetworkError::Timeout, .. } => ErrorCode::Aborted,
        Cause::Network { .. } => ErrorCode::Network,
        _ => ErrorCode::UnreadableAnswer,
    })
}

impl From<backbone::Error> for Error {
    fn from(error: backbone::Error) -> Self {
        match &error {
            backbone::Error::Api { message, .. } if error.is_record_not_found() => {
                Self::RecordNotFoundAtBackbone(message.clone())
            }
            _ => Self::Backbone(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, code: &str) -> backbone::Error {
        let (code, message, request) = (code.to_owned(), "File not found.".to_owned(), "GET /Files".to_owned());
        backbone::Error::Api { status, code, message, request, trace_id: Some("trace".to_owned()) }
    }

    #[test]
    fn an_unknown_record_keeps_the_backbones_text() {
        let error = Error::from(api(404, "error.platform.recordNotFound"));
        assert_eq!((error.code(), error.to_string().as_str()), ("error.runtime.recordNotFound", "File not found."));
    }

    #[test]
    fn codes_of_the_backbone_pass_through() {
        let error = Error::from(api(400, "error.platform.token.tooManyFailedPasswordAttempts"));
        assert_eq!(error.known_code(), Some(ErrorCode::TokenLocked));
        let error = Error::from(api(400, "error.platform.unheardOf"));
        assert_eq!((error.code(), error.known_code()), ("error.platform.unheardOf", None));
        let Error::Backbone(error) = error else { panic!("{error}") };
        assert_eq!((error.request(), error.trace_id()), (Some("GET /Files"), Some("trace")));
        let error = BackboneError::from(backbone::Error::Forbidden { request: "DELETE /Files".to_owned() });
        assert_eq!(error.failure(), BackboneFailure::Forbidden);
    }

    #[test]
    fn missing_answers_are_told_from_unreadable_ones() {
        let error = BackboneError::from(backbone::Error::ResultUndefined { request: String::new() });
        assert_eq!(error.code().as_str(), "error.transport.request.resultUndefined");
        assert_eq!((error.failure(), error.network()), (BackboneFailure::Failed, None));
        let kind = NetworkError::Connect;
        let error = BackboneError::from(backbone::Error::Network { kind, request: String::new(), source: None });
        assert_eq!((error.failure(), error.network()), (BackboneFailure::Unreachable, Some(kind)));
    }
}
