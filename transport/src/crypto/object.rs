//! The JSON texts of keys, ciphers and signatures.
//!
//! Each object has a fixed property order. The *verbose* form ends with (or in two cases starts with) `@type` and stands
//! alone; the *compact* form is nested in other objects. "Base64" of an object means base64url of its verbose text.

use serde_json::{Map, Value};

use super::CryptoError;
use crate::wire::ByteText;
use crate::wire::bytes::{from_base64url, to_base64url};
use crate::wire::json_budget::{self, JsonBudget};

/// Bounds of an object's text; the largest objects are key pairs, with a few members per nested key. Checked because texts
/// come from peers and backbones, and are decoded into a generic value first.
const BUDGET: JsonBudget = JsonBudget { max_nodes: 64, max_depth: 8 };

/// Number of the only algorithm of each kind in use: XChaCha20-Poly1305, Ed25519, X25519.
pub(super) const ALGORITHM: u8 = 3;

/// Whether an object's text names its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// With `@type`.
    Verbose,
    /// Without.
    Compact,
}

/// A value with a JSON representation defined by the protocol. For keys, that text is secret.
pub trait CryptoObject: Sized {
    /// The value of `@type`.
    const TYPE: &'static str;

    /// The members in the protocol's order.
    fn to_value(&self, form: Form) -> Value;

    /// Reads the members, under their short or long names. Unknown members and `@type` are ignored.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if one is missing, has the wrong length or names an unknown algorithm.
    fn from_value(value: &Value) -> Result<Self, CryptoError>;

    /// The text in the given form.
    fn to_json(&self, form: Form) -> String {
        self.to_value(form).to_string()
    }

    /// Parses a text in either form.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if the text is not this object or exceeds its bounds.
    fn from_json(text: &str) -> Result<Self, CryptoError> {
        Self::from_bytes(text.as_bytes())
    }

    /// base64url of the verbose text.
    fn to_base64(&self) -> String {
        to_base64url(self.to_json(Form::Verbose).as_bytes())
    }

    /// Reads base64url of a text in either form.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if the text is not this object.
    fn from_base64(text: &str) -> Result<Self, CryptoError> {
        Self::from_bytes(&from_base64url(text).map_err(|_| malformed::<Self>())?)
    }

    /// The verbose text as it goes into the backbone's messages, which write it as base64url.
    fn to_byte_text(&self) -> ByteText {
        ByteText(self.to_json(Form::Verbose).into_bytes())
    }

    /// Reads the UTF-8 bytes of a text in either form.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if they are not this object or exceed its bounds.
    fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        json_budget::check(bytes, &BUDGET).map_err(|_| malformed::<Self>())?;
        serde_json::from_slice(bytes).map_or(Err(malformed::<Self>()), |value| Self::from_value(&value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;

    #[test]
    fn an_object_may_have_as_many_members_as_its_budget_says() {
        let key = SecretKey::generate();
        let Value::Object(members) = key.to_value(Form::Verbose) else { panic!("an object") };
        // The object, its keys and values, and the list that takes up the rest.
        let left = BUDGET.max_nodes - 1 - 2 * members.len() - 2;
        for (more, fits) in [(left, true), (left + 1, false)] {
            let mut members = members.clone();
            members.insert("more".to_owned(), Value::from(vec![0; more]));
            let text = Value::Object(members).to_string();
            assert_eq!(SecretKey::from_json(&text).is_ok(), fits);
            assert_eq!(<SecretKey as CryptoObject>::from_bytes(text.as_bytes()).is_ok(), fits);
        }
    }
}

pub(super) fn malformed<T: CryptoObject>() -> CryptoError {
    CryptoError::Malformed { object: T::TYPE }
}

/// Collects members in order.
pub(super) struct Members(Map<String, Value>);

impl Members {
    pub(super) fn new() -> Self {
        Self(Map::new())
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn with_bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.with(name, to_base64url(bytes))
    }

    pub(super) fn with_type<T: CryptoObject>(self, form: Form) -> Self {
        match form {
            Form::Verbose => self.with("@type", T::TYPE),
            Form::Compact => self,
        }
    }

    pub(super) fn build(self) -> Value {
        Value::Object(self.0)
    }
}

/// Reads the members of one object of type `T`.
pub(super) struct Fields<'a, T> {
    members: &'a Map<String, Value>,
    object: std::marker::PhantomData<T>,
}

impl<'a, T: CryptoObject> Fields<'a, T> {
    pub(super) fn of(value: &'a Value) -> Result<Self, CryptoError> {
        let members = value.as_object().ok_or_else(malformed::<T>)?;
        Ok(Self { members, object: std::marker::PhantomData })
    }

    pub(super) fn optional(&self, short: &str, long: &str) -> Option<&'a Value> {
        self.members.get(short).or_else(|| self.members.get(long))
    }

    pub(super) fn required(&self, short: &str, long: &str) -> Result<&'a Value, CryptoError> {
        self.optional(short, long).ok_or_else(malformed::<T>)
    }

    pub(super) fn bytes(&self, short: &str, long: &str) -> Result<Vec<u8>, CryptoError> {
        let text = self.required(short, long)?.as_str().ok_or_else(malformed::<T>)?;
        from_base64url(text).map_err(|_| malformed::<T>())
    }

    pub(super) fn array<const N: usize>(&self, short: &str, long: &str) -> Result<[u8; N], CryptoError> {
        self.bytes(short, long)?.try_into().map_err(|_| malformed::<T>())
    }

    pub(super) fn check_algorithm(&self) -> Result<(), CryptoError> {
        let algorithm = self.required("alg", "algorithm")?.as_u64();
        if algorithm == Some(u64::from(ALGORITHM)) { Ok(()) } else { Err(malformed::<T>()) }
    }
}

/// `#[serde(with = "…::compact")]` for crypto objects nested in other objects. The text of a key is the key: use it only
/// for what is encrypted as a whole.
pub mod compact {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    use super::{CryptoObject, Form};

    /// Writes the compact form.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: CryptoObject, S: Serializer>(object: &T, serializer: S) -> Result<S::Ok, S::Error> {
        object.to_value(Form::Compact).serialize(serializer)
    }

    /// Reads either form.
    ///
    /// # Errors
    /// Those of the deserializer, and if the members are not this object.
    pub fn deserialize<'de, T: CryptoObject, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// The same for optional members.
    pub mod option {
        use serde::de::Error as _;
        use serde::{Deserialize, Deserializer, Serialize, Serializer};
        use serde_json::Value;

        use super::{CryptoObject, Form};

        /// Writes the compact form or nothing.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<T: CryptoObject, S: Serializer>(object: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
            object.as_ref().map(|object| object.to_value(Form::Compact)).serialize(serializer)
        }

        /// Reads either form, or nothing.
        ///
        /// # Errors
        /// Those of the deserializer, and if the members are not this object.
        pub fn deserialize<'de, T: CryptoObject, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
            let value = Option::<Value>::deserialize(deserializer)?;
            value.map(|value| T::from_value(&value)).transpose().map_err(D::Error::custom)
        }
    }
}
