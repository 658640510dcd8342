//! Rows in memory, with what finds them by id, file, label, creation and expiry; and searches over them.
//!
//! Rows of both kinds are ordered by what the queries say, then by their creation, then by their ids. So the order of two rows is always
//! the same, and a cursor has a place in it.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use query::{Direction, Fit, Narrowing, Operand, Order, Selection, SelectionError, Side};
use slab::Slab;
use transport::wire::Timestamp;

use super::labels::{ByLabel, Labelled};
use super::row::{Attribute, Row, RowId, Seen};
use super::search::Search;
use crate::core::TokenAccess;
use crate::dto::ListedToken;

/// A time in milliseconds since the Unix epoch, or null, which comes first; then what makes it unique.
type Place = (Option<i64>, RowId);
/// Where a row is among all rows.
pub(super) type Slot = usize;
type Tree = BTreeMap<Place, Slot>;

/// What part of all rows is looked at in the order of their labels, one by one anywhere in memory, before it is better to look at all as they
/// lie there.
const SCATTERED_PART: usize = 8;

/// The rows of a list. Each is once in each of these, if it has what that is about.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Side by side, because a list that no index helps looks at all of them: memory that is read in its order comes many times as fast.
    rows: Slab<Row>,
    by_id: HashMap<RowId, Slot>,
    /// By files of the protocol. Rows share these ids, so that they stay in the cache of the processor while rows are compared.
    by_file: HashMap<Arc<str>, BTreeSet<Slot>>,
    by_label: ByLabel,
    by_creation: Tree,
    by_expiry: Tree,
    /// Those on files in buckets, by their numbers: in the order of creation.
    by_number: BTreeMap<u64, Slot>,
    /// The same by their buckets, files and numbers.
    by_bucket_file: BTreeMap<(u64, u64, u64), Slot>,
    /// Those that change with the time, by when.
    changing: BTreeSet<(Timestamp, RowId)>,
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Found {
    rows: Vec<Row>,
    /// How many rows match, up to the ceiling.
    pub(crate) total: u64,
    now: Timestamp,
}

/// A search that is shown rows, which it borrows or owns.
pub(super) struct Selecting<'s, R: Borrow<Row>> {
    selection: Selection<'s, Seen<R>>,
    search: &'s Search,
}

impl<'s, R: Borrow<Row>> Selecting<'s, R> {
    /// `cursor` is the row that the cursor names.
    pub(super) fn new(search: &'s Search, cursor: Option<R>) -> Result<Self, SelectionError> {
        let cursor = cursor.map(|row| Seen { row, now: search.now });
        Ok(Self { selection: Selection::in_order_of_creation(&search.list, search.paging, cursor)?, search })
    }

    pub(super) fn offer(&mut self, row: R) -> Result<(), SelectionError> {
        if !self.search.admits(row.borrow()) {
            return Ok(());
        }
        self.selection.offer(self.seen(row))
    }

    fn seen(&self, row: R) -> Seen<R> {
        Seen { row, now: self.search.now }
    }

    /// Whether rows that follow in the order of the list change nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.selection.is_settled()
    }

    pub(super) fn finish(self) -> Found {
        let page = self.selection.finish();
        let rows = page.records.into_iter().map(|seen| seen.row.borrow().clone()).collect();
        Found { rows, total: page.total, now: self.search.now }
    }
}

impl Found {
    /// The tokens in the order of the list.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = ListedToken> + '_ {
        self.rows.iter().map(|row| row.to_dto(self.now))
    }

    /// Their ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> + '_ {
        self.rows.iter().map(|row| row.id.as_str())
    }
}

/// Either kind of token with this id.
pub(super) fn either(id: &str) -> [RowId; 2] {
    [RowId::E2e(id.into()), RowId::Node(id.into())]
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds a row, or replaces the one of the same token.
    pub(super) fn put(&mut self, mut row: Row) {
        self.remove(&row.id);
        let entry = self.rows.vacant_entry();
        let slot = entry.key();
        if let Some(file) = &mut row.file {
            if let Some((shared, _)) = self.by_file.get_key_value(&**file) {
                *file = shared.clone();
            }
            self.by_file.entry(file.clone()).or_default().insert(slot);
        }
        if let Some(of) = &row.bucket_file {
            self.by_number.insert(of.number, slot);
            self.by_bucket_file.insert((of.bucket, of.file, of.number), slot);
        }
        self.by_label.insert(&mut row, slot);
        self.by_creation.insert(creation(&row), slot);
        self.by_expiry.insert(expiry(&row), slot);
        self.changing.extend(change(&row));
        self.by_id.insert(row.id.clone(), slot);
        entry.insert(row);
    }

    pub(super) fn remove(&mut self, id: &RowId) {
        let Some(slot) = self.by_id.remove(id) else { return };
        let row = self.rows.remove(slot);
        self.by_label.remove(&row, slot);
        self.by_creation.remove(&creation(&row));
        self.by_expiry.remove(&expiry(&row));
        if let Some(change) = change(&row) {
            self.changing.remove(&change);
        }
        if let Some(of) = &row.bucket_file {
            self.by_number.remove(&of.number);
            self.by_bucket_file.remove(&(of.bucket, of.file, of.number));
        }
        if let Some(file) = &row.file
            && let Some(slots) = self.by_file.get_mut(file)
        {
            slots.remove(&slot);
            if slots.is_empty() {
                self.by_file.remove(file);
            }
        }
    }

    /// Rows that may not be as they were, although nothing was stored.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = &RowId> {
        self.changing.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| id)
    }

    /// Whether a row does not show one of these uses.
    pub(super) fn lack(&self, accesses: &BTreeMap<u64, TokenAccess>) -> bool {
        let shows =
            |row: &Row, access: &TokenAccess| row.accessed_at >= Some(access.at) && row.uncounted >= access.uncounted;
        accesses
            .iter()
            .any(|(number, access)| self.by_number.get(number).is_some_and(|slot| !shows(self.at(*slot), access)))
    }

    /// Shows these uses, unless a row already shows later ones: whoever has asked for them may have been overtaken. What is counted of
    /// a token, and when it was used last, never gets less, and no index is about it.
    pub(super) fn note(&mut self, accesses: &BTreeMap<u64, TokenAccess>) {
        for (number, access) in accesses {
            if let Some(slot) = self.by_number.get(number) {
                let row = &mut self.rows[*slot];
                row.accessed_at = row.accessed_at.max(Some(access.at));
                row.uncounted = row.uncounted.max(access.uncounted);
            }
        }
    }

    /// The page of a search. Rows that cannot be on it are not looked at, as far as ids, files, times and orders tell.
    ///
    /// # Errors
    /// As [`Selection::new`] and [`Selection::offer`].
    pub(super) fn search(&self, search: &Search) -> Result<Found, SelectionError> {
        let cursor = search.cursors().into_iter().find_map(|id| self.by_id.get(&id)).map(|slot| self.at(*slot));
        let cursor = cursor.filter(|row| search.is_of_list(row));
        let mut selecting = Selecting::new(search, cursor)?;
        let plan = search.list.filter.plan();
        match self.named(search, &plan) {
            Some(rows) => rows.into_iter().try_for_each(|row| selecting.offer(row))?,
            None => match self.labelled(search, &plan, cursor)? {
                Some(found) => return Ok(found),
                None => self.walk(search, &plan, &mut selecting)?,
            },
        }
        Ok(selecting.finish())
    }

    fn at(&self, slot: Slot) -> &Row {
        &self.rows[slot]
    }

    /// The rows with the ids, or for the files, that a search asks for, in the order of their numbers.
    fn named(&self, search: &Search, plan: &[Narrowing<Attribute>]) -> Option<Vec<&Row>> {
        let texts = |attribute| {
            plan.iter().filter(|narrowing| narrowing.attribute == attribute).find_map(|narrowing| {
                match &narrowing.fit {
                    Fit::OneOf(operands) => Some(operands.iter().filter_map(text)),
                    Fit::Null | Fit::Within(..) => None,
                }
            })
        };
        let slots: Vec<Slot> = if let Some(ids) = texts(Attribute::Id) {
            ids.flat_map(either).filter_map(|id| self.by_id.get(&id).copied()).collect()
        } else if let Some((bucket, file)) = search.bucket_file() {
            let numbers = (bucket, file, u64::MIN)..=(bucket, file, u64::MAX);
            self.by_bucket_file.range(numbers).map(|(_, slot)| *slot).collect()
        } else {
            texts(Attribute::FileId)?.filter_map(|file| self.by_file.get(file)).flatten().copied().collect()
        };
        let mut rows: Vec<&Row> = slots.into_iter().map(|slot| self.at(slot)).collect();
        rows.sort_unstable_by_key(|row| row.number());
        Some(rows)
    }

    /// The page of a search in the order of labels; none for other searches, and for those that are better made otherwise.
    fn labelled(
        &self,
        search: &Search,
        plan: &[Narrowing<Attribute>],
        cursor: Option<&Row>,
    ) -> Result<Option<Found>, SelectionError> {
        let Some(&Order::By { attribute: attribute @ (Attribute::Label | Attribute::Note), direction, .. }) =
            search.list.orders.first()
        else {
            return Ok(None);
        };
        let finds =
            |narrowing: &Narrowing<_>| matches!(narrowing.attribute, Attribute::CreatedAt | Attribute::ExpiresAt);
        if plan.iter().any(finds) {
            return Ok(None);
        }
        let mut selecting = Selecting::new(search, cursor)?;
        let is_complete = match search.is_decided_by(attribute) && !selecting.selection.may_refuse() {
            true => self.by_labels(search, direction, cursor, &mut selecting).map(|()| true)?,
            false => self.by_rows_of_labels(search, direction, &mut selecting)?,
        };
        Ok(is_complete.then(|| selecting.finish()))
    }

    /// Looks at one row of each label, and at those that may be on the page: they come from its beginning on, so that no further one is on
    /// it once it is full.
    fn by_labels<'r>(
        &'r self,
        search: &Search,
        direction: Direction,
        cursor: Option<&Row>,
        selecting: &mut Selecting<'_, &'r Row>,
    ) -> Result<(), SelectionError> {
        let side = search.list.cursor.as_ref().map(|cursor| cursor.side);
        let direction = if side == Some(Side::Before) { opposite(direction) } else { direction };
        let [ahead, behind] = match cursor {
            Some(row) => self.by_label.from(row, direction),
            None => [self.by_label.in_order(direction), Box::new(std::iter::empty())],
        };
        let rows = ahead.map(|row| (row, true)).chain(behind.map(|row| (row, false)));
        let mut last: Option<&Labelled> = None;
        let (mut matches, mut is_full) = (None, false);
        for (labelled, is_ahead) in rows {
            if last.replace(labelled).is_none_or(|last| !last.has_label_of(labelled)) {
                (matches, is_full) = (None, selecting.selection.is_full());
            }
            if !search.has(labelled) {
                continue;
            }
            let row = self.at(labelled.slot());
            let is_match = match matches {
                Some(known) => known,
                None => *matches.insert(selecting.selection.matches(&selecting.seen(row))?),
            };
            match is_match {
                false => {}
                true if is_ahead && !is_full => selecting.selection.add(selecting.seen(row))?,
                true if selecting.selection.is_counted() => break,
                true => selecting.selection.count(),
            }
        }
        Ok(())
    }

    /// Looks at rows one by one, until further ones change nothing. Says whether that was soon enough.
    fn by_rows_of_labels<'r>(
        &'r self,
        search: &Search,
        direction: Direction,
        selecting: &mut Selecting<'_, &'r Row>,
    ) -> Result<bool, SelectionError> {
        if search.list.cursor.as_ref().is_some_and(|cursor| cursor.side == Side::Before) {
            return Ok(false);
        }
        let mut last: Option<&Labelled> = None;
        for (number, labelled) in self.by_label.in_order(direction).enumerate() {
            let is_next = last.replace(labelled).is_some_and(|last| !last.has_label_of(labelled));
            if is_next && selecting.is_settled() {
                return Ok(true);
            }
            if number > self.rows.len() / SCATTERED_PART {
                return Ok(false);
            }
            if search.has(labelled) {
                selecting.offer(self.at(labelled.slot()))?;
            }
        }
        Ok(true)
    }

    fn walk<'r>(
        &'r self,
        search: &Search,
        plan: &[Narrowing<Attribute>],
        selecting: &mut Selecting<'_, &'r Row>,
    ) -> Result<(), SelectionError> {
        let ranges = |attribute| {
            let narrowing = plan.iter().find(|narrowing| narrowing.attribute == attribute)?;
            Some(ranges_of(&narrowing.fit))
        };
        let (created, expires) = (ranges(Attribute::CreatedAt), ranges(Attribute::ExpiresAt));
        let everything = || vec![(Bound::Unbounded, Bound::Unbounded)];
        match search.list.orders.first() {
            // Of file tokens only: the order of creation of both kinds is one by attributes.
            None | Some(Order::Creation(Direction::Ascending)) => {
                until_settled(self.by_number.values().map(|slot| self.at(*slot)), selecting)
            }
            Some(Order::Creation(Direction::Descending)) => {
                until_settled(self.by_number.values().rev().map(|slot| self.at(*slot)), selecting)
            }
            Some(Order::By { attribute: Attribute::ExpiresAt, direction, .. })
                if expires.is_some() || created.is_none() =>
            {
                self.in_order(&self.by_expiry, expires.unwrap_or_else(everything), *direction, selecting)
            }
            Some(Order::By { attribute: Attribute::CreatedAt, direction, .. })
                if created.is_some() || expires.is_none() =>
            {
                self.in_order(&self.by_creation, created.unwrap_or_else(everything), *direction, selecting)
            }
            _ => match (created, expires) {
                (None, None) => self.rows.iter().try_for_each(|(_, row)| selecting.offer(row)),
                (None, Some(ranges)) => self.offer_ranges(&self.by_expiry, ranges, selecting),
                (Some(ranges), _) => self.offer_ranges(&self.by_creation, ranges, selecting),
            },
        }
    }

    /// Shows rows in the order of their times, until further ones change nothing. Rows of one time come in any order, so all of them are
    /// shown or none.
    fn in_order<'r>(
        &'r self,
        tree: &Tree,
        mut ranges: Vec<Range>,
        direction: Direction,
        selecting: &mut Selecting<'_, &'r Row>,
    ) -> Result<(), SelectionError> {
        let mut last = None;
        let mut show = |(time, slot): (Option<i64>, Slot)| {
            let is_next = last.replace(time).is_some_and(|last| last != time);
            if is_next && selecting.is_settled() {
                return Ok(false);
            }
            selecting.offer(self.at(slot)).map(|()| true)
        };
        if direction == Direction::Descending {
            ranges.reverse();
        }
        for range in ranges {
            let rows = tree.range(range).map(|((time, _), slot)| (*time, *slot));
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

    /// Shows all rows whose times are in the ranges. In the order of their places in memory, because many may be.
    fn offer_ranges<'r>(
        &'r self,
        tree: &Tree,
        ranges: Vec<Range>,
        selecting: &mut Selecting<'_, &'r Row>,
    ) -> Result<(), SelectionError> {
        let mut slots: Vec<Slot> =
            ranges.into_iter().flat_map(|range| tree.range(range)).map(|(_, slot)| *slot).collect();
        slots.sort_unstable();
        slots.into_iter().try_for_each(|slot| selecting.offer(self.at(slot)))
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ascending => Direction::Descending,
        Direction::Descending => Direction::Ascending,
    }
}

/// Shows rows that come in the order of the list, until further ones change nothing.
fn until_settled<'r>(
    rows: impl Iterator<Item = &'r Row>,
    selecting: &mut Selecting<'_, &'r Row>,
) -> Result<(), SelectionError> {
    for row in rows {
        selecting.offer(row)?;
        if selecting.is_settled() {
            break;
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
    use query::{Method, NullBesideCursor, Paging, Query};

    use super::super::row::BucketFile;
    use super::super::search::FileTokenQueries;
    use super::super::tests::row;
    use super::*;
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

    fn ids(found: &Found) -> Vec<RowId> {
        found.rows.iter().map(|row| row.id.clone()).collect()
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
        match (rows.search(&search), expected) {
            (Ok(found), Ok(expected)) => {
                let expected_ids: Vec<RowId> = expected.records.iter().map(|seen| seen.row.id.clone()).collect();
                prop_assert_eq!(ids(&found), expected_ids, "{:?}", queries);
                prop_assert_eq!(found.total, expected.total, "{:?}", queries);
            }
            (found, expected) => prop_assert_eq!(found.map(drop), expected.map(drop)),
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
            match (rows.search(&search), expected()) {
                (Ok(found), Ok(expected)) => {
                    let expected_ids: Vec<RowId> = expected.records.iter().map(|seen| seen.row.id.clone()).collect();
                    prop_assert_eq!(ids(&found), expected_ids, "{:?}", queries);
                    prop_assert_eq!(found.total, expected.total, "{:?}", queries);
                }
                (found, expected) => {
                    prop_assert_eq!(found.map(drop), expected.map(drop).map_err(|error: SelectionError| error));
                }
            }
        }
    }

    #[test]
    fn rows_share_the_ids_of_their_files_and_their_labels() {
        let mut rows = Rows::default();
        for number in 0..3 {
            rows.put(Row { file: Some("FIL00000000000000001".into()), label: Some("for Ada".into()), ..row(number) });
        }
        for texts in [|row: &Row| row.file.clone(), |row: &Row| row.label.clone()] {
            let texts: Vec<_> = rows.rows.iter().filter_map(|(_, row)| texts(row)).collect();
            assert_eq!(texts.len(), 3);
            assert!(texts.iter().all(|text| Arc::ptr_eq(text, &texts[0])));
        }
    }

    #[test]
    fn what_is_removed_leaves_nothing() {
        let mut rows = Rows::default();
        let (time, file) = (Some(at(1)), Some("FIL00000000000000001".into()));
        let bucket_file = Some(BucketFile { number: 1, bucket: 2, file: 3, notify: Notify::None });
        let full = Row { file, bucket_file, expires_at: time, changes_at: time, ..row(1) };
        let lengths = |rows: &Rows| {
            let of_times = [rows.by_creation.len(), rows.by_expiry.len(), rows.changing.len()];
            let of_files = [rows.by_file.len(), rows.by_number.len(), rows.by_bucket_file.len()];
            ([rows.rows.len(), rows.by_id.len(), rows.by_label.len()], of_files, of_times)
        };
        rows.put(full.clone());
        assert_eq!(lengths(&rows), ([1; 3], [1; 3], [1, 1, 1]));
        rows.put(Row { file: None, bucket_file: None, expires_at: None, changes_at: None, created_at: at(9), ..full });
        assert_eq!(lengths(&rows), ([1; 3], [0; 3], [1, 1, 0]));
        rows.remove(&row(1).id);
        rows.remove(&row(1).id);
        assert_eq!(lengths(&rows), ([0; 3], [0; 3], [0, 0, 0]));
    }
}
