//! Who calls, and what they may do.

mod keys;
mod roles;
mod throttle;

pub use keys::{ApiKey, ApiKeyError, ApiKeys};
pub(crate) use roles::{Need, Roles};
pub(crate) use throttle::Throttle;
