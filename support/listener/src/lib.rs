//! Accepting HTTP connections from anybody, so that nobody keeps the others out.
//!
//! Both servers of the workspace, the backbone and the REST interface, listen with this crate. It knows connections,
//! requests and bytes, but no route, no format and no identity.
//!
//! | Module | Bounds |
//! |---|---|
//! | [`admission`] | connections, in total and per source; who gives way when all places are taken |
//! | [`pace`] | the time that a request body may take |
//! | [`budget`] | bytes of request bodies that are in memory at one time |
//! | [`turns`] | expensive work, in turns between sources |
//! | [`guard`] | web pages: the `Host` and `Origin` headers |
//! | [`leftover`] | what a handler leaves of a body |
//! | [`unwind`] | what a handler that panics takes with it |
//! | [`query`] | nothing: the encoding of query strings, which both read |
//! | [`range`](mod@range) | nothing: the byte ranges and conditions of downloads, which both answer |
//!
//! [`Listener`] binds, [`Server`] accepts until it is stopped. Each request gets two extensions: [`Peer`], who sent it, and
//! [`RequestHandle`], to say that its sender is authenticated; one that cannot be read has a third, [`Malformed`]. [`RequestId`] names a request in the log and in its failure.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admission;
pub mod budget;
mod close;
mod descriptors;
pub mod guard;
mod head;
pub mod leftover;
mod linger;
pub mod pace;
pub mod query;
pub mod range;
mod registry;
mod request_id;
mod rotation;
mod serve;
mod server;
mod socket;
mod socket_timeouts;
mod source;
pub mod turns;
pub mod unwind;

pub use close::RequestBody;
pub use descriptors::raise_limit as raise_descriptor_limit;
pub use head::Malformed;
pub use registry::RequestHandle;
pub use request_id::{RequestId, identified};
pub use serve::{Limits, Peer};
pub use server::Server;
pub use socket::{ListenError, Listener, is_localhost};
pub use source::Source;

/// Any error, as bodies report them.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
