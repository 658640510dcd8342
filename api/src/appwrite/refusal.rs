//! Failures in the terms that clients know.

use http::StatusCode;
use query::SelectionError;
use runtime::storage::preview::PreviewError;
use runtime::storage::{StorageError, TokenRefusal};

use crate::code::FaceCode;
use crate::problem::Problem;

/// Seconds after which a place may be free again.
const RETRY_AFTER: u32 = 5;

/// The stable name of a failure. Those of this face have it already; the others are named by what they are.
pub(super) fn kind_of(problem: &Problem) -> &str {
    let code = problem.code();
    if !code.starts_with("error.") {
        return code;
    }
    if let Ok(FaceCode::RouteDoesNotExist | FaceCode::MethodNotAllowed) = code.parse() {
        return "general_route_not_found";
    }
    match problem.status() {
        StatusCode::UNAUTHORIZED => "user_unauthorized",
        StatusCode::FORBIDDEN => "general_access_forbidden",
        StatusCode::NOT_FOUND => "general_not_found",
        StatusCode::RANGE_NOT_SATISFIABLE => "storage_invalid_range",
        StatusCode::TOO_MANY_REQUESTS => "general_rate_limit_exceeded",
        status if status.is_client_error() => "general_argument_invalid",
        _ => "general_unknown",
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        use StorageError as E;
        let (status, code) = match &error {
            E::InvalidArgument { .. } => (StatusCode::BAD_REQUEST, "general_argument_invalid"),
            E::BucketNotFound => (StatusCode::NOT_FOUND, "storage_bucket_not_found"),
            E::FileNotFound => (StatusCode::NOT_FOUND, "storage_file_not_found"),
            E::BucketExists => (StatusCode::CONFLICT, "storage_bucket_already_exists"),
            E::FileExists => (StatusCode::CONFLICT, "storage_file_already_exists"),
            E::NotPermitted(_) | E::TokenOfOtherFile | E::ForeignRoles(_) => {
                (StatusCode::UNAUTHORIZED, "user_unauthorized")
            }
            E::Token(refusal) => of_token(*refusal),
            E::TokenNotFound => (StatusCode::NOT_FOUND, "token_not_found"),
            E::ClaimNotFound => (StatusCode::NOT_FOUND, "token_claim_not_found"),
            E::TokenRevoked => (StatusCode::CONFLICT, "token_revoked"),
            E::TransformationsDisabled => (StatusCode::FORBIDDEN, "storage_bucket_transformations_disabled"),
            E::FileSizeNotAllowed => (StatusCode::BAD_REQUEST, "storage_invalid_file_size"),
            E::ExtensionNotAllowed => (StatusCode::BAD_REQUEST, "storage_file_type_unsupported"),
            E::EmptyFile => (StatusCode::BAD_REQUEST, "storage_file_empty"),
            E::InvalidContentRange(_) | E::InvalidPart(_) => (StatusCode::BAD_REQUEST, "storage_invalid_content_range"),
            E::InvalidUploadId => (StatusCode::BAD_REQUEST, "storage_invalid_appwrite_id"),
            E::LimitReached(_) => (StatusCode::BAD_REQUEST, "general_bad_request"),
            E::Busy => (StatusCode::SERVICE_UNAVAILABLE, "general_unknown"),
            E::Preview(preview) => match of_preview(preview) {
                Some(named) => named,
                None => {
                    tracing::warn!(%error, "a preview failed");
                    return Self::unexpected();
                }
            },
            E::List(error) => (StatusCode::BAD_REQUEST, of_list(error)),
            E::Node(error) => return of_node(error.clone().into()),
            _ => return Self::unexpected(),
        };
        let problem = Self::of_face(status, code, error.to_string());
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.for_some(RETRY_AFTER) } else { problem }
    }
}

/// What is wrong with what a list asks for.
fn of_list(error: &SelectionError) -> &'static str {
    match error {
        SelectionError::CursorNotFound { .. } => "general_cursor_not_found",
        SelectionError::Null { .. } => "database_query_order_null",
        _ => "general_query_invalid",
    }
}

/// What clients know it as; none for a fault of ours.
fn of_preview(error: &PreviewError) -> Option<(StatusCode, &'static str)> {
    use PreviewError as P;
    Some(match error {
        P::ResolutionExceeded { .. } => (StatusCode::BAD_REQUEST, "storage_image_resolution_exceeded"),
        P::InputTooLarge { .. } | P::UnknownFormat | P::Undecodable { .. } => {
            (StatusCode::BAD_REQUEST, "storage_file_type_unsupported")
        }
        // Of other parameters there is one.
        P::PreviewTooLarge { .. } | P::OutputTooLarge { .. } | P::Unencodable { .. } => {
            (StatusCode::BAD_REQUEST, "general_argument_invalid")
        }
        P::Busy | P::TimeExceeded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "general_unknown"),
        _ => return None,
    })
}

/// What whoever presents a file token is told. To the first two belong codes of one length.
fn of_token(refusal: TokenRefusal) -> (StatusCode, &'static str) {
    match refusal {
        TokenRefusal::Expired => (StatusCode::UNAUTHORIZED, "token_expired"),
        TokenRefusal::NotYetValid => (StatusCode::UNAUTHORIZED, "token_not_yet_valid"),
        TokenRefusal::NotAllowed => (StatusCode::UNAUTHORIZED, "user_unauthorized"),
        TokenRefusal::Exhausted => (StatusCode::CONFLICT, "token_exhausted"),
        TokenRefusal::TooManyClaims => (StatusCode::CONFLICT, "token_too_many_claims"),
        TokenRefusal::ClaimRequired => (StatusCode::CONFLICT, "token_claim_required"),
        TokenRefusal::UnknownClaim => (StatusCode::NOT_FOUND, "token_claim_not_found"),
        _ => (StatusCode::UNAUTHORIZED, "token_invalid"),
    }
}

/// The node or its backbone failed. If the backbone refuses the node, the caller can do nothing about it.
fn of_node(problem: Problem) -> Problem {
    match problem.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            Problem::of_face(StatusCode::INTERNAL_SERVER_ERROR, "general_unknown", problem.message().to_owned())
        }
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::Error;
    use runtime::storage::Action;

    use super::*;

    fn told(error: StorageError) -> (u16, String) {
        let problem = Problem::from(error);
        (problem.status().as_u16(), kind_of(&problem).to_owned())
    }

    #[test]
    fn refusals_have_the_codes_that_clients_know() {
        for (error, status, kind) in [
            (StorageError::BucketNotFound, 404, "storage_bucket_not_found"),
            (StorageError::NotPermitted(Action::Read), 401, "user_unauthorized"),
            (StorageError::FileSizeNotAllowed, 400, "storage_invalid_file_size"),
            (StorageError::FileExists, 409, "storage_file_already_exists"),
            (StorageError::Busy, 503, "general_unknown"),
            (
                PreviewError::ResolutionExceeded { width: 60000, height: 1 }.into(),
                400,
                "storage_image_resolution_exceeded",
            ),
            (PreviewError::UnknownFormat.into(), 400, "storage_file_type_unsupported"),
            (PreviewError::PreviewTooLarge { width: 1, height: 1 }.into(), 400, "general_argument_invalid"),
            (PreviewError::OutputTooLarge { limit: 1 }.into(), 400, "general_argument_invalid"),
            (PreviewError::Busy.into(), 503, "general_unknown"),
            (PreviewError::TimeExceeded { seconds: 1 }.into(), 503, "general_unknown"),
            (PreviewError::Failed.into(), 500, "general_unknown"),
            (PreviewError::Load(Arc::new(StorageError::FileNotFound)).into(), 404, "storage_file_not_found"),
            (StorageError::Token(TokenRefusal::Invalid), 401, "token_invalid"),
            (StorageError::Token(TokenRefusal::Expired), 401, "token_expired"),
            (StorageError::Token(TokenRefusal::Exhausted), 409, "token_exhausted"),
            (StorageError::Node(Error::InvalidPayload), 400, "general_argument_invalid"),
            (StorageError::Node(Error::Stopped), 500, "general_unknown"),
            (StorageError::Node(Error::RecordNotFound("File")), 500, "general_unknown"),
        ] {
            assert_eq!(told(error), (status, kind.to_owned()));
        }
        for busy in [StorageError::Busy, PreviewError::Busy.into()] {
            assert_eq!(Problem::from(busy).headers()[http::header::RETRY_AFTER], "5");
        }
        assert_eq!(kind_of(&Problem::route_does_not_exist()), "general_route_not_found");
        assert_eq!(kind_of(&Problem::too_many_failures()), "general_rate_limit_exceeded");
        assert_eq!(kind_of(&Problem::invalid_json()), "general_argument_invalid");
    }
}
