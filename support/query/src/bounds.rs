//! What somebody who sends queries can make grow, and how far.

/// Most queries of one list.
pub const MAX_QUERIES: usize = 100;

/// Longest text of one query, in characters.
pub const MAX_QUERY_LENGTH: usize = 4096;

/// Most values of one query.
pub const MAX_VALUES: usize = 500;

/// Deepest nesting of `and` and `or`: a query that stands in the list itself has depth 1.
pub const MAX_DEPTH: usize = 16;

/// Most conditions of one list, nested ones included. Each text that `contains` and its relatives look for is one, and so is each
/// word of `search`, because each is looked for in every record; `equal` with many values is one, because it looks its values up.
pub const MAX_CONDITIONS: usize = 1000;

/// Most regular expressions of one list.
pub const MAX_PATTERNS: usize = 2;

/// Largest compiled regular expression, in bytes.
pub const MAX_PATTERN_SIZE: usize = 32 * 1024;

/// Longest id that a cursor may name, in characters.
pub const MAX_ID_LENGTH: usize = 255;

/// Largest offset. How far it may reach is bounded by [`MAX_REACH`], unless records come in the order of the list.
pub const MAX_NUMBER: u64 = i64::MAX as u64;

/// Largest limit that the schema of a list can allow, and the one that it allows if it does not name a smaller one.
pub const MAX_LIMIT: u64 = 5000;

/// Largest sum of offset and limit of a list whose records do not come in its order: up to twice as many records are kept in memory.
pub const MAX_REACH: u64 = 10_000;

/// Most steps that one list takes: with each record that is looked at, one for the record, one for each order and each condition as
/// [`MAX_CONDITIONS`] counts them, and [`PATTERN_STEPS`] for each regular expression. This is about a second of work.
pub const MAX_STEPS: u64 = 20_000_000;

/// Steps of the comparison of one text with a regular expression.
pub const PATTERN_STEPS: u64 = 1000;

/// How many records a page shows if the queries do not say.
pub const DEFAULT_LIMIT: u64 = 25;

/// Up to how many matches are counted if a list does not say.
pub const DEFAULT_CEILING: u64 = 5000;
