//! The arguments of a request: members of its JSON body. Unknown ones mean nothing, and null is absent.

use http::StatusCode;
use runtime::storage::Change;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::problem::Problem;

const INVALID: &str = "general_argument_invalid";

/// An argument breaks a rule.
pub(super) fn invalid(name: &str, reason: impl std::fmt::Display) -> Problem {
    Problem::of_face(StatusCode::BAD_REQUEST, INVALID, format!("Invalid `{name}` param: {reason}"))
}

/// An argument is missing.
pub(super) fn not_optional(name: &str) -> Problem {
    Problem::of_face(StatusCode::BAD_REQUEST, INVALID, format!("Param \"{name}\" is not optional."))
}

/// Members of a body that have not been read yet.
#[derive(Debug)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    /// Those of a request.
    ///
    /// # Errors
    /// 400 for a body that is not a JSON object or a form.
    pub(super) fn of(call: &mut Call<()>) -> Result<Self, Problem> {
        match call.take_json()? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(Problem::invalid_json()),
        }
    }

    #[cfg(test)]
    pub(super) fn from_json(value: Value) -> Self {
        Self(value.as_object().cloned().unwrap_or_default())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is one, and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// What becomes of a member of something that exists: it stays if it is absent, and null is what `read` makes of nothing.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn change<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<T, Problem>,
    ) -> Result<Change<T>, Problem> {
        if self.0.contains_key(name) { read(self, name).map(Change::To) } else { Ok(Change::Keep) }
    }

    /// A text.
    ///
    /// # Errors
    /// 400 for another type.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "Value must be a valid string")),
        }
    }

    /// A text that has to be there.
    ///
    /// # Errors
    /// 400 if it is missing, or of another type.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String, Problem> {
        self.text(name)?.ok_or_else(|| not_optional(name))
    }

    /// A boolean. Forms have it as a text.
    ///
    /// # Errors
    /// 400 for another type.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) => flag_of(name, &text).map(Some),
            Some(_) => Err(not_a_flag(name)),
        }
    }

    /// A whole number that is not negative. Forms have it as a text.
    ///
    /// # Errors
    /// 400 for another type, and for numbers that are not whole, or negative.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        number.map(Some).ok_or_else(|| invalid(name, "Value must be a whole number that is not negative"))
    }

    /// A list of texts.
    ///
    /// # Errors
    /// 400 for another type.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Problem> {
        let not_texts = || invalid(name, "Value must be an array of strings");
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(values)) => {
                let text = |value| if let Value::String(text) = value { Ok(text) } else { Err(not_texts()) };
                values.into_iter().map(text).collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(not_texts()),
        }
    }
}

/// A boolean as it stands in URLs.
///
/// # Errors
/// 400 for another text.
pub(super) fn flag_of(name: &str, text: &str) -> Result<bool, Problem> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(not_a_flag(name)),
    }
}

fn not_a_flag(name: &str) -> Problem {
    invalid(name, "Value must be a valid boolean")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_tells_null_from_absent() {
        let mut given = Arguments::from_json(json!({"a": null, "b": "x"}));
        assert_eq!(given.change("a", Arguments::text).unwrap(), Change::To(None));
        assert_eq!(given.change("b", Arguments::text).unwrap(), Change::To(Some("x".to_owned())));
        assert_eq!(given.change("c", Arguments::text).unwrap(), Change::Keep);
    }

    #[test]
    fn null_is_absent_and_other_types_are_refused_by_name() {
        let mut given = Arguments::from_json(json!({"a": null, "b": 1, "c": "x", "d": true, "e": ["x"], "f": "0"}));
        assert_eq!(given.text("a").unwrap(), None);
        assert_eq!(given.number("b").unwrap(), Some(1));
        assert_eq!(given.required_text("c").unwrap(), "x");
        assert_eq!((given.flag("d").unwrap(), given.flag("f").unwrap()), (Some(true), Some(false)));
        assert_eq!(given.texts("e").unwrap(), Some(vec!["x".to_owned()]));
        assert_eq!(given.required_text("g").unwrap_err().message(), "Param \"g\" is not optional.");
        for value in [json!(-1), json!(1.5), json!("x"), json!([]), json!({})] {
            let mut given = Arguments::from_json(json!({"n": value}));
            assert!(given.number("n").unwrap_err().message().starts_with("Invalid `n` param: "));
        }
        for value in [json!("x"), json!(1), json!([])] {
            assert!(Arguments::from_json(json!({"n": value})).flag("n").is_err());
        }
        for value in [json!("x"), json!([1]), json!([null]), json!({})] {
            assert!(Arguments::from_json(json!({"n": value})).texts("n").is_err());
        }
        assert!(Arguments::from_json(json!({"n": 1})).text("n").is_err());
    }
}
