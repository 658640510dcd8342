//! The filter language of list calls: `filename=~invoice&filesize=>1000&tags=a&tags=b`.
//!
//! | Form | A field matches if it |
//! |---|---|
//! | `x` | equals x; a list contains x |
//! | (empty) | is set |
//! | `!` | is not set |
//! | `!x` | does not equal x, also if it is not set |
//! | `>x` `>=x` `<x` `<=x` | is greater or less; texts, including dates, compare as text, numbers as numbers |
//! | `^x` `$x` `~x` | begins with, ends with, contains a match of the regular expression x, in any case of letters |
//!
//! An `=` after any operator is skipped. Parameters of different fields are combined with "and". Of several values of one
//! field, equal ones are combined with "or", all others with "and"; of several regular expressions the last one counts.
//!
//! Where the published connectors depend on their database driver, this follows their documentation: regular expressions
//! ignore case, a text of digits is found by its digits, one `tags` value finds files with that tag.
//!
//! Nothing here imports other parts of the crate: a fuzz target is built from these files alone.

mod condition;
mod field;

use serde_json::{Map, Value};

use self::condition::Conditions;
pub(crate) use self::field::{FILES, Field, TOKENS, public};

/// Most parameters a query may have.
pub(crate) const MAX_PARAMETERS: usize = 1000;

/// Which records a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ownership {
    /// Own and peers'.
    #[default]
    Any,
    /// Own only.
    Own,
    /// Peers' only.
    Peer,
}

/// Parameters of a list in the connectors' filter language, decoded, in the order they were given.
pub type Parameters = Vec<(String, String)>;

/// Why a filter is refused.
#[derive(Debug)]
pub(crate) enum QueryError {
    /// The noun has no such field.
    UnknownField,
    /// There are more than [`MAX_PARAMETERS`].
    TooManyParameters,
    /// A field does not take a value.
    InvalidValue {
        /// Its name.
        field: &'static str,
        /// What it requires.
        rule: &'static str,
    },
    /// A regular expression cannot be read, or is too large. Holds the text for people.
    InvalidPattern(String),
}

/// A condition that an index can use: no object matches unless the member is one of the texts, a list that contains one of
/// them, or neither a text nor a list of texts.
#[derive(Debug)]
pub(crate) struct RequiredTexts<'a> {
    pub(crate) member: &'a str,
    pub(crate) texts: Vec<&'a str>,
}

/// A checked filter.
#[derive(Debug)]
pub(crate) struct Query {
    /// Fields with their conditions.
    filters: Vec<(&'static Field, Conditions)>,
    ownership: Ownership,
    /// The value of `@type` that objects have, if they have one.
    type_name: Option<&'static str>,
}

impl Query {
    /// Checks the parameters of a list call against the fields that the noun has.
    ///
    /// # Errors
    /// The filter is refused.
    pub(crate) fn parse(
        fields: &'static [Field],
        parameters: &[(String, String)],
        ownership: Ownership,
    ) -> Result<Self, QueryError> {
        if parameters.iter().any(|(name, _)| !fields.iter().any(|field| field.name == name)) {
            return Err(QueryError::UnknownField);
        }
        if parameters.len() > MAX_PARAMETERS {
            return Err(QueryError::TooManyParameters);
        }
        let mut filters = Vec::new();
        for field in fields.iter().filter(|field| !(field.is_ownership() && ownership != Ownership::Any)) {
            let values: Vec<&str> =
                parameters.iter().filter(|(name, _)| name == field.name).map(|(_, value)| value.as_str()).collect();
            if !values.is_empty() {
                filters.push((field, field.conditions(&values)?));
            }
        }
        Ok(Self { filters, ownership, type_name: None })
    }

    /// The same filter, for objects of this type only. Objects without a type count as of this type.
    pub(crate) fn of_type(self, type_name: &'static str) -> Self {
        Self { type_name: Some(type_name), ..self }
    }

    /// The root members that [`Query::matches`] looks at.
    pub(crate) fn members(&self) -> Vec<&'static str> {
        let ownership = (self.ownership != Ownership::Any).then_some("isOwn");
        let kind = self.type_name.and(Some("@type"));
        ownership.into_iter().chain(kind).chain(self.filters.iter().map(|(field, _)| field.root())).collect()
    }

    /// Conditions that an index can use.
    pub(crate) fn required_texts(&self) -> Vec<RequiredTexts<'_>> {
        let whole = self.filters.iter().filter(|(field, _)| field.is_whole_member());
        whole
            .filter_map(|(field, conditions)| {
                Some(RequiredTexts { member: field.name, texts: conditions.required_texts()? })
            })
            .collect()
    }

    /// Whether an object with these members matches.
    pub(crate) fn matches(&self, object: &Map<String, Value>) -> bool {
        let own = object.get("isOwn").and_then(Value::as_bool).unwrap_or(false);
        let shown = match self.ownership {
            Ownership::Any => true,
            Ownership::Own => own,
            Ownership::Peer => !own,
        };
        let fits = self.type_name.is_none_or(|name| object.get("@type").is_none_or(|given| given == name));
        shown
            && fits
            && self.filters.iter().all(|(field, conditions)| conditions.are_met_by(field.value(object).as_deref()))
    }
}

#[cfg(test)]
mod tests;
