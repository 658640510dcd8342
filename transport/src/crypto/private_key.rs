//! `#[serde(with = "…::private_key::option")]` for private signature keys nested in other objects; such a key makes a device
//! an admin. Use it only for what is encrypted as a whole.

/// For optional members.
pub mod option {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    use crate::crypto::{Form, SignatureKeypair};

    /// Writes the compact form of the private key or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(pair: &Option<SignatureKeypair>, serializer: S) -> Result<S::Ok, S::Error> {
        pair.as_ref().map(|pair| pair.expose_private_key(Form::Compact)).serialize(serializer)
    }

    /// Reads a private key, or nothing.
    ///
    /// # Errors
    /// Those of the deserializer, and if the members are not a private key.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SignatureKeypair>, D::Error> {
        let value = Option::<Value>::deserialize(deserializer)?;
        value.map(|value| SignatureKeypair::from_private_key(&value)).transpose().map_err(D::Error::custom)
    }
}
