//! What a person or a script is told when something did not work: one sentence, the next step, an exit code.

use std::fmt;
use std::process::ExitCode;

use backbone_mock::StoreError;
use listener::ListenError;
use runtime::source::{ManifestError, SourceError};
use runtime::{Error, TokenId};

use crate::code::{Code, Kind};
use crate::wording::{self, with_sources};

/// What to do with files that cannot be shared as they are.
pub(crate) const SHARE_ARCHIVE: &str = "share an archive of them: tar c DIR | enlace share - --name NAME.tar";

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What kind, for the exit code.
    pub(crate) kind: Kind,
    /// Stable code of the interfaces below, if there is one.
    pub(crate) code: Option<Code>,
    /// One sentence, lower case.
    pub(crate) message: String,
    /// What else is wrong, if several things were checked; one sentence each.
    pub(crate) others: Vec<String>,
    /// The next step.
    pub(crate) hint: Option<String>,
    /// The token that was made all the same.
    pub(crate) new_token: Option<Box<TokenId>>,
    /// Whether the node that shares was reached, and may give it yet.
    pub(crate) is_sender_reached: bool,
}

impl Failure {
    /// A failure of a kind.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            message: message.into(),
            others: Vec::new(),
            hint: None,
            new_token: None,
            is_sender_reached: false,
        }
    }

    /// A failure without a kind of its own.
    pub(crate) fn general(message: impl Into<String>) -> Self {
        Self::new(Kind::General, message)
    }

    /// A wrong command line or value.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A data directory or destination that cannot be used.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new(Kind::Local, message)
    }

    /// The same with the next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same for the rotation of a token that has got as far as the new one.
    #[must_use]
    pub(crate) fn after_new_token(mut self, id: TokenId) -> Self {
        self.message = format!("{}; the new token {id} is made", self.message);
        self.hint = Some("run the same command again to complete the rotation".to_owned());
        self.new_token = Some(Box::new(id));
        self
    }

    /// The same with a stable code.
    #[must_use]
    pub(crate) fn code(mut self, code: impl Into<Code>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }

    /// From the code and the text of a node that is asked over REST.
    pub(crate) fn from_rest(code: &str, text: &str) -> Self {
        let code = Code::read(code);
        let message = wording::of_rest(&code, text);
        Self::of_code(code, &message, None)
    }

    /// A failure with what its code says of it.
    fn of_code(code: Code, message: &str, next_step: Option<String>) -> Self {
        let hint = next_step.or_else(|| code.hint().map(str::to_owned));
        let message = sentence(&without_numbers(message));
        Self { hint, ..Self::new(code.kind(), message) }.code(code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Unreplaced { new, cause } = error {
            return Self::from(*cause).after_new_token(new);
        }
        let code = Code::from(&error);
        let (message, next_step) = wording::of_error(&code, &error);
        let is_sender_reached = matches!(&error, Error::Undelivered(undelivered) if undelivered.is_sender_reached());
        Self { is_sender_reached, ..Self::of_code(code, &message, next_step) }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Unreadable { path, source } => {
                Self::local(format!("cannot read {}: {}", path.display(), reason(&source)))
            }
            SourceError::Changed { path } => {
                Self::local(format!("{} has changed while it was read; nothing was shared", path.display()))
                    .hint("share it again when no program writes to it, or share a copy of it")
            }
            SourceError::Unsized { path } => Self::local(format!("{} does not tell its size", path.display()))
                .hint("share it alone, or share a copy of it"),
            SourceError::Manifest(error) => error.into(),
            other => Self::local(other.to_string()),
        }
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Collision { first, second } => {
                Self::usage(format!("{first} and {second} have the same name on systems that ignore case or accents"))
                    .hint("rename one of them, or leave one out with --exclude GLOB")
            }
            ManifestError::TooManyEntries | ManifestError::TooLong => {
                Self::new(Kind::Refused, "there are too many files and folders to share").hint(SHARE_ARCHIVE)
            }
            ManifestError::Sizes => {
                Self::new(Kind::Refused, "the files are too large to be shared together").hint("share them in parts")
            }
            other => Self::general(other.to_string()),
        }
    }
}

impl From<backbone_mock::Error> for Failure {
    fn from(error: backbone_mock::Error) -> Self {
        use backbone_mock::Error;
        match error {
            Error::DataDir(disk) => disk.into(),
            Error::Store(failed) => failed.into(),
            Error::KeyLost { key, records } => {
                Self::local(format!("{} is missing but {} exists", key.display(), records.display()))
                    .hint("restore the key file from a backup")
            }
            Error::UnreadableKey { key } => Self::local(format!("{} does not hold a key (32 bytes)", key.display()))
                .hint("restore it from a backup"),
            Error::Listen(ListenError { address, source }) => {
                Self::new(Kind::Network, format!("cannot listen on {address}: {}", reason(&source)))
                    .hint("choose another address or port 0 for a free port")
            }
            Error::Schema { dir, found, known } => Self::local(format!(
                "the records in {} have schema version {found}, this program reads {known}",
                dir.display()
            ))
            .hint("use the program that wrote them"),
            Error::Config { .. } => Self::usage(error.to_string()),
            other => Self::local(without_numbers(&with_sources(&other))),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(cause)
            | StoreError::Stopped(cause)
            | StoreError::Damaged(cause)
            | StoreError::Failed(cause) => match cause.downcast::<durable::Error>() {
                // The embedded backbone's records are a durable store, whose errors know the next step.
                Ok(disk) => (*disk).into(),
                Err(other) => Self::local(without_numbers(&with_sources(&*other))),
            },
            other => Self::local(without_numbers(&with_sources(&other))),
        }
    }
}

impl From<durable::Error> for Failure {
    fn from(error: durable::Error) -> Self {
        let hint = error.next_step().map(|next_step| without_numbers(&next_step));
        Self { hint, ..Self::local(without_numbers(&error.what())) }
    }
}

/// What the operating system says, in our form: lower case, without the number of the error.
pub(crate) fn reason(error: &std::io::Error) -> String {
    sentence(&without_numbers(&error.to_string()))
}

/// A text without what the operating system adds to its reasons, such as ` (os error 28)`.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')').filter(|(number, _)| number.parse::<i32>().is_ok()) {
            Some((_, rest)) => plain.push_str(rest),
            None => plain.extend([" (os error ", part]),
        }
    }
    plain
}

/// Texts of the interfaces start with a capital and end with a full stop; ours do not.
fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut characters = text.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_happened_and_then_the_next_step_once() {
        let text = "error.transport.general.noIdentityFound: 'No identity found' at 2030-01-01T00:00:00.000Z";
        let failure = Failure::from_rest("error.transport.general.noIdentityFound", text);
        assert_eq!(failure.message, "there is no identity in this data directory");
        assert!(failure.hint.unwrap().contains("allowIdentityCreation"));
        let text = "the backbone cannot be reached: is it running, and is the base URL right?";
        let failure = Failure::from_rest("error.transport.request.network", text);
        assert!(failure.message.starts_with("the backbone cannot be reached"));
        assert!(!failure.message.contains("running") && failure.hint.unwrap().contains("running"));
    }

    #[test]
    fn a_token_that_was_made_all_the_same_is_named_with_what_goes_on() {
        let new: TokenId = "TOKabcdefghijklmno12".parse().unwrap();
        let failure = Failure::from(Error::Unreplaced { new, cause: Box::new(Error::Stopped) });
        assert_eq!(failure.new_token.unwrap().as_str(), "TOKabcdefghijklmno12");
        assert!(failure.message.contains("shutting down") && failure.message.contains("TOKabcdefghijklmno12"));
        assert!(failure.hint.unwrap().contains("same command again"));
    }

    #[test]
    fn reasons_of_the_system_have_no_number() {
        let reason_of = |number| reason(&std::io::Error::from_raw_os_error(number));
        assert_eq!(reason_of(2), "no such file or directory");
        assert_eq!(reason(&std::io::Error::other("x (os error y)")), "x (os error y)");
        assert_eq!(without_numbers("/a: No (os error 2); check (os error 13) it"), "/a: No; check it");
    }

    #[test]
    fn texts_of_the_interfaces_become_ours() {
        assert_eq!(sentence("File not found. Make sure it exists."), "file not found. Make sure it exists");
        assert_eq!(sentence("'expiresAt' must be in the future"), "'expiresAt' must be in the future");
        assert_eq!(sentence("API key wrong."), "API key wrong");
    }

    #[test]
    fn the_next_step_of_a_local_failure_is_its_hint() {
        let failure = Failure::from_rest("error.runtime.storageFull", "The disk of this node is full.");
        assert_eq!(failure.message, "the disk of this node is full");
        assert!(failure.hint.unwrap().starts_with("free some space"));
        let lost =
            durable::Error::StoreLost { store: "d/backbone/records".into(), evidence: "d/backbone/server.key".into() };
        let failure = Failure::from(backbone_mock::Error::from(lost));
        assert_eq!(failure.kind, Kind::Local);
        assert_eq!(failure.message.matches("d/backbone/records").count(), 1, "{failure}");
        assert!(failure.hint.unwrap().starts_with("restore it from a backup"));
    }
}
