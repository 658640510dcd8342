//! The interface over HTTP: who may call, what a connection may do, how bytes travel.
#![allow(clippy::unwrap_used, reason = "tests")]

mod appwrite;
mod encodings;
mod file_tokens;
mod garbage;
mod lasting;
mod lists;
mod node;
mod numbers;
mod own_face;
mod peers;
mod previews;
mod ranges;
mod server;
mod strangers;
mod token_list;
mod token_terms;
mod transfers;
