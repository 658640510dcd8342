//! JSON bodies: member names in any case, none of them twice, unknown members ignored, no attention to the content type.
//!
//! They are decoded straight into what the route needs. In between, as a tree of values, a body of 20 MiB would take more
//! than a gigabyte.

use axum::extract::{FromRequest, Request};
use bytes::BytesMut;
use serde::de::DeserializeOwned;
use transport::wire::json_budget::{self, JsonBudget};

use super::AppState;
use super::body::read_all;
use super::budget::SMALL_BODY;
use super::problem::Problem;
use crate::core::Core;

/// Values and keys of a body with a fixed number of members.
const SMALL: JsonBudget = JsonBudget { max_nodes: 1_000, max_depth: 16 };
/// Values and keys of a body with a list: 25 for each of the 10,000 entries it may have. Official clients send up to 15.
const LARGE: JsonBudget = JsonBudget { max_nodes: 250_000, max_depth: 16 };

/// The names of all members that any request has, as clients are supposed to write them.
const MEMBERS: &[&str] = &[
    "appId",
    "challenge",
    "clientId",
    "clientSecret",
    "collection",
    "communicationLanguage",
    "content",
    "datawalletModifications",
    "datawalletVersion",
    "deviceCommunicationLanguage",
    "devicePassword",
    "duration",
    "encryptedPayload",
    "environment",
    "errorCode",
    "expiresAt",
    "externalEventId",
    "externalEventResults",
    "forIdentity",
    "handle",
    "identityPublicKey",
    "identityVersion",
    "isBackupDevice",
    "localIndex",
    "modifications",
    "newContent",
    "newDatawalletVersion",
    "newPassword",
    "objectIdentifier",
    "oldPassword",
    "ownershipToken",
    "password",
    "payloadCategory",
    "platform",
    "signature",
    "signedChallenge",
    "type",
];

/// A body of at most 64 KiB that has to be there and to have this shape.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, core: &AppState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_all(core, &parts, body, SMALL_BODY).await?;
        parse(bytes, &SMALL).map(Self)
    }
}

/// A body that may bring megabytes, from whoever is logged in: contents, and lists of modifications.
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

/// Parses where it keeps no other request waiting.
async fn parse_aside<T: DeserializeOwned + Send + 'static>(core: &Core, bytes: BytesMut) -> Result<T, Problem> {
    let _alone = core.decoding.acquire().await.expect("the semaphore is never closed");
    let parsing = tokio::task::spawn_blocking(move || parse(bytes, &LARGE));
    parsing.await.expect("parsing does not panic")
}

fn parse<T: DeserializeOwned>(mut bytes: BytesMut, budget: &JsonBudget) -> Result<T, Problem> {
    json_budget::check(&bytes, budget).map_err(Problem::unreadable)?;
    fold_names(&mut bytes);
    serde_json::from_slice(&bytes).map_err(Problem::unreadable)
}

/// Gives members their proper names, in place: both forms of a name have the same length. In a text that is not JSON other
/// strings may change too, but nothing is made of that. Names that are written with escapes stay as they are.
fn fold_names(text: &mut [u8]) {
    let mut position = 0;
    while let Some(start) = memchr::memchr(b'"', &text[position..]).map(|quote| position + quote + 1) {
        let end = end_of_string(text, start);
        if is_name(&text[(end + 1).min(text.len())..])
            && let Some(name) = proper_name(&text[start..end])
        {
            text[start..end].copy_from_slice(name.as_bytes());
        }
        position = (end + 1).min(text.len());
    }
}

/// Where the closing quote of a string is, or the end of the text.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut position = start;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[position..]) {
        position += found;
        if text[position] == b'"' {
            return position;
        }
        position = (position + 2).min(text.len());
    }
    text.len()
}

/// Whether what precedes this is the name of a member.
fn is_name(rest: &[u8]) -> bool {
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

fn proper_name(name: &[u8]) -> Option<&'static str> {
    MEMBERS.iter().find(|member| member.as_bytes().eq_ignore_ascii_case(name)).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        for_identity: String,
    }

    fn read(text: &str) -> Result<Body, Problem> {
        parse(text.as_bytes().into(), &SMALL)
    }

    fn folded(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        fold_names(&mut bytes);
        String::from_utf8(bytes).unwrap()
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
    fn only_names_are_folded() {
        for (text, expected) in [
            (r#"{"CONTENT":"CONTENT","x":["TYPE"]}"#, r#"{"content":"CONTENT","x":["TYPE"]}"#),
            (r#"{"a":"\",\"TYPE\":","TYPE":1}"#, r#"{"a":"\",\"TYPE\":","type":1}"#),
            (r#"{"a":"\\","Type" :{"DURATION":1}}"#, r#"{"a":"\\","type" :{"duration":1}}"#),
            (r#"{"TYPE"#, r#"{"TYPE"#),
            (r#"{"TYPE\"#, r#"{"TYPE\"#),
            (r#"""#, r#"""#),
        ] {
            assert_eq!(folded(text), expected, "{text}");
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

    /// Names that are members in some case, and others.
    fn name() -> impl Strategy<Value = String> {
        let member = (prop::sample::select(MEMBERS), any::<u32>()).prop_map(|(name, upper)| {
            let cased = name.bytes().enumerate().map(|(place, byte)| {
                char::from(if upper >> (place % 32) & 1 == 1 { byte.to_ascii_uppercase() } else { byte })
            });
            cased.collect()
        });
        prop_oneof![member, "[a-z\"\\\\:, ]{0,6}"]
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(null)), any::<i32>().prop_map(|n| json!(n)), name().prop_map(|t| json!(t))];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((name(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The same tree with proper names.
    fn properly_named(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(properly_named).collect(),
            Value::Object(members) => {
                let proper = |name: String| proper_name(name.as_bytes()).map_or(name, str::to_owned);
                Value::Object(members.into_iter().map(|(name, value)| (proper(name), properly_named(value))).collect())
            }
            scalar => scalar,
        }
    }

    proptest! {
        #[test]
        fn folding_a_text_is_folding_its_tree(tree in tree(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
            let read: Value = serde_json::from_str(&folded(&text)).unwrap();
            prop_assert_eq!(read, properly_named(tree));
        }

        #[test]
        fn any_bytes_are_taken(mut bytes in prop::collection::vec(prop::sample::select(b"\"\\:{}x ".to_vec()), 0..40)) {
            let length = bytes.len();
            fold_names(&mut bytes);
            prop_assert_eq!(bytes.len(), length);
        }
    }
}
