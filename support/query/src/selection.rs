//! One page of a list.

use std::cmp::Ordering;

use crate::bounds::{DEFAULT_CEILING, MAX_REACH, MAX_STEPS};
use crate::list::{List, Side};
use crate::order::{self, Direction, Order};
use crate::record::Record;

/// How a page is made, besides what its queries say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// Up to how many matches are counted; none to count nothing, so that the total is 0.
    pub ceiling: Option<u64>,
    /// What happens if a list has a cursor and an order by an attribute that is null in a matching record.
    pub null_beside_cursor: NullBesideCursor,
    /// Decides what a random order looks like: the same seed gives the same order of the same records.
    pub seed: u64,
}

impl Default for Paging {
    /// Counts up to [`DEFAULT_CEILING`] matches and orders null beside a cursor as everywhere.
    fn default() -> Self {
        Self { ceiling: Some(DEFAULT_CEILING), null_beside_cursor: NullBesideCursor::Order, seed: 0 }
    }
}

/// What happens if a list has a cursor and an order by an attribute that is null in the record of the cursor or in one that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullBesideCursor {
    /// [`SelectionError::Null`].
    Refuse,
    /// Null comes before all values, as without a cursor.
    Order,
}

/// A page cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// The list has no record with the id of the cursor.
    #[error("there is no record \"{id}\" to continue at; begin the list again without a cursor")]
    CursorNotFound {
        /// The id that the cursor names.
        id: String,
    },
    /// See [`NullBesideCursor::Refuse`].
    #[error(
        "\"{attribute}\" is null in some records, so a cursor has no place in that order; filter with \"isNotNull\", or use \"offset\""
    )]
    Null {
        /// As queries write it.
        attribute: &'static str,
    },
    /// Offset and limit together are more than [`MAX_REACH`], in another order than that in which records come.
    #[error(
        "offset and limit together must be at most {MAX_REACH} in this order; continue with \"cursorAfter\" instead of \"offset\""
    )]
    TooFar,
    /// The list takes more than [`MAX_STEPS`].
    #[error(
        "the list takes too long; use fewer conditions and no \"regex\", or a smaller limit in the order of creation"
    )]
    TooMuchWork,
}

/// The records that a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<R> {
    /// In the order of the list.
    pub records: Vec<R>,
    /// How many records match, whatever limit, offset and cursor are; at most the ceiling of [`Paging`].
    pub total: u64,
}

/// Makes a page of records that come one by one, in any order.
///
/// Keeps less than twice as many of them as the list shows and skips, at most twice [`MAX_REACH`], and needs time proportional to the
/// records that come, bounded by [`MAX_STEPS`]: only what may be on the page is ordered.
#[derive(Debug)]
pub struct Selection<'l, R: Record> {
    list: &'l List<R::Key>,
    paging: Paging,
    /// With the side that the records of the page are on.
    cursor: Option<(R, Side)>,
    best: Best<R>,
    /// How many of the best ones are left out at the end.
    offset: u64,
    /// How many records that come are still left out without keeping them.
    skipped: u64,
    /// Steps of each record, and those that are left.
    steps: u64,
    steps_left: u64,
    /// Matches, up to the ceiling.
    total: u64,
}

impl<'l, R: Record> Selection<'l, R> {
    /// `cursor` is the record that the list's cursor names, also if the filter does not match it; it is ignored if the list has none.
    ///
    /// # Errors
    /// [`SelectionError::CursorNotFound`] if the list has a cursor and there is no record; [`SelectionError::Null`] if that is refused;
    /// [`SelectionError::TooFar`] if offset and limit are too large.
    pub fn new(list: &'l List<R::Key>, paging: Paging, cursor: Option<R>) -> Result<Self, SelectionError> {
        Self::open(list, paging, cursor, false)
    }

    /// The same for records that come in the order of creation. If that is the order of the list, an offset may have any size, because
    /// what it leaves out is not kept.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn in_order_of_creation(
        list: &'l List<R::Key>,
        paging: Paging,
        cursor: Option<R>,
    ) -> Result<Self, SelectionError> {
        Self::open(
            list,
            paging,
            cursor,
            matches!(list.orders.first(), None | Some(Order::Creation(Direction::Ascending))),
        )
    }

    fn open(
        list: &'l List<R::Key>,
        paging: Paging,
        cursor: Option<R>,
        is_in_order: bool,
    ) -> Result<Self, SelectionError> {
        let cursor = match (&list.cursor, cursor) {
            (None, _) => None,
            (Some(named), Some(record)) => Some((record, named.side)),
            (Some(named), None) => return Err(SelectionError::CursorNotFound { id: named.id.clone() }),
        };
        let is_skipping = is_in_order && !matches!(cursor, Some((_, Side::Before)));
        let (skipped, offset) = if is_skipping { (list.offset, 0) } else { (0, list.offset) };
        let kept = offset.saturating_add(list.limit);
        let kept = usize::try_from(kept).ok().filter(|_| kept <= MAX_REACH).ok_or(SelectionError::TooFar)?;
        let steps = 1 + list.orders.len() as u64 + list.filter.steps();
        let best = Best::new(kept);
        let selection = Self { list, paging, cursor, best, offset, skipped, steps, steps_left: MAX_STEPS, total: 0 };
        if let Some((record, _)) = &selection.cursor {
            selection.refuse_null(record)?;
        }
        Ok(selection)
    }

    /// Looks at one record. Each record of the list comes once, that of the cursor included; those that do not match may be left out.
    ///
    /// # Errors
    /// [`SelectionError::Null`] if that is refused; [`SelectionError::TooMuchWork`].
    pub fn offer(&mut self, record: R) -> Result<(), SelectionError> {
        self.spend(self.steps)?;
        if self.list.filter.matches(&record) { self.select(record) } else { Ok(()) }
    }

    /// Whether the filter matches a record. For a store that knows of several that all match or none does, for instance by
    /// [`Filter::is_about`](crate::Filter::is_about): if one of them matches, each comes once by [`add`](Self::add) or
    /// [`count`](Self::count).
    ///
    /// # Errors
    /// [`SelectionError::TooMuchWork`].
    pub fn matches(&mut self, record: &R) -> Result<bool, SelectionError> {
        self.spend(self.list.filter.steps())?;
        Ok(self.list.filter.matches(record))
    }

    /// Looks at a record that is known to match, as [`offer`](Self::offer) does.
    ///
    /// # Errors
    /// As [`offer`](Self::offer).
    pub fn add(&mut self, record: R) -> Result<(), SelectionError> {
        self.spend(1 + self.list.orders.len() as u64)?;
        self.select(record)
    }

    /// Counts a record that matches and is known not to be on the page. Not if [null is refused](Self::may_refuse).
    pub fn count(&mut self) {
        if self.paging.ceiling.is_some_and(|ceiling| self.total < ceiling) {
            self.total += 1;
        }
    }

    fn spend(&mut self, steps: u64) -> Result<(), SelectionError> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(SelectionError::TooMuchWork)?;
        Ok(())
    }

    fn select(&mut self, record: R) -> Result<(), SelectionError> {
        self.count();
        self.refuse_null(&record)?;
        let (list, seed) = (self.list, self.paging.seed);
        let compare = |one: &R, other: &R| order::compare(&list.orders, seed, one, other);
        match &self.cursor {
            Some((cursor, Side::After)) if compare(&record, cursor).is_le() => {}
            None | Some((_, Side::After)) if self.skipped > 0 => self.skipped -= 1,
            None | Some((_, Side::After)) => self.best.add(record, compare),
            Some((cursor, Side::Before)) if compare(&record, cursor).is_lt() => {
                self.best.add(record, |one, other| compare(other, one));
            }
            Some((_, Side::Before)) => {}
        }
        Ok(())
    }

    /// Whether records that follow all those that have come in the order of the list can change nothing any more.
    ///
    /// A store that yields records in the order of the list, for instance in that of creation, can stop then.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let needs_all = match self.cursor {
            None => false,
            Some((_, Side::After)) => self.may_refuse(),
            Some((_, Side::Before)) => true,
        };
        self.is_counted() && !needs_all && self.is_full()
    }

    /// Whether further matches are not counted.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.paging.ceiling.is_none_or(|ceiling| self.total >= ceiling)
    }

    /// Whether as many records have come that are on the right side of the cursor as the list shows and skips: then one that is farther
    /// from the beginning of the page than all that have come is not on it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.best.candidates.len() >= self.best.size
    }

    /// Whether each match has to be looked at, because null is refused.
    #[must_use]
    pub fn may_refuse(&self) -> bool {
        self.cursor.is_some() && self.refuses_null() && self.list.orders.iter().any(Order::is_nullable)
    }

    /// The page of what has come.
    #[must_use]
    pub fn finish(self) -> Page<R> {
        let (orders, seed) = (&self.list.orders, self.paging.seed);
        let compare = |one: &R, other: &R| order::compare(orders, seed, one, other);
        let first = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let records = match self.cursor {
            None | Some((_, Side::After)) => self.best.into_sorted_from(first, compare),
            Some((_, Side::Before)) => {
                // From the cursor on, so that the offset leaves out what is next to it.
                let mut records = self.best.into_sorted_from(first, |one, other| compare(other, one));
                records.reverse();
                records
            }
        };
        Page { records, total: self.total }
    }

    fn refuses_null(&self) -> bool {
        self.paging.null_beside_cursor == NullBesideCursor::Refuse
    }

    /// Only lists with a cursor refuse null.
    fn refuse_null(&self, record: &R) -> Result<(), SelectionError> {
        if self.cursor.is_none() || !self.refuses_null() {
            return Ok(());
        }
        for order in &self.list.orders {
            if let Order::By { attribute, name, is_nullable: true, .. } = *order
                && record.value(attribute).is_none()
            {
                return Err(SelectionError::Null { attribute: name });
            }
        }
        Ok(())
    }
}

impl<K: Copy> List<K> {
    /// One page of records that are in memory.
    ///
    /// # Errors
    /// As [`Selection::new`] and [`Selection::offer`].
    pub fn page<'r, R: Record<Key = K>>(
        &self,
        records: &'r [R],
        paging: Paging,
    ) -> Result<Page<&'r R>, SelectionError> {
        let named = self.cursor.as_ref().and_then(|cursor| records.iter().find(|record| record.id() == cursor.id));
        let mut selection = Selection::new(self, paging, named)?;
        for record in records {
            selection.offer(record)?;
        }
        Ok(selection.finish())
    }
}

/// The least of what was added, so many at most.
#[derive(Debug)]
struct Best<R> {
    /// The least `size` ones among others.
    candidates: Vec<R>,
    size: usize,
    /// Whether the candidate at `size - 1` is the greatest of the least `size` ones, and those before it are the others.
    is_partitioned: bool,
}

impl<R> Best<R> {
    fn new(size: usize) -> Self {
        Self { candidates: Vec::new(), size, is_partitioned: false }
    }

    fn add(&mut self, record: R, compare: impl Fn(&R, &R) -> Ordering) {
        if self.size == 0 || self.is_partitioned && compare(&record, &self.candidates[self.size - 1]).is_gt() {
            return;
        }
        self.candidates.push(record);
        // Not each time: this way, one record costs a few comparisons on average.
        if self.candidates.len() >= self.size.saturating_mul(2) {
            self.partition(compare);
        }
    }

    /// Leaves the least `size` ones.
    fn partition(&mut self, compare: impl Fn(&R, &R) -> Ordering) {
        self.candidates.select_nth_unstable_by(self.size - 1, compare);
        self.candidates.truncate(self.size);
        self.is_partitioned = true;
    }

    /// The least `size` ones without the first ones of them. Only what is left is sorted.
    fn into_sorted_from(mut self, first: usize, compare: impl Fn(&R, &R) -> Ordering) -> Vec<R> {
        if self.candidates.len() > self.size && self.size > 0 {
            self.partition(&compare);
        }
        if first >= self.candidates.len() {
            return Vec::new();
        }
        self.candidates.select_nth_unstable_by(first, &compare);
        let mut rest = self.candidates.split_off(first);
        rest.sort_unstable_by(compare);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_are_kept_in_bounded_memory() {
        for (size, first) in
            [(0, 0), (1, 0), (1, 1), (2, 1), (25, 0), (25, 20), (25, 25), (999, 500), (1000, 0), (5000, 990)]
        {
            let mut best = Best::new(size);
            let numbers = || (0..1000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for number in numbers() {
                best.add(number, u64::cmp);
                assert!(best.candidates.len() <= (2 * size).saturating_sub(1).max(size), "of {size}");
            }
            let mut expected: Vec<u64> = numbers().collect();
            expected.sort_unstable();
            expected.truncate(size);
            let expected = expected.split_off(first.min(expected.len()));
            assert_eq!(best.into_sorted_from(first, u64::cmp), expected, "{first} of {size}");
        }
    }
}
