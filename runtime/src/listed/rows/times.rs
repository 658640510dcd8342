//! Places of rows in the order of a time, and the ranges of places that queries allow.

use std::collections::BTreeMap;
use std::ops::Bound;

use query::{Fit, Operand};
use transport::wire::Timestamp;

use super::Slot;
use crate::listed::row::{Row, RowId};

/// A time in milliseconds since the Unix epoch, or null, which comes first; then what makes it unique.
pub(super) type Place = (Option<i64>, RowId);
pub(super) type Tree = BTreeMap<Place, Slot>;
pub(super) type Range = (Bound<Place>, Bound<Place>);

pub(super) fn creation(row: &Row) -> Place {
    (Some(row.created_at.as_unix_milliseconds()), row.id.clone())
}

pub(super) fn expiry(row: &Row) -> Place {
    (row.expires_at.map(Timestamp::as_unix_milliseconds), row.id.clone())
}

/// The places of the times that fit, in their order.
pub(super) fn ranges_of(fit: &Fit) -> Vec<Range> {
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
