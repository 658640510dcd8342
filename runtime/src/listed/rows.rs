//! Rows in memory, with what finds them by id, file, creation and expiry; and searches over them.
//!
//! Rows are ordered by what the queries say, then by their creation, then by their ids. So the order of two rows is always the same, and
//! a cursor has a place in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use query::{Direction, Fit, List, Narrowing, Operand, Order, Paging, Selection, SelectionError};
use transport::wire::{FileId, Timestamp};

use super::row::{Attribute, Row, RowId, Seen, schema};
use crate::dto::ListedToken;

/// A time in milliseconds since the Unix epoch, or null, which comes first; then what makes it unique.
type Place = (Option<i64>, RowId);
type Tree = BTreeMap<Place, Arc<Row>>;

/// The rows of a list. Each is once in each of these.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    by_id: HashMap<RowId, Arc<Row>>,
    by_file: HashMap<FileId, BTreeSet<RowId>>,
    by_creation: Tree,
    by_expiry: Tree,
    /// Those that change with the time, by when.
    changing: BTreeSet<(Timestamp, RowId)>,
}

/// What a list asks for.
#[derive(Debug)]
pub(crate) struct Search {
    list: List<Attribute>,
    paging: Paging,
    now: Timestamp,
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Found {
    rows: Vec<Arc<Row>>,
    /// How many rows match, up to the ceiling.
    pub(crate) total: u64,
    now: Timestamp,
}

/// A search that is shown rows.
pub(super) struct Selecting<'s> {
    selection: Selection<'s, Seen>,
    now: Timestamp,
}

impl Search {
    /// Reads the texts of queries. `seed` decides what a random order looks like.
    ///
    /// # Errors
    /// If they are not queries of this list.
    pub(crate) fn parse<T: AsRef<str>>(
        queries: &[T],
        is_counted: bool,
        now: Timestamp,
        seed: u64,
    ) -> Result<Self, query::Error> {
        let list = List::parse(queries, schema())?;
        let list = List { orders: complete(list.orders), ..list };
        let default = Paging::default();
        Ok(Self { list, paging: Paging { ceiling: default.ceiling.filter(|_| is_counted), seed, ..default }, now })
    }

    /// The time at which rows are seen.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The id that a cursor names.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.list.cursor.as_ref().map(|cursor| cursor.id.as_str())
    }

    /// `cursor` is the row that the cursor names.
    pub(super) fn begin(&self, cursor: Option<Arc<Row>>) -> Result<Selecting<'_>, SelectionError> {
        let now = self.now;
        let selection = Selection::new(&self.list, self.paging, cursor.map(|row| Seen { row, now }))?;
        Ok(Selecting { selection, now })
    }
}

impl Selecting<'_> {
    pub(super) fn offer(&mut self, row: &Arc<Row>) -> Result<(), SelectionError> {
        self.selection.offer(Seen { row: row.clone(), now: self.now })
    }

    pub(super) fn finish(self) -> Found {
        let page = self.selection.finish();
        Found { rows: page.records.into_iter().map(|seen| seen.row).collect(), total: page.total, now: self.now }
    }
}

impl Found {
    /// The tokens in the order of the list.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = ListedToken> + '_ {
        self.rows.iter().map(|row| row.to_dto(self.now))
    }
}

/// Either kind of token with this id.
pub(super) fn either(id: &str) -> [RowId; 2] {
    [RowId::E2e(id.into()), RowId::Node(id.into())]
}

/// The order of creation is that of a time and an id, and it comes last.
fn complete(orders: Vec<Order<Attribute>>) -> Vec<Order<Attribute>> {
    let by = |attribute, name, direction| Order::By { attribute, name, is_nullable: false, direction };
    let creation =
        |direction| [by(Attribute::CreatedAt, "createdAt", direction), by(Attribute::Id, "id", direction)].map(Some);
    let given = orders.into_iter().flat_map(|order| match order {
        Order::Creation(direction) => creation(direction),
        other => [Some(other), None],
    });
    let mut complete: Vec<Order<Attribute>> = Vec::new();
    for order in given.chain(creation(Direction::Ascending)).flatten() {
        let is_same = |other: &Order<Attribute>| attribute_of(*other) == attribute_of(order);
        if !complete.iter().any(is_same) {
            complete.push(order);
        }
    }
    complete
}

fn attribute_of(order: Order<Attribute>) -> Option<Attribute> {
    match order {
        Order::By { attribute, .. } => Some(attribute),
        Order::Creation(_) | Order::Random => None,
    }
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Adds a row, or replaces the one of the same token.
    pub(super) fn put(&mut self, row: Row) {
        self.remove(&row.id);
        let row = Arc::new(row);
        if let Some(file) = &row.file {
            self.by_file.entry(file.clone()).or_default().insert(row.id.clone());
        }
        self.by_creation.insert(creation(&row), row.clone());
        self.by_expiry.insert(expiry(&row), row.clone());
        self.changing.extend(change(&row));
        self.by_id.insert(row.id.clone(), row);
    }

    pub(super) fn remove(&mut self, id: &RowId) {
        let Some(row) = self.by_id.remove(id) else { return };
        self.by_creation.remove(&creation(&row));
        self.by_expiry.remove(&expiry(&row));
        if let Some(change) = change(&row) {
            self.changing.remove(&change);
        }
        if let Some(file) = &row.file
            && let Some(ids) = self.by_file.get_mut(file)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.by_file.remove(file);
            }
        }
    }

    /// Rows that may not be as they were, although nothing was stored.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = &RowId> {
        self.changing.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| id)
    }

    /// The page of a search. Rows that cannot be on it are not looked at, as far as ids, files, times and orders tell.
    ///
    /// # Errors
    /// As [`Selection::new`] and [`Selection::offer`].
    pub(super) fn search(&self, search: &Search) -> Result<Found, SelectionError> {
        let cursor = search.cursor().and_then(|id| either(id).iter().find_map(|id| self.by_id.get(id)));
        let mut selecting = search.begin(cursor.cloned())?;
        let plan = search.list.filter.plan();
        match self.named(&plan) {
            Some(rows) => rows.into_iter().try_for_each(|row| selecting.offer(row))?,
            None => self.walk(search, &plan, &mut selecting)?,
        }
        Ok(selecting.finish())
    }

    /// The rows with the ids, or for the files, that a filter asks for.
    fn named(&self, plan: &[Narrowing<Attribute>]) -> Option<Vec<&Arc<Row>>> {
        let texts = |attribute| {
            plan.iter().filter(|narrowing| narrowing.attribute == attribute).find_map(|narrowing| {
                match &narrowing.fit {
                    Fit::OneOf(operands) => Some(operands.iter().filter_map(text)),
                    Fit::Null | Fit::Within(..) => None,
                }
            })
        };
        if let Some(ids) = texts(Attribute::Id) {
            return Some(ids.flat_map(either).filter_map(|id| self.by_id.get(&id)).collect());
        }
        let files = texts(Attribute::FileId)?;
        let ids = files.filter_map(|file| self.by_file.get(&file.parse().ok()?)).flatten();
        Some(ids.filter_map(|id| self.by_id.get(id)).collect())
    }

    fn walk(
        &self,
        search: &Search,
        plan: &[Narrowing<Attribute>],
        selecting: &mut Selecting<'_>,
    ) -> Result<(), SelectionError> {
        let ranges = |attribute| {
            let narrowing = plan.iter().find(|narrowing| narrowing.attribute == attribute)?;
            Some(ranges_of(&narrowing.fit))
        };
        let (created, expires) = (ranges(Attribute::CreatedAt), ranges(Attribute::ExpiresAt));
        let everything = || vec![(Bound::Unbounded, Bound::Unbounded)];
        match search.list.orders.first() {
            Some(Order::By { attribute: Attribute::ExpiresAt, direction, .. })
                if expires.is_some() || created.is_none() =>
            {
                in_order(&self.by_expiry, expires.unwrap_or_else(everything), *direction, selecting)
            }
            Some(Order::By { attribute: Attribute::CreatedAt, direction, .. })
                if created.is_some() || expires.is_none() =>
            {
                in_order(&self.by_creation, created.unwrap_or_else(everything), *direction, selecting)
            }
            _ => {
                let (tree, ranges) = match (created, expires) {
                    (None, Some(ranges)) => (&self.by_expiry, ranges),
                    (ranges, _) => (&self.by_creation, ranges.unwrap_or_else(everything)),
                };
                let rows = ranges.into_iter().flat_map(|range| tree.range(range));
                rows.map(|(_, row)| row).try_for_each(|row| selecting.offer(row))
            }
        }
    }
}

/// Shows rows in the order of their times, until further ones change nothing. Rows of one time come in any order, so all of them are
/// shown or none.
fn in_order(
    tree: &Tree,
    mut ranges: Vec<Range>,
    direction: Direction,
    selecting: &mut Selecting<'_>,
) -> Result<(), SelectionError> {
    let mut last = None;
    let mut show = |(time, row): (Option<i64>, &Arc<Row>)| {
        let is_next = last.replace(time).is_some_and(|last| last != time);
        if is_next && selecting.selection.is_settled() {
            return Ok(false);
        }
        selecting.offer(row).map(|()| true)
    };
    if direction == Direction::Descending {
        ranges.reverse();
    }
    for range in ranges {
        let rows = tree.range(range).map(|((time, _), row)| (*time, row));
        let rows: Box<dyn Iterator<Item = _>> = match direction {
            Direction::Ascending => Box::new(rows),
            Direction::Descending => Box::new(rows.rev()),
        };
        for row in rows {
            if !show(row)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

type Range = (Bound<Place>, Bound<Place>);

/// The places of the times that fit, in their order.
fn ranges_of(fit: &Fit) -> Vec<Range> {
    match fit {
        Fit::Null => vec![(Bound::Unbounded, Bound::Excluded(first_of(Some(i64::MIN))))],
        Fit::OneOf(operands) => operands.iter().filter_map(time).map(|time| between(Some(time), Some(time))).collect(),
        Fit::Within(lower, upper) => {
            let lower = match lower {
                Bound::Unbounded => Some(i64::MIN),
                Bound::Included(operand) => time(operand),
                Bound::Excluded(operand) => time(operand).and_then(|time| time.checked_add(1)),
            };
            let upper = match upper {
                Bound::Unbounded => Some(i64::MAX),
                Bound::Included(operand) => time(operand),
                Bound::Excluded(operand) => time(operand).and_then(|time| time.checked_sub(1)),
            };
            match (lower, upper) {
                (Some(lower), Some(upper)) if lower <= upper => vec![between(Some(lower), Some(upper))],
                _ => Vec::new(),
            }
        }
    }
}

/// Both included.
fn between(lower: Option<i64>, upper: Option<i64>) -> Range {
    let end = upper.and_then(|upper| upper.checked_add(1));
    let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(first_of(Some(end))));
    (Bound::Included(first_of(lower)), end)
}

/// No place of this time is before it.
fn first_of(time: Option<i64>) -> Place {
    (time, RowId::E2e("".into()))
}

fn time(operand: &Operand) -> Option<i64> {
    if let Operand::Time(time) = operand { Some(*time) } else { None }
}

fn text(operand: &Operand) -> Option<&str> {
    if let Operand::Text(text) = operand { Some(text) } else { None }
}

fn creation(row: &Row) -> Place {
    (Some(row.created_at.as_unix_milliseconds()), row.id.clone())
}

fn change(row: &Row) -> Option<(Timestamp, RowId)> {
    row.changes_at.map(|at| (at, row.id.clone()))
}

fn expiry(row: &Row) -> Place {
    (row.expires_at.map(Timestamp::as_unix_milliseconds), row.id.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use query::{Method, Query};

    use super::super::tests::row;
    use super::*;

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
                    file: file.map(|number| format!("FIL{number:017}").parse().unwrap()),
                    label,
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

    fn ids(found: &Found) -> Vec<RowId> {
        found.rows.iter().map(|row| row.id.clone()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn the_index_finds_what_looking_at_every_row_finds(
            changes in prop::collection::vec((any_row(), prop::bool::weighted(0.2)), 0..80),
            queries in any_queries(),
            is_counted in any::<bool>(),
        ) {
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
            prop_assert_eq!(rows.len(), all.len());
            let search = Search::parse(&queries, is_counted, at(NOW), 0).unwrap();
            let seen: Vec<Seen> =
                all.values().map(|row| Seen { row: Arc::new(row.clone()), now: at(NOW) }).collect();
            let expected = search.list.page(&seen, search.paging);
            match (rows.search(&search), expected) {
                (Ok(found), Ok(expected)) => {
                    let expected_ids: Vec<RowId> = expected.records.iter().map(|seen| seen.row.id.clone()).collect();
                    prop_assert_eq!(ids(&found), expected_ids, "{:?}", queries);
                    prop_assert_eq!(found.total, expected.total, "{:?}", queries);
                }
                (found, expected) => prop_assert_eq!(found.map(drop), expected.map(drop)),
            }
        }
    }

    #[test]
    fn what_is_removed_leaves_nothing() {
        let mut rows = Rows::default();
        let (time, file) = (Some(at(1)), Some("FIL00000000000000001".parse().unwrap()));
        let full = Row { file, expires_at: time, changes_at: time, ..row(1) };
        let lengths = |rows: &Rows| {
            let of_times = [rows.by_creation.len(), rows.by_expiry.len(), rows.changing.len()];
            (rows.by_id.len(), rows.by_file.len(), of_times)
        };
        rows.put(full.clone());
        assert_eq!(lengths(&rows), (1, 1, [1, 1, 1]));
        rows.put(Row { file: None, expires_at: None, changes_at: None, created_at: at(9), ..full });
        assert_eq!(lengths(&rows), (1, 0, [1, 1, 0]));
        rows.remove(&row(1).id);
        rows.remove(&row(1).id);
        assert_eq!(lengths(&rows), (0, 0, [0, 0, 0]));
    }
}
