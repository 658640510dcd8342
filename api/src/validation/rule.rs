//! What is checked of a property before its type reads it, and what is said if that fails.

use serde_json::Value;

use super::read::Violation;
use super::shape::{ADDRESS_PATTERN, ValueRule, id_pattern};

/// Fewest characters of a truncated reference.
const MIN_TRUNCATED_REFERENCE: usize = 88;

impl ValueRule {
    /// Checks which kind of JSON a value is, and whether a text looks like what only the runtime can read.
    pub(super) fn check_kind(&self, value: &Value) -> Result<(), Violation> {
        match self {
            Self::Any | Self::AnyObject | Self::Object(_) => Ok(()),
            Self::Nullable(rule) => {
                if value.is_null() {
                    Ok(())
                } else {
                    rule.check_kind(value)
                }
            }
            Self::Text(_) | Self::Pattern(_) | Self::Id(_) => text(value).map(|_| ()),
            Self::Choice(choices) => text(value)
                .and_then(|text| require(choices.contains(&text), &format!("must be one of {}", choices.join(", ")))),
            Self::NullableFlag | Self::Flag => flag(value).map(|_| ()),
            Self::OnlyTrue => flag(value).and_then(|flag| require(flag, "must be equal to constant")),
            Self::DateTime => require(value.is_string(), DATE_TIME),
            // Stricter than the type of addresses: the host must be `localhost` or have a top-level domain.
            Self::Address => {
                text(value).and_then(|text| matching(text.split(':').nth(2).is_some_and(is_host), ADDRESS_PATTERN))
            }
            Self::Number => require(value.is_u64(), "must be a whole number that is not negative"),
            Self::Texts | Self::Tags => require(value.is_array(), "must be array"),
            Self::Reference(prefixes) => {
                text(value).and_then(|text| matching(is_reference(text, prefixes), "reference"))
            }
        }
    }

    /// What is said of a value of the right kind that its type does not take.
    pub(super) fn violation(&self, error: &serde_json::Error) -> Violation {
        match self {
            Self::Text(minimum) if *minimum > 0 => {
                Violation::new(format!("must NOT have fewer than {minimum} characters"))
            }
            Self::DateTime => Violation::new(DATE_TIME),
            Self::Address => must_match(ADDRESS_PATTERN),
            Self::Id(prefix) => must_match(&id_pattern(prefix)),
            Self::Nullable(rule) => rule.violation(error),
            // Tags say themselves which ones are the same.
            _ => Violation::new(error.to_string()),
        }
    }
}

const DATE_TIME: &str = "must match ISO8601 datetime format";

fn require(holds: bool, rule: &str) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(rule)) }
}

fn matching(holds: bool, pattern: &str) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(must_match(pattern)) }
}

fn must_match(pattern: &str) -> Violation {
    Violation::new(format!("must match pattern {pattern}"))
}

fn text(value: &Value) -> Result<&str, Violation> {
    value.as_str().ok_or_else(|| Violation::new("must be string"))
}

fn flag(value: &Value) -> Result<bool, Violation> {
    value.as_bool().ok_or_else(|| Violation::new("must be boolean"))
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let fits = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        fits && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && !label.contains("--")
    };
    host == "localhost"
        || host.rsplit_once('.').is_some_and(|(labels, top)| {
            top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_lowercase()) && labels.split('.').all(is_label)
        })
}

fn is_id(text: &str, prefix: &str) -> bool {
    text.len() == 20 && text.starts_with(prefix) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a text looks like a reference of one of these kinds; whether it can be read is found out later.
fn is_reference(text: &str, prefixes: &[&str]) -> bool {
    let is_truncated = text.len() >= MIN_TRUNCATED_REFERENCE
        && prefixes.iter().any(|prefix| {
            text.starts_with(&base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, prefix))
        });
    is_truncated || is_url_reference(text, prefixes)
}

/// `http(s)://…/r/<id>[?app=…]#…`
fn is_url_reference(text: &str, prefixes: &[&str]) -> bool {
    let parts = || {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
        let (address, fragment) = rest.split_once('#')?;
        let address = address.split_once('?').map_or(address, |(address, _)| address);
        let (host, id) = address.rsplit_once("/r/")?;
        Some(!host.is_empty() && !fragment.is_empty() && prefixes.iter().any(|prefix| is_id(id, prefix)))
    };
    parts().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runtime::facade::{CreateOwnToken, UpdateToken};
    use runtime::{Address, Tags};
    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::super::Object;
    use super::super::read::Reader;
    use super::*;

    fn shape() -> Object {
        let password = Object::new().required("password", ValueRule::Text(1), "").optional(
            "passwordIsPin",
            ValueRule::OnlyTrue,
            "",
        );
        Object::new()
            .required("content", ValueRule::Any, "")
            .required("expiresAt", ValueRule::DateTime, "")
            .optional("ephemeral", ValueRule::Flag, "")
            .optional("forIdentity", ValueRule::Address, "")
            .optional("passwordProtection", ValueRule::Object(password), "")
    }

    fn read<T: DeserializeOwned>(shape: &Object, value: Value) -> Result<T, String> {
        Reader::new(shape, value).and_then(T::deserialize).map_err(|violation| violation.to_string())
    }

    #[test]
    fn the_first_violation_in_the_promised_order_is_told() {
        for (value, expected) in [
            (json!([]), "must be object"),
            (json!({"x": 1}), "must have required property 'content'"),
            (json!({"content": 1, "x": 1}), "must have required property 'expiresAt'"),
            (json!({"content": 1, "expiresAt": "x", "x": 1}), "must NOT have additional properties"),
            (json!({"ephemeral": 1, "content": 1, "expiresAt": 1}), "expiresAt must match ISO8601 datetime format"),
            (json!({"content": 1, "expiresAt": "2099-02-30"}), "expiresAt must match ISO8601 datetime format"),
            (json!({"content": 1, "expiresAt": "2099", "ephemeral": null}), "ephemeral must be boolean"),
            (json!({"content": 1, "expiresAt": "2099", "forIdentity": null}), "forIdentity must be string"),
            (
                json!({"content": 1, "expiresAt": "2099", "passwordProtection": null}),
                "passwordProtection must be object",
            ),
            (
                json!({"content": 1, "expiresAt": "2099", "passwordProtection": {}}),
                "passwordProtection must have required property 'password'",
            ),
            (
                json!({"content": 1, "expiresAt": "2099", "passwordProtection": {"password": ""}}),
                "passwordProtection/password must NOT have fewer than 1 characters",
            ),
            (
                json!({"content": 1, "expiresAt": "2099", "passwordProtection": {"password": "a", "passwordIsPin": false}}),
                "passwordProtection/passwordIsPin must be equal to constant",
            ),
            (json!({"content": 1, "expiresAt": "2099", "passwordProtection": {"password": "ä"}}), "none"),
        ] {
            let found = read::<CreateOwnToken>(&shape(), value.clone()).err();
            assert_eq!(found.as_deref().unwrap_or("none"), expected, "{value}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Given {
        #[serde(default)]
        address: Option<Address>,
        #[serde(default)]
        flag: bool,
        #[serde(default)]
        tags: Option<Tags>,
        #[serde(default)]
        format: Option<String>,
    }

    fn given(value: Value) -> Result<Given, String> {
        let shape = Object::new()
            .optional("address", ValueRule::Address, "")
            .optional("flag", ValueRule::NullableFlag, "")
            .optional("tags", ValueRule::Tags, "")
            .optional("format", ValueRule::Choice(&["v1", "v2"]), "");
        read(&shape, value)
    }

    #[test]
    fn addresses_are_matched_as_a_whole() {
        let address = |host: &str| format!("did:e:{host}:dids:0123456789abcdef012345");
        let is_address = |text: String| given(json!({"address": text})).is_ok_and(|given| given.address.is_some());
        for host in ["localhost", "example.org", "a-b.example.org", "A1.org"] {
            assert!(is_address(address(host)), "{host}");
        }
        for host in ["example", "example.o", "-a.org", "a-.org", "a--b.org", "example.ORG", "a..org", ""] {
            assert!(!is_address(address(host)), "{host}");
        }
        assert!(!is_address(format!("x{}", address("localhost"))));
        assert!(!is_address(format!("{}y", address("localhost"))));
        let violation = given(json!({"address": "did:e:localhost:dids:0"})).unwrap_err();
        assert_eq!(violation, format!("address must match pattern {ADDRESS_PATTERN}"));
    }

    #[test]
    fn a_flag_that_is_null_counts_as_absent_where_the_shape_says_so() {
        assert!(!given(json!({"flag": null})).unwrap().flag);
        assert!(given(json!({"flag": true})).unwrap().flag);
        assert_eq!(given(json!({"flag": "true"})).unwrap_err(), "flag must be boolean");
    }

    #[test]
    fn a_choice_is_one_of_its_texts_as_it_is_written() {
        assert_eq!(given(json!({"format": "v2"})).unwrap().format.as_deref(), Some("v2"));
        for text in ["v3", "V2", "", " v2"] {
            assert_eq!(given(json!({"format": text})).unwrap_err(), "format must be one of v1, v2", "{text:?}");
        }
        assert_eq!(given(json!({"format": ["v1", "v2"]})).unwrap_err(), "format must be string");
    }

    #[test]
    fn a_value_that_may_be_null_is_told_from_one_that_is_absent() {
        let shape = Object::new().optional("maxDownloads", ValueRule::Nullable(&ValueRule::Number), "").optional(
            "notBefore",
            ValueRule::Nullable(&ValueRule::DateTime),
            "",
        );
        let read = |value| read::<UpdateToken>(&shape, value);
        assert_eq!(read(json!({})).unwrap(), UpdateToken::default());
        let ended = read(json!({"maxDownloads": null, "notBefore": null})).unwrap();
        assert_eq!((ended.max_downloads, ended.not_before), (Some(None), Some(None)));
        assert!(read(json!({"maxDownloads": 3})).unwrap().max_downloads.flatten().is_some());
        for (value, expected) in [
            (json!({"maxDownloads": 0}), "maxDownloads must be a whole number from 1 to 1000000"),
            (json!({"maxDownloads": "3"}), "maxDownloads must be a whole number that is not negative"),
            (json!({"notBefore": "soon"}), "notBefore must match ISO8601 datetime format"),
        ] {
            assert_eq!(read(value).unwrap_err(), expected);
        }
    }

    #[test]
    fn references_are_told_apart_by_their_kind_and_length() {
        let kinds = &["FIL", "TOK"];
        let truncated = format!("RklM{}", "a".repeat(84));
        assert!(is_reference(&truncated, kinds));
        assert!(!is_reference(&truncated[..87], kinds));
        assert!(!is_reference(&truncated, &["TOK"]));
        for url in [
            "http://h/r/FIL00000000000000000#x",
            "https://h:1/p/r/TOK00000000000000000?app=a#x",
            "http://h/r/TOK00000000000000000?direct=hAFY_-#x",
            &truncated,
        ] {
            assert!(is_reference(url, kinds), "{url}");
        }
        for url in [
            "http://h/r/FIL00000000000000000",
            "ftp://h/r/FIL00000000000000000#x",
            "http:///r/RLT00000000000000000#x",
            "http://h/r/FIL0000000000000000#x",
            "http://h/FIL00000000000000000#x",
        ] {
            assert!(!is_reference(url, kinds), "{url}");
        }
    }

    #[test]
    fn duplicate_tags_are_reported_with_both_positions() {
        let expected = "tags must NOT have duplicate items (items ## 2 and 0 are identical)";
        assert_eq!(given(json!({"tags": ["a", "b", "a"]})).unwrap_err(), expected);
        assert_eq!(given(json!({"tags": "a"})).unwrap_err(), "tags must be array");
        assert_eq!(given(json!({"tags": ["a", "b"]})).unwrap().tags.unwrap().as_slice(), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,120}") {
            let _ = (is_id(&text, "FIL"), is_reference(&text, &["FIL"]));
            let _ = given(json!({"address": text}));
            let _ = read::<CreateOwnToken>(&shape(), json!({"content": 1, "expiresAt": text}));
        }
    }
}
