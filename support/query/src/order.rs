//! In which order a list shows records.

use std::cmp::Ordering;

use crate::record::Record;
use crate::value::Value;

/// One of the orders of a list. They apply in sequence; records that they leave equal follow in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order<K> {
    /// By an attribute. Null comes before all values.
    By {
        /// What records know it by.
        attribute: K,
        /// As queries write it.
        name: &'static str,
        /// Whether it is null in some records.
        is_nullable: bool,
        /// Least or greatest first.
        direction: Direction,
    },
    /// By the order of creation.
    Creation(Direction),
    /// By chance.
    Random,
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The least.
    Ascending,
    /// The greatest; null is last.
    Descending,
}

impl Direction {
    fn apply(self, order: Ordering) -> Ordering {
        match self {
            Self::Ascending => order,
            Self::Descending => order.reverse(),
        }
    }
}

impl<K> Order<K> {
    /// Whether it is by something that is null in some records.
    pub(crate) fn is_nullable(&self) -> bool {
        matches!(self, Self::By { is_nullable: true, .. })
    }
}

impl<K: Copy> Order<K> {
    /// The order of two records; `seed` decides the random one.
    fn compare<R: Record<Key = K>>(&self, one: &R, other: &R, seed: u64) -> Ordering {
        match *self {
            Self::By { attribute, direction, .. } => {
                direction.apply(compare_values(one.value(attribute), other.value(attribute)))
            }
            Self::Creation(direction) => direction.apply(one.sequence().cmp(&other.sequence())),
            Self::Random => scattered(one.sequence(), seed).cmp(&scattered(other.sequence(), seed)),
        }
    }
}

/// The order of two records on a list.
pub(crate) fn compare<R: Record>(orders: &[Order<R::Key>], seed: u64, one: &R, other: &R) -> Ordering {
    let by_orders = orders.iter().map(|order| order.compare(one, other, seed)).find(|order| order.is_ne());
    by_orders.unwrap_or_else(|| one.sequence().cmp(&other.sequence()))
}

fn compare_values(one: Option<Value<'_>>, other: Option<Value<'_>>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => one.compare(&other).unwrap_or(Ordering::Equal),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

/// A number that depends on both and looks random: the steps of SplitMix64, which map different sequences to different numbers.
fn scattered(sequence: u64, seed: u64) -> u64 {
    let mut number = sequence.wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
