//! Tokens: how they are created, loaded and stored. The facades for files and for tokens share this.

mod content;
mod create;
pub(crate) mod given;
mod load;
mod password;
mod record;
mod settings;
mod terms;

pub(crate) use self::content::TokenJson;
pub(crate) use self::create::{NewToken, Replaced, check_beginning, check_future, password_hash, shared_file};
pub(crate) use self::load::{load, stored, unreadable_reference};
pub(crate) use self::password::NewPassword;
pub(crate) use self::record::TokenRecord;
#[cfg(test)]
pub(crate) use self::settings::KnownUses;
pub use self::settings::NewTerms;
pub(crate) use self::settings::{NOT_TOLD, Rotation, TokenSettings, check_allowed, check_stored};
pub(crate) use self::terms::{Ending, Revocation};
