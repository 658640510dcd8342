//! JSON values as YAML in block style. Texts are quoted as in JSON, which YAML reads the same way.

use serde_json::Value;

/// The value as a YAML document.
pub(super) fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    write_block(value, 0, &mut text);
    text
}

fn write_block(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (name, inner) in object {
                indent(depth, text);
                text.push_str(&Value::String(name.clone()).to_string());
                write_after(":", inner, depth, text);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for inner in list {
                indent(depth, text);
                write_after("-", inner, depth, text);
            }
        }
        scalar => {
            indent(depth, text);
            text.push_str(&scalar.to_string());
            text.push('\n');
        }
    }
}

fn write_after(mark: &str, value: &Value, depth: usize, text: &mut String) {
    text.push_str(mark);
    let is_block = match value {
        Value::Object(object) => !object.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if is_block {
        text.push('\n');
        write_block(value, depth + 1, text);
    } else {
        text.push(' ');
        text.push_str(&value.to_string());
        text.push('\n');
    }
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_indented_and_scalars_written_as_json() {
        let value = json!({"a": {"b": [1, "x: y", {"c": null}, []]}, "d": {}, "e\n": true});
        let expected = "\"a\":\n  \"b\":\n    - 1\n    - \"x: y\"\n    -\n      \"c\": null\n    - []\n\"d\": {}\n\"e\\n\": true\n";
        assert_eq!(to_yaml(&value), expected);
    }
}
