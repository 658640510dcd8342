//! The queries of one list, checked.

use crate::bounds::MAX_QUERIES;
use crate::error::Error;
use crate::filter::Filter;
use crate::order::Order;
use crate::parse::Reader;
use crate::query::Query;
use crate::schema::Schema;

/// What the queries of a list ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct List<K> {
    /// Which records it shows.
    pub filter: Filter<K>,
    /// In which order, each attribute once.
    pub orders: Vec<Order<K>>,
    /// How many records it shows at most, at least 1.
    pub limit: u64,
    /// How many records it leaves out before the first one that it shows.
    pub offset: u64,
    /// The record that it begins or ends at.
    pub cursor: Option<Cursor>,
    /// Which attributes it shows; none for all.
    pub select: Option<Vec<K>>,
}

/// A record beside which a list shows others, without that record itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The id of the record.
    pub id: String,
    /// On which side of it.
    pub side: Side,
}

/// On which side of a cursor the shown records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `cursorAfter`: those that follow it.
    After,
    /// `cursorBefore`: those directly in front of it, in the order of the list.
    Before,
}

impl<K: Copy + PartialEq> List<K> {
    /// Reads the texts of queries: each is the JSON of one [`Query`].
    ///
    /// # Errors
    /// If there are too many, or one of them is not a query or not one that the schema allows.
    pub fn parse<T: AsRef<str>>(texts: &[T], schema: &Schema<K>) -> Result<Self, Error> {
        if texts.len() > MAX_QUERIES {
            return Err(Error::TooManyQueries { count: texts.len() });
        }
        let mut reader = Reader::new(schema);
        for (index, text) in texts.iter().enumerate() {
            let query = text.as_ref().parse::<Query>();
            query.and_then(|query| reader.add(query)).map_err(|problem| Error::Query { index, problem })?;
        }
        reader.finish()
    }
}
