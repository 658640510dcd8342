//! Identifiers: 20 ASCII characters, a three-letter prefix that names the kind and 17 of `[A-Za-z0-9]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of every identifier in characters.
pub const ID_LENGTH: usize = 20;

/// A text is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix} followed by 17 letters or digits")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

/// Implemented by all identifier types, for code that is generic over the kind.
pub trait Id: Sized + Clone + Eq + fmt::Display + fmt::Debug + AsRef<str> + FromStr<Err = InvalidId> {
    /// The three letters that start every identifier of this kind.
    const PREFIX: &'static str;
}

fn is_valid(text: &str, prefix: &str) -> bool {
    text.len() == ID_LENGTH && text.starts_with(prefix) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Id for $name {
            const PREFIX: &'static str = $prefix;
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_valid(text, $prefix) { Ok(Self(text.to_owned())) } else { Err(InvalidId { prefix: $prefix }) }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A token.
    TokenId = "TOK";
    /// A file.
    FileId = "FIL";
    /// A relationship template.
    RelationshipTemplateId = "RLT";
    /// A relationship.
    RelationshipId = "REL";
    /// A message.
    MessageId = "MSG";
    /// A device.
    DeviceId = "DVC";
    /// A challenge.
    ChallengeId = "CHL";
    /// The login name of a device.
    Username = "USR";
    /// A sync run.
    SyncRunId = "SYR";
    /// An external event.
    ExternalEventId = "SYI";
    /// An error recorded for an external event.
    SyncErrorId = "SYE";
    /// A datawallet.
    DatawalletId = "DWL";
    /// A datawallet modification.
    DatawalletModificationId = "DWM";
    /// A push identifier of a device.
    DevicePushIdentifier = "DPI";
    /// An upload that is not finished. Ours: the published backbone has none.
    UploadId = "UPL";
    /// One use of a token, chosen at random by whoever uses it. Ours: the published backbone has none.
    ClaimId = "CLM";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_twenty_characters_of_the_right_kind_are_accepted() {
        assert!("TOKabcdefghijklmno12".parse::<TokenId>().is_ok());
        for text in [
            "",
            "TOK",
            "TOKabcdefghijklmno1",
            "TOKabcdefghijklmno123",
            "FILabcdefghijklmno12",
            "tokabcdefghijklmno12",
            "TOKabcdefghijklmn/12",
            "TOKabcdefghijklm\u{e9}12",
            " TOKabcdefghijklmno1",
        ] {
            assert_eq!(text.parse::<TokenId>(), Err(InvalidId { prefix: "TOK" }), "{text:?}");
        }
    }

    #[test]
    fn json_form_is_the_text() {
        let id: FileId = "FILabcdefghijklmno12".parse().unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"FILabcdefghijklmno12\"");
        assert!(serde_json::from_str::<TokenId>("\"FILabcdefghijklmno12\"").is_err());
    }
}
