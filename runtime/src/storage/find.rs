//! What lists of buckets and files are asked for.

use std::marker::PhantomData;

use query::{Attribute, List, Schema};
use transport::wire::Timestamp;

use super::{Listable, Search};

/// Queries of a list, in the language of `support/query`, over the [attributes](Listable::ATTRIBUTES) of what it shows.
#[derive(Debug, Clone)]
pub struct Queries<T> {
    list: List<&'static str>,
    of: PhantomData<fn() -> T>,
}

impl<T: Listable> Queries<T> {
    /// Reads the texts of queries: each is the JSON of one.
    ///
    /// # Errors
    /// If there are too many, or one of them is not a query of this list.
    pub fn parse<S: AsRef<str>>(queries: &[S]) -> Result<Self, query::Error> {
        let attributes = T::ATTRIBUTES.iter().map(|(name, kind)| Attribute::new(*name, name, *kind));
        let schema = Schema::new(attributes, |text| text.parse().ok().map(Timestamp::as_unix_milliseconds));
        Ok(Self { list: List::parse(queries, &schema)?, of: PhantomData })
    }

    pub(crate) fn list(&self) -> &List<&'static str> {
        &self.list
    }
}

/// What a list is asked for.
#[derive(Debug, Clone)]
pub struct Find<T> {
    /// Filters, orders and the page.
    pub queries: Queries<T>,
    /// Words of ids and names.
    pub search: Search,
    /// Whether matches are counted, up to [`StorageConfig::max_total`](crate::StorageConfig::max_total).
    pub is_counted: bool,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// In the order of the list.
    pub records: Vec<T>,
    /// How many match, as far as they are counted; 0 if they are not.
    pub total: u64,
}
