//! Why queries are refused.

use crate::bounds::{
    MAX_CONDITIONS, MAX_DEPTH, MAX_ID_LENGTH, MAX_NUMBER, MAX_PATTERNS, MAX_QUERIES, MAX_QUERY_LENGTH,
};
use crate::method::Method;
use crate::value::Kind;

/// The queries of a list were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More than [`MAX_QUERIES`].
    #[error("{count} queries are too many; send at most {MAX_QUERIES}, or combine conditions with \"and\"")]
    TooManyQueries {
        /// How many there were.
        count: usize,
    },
    /// A cursor together with `orderRandom`.
    #[error("a cursor has no place in a random order; leave out the cursor or \"orderRandom\"")]
    CursorInRandomOrder,
    /// One of the queries.
    #[error("query {}: {problem}", .index + 1)]
    Query {
        /// Which one, from 0.
        index: usize,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What is wrong with one query.
///
/// Names that a sender made up are in here as far as [`QUOTED_LENGTH`] characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// More than [`MAX_QUERY_LENGTH`] characters.
    #[error("{length} characters are too many; send at most {MAX_QUERY_LENGTH} in one query")]
    TooLong {
        /// How many there were.
        length: usize,
    },
    /// The text is not JSON.
    #[error(
        "it is not JSON ({reason}); write it as {{\"method\": \"equal\", \"attribute\": \"name\", \"values\": [\"value\"]}}"
    )]
    NotJson {
        /// What the reader of JSON says.
        reason: String,
    },
    /// The text, or a value of `and` or `or`, is JSON but not an object.
    #[error(
        "{found} is not a query; write an object such as {{\"method\": \"equal\", \"attribute\": \"name\", \"values\": [\"value\"]}}"
    )]
    NotAnObject {
        /// What it is.
        found: JsonKind,
    },
    /// No method, or one that is not a text.
    #[error("it has no method; set \"method\" to a name such as \"equal\"")]
    NoMethod,
    /// A method that the language does not have, or that this list does not offer.
    #[error("the method \"{method}\" is not offered here; use one of {}", methods())]
    UnknownMethod {
        /// Its name.
        method: String,
    },
    /// An attribute that is not a text.
    #[error("\"attribute\" is {found}; write the name of an attribute")]
    AttributeNotText {
        /// What it is.
        found: JsonKind,
    },
    /// A method without the attribute that it needs.
    #[error("\"{method}\" needs an attribute; set \"attribute\" to a name")]
    NoAttribute {
        /// The method.
        method: Method,
    },
    /// An attribute that the records of the list do not have.
    #[error("there is no attribute \"{attribute}\"; use one of {}", .known.join(", "))]
    UnknownAttribute {
        /// Its name.
        attribute: String,
        /// Those that could stand there.
        known: Vec<&'static str>,
    },
    /// An attribute that lists cannot be filtered by.
    #[error("this list cannot be filtered by \"{attribute}\"; use another attribute")]
    NotFilterable {
        /// Its name.
        attribute: &'static str,
    },
    /// An attribute that lists cannot be ordered by.
    #[error("this list cannot be ordered by \"{attribute}\"; use another attribute")]
    NotOrderable {
        /// Its name.
        attribute: &'static str,
    },
    /// A method that does not go with the type of the attribute.
    #[error("\"{method}\" does not apply to \"{attribute}\", {}; use {}", subject(*.kind), methods_for(*.kind))]
    MethodNotForType {
        /// The method.
        method: Method,
        /// The name of the attribute.
        attribute: &'static str,
        /// The type of the attribute.
        kind: Kind,
    },
    /// Values that are not a list.
    #[error("\"values\" of \"{method}\" is {found}; write a list, also of a single value")]
    ValuesNotAList {
        /// The method.
        method: Method,
        /// What they are.
        found: JsonKind,
    },
    /// Too few or too many values.
    #[error("\"{method}\" takes {}, not {given}", .method.values())]
    ValueCount {
        /// The method, which knows how many it takes.
        method: Method,
        /// How many there were.
        given: usize,
    },
    /// A value that is not of the attribute's type, or no date-time.
    #[error("\"{method}\" on \"{attribute}\" takes {kind}, not {}", given(*.kind, *.found))]
    ValueType {
        /// The method.
        method: Method,
        /// The name of the attribute.
        attribute: &'static str,
        /// The type of the attribute.
        kind: Kind,
        /// What the value is.
        found: JsonKind,
    },
    /// A text that the attribute has in no record.
    #[error("\"{attribute}\" is never \"{value}\"; use one of {}", .known.join(", "))]
    UnknownValue {
        /// The name of the attribute.
        attribute: &'static str,
        /// The text.
        value: String,
        /// Those that it has.
        known: &'static [&'static str],
    },
    /// A value that should be the name of an attribute.
    #[error("\"{method}\" takes names of attributes, not {found}")]
    ValueNotAName {
        /// The method.
        method: Method,
        /// What the value is.
        found: JsonKind,
    },
    /// A limit that is not a whole number from 1 to the largest one.
    #[error("the limit must be a whole number from 1 to {max}")]
    Limit {
        /// The largest limit.
        max: u64,
    },
    /// An offset that is not a whole number from 0 on.
    #[error("the offset must be a whole number from 0 to {MAX_NUMBER}")]
    Offset,
    /// A cursor that does not have the form of an id.
    #[error(
        "a cursor must be the id of a record: at most {MAX_ID_LENGTH} letters, digits, \".\", \"_\" and \"-\", the first one a letter or digit"
    )]
    Cursor,
    /// Something else than a filter in `and` or `or`.
    #[error("\"{method}\" cannot stand in \"and\" or \"or\"; write it as a query of its own")]
    NotAFilter {
        /// The method.
        method: Method,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("\"and\" and \"or\" are nested too deeply; nest at most {MAX_DEPTH} queries")]
    TooDeep,
    /// With it, the list has more than [`MAX_CONDITIONS`].
    #[error("with it there are more than {MAX_CONDITIONS} conditions; ask for less at a time")]
    TooManyConditions,
    /// With it, the list has more than [`MAX_PATTERNS`].
    #[error("with it there are more than {MAX_PATTERNS} regular expressions; combine some of them with \"|\"")]
    TooManyPatterns,
    /// A regular expression that cannot be read or is too large.
    #[error(
        "the regular expression is invalid or too large; shorten it, and see that brackets and repetitions are complete"
    )]
    Pattern,
}

/// How much of a name that a sender made up is repeated, in characters.
pub const QUOTED_LENGTH: usize = 64;

/// A text of a sender as far as it is repeated.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_LENGTH).collect()
}

/// What a piece of JSON is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of JSON")]
pub enum JsonKind {
    Null,
    Boolean,
    Number,
    Text,
    List,
    Object,
}

impl JsonKind {
    pub(crate) fn of(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(_) => Self::Boolean,
            serde_json::Value::Number(_) => Self::Number,
            serde_json::Value::String(_) => Self::Text,
            serde_json::Value::Array(_) => Self::List,
            serde_json::Value::Object(_) => Self::Object,
        }
    }
}

impl std::fmt::Display for JsonKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Object => "an object",
        })
    }
}

/// The methods that every list offers.
fn methods() -> String {
    let offered = Method::ALL.into_iter().filter(|method| *method != Method::Select);
    offered.map(Method::name).collect::<Vec<_>>().join(", ")
}

fn given(kind: Kind, found: JsonKind) -> String {
    match (kind, found) {
        (_, JsonKind::Null) => "null; use \"isNull\" or \"isNotNull\"".to_owned(),
        // Some texts are right.
        (Kind::Time, JsonKind::Text) => "this text".to_owned(),
        (_, found) => found.to_string(),
    }
}

fn subject(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "which is a text",
        Kind::Integer => "which is a number",
        Kind::Time => "which is a point in time",
        Kind::Boolean => "which is true or false",
        Kind::Texts => "which is a list",
    }
}

fn methods_for(kind: Kind) -> &'static str {
    match kind {
        Kind::Texts => "\"contains\", \"containsAny\" or \"containsAll\"",
        _ => "\"equal\", \"between\" or another comparison",
    }
}
