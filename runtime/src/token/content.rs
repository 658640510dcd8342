//! What a token may hold, as applications see it: JSON.

use serde_json::Value;
use transport::crypto::{Cipher, CryptoError, CryptoObject as _, SecretKey};
use transport::token::TokenContent;
use transport::wire::{ByteText, json};
use zeroize::Zeroizing;

use crate::{Error, Result};

/// A content that was checked. Typed contents are in their normal form, all others are as they were given.
///
/// The protocol knows objects only. Texts, numbers, booleans and lists are sealed as they are: a node like this one reads
/// them back unchanged, the published clients turn them into objects.
#[derive(Clone, PartialEq)]
pub(crate) struct TokenJson(Value);

/// Why a sealed content cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnreadableContent {
    /// The key is wrong, or the content was altered.
    Decryption,
    /// What is inside is no content.
    Malformed,
}

impl TokenJson {
    /// Checks what an application wants to put into a token.
    ///
    /// # Errors
    /// [`Error::InvalidTokenContent`] for null, for an object whose `@type` is not a text or not known here, and for a
    /// known type with missing or wrong members.
    pub(crate) fn check(value: Value) -> Result<Self> {
        Self::read(value, false).map_err(|_| Error::InvalidTokenContent)
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    pub(crate) fn seal(&self, key: &SecretKey) -> ByteText {
        key.encrypt(Zeroizing::new(json::to_text(&self.0)).as_bytes()).to_byte_text()
    }

    /// Opens what the backbone stored. Types that are not known here are taken: a peer may know more than this node.
    pub(crate) fn open(sealed: &[u8], key: &SecretKey) -> Result<Self, UnreadableContent> {
        let cipher = Cipher::from_bytes(sealed).map_err(|_| UnreadableContent::Malformed)?;
        let plaintext = key.decrypt(&cipher).map_err(|_: CryptoError| UnreadableContent::Decryption)?;
        let text = std::str::from_utf8(&plaintext).map_err(|_| UnreadableContent::Malformed)?;
        Self::read(json::from_text(text).map_err(|_| UnreadableContent::Malformed)?, true)
    }

    fn read(value: Value, allow_unknown: bool) -> Result<Self, UnreadableContent> {
        match value {
            Value::Null => Err(UnreadableContent::Malformed),
            Value::Object(_) => match TokenContent::from_json(value, allow_unknown) {
                Ok(content) => Ok(Self(content.to_json())),
                Err(_) => Err(UnreadableContent::Malformed),
            },
            other => Ok(Self(other)),
        }
    }
}

impl From<&TokenContent> for TokenJson {
    fn from(content: &TokenContent) -> Self {
        Self(content.to_json())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_json_but_null_survives_a_round_trip() {
        let key = SecretKey::generate();
        for value in
            [json!({}), json!({"a": {"b": [1, null, "x"]}}), json!("abc"), json!(1), json!(true), json!([1, 2])]
        {
            let content = TokenJson::check(value.clone()).unwrap();
            let opened = TokenJson::open(&content.seal(&key).0, &key).unwrap_or_else(|_| panic!("{value}"));
            assert_eq!(opened.value(), &value);
        }
    }

    #[test]
    fn contents_that_nobody_could_read_are_refused() {
        for value in [
            Value::Null,
            json!({"@type": "Nope", "x": 1}),
            json!({"@type": 1}),
            json!({"@type": null}),
            json!({"@type": "TokenContentFile"}),
            json!({"@type": "TokenContentFile", "fileId": "FIL00000000000000000", "secretKey": {"key": "x", "alg": 3}}),
        ] {
            assert!(matches!(TokenJson::check(value.clone()), Err(Error::InvalidTokenContent)), "{value}");
        }
        assert!(TokenJson::check(json!({"a": {"@type": "Nope"}})).is_ok());
    }

    #[test]
    fn typed_contents_are_put_into_their_normal_form() {
        let key = SecretKey::generate();
        let text = key.to_value(transport::crypto::Form::Compact)["key"].clone();
        let given = json!({
            "@type": "TokenContentFile", "secretKey": {"@type": "CryptoSecretKey", "alg": 3, "key": text},
            "fileId": "FIL00000000000000000", "more": 1
        });
        let expected = json!({
            "@type": "TokenContentFile", "fileId": "FIL00000000000000000", "secretKey": {"key": text, "alg": 3}
        });
        assert_eq!(TokenJson::check(given).unwrap().value(), &expected);
    }

    #[test]
    fn a_wrong_key_and_an_altered_content_are_refused() {
        let key = SecretKey::generate();
        let sealed = TokenJson::check(json!({"a": 1})).unwrap().seal(&key);
        assert!(matches!(TokenJson::open(&sealed.0, &SecretKey::generate()), Err(UnreadableContent::Decryption)));
        assert!(matches!(TokenJson::open(b"{}", &key), Err(UnreadableContent::Malformed)));
        let null = key.encrypt(b"null").to_byte_text();
        assert!(matches!(TokenJson::open(&null.0, &key), Err(UnreadableContent::Malformed)));
    }
}
