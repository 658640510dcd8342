//! What a person or a script is told when something did not work: one sentence, the next step, an exit code.

use std::fmt;
use std::process::ExitCode;

use runtime::Error;

use crate::wording;

/// Kinds of failure that scripts can tell apart; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// None of the others.
    General = 1,
    /// The command line, the configuration or a value on it is wrong.
    Usage = 2,
    /// There is no such file, token or reference (any more).
    NotFound = 3,
    /// The password, the identity or a rule stands against it.
    Refused = 4,
    /// The backbone, the node or a port cannot be reached or had.
    Network = 5,
    /// What arrived is not what was sent.
    Integrity = 6,
    /// The data directory or the destination cannot be used.
    Local = 7,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Kind {
    const ALL: [(Self, &str); 8] = [
        (Self::General, "any other failure"),
        (Self::Usage, "invalid command line, configuration or value"),
        (Self::NotFound, "no such file, token or reference, or not any more"),
        (Self::Refused, "refused because of password, identity, size or permissions"),
        (Self::Network, "backbone or node not reachable, or port not available"),
        (Self::Integrity, "received data is corrupt; nothing was kept"),
        (Self::Local, "data directory, destination, standard output or disk not usable; nothing was overwritten"),
        (Self::Interrupted, "interrupted by Ctrl-C or SIGTERM"),
    ];

    /// The table of exit codes, for `--help`.
    pub(crate) fn table() -> String {
        let row = |(kind, meaning): &(Self, &str)| format!("\n  {:<4} {meaning}", *kind as u8);
        format!("Exit codes:\n  0    success{}", Self::ALL.iter().map(row).collect::<String>())
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What kind, for the exit code.
    pub(crate) kind: Kind,
    /// Stable code of the interfaces below, if there is one.
    pub(crate) code: Option<String>,
    /// One sentence, lower case.
    pub(crate) message: String,
    /// What else is wrong, if several things were checked; one sentence each.
    pub(crate) others: Vec<String>,
    /// The next step.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure of a kind.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), others: Vec::new(), hint: None }
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

    /// The same with a stable code.
    #[must_use]
    pub(crate) fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }

    /// From a stable code and its text, as the node's facades and its REST interface give them.
    pub(crate) fn from_code(code: &str, text: &str) -> Self {
        let (kind, hint) = classify(code);
        let plain = without_numbers(&wording::plain(code, text));
        let (message, next_step) = match (code, wording::message_of(code)) {
            (_, Some(message)) => (message, None),
            // Their texts end with the next step.
            ("error.runtime.store" | "error.runtime.storageFull", _) => split_next_step(&plain),
            ("error.transport.request.network", _) => {
                plain.split_once(": ").map_or((plain.as_str(), None), |(message, step)| (message, Some(step)))
            }
            _ => (plain.as_str(), None),
        };
        let hint = next_step.or(hint).map(str::to_owned);
        Self { code: Some(code.to_owned()), hint, ..Self::new(kind, sentence(message)) }
    }

    /// From a text of the form "what happened; the next step".
    fn with_next_step(kind: Kind, text: &str) -> Self {
        let text = without_numbers(text);
        let (message, next_step) = split_next_step(&text);
        Self { hint: next_step.map(str::to_owned), ..Self::new(kind, message) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::from_code(error.code(), &error.to_string());
        match error {
            Error::Backbone { status, code, .. } if code == "error.platform.unexpected" => {
                let message = format!("the backbone answered with the unexpected status {status}");
                Self { message, ..failure }
            }
            _ => failure,
        }
    }
}

impl From<backbone_mock::Error> for Failure {
    fn from(error: backbone_mock::Error) -> Self {
        let kind = match &error {
            backbone_mock::Error::Listen { .. } => Kind::Network,
            backbone_mock::Error::Config { .. } => Kind::Usage,
            _ => Kind::Local,
        };
        Self::with_next_step(kind, &with_sources(&error))
    }
}

impl From<durable::Error> for Failure {
    fn from(error: durable::Error) -> Self {
        Self::with_next_step(Kind::Local, &error.to_string())
    }
}

/// An error and its causes in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
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

/// What happened, and the next step, which stands behind the last semicolon.
fn split_next_step(text: &str) -> (&str, Option<&str>) {
    text.rsplit_once("; ").map_or((text, None), |(message, next_step)| (message, Some(next_step)))
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

fn classify(code: &str) -> (Kind, Option<&'static str>) {
    const LOOK: &str = "check that the backbone is running and that its URL is right; `enlace doctor` finds the reason";
    match code {
        "error.runtime.recordNotFound"
        | "error.transport.recordNotFound"
        | "error.platform.recordNotFound"
        | "error.transport.tokens.emptyToken" => {
            (Kind::NotFound, Some("check the ID or the reference; what it names may have expired or been deleted"))
        }
        "error.transport.general.notIntendedForYou" => {
            (Kind::Refused, Some("`enlace identity` shows an address; the sender can share again with --for ADDRESS"))
        }
        "error.transport.noPasswordProvided" => {
            (Kind::Refused, Some("give it with --password-file FILE or at a prompt"))
        }
        "error.platform.token.tooManyFailedPasswordAttempts" => {
            (Kind::Refused, Some("the token is locked; its sender can unlock it with `enlace tokens unlock ID`"))
        }
        "error.platform.tooManyRequests" => (Kind::Refused, Some("wait that long before you try again")),
        "error.connector.tooManyUnauthorizedRequests" => (Kind::Refused, Some("wait before you try again")),
        "error.platform.quotaExhausted" => {
            (Kind::Refused, Some("delete what is not needed, or ask the operator of the backbone for more"))
        }
        "error.platform.unauthorized" | "error.platform.forbidden" => {
            (Kind::Refused, Some("`enlace doctor` looks for the reason"))
        }
        "error.runtime.files.notOwnedByYou" => (Kind::Refused, None),
        "error.transport.files.cipherMismatch"
        | "error.transport.files.plaintextHashMismatch"
        | "error.transport.files.invalidMetadata"
        | "error.transport.signatureNotValid"
        | "error.transport.datawallet.invalid"
        | "error.transport.tokens.invalidTokenContent" => {
            (Kind::Integrity, Some("nothing was kept; the backbone or the network changed the data"))
        }
        "error.runtime.store" => (Kind::Local, None),
        "error.runtime.storageFull" => (Kind::Local, Some("free some space and try again; nothing was changed")),
        "error.platform.insufficientStorage" => {
            (Kind::Local, Some("free some space there, or ask the operator of the backbone, and try again"))
        }
        "error.transport.general.noIdentityFound" => (
            Kind::Local,
            Some("set transportLibrary.allowIdentityCreation to true, or use another directory with --data-dir DIR"),
        ),
        "error.transport.general.platformClientInvalid" | "error.transport.request.noAuthPossible" => (
            Kind::Refused,
            Some("the backbone does not know this OAuth client; give --client-file FILE --backbone URL"),
        ),
        "error.transport.request.noAuthGrant" => (
            Kind::Refused,
            Some("was this data directory made with another backbone? `enlace doctor` looks for the reason"),
        ),
        "error.runtime.config"
        | "error.runtime.invalidReference"
        | "error.runtime.invalidTokenContent"
        | "error.runtime.notSupported"
        | "error.consumption.attributes.invalidTags"
        | "error.core-types.invalidTruncatedReference" => (Kind::Usage, None),
        "error.transport.files.maxFileSizeExceeded" => {
            (Kind::Refused, Some("raise the limit with --enlace:maxReceivedFileSize=BYTES where the node runs"))
        }
        "error.connector.http.payloadTooLarge" => (Kind::Refused, None),
        "error.connector.unauthorized" | "error.connector.forbidden" => {
            (Kind::Refused, Some("check the API key given with --api-key-file"))
        }
        "error.connector.http.serviceUnavailable" | "error.connector.http.requestTimeout" => {
            (Kind::Network, Some("try again later"))
        }
        _ if code.starts_with("error.runtime.validation.")
            || code.starts_with("error.platform.validation.")
            || code.starts_with("error.connector.validation.") =>
        {
            (Kind::Usage, None)
        }
        _ if code.starts_with("error.transport.request.") => (Kind::Network, Some(LOOK)),
        _ if code.starts_with("error.platform.") => (Kind::Network, None),
        _ => (Kind::General, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_to_the_documented_exit_codes() {
        for (code, kind) in [
            ("error.runtime.recordNotFound", Kind::NotFound),
            ("error.transport.general.notIntendedForYou", Kind::Refused),
            ("error.transport.files.cipherMismatch", Kind::Integrity),
            ("error.transport.request.unknown", Kind::Network),
            ("error.runtime.validation.invalidPropertyValue", Kind::Usage),
            ("error.runtime.store", Kind::Local),
            ("error.runtime.storageFull", Kind::Local),
            ("error.platform.insufficientStorage", Kind::Local),
            ("error.platform.validation.invalidPropertyValue", Kind::Usage),
            ("error.platform.forbidden", Kind::Refused),
            ("error.platform.unexpected", Kind::Network),
            ("error.platform.recordNotFound", Kind::NotFound),
            ("error.runtime.files.notOwnedByYou", Kind::Refused),
            ("error.something.new", Kind::General),
        ] {
            assert_eq!(Failure::from_code(code, "x").kind, kind, "{code}");
        }
    }

    #[test]
    fn a_failure_says_what_happened_and_then_the_next_step_once() {
        let text = "the backbone cannot be reached: is it running, and is the base URL right? (POST /connect/token)";
        let failure = Failure::from_code("error.transport.request.network", text);
        assert_eq!(failure.message, "the backbone cannot be reached");
        assert_eq!(failure.hint.unwrap(), "is it running, and is the base URL right?");
        let text = "error.transport.general.noIdentityFound: 'No identity found' at 2030-01-01T00:00:00.000Z";
        let failure = Failure::from_code("error.transport.general.noIdentityFound", text);
        assert_eq!(failure.message, "there is no identity in this data directory");
        assert!(failure.hint.unwrap().contains("allowIdentityCreation"));
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
        let failure = Failure::from_code("error.runtime.storageFull", "the disk with /d is full; free some space");
        assert_eq!(
            (failure.message.as_str(), failure.hint.as_deref()),
            ("the disk with /d is full", Some("free some space"))
        );
        let failure = Failure::from_code("error.runtime.storageFull", "The disk of this node is full.");
        assert_eq!(failure.message, "the disk of this node is full");
        assert!(failure.hint.unwrap().starts_with("free some space"));
        let lost =
            durable::Error::StoreLost { store: "d/backbone/records".into(), evidence: "d/backbone/server.key".into() };
        let failure = Failure::from(backbone_mock::Error::from(lost));
        assert_eq!(failure.kind, Kind::Local);
        assert_eq!(failure.message.matches("d/backbone/records").count(), 1, "{failure}");
        assert!(failure.hint.unwrap().starts_with("restore it from a backup"));
    }

    #[test]
    fn the_table_names_every_exit_code() {
        let table = Kind::table();
        for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "130 "] {
            assert!(table.contains(&format!("\n  {code}")), "{code} in {table}");
        }
    }
}
