//! What each code of the interfaces below means to a person and to a script: exit code, message and next step, one table each.

use api::FaceCode;
use runtime::{BackboneCode, Error, ErrorCode};

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
        (Self::Integrity, "received data is corrupt, and was not kept"),
        (Self::Local, "data directory, destination, standard output or disk not usable; nothing was overwritten"),
        (Self::Interrupted, "interrupted by Ctrl-C or SIGTERM"),
    ];

    /// The table of exit codes, for `--help`.
    pub(crate) fn table() -> String {
        let row = |(kind, meaning): &(Self, &str)| format!("\n  {:<4} {meaning}", *kind as u8);
        format!("Exit codes:\n  0    success{}", Self::ALL.iter().map(row).collect::<String>())
    }
}

/// The stable code of a failure. Read once where it comes in; after that, programs decide by the variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Code {
    /// Of the runtime or of a backbone, known here.
    Runtime(ErrorCode),
    /// Of the REST interface.
    Face(FaceCode),
    /// Of a backbone or a node that knows more than this program.
    Other(BackboneCode),
}

impl Code {
    /// The code of a text.
    pub(crate) fn read(text: &str) -> Self {
        match (BackboneCode::from(text), text.parse()) {
            (BackboneCode::Known(code), _) => Self::Runtime(code),
            (BackboneCode::Other(_), Ok(code)) => Self::Face(code),
            (other @ BackboneCode::Other(_), Err(_)) => Self::Other(other),
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Runtime(code) => code.as_str(),
            Self::Face(code) => code.as_str(),
            Self::Other(code) => code.as_str(),
        }
    }

    /// The exit code.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Runtime(code) => kind_of(*code),
            Self::Face(code) => kind_of_face(*code),
            Self::Other(code) if code.is_validation() => Kind::Usage,
            Self::Other(code) if code.is_of_backbone() => Kind::Network,
            // Of a newer node.
            Self::Other(code) if code.as_str().contains(".validation.") => Kind::Usage,
            Self::Other(code) if code.as_str().starts_with("error.transport.request.") => Kind::Network,
            Self::Other(_) => Kind::General,
        }
    }

    /// What a person is told if the text of the code is about HTTP or JSON, or repeats what the hint says.
    pub(crate) fn message(&self) -> Option<&'static str> {
        match self {
            Self::Runtime(code) => message_of(*code),
            Self::Face(code) => message_of_face(*code),
            Self::Other(_) => None,
        }
    }

    /// The next step.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Runtime(code) => hint_of(*code),
            Self::Face(code) => hint_of_face(*code),
            Self::Other(_) => None,
        }
    }
}

impl From<ErrorCode> for Code {
    fn from(code: ErrorCode) -> Self {
        Self::Runtime(code)
    }
}

impl From<&Error> for Code {
    fn from(error: &Error) -> Self {
        error.known_code().map_or_else(|| Self::read(error.code()), Self::Runtime)
    }
}

fn kind_of(code: ErrorCode) -> Kind {
    match code {
        ErrorCode::RecordNotFound
        | ErrorCode::TransportRecordNotFound
        | ErrorCode::PlatformRecordNotFound
        | ErrorCode::UploadGivenUp
        | ErrorCode::CodeNotFound
        | ErrorCode::EmptyToken => Kind::NotFound,
        ErrorCode::NotIntendedForYou
        | ErrorCode::NoPasswordProvided
        | ErrorCode::TokenLocked
        | ErrorCode::TokenExhausted
        | ErrorCode::TooManyClaims
        | ErrorCode::TooManyRequests
        | ErrorCode::QuotaExhausted
        | ErrorCode::Unauthorized
        | ErrorCode::Forbidden
        | ErrorCode::FileNotOwnedByYou
        | ErrorCode::PlatformClientInvalid
        | ErrorCode::NoAuthGrant
        | ErrorCode::NoAuthPossible
        | ErrorCode::NeedsNewerReader
        | ErrorCode::WrongCode
        | ErrorCode::TooManyCodes
        | ErrorCode::MaxFileSizeExceeded => Kind::Refused,
        ErrorCode::CipherMismatch
        | ErrorCode::PlaintextHashMismatch
        | ErrorCode::InvalidFileMetadata
        | ErrorCode::SignatureNotValid
        | ErrorCode::InvalidDatawallet
        | ErrorCode::UnreadableTokenContent => Kind::Integrity,
        ErrorCode::Store | ErrorCode::StorageFull | ErrorCode::InsufficientStorage | ErrorCode::NoIdentityFound => {
            Kind::Local
        }
        ErrorCode::InvalidPropertyValue
        | ErrorCode::InvalidTags
        | ErrorCode::InvalidPayload
        | ErrorCode::InvalidReference
        | ErrorCode::InvalidTokenContent
        | ErrorCode::InvalidTruncatedReference
        | ErrorCode::NotSupported
        | ErrorCode::Config
        | ErrorCode::PeersOff
        | ErrorCode::InvalidCode
        | ErrorCode::PlatformInvalidPropertyValue
        | ErrorCode::AddressAlreadyExists
        | ErrorCode::DatawalletNotUpToDate
        | ErrorCode::PushDuringSyncRun
        | ErrorCode::PlatformTooOldForDatawallet
        | ErrorCode::SyncRunInProgress
        | ErrorCode::SyncRunFinalized => Kind::Usage,
        // The sender has to be connected.
        ErrorCode::UploadUnfinished | ErrorCode::Unexpected => Kind::Network,
        ErrorCode::PeerUnreachable | ErrorCode::PeerExchange | ErrorCode::CodeInterrupted => Kind::Network,
        code if is_without_answer(code) => Kind::Network,
        _ => Kind::General,
    }
}

/// Whether there was no answer, or none of a backbone.
fn is_without_answer(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::RequestNotFound
            | ErrorCode::RequestRefused
            | ErrorCode::ResultUndefined
            | ErrorCode::AnswerTooLarge
            | ErrorCode::AddressNotFound
            | ErrorCode::Network
            | ErrorCode::Aborted
            | ErrorCode::UnreadableAnswer
    )
}

fn kind_of_face(code: FaceCode) -> Kind {
    match code {
        FaceCode::InvalidJson | FaceCode::InvalidMultipart => Kind::Usage,
        FaceCode::PayloadTooLarge | FaceCode::Unauthorized | FaceCode::Forbidden | FaceCode::TooManyUnauthorized => {
            Kind::Refused
        }
        FaceCode::RequestTimeout | FaceCode::ServiceUnavailable => Kind::Network,
        _ => Kind::General,
    }
}

fn message_of(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::Unauthorized => "the backbone refused the login",
        ErrorCode::Forbidden => "the backbone does not allow this to this identity",
        ErrorCode::RequestNotFound => "no backbone answers at this URL",
        ErrorCode::RequestRefused => "the backbone refused the request without giving a reason",
        ErrorCode::NoAuthGrant => "the backbone refused the login of this device",
        ErrorCode::NoAuthPossible => "the backbone does not accept the OAuth client",
        ErrorCode::ResultUndefined | ErrorCode::UnreadableAnswer => {
            "the answer cannot be read; the server may not be a backbone"
        }
        ErrorCode::AnswerTooLarge => "the answer of the backbone is larger than allowed",
        ErrorCode::AddressNotFound => "the host name of the backbone cannot be resolved",
        ErrorCode::Network => "the backbone cannot be reached, or the connection to it broke",
        ErrorCode::Aborted => "the backbone did not answer in time",
        ErrorCode::NoIdentityFound => "there is no identity in this data directory",
        ErrorCode::InvalidReference => "this command cannot load what the reference names",
        ErrorCode::InvalidTokenContent => "the token does not contain a file",
        ErrorCode::FileNotOwnedByYou => "only the owner of the file can do this",
        _ => return None,
    })
}

fn message_of_face(code: FaceCode) -> Option<&'static str> {
    Some(match code {
        FaceCode::Unauthorized => "the running node does not accept the API key",
        FaceCode::Forbidden => "the API key does not have the permission for this",
        FaceCode::TooManyUnauthorized => "too many requests with an invalid API key",
        FaceCode::RouteDoesNotExist => "the running process does not offer what this command asks for",
        _ => return None,
    })
}

fn hint_of(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::RecordNotFound
        | ErrorCode::TransportRecordNotFound
        | ErrorCode::PlatformRecordNotFound
        | ErrorCode::EmptyToken => "check the ID or the reference; what it names may have expired or been deleted",
        ErrorCode::NotIntendedForYou => {
            "`enlace identity` shows an address; the sender can share again with --for ADDRESS"
        }
        ErrorCode::PeerUnreachable => {
            "check that the sender's command is still running, that both machines are in the same network or use the same \
             relay, and that no firewall blocks the sender's machine"
        }
        ErrorCode::PeerExchange => "try again; if that does not help, ask the sender to share it again",
        ErrorCode::NoPasswordProvided => "give it with --password-file FILE or at a prompt",
        ErrorCode::TokenLocked => "the token is locked; its sender can unlock it with `enlace tokens unlock ID`",
        ErrorCode::TokenExhausted => {
            "ask the sender to share it again, or to raise the limit with `enlace tokens edit ID --max-downloads N`"
        }
        ErrorCode::TooManyClaims => "try again in some minutes",
        ErrorCode::TooManyRequests => "wait that long before you try again",
        ErrorCode::QuotaExhausted => "delete what is not needed, or ask the operator of the backbone for more",
        ErrorCode::Unauthorized | ErrorCode::Forbidden => "`enlace doctor` looks for the reason",
        ErrorCode::CipherMismatch
        | ErrorCode::PlaintextHashMismatch
        | ErrorCode::InvalidFileMetadata
        | ErrorCode::SignatureNotValid
        | ErrorCode::InvalidDatawallet
        | ErrorCode::UnreadableTokenContent => "nothing was kept; the backbone or the network changed the data",
        ErrorCode::NeedsNewerReader => "update the program, and try again",
        ErrorCode::StorageFull => "free some space and try again; nothing was changed",
        ErrorCode::InsufficientStorage => "free some space there, or ask the operator of the backbone, and try again",
        ErrorCode::NoIdentityFound => {
            "set transportLibrary.allowIdentityCreation to true, or use another directory with --data-dir DIR"
        }
        ErrorCode::PlatformClientInvalid | ErrorCode::NoAuthPossible => {
            "the backbone does not know this OAuth client; give --client-file FILE --backbone URL"
        }
        ErrorCode::NoAuthGrant => {
            "was this data directory made with another backbone? `enlace doctor` looks for the reason"
        }
        ErrorCode::MaxFileSizeExceeded => "raise the limit with --enlace:maxReceivedFileSize=BYTES where the node runs",
        code if is_without_answer(code) => {
            "check that the backbone is running and that its URL is right; `enlace doctor` finds the reason"
        }
        _ => return None,
    })
}

fn hint_of_face(code: FaceCode) -> Option<&'static str> {
    Some(match code {
        FaceCode::Unauthorized | FaceCode::Forbidden => "check the API key given with --api-key-file",
        FaceCode::TooManyUnauthorized => "wait before you try again",
        FaceCode::RequestTimeout | FaceCode::ServiceUnavailable => "try again later",
        FaceCode::RouteDoesNotExist => {
            "restart it with this version of the program and with enlace.httpApi.enabled=true"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_table_of_exit_codes() {
        let readme = include_str!("../../README.md");
        let rows = readme.lines().skip_while(|line| *line != "| Exit code | Meaning |").skip(2);
        let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
        let row = |(kind, meaning): &(Kind, &str)| format!("| {} | {meaning} |", *kind as u8);
        let expected: Vec<String> =
            std::iter::once("| 0 | success |".to_owned()).chain(Kind::ALL.iter().map(row)).collect();
        assert_eq!(rows, expected, "replace the table by:\n{}", expected.join("\n"));
    }

    #[test]
    fn the_table_names_every_exit_code() {
        let table = Kind::table();
        for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "130 "] {
            assert!(table.contains(&format!("\n  {code}")), "{code} in {table}");
        }
    }

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
            ("error.platform.validation.unheardOf", Kind::Usage),
            ("error.platform.forbidden", Kind::Refused),
            ("error.platform.unexpected", Kind::Network),
            ("error.platform.unheardOf", Kind::Network),
            ("error.platform.recordNotFound", Kind::NotFound),
            ("error.runtime.files.notOwnedByYou", Kind::Refused),
            ("error.connector.validation.invalidJsonInPayload", Kind::Usage),
            ("error.connector.unauthorized", Kind::Refused),
            ("error.something.new", Kind::General),
        ] {
            assert_eq!(Code::read(code).kind(), kind, "{code}");
            assert_eq!(Code::read(code).as_str(), code);
        }
    }

    #[test]
    fn few_codes_have_no_exit_code_of_their_own() {
        let general = ErrorCode::ALL.iter().filter(|code| kind_of(**code) == Kind::General);
        let general: Vec<&ErrorCode> = general.collect();
        assert_eq!(
            general,
            [
                &ErrorCode::IdentityMetadataNotFound,
                &ErrorCode::UnfamiliarReferencedIdentity,
                &ErrorCode::Unknown,
                &ErrorCode::UnknownEvent,
                &ErrorCode::ChallengeTypeRequiresActiveRelationship,
                &ErrorCode::TooOldForDatawallet,
            ]
        );
    }

    #[test]
    fn messages_and_hints_are_for_people_and_do_not_repeat_each_other() {
        let all = ErrorCode::ALL.iter().map(|code| Code::Runtime(*code));
        for code in all.chain(FaceCode::ALL.iter().map(|code| Code::Face(*code))) {
            for text in [code.message(), code.hint()].into_iter().flatten() {
                assert!(!text.contains("error.") && !text.contains("POST ") && !text.ends_with('.'), "{text}");
            }
            assert!(code.message() != code.hint() || code.hint().is_none(), "{code:?}");
        }
    }
}
