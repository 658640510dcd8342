//! The two dialects of the published connectors.

mod dialect;
mod table;

pub use dialect::Dialect;
pub(crate) use dialect::Differences;
pub(crate) use table::RESOURCES;
