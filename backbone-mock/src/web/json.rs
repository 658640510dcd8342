//! JSON bodies: member names in any case, unknown members ignored, no attention to the content type.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::AppState;
use super::body::read_all;
use super::problem::Problem;

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

/// A body that has to be there and to have this shape.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, core: &AppState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_all(core, &parts.headers, body).await?;
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(Problem::unreadable)?;
    fold_names(&mut value);
    serde_json::from_value(value).map_err(Problem::unreadable)
}

/// Gives members their proper names, at any depth. (The depth of a JSON text is bounded by its parser.)
fn fold_names(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.keys().any(|name| proper_name(name).is_some_and(|proper| proper != name)) {
                *members = std::mem::take(members).into_iter().map(properly_named).collect::<Map<_, _>>();
            }
            members.values_mut().for_each(fold_names);
        }
        Value::Array(items) => items.iter_mut().for_each(fold_names),
        _ => {}
    }
}

fn properly_named((name, value): (String, Value)) -> (String, Value) {
    match proper_name(&name) {
        Some(proper) => (proper.to_owned(), value),
        None => (name, value),
    }
}

fn proper_name(name: &str) -> Option<&'static str> {
    MEMBERS.iter().find(|member| member.eq_ignore_ascii_case(name)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        for_identity: String,
    }

    #[test]
    fn names_are_read_in_any_case_and_unknown_ones_ignored() {
        let body: Body = parse(br#"{"FORidentity":"x","other":{"a":1}}"#).unwrap_or_else(|p| panic!("{p:?}"));
        assert_eq!(body.for_identity, "x");
    }

    #[test]
    fn missing_null_and_broken_members_are_unreadable() {
        for text in ["", "{}", r#"{"forIdentity":null}"#, r#"{"forIdentity":1}"#, "{", "[]"] {
            assert!(parse::<Body>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
