//! Which records a list shows.

use std::cmp::Ordering;
use std::ops::{Bound, RangeBounds};

use regex::Regex;

use crate::bounds::PATTERN_STEPS;
use crate::record::Record;
use crate::value::{Operand, Value};
use crate::words::Words;

/// The condition that records meet to be on a list.
///
/// A comparison with null is neither true nor false in SQL, and a record is shown if the whole filter is true. Here such a
/// comparison does not hold, which is the same: negation stands in front of single comparisons only (`notEqual`, `notBetween`
/// and so on do not match null either), and above them `and` and `or` never make "unknown" true.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter<K> {
    /// All of these hold; with none of them, every record matches.
    All(Vec<Filter<K>>),
    /// Any of these holds.
    Any(Vec<Filter<K>>),
    /// The value of one attribute fits.
    Condition(Condition<K>),
}

/// What the value of one attribute must be like.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition<K> {
    pub(crate) attribute: K,
    /// Whether the test must fail instead.
    pub(crate) is_negated: bool,
    pub(crate) test: Test,
}

/// A test of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Null,
    /// Sorted, each once.
    OneOf(Vec<Operand>),
    Within(Bound<Operand>, Bound<Operand>),
    StartsWith(String),
    EndsWith(String),
    /// A text has one of these parts; a list has one of these elements.
    ContainsAny(Vec<String>),
    ContainsAll(Vec<String>),
    Words(Words),
    Pattern(Pattern),
}

/// A regular expression, which is equal to another one if their texts are.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(pub(crate) Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl<K> Filter<K> {
    /// What has one of these values; nothing if there are none.
    #[must_use]
    pub fn equal(attribute: K, mut operands: Vec<Operand>) -> Self {
        operands.sort_unstable();
        operands.dedup();
        Self::Condition(Condition { attribute, is_negated: false, test: Test::OneOf(operands) })
    }

    /// What matches both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::All(vec![self, other])
    }

    /// Whether it looks at one attribute and no other, so that records with the same value of it all match or none does.
    #[must_use]
    pub fn is_about(&self, attribute: K) -> bool
    where
        K: Copy + PartialEq,
    {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().all(|filter| filter.is_about(attribute)),
            Self::Condition(condition) => condition.attribute == attribute,
        }
    }
}

impl<K> Filter<K> {
    /// Steps of looking at one record, as [`crate::MAX_STEPS`] counts them.
    pub(crate) fn steps(&self) -> u64 {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().map(Self::steps).sum(),
            Self::Condition(condition) => condition.test.steps(),
        }
    }
}

impl<K: Copy> Filter<K> {
    /// Whether a record is on the list.
    pub fn matches<R: Record<Key = K>>(&self, record: &R) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(record)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(record)),
            Self::Condition(condition) => condition.matches(record.value(condition.attribute).as_ref()),
        }
    }
}

impl<K> Condition<K> {
    fn matches(&self, value: Option<&Value<'_>>) -> bool {
        self.test.holds(value).is_some_and(|holds| holds != self.is_negated)
    }
}

impl Test {
    fn steps(&self) -> u64 {
        match self {
            Self::ContainsAny(texts) | Self::ContainsAll(texts) => (texts.len() as u64).max(1),
            Self::Words(words) => (words.count() as u64).max(1),
            Self::Pattern(_) => PATTERN_STEPS,
            Self::Null | Self::OneOf(_) | Self::Within(..) | Self::StartsWith(_) | Self::EndsWith(_) => 1,
        }
    }

    /// Whether it holds; none if that is unknown, as it is of null.
    pub(crate) fn holds(&self, value: Option<&Value<'_>>) -> Option<bool> {
        if *self == Self::Null {
            return Some(value.is_none());
        }
        match (self, value?) {
            (Self::OneOf(operands), value) => is_one_of(operands, value),
            (Self::Within(lower, upper), value) => is_within(lower, upper, value),
            (Self::ContainsAny(texts), Value::Texts(list)) => Some(texts.iter().any(|text| list.contains(text))),
            (Self::ContainsAll(texts), Value::Texts(list)) => Some(texts.iter().all(|text| list.contains(text))),
            (test, Value::Text(text)) => test.holds_for_text(text),
            _ => None,
        }
    }

    fn holds_for_text(&self, text: &str) -> Option<bool> {
        match self {
            Self::StartsWith(start) => Some(text.starts_with(start)),
            Self::EndsWith(end) => Some(text.ends_with(end)),
            Self::ContainsAny(parts) => Some(parts.iter().any(|part| text.contains(part))),
            Self::ContainsAll(parts) => Some(parts.iter().all(|part| text.contains(part))),
            Self::Words(words) => Some(words.match_text(text)),
            Self::Pattern(Pattern(regex)) => Some(regex.is_match(text)),
            Self::Null | Self::OneOf(_) | Self::Within(..) => None,
        }
    }
}

/// Whether a value is one of the sorted operands; none if it is of another type than they are.
pub(crate) fn is_one_of(operands: &[Operand], value: &Value<'_>) -> Option<bool> {
    // Mostly there is one, and texts of different lengths need not be read.
    if let [operand] = operands {
        return operand.equals(value);
    }
    operands.first()?.order_of(value)?;
    let order = |operand: &Operand| operand.order_of(value).unwrap_or(Ordering::Equal).reverse();
    Some(operands.binary_search_by(order).is_ok())
}

/// Whether a value is between two ends; none if it is of another type than they are.
pub(crate) fn is_within(lower: &Bound<Operand>, upper: &Bound<Operand>, value: &Value<'_>) -> Option<bool> {
    let order = |end: &Bound<Operand>| match end {
        Bound::Included(operand) | Bound::Excluded(operand) => operand.order_of(value).map(|order| order as i8),
        Bound::Unbounded => Some(0),
    };
    // On the axis of its end, a value is -1, 0 or 1, and the end is 0.
    let (above, below) = (order(lower)?, order(upper)?);
    let at_zero = |end: &Bound<Operand>| end.as_ref().map(|_| 0_i8);
    Some((at_zero(lower), Bound::Unbounded).contains(&above) && (Bound::Unbounded, at_zero(upper)).contains(&below))
}
