//! One page of the list of 100,000 tokens with queries, as a face asks for it, and of that of 100,000 tokens of `/v1`.
//!
//! ```text
//! cargo bench -p enlace-runtime --bench tokens_list
//! ```
//!
//! The slowest of 500 samples is about the 99.8th percentile; the goal is 20 ms.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench; the macros make items of their own")]

mod world;

use std::sync::LazyLock;
use std::time::Duration;

use divan::{Bencher, black_box};
use runtime::Timestamp;
use runtime::facade::{FindFileTokens, FindTokens};
use runtime::storage::{BucketRequest, Caller, FileTokenQueries, FileTokenRequest, NewBucketFile, Search};
use runtime::testing::{remember_file_tokens, remember_tokens};
use serde_json::{Value, json};

use world::World;

const TOKENS: u64 = 100_000;
const FILES: u64 = 1000;

fn main() {
    divan::main();
}

/// A node with tokens for files, of which a fifth has expired and a fifth never expires.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let world = World::start();
    let now = world.node.clock().now();
    let tokens = (0..TOKENS).map(|number| token(number, now));
    world.executor.block_on(remember_tokens(&world.node, tokens)).unwrap();
    world
});

const BUCKET: &str = "docs";
/// Each with 200 tokens.
const BUCKET_FILES: u64 = 500;

/// A node with as many tokens on files in a bucket.
static FILE_TOKENS: LazyLock<World> = LazyLock::new(|| {
    let world = World::start();
    world.executor.block_on(async {
        let storage = world.node.storage();
        storage.create_bucket(BUCKET, BucketRequest::named("Documents")).await.unwrap();
        for number in 0..BUCKET_FILES {
            let new = NewBucketFile {
                bucket_id: BUCKET.to_owned(),
                file_id: format!("f{number}"),
                name: "a.txt".to_owned(),
                ..NewBucketFile::default()
            };
            let staged = storage.stage_content(Caller::Key, BUCKET, None, &b"content"[..]).await.unwrap();
            storage.create_bucket_file(Caller::Key, new, staged).await.unwrap();
        }
        let now = world.node.clock().now();
        remember_file_tokens(&world.node, BUCKET, (0..TOKENS).map(|number| file_token(number, now))).await.unwrap();
    });
    world
});

fn file_token(number: u64, now: Timestamp) -> (String, FileTokenRequest) {
    let random = random(number);
    let span = Duration::from_secs(1 + random % (3650 * 24 * 60 * 60));
    let request = FileTokenRequest {
        expire: (!number.is_multiple_of(5)).then(|| now.saturating_add(span)),
        not_before: number.is_multiple_of(15).then(|| now.saturating_add(span)),
        label: format!("for {}", random % 1000),
        max_downloads: number.is_multiple_of(2).then_some(5),
        ..FileTokenRequest::default()
    };
    (format!("f{}", number % BUCKET_FILES), request)
}

fn measure_file_tokens(bencher: Bencher<'_, '_>, file: Option<&str>, queries: &[Value]) {
    let world = &*FILE_TOKENS;
    let queries: Vec<String> = queries.iter().map(Value::to_string).collect();
    let storage = world.node.storage();
    let find = || {
        let queries = FileTokenQueries::parse(&queries).unwrap();
        let find = FindFileTokens { queries, search: Search::parse("").unwrap(), is_counted: true };
        let found = world.executor.block_on(async {
            match file {
                None => storage.find_file_tokens(find).await,
                Some(file) => storage.find_file_tokens_of(Caller::Key, BUCKET, file, find).await,
            }
        });
        found.unwrap()
    };
    assert!(!find().tokens.is_empty());
    bencher.bench_local(|| black_box(find().total));
}

/// A multiplicative generator: neighbours have nothing in common.
fn random(number: u64) -> u64 {
    number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33
}

fn token(number: u64, now: Timestamp) -> (Value, Timestamp) {
    let random = random(number);
    let key = json!({ "key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "alg": 3 });
    let file = format!("FIL{:017}", random % FILES);
    let content = json!({ "@type": "TokenContentFile", "fileId": file, "secretKey": key });
    let span = Duration::from_secs(random % (3650 * 24 * 60 * 60));
    let expires_at = match number % 5 {
        0 => Timestamp::NEVER,
        1 => now.saturating_sub(span),
        _ => now.saturating_add(span),
    };
    (content, expires_at)
}

fn query(method: &str, attribute: &str, values: &[Value]) -> Value {
    json!({ "method": method, "attribute": attribute, "values": values })
}

fn limit() -> Value {
    query("limit", "", &[json!(25)])
}

fn measure(bencher: Bencher<'_, '_>, queries: &[Value]) {
    let world = &*WORLD;
    let request = || FindTokens { queries: queries.iter().map(Value::to_string).collect(), ..FindTokens::default() };
    let tokens = world.node.tokens();
    // The first list reads all tokens.
    assert!(!world.executor.block_on(tokens.find(request())).unwrap().tokens.is_empty());
    bencher.bench_local(|| black_box(world.executor.block_on(tokens.find(request())).unwrap().total));
}

fn a_month_from_now() -> Value {
    json!(WORLD.node.clock().now().saturating_add(Duration::from_secs(30 * 24 * 60 * 60)))
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn expires_before_by_expiry(bencher: Bencher<'_, '_>) {
    let before = query("lessThan", "expiresAt", &[a_month_from_now()]);
    measure(bencher, &[before, query("orderAsc", "expiresAt", &[]), limit()]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn latest_expiry_first(bencher: Bencher<'_, '_>) {
    measure(bencher, &[query("orderDesc", "expiresAt", &[]), limit()]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn of_one_status(bencher: Bencher<'_, '_>) {
    measure(bencher, &[query("equal", "status", &[json!("active")]), limit()]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn of_one_status_newest_first(bencher: Bencher<'_, '_>) {
    measure(bencher, &[query("equal", "status", &[json!("expired")]), query("orderDesc", "createdAt", &[]), limit()]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn of_one_file(bencher: Bencher<'_, '_>) {
    measure(bencher, &[query("equal", "fileId", &[json!(format!("FIL{:017}", 7))]), limit()]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn behind_a_cursor(bencher: Bencher<'_, '_>) {
    let cursor = query("cursorAfter", "", &[json!(format!("TOK{:017}", TOKENS / 2))]);
    measure(bencher, &[query("orderAsc", "expiresAt", &[]), cursor, limit()]);
}

/// No index helps: all rows are looked at.
#[divan::bench(sample_count = 500, sample_size = 1)]
fn by_status_and_file(bencher: Bencher<'_, '_>) {
    let later = query("isNotNull", "expiresAt", &[]);
    measure(bencher, &[later, query("orderAsc", "status", &[]), query("orderAsc", "fileId", &[]), limit()]);
}

/// What a change costs: the tokens that it touches are read again.
#[divan::bench(sample_count = 100, sample_size = 1)]
fn after_a_change(bencher: Bencher<'_, '_>) {
    let world = &*WORLD;
    let tokens = world.node.tokens();
    let now = world.node.clock().now();
    let request = || FindTokens { queries: vec![limit().to_string()], ..FindTokens::default() };
    world.executor.block_on(tokens.find(request())).unwrap();
    bencher
        .with_inputs(|| world.executor.block_on(remember_tokens(&world.node, [token(0, now)])).unwrap())
        .bench_local_values(|()| black_box(world.executor.block_on(tokens.find(request())).unwrap().total));
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn file_tokens_first(bencher: Bencher<'_, '_>) {
    measure_file_tokens(bencher, None, &[limit()]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn file_tokens_of_one_status_by_expiry(bencher: Bencher<'_, '_>) {
    let active = query("equal", "status", &[json!("active")]);
    measure_file_tokens(bencher, None, &[active, query("orderAsc", "expire", &[]), limit()]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn file_tokens_in_the_order_of_labels(bencher: Bencher<'_, '_>) {
    measure_file_tokens(bencher, None, &[query("orderAsc", "label", &[]), limit()]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn file_tokens_of_one_status_by_label(bencher: Bencher<'_, '_>) {
    let active = query("equal", "status", &[json!("active")]);
    measure_file_tokens(bencher, None, &[active, query("orderAsc", "label", &[]), limit()]);
}

/// The filter is about labels: it looks at one row of each.
#[divan::bench(sample_count = 500, sample_size = 1)]
fn file_tokens_by_label(bencher: Bencher<'_, '_>) {
    let part = query("contains", "label", &[json!("99")]);
    measure_file_tokens(bencher, None, &[part, query("orderDesc", "label", &[]), limit()]);
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn file_tokens_of_one_file(bencher: Bencher<'_, '_>) {
    measure_file_tokens(bencher, Some("f7"), &[query("orderAsc", "label", &[]), limit()]);
}
