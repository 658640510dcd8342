//! A test harness: builds worlds of nodes and backbones, for scenarios that assert what users observe.
//!
//! ```no_run
//! # async fn story() {
//! use enlace_tests::World;
//!
//! let world = World::new();
//! let backbone = world.backbone().await;
//! let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
//! let file = alice.upload("report.pdf", b"for bob").await.unwrap();
//! let token = alice.share(&file).await.unwrap();
//! backbone.line().cut().await;
//! assert!(bob.receive(&token.reference.url).await.is_err());
//! backbone.line().heal().await;
//! assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"for bob");
//! # }
//! ```
//!
//! Ports are free ones, directories temporary, and time advances only when a test advances it. Nodes reach their backbone
//! through a [`Line`], a proxy that can be cut and keeps its port when the backbone restarts.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backbone;
mod claims;
mod clock;
mod family;
mod fate;
mod http;
mod identity;
mod line;
mod node;
mod outcome;
mod peer_claimant;
#[cfg(target_os = "linux")]
pub mod power;
mod process;
mod rest;
mod search;
mod tree;
mod world;

pub use backbone::{Backbone, OAUTH_CLIENT};
pub use claims::{Claimants, Contest};
pub use clock::WorldClock;
pub use family::Family;
pub use fate::{Answer, Exchange, Fate, Gate};
pub use http::http;
pub use identity::{NewIdentity, client};
pub use line::Line;
pub use node::{Node, password, pin};
pub use outcome::{assert_mentions, refusal};
pub use peer_claimant::PeerClaimant;
pub use process::{PEERS_ENABLED, Process, ProcessError, enlace};
pub use rest::Rest;
pub use search::{Traces, planted, traces};
pub use tree::{copy_tree, files_below};
pub use world::World;
