//! The evaluator against a slow one that follows the description of the language word by word, on random lists.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use query::{
    DEFAULT_LIMIT, Fit, List, MAX_QUERY_LENGTH, NullBesideCursor, Operand, Paging, Query, Record, Selection, Value,
};
use serde_json::{Value as Json, json};

use crate::world::{Key, Token, page_query, read_time, schema};

/// A value, told apart from null.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Boolean(bool),
    Texts(Vec<String>),
}

fn cell(token: &Token, attribute: &str) -> Cell {
    match attribute {
        "label" => Cell::Text(token.label.clone()),
        "note" => token.note.clone().map_or(Cell::Null, Cell::Text),
        "downloads" => Cell::Integer(token.downloads),
        "remaining" => token.remaining.map_or(Cell::Null, Cell::Integer),
        "expire" => token.expire.map_or(Cell::Null, Cell::Integer),
        "active" => Cell::Boolean(token.active),
        "tags" => Cell::Texts(token.tags.clone()),
        other => panic!("{other} is not generated"),
    }
}

/// A value of a query, for an attribute.
fn given(attribute: &str, value: &Json) -> Cell {
    match value {
        Json::String(text) if attribute == "expire" => Cell::Integer(read_time(text).unwrap()),
        Json::String(text) => Cell::Text(text.clone()),
        Json::Number(number) => Cell::Integer(number.as_i64().unwrap()),
        Json::Bool(boolean) => Cell::Boolean(*boolean),
        other => panic!("{other} is not generated"),
    }
}

/// SQL's three values: none is unknown.
fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| !truth)
}

fn and(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    not(and(not(one), not(other)))
}

fn truth(query: &Json, token: &Token) -> Option<bool> {
    let empty = Vec::new();
    let values = query["values"].as_array().unwrap_or(&empty);
    match query["method"].as_str().unwrap() {
        "and" => values.iter().map(|inner| truth(inner, token)).fold(Some(true), and),
        "or" => values.iter().map(|inner| truth(inner, token)).fold(Some(false), or),
        method => {
            let attribute = query["attribute"].as_str().unwrap();
            let values: Vec<Cell> = values.iter().map(|value| given(attribute, value)).collect();
            comparison(method, &cell(token, attribute), &values)
        }
    }
}

fn comparison(method: &str, cell: &Cell, values: &[Cell]) -> Option<bool> {
    match method {
        "isNull" => return Some(*cell == Cell::Null),
        "isNotNull" => return Some(*cell != Cell::Null),
        _ if *cell == Cell::Null => return None,
        _ => {}
    }
    if let Some(positive) = method.strip_prefix("not") {
        let positive = positive[..1].to_lowercase() + &positive[1..];
        return not(comparison(&positive, cell, values));
    }
    let text = |cell: &Cell| match cell {
        Cell::Text(text) => text.clone(),
        other => panic!("{other:?} is not generated"),
    };
    let has = |part: &Cell| match cell {
        Cell::Texts(list) => list.contains(&text(part)),
        cell => text(cell).contains(&text(part)),
    };
    Some(match method {
        "equal" => values.contains(cell),
        "lessThan" => *cell < values[0],
        "lessThanEqual" => *cell <= values[0],
        "greaterThan" => *cell > values[0],
        "greaterThanEqual" => *cell >= values[0],
        "between" => *cell >= values[0] && *cell <= values[1],
        "startsWith" => text(cell).starts_with(&text(&values[0])),
        "endsWith" => text(cell).ends_with(&text(&values[0])),
        "contains" | "containsAny" => values.iter().any(has),
        "containsAll" => values.iter().all(has),
        other => panic!("{other} is not generated"),
    })
}

/// Everything on the list in its order, whether it matches or not.
fn in_order<'t>(tokens: &'t [Token], orders: &[(String, bool)]) -> Vec<&'t Token> {
    let mut all: Vec<&Token> = tokens.iter().collect();
    all.sort_by_key(|token| token.sequence);
    // Stable, so the first order is applied last.
    for (attribute, is_ascending) in orders.iter().rev() {
        all.sort_by(|one, other| {
            // `Null` is the least cell.
            let order = cell(one, attribute).partial_cmp(&cell(other, attribute)).unwrap_or(Ordering::Equal);
            if *is_ascending { order } else { order.reverse() }
        });
    }
    all
}

#[derive(Debug, Clone)]
struct Asked {
    filters: Vec<Json>,
    orders: Vec<(String, bool)>,
    limit: Option<u64>,
    offset: Option<u64>,
    /// Id, and whether it is `cursorAfter`.
    cursor: Option<(String, bool)>,
}

impl Asked {
    fn queries(&self) -> Vec<String> {
        let mut queries: Vec<String> = self.filters.iter().map(Json::to_string).collect();
        let order = |(attribute, is_ascending): &(String, bool)| {
            if *is_ascending { Query::order_asc(attribute) } else { Query::order_desc(attribute) }
        };
        queries.extend(self.orders.iter().map(order).map(|query| query.to_string()));
        queries.extend(self.limit.map(|limit| Query::limit(limit).to_string()));
        queries.extend(self.offset.map(|offset| Query::offset(offset).to_string()));
        if let Some((id, is_after)) = &self.cursor {
            let cursor = if *is_after { Query::cursor_after(id) } else { Query::cursor_before(id) };
            queries.push(cursor.to_string());
        }
        queries
    }

    /// Sequences of the page, and the total; none if the cursor is not there.
    fn answer(&self, tokens: &[Token]) -> Option<(Vec<u64>, u64)> {
        let matches = |token: &&Token| self.filters.iter().all(|filter| truth(filter, token) == Some(true));
        let all = in_order(tokens, &self.orders);
        let total = all.iter().copied().filter(|token| matches(token)).count();
        let limit = usize::try_from(self.limit.unwrap_or(DEFAULT_LIMIT)).unwrap();
        let offset = usize::try_from(self.offset.unwrap_or(0)).unwrap();
        let place = |id: &str| all.iter().position(|token| token.id == id);
        let mut page: Vec<u64> = match &self.cursor {
            None => all.into_iter().filter(matches).skip(offset).take(limit).map(|token| token.sequence).collect(),
            Some((id, true)) => {
                let after = all[place(id)? + 1..].iter().copied();
                after.filter(matches).skip(offset).take(limit).map(|token| token.sequence).collect()
            }
            Some((id, false)) => {
                let before = all[..place(id)?].iter().copied().rev();
                before.filter(matches).skip(offset).take(limit).map(|token| token.sequence).collect()
            }
        };
        if matches!(self.cursor, Some((_, false))) {
            page.reverse();
        }
        Some((page, u64::try_from(total).unwrap()))
    }
}

fn texts() -> impl Strategy<Value = String> {
    select(vec!["", "a", "b", "ab", "ba", "aba", "ä", "\u{ffff}", "😀"]).prop_map(str::to_owned)
}

fn dates() -> impl Strategy<Value = &'static str> {
    let dates = ["2030-01-31", "2030-01-31T01:00:00+01:00", "2030-01-31T00:00:00.001Z", "2029-12-31T23:59:59Z"];
    select(dates.to_vec())
}

fn value(attribute: &str) -> BoxedStrategy<Json> {
    match attribute {
        "downloads" | "remaining" => (-2..3_i64).prop_map(Json::from).boxed(),
        "expire" => dates().prop_map(Json::from).boxed(),
        "active" => any::<bool>().prop_map(Json::from).boxed(),
        _ => texts().prop_map(Json::from).boxed(),
    }
}

fn condition() -> impl Strategy<Value = Json> {
    let one = ["notEqual", "lessThan", "lessThanEqual", "greaterThan", "greaterThanEqual"];
    let one_text = ["startsWith", "notStartsWith", "endsWith", "notEndsWith"];
    let parts = ["contains", "notContains", "containsAny", "containsAll"];
    let attributes = ["label", "note", "downloads", "remaining", "expire", "active", "tags"];
    select(attributes.to_vec()).prop_flat_map(move |attribute| {
        let with = move |methods: &[&'static str], counts: std::ops::RangeInclusive<usize>| {
            (select(methods.to_vec()), vec(value(attribute), counts))
        };
        let null = with(&["isNull", "isNotNull"], 0..=0).boxed();
        let comparisons = prop_oneof![
            3 => with(&["equal"], 1..=3),
            3 => with(&one, 1..=1),
            2 => with(&["between", "notBetween"], 2..=2),
        ];
        let of_texts = || prop_oneof![with(&one_text, 1..=1), with(&parts, 1..=2)];
        let methods = match attribute {
            "tags" => prop_oneof![1 => null, 3 => with(&parts, 1..=2)].boxed(),
            "label" | "note" => prop_oneof![1 => null, 4 => comparisons, 3 => of_texts()].boxed(),
            _ => prop_oneof![1 => null, 4 => comparisons].boxed(),
        };
        methods.prop_map(move |(method, values)| json!({ "method": method, "attribute": attribute, "values": values }))
    })
}

fn filter() -> impl Strategy<Value = Json> {
    condition().prop_recursive(3, 12, 3, |inner| {
        (select(vec!["and", "or"]), vec(inner, 2..=3))
            .prop_map(|(method, values)| json!({ "method": method, "values": values }))
    })
}

prop_compose! {
    fn asked()(
        filters in vec(filter(), 0..3),
        orders in vec((select(vec!["label", "note", "downloads", "remaining", "expire", "active"]), any::<bool>()), 0..4),
        limit in proptest::option::of(1..8_u64),
        offset in proptest::option::of(0..6_u64),
        cursor in proptest::option::of((0..45_u64, any::<bool>())),
    ) -> Asked {
        let orders = orders.into_iter().map(|(attribute, is_ascending)| (attribute.to_owned(), is_ascending)).collect();
        let cursor = cursor.map(|(sequence, is_after)| (format!("t{sequence}"), is_after));
        Asked { filters, orders, limit, offset, cursor }
    }
}

prop_compose! {
    fn token()(
        label in texts(),
        note in proptest::option::of(texts()),
        downloads in -2..3_i64,
        remaining in proptest::option::of(-2..3_i64),
        expire in proptest::option::of(dates()),
        active in any::<bool>(),
        tags in vec(texts(), 0..3),
    ) -> Token {
        let expire = expire.and_then(read_time);
        Token { label, note, downloads, remaining, expire, active, tags, ..Token::new(0) }
    }
}

fn tokens() -> impl Strategy<Value = Vec<Token>> {
    let numbered = |tokens: Vec<Token>| {
        let number = |(sequence, token): (u64, Token)| Token { sequence, id: format!("t{sequence}"), ..token };
        (0..).zip(tokens).map(number).collect::<Vec<_>>()
    };
    vec(token(), 0..40).prop_map(numbered).prop_shuffle()
}

fn paging() -> Paging {
    Paging { null_beside_cursor: NullBesideCursor::Order, ..Paging::default() }
}

/// What an index on an attribute finds, in its own order.
fn found_by_index<'t>(tokens: &'t [Token], attribute: Key, fit: &Fit) -> Vec<&'t Token> {
    let mut index: BTreeMap<Operand, Vec<&Token>> = BTreeMap::new();
    let mut null = Vec::new();
    for token in tokens {
        let operand = match token.value(attribute) {
            Some(Value::Text(text)) => Operand::Text(text.into_owned()),
            Some(Value::Integer(number)) => Operand::Integer(number),
            Some(Value::Time(time)) => Operand::Time(time),
            Some(Value::Boolean(boolean)) => Operand::Boolean(boolean),
            // Lists have no order; whether they are null, an index of texts tells, too.
            Some(Value::Texts(list)) => Operand::Text(list.concat()),
            None => {
                null.push(token);
                continue;
            }
        };
        index.entry(operand).or_default().push(token);
    }
    match fit {
        Fit::Null => null,
        Fit::OneOf(operands) => operands.iter().filter_map(|operand| index.get(operand)).flatten().copied().collect(),
        Fit::Within(lower, upper) => {
            let range: (Bound<&Operand>, Bound<&Operand>) = (lower.as_ref(), upper.as_ref());
            index.range::<Operand, _>(range).flat_map(|(_, tokens)| tokens).copied().collect()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn pages_are_those_of_the_reference(asked in asked(), tokens in tokens()) {
        let list = List::parse(&asked.queries(), &schema()).unwrap();
        let page = list.page(&tokens, paging()).ok();
        let page = page.map(|page| (page.records.iter().map(|token| token.sequence).collect(), page.total));
        prop_assert_eq!(page, asked.answer(&tokens));
    }

    #[test]
    fn an_index_never_changes_the_result(asked in asked(), tokens in tokens()) {
        let list = List::parse(&asked.queries(), &schema()).unwrap();
        let cursor = |id: &str| tokens.iter().find(|token| token.id == id);
        for narrowing in list.filter.plan() {
            for token in tokens.iter().filter(|token| list.filter.matches(token)) {
                prop_assert!(narrowing.fit.admits(token.value(narrowing.attribute).as_ref()), "{:?}", narrowing);
            }
            let cursor = list.cursor.as_ref().and_then(|named| cursor(&named.id));
            let Ok(mut selection) = Selection::new(&list, paging(), cursor) else { return Ok(()) };
            for token in found_by_index(&tokens, narrowing.attribute, &narrowing.fit) {
                selection.offer(token).unwrap();
            }
            prop_assert_eq!(selection.finish(), list.page(&tokens, paging()).unwrap());
        }
    }

    #[test]
    fn a_store_in_the_order_of_the_list_may_stop(
        asked in asked(), tokens in tokens(), ceiling in proptest::option::of(0..8_u64)
    ) {
        let list = List::parse(&asked.queries(), &schema()).unwrap();
        let paging = Paging { ceiling, ..paging() };
        let cursor = list.cursor.as_ref().and_then(|named| tokens.iter().find(|token| token.id == named.id));
        let Ok(mut selection) = Selection::new(&list, paging, cursor) else { return Ok(()) };
        for token in in_order(&tokens, &asked.orders) {
            if selection.is_settled() {
                break;
            }
            selection.offer(token).unwrap();
        }
        prop_assert_eq!(selection.finish(), list.page(&tokens, paging).unwrap());
    }

    #[test]
    fn written_queries_are_read_again(asked in asked()) {
        for text in asked.queries() {
            let query: Query = text.parse().unwrap();
            prop_assert_eq!(query.to_string().parse(), Ok(query));
        }
    }

    #[test]
    fn no_text_is_too_much_for_the_parser(text in any::<String>(), cut in 0..200_usize, asked in asked()) {
        let _ = List::parse(&[&text], &schema());
        for query in asked.queries() {
            let cut = query.chars().take(cut).collect::<String>();
            let _ = List::parse(&[cut.clone() + &text, cut + &query], &schema().with_select());
        }
    }

    #[test]
    fn no_json_is_too_much_for_the_parser(json in json_like_a_query()) {
        let text = json.to_string();
        match List::parse(&[&text], &schema().with_select()) {
            Ok(list) => prop_assert!(text.len() <= MAX_QUERY_LENGTH * 4 && list.limit > 0),
            // Messages repeat little of what was sent.
            Err(error) => prop_assert!(error.to_string().len() < 1000),
        }
    }
}

/// Objects with the members of queries and any values.
fn json_like_a_query() -> impl Strategy<Value = Json> {
    let method = select(query::Method::ALL.map(query::Method::name).to_vec()).prop_map(Json::from);
    let attributes = schema().attributes().iter().map(query::Attribute::name).collect::<Vec<_>>();
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        texts().prop_map(Json::from),
        select(attributes).prop_map(Json::from),
        "\\PC{0,20}".prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 64, 4, move |inner| {
        let values = vec(inner.clone(), 0..4).prop_map(Json::from);
        prop_oneof![
            values.clone(),
            (prop_oneof![4 => method.clone(), 1 => inner.clone()], inner.clone(), values).prop_map(
                |(method, attribute, values)| json!({ "method": method, "attribute": attribute, "values": values })
            ),
        ]
    })
}

#[test]
fn plans_name_what_an_index_can_answer_and_combine_it() {
    let plan = |queries: &[Json]| {
        let texts: Vec<String> = queries.iter().map(Json::to_string).collect();
        List::parse(&texts, &schema()).unwrap().filter.plan()
    };
    let compare = |method: &str, values: Json| json!({ "method": method, "attribute": "downloads", "values": values });
    let fits = |queries: &[Json]| plan(queries).into_iter().map(|narrowing| narrowing.fit).collect::<Vec<_>>();
    let number = Operand::Integer;
    assert_eq!(fits(&[compare("equal", json!([3, 1, 3]))]), [Fit::OneOf(vec![number(1), number(3)])]);
    let range =
        [compare("greaterThan", json!([1])), compare("lessThanEqual", json!([5])), compare("lessThan", json!([5]))];
    assert_eq!(fits(&range), [Fit::Within(Bound::Excluded(number(1)), Bound::Excluded(number(5)))]);
    assert_eq!(fits(&[range[0].clone(), compare("equal", json!([1, 2]))]), [Fit::OneOf(vec![number(2)])]);
    assert_eq!(fits(&[compare("between", json!([5, 1]))]), [Fit::OneOf(Vec::new())]);
    assert_eq!(fits(&[compare("isNull", json!([])), range[0].clone()]), [Fit::OneOf(Vec::new())]);
    assert_eq!(fits(&[compare("isNotNull", json!([]))]), [Fit::Within(Bound::Unbounded, Bound::Unbounded)]);
    let ranges = [("greaterThan", 1), ("greaterThanEqual", 3), ("lessThan", 9), ("lessThanEqual", 7)];
    let ranges = ranges.map(|(method, number)| compare(method, json!([number])));
    assert_eq!(fits(&ranges), [Fit::Within(Bound::Included(number(3)), Bound::Included(number(7)))]);
    for (lower, upper, is_empty) in [
        ("greaterThan", "lessThan", true),
        ("greaterThan", "lessThanEqual", true),
        ("greaterThanEqual", "lessThan", true),
        ("greaterThanEqual", "lessThanEqual", false),
    ] {
        let fits = fits(&[compare(lower, json!([1])), compare(upper, json!([1]))]);
        assert_eq!(fits == [Fit::OneOf(Vec::new())], is_empty, "{lower} {upper}");
    }
    // Nested in "and" is as good as beside it; "or" and negation leave other values.
    let nested = json!({ "method": "and", "values": [compare("equal", json!([1])), compare("notEqual", json!([1]))] });
    assert_eq!(fits(&[nested]), [Fit::OneOf(vec![number(1)])]);
    let either = json!({ "method": "or", "values": [compare("equal", json!([1])), compare("equal", json!([2]))] });
    assert_eq!(fits(&[either, compare("notBetween", json!([1, 2]))]), []);
    assert_eq!(plan(&[compare("equal", json!([1]))])[0].attribute, Key::Downloads);
    assert_eq!(page_query("limit", 1).parse::<Query>(), Ok(Query::limit(1)));
}
