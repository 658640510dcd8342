//! The stable codes of errors: one table of variants and texts. Programs decide by the variant; the text is what travels.

use transport::wire::backbone::envelope::{QUOTA_EXHAUSTED, RECORD_NOT_FOUND, TOO_MANY_REQUESTS};

/// Declares an enum of stable codes and its only table of texts, for this crate and for faces that have codes of their own.
///
/// The enum gets `ALL`, `as_str`, `Display` and `FromStr`.
#[macro_export]
macro_rules! error_codes {
    ($(#[$doc:meta])* $visibility:vis enum $name:ident { $($(#[$about:meta])* $variant:ident = $text:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $visibility enum $name { $($(#[$about])* $variant,)+ }

        impl $name {
            /// Every code, in the order of its table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::UnknownCode;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or($crate::UnknownCode)
            }
        }
    };
}

/// A text that is not a code of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this program does not know the error code")]
pub struct UnknownCode;

error_codes! {
    /// A code that this program knows: of its own, or of a backbone. An integrator of the published connectors already handles
    /// most of them. Codes that only one face of the program answers are declared by the face.
    pub enum ErrorCode {
        /// The record does not exist here or at the backbone.
        RecordNotFound = "error.runtime.recordNotFound",
        /// A value breaks a rule.
        InvalidPropertyValue = "error.runtime.validation.invalidPropertyValue",
        /// Tags of an unknown kind, where they have to be of a known one.
        InvalidTags = "error.consumption.attributes.invalidTags",
        /// The combination of members is not one that the call knows.
        InvalidPayload = "error.runtime.validation.invalidPayload",
        /// The content of a token is not what the call needs.
        InvalidTokenContent = "error.runtime.invalidTokenContent",
        /// The reference is of the wrong kind.
        InvalidReference = "error.runtime.invalidReference",
        /// The reference cannot be read.
        InvalidTruncatedReference = "error.core-types.invalidTruncatedReference",
        /// Known, but not offered.
        NotSupported = "error.runtime.notSupported",
        /// Only the owner may do this.
        FileNotOwnedByYou = "error.runtime.files.notOwnedByYou",
        /// There is no entry under this reference and key.
        IdentityMetadataNotFound = "error.runtime.identityMetadata.notFound",
        /// The address is neither the own one nor a peer's.
        UnfamiliarReferencedIdentity = "error.runtime.identityMetadata.unfamiliarReferencedIdentity",
        /// Something failed that has no code of its own.
        Unknown = "error.runtime.unknown",
        /// The local store failed.
        Store = "error.runtime.store",
        /// The disk with the data directory is full.
        StorageFull = "error.runtime.storageFull",
        /// The settings do not fit together.
        Config = "error.runtime.config",
        /// The node reaches no peers by its settings.
        PeersOff = "error.runtime.peers.off",
        /// A peer cannot be reached.
        PeerUnreachable = "error.runtime.peers.unreachable",
        /// A peer was reached, and refused or broke off.
        PeerExchange = "error.runtime.peers.exchangeFailed",
        /// The text is not a code of a number and two words.
        InvalidCode = "error.runtime.codes.invalid",
        /// As many codes wait as a node offers at a time.
        TooManyCodes = "error.runtime.codes.tooMany",
        /// Nobody who was found offers the code.
        CodeNotFound = "error.runtime.codes.notFound",
        /// The code is wrong, and used up.
        WrongCode = "error.runtime.codes.wrong",
        /// The connection broke after the code was used.
        CodeInterrupted = "error.runtime.codes.interrupted",

        /// A record that a check needs does not exist.
        TransportRecordNotFound = "error.transport.recordNotFound",
        /// An external event is not known to this program.
        UnknownEvent = "error.transport.unknown",
        /// The content is for another identity.
        NotIntendedForYou = "error.transport.general.notIntendedForYou",
        /// There is no identity, and none may be created.
        NoIdentityFound = "error.transport.general.noIdentityFound",
        /// The backbone does not accept the OAuth client.
        PlatformClientInvalid = "error.transport.general.platformClientInvalid",
        /// The token has a password and none was given.
        NoPasswordProvided = "error.transport.noPasswordProvided",
        /// The token has no content yet.
        EmptyToken = "error.transport.tokens.emptyToken",
        /// The content of a token cannot be read.
        UnreadableTokenContent = "error.transport.tokens.invalidTokenContent",
        /// The ciphertext is not the one that was uploaded.
        CipherMismatch = "error.transport.files.cipherMismatch",
        /// The decrypted file is not the one that was uploaded.
        PlaintextHashMismatch = "error.transport.files.plaintextHashMismatch",
        /// The metadata of a file cannot be read.
        InvalidFileMetadata = "error.transport.files.invalidMetadata",
        /// The format of the file came after this program.
        NeedsNewerReader = "error.transport.files.needsNewerReader",
        /// The file is larger than this node takes.
        MaxFileSizeExceeded = "error.transport.files.maxFileSizeExceeded",
        /// The file is still being uploaded.
        UploadUnfinished = "error.transport.files.uploadUnfinished",
        /// The upload has ended without a file.
        UploadGivenUp = "error.transport.files.uploadGivenUp",
        /// The challenge is for a relationship that is not active.
        ChallengeTypeRequiresActiveRelationship =
            "error.transport.challenges.challengeTypeRequiresActiveRelationship",
        /// A signature does not match.
        SignatureNotValid = "error.transport.signatureNotValid",
        /// This program is too old for the datawallet.
        TooOldForDatawallet = "error.transport.datawallet.insufficientSupportedDatawalletVersion",
        /// The backbone lists changes of the datawallet that cannot be.
        InvalidDatawallet = "error.transport.datawallet.invalid",

        /// The server does not know the request: it is not a backbone.
        RequestNotFound = "error.transport.request.notFound",
        /// The backbone refused the request without a reason.
        RequestRefused = "error.transport.request.badRequest",
        /// The backbone refused the credentials of the device.
        NoAuthGrant = "error.transport.request.noAuthGrant",
        /// The login failed for another reason.
        NoAuthPossible = "error.transport.request.noAuthPossible",
        /// The backbone answered without a result.
        ResultUndefined = "error.transport.request.resultUndefined",
        /// The answer is larger than allowed.
        AnswerTooLarge = "error.transport.request.bodyLengthExceeded",
        /// The host name of the backbone does not resolve.
        AddressNotFound = "error.transport.request.addressNotFound",
        /// The backbone cannot be reached, or the connection broke.
        Network = "error.transport.request.network",
        /// The answer took too long, or the node stopped meanwhile.
        Aborted = "error.transport.request.aborted",
        /// The answer cannot be read.
        UnreadableAnswer = "error.transport.request.unknown",

        /// The backbone refused the login.
        Unauthorized = "error.platform.unauthorized",
        /// The backbone does not allow this to the identity.
        Forbidden = "error.platform.forbidden",
        /// The backbone answered with a status that it does not explain.
        Unexpected = "error.platform.unexpected",
        /// The backbone does not have the record, or does not show it.
        PlatformRecordNotFound = RECORD_NOT_FOUND,
        /// The identity or client stores as much as it may.
        QuotaExhausted = QUOTA_EXHAUSTED,
        /// The backbone is asked more often than it allows.
        TooManyRequests = TOO_MANY_REQUESTS,
        /// The disk of the backbone is full.
        InsufficientStorage = "error.platform.insufficientStorage",
        /// The token is locked after too many wrong passwords.
        TokenLocked = "error.platform.token.tooManyFailedPasswordAttempts",
        /// As often as the token may be used it was.
        TokenExhausted = "error.platform.token.exhausted",
        /// Too many receivers load the token at the same time.
        TooManyClaims = "error.platform.token.tooManyClaims",
        /// A value breaks a rule of the backbone.
        PlatformInvalidPropertyValue = "error.platform.validation.invalidPropertyValue",
        /// There is an identity with this key.
        AddressAlreadyExists = "error.platform.validation.device.addressAlreadyExists",
        /// Another device changed the datawallet.
        DatawalletNotUpToDate = "error.platform.validation.datawallet.datawalletNotUpToDate",
        /// Another device synchronizes.
        PushDuringSyncRun =
            "error.platform.validation.datawallet.cannotPushDatawalletModificationsDuringActiveSyncRun",
        /// The datawallet needs a newer program.
        PlatformTooOldForDatawallet =
            "error.platform.validation.datawallet.insufficientSupportedDatawalletVersion",
        /// Another device holds the sync run.
        SyncRunInProgress =
            "error.platform.validation.syncRun.cannotStartSyncRunWhenAnotherSyncRunIsRunning",
        /// The sync run took too long.
        SyncRunFinalized = "error.platform.validation.syncRun.syncRunAlreadyFinalized",
    }
}

/// What all codes of a backbone begin with.
const NAMESPACE: &str = "error.platform.";
/// What all codes of a backbone begin with that refuse a value or a state.
const VALIDATION: &str = "error.platform.validation.";

/// The code of a backbone's answer. Those that this program does not know are passed on as they came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BackboneCode {
    /// A known one.
    Known(ErrorCode),
    /// Another one: at most 500 printable characters.
    Other(String),
}

impl BackboneCode {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Other(text) => text,
        }
    }

    /// The code in the answer of a backbone, which has codes of its own namespace only: it must not speak for this node.
    pub(crate) fn of_backbone(text: &str) -> Self {
        match Self::from(text) {
            Self::Known(_) if !text.starts_with(NAMESPACE) => Self::Other(text.to_owned()),
            code => code,
        }
    }

    /// The code, if this program knows it.
    #[must_use]
    pub fn known(&self) -> Option<ErrorCode> {
        match self {
            Self::Known(code) => Some(*code),
            Self::Other(_) => None,
        }
    }

    /// Whether the code is in the namespace of backbones.
    #[must_use]
    pub fn is_of_backbone(&self) -> bool {
        self.as_str().starts_with(NAMESPACE)
    }

    /// Whether the code is in the namespace in which backbones refuse values and states.
    #[must_use]
    pub fn is_validation(&self) -> bool {
        self.as_str().starts_with(VALIDATION)
    }
}

impl From<&str> for BackboneCode {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Other(text.to_owned()), Self::Known)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_and_texts_belong_to_each_other_one_by_one() {
        let texts: HashSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!(code.as_str().starts_with("error."), "{code}");
        }
        for other in ["", "error.runtime", "error.runtime.recordNotFound ", "Error.runtime.recordNotFound"] {
            assert_eq!(other.parse::<ErrorCode>(), Err(UnknownCode), "{other}");
        }
    }

    #[test]
    fn the_codes_that_the_documents_name_are_known() {
        let documents = [include_str!("../../CHANGELOG.md"), include_str!("../../api/openapi.json")];
        let is_of_code = |character: char| character.is_ascii_alphanumeric() || ".-".contains(character);
        let mut count = 0;
        for namespace in ["error.runtime.", "error.transport.", "error.platform.", "error.core-types."] {
            let named = documents.iter().flat_map(|text| text.match_indices(namespace).map(|(at, _)| &text[at..]));
            for text in named {
                let code = text.split(|character| !is_of_code(character)).next().unwrap().trim_end_matches('.');
                assert!(code.parse::<ErrorCode>().is_ok(), "{code}");
                count += 1;
            }
        }
        assert!(count >= 4, "{count}");
    }

    #[test]
    fn codes_of_a_backbone_are_known_or_kept() {
        let code = BackboneCode::from("error.platform.token.tooManyFailedPasswordAttempts");
        assert_eq!((code.known(), code.is_validation()), (Some(ErrorCode::TokenLocked), false));
        let code = BackboneCode::from("error.platform.validation.unheardOf");
        assert_eq!((code.known(), code.as_str()), (None, "error.platform.validation.unheardOf"));
        assert!(code.is_validation() && code.is_of_backbone());
    }
}
