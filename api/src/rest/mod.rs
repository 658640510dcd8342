//! One file per noun: what comes in, what goes out, and the handlers between them and the facades.

pub(crate) mod account;
pub(crate) mod challenges;
mod download;
pub(crate) mod file;
pub(crate) mod files;
pub(crate) mod identity_metadata;
mod list;
pub(crate) mod monitoring;
mod paced;
mod password;
mod qr_code;
mod spool;
mod tags;
pub(crate) mod token;
pub(crate) mod tokens;
mod upload;

pub(crate) use upload::form as upload_form;
