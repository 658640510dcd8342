//! JSON bodies: member names in any case, no duplicates, unknown members ignored, any content type.
//!
//! They are decoded straight into the type that the route needs: as a tree of values, a body of 20 MiB would take more than a
//! gigabyte.

use axum::extract::{FromRequest, Request};
use bytes::BytesMut;
use serde::de::DeserializeOwned;
use transport::wire::json_budget::{self, JsonBudget};

use super::AppState;
use super::any_case::AnyCase;
use super::body::read_all;
use super::problem::Problem;
use crate::budget::SMALL_BODY;
use crate::core::Core;

/// Maximum values and keys of a body with a fixed number of members.
const SMALL: JsonBudget = JsonBudget { max_nodes: 1_000, max_depth: 16 };
/// Maximum values and keys of a body with a list: 25 for each of up to 10,000 entries. Official clients send up to 15.
const LARGE: JsonBudget = JsonBudget { max_nodes: 250_000, max_depth: 16 };

/// A required body of at most 64 KiB.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, core: &AppState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_all(core, &parts, body, SMALL_BODY).await?;
        parse(bytes, &SMALL).map(Self)
    }
}

/// A required body that may have megabytes if the sender is logged in: contents, and lists of modifications.
pub(crate) struct LargeJsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<AppState> for LargeJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, core: &AppState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_all(core, &parts, body, core.config.limits.max_body_bytes).await?;
        let is_small = bytes.len() as u64 <= SMALL_BODY;
        if is_small { parse(bytes, &LARGE).map(Self) } else { parse_aside(core, bytes).await.map(Self) }
    }
}

/// Parses on a thread where it does not delay other requests.
async fn parse_aside<T: DeserializeOwned + Send + 'static>(core: &Core, bytes: BytesMut) -> Result<T, Problem> {
    let _alone = core.decoding.acquire().await.expect("the semaphore is never closed");
    let parsing = tokio::task::spawn_blocking(move || parse(bytes, &LARGE));
    parsing.await.expect("parsing does not panic")
}

fn parse<T: DeserializeOwned>(bytes: BytesMut, budget: &JsonBudget) -> Result<T, Problem> {
    json_budget::check(&bytes, budget).map_err(Problem::unreadable)?;
    let mut text = serde_json::Deserializer::from_slice(&bytes);
    let read = T::deserialize(AnyCase(&mut text)).map_err(Problem::unreadable)?;
    text.end().map_err(Problem::unreadable)?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        for_identity: String,
    }

    fn read(text: &str) -> Result<Body, Problem> {
        parse(text.as_bytes().into(), &SMALL)
    }

    #[test]
    fn names_are_read_in_any_case_and_unknown_ones_ignored() {
        let body = read(r#"{"FORidentity" : "x","other":{"a":1}}"#).unwrap_or_else(|p| panic!("{p:?}"));
        assert_eq!(body.for_identity, "x");
    }

    #[test]
    fn missing_null_and_broken_members_are_unreadable() {
        let twice = r#"{"forIdentity":"x","FORIDENTITY":"y"}"#;
        let more = r#"{"forIdentity":"x"}}"#;
        for text in ["", "{}", r#"{"forIdentity":null}"#, r#"{"forIdentity":1}"#, "{", "[]", more, twice] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_and_depth_are_bounded() {
        let list = |count: usize| format!(r#"{{"forIdentity":"x","other":[{}]}}"#, vec!["0"; count].join(","));
        // The object, two names, a text and the list.
        assert!(read(&list(SMALL.max_nodes - 5)).is_ok());
        assert!(read(&list(SMALL.max_nodes - 4)).is_err());
        let deep =
            |depth: usize| format!(r#"{{"forIdentity":"x","other":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(read(&deep(SMALL.max_depth - 1)).is_ok());
        assert!(read(&deep(SMALL.max_depth)).is_err());
    }
}
