//! Who calls, and what they may do.

mod gate;
mod keys;
mod roles;
mod throttle;

pub(crate) use gate::Gate;
pub use keys::{ApiKey, ApiKeyError, ApiKeys};
pub(crate) use roles::{Need, Roles};
