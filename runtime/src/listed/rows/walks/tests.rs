//! What the walks find, against looking at every row.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::sync::Arc;

use proptest::prelude::*;
use query::{Method, NullBesideCursor, Page, Paging, Query, Record, Selection};
use transport::wire::Timestamp;

use super::*;
use crate::listed::row::{BucketFile, Seen};
use crate::listed::search::FileTokenQueries;
use crate::listed::tests::row;
use crate::storage::{self, Notify};

const NOW: i64 = 50;

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_unix_milliseconds(milliseconds)
}

fn time_text(milliseconds: i64) -> String {
    at(milliseconds).to_string()
}

/// Rows with few different values, so that most queries find some and leave out others.
fn any_row() -> impl Strategy<Value = Row> {
    let times = (0..6_i64, prop::option::of(0..6_i64), prop::option::of(0..6_i64));
    let uses = (prop::option::of(0..3_u32), 0..3_u64, prop::option::of(0..6_i64));
    (0..60_u64, any::<bool>(), times, uses, prop::option::of(0..4_u64), prop::option::of("[ab]{1,2}")).prop_map(
        |(number, is_e2e, (created, expires, revoked), (most, committed, accessed), file, label)| {
            let id: Arc<str> = format!("TOK{number:017}").into();
            Row {
                id: if is_e2e { RowId::E2e(id) } else { RowId::Node(format!("{id}n").into()) },
                created_at: at(created * 10),
                expires_at: expires.map(|time| at(time * 20)),
                revoked_at: revoked.filter(|time| *time == 0).map(at),
                accessed_at: accessed.map(at),
                max_downloads: most,
                committed,
                file: file.map(|number| format!("FIL{number:017}").into()),
                bucket_file: (!is_e2e).then_some(BucketFile {
                    number,
                    bucket: 1,
                    file: file.unwrap_or_default(),
                    notify: Notify::None,
                }),
                label: label.map(Into::into),
                ..row(number)
            }
        },
    )
}

fn any_filter() -> impl Strategy<Value = Query> {
    let time_method = prop::sample::select(vec![
        Method::Equal,
        Method::LessThan,
        Method::LessThanEqual,
        Method::GreaterThan,
        Method::GreaterThanEqual,
        Method::NotEqual,
    ]);
    let attribute = prop::sample::select(vec!["expiresAt", "createdAt", "accessedAt"]);
    let status = prop::sample::select(vec!["active", "expired", "revoked", "exhausted"]);
    prop_oneof![
        (time_method, attribute, 0..12_i64).prop_map(|(method, attribute, time)| Query::condition(
            method,
            attribute,
            [time_text(time * 10)]
        )),
        (0..6_i64, 0..12_i64).prop_map(|(lower, upper)| {
            Query::condition(Method::Between, "expiresAt", [time_text(lower * 20), time_text(upper * 10)])
        }),
        prop::sample::select(vec![Method::IsNull, Method::IsNotNull]).prop_map(|method| Query::condition::<&str>(
            method,
            "expiresAt",
            []
        )),
        prop::collection::vec(0..6_u64, 1..3).prop_map(|files| {
            Query::condition(Method::Equal, "fileId", files.iter().map(|number| format!("FIL{number:017}")))
        }),
        prop::collection::vec(0..60_u64, 1..4).prop_map(|ids| {
            Query::condition(Method::Equal, "id", ids.iter().map(|number| format!("TOK{number:017}")))
        }),
        status.prop_map(|status| Query::condition(Method::Equal, "status", [status])),
        Just(Query::condition(Method::Equal, "fileId", ["no id"])),
        "[ab]".prop_map(|part| Query::condition(Method::Contains, "label", [part])),
    ]
}

fn any_order() -> impl Strategy<Value = Query> {
    let attribute = prop::sample::select(vec!["", "expiresAt", "createdAt", "label", "status", "id"]);
    (attribute, any::<bool>()).prop_map(|(attribute, is_descending)| match is_descending {
        true => Query::order_desc(attribute),
        false => Query::order_asc(attribute),
    })
}

fn any_page() -> impl Strategy<Value = Vec<Query>> {
    let cursor = prop::option::of((0..60_u64, any::<bool>()));
    (1..20_u64, 0..10_u64, cursor).prop_map(|(limit, offset, cursor)| {
        let cursor = cursor.map(|(number, is_after)| {
            let id = format!("TOK{number:017}");
            if is_after { Query::cursor_after(&id) } else { Query::cursor_before(&id) }
        });
        [Query::limit(limit), Query::offset(offset)].into_iter().chain(cursor).collect()
    })
}

fn any_queries() -> impl Strategy<Value = Vec<String>> {
    let filters = prop_oneof![
        prop::collection::vec(any_filter(), 0..3),
        (any_filter(), any_filter()).prop_map(|(one, other)| vec![Query::any_of([one, other])]),
    ];
    (filters, prop::collection::vec(any_order(), 0..3), any_page())
        .prop_map(|parts| [parts.0, parts.1, parts.2].concat().iter().map(Query::to_string).collect())
}

/// Rows after puts and removals, and what they are.
fn changed(changes: impl Iterator<Item = (Row, bool)>) -> (Rows, BTreeMap<RowId, Row>) {
    let (mut rows, mut all) = (Rows::default(), BTreeMap::new());
    for (row, is_removed) in changes {
        if is_removed {
            rows.remove(&row.id);
            all.remove(&row.id);
        } else {
            all.insert(row.id.clone(), row.clone());
            rows.put(row);
        }
    }
    (rows, all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_index_finds_what_looking_at_every_row_finds(
        changes in prop::collection::vec((any_row(), prop::bool::weighted(0.2)), 0..80),
        queries in any_queries(),
        is_counted in any::<bool>(),
    ) {
        check_found(changes, &queries, |paging| Paging { ceiling: paging.ceiling.filter(|_| is_counted), ..paging })?;
    }

    #[test]
    fn the_order_of_labels_finds_what_looking_at_every_row_finds(
        changes in prop::collection::vec((any_row(), prop::bool::weighted(0.2)), 0..80),
        queries in any_queries_of_labels(),
        ceiling in prop::sample::select(vec![None, Some(3), Some(5000)]),
        refuses in any::<bool>(),
    ) {
        let null = if refuses { NullBesideCursor::Refuse } else { NullBesideCursor::Order };
        check_found(changes, &queries, |paging| Paging { ceiling, null_beside_cursor: null, ..paging })?;
    }
}

fn check_found(
    changes: Vec<(Row, bool)>,
    queries: &[String],
    paging: impl FnOnce(Paging) -> Paging,
) -> Result<(), TestCaseError> {
    let (rows, all) = changed(changes.into_iter());
    prop_assert_eq!(rows.len(), all.len());
    let mut search = Search::parse(queries, true, at(NOW), 0).unwrap();
    search.paging = paging(search.paging);
    let seen: Vec<Seen<Row>> = all.values().map(|row| Seen { row: row.clone(), now: at(NOW) }).collect();
    let expected = search.list.page(&seen, search.paging);
    check_same(rows.search(&search), expected, queries)
}

/// The same page, or a refusal for the same reason. Of several attributes that are null, that of the row is told that is looked at first.
fn check_same<R: Record>(
    found: Result<Found, SelectionError>,
    expected: Result<Page<R>, SelectionError>,
    queries: &[String],
) -> Result<(), TestCaseError> {
    match (found, expected) {
        (Ok(found), Ok(expected)) => {
            prop_assert!(found.ids().eq(expected.records.iter().map(Record::id)), "{found:?} {queries:?}");
            prop_assert_eq!(found.total, expected.total, "{:?}", queries);
        }
        (found, expected) => {
            let reason = |error| discriminant::<SelectionError>(&error);
            prop_assert_eq!(found.map(drop).map_err(reason), expected.map(drop).map_err(reason), "{:?}", queries);
        }
    }
    Ok(())
}

fn any_queries_of_labels() -> impl Strategy<Value = Vec<String>> {
    let texts = prop::collection::vec("[ab]{1,2}", 1..3);
    let of_texts = prop::sample::select(vec![Method::Equal, Method::Contains, Method::NotContains]);
    let of_null = prop::sample::select(vec![Method::IsNull, Method::IsNotNull]);
    let filter = prop_oneof![
        (of_texts, texts).prop_map(|(method, texts)| Query::condition(method, "label", texts)),
        of_null.prop_map(|method| Query::condition::<&str>(method, "label", [])),
        any_filter(),
    ];
    let first = any::<bool>()
        .prop_map(|is_least| if is_least { Query::order_asc("label") } else { Query::order_desc("label") });
    (prop::collection::vec(filter, 0..2), first, prop::option::of(any_order()), any_page()).prop_map(
        |(filters, first, second, page)| {
            let queries = filters.into_iter().chain([first]).chain(second).chain(page);
            queries.map(|query| query.to_string()).collect()
        },
    )
}

/// As `/v1` calls what the other list has.
fn as_v1_calls_it(query: &str) -> String {
    let names = [("expiresAt", "expire"), ("createdAt", "$createdAt"), ("id", "$id")];
    names.iter().fold(query.to_owned(), |query, (name, other)| {
        query.replace(&format!("\"attribute\":\"{name}\""), &format!("\"attribute\":\"{other}\""))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_index_finds_those_on_files_in_buckets_that_looking_at_every_row_finds(
        changes in prop::collection::vec((any_row(), prop::bool::weighted(0.2)), 0..80),
        queries in any_queries(),
        file in prop::option::of(0..4_u64),
        words in prop::sample::select(vec!["", "a", "ab b"]),
        ceiling in prop::sample::select(vec![None, Some(3), Some(5000)]),
    ) {
        let named = |row: Row| {
            let id = if row.number().is_some() {
                RowId::Node(row.id.as_str().trim_end_matches('n').into())
            } else {
                row.id.clone()
            };
            Row { id, ..row }
        };
        let (rows, all) = changed(changes.into_iter().map(|(row, is_removed)| (named(row), is_removed)));
        let queries: Vec<String> = queries.iter().map(|query| as_v1_calls_it(query)).collect();
        let parsed = FileTokenQueries::parse(&queries).unwrap();
        let file = file.map(|file| (1, file));
        let words = storage::Search::parse(words).unwrap();
        let search = Search::of_bucket_files(parsed, file, words, ceiling, at(NOW), 0);
        let of_list: BTreeMap<u64, &Row> =
            all.values().filter(|row| search.admits(row)).map(|row| (row.number().unwrap(), row)).collect();
        let expected = || {
            let cursors = search.cursors();
            let cursor = cursors.iter().find_map(|id| all.get(id)).filter(|row| search.is_of_list(row));
            let seen = |row| Seen { row, now: at(NOW) };
            let mut selection = Selection::in_order_of_creation(&search.list, search.paging, cursor.map(seen))?;
            of_list.values().try_for_each(|row| selection.offer(seen(*row)))?;
            Ok(selection.finish())
        };
        check_same(rows.search(&search), expected(), &queries)?;
    }
}
