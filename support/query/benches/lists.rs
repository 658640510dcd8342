//! One page of a list of 100,000 tokens in memory, as an interface asks for it.
//!
//! `cargo bench -p enlace-query`. The slowest of 500 samples is about the 99.8th percentile; the goal is 20 ms.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench; the macros make items of their own")]

use std::sync::LazyLock;

use divan::{Bencher, black_box};
use query::{Attribute, Kind, List, Method, Paging, Query, Record, Schema, Selection, Value};

fn main() {
    divan::main();
}

const TOKENS: usize = 100_000;
const FILES: usize = 1000;
const DAY: i64 = 86_400_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    Resource,
    Status,
    Label,
    Expire,
}

struct Token {
    id: String,
    sequence: u64,
    resource: String,
    status: &'static str,
    label: String,
    expire: Option<i64>,
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
            Key::Resource => Value::text(&self.resource),
            Key::Status => Value::text(self.status),
            Key::Label => Value::text(&self.label),
            Key::Expire => Value::Time(self.expire?),
        })
    }
}

/// Tokens with the values of a multiplicative generator, a fifth of them without expiry.
static ALL: LazyLock<Vec<Token>> = LazyLock::new(|| {
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut token = |sequence: usize| Token {
        id: format!("TOK{sequence:017}"),
        sequence: sequence as u64,
        resource: format!("docs:FIL{:017}", next(FILES as u64)),
        status: ["active", "active", "active", "expired", "revoked"][next(5) as usize],
        label: format!("for recipient {}, invoice {}", next(5000), next(100_000)),
        expire: (next(5) > 0).then(|| (next(3650 * 24) as i64) * DAY / 24),
    };
    (0..TOKENS).map(&mut token).collect()
});

fn schema() -> Schema<Key> {
    // Days since the epoch stand for dates.
    let read_time = |text: &str| text.parse::<i64>().ok().map(|day| day * DAY);
    let attributes = [
        Attribute::new(Key::Resource, "resourceId", Kind::Text),
        Attribute::new(Key::Status, "status", Kind::Text),
        Attribute::new(Key::Label, "label", Kind::Text),
        Attribute::new(Key::Expire, "expire", Kind::Time).nullable(),
    ];
    Schema::new(attributes, read_time)
}

/// Reads the queries and makes the page, each time.
fn measure(bencher: Bencher<'_, '_>, queries: &[Query]) {
    let texts: Vec<String> = queries.iter().map(Query::to_string).collect();
    let (schema, tokens) = (schema(), &*ALL);
    bencher.bench_local(|| {
        let list = List::parse(black_box(&texts), &schema).unwrap();
        list.page(tokens, Paging::default()).unwrap().records.len()
    });
}

fn equal(attribute: &str, value: &str) -> Query {
    Query::condition(Method::Equal, attribute, [value])
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn first_page(bencher: Bencher<'_, '_>) {
    measure(bencher, &[]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn status_by_expiry(bencher: Bencher<'_, '_>) {
    measure(bencher, &[equal("status", "active"), Query::order_asc("expire")]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn expiring_soon_by_expiry(bencher: Bencher<'_, '_>) {
    let soon = Query::condition(Method::LessThan, "expire", ["365"]);
    measure(bencher, &[soon, Query::order_asc("expire"), Query::limit(10)]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn of_one_file_newest_first(bencher: Bencher<'_, '_>) {
    measure(bencher, &[equal("resourceId", "docs:FIL00000000000000007"), Query::order_desc("")]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn status_and_expiry_by_label_behind_a_cursor(bencher: Bencher<'_, '_>) {
    let later = Query::condition(Method::GreaterThan, "expire", ["100"]);
    let cursor = Query::cursor_after("TOK00000000000050000");
    measure(bencher, &[equal("status", "active"), later, Query::order_desc("label"), cursor, Query::limit(100)]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn any_of_three_by_expiry(bencher: Bencher<'_, '_>) {
    let either = Query::any_of([
        equal("status", "revoked"),
        Query::condition::<&str>(Method::IsNull, "expire", []),
        Query::condition(Method::Contains, "label", ["invoice 77"]),
    ]);
    measure(bencher, &[either, Query::order_desc("expire")]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn words_of_labels(bencher: Bencher<'_, '_>) {
    measure(bencher, &[Query::condition(Method::Search, "label", ["77 invoice 4711"])]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn a_deep_offset_by_expiry(bencher: Bencher<'_, '_>) {
    measure(bencher, &[Query::order_asc("expire"), Query::offset(50_000)]);
}

/// What is left with an index on the file.
#[divan::bench(sample_count = 500, sample_size = 1)]
fn of_one_file_by_an_index(bencher: Bencher<'_, '_>) {
    let texts =
        [equal("resourceId", "docs:FIL00000000000000007"), Query::order_asc("expire")].map(|query| query.to_string());
    let schema = schema();
    let plan = List::parse(&texts, &schema).unwrap().filter.plan();
    let fits = |token: &&Token| plan[0].fit.admits(token.value(plan[0].attribute).as_ref());
    let indexed: Vec<&Token> = ALL.iter().filter(fits).collect();
    bencher.bench_local(|| {
        let list = List::parse(black_box(&texts), &schema).unwrap();
        let mut selection = Selection::new(&list, Paging::default(), None).unwrap();
        for token in &indexed {
            selection.offer(*token).unwrap();
        }
        selection.finish().total
    });
}
