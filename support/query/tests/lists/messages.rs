//! What people read about queries that are refused.

use query::{Attribute, Kind, List, Paging, Schema};
use serde_json::{Value as Json, json};

use crate::world::{Token, list, page_query, query, schema};

#[test]
fn messages_say_what_is_wrong_and_the_next_step() {
    let nested = json!({ "method": "or", "values": [{ "method": "orderAsc" }, { "method": "orderAsc" }] }).to_string();
    for (text, expected) in [
        ("x".repeat(5000), "query 1: 5000 characters are too many; send at most 4096 in one query"),
        (
            "equal".to_owned(),
            "query 1: it is not JSON (expected value at line 1 column 1); write it as {\"method\": \"equal\", \"attribute\": \"name\", \"values\": [\"value\"]}",
        ),
        (
            "7".to_owned(),
            "query 1: a number is not a query; write an object such as {\"method\": \"equal\", \"attribute\": \"name\", \"values\": [\"value\"]}",
        ),
        ("{}".to_owned(), "query 1: it has no method; set \"method\" to a name such as \"equal\""),
        (
            query("elemMatch", "tags", json!([])),
            "query 1: the method \"elemMatch\" is not offered here; use one of equal, notEqual, lessThan, lessThanEqual, greaterThan, greaterThanEqual, between, notBetween, isNull, isNotNull, exists, notExists, startsWith, notStartsWith, endsWith, notEndsWith, contains, notContains, containsAny, containsAll, search, notSearch, regex, and, or, orderAsc, orderDesc, orderRandom, limit, offset, cursorAfter, cursorBefore",
        ),
        (
            query("equal", "expires", json!(["2030"])),
            "query 1: there is no attribute \"expires\"; use one of $id, $createdAt, $updatedAt, $sequence, label, note, downloads, remaining, expire, active, tags",
        ),
        (query("equal", "", json!([1])), "query 1: \"equal\" needs an attribute; set \"attribute\" to a name"),
        (
            query("equal", "secret", json!(["x"])),
            "query 1: this list cannot be filtered by \"secret\"; use another attribute",
        ),
        (
            query("search", "expire", json!(["x"])),
            "query 1: \"search\" does not apply to \"expire\", which is a point in time; use \"equal\", \"between\" or another comparison",
        ),
        (
            query("equal", "tags", json!(["x"])),
            "query 1: \"equal\" does not apply to \"tags\", which is a list; use \"contains\", \"containsAny\" or \"containsAll\"",
        ),
        (
            query("equal", "label", json!("x")),
            "query 1: \"values\" of \"equal\" is a text; write a list, also of a single value",
        ),
        (query("between", "downloads", json!([1])), "query 1: \"between\" takes exactly 2 values, not 1"),
        (
            query("equal", "expire", json!(["soon"])),
            "query 1: \"equal\" on \"expire\" takes a date-time such as \"2030-01-31T12:00:00.000+00:00\", not this text",
        ),
        (
            query("equal", "expire", json!([null])),
            "query 1: \"equal\" on \"expire\" takes a date-time such as \"2030-01-31T12:00:00.000+00:00\", not null; use \"isNull\" or \"isNotNull\"",
        ),
        (page_query("limit", 0), "query 1: the limit must be a whole number from 1 to 5000"),
        (page_query("offset", Json::Null), "query 1: the offset must be a whole number from 0 to 9223372036854775807"),
        (
            page_query("cursorAfter", "?"),
            "query 1: a cursor must be the id of a record: at most 255 letters, digits, \".\", \"_\" and \"-\", the first one a letter or digit",
        ),
        (nested, "query 1: \"orderAsc\" cannot stand in \"and\" or \"or\"; write it as a query of its own"),
        (
            query("regex", "label", json!(["("])),
            "query 1: the regular expression is invalid or too large; shorten it, and see that brackets and repetitions are complete",
        ),
    ] {
        assert_eq!(List::parse(&[text], &schema()).unwrap_err().to_string(), expected);
    }
}

#[test]
fn messages_about_cursors_say_how_to_go_on() {
    let not_found = list(&[page_query("cursorAfter", "t9")]).page(&[Token::new(1)], Paging::default()).unwrap_err();
    assert_eq!(
        not_found.to_string(),
        "there is no record \"t9\" to continue at; begin the list again without a cursor"
    );
}

#[test]
fn a_text_that_no_record_has_is_refused_where_whole_texts_are_compared() {
    let schema = Schema::new([Attribute::new((), "status", Kind::Text).one_of(&["active", "over"])], |_| None);
    let refused = |method: &str, values: Json| {
        List::parse(&[query(method, "status", values)], &schema).err().map(|error| error.to_string())
    };
    for (method, value) in [("equal", "Active"), ("notEqual", ""), ("equal", "bogus")] {
        let expected = format!("query 1: \"status\" is never \"{value}\"; use one of active, over");
        assert_eq!(refused(method, json!([value])), Some(expected));
    }
    assert_eq!(refused("equal", json!(["active", "over"])), None);
    assert!(refused("equal", json!(["active", "bogus"])).is_some(), "one of several");
    for method in ["contains", "startsWith", "search", "regex", "lessThan"] {
        assert_eq!(refused(method, json!(["act"])), None, "{method} is about parts and order");
    }
    let long = refused("equal", json!(["x".repeat(1000)])).unwrap();
    assert!(long.len() < 200, "{long}");
}
