//! Wire formats: identifiers, dates, byte texts, references and the bodies of HTTP messages.
//!
//! Pure data. Nothing here encrypts, signs or opens a connection, so a server can depend on it alone.

mod address;
pub mod backbone;
pub mod bytes;
pub mod id;
mod iso8601;
pub mod json;
pub mod json_budget;
pub mod password;
pub mod reference;
mod timestamp;

pub use address::{Address, AddressError, MAX_ADDRESS_LENGTH};
pub use bytes::{ByteText, ByteTextError};
pub use id::{
    ChallengeId, ClaimId, DatawalletId, DatawalletModificationId, DeviceId, DevicePushIdentifier, ExternalEventId,
    FileId, Id, InvalidId, MessageId, RelationshipId, RelationshipTemplateId, SyncErrorId, SyncRunId, TokenId,
    UploadId, Username,
};
pub use password::{PasswordLocationIndicator, PasswordType, SharedPasswordProtection};
pub use reference::{
    AnyReference, FileReference, Reference, ReferenceError, ReferenceKey, RelationshipTemplateReference, TokenReference,
};
pub use timestamp::{ParseTimestampError, Timestamp};
