//! Records for tests: tokens as a node could list them.

use query::{Attribute, Kind, List, Paging, Record, Schema, Value};
use serde_json::{Value as Json, json};
use transport::wire::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Id,
    Created,
    Updated,
    Sequence,
    Label,
    Note,
    Downloads,
    Remaining,
    Expire,
    Active,
    Tags,
    Secret,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) label: String,
    pub(crate) note: Option<String>,
    pub(crate) downloads: i64,
    pub(crate) remaining: Option<i64>,
    pub(crate) expire: Option<i64>,
    pub(crate) active: bool,
    pub(crate) tags: Vec<String>,
}

impl Token {
    /// The token `t<sequence>`, without anything that may be missing.
    pub(crate) fn new(sequence: u64) -> Self {
        Self {
            id: format!("t{sequence}"),
            sequence,
            label: String::new(),
            note: None,
            downloads: 0,
            remaining: None,
            expire: None,
            active: true,
            tags: Vec::new(),
        }
    }

    /// One each day from the epoch on.
    pub(crate) fn created(&self) -> i64 {
        i64::try_from(self.sequence).unwrap() * 86_400_000
    }
}

impl Record for Token {
    type Key = Key;

    fn id(&self) -> &str {
        &self.id
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn value(&self, attribute: Key) -> Option<Value<'_>> {
        Some(match attribute {
            Key::Id => Value::text(&self.id),
            Key::Created | Key::Updated => Value::Time(self.created()),
            Key::Sequence => Value::Integer(i64::try_from(self.sequence).unwrap()),
            Key::Label | Key::Secret => Value::text(&self.label),
            Key::Note => Value::text(self.note.as_deref()?),
            Key::Downloads => Value::Integer(self.downloads),
            Key::Remaining => Value::Integer(self.remaining?),
            Key::Expire => Value::Time(self.expire?),
            Key::Active => Value::Boolean(self.active),
            Key::Tags => Value::Texts(&self.tags),
        })
    }
}

pub(crate) fn schema() -> Schema<Key> {
    let attributes = [
        Attribute::new(Key::Id, "$id", Kind::Text),
        Attribute::new(Key::Created, "$createdAt", Kind::Time),
        Attribute::new(Key::Updated, "$updatedAt", Kind::Time),
        Attribute::new(Key::Sequence, "$sequence", Kind::Integer),
        Attribute::new(Key::Label, "label", Kind::Text),
        Attribute::new(Key::Note, "note", Kind::Text).nullable(),
        Attribute::new(Key::Downloads, "downloads", Kind::Integer),
        Attribute::new(Key::Remaining, "remaining", Kind::Integer).nullable(),
        Attribute::new(Key::Expire, "expire", Kind::Time).nullable(),
        Attribute::new(Key::Active, "active", Kind::Boolean),
        Attribute::new(Key::Tags, "tags", Kind::Texts),
        Attribute::new(Key::Secret, "secret", Kind::Text).not_filterable().not_orderable(),
    ];
    Schema::new(attributes, read_time)
}

pub(crate) fn read_time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_unix_milliseconds)
}

/// The JSON of a query.
pub(crate) fn query(method: &str, attribute: &str, values: Json) -> String {
    json!({ "method": method, "attribute": attribute, "values": values }).to_string()
}

/// The JSON of a query without attribute.
pub(crate) fn page_query(method: &str, value: impl Into<Json>) -> String {
    json!({ "method": method, "values": [value.into()] }).to_string()
}

pub(crate) fn list(queries: &[String]) -> List<Key> {
    List::parse(queries, &schema()).unwrap_or_else(|error| panic!("{queries:?}: {error}"))
}

/// The sequences of the records on the page that these queries ask for.
pub(crate) fn sequences(queries: &[String], tokens: &[Token]) -> Vec<u64> {
    let page = list(queries).page(tokens, Paging::default()).unwrap();
    page.records.iter().map(|token| token.sequence).collect()
}
