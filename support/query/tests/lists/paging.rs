//! Orders, pages, cursors and totals.

use query::{
    MAX_LIMIT, MAX_NUMBER, MAX_REACH, MAX_STEPS, NullBesideCursor, PATTERN_STEPS, Page, Paging, Selection,
    SelectionError,
};
use serde_json::json;

use crate::world::{Token, list, page_query, query, sequences};

fn order(method: &str, attribute: &str) -> String {
    query(method, attribute, json!([]))
}

/// Tokens 1 to 60; `downloads` is 0 to 9 again and again, `remaining` is null in every third one.
fn tokens() -> Vec<Token> {
    let token = |sequence: u64| Token {
        downloads: i64::try_from(sequence % 10).unwrap(),
        remaining: (!sequence.is_multiple_of(3)).then(|| i64::try_from(sequence % 4).unwrap()),
        ..Token::new(sequence)
    };
    (1..=60).map(token).collect()
}

fn page(queries: &[String], paging: Paging) -> Result<(Vec<u64>, u64), SelectionError> {
    let tokens = tokens();
    let Page { records, total } = list(queries).page(&tokens, paging)?;
    Ok((records.iter().map(|token| token.sequence).collect(), total))
}

#[test]
fn without_an_order_the_oldest_come_first() {
    let mut tokens = tokens();
    tokens.reverse();
    assert_eq!(sequences(&[], &tokens), (1..=25).collect::<Vec<_>>());
    assert_eq!(sequences(&[order("orderDesc", ""), page_query("limit", 3)], &tokens), [60, 59, 58]);
}

#[test]
fn what_orders_leave_equal_is_in_the_order_of_creation() {
    let tokens = tokens();
    let limit = || page_query("limit", 4);
    assert_eq!(sequences(&[order("orderAsc", "downloads"), limit()], &tokens), [10, 20, 30, 40]);
    assert_eq!(sequences(&[order("orderDesc", "downloads"), limit()], &tokens), [9, 19, 29, 39]);
    let by_both = [order("orderDesc", "downloads"), order("orderDesc", "$createdAt"), limit()];
    assert_eq!(sequences(&by_both, &tokens), [59, 49, 39, 29]);
}

#[test]
fn null_comes_before_all_values() {
    let tokens = tokens();
    let limit = || page_query("limit", 2);
    assert_eq!(sequences(&[order("orderAsc", "remaining"), limit()], &tokens), [3, 6]);
    assert_eq!(sequences(&[order("orderDesc", "remaining"), limit()], &tokens), [7, 11]);
    let last = [order("orderDesc", "remaining"), page_query("offset", 58)];
    assert_eq!(sequences(&last, &tokens), [57, 60]);
}

#[test]
fn an_offset_beyond_the_end_leaves_nothing() {
    assert_eq!(page(&[page_query("offset", 59)], Paging::default()), Ok((vec![60], 60)));
    assert_eq!(page(&[page_query("offset", 60)], Paging::default()), Ok((vec![], 60)));
    let largest = [page_query("offset", MAX_REACH - MAX_LIMIT), page_query("limit", MAX_LIMIT)];
    assert_eq!(page(&largest, Paging::default()), Ok((vec![], 60)));
}

#[test]
fn offset_and_limit_reach_as_far_as_records_are_kept() {
    let by_downloads = || order("orderDesc", "downloads");
    let reach = |offset: u64| [by_downloads(), page_query("offset", offset), page_query("limit", MAX_LIMIT)];
    assert_eq!(page(&reach(MAX_REACH - MAX_LIMIT), Paging::default()), Ok((vec![], 60)));
    for offset in [MAX_REACH - MAX_LIMIT + 1, MAX_NUMBER] {
        assert_eq!(page(&reach(offset), Paging::default()), Err(SelectionError::TooFar), "{offset}");
    }
}

/// Records of a store that yields them in the order of creation, as they are shown, and the total.
fn in_order(queries: &[String]) -> Result<(Vec<u64>, u64), SelectionError> {
    let (list, tokens) = (list(queries), tokens());
    let cursor = list.cursor.as_ref().and_then(|named| tokens.iter().find(|token| token.id == named.id));
    let mut selection = Selection::in_order_of_creation(&list, Paging::default(), cursor)?;
    for token in &tokens {
        selection.offer(token)?;
    }
    let Page { records, total } = selection.finish();
    Ok((records.iter().map(|token| token.sequence).collect(), total))
}

#[test]
fn an_offset_in_the_order_of_creation_has_any_size() {
    let (offset, limit) = (|offset: u64| page_query("offset", offset), || page_query("limit", 2));
    assert_eq!(in_order(&[offset(MAX_NUMBER), limit()]), Ok((vec![], 60)));
    assert_eq!(in_order(&[order("orderAsc", ""), offset(MAX_NUMBER), limit()]), Ok((vec![], 60)));
    assert_eq!(in_order(&[offset(57), limit()]), Ok((vec![58, 59], 60)));
    assert_eq!(in_order(&[offset(59), limit()]), Ok((vec![60], 60)));
    let after = |id: &str| page_query("cursorAfter", id);
    assert_eq!(in_order(&[after("t10"), offset(3), limit()]), Ok((vec![14, 15], 60)));
    let filter = || query("equal", "downloads", json!([5]));
    assert_eq!(in_order(&[filter(), offset(1), limit()]), Ok((vec![15, 25], 6)));
    // In other orders and in front of a cursor it is kept.
    let before = |id: &str| page_query("cursorBefore", id);
    assert_eq!(in_order(&[before("t10"), offset(3), limit()]), Ok((vec![5, 6], 60)));
    assert_eq!(in_order(&[order("orderDesc", ""), offset(1), limit()]), Ok((vec![59, 58], 60)));
    for queries in [[before("t10"), offset(MAX_REACH)], [order("orderDesc", ""), offset(MAX_REACH)]] {
        assert_eq!(in_order(&queries), Err(SelectionError::TooFar));
    }
}

#[test]
fn a_list_takes_its_steps_and_no_more() {
    let offers = |queries: &[String]| {
        let (list, token) = (list(queries), Token::new(1));
        let mut selection = Selection::new(&list, Paging::default(), None).unwrap();
        let offered = (0_u64..).find(|_| selection.offer(&token).is_err()).unwrap();
        assert_eq!(selection.offer(&token), Err(SelectionError::TooMuchWork));
        offered
    };
    let pattern = || query("regex", "label", json!(["x"]));
    assert_eq!(offers(&[pattern(), pattern()]), MAX_STEPS / (1 + 2 * PATTERN_STEPS));
    let parts = query("notContains", "label", json!(vec!["a"; 100]));
    let either = query(
        "or",
        "",
        json!([
            serde_json::from_str::<serde_json::Value>(&parts).unwrap(),
            serde_json::from_str::<serde_json::Value>(&query("search", "label", json!(["a b c"]))).unwrap(),
        ]),
    );
    assert_eq!(offers(&[either, order("orderAsc", "label")]), MAX_STEPS / 105);
    let message = SelectionError::TooMuchWork.to_string();
    assert!(message.contains("use fewer conditions"), "{message}");
}

#[test]
fn cursors_continue_on_both_sides_in_the_order_of_the_list() {
    let by_downloads =
        |method: &str, id: &str| [order("orderAsc", "downloads"), page_query("limit", 3), page_query(method, id)];
    assert_eq!(page(&by_downloads("cursorAfter", "t30"), Paging::default()), Ok((vec![40, 50, 60], 60)));
    assert_eq!(page(&by_downloads("cursorAfter", "t60"), Paging::default()), Ok((vec![1, 11, 21], 60)));
    // Directly in front of it, not the start of the list.
    assert_eq!(page(&by_downloads("cursorBefore", "t11"), Paging::default()), Ok((vec![50, 60, 1], 60)));
    assert_eq!(page(&by_downloads("cursorBefore", "t20"), Paging::default()), Ok((vec![10], 60)));
    assert_eq!(page(&by_downloads("cursorBefore", "t10"), Paging::default()), Ok((vec![], 60)));
    // The offset counts from the cursor on.
    let mut queries = by_downloads("cursorBefore", "t11").to_vec();
    queries.push(page_query("offset", 2));
    assert_eq!(page(&queries, Paging::default()), Ok((vec![30, 40, 50], 60)));
}

#[test]
fn a_cursor_need_not_match_the_filter() {
    let queries = [query("greaterThan", "downloads", json!([8])), page_query("cursorAfter", "t10")];
    assert_eq!(page(&queries, Paging::default()), Ok((vec![19, 29, 39, 49, 59], 6)));
}

#[test]
fn a_cursor_of_another_list_is_not_found() {
    let queries = [page_query("cursorAfter", "elsewhere")];
    assert_eq!(page(&queries, Paging::default()), Err(SelectionError::CursorNotFound { id: "elsewhere".to_owned() }));
}

#[test]
fn cursors_page_through_null_unless_that_is_refused() {
    let refusing = Paging { null_beside_cursor: NullBesideCursor::Refuse, ..Paging::default() };
    let by_remaining =
        |id: &str| [order("orderAsc", "remaining"), page_query("limit", 2), page_query("cursorAfter", id)];
    let null = Err(SelectionError::Null { attribute: "remaining" });
    assert_eq!(page(&by_remaining("t57"), Paging::default()), Ok((vec![60, 4], 60)));
    // Null in the record of the cursor, and in another one.
    assert_eq!(page(&by_remaining("t57"), refusing), null);
    assert_eq!(page(&by_remaining("t4"), refusing), null);
    // Not if the filter leaves no null, or without a cursor.
    let mut without_null = by_remaining("t4").to_vec();
    without_null.push(query("isNotNull", "remaining", json!([])));
    assert_eq!(page(&without_null, refusing), Ok((vec![8, 16], 40)));
    assert_eq!(page(&by_remaining("t4")[..2], refusing), Ok((vec![3, 6], 60)));
}

#[test]
fn the_total_is_exact_up_to_the_ceiling() {
    let queries = [query("lessThan", "downloads", json!([5])), page_query("limit", 1), page_query("offset", 7)];
    let total = |ceiling: Option<u64>| page(&queries, Paging { ceiling, ..Paging::default() }).unwrap().1;
    assert_eq!(total(Some(31)), 30);
    assert_eq!(total(Some(30)), 30);
    assert_eq!(total(Some(29)), 29);
    assert_eq!(total(None), 0);
}

#[test]
fn a_random_order_depends_on_the_seed_only() {
    let shuffled = |seed: u64| {
        let queries = [order("orderRandom", ""), page_query("limit", 100)];
        page(&queries, Paging { seed, ..Paging::default() }).unwrap().0
    };
    assert_eq!(shuffled(1), shuffled(1));
    assert_ne!(shuffled(1), shuffled(2));
    let mut all = shuffled(1);
    all.sort_unstable();
    assert_eq!(all, (1..=60).collect::<Vec<_>>());
}

#[test]
fn a_selection_is_settled_by_a_full_page_and_a_counted_total() {
    let settled_after = |queries: &[String], paging: Paging| {
        let (list, tokens) = (list(queries), tokens());
        let cursor = list.cursor.as_ref().and_then(|named| tokens.iter().find(|token| token.id == named.id));
        let mut selection = Selection::new(&list, paging, cursor).unwrap();
        for token in &tokens {
            selection.offer(token).unwrap();
            if selection.is_settled() {
                return Some(token.sequence);
            }
        }
        None
    };
    let counting = |ceiling: Option<u64>| Paging { ceiling, ..Paging::default() };
    let page = [page_query("limit", 3), page_query("offset", 2)];
    assert_eq!(settled_after(&page, counting(None)), Some(5));
    assert_eq!(settled_after(&page, counting(Some(40))), Some(40));
    assert_eq!(settled_after(&page, counting(Some(61))), None);
    let with = |method: &str| [page_query("limit", 3), page_query(method, "t10")];
    assert_eq!(settled_after(&with("cursorAfter"), counting(None)), Some(13));
    assert_eq!(settled_after(&with("cursorBefore"), counting(None)), None);
    let refusing = Paging { null_beside_cursor: NullBesideCursor::Refuse, ..counting(None) };
    assert_eq!(settled_after(&with("cursorAfter"), refusing), Some(13), "nothing here can be null");
    let [limit, cursor] = with("cursorAfter");
    let by_nullable = [query("isNotNull", "remaining", json!([])), order("orderAsc", "remaining"), limit, cursor];
    assert_eq!(settled_after(&by_nullable, refusing), None);
}

#[test]
fn records_of_a_store_may_come_one_by_one_and_by_value() {
    let list = list(&[order("orderDesc", "downloads"), page_query("limit", 2), page_query("cursorAfter", "t9")]);
    let mut selection = Selection::new(&list, Paging::default(), Some(tokens().swap_remove(8))).unwrap();
    for token in tokens() {
        selection.offer(token).unwrap();
    }
    let page = selection.finish();
    assert_eq!(page.records.iter().map(|token| token.sequence).collect::<Vec<_>>(), [19, 29]);
}
