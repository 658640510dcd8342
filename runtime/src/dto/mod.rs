//! What facades hand out. The JSON form is the one of the connectors' REST interface (`/api/core/v1`).

mod challenge;
mod file;
mod identity;
mod json_text;
mod metadata;
mod password;
mod token;

pub use challenge::{Challenge, ChallengeType, ChallengeValidation};
pub use file::{File, Reference};
pub use identity::{DeviceInfo, IdentityInfo, SyncInfo, SyncTime};
pub use json_text::JsonText;
pub use metadata::IdentityMetadata;
pub use password::{PasswordLocation, PasswordProtection};
pub use token::Token;
