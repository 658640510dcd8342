//! One file per noun: what comes in, and the handlers between that and the facades. What goes out is `runtime::dto`.

pub(crate) mod account;
pub(crate) mod challenges;
pub(crate) mod codes;
pub(crate) mod direct;
pub(crate) mod download;
pub(crate) mod downloads;
pub(crate) mod files;
pub(crate) mod form;
pub(crate) mod identity_metadata;
mod list;
pub(crate) mod monitoring;
mod paced;
mod password;
pub(crate) mod peers;
pub(crate) mod qr_code;
mod spool;
mod streamed_upload;
pub(crate) mod token_list;
pub(crate) mod tokens;
mod upload;

pub(crate) use streamed_upload::form as streamed_upload_form;
pub(crate) use upload::form as upload_form;
