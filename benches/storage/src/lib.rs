//! Measures a node and a backbone against the limit of the machine they run on.
//!
//! - [`connection`]: an HTTP/1.1 client that costs next to nothing.
//! - [`load`]: clients that repeat one request.
//! - [`commit`]: appends records to a file and synchronizes it, many at a time.
//! - [`process`]: the programs under test as child processes.
//! - [`usage`]: what a process used, from `/proc`.
//! - [`table`]: results for people.

pub mod commit;
pub mod connection;
pub mod load;
pub mod process;
pub mod table;
pub mod usage;

/// Anything that ends a measurement.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// Outcome of a step of a measurement.
pub type Result<T, E = Error> = std::result::Result<T, E>;
