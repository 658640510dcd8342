//! The conditions on one field, and the values that they compare with stored ones.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::QueryError;

/// Most bytes a compiled regular expression may take.
const MAX_REGEX_SIZE: usize = 256 * 1024;
/// Deepest nesting of groups in a regular expression.
const MAX_REGEX_NESTING: u32 = 50;

/// The conditions that the values of one field express.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// One of these, if it is `Some`; nothing fits if it is empty.
    equal: Option<Vec<Operand>>,
    /// None of these.
    unequal: Vec<Operand>,
    /// Each of these, with the orderings that fit.
    bounds: Vec<(Operand, &'static [Ordering])>,
    /// A match of this.
    pattern: Option<Regex>,
    /// Whether it is set.
    presence: Option<bool>,
    /// Asked for both set and not set.
    contradictory: bool,
}

const GREATER: &[Ordering] = &[Ordering::Greater];
const GREATER_OR_EQUAL: &[Ordering] = &[Ordering::Greater, Ordering::Equal];
const LESS: &[Ordering] = &[Ordering::Less];
const LESS_OR_EQUAL: &[Ordering] = &[Ordering::Less, Ordering::Equal];

impl Conditions {
    /// Values with operators.
    pub(super) fn parse(values: &[&str]) -> Result<Self, QueryError> {
        let mut conditions = Self::default();
        for value in values {
            conditions.add(value)?;
        }
        Ok(conditions)
    }

    /// Literally one of these.
    pub(super) fn one_of(values: &[&str]) -> Self {
        Self { equal: Some(values.iter().map(|value| Operand::new(value)).collect()), ..Self::default() }
    }

    /// One of these numbers; with none of them nothing fits.
    pub(super) fn one_of_numbers(numbers: impl Iterator<Item = u8>) -> Self {
        Self { equal: Some(numbers.map(|number| Operand::new(&number.to_string())).collect()), ..Self::default() }
    }

    /// Whether a field with this value (none if it is not set) fits.
    pub(super) fn are_met_by(&self, stored: Option<&Value>) -> bool {
        let present = !self.contradictory && self.presence.is_none_or(|wanted| wanted == stored.is_some());
        let equal = self
            .equal
            .as_ref()
            .is_none_or(|any| stored.is_some_and(|stored| any.iter().any(|operand| operand.equals(stored))));
        let unequal = !stored.is_some_and(|stored| self.unequal.iter().any(|operand| operand.equals(stored)));
        let bounded = self.bounds.iter().all(|(bound, fine)| {
            stored.is_some_and(|stored| any_member(stored, |member| is_within(bound, fine, member)))
        });
        let matched = self
            .pattern
            .as_ref()
            .is_none_or(|pattern| stored.is_some_and(|stored| any_member(stored, |member| is_match(pattern, member))));
        present && equal && unequal && bounded && matched
    }

    /// Texts of which a stored text has to equal one, if there are any such conditions.
    pub(super) fn required_texts(&self) -> Option<Vec<&str>> {
        self.equal.as_ref().map(|any| any.iter().map(Operand::text).collect())
    }

    fn add(&mut self, value: &str) -> Result<(), QueryError> {
        match value.chars().next() {
            None => self.require(true),
            Some('!') if value.len() == 1 => self.require(false),
            Some('!') => self.unequal.push(Operand::new(operand(value))),
            Some('>') => self.bounds.push((Operand::new(operand(value)), inclusive(value, GREATER_OR_EQUAL, GREATER))),
            Some('<') => self.bounds.push((Operand::new(operand(value)), inclusive(value, LESS_OR_EQUAL, LESS))),
            Some('^') => self.pattern = Some(regex(operand(value), "^(?:", ")")?),
            Some('$') => self.pattern = Some(regex(operand(value), "(?:", ")$")?),
            Some('~') => self.pattern = Some(regex(operand(value), "", "")?),
            Some(_) => self.equal.get_or_insert_default().push(Operand::new(value)),
        }
        Ok(())
    }

    fn require(&mut self, presence: bool) {
        self.contradictory |= self.presence.is_some_and(|required| required != presence);
        self.presence = Some(presence);
    }
}

/// The text after the operator, which is one byte, and the optional `=` after it.
fn operand(value: &str) -> &str {
    let rest = &value[1..];
    rest.strip_prefix('=').unwrap_or(rest)
}

fn inclusive<T>(value: &str, with_equal: T, without: T) -> T {
    if value[1..].starts_with('=') { with_equal } else { without }
}

fn any_member(stored: &Value, fits: impl Fn(&Value) -> bool) -> bool {
    match stored {
        Value::Array(members) => members.iter().any(fits),
        other => fits(other),
    }
}

fn is_within(bound: &Operand, fine: &[Ordering], stored: &Value) -> bool {
    bound.order_of(stored).is_some_and(|order| fine.contains(&order))
}

fn is_match(pattern: &Regex, stored: &Value) -> bool {
    match stored {
        Value::String(text) => pattern.is_match(text),
        Value::Number(number) => pattern.is_match(&number.to_string()),
        _ => false,
    }
}

fn regex(pattern: &str, before: &str, after: &str) -> Result<Regex, QueryError> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .case_insensitive(true)
            .size_limit(MAX_REGEX_SIZE)
            .nest_limit(MAX_REGEX_NESTING)
            .build()
            .map_err(|error| invalid(pattern, &error))
    };
    // Compiled alone first: the parentheses added below must not make a pattern like `)|(` valid.
    build(pattern)?;
    build(&format!("{before}{pattern}{after}"))
}

fn invalid(pattern: &str, error: &regex::Error) -> QueryError {
    let reason = match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    let shown: String = pattern.chars().take(100).collect();
    QueryError::InvalidPattern(format!("Invalid regular expression: /{shown}/: {reason}"))
}

/// A value of a parameter, as each type it can be read as. The stored value decides which one is compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    text: String,
    number: Option<f64>,
    boolean: Option<bool>,
}

impl Operand {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), number: number(text), boolean: boolean(text) }
    }

    /// The value as text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a stored value equals this one; a list does if one of its members does.
    pub(super) fn equals(&self, stored: &Value) -> bool {
        match stored {
            Value::Array(members) => members.iter().any(|member| self.equals(member)),
            Value::Bool(stored) => self.boolean == Some(*stored),
            other => self.order_of(other) == Some(Ordering::Equal),
        }
    }

    /// How a stored text or number compares with this one; none if they cannot be compared.
    pub(super) fn order_of(&self, stored: &Value) -> Option<Ordering> {
        match stored {
            Value::String(stored) => Some(stored.as_str().cmp(&self.text)),
            Value::Number(stored) => stored.as_f64()?.partial_cmp(&self.number?),
            _ => None,
        }
    }
}

/// Wholly numeric texts only: `1`, `-2.5`, `1e3`; not `inf`, `0x1` or ` 1`.
fn number(text: &str) -> Option<f64> {
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    numeric.then(|| text.parse().ok())?
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}
