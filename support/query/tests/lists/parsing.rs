//! What is read, what is refused, and how much of it.

use query::{
    DEFAULT_LIMIT, Direction, Error, JsonKind, List, MAX_CONDITIONS, MAX_ID_LENGTH, MAX_LIMIT, MAX_NUMBER,
    MAX_PATTERNS, MAX_QUERIES, MAX_VALUES, Method, Order, Problem, Query, Side,
};
use serde_json::{Value as Json, json};

use crate::world::{Key, list, page_query, query, schema};

fn refused(text: &str) -> Problem {
    match List::parse(&[text], &schema()) {
        Err(Error::Query { index: 0, problem }) => problem,
        other => panic!("{text}: {other:?}"),
    }
}

fn is_read(queries: &[String]) -> bool {
    List::parse(queries, &schema()).is_ok()
}

/// What the builders of the published clients make, and whether a list takes it.
fn check_client(vectors: &str, accepted: usize, refused_methods: &[&str]) {
    let vectors: Vec<Json> = serde_json::from_str(vectors).unwrap();
    let mut read = 0;
    let mut refused = Vec::new();
    for vector in &vectors {
        let (call, text) = (vector["call"].as_str().unwrap(), vector["text"].as_str().unwrap());
        match List::parse(&[text], &schema()) {
            Ok(_) => {
                read += 1;
                assert_eq!(text.parse::<Query>().unwrap().to_string().parse(), text.parse::<Query>(), "{call}");
            }
            Err(Error::Query { problem: Problem::UnknownMethod { method }, .. }) => refused.push(method),
            Err(error) => panic!("{call}: {error}"),
        }
    }
    assert_eq!((read, refused), (accepted, refused_methods.iter().map(ToString::to_string).collect()));
}

#[test]
fn queries_of_the_node_client_are_read() {
    let refused = ["select", "elemMatch", "distanceLessThan", "intersects", "vectorDot"];
    check_client(include_str!("../vectors/node-appwrite-27.1.0.json"), 44, &refused);
}

#[test]
fn queries_of_the_python_client_are_read() {
    let refused = [
        "select",
        "elemMatch",
        "distanceLessThan",
        "intersects",
        "vectorDot",
        "count",
        "groupBy",
        "distinct",
        "relationship",
    ];
    check_client(include_str!("../vectors/appwrite-27.0.0.json"), 46, &refused);
}

#[test]
fn a_list_without_queries_is_the_first_25_in_the_order_of_creation() {
    let list = list(&[]);
    assert_eq!((list.limit, list.offset), (DEFAULT_LIMIT, 0));
    assert_eq!((list.orders, list.cursor, list.select), (Vec::new(), None, None));
}

#[test]
fn as_many_queries_as_allowed_are_read_and_one_more_is_not() {
    let limit = || page_query("limit", 1);
    assert!(is_read(&vec![limit(); MAX_QUERIES]));
    assert_eq!(
        List::parse(&vec![limit(); MAX_QUERIES + 1], &schema()),
        Err(Error::TooManyQueries { count: MAX_QUERIES + 1 })
    );
}

#[test]
fn as_many_values_as_allowed_are_read_and_one_more_is_not() {
    let values = |count: usize| query("equal", "downloads", (0..count).collect());
    assert!(is_read(&[values(MAX_VALUES)]));
    assert_eq!(refused(&values(MAX_VALUES + 1)), Problem::ValueCount { method: Method::Equal, given: MAX_VALUES + 1 });
}

#[test]
fn as_many_conditions_as_allowed_are_read_and_one_more_is_not() {
    // Ten of them in each query, two by nesting and eight parts of a text.
    let ten = json!({ "method": "and", "values": [
        { "method": "isNull", "attribute": "expire" },
        { "method": "equal", "attribute": "label", "values": ["a", "b", "c"] },
        { "method": "notContains", "attribute": "label", "values": ["1", "2", "3", "4", "5", "6", "7"] },
        { "method": "exists", "values": ["expire"] },
    ]})
    .to_string();
    let mut queries = vec![ten; MAX_CONDITIONS / 10];
    assert_eq!(queries.len(), MAX_QUERIES);
    assert!(is_read(&queries));
    queries[MAX_QUERIES - 1] = query("contains", "label", json!(vec!["a"; 11]));
    assert_eq!(
        List::parse(&queries, &schema()),
        Err(Error::Query { index: MAX_QUERIES - 1, problem: Problem::TooManyConditions })
    );
}

#[test]
fn each_word_of_a_search_is_a_condition() {
    let search = |method: &str, words: usize| query(method, "label", json!(["a ".repeat(words)]));
    assert!(is_read(&[search("search", MAX_CONDITIONS)]));
    assert_eq!(refused(&search("search", MAX_CONDITIONS + 1)), Problem::TooManyConditions);
    let half = || search("notSearch", MAX_CONDITIONS / 2);
    assert!(is_read(&[half(), half()]));
    let one_more = query("search", "label", json!(["-"]));
    assert_eq!(
        List::parse(&[half(), half(), one_more], &schema()),
        Err(Error::Query { index: 2, problem: Problem::TooManyConditions })
    );
}

#[test]
fn as_many_regular_expressions_as_allowed_are_read_and_one_more_is_not() {
    let pattern = || query("regex", "label", json!(["a|b"]));
    assert!(is_read(&vec![pattern(); MAX_PATTERNS]));
    assert_eq!(
        List::parse(&vec![pattern(); MAX_PATTERNS + 1], &schema()),
        Err(Error::Query { index: MAX_PATTERNS, problem: Problem::TooManyPatterns })
    );
}

#[test]
fn regular_expressions_that_are_invalid_or_too_large_are_refused() {
    assert!(is_read(&[query("regex", "label", json!(["^[a-z]{1,100}$"]))]));
    for text in ["(", "a{100}{100}{100}", r"\p{L}{1000}", r"(a)\1", "(?=a)"] {
        assert_eq!(refused(&query("regex", "label", json!([text]))), Problem::Pattern, "{text}");
    }
}

#[test]
fn cursors_have_the_form_of_ids() {
    let cursor = |id: &str| page_query("cursorAfter", id);
    let longest = "a".repeat(MAX_ID_LENGTH);
    for id in ["a", "0", "TOKabc", "a.b_c-d", &longest] {
        assert_eq!(list(&[cursor(id)]).cursor.unwrap().id, id);
    }
    for id in ["", "_a", ".a", "-a", "a b", "a/b", "ä", "a\n", &"a".repeat(MAX_ID_LENGTH + 1)] {
        assert_eq!(refused(&cursor(id)), Problem::Cursor, "{id:?}");
    }
    assert_eq!(refused(&page_query("cursorBefore", 7)), Problem::Cursor);
    assert_eq!(refused(&page_query("cursorBefore", Json::Null)), Problem::Cursor);
}

#[test]
fn limits_and_offsets_are_whole_numbers_in_their_range() {
    assert_eq!(list(&[page_query("limit", 1)]).limit, 1);
    assert_eq!(list(&[page_query("limit", MAX_LIMIT)]).limit, MAX_LIMIT);
    assert_eq!(list(&[page_query("limit", 10.0)]).limit, 10);
    assert_eq!(list(&[page_query("offset", 0)]).offset, 0);
    assert_eq!(list(&[page_query("offset", MAX_NUMBER)]).offset, MAX_NUMBER);
    let not_limits = [json!(0), json!(-1), json!(1.5), json!("10"), json!(null), json!([1]), json!(MAX_LIMIT + 1)];
    for value in not_limits {
        assert_eq!(refused(&page_query("limit", value.clone())), Problem::Limit { max: MAX_LIMIT }, "{value}");
    }
    for value in [json!(-1), json!(0.5), json!("0"), json!(true), json!(1e300), json!(MAX_NUMBER + 1)] {
        assert_eq!(refused(&page_query("offset", value.clone())), Problem::Offset, "{value}");
    }
}

#[test]
fn a_list_may_have_limits_of_its_own() {
    let schema = schema().with_limits(50, 100);
    assert_eq!(List::parse::<&str>(&[], &schema).unwrap().limit, 50);
    assert_eq!(List::parse(&[page_query("limit", 100)], &schema).unwrap().limit, 100);
    assert_eq!(
        List::parse(&[page_query("limit", 101)], &schema),
        Err(Error::Query { index: 0, problem: Problem::Limit { max: 100 } })
    );
    // But none beyond that of all lists.
    let schema = schema.with_limits(u64::MAX, u64::MAX);
    assert_eq!(List::parse::<&str>(&[], &schema).unwrap().limit, MAX_LIMIT);
    assert!(List::parse(&[page_query("limit", MAX_LIMIT)], &schema).is_ok());
    assert!(List::parse(&[page_query("limit", MAX_LIMIT + 1)], &schema).is_err());
}

#[test]
fn the_first_of_several_limits_offsets_and_cursors_counts() {
    let read = list(&[
        page_query("limit", 1),
        page_query("cursorBefore", "b"),
        page_query("offset", 3),
        page_query("limit", 2),
        page_query("cursorAfter", "a"),
        page_query("offset", 4),
    ]);
    assert_eq!((read.limit, read.offset), (1, 3));
    let cursor = read.cursor.unwrap();
    assert_eq!((cursor.id.as_str(), cursor.side), ("b", Side::Before));
    // All of them are checked.
    let queries = [page_query("limit", 1), page_query("limit", 0)];
    assert_eq!(
        List::parse(&queries, &schema()),
        Err(Error::Query { index: 1, problem: Problem::Limit { max: MAX_LIMIT } })
    );
}

#[test]
fn orders_apply_in_sequence_each_attribute_once() {
    let order = |method: &str, attribute: &str| query(method, attribute, json!([]));
    let read = list(&[
        order("orderDesc", "expire"),
        order("orderAsc", ""),
        order("orderAsc", "expire"),
        order("orderDesc", ""),
        order("orderAsc", "label"),
        order("orderRandom", ""),
        order("orderRandom", "label"),
    ]);
    assert_eq!(
        read.orders,
        [
            Order::By { attribute: Key::Expire, name: "expire", is_nullable: true, direction: Direction::Descending },
            Order::Creation(Direction::Ascending),
            Order::By { attribute: Key::Label, name: "label", is_nullable: false, direction: Direction::Ascending },
            Order::Random,
        ]
    );
}

#[test]
fn a_cursor_in_a_random_order_is_refused() {
    let queries = [page_query("cursorAfter", "t1"), json!({ "method": "orderRandom" }).to_string()];
    assert_eq!(List::parse(&queries, &schema()), Err(Error::CursorInRandomOrder));
}

#[test]
fn attributes_can_be_selected_where_the_schema_allows_it() {
    let select = |names: Json| json!({ "method": "select", "values": names }).to_string();
    let unknown = Problem::UnknownMethod { method: "select".to_owned() };
    assert_eq!(refused(&select(json!(["label"]))), unknown);
    let schema = schema().with_select();
    let selected = |queries: &[String]| List::parse(queries, &schema).map(|list| list.select);
    assert_eq!(
        selected(&[select(json!(["label", "$id"])), select(json!(["label", "expire"]))]),
        Ok(Some(vec![Key::Label, Key::Id, Key::Expire]))
    );
    assert_eq!(selected(&[select(json!(["label", "*"])), select(json!(["$id"]))]), Ok(None));
    let unknown = selected(&[select(json!(["nothing"]))]);
    assert!(matches!(unknown, Err(Error::Query { problem: Problem::UnknownAttribute { .. }, .. })));
    let problem = Problem::ValueNotAName { method: Method::Select, found: JsonKind::Number };
    assert_eq!(selected(&[select(json!([1]))]), Err(Error::Query { index: 0, problem }));
}

#[test]
fn attributes_must_be_known_and_usable() {
    let check = |text: &str, name: &str, known_last: &str| match refused(text) {
        Problem::UnknownAttribute { attribute, known } => {
            assert_eq!((attribute.as_str(), known.last().copied()), (name, Some(known_last)), "{text}");
        }
        problem => panic!("{text}: {problem:?}"),
    };
    check(&query("equal", "Label", json!(["a"])), "Label", "tags");
    check(&query("isNull", "label.x", json!([])), "label.x", "tags");
    // Lists have no order.
    check(&query("orderAsc", "nothing", json!([])), "nothing", "active");
    check(&query("exists", "", json!(["label", "nothing"])), "nothing", "tags");
    assert_eq!(refused(&query("equal", "", json!(["a"]))), Problem::NoAttribute { method: Method::Equal });
    assert_eq!(refused(&query("equal", "secret", json!(["a"]))), Problem::NotFilterable { attribute: "secret" });
    assert_eq!(refused(&query("exists", "", json!(["secret"]))), Problem::NotFilterable { attribute: "secret" });
    assert_eq!(refused(&query("orderAsc", "secret", json!([]))), Problem::NotOrderable { attribute: "secret" });
    assert_eq!(refused(&query("orderDesc", "tags", json!([]))), Problem::NotOrderable { attribute: "tags" });
}

#[test]
fn values_must_be_of_the_type_of_the_attribute() {
    for (attribute, right, wrong) in [
        ("label", vec![json!(""), json!("a")], vec![json!(1), json!(true), json!(null), json!(["a"]), json!({})]),
        (
            "downloads",
            vec![json!(0), json!(-3), json!(3.0), json!(i64::MAX), json!(i64::MIN)],
            vec![json!("3"), json!(3.5), json!(u64::MAX), json!(1e300), json!(null)],
        ),
        (
            "expire",
            vec![
                json!("2030-01-31"),
                json!("2030-01-31T12:00:00.000+00:00"),
                json!("2030-01-31T12:00:00Z"),
                json!("2030-01-31 12:00:00+02:00"),
            ],
            vec![json!("soon"), json!(""), json!("2030-02-30"), json!(1_900_000_000), json!(null)],
        ),
        ("active", vec![json!(true), json!(false)], vec![json!("true"), json!(1), json!(null)]),
    ] {
        for value in right {
            assert!(is_read(&[query("equal", attribute, json!([value]))]), "{attribute} {value}");
        }
        for value in wrong {
            let problem = refused(&query("equal", attribute, json!([value])));
            assert!(matches!(problem, Problem::ValueType { method: Method::Equal, .. }), "{attribute} {value}");
        }
    }
}

#[test]
fn methods_must_go_with_the_type_of_the_attribute() {
    let texts = ["startsWith", "notStartsWith", "endsWith", "notEndsWith", "search", "notSearch", "regex"];
    let parts = ["contains", "notContains", "containsAny", "containsAll"];
    let comparisons = ["equal", "notEqual", "lessThan", "lessThanEqual", "greaterThan", "greaterThanEqual"];
    let not_for = |method: &str, attribute: &str| {
        let problem = refused(&query(method, attribute, json!(["2030-01-01"])));
        assert!(matches!(problem, Problem::MethodNotForType { .. }), "{method} {attribute}: {problem:?}");
    };
    for attribute in ["downloads", "expire", "active"] {
        texts.iter().chain(&parts).for_each(|method| not_for(method, attribute));
    }
    texts.iter().chain(&comparisons).for_each(|method| not_for(method, "tags"));
    for method in texts.iter().chain(&parts).chain(&comparisons) {
        assert!(is_read(&[query(method, "label", json!(["a"]))]), "{method}");
    }
    for attribute in ["label", "downloads", "expire", "active", "tags"] {
        assert!(is_read(&[query("isNull", attribute, json!([])), query("isNotNull", attribute, json!([]))]));
    }
}

#[test]
fn only_filters_stand_in_and_and_or() {
    for method in ["orderAsc", "orderRandom"] {
        let nested =
            json!({ "method": "or", "values": [{ "method": "isNull", "attribute": "expire" }, { "method": method }] });
        let method = Method::from_name(method).unwrap();
        assert_eq!(refused(&nested.to_string()), Problem::NotAFilter { method });
    }
    for method in ["limit", "offset", "cursorAfter", "select"] {
        let inner = json!({ "method": method, "values": [1] });
        let nested = json!({ "method": "and", "values": [inner, inner] });
        let method = Method::from_name(method).unwrap();
        assert_eq!(refused(&nested.to_string()), Problem::NotAFilter { method });
    }
    let texts = json!({ "method": "or", "values": ["{}", "{}"] });
    assert_eq!(refused(&texts.to_string()), Problem::NotAnObject { found: JsonKind::Text });
}
