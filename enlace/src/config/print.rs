//! Configuration for people's eyes: secrets masked.

use serde_json::Value;

use super::keys::{Form, KEYS};
use super::tree;

/// What stands in place of a secret.
const MASK: &str = "***";

/// A copy with every secret replaced.
pub(crate) fn masked(values: &Value) -> Value {
    let mut secrets = Vec::new();
    tree::leaves(values, &mut |path, _| {
        if KEYS.iter().any(|key| key.form == Form::Secret && key.matches(path)) {
            secrets.push(path.to_vec());
        }
    });
    let mut copy = values.clone();
    for path in secrets {
        tree::set(&mut copy, &path, Value::String(MASK.to_owned()));
    }
    copy
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_secret_key_is_masked_and_nothing_else() {
        let values = json!({
            "transportLibrary": {"platformClientId": "id", "platformClientSecret": "s1"},
            "infrastructure": {"httpServer": {
                "apiKey": "s2",
                "authentication": {"apiKey": {"keys": {"a": {"key": "s3", "scopes": ["core:*"]}}}},
            }},
        });
        let text = masked(&values).to_string();
        assert!(!text.contains("s1") && !text.contains("s2") && !text.contains("s3"), "{text}");
        assert!(text.contains("\"id\"") && text.contains("core:*"), "{text}");
        assert_eq!(text.matches(MASK).count(), 3);
    }
}
