//! Base64 texts.
//!
//! The protocol writes bytes as base64url without padding everywhere, except for password hashes and the salt inside
//! references, which are standard base64 with padding. Peers decode strictly; the backbone accepts every variant.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text is not valid base64. The text itself is omitted, because it may contain a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text is not valid base64")]
pub struct ByteTextError;

/// Encodes as base64url without padding (RFC 4648 section 5).
#[must_use]
pub fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Encodes as lower-case hex digits.
#[cfg(feature = "verify")]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes base64url strictly: padding, other alphabets, white space and non-zero trailing bits are errors.
///
/// # Errors
/// [`ByteTextError`] if the text is anything but canonical base64url without padding.
pub fn from_base64url(text: &str) -> Result<Vec<u8>, ByteTextError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| ByteTextError)
}

/// Encodes as base64url and appends to a text.
pub fn append_base64url(bytes: &[u8], text: &mut Vec<u8>) {
    let start = text.len();
    text.resize(start + base64::encoded_len(bytes.len(), false).unwrap_or(0), 0);
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text[start..]).expect("the space was measured");
    text.truncate(start + written);
}

/// Decodes base64url strictly and appends to a buffer.
///
/// # Errors
/// [`ByteTextError`] if the text is anything but canonical base64url without padding.
pub fn append_from_base64url(text: &[u8], bytes: &mut Vec<u8>) -> Result<(), ByteTextError> {
    URL_SAFE_NO_PAD.decode_vec(text, bytes).map_err(|_| ByteTextError)
}

/// Encodes as standard base64 with padding (RFC 4648 section 4): password hashes and reference salts only.
#[must_use]
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes standard base64; the padding is required.
///
/// # Errors
/// [`ByteTextError`] if the text is anything but canonical padded base64.
pub fn from_base64(text: &str) -> Result<Vec<u8>, ByteTextError> {
    STANDARD.decode(text).map_err(|_| ByteTextError)
}

/// Decodes either alphabet, padded or not, as a backbone reads its input.
///
/// # Errors
/// [`ByteTextError`] if the text mixes the alphabets or is not base64 at all.
pub fn from_any_base64(text: &str) -> Result<Vec<u8>, ByteTextError> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let standard = text.contains(['+', '/']);
    let alphabet = if standard { &alphabet::STANDARD } else { &alphabet::URL_SAFE };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).map_err(|_| ByteTextError)
}

/// Bytes that are base64url in JSON. Accepts both alphabets when reading, because the protocol's clients mix them.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct ByteText(pub Vec<u8>);

impl ByteText {
    /// The bytes of a UTF-8 text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }

    /// The bytes as text, if they are UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<Vec<u8>> for ByteText {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ByteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64url(&self.0))
    }
}

/// Shows the length only, because contents and payloads must not be logged.
impl fmt::Debug for ByteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByteText({} bytes)", self.0.len())
    }
}

impl Serialize for ByteText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_base64url(&self.0))
    }
}

impl<'de> Deserialize<'de> for ByteText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        from_any_base64(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_decoding_refuses_what_lenient_decoding_accepts() {
        for text in ["_-8=", "/+8=", "/+8"] {
            assert_eq!(from_base64url(text), Err(ByteTextError), "{text}");
            assert_eq!(from_any_base64(text), Ok(vec![0xff, 0xef]), "{text}");
        }
        assert_eq!(from_base64url("_-8"), Ok(vec![0xff, 0xef]));
        assert_eq!(from_any_base64("_-8"), Ok(vec![0xff, 0xef]));
    }

    #[test]
    fn mixed_alphabets_and_non_base64_are_refused() {
        for text in ["_+8=", "a b", "=", "ä"] {
            assert_eq!(from_any_base64(text), Err(ByteTextError), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(format!("{:?}", ByteText::from_text("secret")), "ByteText(6 bytes)");
    }
}
