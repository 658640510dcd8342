//! Reads a body into the type of a request, and says the first violation as clients were promised.
//!
//! The order is the shape's: missing properties, then unknown ones, then each property as declared. What kind of JSON a property
//! is is checked here; what a text means is decided once, by the type that is read.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::shape::{Object, Property, ValueRule};
use crate::problem::Problem;

/// The first rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// From the outermost property inwards.
    path: Vec<&'static str>,
    rule: String,
}

impl Violation {
    pub(super) fn new(rule: impl Into<String>) -> Self {
        Self { path: Vec::new(), rule: rule.into() }
    }

    /// A required property is not there.
    pub(super) fn missing(name: &str) -> Self {
        Self::new(format!("must have required property '{name}'"))
    }

    fn inside(mut self, property: &'static str) -> Self {
        self.path.insert(0, property);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{} ", self.path.join("/"))?;
        }
        f.write_str(&self.rule)
    }
}

impl std::error::Error for Violation {}

impl serde::de::Error for Violation {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

impl Object {
    /// Reads a value into the type of a request, which may leave out properties and asks for none that is not here.
    ///
    /// # Errors
    /// The first violation, as the client is told.
    pub(crate) fn read<T: DeserializeOwned>(&self, value: Value) -> Result<T, Problem> {
        let read = Reader::new(self, value).and_then(T::deserialize);
        read.map_err(|violation| self.problem(&violation))
    }

    /// The failure of a body without this property.
    pub(crate) fn missing(&self, name: &str) -> Problem {
        self.problem(&Violation::missing(name))
    }

    fn problem(&self, violation: &Violation) -> Problem {
        Problem::invalid_property(self.replacement.map_or_else(|| violation.to_string(), str::to_owned))
    }
}

/// An object whose names fit its shape.
pub(super) struct Reader<'s> {
    shape: &'s Object,
    members: Map<String, Value>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(shape: &'s Object, value: Value) -> Result<Self, Violation> {
        let Value::Object(members) = value else { return Err(Violation::new("must be object")) };
        let missing =
            shape.properties.iter().find(|property| property.required && !members.contains_key(property.name));
        if let Some(property) = missing {
            return Err(Violation::missing(property.name));
        }
        let is_known = |name: &String| shape.properties.iter().any(|property| property.name == name);
        if !shape.ignores_unknown && !members.keys().all(is_known) {
            return Err(Violation::new("must NOT have additional properties"));
        }
        Ok(Self { shape, members })
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Violation;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Violation> {
        visitor.visit_map(Members { rest: self.shape.properties.iter(), members: self.members, current: None })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Violation> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The members of an object in the order of its shape.
struct Members<'s> {
    rest: std::slice::Iter<'s, Property>,
    members: Map<String, Value>,
    current: Option<(&'s Property, Value)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Violation;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Violation> {
        for property in self.rest.by_ref() {
            let Some(value) = self.members.swap_remove(property.name) else { continue };
            if matches!(property.rule, ValueRule::NullableFlag) && value.is_null() {
                continue;
            }
            self.current = Some((property, value));
            let name: StrDeserializer<'_, Violation> = property.name.into_deserializer();
            return seed.deserialize(name).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Violation> {
        let (property, value) = self.current.take().ok_or_else(|| Violation::new("must have a value"))?;
        read(&property.rule, value, seed).map_err(|violation| violation.inside(property.name))
    }
}

fn read<'de, S: DeserializeSeed<'de>>(rule: &ValueRule, value: Value, seed: S) -> Result<S::Value, Violation> {
    if let ValueRule::Object(shape) = rule {
        return seed.deserialize(Reader::new(shape, value)?);
    }
    rule.check_kind(&value)?;
    seed.deserialize(value).map_err(|error: serde_json::Error| rule.violation(&error))
}
