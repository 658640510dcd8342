//! The page of a search in the order of labels.
//!
//! Many tokens have the same label, and a filter that is about labels only has one answer for all of them. So a list in that order looks at
//! one row of each label, and at those that may be on its page; the others are counted. With too many labels for that it looks at all rows.

use query::{Direction, Narrowing, Order, SelectionError, Side};

use super::Rows;
use crate::listed::labels::Labelled;
use crate::listed::page::{Found, Selecting};
use crate::listed::row::{Attribute, Row};
use crate::listed::search::Search;

/// What part of all rows is looked at in the order of their labels, one by one anywhere in memory, before it is better to look at all as they
/// lie there.
const SCATTERED_PART: usize = 8;

impl Rows {
    /// The page of a search in the order of labels; none for other searches, and for those that are better made otherwise.
    pub(super) fn labelled(
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
            true => self.by_labels(search, direction, cursor, &mut selecting)?,
            false => self.by_rows_of_labels(search, direction, &mut selecting)?,
        };
        Ok(is_complete.then(|| selecting.finish()))
    }

    /// Looks at one row of each label, and at those that may be on the page: they come from its beginning on, so that no further one is on
    /// it once it is full. Says whether the labels were few enough for that.
    fn by_labels<'r>(
        &'r self,
        search: &Search,
        direction: Direction,
        cursor: Option<&Row>,
        selecting: &mut Selecting<'_, &'r Row>,
    ) -> Result<bool, SelectionError> {
        let side = search.list.cursor.as_ref().map(|cursor| cursor.side);
        let direction = if side == Some(Side::Before) { opposite(direction) } else { direction };
        let [ahead, behind] = match cursor {
            Some(row) => self.by_label.from(row, direction),
            None => [self.by_label.in_order(direction), Box::new(std::iter::empty())],
        };
        let rows = ahead.map(|row| (row, true)).chain(behind.map(|row| (row, false)));
        let mut last: Option<&Labelled> = None;
        let (mut matches, mut is_full) = (None, false);
        // Without a filter no row is read to know whether it matches.
        let (mut judged, most) = (0, search.has_filter().then_some(self.rows.len() / SCATTERED_PART));
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
                None => {
                    judged += 1;
                    if most.is_some_and(|most| judged > most) {
                        return Ok(false);
                    }
                    *matches.insert(selecting.selection.matches(&selecting.seen(row))?)
                }
            };
            match is_match {
                false => {}
                true if is_ahead && !is_full => selecting.selection.add(selecting.seen(row))?,
                true if selecting.selection.is_counted() => break,
                true => selecting.selection.count(),
            }
        }
        Ok(true)
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
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ascending => Direction::Descending,
        Direction::Descending => Direction::Ascending,
    }
}

#[cfg(test)]
mod tests {
    use query::{Method, Query};
    use transport::wire::Timestamp;

    use super::*;
    use crate::listed::tests::row;

    #[test]
    fn labels_are_judged_one_by_one_only_if_they_are_few() {
        let is_by_labels = |labels: u64, queries: &[Query]| {
            let mut rows = Rows::default();
            for number in 0..80 {
                rows.put(Row { label: Some(format!("for {}", number % labels).into()), ..row(number) });
            }
            let queries: Vec<String> = queries.iter().map(Query::to_string).collect();
            let search = Search::parse(&queries, true, Timestamp::NEVER, 0).unwrap();
            rows.labelled(&search, &search.list.filter.plan(), None).unwrap().is_some()
        };
        let (part, order) = (Query::condition(Method::Contains, "label", ["none"]), Query::order_asc("label"));
        assert!(is_by_labels(10, &[part.clone(), order.clone()]));
        assert!(!is_by_labels(11, &[part, order.clone()]));
        assert!(is_by_labels(80, &[order]), "nothing is judged");
    }
}
