//! References: short texts that identify a token, file or template at a backbone and contain its key.
//!
//! There are two equivalent forms. The truncated form is base64url of `id[@baseUrl]|3|key|forIdentity|password`; the URL
//! form is `baseUrl/r/id[?app=…][?direct=…]#` and base64url of the parts after the id. The holder of a reference can read what it
//! names unless there is a password or an addressee, so references are secrets: no key is ever printed here.

mod base_url;
mod key;
mod text;

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::id::Id;
use super::password::{PasswordProtectionError, SharedPasswordProtection};
use super::{Address, FileId, RelationshipTemplateId, TokenId};
pub use base_url::BaseUrl;
pub use key::ReferenceKey;

/// Maximum length of a reference in characters, in either form.
pub const MAX_REFERENCE_LENGTH: usize = 4096;

/// Maximum length in characters of the part of a reference that says where the node that shares can be reached.
pub const MAX_DIRECT_LENGTH: usize = 3072;

/// Number of the only cipher, XChaCha20-Poly1305.
pub(crate) const KEY_ALGORITHM: u8 = 3;

/// Why a text is not a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// More than [`MAX_REFERENCE_LENGTH`] characters.
    #[error("reference is longer than {MAX_REFERENCE_LENGTH} characters")]
    TooLong,
    /// Not base64url, or not UTF-8 inside.
    #[error("reference is not base64url-encoded text; was it copied completely?")]
    Encoding,
    /// The wrong number of parts.
    #[error("reference has the wrong number of parts; was it copied completely?")]
    Parts,
    /// The id is missing or of another kind than expected.
    #[error("reference does not contain an ID that starts with {expected}")]
    Kind {
        /// The expected prefix, `TOK`, `FIL` or `RLT`; all three if any is accepted.
        expected: &'static str,
    },
    /// The cipher is unknown.
    #[error("reference names an unknown cipher")]
    Algorithm,
    /// Not base64url of 32 bytes.
    #[error("key in the reference is not base64url of 32 bytes")]
    Key,
    /// Neither empty nor four lower-case hex digits.
    #[error("identity in the reference is not the last four characters of an address")]
    ForIdentity,
    /// The password part is invalid.
    #[error("password part of the reference is wrong: {0}")]
    Password(#[from] PasswordProtectionError),
    /// Not an absolute http or https URL, or one with credentials, query or fragment.
    #[error("backbone address in the reference is not a plain http or https URL")]
    BaseUrl,
    /// Not base64url, or too long.
    #[error("address of the node is not base64url of at most {MAX_DIRECT_LENGTH} characters")]
    Direct,
}

/// An identifier that references can carry.
pub trait Referable: Id {
    /// Name of the reference type in JSON.
    const REFERENCE_TYPE: &'static str;
}

impl Referable for TokenId {
    const REFERENCE_TYPE: &'static str = "TokenReference";
}

impl Referable for FileId {
    const REFERENCE_TYPE: &'static str = "FileReference";
}

impl Referable for RelationshipTemplateId {
    const REFERENCE_TYPE: &'static str = "RelationshipTemplateReference";
}

/// A reference to an object with an id of type `I`.
#[derive(Clone, PartialEq, Eq)]
pub struct Reference<I> {
    /// Id of the object.
    pub id: I,
    /// The backbone: an absolute http or https URL without a trailing slash; absent in references of old clients.
    pub backbone_base_url: Option<String>,
    /// Key to the token, template or metadata of the file.
    pub key: ReferenceKey,
    /// The last four characters of the addressee's address.
    pub for_identity_truncated: Option<String>,
    /// Password protection, if any.
    pub password_protection: Option<SharedPasswordProtection>,
    /// The password itself, only in references of empty tokens by clients from 6.62 to 7.2.
    pub password: Option<String>,
    /// Where the node that shares can be reached, in the query of the URL form; the truncated form does not have it. Letters of
    /// base64url; `transport::peer::Direct` reads it, and other clients ignore it. Nothing of it is proven.
    pub direct: Option<String>,
}

/// Reference to a token with the key to its content.
pub type TokenReference = Reference<TokenId>;
/// Reference to a file with the key to its metadata.
pub type FileReference = Reference<FileId>;
/// Reference to a relationship template with the key to its content.
pub type RelationshipTemplateReference = Reference<RelationshipTemplateId>;

impl<I: Referable> Reference<I> {
    /// A reference without addressee, password and backbone.
    #[must_use]
    pub fn new(id: I, key: ReferenceKey) -> Self {
        Self {
            id,
            backbone_base_url: None,
            key,
            for_identity_truncated: None,
            password_protection: None,
            password: None,
            direct: None,
        }
    }

    /// Sets the backbone.
    ///
    /// # Errors
    /// [`ReferenceError::BaseUrl`] if the URL is not allowed in references.
    pub fn at(mut self, backbone_base_url: &str) -> Result<Self, ReferenceError> {
        self.backbone_base_url = Some(base_url::check(backbone_base_url)?);
        Ok(self)
    }

    /// Sets where the node that shares can be reached, for the URL form.
    ///
    /// # Errors
    /// [`ReferenceError::Direct`] for what is not base64url, or longer than [`MAX_DIRECT_LENGTH`].
    pub fn reached_at(mut self, direct: &str) -> Result<Self, ReferenceError> {
        self.direct = Some(direct.to_owned()).filter(|direct| base_url::is_direct(direct));
        if self.direct.is_some() { Ok(self) } else { Err(ReferenceError::Direct) }
    }

    /// Parses the truncated form, with or without the prefix `nmshd://tr#` or `nmshd://qr#`, or the URL form.
    ///
    /// # Errors
    /// [`ReferenceError`] names the invalid part; [`ReferenceError::Kind`] for a reference to another kind of object.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        text::Parts::read(text)?.into_reference()
    }

    /// The truncated form, always with five parts.
    #[must_use]
    pub fn to_truncated(&self) -> String {
        text::truncated(self)
    }

    /// The URL form, with `app` in the query if given, and `direct` if it is set; `None` without a backbone URL.
    #[must_use]
    pub fn to_url(&self, app: Option<&str>) -> Option<String> {
        text::url(self, app)
    }

    /// Truncated form and URL form at a backbone. Cheaper than creating them one after the other.
    #[must_use]
    pub fn forms_at(&self, place: &BaseUrl) -> (String, String) {
        text::forms(self, place)
    }

    /// The JSON form, as in message attachments, with or without `@type`.
    #[must_use]
    pub fn to_json(&self, verbose: bool) -> Value {
        let mut members = serde_json::Map::new();
        if verbose {
            members.insert("@type".into(), I::REFERENCE_TYPE.into());
        }
        if let Some(base_url) = &self.backbone_base_url {
            members.insert("backboneBaseUrl".into(), base_url.as_str().into());
        }
        if let Some(for_identity) = &self.for_identity_truncated {
            members.insert("forIdentityTruncated".into(), for_identity.as_str().into());
        }
        members.insert("id".into(), self.id.as_ref().into());
        members.insert("key".into(), json!({"key": self.key.to_base64url(), "alg": KEY_ALGORITHM}));
        if let Some(protection) = &self.password_protection {
            members.insert("passwordProtection".into(), json!(protection));
        }
        Value::Object(members)
    }

    /// Whether an identity may be the addressee, as far as the last four characters of its address tell. Without an address,
    /// true only for references without an addressee.
    #[must_use]
    pub fn is_for(&self, address: Option<&Address>) -> bool {
        match (&self.for_identity_truncated, address) {
            (None, _) => true,
            (Some(truncated), Some(address)) => address.truncated() == truncated,
            (Some(_), None) => false,
        }
    }
}

impl<I: Referable> FromStr for Reference<I> {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

/// Shows id and backbone, never the key or the password.
impl<I: Referable> fmt::Debug for Reference<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(I::REFERENCE_TYPE)
            .field("id", &self.id)
            .field("backbone_base_url", &self.backbone_base_url)
            .field("for_identity_truncated", &self.for_identity_truncated)
            .field("password_protected", &self.password_protection.is_some())
            .finish_non_exhaustive()
    }
}

/// A reference of any kind, distinguished by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyReference {
    /// A token.
    Token(TokenReference),
    /// A file.
    File(FileReference),
    /// A relationship template.
    RelationshipTemplate(RelationshipTemplateReference),
}

impl AnyReference {
    /// Parses a reference of any kind in either form.
    ///
    /// # Errors
    /// [`ReferenceError`] names the invalid part.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let parts = text::Parts::read(text)?;
        match parts.id.get(..3) {
            Some(TokenId::PREFIX) => parts.into_reference().map(Self::Token),
            Some(FileId::PREFIX) => parts.into_reference().map(Self::File),
            Some(RelationshipTemplateId::PREFIX) => parts.into_reference().map(Self::RelationshipTemplate),
            _ => Err(ReferenceError::Kind { expected: "TOK, FIL or RLT" }),
        }
    }

    /// Its backbone.
    #[must_use]
    pub fn backbone_base_url(&self) -> Option<&str> {
        match self {
            Self::Token(reference) => reference.backbone_base_url.as_deref(),
            Self::File(reference) => reference.backbone_base_url.as_deref(),
            Self::RelationshipTemplate(reference) => reference.backbone_base_url.as_deref(),
        }
    }

    /// Where the node that shares can be reached, as [`Reference::direct`].
    #[must_use]
    pub fn direct(&self) -> Option<&str> {
        match self {
            Self::Token(reference) => reference.direct.as_deref(),
            Self::File(reference) => reference.direct.as_deref(),
            Self::RelationshipTemplate(reference) => reference.direct.as_deref(),
        }
    }
}
