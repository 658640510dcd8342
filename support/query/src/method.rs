//! The methods of queries.

use std::fmt;

use crate::bounds::MAX_VALUES;

/// What a query does; see the table at the head of the crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named as in the language, and the head of the crate explains them")]
pub enum Method {
    Equal,
    NotEqual,
    LessThan,
    LessThanEqual,
    GreaterThan,
    GreaterThanEqual,
    Between,
    NotBetween,
    IsNull,
    IsNotNull,
    Exists,
    NotExists,
    StartsWith,
    NotStartsWith,
    EndsWith,
    NotEndsWith,
    Contains,
    NotContains,
    ContainsAny,
    ContainsAll,
    Search,
    NotSearch,
    Regex,
    And,
    Or,
    OrderAsc,
    OrderDesc,
    OrderRandom,
    Limit,
    Offset,
    CursorAfter,
    CursorBefore,
    Select,
}

impl Method {
    /// All methods, in the order of the table at the head of the crate.
    pub const ALL: [Self; 33] = [
        Self::Equal,
        Self::NotEqual,
        Self::LessThan,
        Self::LessThanEqual,
        Self::GreaterThan,
        Self::GreaterThanEqual,
        Self::Between,
        Self::NotBetween,
        Self::IsNull,
        Self::IsNotNull,
        Self::Exists,
        Self::NotExists,
        Self::StartsWith,
        Self::NotStartsWith,
        Self::EndsWith,
        Self::NotEndsWith,
        Self::Contains,
        Self::NotContains,
        Self::ContainsAny,
        Self::ContainsAll,
        Self::Search,
        Self::NotSearch,
        Self::Regex,
        Self::And,
        Self::Or,
        Self::OrderAsc,
        Self::OrderDesc,
        Self::OrderRandom,
        Self::Limit,
        Self::Offset,
        Self::CursorAfter,
        Self::CursorBefore,
        Self::Select,
    ];

    /// As it is written in a query.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::NotEqual => "notEqual",
            Self::LessThan => "lessThan",
            Self::LessThanEqual => "lessThanEqual",
            Self::GreaterThan => "greaterThan",
            Self::GreaterThanEqual => "greaterThanEqual",
            Self::Between => "between",
            Self::NotBetween => "notBetween",
            Self::IsNull => "isNull",
            Self::IsNotNull => "isNotNull",
            Self::Exists => "exists",
            Self::NotExists => "notExists",
            Self::StartsWith => "startsWith",
            Self::NotStartsWith => "notStartsWith",
            Self::EndsWith => "endsWith",
            Self::NotEndsWith => "notEndsWith",
            Self::Contains => "contains",
            Self::NotContains => "notContains",
            Self::ContainsAny => "containsAny",
            Self::ContainsAll => "containsAll",
            Self::Search => "search",
            Self::NotSearch => "notSearch",
            Self::Regex => "regex",
            Self::And => "and",
            Self::Or => "or",
            Self::OrderAsc => "orderAsc",
            Self::OrderDesc => "orderDesc",
            Self::OrderRandom => "orderRandom",
            Self::Limit => "limit",
            Self::Offset => "offset",
            Self::CursorAfter => "cursorAfter",
            Self::CursorBefore => "cursorBefore",
            Self::Select => "select",
        }
    }

    /// The method with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether it says which records a list shows, and may therefore stand in `and` and `or`.
    #[must_use]
    pub fn is_filter(self) -> bool {
        !matches!(
            self,
            Self::OrderAsc
                | Self::OrderDesc
                | Self::OrderRandom
                | Self::Limit
                | Self::Offset
                | Self::CursorAfter
                | Self::CursorBefore
                | Self::Select
        )
    }

    /// Whether its values are queries.
    #[must_use]
    pub fn is_logic(self) -> bool {
        matches!(self, Self::And | Self::Or)
    }

    /// How many values it takes.
    #[must_use]
    pub fn values(self) -> ValueCount {
        match self {
            Self::IsNull | Self::IsNotNull | Self::OrderAsc | Self::OrderDesc | Self::OrderRandom => {
                ValueCount::exactly(0)
            }
            Self::Between | Self::NotBetween => ValueCount::exactly(2),
            Self::And | Self::Or => ValueCount { least: 2, most: MAX_VALUES },
            Self::Equal
            | Self::Contains
            | Self::NotContains
            | Self::ContainsAny
            | Self::ContainsAll
            | Self::Exists
            | Self::NotExists
            | Self::Select => ValueCount { least: 1, most: MAX_VALUES },
            _ => ValueCount::exactly(1),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many values a method takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueCount {
    /// At least as many.
    pub least: usize,
    /// At most as many.
    pub most: usize,
}

impl ValueCount {
    const fn exactly(count: usize) -> Self {
        Self { least: count, most: count }
    }

    pub(crate) fn admits(self, count: usize) -> bool {
        (self.least..=self.most).contains(&count)
    }
}

impl fmt::Display for ValueCount {
    /// As it stands behind "takes": `no values`, `exactly 2 values`, `1 to 500 values`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (0, 0) => f.write_str("no values"),
            (1, 1) => f.write_str("exactly 1 value"),
            (least, most) if least == most => write!(f, "exactly {least} values"),
            (least, most) => write!(f, "{least} to {most} values"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_name_only() {
        for method in Method::ALL {
            assert_eq!(Method::from_name(method.name()), Some(method));
        }
        for name in ["", "Equal", "EQUAL", "equal ", "elemMatch", "distanceEqual", "vectorDot"] {
            assert_eq!(Method::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn counts_of_values_are_written_as_sentences_need_them() {
        let written = |method: Method| method.values().to_string();
        assert_eq!(written(Method::IsNull), "no values");
        assert_eq!(written(Method::LessThan), "exactly 1 value");
        assert_eq!(written(Method::Between), "exactly 2 values");
        assert_eq!(written(Method::Equal), "1 to 500 values");
        assert_eq!(written(Method::Or), "2 to 500 values");
    }
}
