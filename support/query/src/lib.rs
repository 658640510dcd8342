//! The query language of lists: which records a list shows, in which order, and which page of them.
//!
//! Clients send up to 100 texts, each the JSON of one query: `{"method": "lessThan", "attribute": "expire", "values": ["2030-01-31"]}`.
//! [`List::parse`] checks them against the [`Schema`] of what is listed; [`List::page`] evaluates them over records in memory,
//! [`Selection`] over records that a store yields one by one, and [`Filter::plan`] says what an index of that store can answer first.
//!
//! This crate knows no token, no file, no store and no HTTP: the interfaces of a node read the texts from a request and word
//! refusals in their own form.
//!
//! | Method | Values | A record matches if its attribute |
//! |---|---|---|
//! | `equal` | 1 to 500 | is one of them |
//! | `notEqual` | 1 | is another value |
//! | `lessThan`, `lessThanEqual`, `greaterThan`, `greaterThanEqual` | 1 | compares so |
//! | `between`, `notBetween` | 2 | is from the first to the second one, both included; is not |
//! | `isNull`, `isNotNull` | none | has no value; has one |
//! | `exists`, `notExists` | 1 to 500 names | attributes all have a value; none of them has |
//! | `startsWith`, `endsWith`, `notStartsWith`, `notEndsWith` | 1 | is a text that begins or ends so; does not |
//! | `contains`, `containsAny` | 1 to 500 | is a text with any of these parts, or a list with any of these elements |
//! | `containsAll` | 1 to 500 | is a text with all of these parts, or a list with all of these elements |
//! | `notContains` | 1 to 500 | is a text or list with none of them |
//! | `search`, `notSearch` | 1 | is a text with one of these [`Words`]; has none |
//! | `regex` | 1 | is a text with a match of the regular expression |
//! | `and`, `or` | 2 to 500 queries | meets all of them; any of them |
//!
//! | Method | Values | The list |
//! |---|---|---|
//! | `orderAsc`, `orderDesc` | none | begins with the least, the greatest; without an attribute, with the oldest, the newest |
//! | `orderRandom` | none | is in a random order |
//! | `limit` | 1 | shows at most so many records, from 1 to 5000, 25 if none is given |
//! | `offset` | 1 | leaves out so many first |
//! | `cursorAfter`, `cursorBefore` | 1 id | shows what follows that record; what is directly in front of it |
//! | `select` | 1 to 500 names | shows these attributes, where the schema allows it |
//!
//! Filters are combined with "and". Orders apply in sequence, and what they leave equal is in the order of creation, which is also the order if there is none.
//! Of several limits, offsets or cursors the first one counts.
//!
//! **Null** is an attribute without a value. As in SQL, no comparison with it holds, negated ones included: `notEqual` does not find
//! null. It comes before all values in an ascending order. **Texts** compare by code points and exactly; only `search` ignores case.
//! **Times** compare as instants, whatever offset they are written with.
//!
//! Everything that a sender can make grow has a bound: see the constants, such as [`MAX_QUERIES`].
//!
//! ```
//! use query::{Attribute, Kind, List, Paging, Record, Schema, Value};
//!
//! #[derive(Debug, Clone, Copy, PartialEq)]
//! enum Key {
//!     Label,
//!     Expire,
//! }
//!
//! struct Token {
//!     id: &'static str,
//!     sequence: u64,
//!     label: &'static str,
//!     /// Milliseconds since the Unix epoch.
//!     expire: Option<i64>,
//! }
//!
//! impl Record for Token {
//!     type Key = Key;
//!
//!     fn id(&self) -> &str {
//!         self.id
//!     }
//!
//!     fn sequence(&self) -> u64 {
//!         self.sequence
//!     }
//!
//!     fn value(&self, attribute: Key) -> Option<Value<'_>> {
//!         match attribute {
//!             Key::Label => Some(Value::text(self.label)),
//!             Key::Expire => self.expire.map(Value::Time),
//!         }
//!     }
//! }
//!
//! fn read_time(text: &str) -> Option<i64> {
//!     text.parse::<transport::wire::Timestamp>().ok().map(|time| time.as_unix_milliseconds())
//! }
//!
//! let schema = Schema::new(
//!     [Attribute::new(Key::Label, "label", Kind::Text), Attribute::new(Key::Expire, "expire", Kind::Time).nullable()],
//!     read_time,
//! );
//! let tokens = [
//!     Token { id: "a", sequence: 1, label: "for Ada", expire: None },
//!     Token { id: "b", sequence: 2, label: "for Bo", expire: read_time("2030-03-01") },
//!     Token { id: "c", sequence: 3, label: "for Cy", expire: read_time("2030-02-01T12:00:00+02:00") },
//! ];
//!
//! // What expires before summer, soonest first.
//! let list = List::parse(
//!     &[r#"{"method":"lessThan","attribute":"expire","values":["2030-06-01"]}"#, r#"{"method":"orderAsc","attribute":"expire"}"#],
//!     &schema,
//! )?;
//! let page = list.page(&tokens, Paging::default())?;
//! assert_eq!(page.total, 2);
//! assert_eq!(page.records.iter().map(|token| token.label).collect::<Vec<_>>(), ["for Cy", "for Bo"]);
//!
//! // Refusals say what is wrong and what to do.
//! let error = List::parse(&[r#"{"method":"equal","attribute":"expiry","values":["2030"]}"#], &schema).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "query 1: there is no attribute \"expiry\"; use one of label, expire",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bounds;
mod error;
mod filter;
mod list;
mod method;
mod order;
mod parse;
mod plan;
mod query;
mod record;
mod schema;
mod selection;
mod value;
mod words;

pub use self::bounds::{
    DEFAULT_CEILING, DEFAULT_LIMIT, MAX_CONDITIONS, MAX_DEPTH, MAX_ID_LENGTH, MAX_LIMIT, MAX_NUMBER, MAX_PATTERN_SIZE,
    MAX_PATTERNS, MAX_QUERIES, MAX_QUERY_LENGTH, MAX_REACH, MAX_STEPS, MAX_VALUES, PATTERN_STEPS,
};
pub use self::error::{Error, JsonKind, Problem, QUOTED_LENGTH};
pub use self::filter::{Condition, Filter};
pub use self::list::{Cursor, List, Side};
pub use self::method::{Method, ValueCount};
pub use self::order::{Direction, Order};
pub use self::plan::{Fit, Narrowing};
pub use self::query::Query;
pub use self::record::Record;
pub use self::schema::{Attribute, ReadTime, Schema};
pub use self::selection::{NullBesideCursor, Page, Paging, Selection, SelectionError};
pub use self::value::{Kind, Operand, Value};
pub use self::words::Words;
