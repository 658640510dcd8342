//! Walks a value along its shape.

use std::fmt;

use runtime::{Address, Timestamp};
use serde_json::{Map, Value};

use super::shape::{ADDRESS_PATTERN, Object, Rule, id_pattern};

/// Fewest characters of a truncated reference.
const MIN_TRUNCATED_REFERENCE: usize = 88;

/// The first rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// From the outermost property inwards.
    path: Vec<&'static str>,
    rule: String,
}

impl Violation {
    fn new(rule: impl Into<String>) -> Self {
        Self { path: Vec::new(), rule: rule.into() }
    }

    fn inside(mut self, property: &'static str) -> Self {
        self.path.insert(0, property);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{} ", self.path.join("/"))?;
        }
        f.write_str(&self.rule)
    }
}

pub(crate) fn check_object(shape: &Object, value: &Value) -> Result<(), Violation> {
    let Value::Object(object) = value else { return Err(Violation::new("must be object")) };
    let missing = shape.properties.iter().find(|property| property.required && !object.contains_key(property.name));
    if let Some(property) = missing {
        return Err(Violation::new(format!("must have required property '{}'", property.name)));
    }
    if !shape.ignores_unknown && has_unknown(shape, object) {
        return Err(Violation::new("must NOT have additional properties"));
    }
    for property in &shape.properties {
        if let Some(value) = object.get(property.name) {
            check(&property.rule, value).map_err(|violation| violation.inside(property.name))?;
        }
    }
    Ok(())
}

fn has_unknown(shape: &Object, object: &Map<String, Value>) -> bool {
    object.keys().any(|name| !shape.properties.iter().any(|property| property.name == name))
}

fn check(rule: &Rule, value: &Value) -> Result<(), Violation> {
    match rule {
        Rule::Any => Ok(()),
        Rule::Text(minimum) => text(value).and_then(|text| long_enough(text, *minimum)),
        Rule::NullableFlag if value.is_null() => Ok(()),
        Rule::Flag | Rule::NullableFlag => flag(value).map(|_| ()),
        Rule::OnlyTrue => flag(value).and_then(|flag| require(flag, "must be equal to constant")),
        Rule::DateTime => require(is_date_time(value), "must match ISO8601 datetime format"),
        Rule::Address => text(value).and_then(|text| matching(is_address(text), ADDRESS_PATTERN)),
        Rule::Id(prefix) => text(value).and_then(|text| matching(is_id(text, prefix), &id_pattern(prefix))),
        Rule::Tags => tags(value),
        Rule::Reference(prefixes) => text(value).and_then(|text| matching(is_reference(text, prefixes), "reference")),
        Rule::Object(shape) => check_object(shape, value),
    }
}

fn require(holds: bool, rule: &str) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(rule)) }
}

fn matching(holds: bool, pattern: &str) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(format!("must match pattern {pattern}"))) }
}

fn text(value: &Value) -> Result<&str, Violation> {
    value.as_str().ok_or_else(|| Violation::new("must be string"))
}

fn flag(value: &Value) -> Result<bool, Violation> {
    value.as_bool().ok_or_else(|| Violation::new("must be boolean"))
}

fn long_enough(text: &str, minimum: usize) -> Result<(), Violation> {
    require(text.chars().count() >= minimum, &format!("must NOT have fewer than {minimum} characters"))
}

fn tags(value: &Value) -> Result<(), Violation> {
    let list = value.as_array().ok_or_else(|| Violation::new("must be array"))?;
    for (index, tag) in list.iter().enumerate() {
        text(tag)?;
        if let Some(first) = list[..index].iter().position(|earlier| earlier == tag) {
            // The later index comes first: so it was on this route always.
            let rule = format!("must NOT have duplicate items (items ## {index} and {first} are identical)");
            return Err(Violation::new(rule));
        }
    }
    Ok(())
}

fn is_date_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok())
}

/// Stricter than the address type: the host must be `localhost` or have a top-level domain.
fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok_and(|address| is_host(address.host()))
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
    use serde_json::json;

    use super::*;

    fn shape() -> Object {
        let password =
            Object::new().required("password", Rule::Text(1), "").optional("passwordIsPin", Rule::OnlyTrue, "");
        Object::new()
            .required("content", Rule::Any, "")
            .required("expiresAt", Rule::DateTime, "")
            .optional("ephemeral", Rule::Flag, "")
            .optional("forIdentity", Rule::Address, "")
            .optional("passwordProtection", Rule::Object(password), "")
    }

    fn violation(value: &Value) -> String {
        check_object(&shape(), value).map_or_else(|violation| violation.to_string(), |()| "none".to_owned())
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
            assert_eq!(violation(&value), expected, "{value}");
        }
    }

    #[test]
    fn addresses_are_matched_as_a_whole() {
        let address = |host: &str| format!("did:e:{host}:dids:0123456789abcdef012345");
        for host in ["localhost", "example.org", "a-b.example.org", "A1.org"] {
            assert!(is_address(&address(host)), "{host}");
        }
        for host in ["example", "example.o", "-a.org", "a-.org", "a--b.org", "example.ORG", "a..org", ""] {
            assert!(!is_address(&address(host)), "{host}");
        }
        assert!(!is_address(&format!("x{}", address("localhost"))));
        assert!(!is_address(&format!("{}y", address("localhost"))));
    }

    #[test]
    fn references_are_told_apart_by_their_kind_and_length() {
        let kinds = &["FIL", "TOK"];
        let truncated = format!("RklM{}", "a".repeat(84));
        assert!(is_reference(&truncated, kinds));
        assert!(!is_reference(&truncated[..87], kinds));
        assert!(!is_reference(&truncated, &["TOK"]));
        for url in ["http://h/r/FIL00000000000000000#x", "https://h:1/p/r/TOK00000000000000000?app=a#x", &truncated] {
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
    fn duplicate_tags_are_told_with_both_places() {
        let expected = "must NOT have duplicate items (items ## 2 and 0 are identical)";
        assert_eq!(tags(&json!(["a", "b", "a"])), Err(Violation::new(expected)));
        assert_eq!(tags(&json!("a")), Err(Violation::new("must be array")));
        assert_eq!(tags(&json!(["a", "b"])), Ok(()));
    }

    proptest! {
        #[test]
        fn any_text_is_checked_without_panic(text in ".{0,120}") {
            let _ = (is_address(&text), is_id(&text, "FIL"), is_reference(&text, &["FIL"]), is_date_time(&json!(text)));
        }
    }
}
