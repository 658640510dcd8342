//! Which fields each noun can be filtered by, and the fields with rules of their own.

use std::borrow::Cow;

use serde_json::{Map, Value};
use transport::wire::PasswordLocationIndicator;

use super::condition::Conditions;
use crate::{Error, Result};

/// A field of a list call.
#[derive(Debug)]
pub(crate) struct Field {
    /// As it is written in the query.
    pub(crate) name: &'static str,
    rule: Rule,
    /// Whether interfaces tell of it.
    is_public: bool,
}

/// What values a field takes and what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// All operators.
    Plain,
    /// All operators, one value.
    Single,
    /// The text itself; no operators.
    Literal,
    /// All operators with one value; literally one of them with several.
    Tags,
    /// Set or not set.
    Presence,
    /// `true`, or `!` for protected without a PIN.
    Pin,
    /// A number or the name of one.
    Location,
}

const fn plain(name: &'static str) -> Field {
    field(name, Rule::Plain)
}

const fn field(name: &'static str, rule: Rule) -> Field {
    Field { name, rule, is_public: true }
}

/// Fields of files.
pub(crate) static FILES: &[Field] = &[
    plain("createdAt"),
    plain("createdBy"),
    plain("createdByDevice"),
    plain("description"),
    plain("expiresAt"),
    plain("filename"),
    plain("filesize"),
    plain("mimetype"),
    plain("title"),
    plain("isOwn"),
    field("tags", Rule::Tags),
    field("ownershipToken", Rule::Literal),
    field("ownershipIsLocked", Rule::Single),
    // For whoever is about to upload the same bytes again; not a field of the published connectors.
    Field { is_public: false, ..field("plaintextHash", Rule::Literal) },
];

/// Fields of tokens.
pub(crate) static TOKENS: &[Field] = &[
    plain("isOwn"),
    plain("createdAt"),
    plain("createdBy"),
    plain("createdByDevice"),
    plain("expiresAt"),
    plain("forIdentity"),
    field("passwordProtection", Rule::Presence),
    field("passwordProtection.password", Rule::Literal),
    field("passwordProtection.passwordIsPin", Rule::Pin),
    field("passwordProtection.passwordLocationIndicator", Rule::Location),
];

/// The names of the fields that interfaces tell of.
pub(crate) fn public(fields: &'static [Field]) -> Vec<&'static str> {
    fields.iter().filter(|field| field.is_public).map(|field| field.name).collect()
}

impl Field {
    pub(super) fn is_ownership(&self) -> bool {
        self.name == "isOwn"
    }

    /// The member of the object that the field is in.
    pub(super) fn root(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(root, _)| root)
    }

    /// Whether the field is a root member as it is stored, not a part of one or what follows from it.
    pub(super) fn is_whole_member(&self) -> bool {
        self.name == self.root()
    }

    /// The field's value in a stored object; null counts as absent.
    pub(super) fn value<'a>(&self, object: &'a Map<String, Value>) -> Option<Cow<'a, Value>> {
        let root = object.get(self.root()).filter(|value| !value.is_null())?;
        match (self.rule, self.name.split_once('.')) {
            (Rule::Pin, _) => {
                let kind = root.get("passwordType").and_then(Value::as_str)?;
                Some(Cow::Owned(Value::Bool(kind.starts_with("pin"))))
            }
            (_, Some((_, member))) => root.get(member).filter(|value| !value.is_null()).map(Cow::Borrowed),
            (_, None) => Some(Cow::Borrowed(root)),
        }
    }

    /// Reads the values given for the field; there is at least one.
    pub(super) fn conditions(&self, values: &[&str]) -> Result<Conditions> {
        match self.rule {
            Rule::Plain => Conditions::parse(values),
            Rule::Single if values.len() > 1 => Err(self.error("must be string")),
            Rule::Single => Conditions::parse(values),
            Rule::Literal => Ok(Conditions::one_of(values)),
            Rule::Tags if values.len() > 1 => Ok(Conditions::one_of(values)),
            Rule::Tags => Conditions::parse(values),
            Rule::Presence => self.allowed(values, &["", "!"]).and_then(|()| Conditions::parse(values)),
            Rule::Pin => {
                self.allowed(values, &["true", "!"])?;
                let wanted: Vec<&str> =
                    values.iter().map(|value| if *value == "!" { "false" } else { value }).collect();
                Conditions::parse(&wanted)
            }
            Rule::Location => Ok(Conditions::one_of_numbers(values.iter().filter_map(|value| location(value)))),
        }
    }

    fn allowed(&self, values: &[&str], allowed: &[&str]) -> Result<()> {
        let fine = values.iter().all(|value| allowed.contains(value));
        if fine { Ok(()) } else { Err(self.error("must be equal to one of the allowed values")) }
    }

    fn error(&self, rule: &str) -> Error {
        Error::InvalidPropertyValue(format!("query/{} {rule}", self.name))
    }
}

fn location(text: &str) -> Option<u8> {
    PasswordLocationIndicator::from_name(text).map(PasswordLocationIndicator::value).or_else(|| text.parse().ok())
}
