//! The fields by which files and tokens can be filtered, and the values that each accepts.

use std::borrow::Cow;

use serde_json::{Map, Value};
use transport::wire::PasswordLocationIndicator;

use super::QueryError;
use super::condition::Conditions;

/// A field of a list call.
#[derive(Debug)]
pub(crate) struct Field {
    /// As it is written in the query.
    pub(crate) name: &'static str,
    kind: FieldKind,
    /// Whether interfaces list it.
    is_public: bool,
}

/// The values that a field accepts, and their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldKind {
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
    field(name, FieldKind::Plain)
}

const fn field(name: &'static str, kind: FieldKind) -> Field {
    Field { name, kind, is_public: true }
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
    field("tags", FieldKind::Tags),
    field("ownershipToken", FieldKind::Literal),
    field("ownershipIsLocked", FieldKind::Single),
    // For clients that check whether the same bytes were uploaded before; not a field of the published connectors.
    Field { is_public: false, ..field("plaintextHash", FieldKind::Literal) },
];

/// Fields of tokens.
pub(crate) static TOKENS: &[Field] = &[
    plain("isOwn"),
    plain("createdAt"),
    plain("createdBy"),
    plain("createdByDevice"),
    plain("expiresAt"),
    plain("forIdentity"),
    field("passwordProtection", FieldKind::Presence),
    field("passwordProtection.password", FieldKind::Literal),
    field("passwordProtection.passwordIsPin", FieldKind::Pin),
    field("passwordProtection.passwordLocationIndicator", FieldKind::Location),
];

/// The names of the fields that interfaces list.
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

    /// Whether the field is a stored root member, not a part of one or derived from it.
    pub(super) fn is_whole_member(&self) -> bool {
        self.name == self.root()
    }

    /// The field's value in a stored object; null counts as absent.
    pub(super) fn value<'a>(&self, object: &'a Map<String, Value>) -> Option<Cow<'a, Value>> {
        let root = object.get(self.root()).filter(|value| !value.is_null())?;
        match (self.kind, self.name.split_once('.')) {
            (FieldKind::Pin, _) => {
                let kind = root.get("passwordType").and_then(Value::as_str)?;
                Some(Cow::Owned(Value::Bool(kind.starts_with("pin"))))
            }
            (_, Some((_, member))) => root.get(member).filter(|value| !value.is_null()).map(Cow::Borrowed),
            (_, None) => Some(Cow::Borrowed(root)),
        }
    }

    /// Reads the values given for the field; there is at least one.
    pub(super) fn conditions(&self, values: &[&str]) -> Result<Conditions, QueryError> {
        match self.kind {
            FieldKind::Plain => Conditions::parse(values),
            FieldKind::Single if values.len() > 1 => Err(self.error("must be string")),
            FieldKind::Single => Conditions::parse(values),
            FieldKind::Literal => Ok(Conditions::one_of(values)),
            FieldKind::Tags if values.len() > 1 => Ok(Conditions::one_of(values)),
            FieldKind::Tags => Conditions::parse(values),
            FieldKind::Presence => self.allowed(values, &["", "!"]).and_then(|()| Conditions::parse(values)),
            FieldKind::Pin => {
                self.allowed(values, &["true", "!"])?;
                let wanted: Vec<&str> =
                    values.iter().map(|value| if *value == "!" { "false" } else { value }).collect();
                Conditions::parse(&wanted)
            }
            FieldKind::Location => Ok(Conditions::one_of_numbers(values.iter().filter_map(|value| location(value)))),
        }
    }

    fn allowed(&self, values: &[&str], allowed: &[&str]) -> Result<(), QueryError> {
        let fine = values.iter().all(|value| allowed.contains(value));
        if fine { Ok(()) } else { Err(self.error("must be equal to one of the allowed values")) }
    }

    fn error(&self, rule: &'static str) -> QueryError {
        QueryError::InvalidValue { field: self.name, rule }
    }
}

fn location(text: &str) -> Option<u8> {
    PasswordLocationIndicator::from_name(text).map(PasswordLocationIndicator::value).or_else(|| text.parse().ok())
}
