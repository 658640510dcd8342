//! The page of a search over rows in memory: which rows it looks at, and in which order.
//!
//! Rows of both kinds are ordered by what the queries say, then by their creation, then by their ids. So the order of two rows is always
//! the same, and a cursor has a place in it.

use std::ops::Bound;

use query::{Direction, Fit, Narrowing, Operand, Order, SelectionError};

use super::times::{Range, Tree, ranges_of};
use super::{Rows, Slot};
use crate::listed::page::{Found, Selecting};
use crate::listed::row::{Attribute, Row, RowId};
use crate::listed::search::Search;

impl Rows {
    /// The page of a search. Rows that cannot be on it are not looked at, as far as ids, files, times and orders tell.
    ///
    /// # Errors
    /// As [`Selecting::new`] and [`Selecting::offer`].
    pub(in crate::listed) fn search(&self, search: &Search) -> Result<Found, SelectionError> {
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
            ids.flat_map(RowId::either).filter_map(|id| self.by_id.get(&id).copied()).collect()
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

fn text(operand: &Operand) -> Option<&str> {
    if let Operand::Text(text) = operand { Some(text) } else { None }
}

#[cfg(test)]
mod tests;
