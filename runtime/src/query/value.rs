//! A filter value, and how it compares with stored values.

use std::cmp::Ordering;

use serde_json::Value;

/// A value of a parameter, as each type it can be read as. The stored value decides which one is compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    text: String,
    number: Option<f64>,
    boolean: Option<bool>,
}

impl Operand {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), number: number(text), boolean: boolean(text) }
    }

    /// The value as text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a stored value equals this one; a list does if one of its members does.
    pub(super) fn equals(&self, stored: &Value) -> bool {
        match stored {
            Value::Array(members) => members.iter().any(|member| self.equals(member)),
            Value::Bool(stored) => self.boolean == Some(*stored),
            other => self.order_of(other) == Some(Ordering::Equal),
        }
    }

    /// How a stored text or number compares with this one; none if they cannot be compared.
    pub(super) fn order_of(&self, stored: &Value) -> Option<Ordering> {
        match stored {
            Value::String(stored) => Some(stored.as_str().cmp(&self.text)),
            Value::Number(stored) => stored.as_f64()?.partial_cmp(&self.number?),
            _ => None,
        }
    }
}

/// Wholly numeric texts only: `1`, `-2.5`, `1e3`; not `inf`, `0x1` or ` 1`.
fn number(text: &str) -> Option<f64> {
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    numeric.then(|| text.parse().ok())?
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}
