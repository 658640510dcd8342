//! Queries as they are sent: `{"method": "equal", "attribute": "name", "values": ["plan"]}`.

use std::fmt;

use serde_json::{Map, Value as Json};

use crate::bounds::{MAX_DEPTH, MAX_QUERY_LENGTH};
use crate::error::{JsonKind, Problem, quoted};
use crate::method::Method;

/// One query, not checked against any schema yet. Its text form is JSON, as clients send it.
///
/// ```
/// use query::{Method, Query};
///
/// let soon = Query::condition(Method::LessThan, "expire", ["2030-01-31"]);
/// assert_eq!(soon.to_string(), r#"{"method":"lessThan","attribute":"expire","values":["2030-01-31"]}"#);
/// assert_eq!(soon.to_string().parse(), Ok(soon));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub(crate) method: Method,
    /// Not empty.
    pub(crate) attribute: Option<String>,
    pub(crate) values: Values,
}

/// What a query compares with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Plain(Vec<Json>),
    /// Of `and` and `or`.
    Queries(Vec<Query>),
}

impl Query {
    /// Compares an attribute; `values` are none for `isNull` and `isNotNull`.
    pub fn condition<V: Into<Json>>(method: Method, attribute: &str, values: impl IntoIterator<Item = V>) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        Self {
            method,
            attribute: Some(attribute.to_owned()).filter(|name| !name.is_empty()),
            values: Values::Plain(values),
        }
    }

    /// Matches what all of these filters match; there are at least two.
    pub fn all_of(queries: impl IntoIterator<Item = Self>) -> Self {
        Self { method: Method::And, attribute: None, values: Values::Queries(queries.into_iter().collect()) }
    }

    /// Matches what any of these filters matches; there are at least two.
    pub fn any_of(queries: impl IntoIterator<Item = Self>) -> Self {
        Self { method: Method::Or, attribute: None, values: Values::Queries(queries.into_iter().collect()) }
    }

    /// Orders by an attribute, the least first.
    #[must_use]
    pub fn order_asc(attribute: &str) -> Self {
        Self::condition(Method::OrderAsc, attribute, NO_VALUES)
    }

    /// Orders by an attribute, the greatest first.
    #[must_use]
    pub fn order_desc(attribute: &str) -> Self {
        Self::condition(Method::OrderDesc, attribute, NO_VALUES)
    }

    /// Shows at most as many records.
    #[must_use]
    pub fn limit(limit: u64) -> Self {
        Self::condition(Method::Limit, "", [limit])
    }

    /// Leaves out the first ones.
    #[must_use]
    pub fn offset(offset: u64) -> Self {
        Self::condition(Method::Offset, "", [offset])
    }

    /// Shows what follows the record with this id.
    #[must_use]
    pub fn cursor_after(id: &str) -> Self {
        Self::condition(Method::CursorAfter, "", [id])
    }

    /// Shows what precedes the record with this id.
    #[must_use]
    pub fn cursor_before(id: &str) -> Self {
        Self::condition(Method::CursorBefore, "", [id])
    }

    /// What it does.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    fn read(json: Json, depth: usize) -> Result<Self, Problem> {
        let Json::Object(mut object) = json else { return Err(Problem::NotAnObject { found: JsonKind::of(&json) }) };
        let method = method(&object)?;
        if depth > MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        let attribute = match object.remove("attribute") {
            None | Some(Json::Null) => None,
            Some(Json::String(name)) => Some(name).filter(|name| !name.is_empty()),
            Some(other) => return Err(Problem::AttributeNotText { found: JsonKind::of(&other) }),
        };
        let values = match object.remove("values") {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(values)) => values,
            Some(other) => return Err(Problem::ValuesNotAList { method, found: JsonKind::of(&other) }),
        };
        if !method.values().admits(values.len()) {
            return Err(Problem::ValueCount { method, given: values.len() });
        }
        let values = if method.is_logic() {
            Values::Queries(values.into_iter().map(|value| Self::read(value, depth + 1)).collect::<Result<_, _>>()?)
        } else {
            Values::Plain(values)
        };
        Ok(Self { method, attribute, values })
    }

    fn to_json(&self) -> Json {
        let mut object = Map::new();
        object.insert("method".to_owned(), self.method.name().into());
        if let Some(attribute) = &self.attribute {
            object.insert("attribute".to_owned(), attribute.as_str().into());
        }
        let values = match &self.values {
            Values::Plain(values) => values.clone(),
            Values::Queries(queries) => queries.iter().map(Self::to_json).collect(),
        };
        if !values.is_empty() {
            object.insert("values".to_owned(), Json::Array(values));
        }
        Json::Object(object)
    }
}

const NO_VALUES: [Json; 0] = [];

fn method(object: &Map<String, Json>) -> Result<Method, Problem> {
    let name = object.get("method").and_then(Json::as_str).ok_or(Problem::NoMethod)?;
    Method::from_name(name).ok_or_else(|| Problem::UnknownMethod { method: quoted(name) })
}

impl std::str::FromStr for Query {
    type Err = Problem;

    /// Reads the JSON of one query. Unknown members are ignored.
    ///
    /// # Errors
    /// Everything that is wrong whatever the attributes of the list are: size, JSON, method, number of values, nesting.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let length = text.chars().count();
        if length > MAX_QUERY_LENGTH {
            return Err(Problem::TooLong { length });
        }
        let json = serde_json::from_str(text).map_err(|error| Problem::NotJson { reason: error.to_string() })?;
        Self::read(json, 1)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Query, Problem> {
        text.parse()
    }

    #[test]
    fn a_query_of_the_longest_length_is_read_and_a_longer_one_is_not() {
        let text = |length: usize| {
            let frame = r#"{"method":"equal","attribute":"name","values":[""]}"#;
            // Characters of several bytes: characters count, not bytes.
            frame.replace("[\"\"]", &format!("[\"{}\"]", "ü".repeat(length - frame.len())))
        };
        assert!(read(&text(MAX_QUERY_LENGTH)).is_ok());
        assert_eq!(read(&text(MAX_QUERY_LENGTH + 1)), Err(Problem::TooLong { length: MAX_QUERY_LENGTH + 1 }));
    }

    #[test]
    fn queries_of_the_deepest_nesting_are_read_and_deeper_ones_are_not() {
        let nested = |depth: usize| {
            let leaf = || Query::condition(Method::IsNull, "expire", NO_VALUES);
            (1..depth).fold(leaf(), |inner, _| Query::all_of([leaf(), inner]))
        };
        assert_eq!(read(&nested(MAX_DEPTH).to_string()), Ok(nested(MAX_DEPTH)));
        assert_eq!(read(&nested(MAX_DEPTH + 1).to_string()), Err(Problem::TooDeep));
        assert!(matches!(read(&"[".repeat(MAX_QUERY_LENGTH)), Err(Problem::NotJson { .. })));
        let objects = r#"{"method":"or","values":["#.repeat(100);
        assert!(matches!(read(&objects), Err(Problem::NotJson { .. })));
    }

    #[test]
    fn members_that_a_query_does_not_need_may_be_missing_null_or_empty() {
        for text in [
            r#"{"method":"orderRandom"}"#,
            r#"{"method":"orderRandom","attribute":null,"values":null}"#,
            r#"{"values":[],"attribute":"","method":"orderRandom","alias":"main"}"#,
        ] {
            assert_eq!(read(text), Ok(Query::condition(Method::OrderRandom, "", NO_VALUES)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_query_is_refused_with_what_it_is() {
        let not_an_object = |found| Err(Problem::NotAnObject { found });
        assert_eq!(read("null"), not_an_object(JsonKind::Null));
        assert_eq!(read("[]"), not_an_object(JsonKind::List));
        assert_eq!(read("\"equal\""), not_an_object(JsonKind::Text));
        assert_eq!(read(r#"{"method":"or","values":[1,2]}"#), not_an_object(JsonKind::Number));
        assert_eq!(read("{}"), Err(Problem::NoMethod));
        assert_eq!(read(r#"{"method":1}"#), Err(Problem::NoMethod));
        assert_eq!(read(r#"{"method":"elemMatch"}"#), Err(Problem::UnknownMethod { method: "elemMatch".to_owned() }));
        assert_eq!(
            read(r#"{"method":"equal","attribute":["a"],"values":[1]}"#),
            Err(Problem::AttributeNotText { found: JsonKind::List })
        );
        assert_eq!(
            read(r#"{"method":"limit","values":1}"#),
            Err(Problem::ValuesNotAList { method: Method::Limit, found: JsonKind::Number })
        );
        for text in ["", "equal", "{", "{}{}", r#"{"method":"equal""#, "\u{0}"] {
            assert!(matches!(read(text), Err(Problem::NotJson { .. })), "{text}");
        }
    }

    #[test]
    fn each_method_takes_its_number_of_values() {
        for method in Method::ALL {
            let nested = || Query::condition(Method::IsNull, "a", NO_VALUES).to_json();
            let given = |count: usize| {
                let value = || if method.is_logic() { nested() } else { 1.into() };
                let values: Vec<Json> = std::iter::repeat_with(value).take(count).collect();
                Query::read(serde_json::json!({ "method": method.name(), "values": values }), 1)
            };
            let counts = method.values();
            assert!(given(counts.least).is_ok() && given(counts.most).is_ok(), "{method}");
            assert_eq!(given(counts.most + 1), Err(Problem::ValueCount { method, given: counts.most + 1 }));
            if counts.least > 0 {
                assert_eq!(given(counts.least - 1), Err(Problem::ValueCount { method, given: counts.least - 1 }));
            }
        }
    }

    #[test]
    fn names_that_a_sender_made_up_are_repeated_in_part() {
        let text = format!(r#"{{"method":"{}"}}"#, "é".repeat(1000));
        let Err(Problem::UnknownMethod { method }) = read(&text) else { panic!("it is unknown") };
        assert_eq!(method, "é".repeat(crate::error::QUOTED_LENGTH));
    }
}
