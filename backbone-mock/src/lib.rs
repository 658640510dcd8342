//! The backbone: the server that keeps tokens, files, datawallets and events for nodes, none of which it can decrypt.
//!
//! It speaks the consumer API of enmeshed backbones in version 2, and in version 1 for older clients, as far as
//! identities, devices, tokens, files, datawallets and sync runs need it. It is called a mock because it is not the
//! vendor's; it is durable and concurrent, and published clients work with it.
//!
//! ```
//! use backbone_mock::{Backbone, Config};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let dir = tempfile::tempdir()?;
//! let backbone = Backbone::start(Config::new(dir.path()).with_client("test", "test")).await?;
//! assert!(backbone.url().starts_with("http://localhost:"));
//! backbone.shutdown().await?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! | Module | Holds |
//! |---|---|
//! | `routes` | one file per resource: what travels over HTTP |
//! | `domain` | the rules of each resource, without HTTP |
//! | `store` | records and blob files, durable before anything is acknowledged |
//! | `server` | connections, and what happens around every request |
//! | `peers` | a relay and a rendezvous server for nodes; only with the feature `peers` |
//! | `fault` | failures on request, for tests of clients; only with the feature `testing` |
//! | `testing` | parsers, for fuzz targets; only with the feature `testing` |
//! | [`admin`] | what operators do |

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
mod backbone;
mod budget;
mod caller;
mod challenge_id;
mod clock;
mod config;
mod core;
mod domain;
mod downloads;
mod error;
#[cfg(feature = "testing")]
pub mod fault;
mod followers;
mod lenient;
mod metrics;
mod notifications;
mod peers;
mod quota;
mod rates;
mod routes;
mod secrets;
mod server;
mod store;
mod sweep;
#[cfg(feature = "testing")]
pub mod testing;
mod uploads;
mod web;

pub use backbone::Backbone;
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{Config, Limits, OAuthClient, PasswordPolicy, Rate, Rates};
pub use error::{Cause, Error, StoreError};
pub use peers::PeerMetrics;
#[cfg(feature = "peers")]
pub use peers::{PeerServices, RelayLimits, RendezvousLimits};
pub use quota::{Amounts, Idle, Metric, Terms};
pub use sweep::Swept;
pub use transport::wire::backbone::peer_services::PeerServices as PeerDescription;
