//! Which HTTP status belongs to which code: one table for the codes of the runtime, one for those that only faces answer.

use http::StatusCode;
use runtime::{BackboneFailure, Error, ErrorCode};

runtime::error_codes! {
    /// A code that only a face of the REST interface answers.
    pub enum FaceCode {
        /// The body is not JSON, or not in a form that is read.
        InvalidJson = "error.connector.validation.invalidJsonInPayload",
        /// The form is not complete.
        InvalidMultipart = "error.connector.validation.invalidMultipartPayload",
        /// The body has a `Content-Encoding` that is not read.
        UnsupportedEncoding = "error.connector.http.unsupportedContentEncoding",
        /// The body is larger than allowed.
        PayloadTooLarge = "error.connector.http.payloadTooLarge",
        /// The body did not arrive in time.
        RequestTimeout = "error.connector.http.requestTimeout",
        /// There is no room for another body.
        ServiceUnavailable = "error.connector.http.serviceUnavailable",
        /// The target of the request is longer than allowed.
        UriTooLong = "error.connector.http.uriTooLong",
        /// The head of the request is larger than allowed.
        HeaderTooLarge = "error.connector.http.headerTooLarge",
        /// The head of the request is not HTTP.
        MalformedRequest = "error.connector.http.malformedRequest",
        /// No such path.
        RouteDoesNotExist = "error.connector.http.routeDoesNotExist",
        /// The path exists, the method does not.
        MethodNotAllowed = "error.connector.http.methodNotAllowed",
        /// The client accepts nothing that the route makes.
        NotAcceptable = "error.connector.http.notAcceptable",
        /// The content has none of the requested bytes.
        RangeNotSatisfiable = "error.connector.http.rangeNotSatisfiable",
        /// The content is not the one that the client has a part of.
        PreconditionFailed = "error.connector.http.preconditionFailed",
        /// The `Host` header names a host that this node does not answer for.
        HostNotAllowed = "error.connector.http.hostNotAllowed",
        /// The origin of a web page may not call this node.
        OriginNotAllowed = "error.connector.http.originNotAllowed",
        /// No key, or a wrong one.
        Unauthorized = "error.connector.unauthorized",
        /// The key lacks a role.
        Forbidden = "error.connector.forbidden",
        /// Too many wrong keys from one place.
        TooManyUnauthorized = "error.connector.tooManyUnauthorizedRequests",
        /// The program failed.
        Unexpected = "error.connector.unexpected",
    }
}

/// The status of a code that only faces answer.
pub(crate) fn status_of_face(code: FaceCode) -> StatusCode {
    match code {
        FaceCode::InvalidJson | FaceCode::InvalidMultipart | FaceCode::MalformedRequest => StatusCode::BAD_REQUEST,
        FaceCode::UriTooLong => StatusCode::URI_TOO_LONG,
        FaceCode::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        FaceCode::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        FaceCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        FaceCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        FaceCode::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        FaceCode::RouteDoesNotExist => StatusCode::NOT_FOUND,
        FaceCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        FaceCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        FaceCode::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        FaceCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        FaceCode::HostNotAllowed | FaceCode::OriginNotAllowed | FaceCode::Forbidden => StatusCode::FORBIDDEN,
        FaceCode::Unauthorized => StatusCode::UNAUTHORIZED,
        FaceCode::TooManyUnauthorized => StatusCode::TOO_MANY_REQUESTS,
        FaceCode::Unexpected => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The status of each code of the runtime. [`ErrorCode::Unexpected`] and codes that this program does not know are not in
/// it: the answer of the backbone decides.
const STATUSES: &[(StatusCode, &[ErrorCode])] = &[
    (
        StatusCode::BAD_REQUEST,
        &[
            ErrorCode::InvalidPropertyValue,
            ErrorCode::InvalidTags,
            ErrorCode::InvalidPayload,
            ErrorCode::InvalidTokenContent,
            ErrorCode::InvalidReference,
            ErrorCode::InvalidTruncatedReference,
            ErrorCode::PeersOff,
            ErrorCode::InvalidCode,
            ErrorCode::WrongCode,
            ErrorCode::NotSupported,
            ErrorCode::FileNotOwnedByYou,
            ErrorCode::IdentityMetadataNotFound,
            ErrorCode::UnfamiliarReferencedIdentity,
            ErrorCode::Unknown,
            ErrorCode::NotIntendedForYou,
            ErrorCode::NoIdentityFound,
            ErrorCode::PlatformClientInvalid,
            ErrorCode::NoPasswordProvided,
            ErrorCode::EmptyToken,
            ErrorCode::UnreadableTokenContent,
            ErrorCode::CipherMismatch,
            ErrorCode::PlaintextHashMismatch,
            ErrorCode::InvalidFileMetadata,
            ErrorCode::NeedsNewerReader,
            ErrorCode::MaxFileSizeExceeded,
            ErrorCode::UploadUnfinished,
            ErrorCode::UploadGivenUp,
            ErrorCode::ChallengeTypeRequiresActiveRelationship,
            ErrorCode::SignatureNotValid,
            ErrorCode::TooOldForDatawallet,
            ErrorCode::InvalidDatawallet,
            ErrorCode::RequestRefused,
            ErrorCode::TokenLocked,
            ErrorCode::PlatformInvalidPropertyValue,
            ErrorCode::AddressAlreadyExists,
            ErrorCode::DatawalletNotUpToDate,
            ErrorCode::PushDuringSyncRun,
            ErrorCode::PlatformTooOldForDatawallet,
            ErrorCode::SyncRunInProgress,
            ErrorCode::SyncRunFinalized,
        ],
    ),
    (StatusCode::UNAUTHORIZED, &[ErrorCode::Unauthorized]),
    (StatusCode::FORBIDDEN, &[ErrorCode::Forbidden]),
    (
        StatusCode::NOT_FOUND,
        &[
            ErrorCode::RecordNotFound,
            ErrorCode::TransportRecordNotFound,
            ErrorCode::RequestNotFound,
            ErrorCode::PlatformRecordNotFound,
            ErrorCode::CodeNotFound,
        ],
    ),
    (StatusCode::CONFLICT, &[ErrorCode::TokenExhausted, ErrorCode::TooManyClaims]),
    (StatusCode::PAYLOAD_TOO_LARGE, &[ErrorCode::AnswerTooLarge]),
    (StatusCode::TOO_MANY_REQUESTS, &[ErrorCode::QuotaExhausted, ErrorCode::TooManyRequests, ErrorCode::TooManyCodes]),
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        &[
            ErrorCode::Store,
            ErrorCode::Config,
            ErrorCode::UnknownEvent,
            ErrorCode::NoAuthGrant,
            ErrorCode::NoAuthPossible,
            ErrorCode::ResultUndefined,
            ErrorCode::AddressNotFound,
            ErrorCode::Network,
            ErrorCode::Aborted,
            ErrorCode::UnreadableAnswer,
            ErrorCode::PeerUnreachable,
            ErrorCode::PeerExchange,
            ErrorCode::CodeInterrupted,
        ],
    ),
    (StatusCode::INSUFFICIENT_STORAGE, &[ErrorCode::StorageFull, ErrorCode::InsufficientStorage]),
];

/// The status of a code of the runtime, if it is in the table.
pub(crate) fn status_of_code(code: ErrorCode) -> Option<StatusCode> {
    STATUSES.iter().find(|(_, codes)| codes.contains(&code)).map(|(status, _)| *status)
}

/// The status of an error of the runtime.
pub(crate) fn status_of(error: &Error) -> StatusCode {
    match (error.known_code().and_then(status_of_code), error) {
        (Some(status), _) => status,
        // New rules of a backbone are about values, like the known ones.
        (None, Error::Backbone(failed)) if failed.code().is_validation() => StatusCode::BAD_REQUEST,
        (None, Error::Backbone(failed)) => status_of_failure(failed.failure()),
        (None, Error::Unreplaced { cause, .. }) => status_of(cause),
        (None, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn status_of_failure(failure: BackboneFailure) -> StatusCode {
    match failure {
        BackboneFailure::Refused => StatusCode::BAD_REQUEST,
        BackboneFailure::Unauthorized => StatusCode::UNAUTHORIZED,
        BackboneFailure::Forbidden => StatusCode::FORBIDDEN,
        BackboneFailure::NotFound => StatusCode::NOT_FOUND,
        BackboneFailure::Conflict => StatusCode::CONFLICT,
        BackboneFailure::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        BackboneFailure::TooMany => StatusCode::TOO_MANY_REQUESTS,
        BackboneFailure::Full => StatusCode::INSUFFICIENT_STORAGE,
        BackboneFailure::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_of_the_runtime_has_one_status() {
        for code in ErrorCode::ALL {
            let rows = STATUSES.iter().filter(|(_, codes)| codes.contains(code)).count();
            assert_eq!(rows, usize::from(*code != ErrorCode::Unexpected), "{code}");
        }
    }

    #[test]
    fn an_answer_that_the_backbone_does_not_explain_is_passed_on_as_what_it_is() {
        for (failure, status) in [
            (BackboneFailure::Refused, 400),
            (BackboneFailure::Unauthorized, 401),
            (BackboneFailure::Forbidden, 403),
            (BackboneFailure::NotFound, 404),
            (BackboneFailure::Conflict, 409),
            (BackboneFailure::TooLarge, 413),
            (BackboneFailure::TooMany, 429),
            (BackboneFailure::Failed, 500),
            (BackboneFailure::Unreachable, 500),
            (BackboneFailure::Unavailable, 503),
            (BackboneFailure::Full, 507),
        ] {
            assert_eq!(status_of_failure(failure).as_u16(), status, "{failure:?}");
        }
    }

    #[test]
    fn codes_of_faces_and_texts_belong_to_each_other_one_by_one() {
        let texts: HashSet<&str> = FaceCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), FaceCode::ALL.len());
        for code in FaceCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!(code.as_str().parse::<ErrorCode>().is_err(), "{code} is one of the runtime");
            assert!(!status_of_face(*code).is_success(), "{code}");
        }
    }
}
