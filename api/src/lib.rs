//! The REST interface of a node, in the two dialects of the published connectors and in a form of its own.
//!
//! [`router`] makes a service from a [`Runtime`](runtime::Runtime); [`Server`] also listens, with the limits that
//! strangers on the port call for. Handlers extract, call one facade method and map the result; what is allowed and what
//! happens is the runtime's business.
//!
//! ```no_run
//! # async fn example(runtime: runtime::Runtime) -> Result<(), Box<dyn std::error::Error>> {
//! use api::{ApiConfig, ApiKeys, Server};
//!
//! let keys = ApiKeys::single(&runtime::Secret::new("This_is_a_test_APIKEY_with_30_chars+"))?;
//! let server = Server::start("127.0.0.1:0".parse()?, runtime, ApiConfig::new(keys)).await?;
//! println!("listening on {}", server.url());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod allowance;
mod appwrite;
mod auth;
mod call;
mod code;
mod config;
mod connector;
mod enlace;
mod face;
mod faces;
mod finish;
mod lines;
mod openapi;
mod pipeline;
mod problem;
mod protocol;
#[cfg(test)]
mod readme;
mod reply;
mod rest;
mod router;
mod server;
mod validation;

pub use appwrite::{AppwriteConfig, UnknownScopes};
pub use auth::{ApiKey, ApiKeyError, ApiKeys};
pub use code::FaceCode;
pub use config::ApiConfig;
pub use connector::Dialect;
pub use faces::openapi_json;
pub use listener::{Limits as ServerLimits, ListenError};
pub use router::router;
pub use server::Server;
