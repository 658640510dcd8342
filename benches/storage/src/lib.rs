//! Measures a node and a backbone against the limit of the machine they run on.
//!
//! - [`connection`]: an HTTP/1.1 client with minimal overhead.
//! - [`load`]: clients that repeat a request.
//! - [`commit`]: group commit of records to a file.
//! - [`process`]: the programs under test as child processes.
//! - [`usage`]: CPU time and memory of a process, from `/proc`.
//! - [`table`]: prints results as tables.

pub mod commit;
pub mod connection;
pub mod load;
pub mod process;
pub mod table;
pub mod usage;

/// Any error that ends a measurement.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// Result of a step of a measurement.
pub type Result<T, E = Error> = std::result::Result<T, E>;
