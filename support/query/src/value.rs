//! Values of attributes, as records have them and as queries compare with them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// The type of an attribute's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Texts, compared by their Unicode code points.
    Text,
    /// Integers of 64 bits.
    Integer,
    /// Points in time. Queries write them as dates and date-times with any offset; they compare as instants.
    Time,
    /// `true` and `false`; `false` is less.
    Boolean,
    /// Lists of texts, for `contains` and its relatives.
    Texts,
}

impl fmt::Display for Kind {
    /// As it stands behind "takes": `a text`, `a date-time such as 2030-01-31T12:00:00.000+00:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text | Self::Texts => "a text",
            Self::Integer => "a whole number of at most 64 bits",
            Self::Time => "a date-time such as \"2030-01-31T12:00:00.000+00:00\"",
            Self::Boolean => "true or false",
        })
    }
}

/// The value that a record has for an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// For [`Kind::Text`].
    Text(Cow<'a, str>),
    /// For [`Kind::Integer`].
    Integer(i64),
    /// For [`Kind::Time`]: milliseconds since the Unix epoch.
    Time(i64),
    /// For [`Kind::Boolean`].
    Boolean(bool),
    /// For [`Kind::Texts`].
    Texts(&'a [String]),
}

impl<'a> Value<'a> {
    /// A text that the record holds.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// The order of two values; of values of different types or of lists, none.
    pub(crate) fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(one), Value::Text(other)) => Some(one.cmp(other)),
            (Self::Integer(one), Value::Integer(other)) | (Self::Time(one), Value::Time(other)) => Some(one.cmp(other)),
            (Self::Boolean(one), Value::Boolean(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }
}

/// A value that a query compares with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operand {
    /// Of a [`Kind::Text`].
    Text(String),
    /// Of a [`Kind::Integer`].
    Integer(i64),
    /// Of a [`Kind::Time`]: milliseconds since the Unix epoch.
    Time(i64),
    /// Of a [`Kind::Boolean`].
    Boolean(bool),
}

impl Operand {
    /// As the value of a record.
    #[must_use]
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::text(text),
            Self::Integer(number) => Value::Integer(*number),
            Self::Time(time) => Value::Time(*time),
            Self::Boolean(boolean) => Value::Boolean(*boolean),
        }
    }

    /// Whether a record's value is this one; none if it is of another type.
    pub(crate) fn equals(&self, value: &Value<'_>) -> Option<bool> {
        match (self, value) {
            (Self::Text(one), Value::Text(other)) => Some(one.as_str() == other.as_ref()),
            (one, other) => one.order_of(other).map(Ordering::is_eq),
        }
    }

    /// The order of a record's value relative to this; none if it is of another type.
    pub(crate) fn order_of(&self, value: &Value<'_>) -> Option<Ordering> {
        value.compare(&self.as_value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_different_types_have_no_order() {
        assert_eq!(Value::Integer(1).compare(&Value::Time(1)), None);
        assert_eq!(Value::text("1").compare(&Value::Integer(1)), None);
        assert_eq!(Value::Texts(&[]).compare(&Value::Texts(&[])), None);
        assert_eq!(Operand::Text("1".to_owned()).equals(&Value::Integer(1)), None);
        assert_eq!(Operand::Boolean(true).order_of(&Value::Boolean(false)), Some(Ordering::Less));
    }
}
