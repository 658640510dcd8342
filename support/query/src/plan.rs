//! What an index can answer of a filter.

use std::cmp::Ordering;
use std::ops::Bound;

use crate::filter::{Condition, Filter, Test, is_one_of, is_within};
use crate::value::{Operand, Value};

/// What every matching record has in common: its value for an attribute fits.
///
/// A store with an index on that attribute offers a [`crate::Selection`] what the index finds instead of everything. Other records fit,
/// too, so the filter still decides. The result is the same, cursor and total included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing<K> {
    /// What records know the attribute by.
    pub attribute: K,
    /// Which values fit.
    pub fit: Fit,
}

/// Which values fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// Null.
    Null,
    /// One of these, sorted, each once; with none of them, no record matches.
    OneOf(Vec<Operand>),
    /// Between these ends, which are of one type and leave room for a value: a `BTreeMap` takes them as a range. Null does not fit.
    Within(Bound<Operand>, Bound<Operand>),
}

impl Fit {
    /// Whether a value fits.
    #[must_use]
    pub fn admits(&self, value: Option<&Value<'_>>) -> bool {
        match (self, value) {
            (Self::Null, value) => value.is_none(),
            (_, None) => false,
            (Self::OneOf(operands), Some(value)) => is_one_of(operands, value).unwrap_or(false),
            (Self::Within(lower, upper), Some(value)) => is_within(lower, upper, value).unwrap_or(false),
        }
    }
}

impl<K: Copy + PartialEq> Filter<K> {
    /// What an index could answer: conditions that every match meets, at most one of each kind for each attribute.
    ///
    /// These are comparisons that are not negated, and `isNull`, `isNotNull`, outside of `or`. Ranges of one attribute are combined.
    #[must_use]
    pub fn plan(&self) -> Vec<Narrowing<K>> {
        let mut plan = Vec::new();
        self.add_to(&mut plan);
        plan
    }

    fn add_to(&self, plan: &mut Vec<Narrowing<K>>) {
        match self {
            Self::All(filters) => filters.iter().for_each(|filter| filter.add_to(plan)),
            Self::Any(_) => {}
            Self::Condition(condition) => {
                if let Some(fit) = condition.fit() {
                    add(plan, condition.attribute, fit);
                }
            }
        }
    }
}

impl<K> Condition<K> {
    fn fit(&self) -> Option<Fit> {
        match (&self.test, self.is_negated) {
            (Test::Null, false) => Some(Fit::Null),
            (Test::Null, true) => Some(Fit::Within(Bound::Unbounded, Bound::Unbounded)),
            (Test::OneOf(operands), false) => Some(Fit::OneOf(operands.clone())),
            (Test::Within(lower, upper), false) => Some(range(lower.clone(), upper.clone())),
            _ => None,
        }
    }
}

/// Combines what fits with what is known of the attribute.
fn add<K: PartialEq>(plan: &mut Vec<Narrowing<K>>, attribute: K, fit: Fit) {
    let combined = plan.iter_mut().filter(|known| known.attribute == attribute).any(|known| {
        let both = both(&known.fit, &fit);
        let is_combined = both.is_some();
        known.fit = both.unwrap_or_else(|| known.fit.clone());
        is_combined
    });
    if !combined {
        plan.push(Narrowing { attribute, fit });
    }
}

/// What fits both, if that is of one of the kinds.
fn both(one: &Fit, other: &Fit) -> Option<Fit> {
    match (one, other) {
        (Fit::Null, Fit::Null) => Some(Fit::Null),
        (Fit::Null, _) | (_, Fit::Null) => Some(Fit::OneOf(Vec::new())),
        (Fit::OneOf(operands), other) | (other, Fit::OneOf(operands)) => {
            let fits = |operand: &&Operand| other.admits(Some(&operand.as_value()));
            Some(Fit::OneOf(operands.iter().filter(fits).cloned().collect()))
        }
        (Fit::Within(lower, upper), Fit::Within(other_lower, other_upper)) => {
            Some(range(later(lower, other_lower).clone(), earlier(upper, other_upper).clone()))
        }
    }
}

/// A range, or nothing if no value can be in it.
fn range(lower: Bound<Operand>, upper: Bound<Operand>) -> Fit {
    let is_empty = match (&lower, &upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Included(upper) | Bound::Excluded(upper)) => {
            lower >= upper
        }
    };
    if is_empty { Fit::OneOf(Vec::new()) } else { Fit::Within(lower, upper) }
}

/// The lower end that leaves less.
fn later<'b>(one: &'b Bound<Operand>, other: &'b Bound<Operand>) -> &'b Bound<Operand> {
    stricter(one, other, Ordering::Greater)
}

/// The upper end that leaves less.
fn earlier<'b>(one: &'b Bound<Operand>, other: &'b Bound<Operand>) -> &'b Bound<Operand> {
    stricter(one, other, Ordering::Less)
}

fn stricter<'b>(one: &'b Bound<Operand>, other: &'b Bound<Operand>, wanted: Ordering) -> &'b Bound<Operand> {
    let operand = |bound: &'b Bound<Operand>| match bound {
        Bound::Included(operand) | Bound::Excluded(operand) => Some(operand),
        Bound::Unbounded => None,
    };
    match (operand(one), operand(other)) {
        (_, None) => one,
        (None, _) => other,
        (Some(first), Some(second)) if first == second => {
            if matches!(one, Bound::Excluded(_)) {
                one
            } else {
                other
            }
        }
        (Some(first), Some(second)) if first.cmp(second) == wanted => one,
        _ => other,
    }
}
