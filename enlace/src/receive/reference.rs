//! What can be known from a reference before anybody is asked.

use std::path::Path;

use runtime::{AnyReference, ErrorCode, PasswordType};

use crate::failure::Failure;
use crate::passwords;

/// A reference to a file, or to a token that should hold one.
pub(crate) struct Incoming {
    /// As it was given, for the facade.
    pub(crate) text: String,
    /// The backbone it names.
    pub(crate) backbone_url: Option<String>,
    /// What has to be asked for, in words.
    pub(crate) password: Option<String>,
    /// The last four characters of the only address it is for.
    pub(crate) for_identity: Option<String>,
    /// Whether it says where the node that shares can be reached.
    pub(crate) is_direct: bool,
}

impl Incoming {
    /// Takes the word on the command line; `-` stands for the first line of standard input.
    ///
    /// # Errors
    /// As [`Incoming::parse`], and a failure if standard input cannot be read.
    pub(crate) fn from_argument(word: &str) -> Result<Self, Failure> {
        match word {
            "-" => Self::parse(passwords::read(Path::new("-"))?.expose()),
            word => Self::parse(word),
        }
    }

    /// Reads either form.
    ///
    /// # Errors
    /// A failure that says which part is wrong, without repeating the reference.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        let parsed = AnyReference::parse(text).map_err(|error| {
            Failure::usage(format!("this is not a reference: {error}"))
                .hint("quote it in the shell, because it contains # or & : enlace receive 'http://…'")
                .code(ErrorCode::InvalidTruncatedReference)
        })?;
        let is_direct = parsed.direct().is_some();
        let (backbone_url, protection, for_identity) = match parsed {
            AnyReference::Token(it) => (it.backbone_base_url, it.password_protection, it.for_identity_truncated),
            AnyReference::File(it) => (it.backbone_base_url, it.password_protection, it.for_identity_truncated),
            _ => {
                return Err(
                    Failure::usage("this reference names neither a file nor a token").code(ErrorCode::InvalidReference)
                );
            }
        };
        Ok(Self {
            text: text.to_owned(),
            backbone_url,
            password: protection.map(|protection| describe(protection.password_type)),
            for_identity,
            is_direct,
        })
    }
}

fn describe(password_type: PasswordType) -> String {
    match password_type {
        PasswordType::Pw => "password".to_owned(),
        PasswordType::Pin(length) => format!("PIN of {length} digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_tell_where_to_ask() {
        let url = "http://localhost:4710/r/TOKabcdefghijklmno12#M3xBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBfHw";
        let incoming = Incoming::parse(&format!(" {url}\n")).unwrap();
        assert_eq!(incoming.backbone_url.as_deref(), Some("http://localhost:4710"));
        assert_eq!(incoming.text, url);
        assert_eq!(incoming.password, None);
    }

    #[test]
    fn other_texts_are_refused_without_being_repeated() {
        for text in ["", "x", "http://localhost:4710/r/", "README.md", "VE9LU0VDUkVU"] {
            let failure = Incoming::parse(text).err().unwrap();
            assert!(failure.message.starts_with("this is not a reference"), "{failure}");
            assert!(text.len() < 3 || !failure.message.contains(text), "{failure}");
        }
    }
}
