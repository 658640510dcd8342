//! Queries of lists, one a line: they are refused or select a page, on which is what matches, and queries that are read are written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use list_query::{Attribute, Kind, List, Paging, Query, Record, Schema, Value};
use transport::wire::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    Label,
    Downloads,
    Expire,
    Active,
    Tags,
}

struct Token {
    id: &'static str,
    sequence: u64,
    expire: Option<i64>,
    tags: Vec<String>,
}

impl Record for Token {
    type Key = Key;

    fn id(&self) -> &str {
        self.id
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn value(&self, attribute: Key) -> Option<Value<'_>> {
        Some(match attribute {
            Key::Label => Value::text(self.id),
            Key::Downloads => Value::Integer(self.sequence as i64 % 2),
            Key::Expire => Value::Time(self.expire?),
            Key::Active => Value::Boolean(self.expire.is_some()),
            Key::Tags => Value::Texts(&self.tags),
        })
    }
}

fn read_time(text: &str) -> Option<i64> {
    text.parse().ok().map(Timestamp::as_unix_milliseconds)
}

fn tokens() -> [Token; 3] {
    let token = |id, sequence, expire: &str, tags: &[&str]| {
        let tags = tags.iter().map(ToString::to_string).collect();
        Token { id, sequence, expire: read_time(expire), tags }
    };
    [token("a", 1, "", &["x"]), token("b", 2, "2030-01-31", &[]), token("Ab", 3, "2030-02-01", &["x", "y"])]
}

fuzz_target!(|text: &str| {
    let queries: Vec<&str> = text.lines().collect();
    for text in &queries {
        if let Ok(query) = text.parse::<Query>() {
            assert_eq!(query.to_string().parse(), Ok(query));
        }
    }
    let schema = Schema::new(
        [
            Attribute::new(Key::Label, "label", Kind::Text),
            Attribute::new(Key::Downloads, "downloads", Kind::Integer),
            Attribute::new(Key::Expire, "expire", Kind::Time).nullable(),
            Attribute::new(Key::Active, "active", Kind::Boolean),
            Attribute::new(Key::Tags, "tags", Kind::Texts),
        ],
        read_time,
    );
    let Ok(list) = List::parse(&queries, &schema.with_select()) else { return };
    let tokens = tokens();
    let plan = list.filter.plan();
    for token in tokens.iter().filter(|token| list.filter.matches(token)) {
        assert!(plan.iter().all(|narrowing| narrowing.fit.admits(token.value(narrowing.attribute).as_ref())));
    }
    let Ok(page) = list.page(&tokens, Paging::default()) else { return };
    assert!(page.records.len() as u64 <= list.limit.min(page.total));
    assert!(page.records.iter().all(|token| list.filter.matches(token)));
});
