//! Tokens: small sealed contents that the holder of the reference can open.
//!
//! What a token may hold is [`TokenContent`]. Its text, sealed with the key of the token, is what the backbone stores:
//!
//! ```
//! # #![cfg(feature = "client")]
//! use transport::crypto::{Cipher, CryptoObject as _, SecretKey};
//! use transport::token::TokenContent;
//!
//! let key = SecretKey::generate();
//! let content = TokenContent::file("FILabcDEF123ghiJKL45".parse()?, SecretKey::generate());
//! let stored = key.encrypt(content.to_text().as_bytes()).to_byte_text();
//! let plaintext = key.decrypt(&Cipher::from_bytes(&stored.0)?)?;
//! assert_eq!(TokenContent::parse(std::str::from_utf8(&plaintext)?)?, content);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::crypto::{CryptoObject, Form, SecretKey, compact};
use crate::identity::DeviceSharedSecret;
use crate::wire::{Address, FileId, RelationshipTemplateId, SharedPasswordProtection, json};

/// Why a text or JSON value is not a token content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenContentError {
    /// Not a JSON object, or a known type without its members.
    #[error("token content is malformed")]
    Malformed,
    /// The `@type` is unknown.
    #[error("token content is of the unknown type {0:?}")]
    UnknownType(String),
}

/// The content of a token.
#[derive(Clone)]
pub enum TokenContent {
    /// A file and the key to its metadata, which holds the key to its content.
    File {
        /// The file.
        file_id: FileId,
        /// Key to the file's metadata.
        secret_key: SecretKey,
        /// All other members, kept as they came; see [`Direct`](crate::peer::Direct) for one. Other clients ignore them.
        more: Map<String, Value>,
    },
    /// A relationship template and the key to it.
    RelationshipTemplate {
        /// The only identity that may load the template.
        for_identity: Option<Address>,
        /// How a password protects the template.
        password_protection: Option<SharedPasswordProtection>,
        /// Key to the template.
        secret_key: SecretKey,
        /// The template.
        template_id: RelationshipTemplateId,
    },
    /// The secret that adds a new device to an identity.
    DeviceSharedSecret(Box<DeviceSharedSecret>),
    /// Any other JSON object.
    Json(Map<String, Value>),
}

const FILE: &str = "TokenContentFile";
const RELATIONSHIP_TEMPLATE: &str = "TokenContentRelationshipTemplate";
const DEVICE_SHARED_SECRET: &str = "TokenContentDeviceSharedSecret";

impl TokenContent {
    /// A file, with the members that all clients know.
    #[must_use]
    pub fn file(file_id: FileId, secret_key: SecretKey) -> Self {
        Self::File { file_id, secret_key, more: Map::new() }
    }

    /// The content without members that its type does not have, as other clients write it.
    #[must_use]
    pub fn into_canonical(self) -> Self {
        match self {
            Self::File { file_id, secret_key, .. } => Self::file(file_id, secret_key),
            other => other,
        }
    }

    /// Reads a content's text; unknown types are refused.
    ///
    /// # Errors
    /// [`TokenContentError`] if it is not a content.
    pub fn parse(text: &str) -> Result<Self, TokenContentError> {
        Self::parse_open(text, false)
    }

    /// Reads a content's text. If `allow_unknown` is set, an object of an unknown type is kept as [`TokenContent::Json`].
    ///
    /// # Errors
    /// [`TokenContentError`] if it is not a content.
    pub fn parse_open(text: &str, allow_unknown: bool) -> Result<Self, TokenContentError> {
        Self::from_json(json::from_text(text).map_err(|_| TokenContentError::Malformed)?, allow_unknown)
    }

    /// Like [`parse_open`](Self::parse_open) for a JSON value, for example from an application.
    ///
    /// # Errors
    /// [`TokenContentError`] if it is not a content.
    pub fn from_json(value: Value, allow_unknown: bool) -> Result<Self, TokenContentError> {
        let Value::Object(members) = value else { return Err(TokenContentError::Malformed) };
        let type_name = match members.get("@type") {
            None => return Ok(Self::Json(members)),
            Some(Value::String(type_name)) => type_name.clone(),
            Some(_) => return Err(TokenContentError::Malformed),
        };
        match type_name.as_str() {
            FILE => read::<FileMembers>(members).map(Self::from),
            RELATIONSHIP_TEMPLATE => read::<TemplateMembers>(members).map(Self::from),
            DEVICE_SHARED_SECRET => read::<DeviceMembers>(members).map(Self::from),
            _ if allow_unknown => Ok(Self::Json(members)),
            _ => Err(TokenContentError::UnknownType(type_name)),
        }
    }

    /// The JSON value with sorted members, including secret keys.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::File { file_id, secret_key, more } => {
                let mut members = more.clone();
                members.insert("@type".into(), FILE.into());
                members.insert("fileId".into(), json!(file_id));
                members.insert("secretKey".into(), secret_key.to_value(Form::Compact));
                members.sort_keys();
                Value::Object(members)
            }
            Self::RelationshipTemplate { for_identity, password_protection, secret_key, template_id } => {
                let mut members = Map::new();
                members.insert("@type".into(), RELATIONSHIP_TEMPLATE.into());
                if let Some(address) = for_identity {
                    members.insert("forIdentity".into(), json!(address));
                }
                if let Some(protection) = password_protection {
                    members.insert("passwordProtection".into(), json!(protection));
                }
                members.insert("secretKey".into(), secret_key.to_value(Form::Compact));
                members.insert("templateId".into(), json!(template_id));
                Value::Object(members)
            }
            Self::DeviceSharedSecret(secret) => json!({"@type": DEVICE_SHARED_SECRET, "sharedSecret": secret}),
            Self::Json(members) => Value::Object(members.clone()),
        }
    }

    /// The text that is sealed.
    #[must_use]
    pub fn to_text(&self) -> String {
        json::to_text(&self.to_json())
    }
}

/// Equal if the texts are equal; the member order of a content of unknown type does not matter.
impl PartialEq for TokenContent {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

/// Shows ids only: no keys, and nothing of a content of unknown type.
impl fmt::Debug for TokenContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file_id, .. } => f.debug_tuple(FILE).field(file_id).finish(),
            Self::RelationshipTemplate { template_id, .. } => {
                f.debug_tuple(RELATIONSHIP_TEMPLATE).field(template_id).finish()
            }
            Self::DeviceSharedSecret(secret) => f.debug_tuple(DEVICE_SHARED_SECRET).field(&secret.id).finish(),
            Self::Json(_) => f.write_str("Json(..)"),
        }
    }
}

fn read<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, TokenContentError> {
    serde_json::from_value(Value::Object(members)).map_err(|_| TokenContentError::Malformed)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileMembers {
    file_id: FileId,
    #[serde(with = "compact")]
    secret_key: SecretKey,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl From<FileMembers> for TokenContent {
    fn from(FileMembers { file_id, secret_key, mut more }: FileMembers) -> Self {
        more.remove("@type");
        Self::File { file_id, secret_key, more }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateMembers {
    for_identity: Option<Address>,
    password_protection: Option<SharedPasswordProtection>,
    #[serde(with = "compact")]
    secret_key: SecretKey,
    template_id: RelationshipTemplateId,
}

impl From<TemplateMembers> for TokenContent {
    fn from(members: TemplateMembers) -> Self {
        let TemplateMembers { for_identity, password_protection, secret_key, template_id } = members;
        Self::RelationshipTemplate { for_identity, password_protection, secret_key, template_id }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceMembers {
    shared_secret: Box<DeviceSharedSecret>,
}

impl From<DeviceMembers> for TokenContent {
    fn from(DeviceMembers { shared_secret }: DeviceMembers) -> Self {
        Self::DeviceSharedSecret(shared_secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_contents() {
        for text in ["", "null", "1", "\"text\"", "[]", r#"{"@type":1}"#, r#"{"@type":"TokenContentFile"}"#, "{} {}"] {
            assert_eq!(TokenContent::parse_open(text, true), Err(TokenContentError::Malformed), "{text}");
        }
    }

    #[test]
    fn unknown_types_pass_only_where_they_are_allowed() {
        let text = r#"{"@type":"Mail","subject":"x"}"#;
        assert_eq!(TokenContent::parse(text), Err(TokenContentError::UnknownType("Mail".into())));
        assert_eq!(TokenContent::parse_open(text, true).unwrap().to_text(), text);
    }

    #[test]
    fn further_members_of_a_file_are_kept_in_their_place() {
        let text = r#"{"@type":"TokenContentFile","a":{"z":1,"b":[2]},"fileId":"FILabcDEF123ghiJKL45","secretKey":{"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","alg":3},"z":null}"#;
        let content = TokenContent::parse(text).unwrap();
        assert_eq!(content.to_text(), text);
        assert_eq!(format!("{content:?}"), "TokenContentFile(FILabcDEF123ghiJKL45)");
    }

    #[test]
    fn debug_shows_no_keys() {
        let content = TokenContent::file("FILabcDEF123ghiJKL45".parse().unwrap(), SecretKey::generate());
        assert_eq!(format!("{content:?}"), "TokenContentFile(FILabcDEF123ghiJKL45)");
        let open = TokenContent::parse(r#"{"secret":1}"#).unwrap();
        assert_eq!(format!("{open:?}"), "Json(..)");
    }
}
