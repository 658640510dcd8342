//! What a list can be filtered and ordered by.

use crate::bounds::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::value::Kind;

/// Reads a date or date-time: milliseconds since the Unix epoch, none if it is not one.
pub type ReadTime = fn(&str) -> Option<i64>;

/// An attribute of records.
///
/// `K` is what records know it by, for instance an enum with one variant for each attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute<K> {
    key: K,
    name: &'static str,
    kind: Kind,
    is_nullable: bool,
    is_filterable: bool,
    is_orderable: bool,
    /// The texts that it has; none if it can have any.
    choices: &'static [&'static str],
}

impl<K> Attribute<K> {
    /// One that every record has a value for, and that lists can be filtered and, unless it is a list, ordered by.
    pub const fn new(key: K, name: &'static str, kind: Kind) -> Self {
        let is_orderable = !matches!(kind, Kind::Texts);
        Self { key, name, kind, is_nullable: false, is_filterable: true, is_orderable, choices: &[] }
    }

    /// The same, which has one of these texts in every record. To ask for another one is a mistake, which finds nothing or everything.
    #[must_use]
    pub fn one_of(self, choices: &'static [&'static str]) -> Self {
        Self { choices, ..self }
    }

    /// The same, which is null in some records.
    #[must_use]
    pub fn nullable(self) -> Self {
        Self { is_nullable: true, ..self }
    }

    /// The same, by which lists cannot be filtered.
    #[must_use]
    pub fn not_filterable(self) -> Self {
        Self { is_filterable: false, ..self }
    }

    /// The same, by which lists cannot be ordered.
    #[must_use]
    pub fn not_orderable(self) -> Self {
        Self { is_orderable: false, ..self }
    }

    /// As queries write it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The type of its values.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is null in some records.
    #[must_use]
    pub fn is_nullable(&self) -> bool {
        self.is_nullable
    }

    /// Whether lists can be filtered by it.
    #[must_use]
    pub fn is_filterable(&self) -> bool {
        self.is_filterable
    }

    /// Whether lists can be ordered by it.
    #[must_use]
    pub fn is_orderable(&self) -> bool {
        self.is_orderable
    }

    /// The texts that it has; empty if it can have any.
    #[must_use]
    pub fn choices(&self) -> &'static [&'static str] {
        self.choices
    }
}

impl<K: Copy> Attribute<K> {
    /// What records know it by.
    #[must_use]
    pub fn key(&self) -> K {
        self.key
    }
}

/// The attributes of a list, and what else its queries may say.
#[derive(Debug, Clone)]
pub struct Schema<K> {
    attributes: Vec<Attribute<K>>,
    read_time: ReadTime,
    default_limit: u64,
    max_limit: u64,
    allows_select: bool,
}

impl<K> Schema<K> {
    /// Of these attributes, whose names differ. `read_time` is the product's own reader of dates, so that a date that is accepted
    /// elsewhere is accepted in queries, too.
    ///
    /// Pages have 25 records unless queries say otherwise, a limit is at most [`MAX_LIMIT`], and `select` is refused.
    pub fn new(attributes: impl IntoIterator<Item = Attribute<K>>, read_time: ReadTime) -> Self {
        let attributes = attributes.into_iter().collect();
        Self { attributes, read_time, default_limit: DEFAULT_LIMIT, max_limit: MAX_LIMIT, allows_select: false }
    }

    /// The same with other limits: records of a page if no query says how many, and what queries can ask for at most.
    /// Neither is more than [`MAX_LIMIT`].
    #[must_use]
    pub fn with_limits(self, default_limit: u64, max_limit: u64) -> Self {
        Self { default_limit: default_limit.min(MAX_LIMIT), max_limit: max_limit.min(MAX_LIMIT), ..self }
    }

    /// The same, in which queries may `select` attributes.
    #[must_use]
    pub fn with_select(self) -> Self {
        Self { allows_select: true, ..self }
    }

    /// The attributes, in the order in which they were given.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute<K>] {
        &self.attributes
    }

    /// The attribute with this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute<K>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn read_time(&self, text: &str) -> Option<i64> {
        (self.read_time)(text)
    }

    pub(crate) fn default_limit(&self) -> u64 {
        self.default_limit
    }

    pub(crate) fn max_limit(&self) -> u64 {
        self.max_limit
    }

    pub(crate) fn allows_select(&self) -> bool {
        self.allows_select
    }
}
