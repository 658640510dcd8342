//! What the creator of a token settles and notes beyond the published protocol.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use transport::wire::backbone::token_terms::MAX_USES;

/// A note of the creator about a token, at most [`TokenLabel::MAX`] characters. Nobody else sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenLabel(String);

/// A label is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must NOT have more than {} characters", TokenLabel::MAX)]
pub struct LabelTooLong;

impl TokenLabel {
    /// Characters of the longest one.
    pub const MAX: usize = 128;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<String> for TokenLabel {
    type Error = LabelTooLong;

    fn try_from(text: String) -> Result<Self, LabelTooLong> {
        if text.chars().count() > Self::MAX { Err(LabelTooLong) } else { Ok(Self(text)) }
    }
}

impl FromStr for TokenLabel {
    type Err = LabelTooLong;

    fn from_str(text: &str) -> Result<Self, LabelTooLong> {
        text.to_owned().try_into()
    }
}

impl From<TokenLabel> for String {
    fn from(label: TokenLabel) -> Self {
        label.0
    }
}

impl fmt::Display for TokenLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How often a token can be used, from 1 to [`MaxDownloads::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u32")]
pub struct MaxDownloads(NonZeroU32);

/// A number that no limit of downloads can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to {}", MaxDownloads::MAX)]
pub struct InvalidMaxDownloads;

impl MaxDownloads {
    /// The largest limit.
    pub const MAX: u32 = MAX_USES;

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u64> for MaxDownloads {
    type Error = InvalidMaxDownloads;

    fn try_from(number: u64) -> Result<Self, InvalidMaxDownloads> {
        let number = u32::try_from(number).ok().filter(|number| *number <= Self::MAX);
        number.and_then(NonZeroU32::new).map(Self).ok_or(InvalidMaxDownloads)
    }
}

impl From<MaxDownloads> for u32 {
    fn from(limit: MaxDownloads) -> Self {
        limit.get()
    }
}

impl FromStr for MaxDownloads {
    type Err = InvalidMaxDownloads;

    fn from_str(text: &str) -> Result<Self, InvalidMaxDownloads> {
        text.parse::<u64>().map_err(|_| InvalidMaxDownloads)?.try_into()
    }
}

impl fmt::Display for MaxDownloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Of which uses of a token its creator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Notify {
    /// Of none.
    #[default]
    None,
    /// Of the first one.
    First,
    /// Of each.
    Each,
}

impl Notify {
    /// The texts, in the order of the values.
    pub const NAMES: [&str; 3] = ["none", "first", "each"];

    /// Whether the creator is told of nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// Another text than those of [`Notify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of none, first, each")]
pub struct UnknownNotify;

impl FromStr for Notify {
    type Err = UnknownNotify;

    fn from_str(text: &str) -> Result<Self, UnknownNotify> {
        [Self::None, Self::First, Self::Each]
            .into_iter()
            .zip(Self::NAMES)
            .find_map(|(value, name)| (name == text).then_some(value))
            .ok_or(UnknownNotify)
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::First => "first",
            Self::Each => "each",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_label_has_at_most_128_characters() {
        for (length, fits) in [(0, true), (128, true), (129, false)] {
            let text = "ä".repeat(length);
            assert_eq!(text.parse::<TokenLabel>().is_ok(), fits, "{length}");
            let read = serde_json::from_value::<TokenLabel>(json!(text));
            match read {
                Ok(label) => assert_eq!(serde_json::to_value(label).unwrap(), json!(text)),
                Err(error) => assert_eq!(error.to_string(), "must NOT have more than 128 characters"),
            }
        }
    }

    #[test]
    fn a_limit_is_from_1_to_a_million() {
        for (number, fits) in [(0, false), (1, true), (1_000_000, true), (1_000_001, false), (u64::MAX, false)] {
            assert_eq!(number.to_string().parse::<MaxDownloads>().is_ok(), fits, "{number}");
            match serde_json::from_value::<MaxDownloads>(json!(number)) {
                Ok(limit) => assert_eq!(serde_json::to_value(limit).unwrap(), json!(number)),
                Err(error) => assert_eq!(error.to_string(), "must be a whole number from 1 to 1000000"),
            }
        }
        for text in ["", "-1", "1.5", "none"] {
            assert!(text.parse::<MaxDownloads>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_texts_of_notify_are_those_of_its_json() {
        for (value, name) in [Notify::None, Notify::First, Notify::Each].into_iter().zip(Notify::NAMES) {
            assert_eq!((name.parse(), value.to_string().as_str()), (Ok(value), name));
            assert_eq!(serde_json::to_value(value).unwrap(), json!(name));
        }
        assert!("always".parse::<Notify>().is_err());
    }
}
