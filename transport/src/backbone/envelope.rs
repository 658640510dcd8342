//! Decodes an HTTP answer into a value or an error. No I/O.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Error;
use super::bounds::AnswerBounds;
use crate::wire::backbone::envelope::{Pagination, QUOTA_EXHAUSTED, TOO_MANY_REQUESTS};
use crate::wire::json_budget::{self, JsonBudgetError};

/// Maximum length of an error answer in bytes.
pub(super) const MAX_ERROR_ANSWER: usize = 64 * 1024;

/// Maximum length of a code or message in characters; the rest is cut off.
const MAX_ERROR_TEXT: usize = 500;

/// A value with its position in a longer list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) value: T,
    pub(super) pagination: Option<Pagination>,
    /// Bytes of the answer.
    pub(super) length: u64,
    /// Values and keys in the answer.
    pub(super) values: u64,
}

/// Decodes a successful answer.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], bounds: AnswerBounds, request: &str) -> Result<Page<T>, Error> {
    #[derive(Deserialize)]
    struct Success<T> {
        result: Option<T>,
        #[serde(default)]
        pagination: Option<Pagination>,
    }
    let values = json_budget::count(body, &bounds.json()).map_err(|error| too_much(error, request))?;
    let success: Success<T> = serde_json::from_slice(body).map_err(|error| malformed(&error, request))?;
    let value = success.result.ok_or_else(|| Error::ResultUndefined { request: request.to_owned() })?;
    Ok(Page { value, pagination: success.pagination, length: body.len() as u64, values: values as u64 })
}

fn too_much(error: JsonBudgetError, request: &str) -> Error {
    let (limit, unit) = match error {
        JsonBudgetError::TooManyNodes { max } => (max as u64, "values"),
        JsonBudgetError::TooDeep { max } => (max as u64, "levels"),
    };
    Error::AnswerTooLarge { request: request.to_owned(), limit, unit }
}

/// Reports the position only, because the message of `serde_json` may quote the value.
fn malformed(error: &serde_json::Error, request: &str) -> Error {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a member is missing or has an unexpected form",
        _ => "it is not JSON",
    };
    let reason = format!("{what} at line {} column {}", error.line(), error.column());
    Error::Malformed { request: request.to_owned(), reason }
}

/// The known codes of a 429.
const TOO_MUCH: [&str; 2] = [QUOTA_EXHAUSTED, TOO_MANY_REQUESTS];

/// What codes start with that only uploads in several requests have.
const OF_UPLOADS: &str = "error.platform.upload.";

/// What codes start with that only tokens have.
const OF_TOKENS: &str = "error.platform.token.";

/// Decodes an answer with an error status.
///
/// Like the published clients, this reads error bodies of 400, 404 and 500 only: a 502 may be the page of a proxy. A full disk
/// is reported with 507, an exhausted quota or rate with 429, each with known codes, as are conflicts of uploads that go on after
/// an interruption, and of the uses of a token.
pub(super) fn error(status: u16, trace_id: Option<String>, body: &[u8], request: &str) -> Error {
    // Only the members shown to users: further ones may have any shape.
    #[derive(Deserialize)]
    struct Failure {
        error: FailureText,
    }
    #[derive(Deserialize)]
    struct FailureText {
        code: String,
        #[serde(default)]
        message: String,
    }
    let request = request.to_owned();
    let means_something = |code: &str| match status {
        409 => code.starts_with(OF_UPLOADS) || code.starts_with(OF_TOKENS),
        413 | 423 | 460 => code.starts_with(OF_UPLOADS),
        429 => TOO_MUCH.contains(&code),
        _ => !code.is_empty(),
    };
    let failure =
        || serde_json::from_slice::<Failure>(body).ok().filter(|failure| means_something(&failure.error.code));
    match status {
        401 => Error::Unauthorized { request },
        403 => Error::Forbidden { request },
        400 | 404 | 409 | 413 | 423 | 429 | 460 | 500 | 507 => match failure() {
            Some(Failure { error }) => Error::Api {
                status,
                code: printable(&error.code),
                message: printable(&error.message),
                request,
                trace_id,
            },
            None if status == 404 => Error::NotFound { request },
            None if status == 400 => Error::BadRequest { status, request },
            None => Error::UnexpectedStatus { status, request },
        },
        _ => Error::UnexpectedStatus { status, request },
    }
}

/// A text of the backbone, made safe to show: without control characters, and truncated.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_ERROR_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::backbone::envelope::RECORD_NOT_FOUND;

    const QUOTA_BODY: &[u8] = br#"{"error":{"id":"ERRABCDEFGHJKLMNPQRS","code":"error.platform.quotaExhausted",
        "message":"full","docs":"","time":"2026-01-01T00:00:00.1234567Z","data":[{"metricKey":"NumberOfFiles"}]}}"#;
    const ERROR_BODY: &[u8] = br#"{"error":{"id":"ERRABCDEFGHJKLMNPQRS","code":"error.platform.recordNotFound",
        "message":"Token not found.","docs":"","time":"2026-01-01T00:00:00.1234567Z","data":null}}"#;

    #[test]
    fn a_status_and_a_body_say_what_happened() {
        let rows: &[(u16, &[u8], &str)] = &[
            (400, ERROR_BODY, RECORD_NOT_FOUND),
            (404, ERROR_BODY, RECORD_NOT_FOUND),
            (500, ERROR_BODY, RECORD_NOT_FOUND),
            (507, ERROR_BODY, RECORD_NOT_FOUND),
            (401, ERROR_BODY, "unauthorized"),
            (403, ERROR_BODY, "forbidden"),
            (409, ERROR_BODY, "unexpected"),
            (413, ERROR_BODY, "unexpected"),
            (429, ERROR_BODY, "unexpected"),
            (429, QUOTA_BODY, QUOTA_EXHAUSTED),
            (429, b"<html>", "unexpected"),
            (503, ERROR_BODY, "unexpected"),
            (404, b"", "not found"),
            (404, b"<html>", "not found"),
            (400, b"{}", "bad request"),
            (500, b"", "unexpected"),
            (507, b"", "unexpected"),
        ];
        for (status, body, expected) in rows {
            let error = error(*status, None, body, "GET /Tokens");
            let kind = match &error {
                Error::Api { code, .. } => code,
                Error::Unauthorized { .. } => "unauthorized",
                Error::Forbidden { .. } => "forbidden",
                Error::UnexpectedStatus { .. } => "unexpected",
                Error::NotFound { .. } => "not found",
                Error::BadRequest { .. } => "bad request",
                other => panic!("{other}"),
            };
            assert_eq!(kind, *expected, "{status}");
            assert_eq!((error.status(), error.request()), (Some(*status), Some("GET /Tokens")));
            assert!(!error.to_string().contains("/Tokens"), "{error}");
        }
    }

    #[test]
    fn the_backbones_text_and_trace_id_are_kept() {
        let error = error(404, Some("trace".into()), ERROR_BODY, "GET /Tokens/TOK");
        assert!(error.is_record_not_found());
        let Error::Api { message, trace_id, .. } = error else { panic!("{error}") };
        assert_eq!((message.as_str(), trace_id.as_deref()), ("Token not found.", Some("trace")));
    }

    #[test]
    fn a_message_cannot_act_on_the_terminal_that_shows_it() {
        let message = format!("\u{1b}[2Jgone{}", "!".repeat(2000));
        let body = serde_json::json!({ "error": { "code": "a\r\nb", "message": message } }).to_string();
        let Error::Api { code, message, .. } = error(400, None, body.as_bytes(), "") else { panic!("an api error") };
        assert_eq!((code.as_str(), &message[..8], message.len()), ("ab", "[2Jgone!", MAX_ERROR_TEXT));
    }

    #[test]
    fn an_absent_or_null_result_is_an_error_of_its_own() {
        for body in ["{}", r#"{"result":null}"#] {
            let error = read::<Vec<u8>>(body.as_bytes(), AnswerBounds::RECORD, "GET /Version").unwrap_err();
            assert!(matches!(error, Error::ResultUndefined { .. }), "{body}");
        }
        assert!(read::<Vec<u8>>(br#"{"result":[]}"#, AnswerBounds::RECORD, "").unwrap().value.is_empty());
    }

    #[test]
    fn unreadable_answers_are_reported_without_their_content() {
        for body in [r#"{"result":"hunter2"}"#, r#"{"result":["hunter2"#, "hunter2"] {
            let error = read::<Vec<u8>>(body.as_bytes(), AnswerBounds::RECORD, "GET /Version").unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{body}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_answer_may_hold_as_many_values_as_its_kind() {
        // The object, the key, the list.
        let most = AnswerBounds::RECORD.json().max_nodes - 3;
        let answer = |values: usize| format!("{{\"result\":[{}0]}}", "0,".repeat(values - 1));
        let read = |text: String| read::<Vec<u8>>(text.as_bytes(), AnswerBounds::RECORD, "GET /Version");
        assert_eq!(read(answer(most)).unwrap().value.len(), most);
        assert!(matches!(read(answer(most + 1)), Err(Error::AnswerTooLarge { unit: "values", .. })));
        let deep = format!("{{\"result\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(matches!(read(deep), Err(Error::AnswerTooLarge { unit: "levels", .. })));
    }
}
