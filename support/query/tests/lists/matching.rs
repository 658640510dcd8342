//! Which records match.

use query::{Filter, Operand, Paging};
use serde_json::{Value as Json, json};

use crate::world::{Key, Token, list, query, read_time, sequences};

/// Token 1 has everything, token 2 nothing that may be missing.
fn tokens() -> [Token; 2] {
    let first = Token {
        label: "Annual Report.pdf".to_owned(),
        note: Some("for Ada".to_owned()),
        downloads: 3,
        remaining: Some(7),
        expire: read_time("2030-01-31T12:00:00Z"),
        active: false,
        tags: vec!["tax".to_owned(), "2030".to_owned()],
        ..Token::new(1)
    };
    [first, Token::new(2)]
}

#[track_caller]
fn check(method: &str, attribute: &str, values: Json, expected: &[u64]) {
    assert_eq!(
        sequences(&[query(method, attribute, values.clone())], &tokens()),
        expected,
        "{method} {attribute} {values}"
    );
}

#[test]
fn texts_are_compared_exactly() {
    check("equal", "label", json!(["Annual Report.pdf"]), &[1]);
    check("equal", "label", json!(["annual report.pdf"]), &[]);
    check("equal", "label", json!(["x", ""]), &[2]);
    check("notEqual", "label", json!([""]), &[1]);
    check("lessThan", "label", json!(["B"]), &[1, 2]);
    check("greaterThan", "label", json!([""]), &[1]);
    check("between", "label", json!(["A", "B"]), &[1]);
    check("startsWith", "label", json!(["Annual"]), &[1]);
    check("startsWith", "label", json!([""]), &[1, 2]);
    check("notStartsWith", "label", json!(["Annual"]), &[2]);
    check("endsWith", "label", json!([".pdf"]), &[1]);
    check("notEndsWith", "label", json!([".pdf"]), &[2]);
    check("contains", "label", json!(["Report"]), &[1]);
    check("contains", "label", json!(["x", "Rep"]), &[1]);
    check("containsAny", "label", json!(["x", "Rep"]), &[1]);
    check("containsAll", "label", json!(["x", "Rep"]), &[]);
    check("containsAll", "label", json!(["Annual", "Rep"]), &[1]);
    check("notContains", "label", json!(["x", "Rep"]), &[2]);
    check("search", "label", json!(["REPORT"]), &[1]);
    check("notSearch", "label", json!(["report"]), &[2]);
    check("regex", "label", json!(["^A.*f$"]), &[1]);
}

#[test]
fn numbers_and_booleans_are_compared_by_value() {
    check("equal", "downloads", json!([3.0]), &[1]);
    check("notEqual", "downloads", json!([3]), &[2]);
    check("lessThan", "downloads", json!([3]), &[2]);
    check("lessThanEqual", "downloads", json!([3]), &[1, 2]);
    check("greaterThan", "downloads", json!([0]), &[1]);
    check("greaterThanEqual", "downloads", json!([0]), &[1, 2]);
    check("between", "downloads", json!([3, 3]), &[1]);
    check("between", "downloads", json!([5, 1]), &[]);
    check("notBetween", "downloads", json!([0, 2]), &[1]);
    check("equal", "active", json!([true]), &[2]);
    check("equal", "active", json!([true, false]), &[1, 2]);
    check("lessThan", "active", json!([true]), &[1]);
}

#[test]
fn times_are_compared_as_instants() {
    for same in ["2030-01-31T12:00:00.000+00:00", "2030-01-31T14:00:00+02:00", "2030-01-31T07:00:00.000-05:00"] {
        check("equal", "expire", json!([same]), &[1]);
        check("notEqual", "expire", json!([same]), &[]);
    }
    // A bare date is its midnight in UTC.
    check("greaterThan", "expire", json!(["2030-01-31"]), &[1]);
    check("lessThan", "expire", json!(["2030-02-01"]), &[1]);
    check("between", "$createdAt", json!(["1970-01-02", "1970-01-02"]), &[1]);
}

#[test]
fn lists_contain_elements() {
    check("contains", "tags", json!(["tax"]), &[1]);
    check("contains", "tags", json!(["ta"]), &[]);
    check("containsAny", "tags", json!(["x", "2030"]), &[1]);
    check("containsAll", "tags", json!(["tax", "2030"]), &[1]);
    check("containsAll", "tags", json!(["tax", "x"]), &[]);
    check("notContains", "tags", json!(["tax"]), &[2]);
    check("isNotNull", "tags", json!([]), &[1, 2]);
}

#[test]
fn null_is_found_by_its_own_methods_only() {
    check("isNull", "expire", json!([]), &[2]);
    check("isNotNull", "expire", json!([]), &[1]);
    check("isNull", "label", json!([]), &[]);
    check("exists", "", json!(["expire", "label"]), &[1]);
    check("notExists", "", json!(["expire", "remaining"]), &[2]);
    check("notExists", "", json!(["expire", "label"]), &[]);
    check("notEqual", "remaining", json!([1]), &[1]);
    check("notBetween", "remaining", json!([1, 2]), &[1]);
    check("lessThanEqual", "remaining", json!([i64::MAX]), &[1]);
    check("greaterThanEqual", "remaining", json!([i64::MIN]), &[1]);
    for method in ["notStartsWith", "notEndsWith", "notContains", "notSearch", "notEqual"] {
        check(method, "note", json!(["x"]), &[1]);
    }
}

#[test]
fn filters_are_combined_with_and_and_nested_with_both() {
    let is_null = json!({ "method": "isNull", "attribute": "expire" });
    let some = json!({ "method": "greaterThan", "attribute": "downloads", "values": [0] });
    let combined = |method: &str, values: Json| json!({ "method": method, "values": values }).to_string();
    assert_eq!(sequences(&[combined("or", json!([is_null, some]))], &tokens()), [1, 2]);
    assert_eq!(sequences(&[combined("and", json!([is_null, some]))], &tokens()), [0; 0]);
    assert_eq!(sequences(&[is_null.to_string(), some.to_string()], &tokens()), [0; 0]);
    let inner = json!({ "method": "and", "values": [some, { "method": "isNotNull", "attribute": "expire" }] });
    assert_eq!(sequences(&[combined("or", json!([inner, inner]))], &tokens()), [1]);
    // Unknown is not true, and true decides.
    let unknown = json!({ "method": "notEqual", "attribute": "remaining", "values": [7] });
    assert_eq!(sequences(&[combined("or", json!([unknown, is_null]))], &tokens()), [2]);
    assert_eq!(sequences(&[combined("and", json!([unknown, is_null]))], &tokens()), [0; 0]);
}

#[test]
fn a_filter_of_nothing_matches_everything() {
    assert_eq!(list(&[]).filter, Filter::All(Vec::new()));
    assert_eq!(sequences(&[], &tokens()), [1, 2]);
}

#[test]
fn an_interface_adds_what_its_list_is_about() {
    let mut list = list(&[query("isNull", "expire", json!([]))]);
    let label = |text: &str| Filter::equal(Key::Label, vec![Operand::Text(text.to_owned())]);
    let plain = list.filter.clone();
    list.filter = plain.clone().and(label(""));
    assert_eq!(list.page(&tokens(), Paging::default()).unwrap().total, 1);
    assert_eq!(list.filter.plan().len(), 2);
    list.filter = plain.clone().and(label("other"));
    assert_eq!(list.page(&tokens(), Paging::default()).unwrap().total, 0);
    list.filter = plain.and(Filter::equal(Key::Label, Vec::new()));
    assert_eq!(list.page(&tokens(), Paging::default()).unwrap().total, 0);
}
