//! The recorded probes of the published connectors, the documented rules beyond them, and properties.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Result;

fn files() -> Vec<Map<String, Value>> {
    let file = |name: &str, expires: &str, more: Value| {
        let mut file = json!({
            "filename": name, "expiresAt": expires, "filesize": 1, "isOwn": true, "mimetype": "application/x-query",
            "createdBy": "did:e:localhost:dids:0123456789abcdef012345", "createdAt": "2026-01-01T00:00:00.000Z",
            "ownershipToken": "x"
        });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        file.as_object().unwrap().clone()
    };
    vec![
        file(
            "q1.dat",
            "2098-01-01T00:00:00.000Z",
            json!({"title": "Query Alpha", "description": "first", "tags": ["x:q1", "x:common"]}),
        ),
        file("q2.dat", "2098-06-01T00:00:00.000Z", json!({"title": "query beta", "tags": ["x:q2", "x:common"]})),
        file("q3.dat", "2099-01-01T00:00:00.000Z", json!({"title": "12345", "description": "true"})),
    ]
}

fn tokens() -> Vec<Map<String, Value>> {
    let token = |name: &str, protection: Value| {
        json!({"filename": name, "isOwn": true, "passwordProtection": protection}).as_object().unwrap().clone()
    };
    vec![
        token("plain", Value::Null),
        token("password", json!({"password": "pw", "passwordType": "pw", "passwordLocationIndicator": 5})),
        token("pin", json!({"password": "4711", "passwordType": "pin4", "passwordLocationIndicator": 77})),
    ]
}

fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn names(
    fields: &'static [Field],
    objects: &[Map<String, Value>],
    ownership: Ownership,
    query: &str,
) -> Result<Vec<String>> {
    let query = Query::parse(fields, &parameters(query), ownership)?;
    let found = objects.iter().filter(|object| query.matches(object));
    Ok(found.map(|object| object["filename"].as_str().unwrap().to_owned()).collect())
}

fn found_files(query: &str) -> String {
    let names = names(FILES, &files(), Ownership::Any, query).unwrap();
    names.iter().map(|name| name.trim_end_matches(".dat").to_owned()).collect::<Vec<_>>().join(" ")
}

fn found_tokens(query: &str) -> String {
    names(TOKENS, &tokens(), Ownership::Own, query).unwrap().join(" ")
}

#[test]
fn files_are_found_as_recorded() {
    for (query, expected) in [
        ("filename=q1.dat", "q1"),
        ("filename=Q1.DAT", ""),
        ("filename=q1.dat&filename=q2.dat", "q1 q2"),
        ("filename=!q1.dat", "q2 q3"),
        ("filename=!=q1.dat", "q2 q3"),
        ("filename=!q1.dat&filename=!q2.dat", "q3"),
        ("filename=~q[12]", "q1 q2"),
        ("filename=~q.", "q1 q2 q3"),
        ("description=", "q1 q3"),
        ("description", "q1 q3"),
        ("description=!", "q2"),
        ("title=!", ""),
        ("expiresAt=>2098-03-01T00:00:00.000Z", "q2 q3"),
        ("expiresAt=>=2098-06-01T00:00:00.000Z", "q2 q3"),
        ("expiresAt=<2098-06-01T00:00:00.000Z", "q1"),
        ("expiresAt=<=2098-06-01T00:00:00.000Z", "q1 q2"),
        ("expiresAt=>2098-03-01T00:00:00.000Z&expiresAt=<2098-09-01T00:00:00.000Z", "q2"),
        ("expiresAt=2098-01-01T00:00:00.000Z", "q1"),
        ("expiresAt=x", ""),
        ("tags=x:q1&tags=x:q2", "q1 q2"),
        ("tags=x:none", ""),
        ("filesize=1", "q1 q2 q3"),
        ("filesize=>0", "q1 q2 q3"),
        ("filesize=x", ""),
        ("isOwn=true", "q1 q2 q3"),
        ("isOwn=false", ""),
        ("isOwn=TRUE", "q1 q2 q3"),
        ("isOwn=!true", ""),
        ("createdBy=", "q1 q2 q3"),
        ("createdAt=>2000-01-01T00:00:00.000Z", "q1 q2 q3"),
        ("ownershipIsLocked=true", ""),
        ("ownershipIsLocked=!true", "q1 q2 q3"),
        ("ownershipIsLocked=!", "q1 q2 q3"),
        ("ownershipToken=", ""),
        ("filename=q1.dat&filename=!q2.dat", "q1"),
        ("filename=~q1&filename=~q2", "q2"),
        ("title=%", ""),
        ("title= ", ""),
        ("title=Query Alpha", "q1"),
        ("title=>", "q1 q2 q3"),
        ("", "q1 q2 q3"),
        ("&", "q1 q2 q3"),
    ] {
        assert_eq!(found_files(query), expected, "{query}");
    }
}

#[test]
fn driver_quirks_of_the_original_are_not_copied() {
    for (query, expected) in [
        ("title=^query", "q1 q2"),
        ("title=^=query", "q1 q2"),
        ("title=$beta", "q2"),
        ("title=$=BETA", "q2"),
        ("title=~y a", "q1"),
        ("title=12345", "q3"),
        ("description=true", "q3"),
        ("tags=x:q1", "q1"),
        ("tags=x:common", "q1 q2"),
        ("tags=!x:q1", "q2 q3"),
        ("tags=", "q1 q2"),
        ("tags=!", "q3"),
        ("tags=^x:q", "q1 q2"),
        ("ownershipToken=x", "q1 q2 q3"),
    ] {
        assert_eq!(found_files(query), expected, "{query}");
    }
}

#[test]
fn tokens_are_found_as_recorded() {
    for (query, expected) in [
        ("passwordProtection=", "password pin"),
        ("passwordProtection=!", "plain"),
        ("passwordProtection.password=pw", "password"),
        ("passwordProtection.password=4711", "pin"),
        ("passwordProtection.password=!pw", ""),
        ("passwordProtection.password=", ""),
        ("passwordProtection.passwordIsPin=true", "pin"),
        ("passwordProtection.passwordIsPin=!", "password"),
        ("passwordProtection.passwordLocationIndicator=SMS", "password"),
        ("passwordProtection.passwordLocationIndicator=5", "password"),
        ("passwordProtection.passwordLocationIndicator=77", "pin"),
        ("passwordProtection.passwordLocationIndicator=Nowhere", ""),
        ("passwordProtection.passwordLocationIndicator=sms", ""),
        ("forIdentity=!", "plain password pin"),
        ("forIdentity=", ""),
        ("isOwn=false", "plain password pin"),
    ] {
        assert_eq!(found_tokens(query), expected, "{query}");
    }
    assert!(names(TOKENS, &tokens(), Ownership::Peer, "isOwn=true").unwrap().is_empty());
}

#[test]
fn refusals_have_the_texts_of_the_published_connectors() {
    let refusal = |fields, query: &str| names(fields, &[], Ownership::Any, query).unwrap_err();
    for query in ["unknown=1", "id=x", "filename[]=q", "filename[x]=q", "owner=x", "=1", "Filename=q1.dat"] {
        assert_eq!(refusal(FILES, query).to_string(), "query must NOT have additional properties", "{query}");
    }
    for (fields, query, text) in [
        (FILES, "ownershipIsLocked=true&ownershipIsLocked=false", "query/ownershipIsLocked must be string"),
        (TOKENS, "passwordProtection=x", "query/passwordProtection must be equal to one of the allowed values"),
        (
            TOKENS,
            "passwordProtection.passwordIsPin=false",
            "query/passwordProtection.passwordIsPin must be equal to one of the allowed values",
        ),
        (TOKENS, "content=x", "query must NOT have additional properties"),
        (TOKENS, "passwordProtection.x=1", "query must NOT have additional properties"),
    ] {
        let refusal = refusal(fields, query);
        assert_eq!(refusal.code(), "error.runtime.validation.invalidPropertyValue");
        assert_eq!(refusal.to_string(), text);
    }
}

#[test]
fn unreadable_and_oversized_regular_expressions_are_refused() {
    for pattern in ["title=~(", "title=^)|(", "title=~(?:(?:a{1000}){1000}){1000}"] {
        let refusal = names(FILES, &[], Ownership::Any, pattern).unwrap_err();
        assert_eq!(refusal.code(), "error.runtime.unknown");
        let text = refusal.to_string();
        assert!(text.starts_with("An error was thrown in a UseCase: Invalid regular expression: /"), "{text}");
    }
}

#[test]
fn the_members_that_a_query_needs_are_those_it_names() {
    let query = Query::parse(TOKENS, &parameters("expiresAt=x&passwordProtection.password=y"), Ownership::Own).unwrap();
    assert_eq!(query.members(), ["isOwn", "expiresAt", "passwordProtection"]);
    assert!(Query::parse(TOKENS, &[], Ownership::Any).unwrap().members().is_empty());
}

proptest! {
    #[test]
    fn no_value_makes_the_query_panic(values in prop::collection::vec(any::<String>(), 0..4)) {
        for field in FILES.iter().chain(TOKENS) {
            let fields = if FILES.iter().any(|file| file.name == field.name) { FILES } else { TOKENS };
            let parameters: Vec<_> = values.iter().map(|value| (field.name.to_owned(), value.clone())).collect();
            if let Ok(query) = Query::parse(fields, &parameters, Ownership::Any) {
                for object in files().iter().chain(&tokens()) {
                    query.matches(object);
                }
            }
        }
    }

    #[test]
    fn a_text_without_operator_finds_exactly_itself(text in "[a-zA-Z0-9 .:/-]{1,20}", other in "[a-zA-Z0-9 .:/-]{1,20}") {
        let query = Query::parse(FILES, &[("title".to_owned(), text.clone())], Ownership::Any).unwrap();
        let titled = |title: &str| json!({"title": title}).as_object().unwrap().clone();
        prop_assert!(query.matches(&titled(&text)));
        prop_assert_eq!(query.matches(&titled(&other)), text == other);
    }

    #[test]
    fn not_equal_is_the_opposite_of_equal(text in "[a-z0-9]{1,3}", title in prop::option::of("[a-z0-9]{1,3}")) {
        let object: Map<String, Value> = title.iter().map(|title| ("title".to_owned(), json!(title))).collect();
        let matches = |value: String| Query::parse(FILES, &[("title".to_owned(), value)], Ownership::Any).unwrap().matches(&object);
        prop_assert_ne!(matches(text.clone()), matches(format!("!{text}")));
    }

    #[test]
    fn bounds_partition_numbers(size in any::<u32>(), bound in any::<u32>()) {
        let object = json!({"filesize": size}).as_object().unwrap().clone();
        let matches = |value: String| Query::parse(FILES, &[("filesize".to_owned(), value)], Ownership::Any).unwrap().matches(&object);
        prop_assert_eq!(matches(format!(">{bound}")), size > bound);
        prop_assert_eq!(matches(format!("<={bound}")), size <= bound);
        prop_assert_eq!(matches(bound.to_string()), size == bound);
    }
}
