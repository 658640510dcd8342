//! Lists: queries, a search, and whether matches are counted.

use std::borrow::Cow;

use query::{
    Attribute as QueryAttribute, Kind, NullBesideCursor, Paging, Query, Record, Schema, Selection, SelectionError,
    Value,
};
use runtime::Timestamp;
use runtime::dto::{Bucket, BucketFile};
use runtime::facade::{FindFileTokens, List};
use runtime::storage::{Attribute, FileTokenQueries, Search, StorageError};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::arguments::{flag_of, invalid};
use crate::call::Call;
use crate::problem::Problem;
use crate::protocol::is_element;

/// Something that lists show.
pub(super) trait Listed: Send + 'static {
    /// What it can be filtered and ordered by.
    const ATTRIBUTES: &'static [(&'static str, Kind)];

    fn id(&self) -> &str;
    fn sequence(&self) -> u64;
    fn attribute(&self, name: &str) -> Option<Attribute<'_>>;
    fn is_found_by(&self, search: &Search) -> bool;
}

macro_rules! listed {
    ($type:ty, $attributes:expr) => {
        impl Listed for $type {
            const ATTRIBUTES: &'static [(&'static str, Kind)] = $attributes;

            fn id(&self) -> &str {
                self.id.as_str()
            }

            fn sequence(&self) -> u64 {
                self.sequence
            }

            fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
                self.attribute(name)
            }

            fn is_found_by(&self, search: &Search) -> bool {
                self.is_found_by(search)
            }
        }
    };
}

listed!(
    Bucket,
    &[
        ("$id", Kind::Text),
        ("$sequence", Kind::Integer),
        ("$createdAt", Kind::Time),
        ("$updatedAt", Kind::Time),
        ("enabled", Kind::Boolean),
        ("name", Kind::Text),
        ("fileSecurity", Kind::Boolean),
        ("maximumFileSize", Kind::Integer),
        ("encryption", Kind::Boolean),
        ("antivirus", Kind::Boolean),
        ("transformations", Kind::Boolean),
    ]
);
listed!(
    BucketFile,
    &[
        ("$id", Kind::Text),
        ("$sequence", Kind::Integer),
        ("$createdAt", Kind::Time),
        ("$updatedAt", Kind::Time),
        ("name", Kind::Text),
        ("folder", Kind::Text),
        ("signature", Kind::Text),
        ("mimeType", Kind::Text),
        ("sizeOriginal", Kind::Integer),
        ("chunksTotal", Kind::Integer),
        ("chunksUploaded", Kind::Integer),
    ]
);
/// A record for the query language.
struct Row<T>(T);

impl<T: Listed> Record for Row<T> {
    type Key = &'static str;

    fn id(&self) -> &str {
        self.0.id()
    }

    fn sequence(&self) -> u64 {
        self.0.sequence()
    }

    fn value(&self, attribute: &'static str) -> Option<Value<'_>> {
        let integer = |number| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        Some(match self.0.attribute(attribute)? {
            Attribute::Text(text) => Value::Text(Cow::Borrowed(text)),
            Attribute::Integer(number) => integer(number),
            Attribute::Boolean(flag) => Value::Boolean(flag),
            Attribute::Time(time) => Value::Time(time.as_unix_milliseconds()),
            _ => return None,
        })
    }
}

/// What a request for a list says.
#[derive(Debug)]
pub(super) struct ListRequest {
    list: query::List<&'static str>,
    search: Search,
    /// Up to how many matches are counted; none to count nothing.
    ceiling: Option<u64>,
}

/// Some of a list, and how many records match.
pub(super) type Page<T> = (Vec<T>, u64);

impl ListRequest {
    /// Reads the parameters of a request.
    ///
    /// # Errors
    /// 400 for queries that are not in the language, a search that is too long, and a `total` that is not a boolean.
    pub(super) fn of<T: Listed>(call: &Call<()>) -> Result<Self, Problem> {
        let attributes = T::ATTRIBUTES.iter().map(|(name, kind)| QueryAttribute::new(*name, name, *kind));
        let list = query::List::parse(&queries(call), &Schema::new(attributes, read_time));
        let list = list.map_err(|error| invalid("queries", error))?;
        let search = search(call)?;
        let ceiling = is_counted(call)?.then_some(call.runtime().config().storage.max_total);
        Ok(Self { list, search, ceiling })
    }

    /// The page that the request asks for. `find` finds the record of the cursor. All records may have to be looked at, so this is done
    /// where blocking is allowed.
    ///
    /// # Errors
    /// 400 for a cursor without its record, and for a list that reaches too far or takes too long; what reading the list fails with.
    pub(super) async fn page<T: Listed>(
        self,
        items: List<T>,
        find: impl FnOnce(&str) -> Option<T> + Send + 'static,
    ) -> Result<Page<T>, Problem> {
        let evaluated = spawn_blocking(move || self.evaluate(items, find)).await;
        evaluated.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Problem::unexpected()),
        })
    }

    fn evaluate<T: Listed>(
        &self,
        mut items: List<T>,
        find: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Page<T>, Problem> {
        let paging = Paging {
            ceiling: self.ceiling,
            null_beside_cursor: NullBesideCursor::Refuse,
            seed: Uuid::new_v4().as_u64_pair().0,
        };
        let cursor = self.list.cursor.as_ref().and_then(|cursor| find(&cursor.id)).map(Row);
        let mut selection = Selection::in_order_of_creation(&self.list, paging, cursor).map_err(refused)?;
        let is_in_order = self.list.orders.is_empty();
        'pages: while let Some(page) = items.next_page_blocking()? {
            for item in page.into_iter().filter(|item| item.is_found_by(&self.search)) {
                selection.offer(Row(item)).map_err(refused)?;
                if is_in_order && selection.is_settled() {
                    break 'pages;
                }
            }
        }
        let page = selection.finish();
        Ok((page.records.into_iter().map(|Row(item)| item).collect(), page.total))
    }
}

/// What a request for a list of file tokens says.
///
/// # Errors
/// As [`ListRequest::of`].
pub(super) fn file_tokens(call: &Call<()>) -> Result<FindFileTokens, Problem> {
    let queries = FileTokenQueries::parse(&queries(call)).map_err(|error| invalid("queries", error))?;
    Ok(FindFileTokens { queries, search: search(call)?, is_counted: is_counted(call)? })
}

fn search(call: &Call<()>) -> Result<Search, Problem> {
    Ok(Search::parse(call.query_value("search").unwrap_or_default())?)
}

fn is_counted(call: &Call<()>) -> Result<bool, Problem> {
    call.query_value("total").map_or(Ok(true), |text| flag_of("total", text))
}

fn queries<C>(call: &Call<C>) -> Vec<&str> {
    let queries = call.query.iter().filter(|(name, _)| is_element(name, "queries"));
    queries.map(|(_, text)| text.as_str()).collect()
}

/// Checks that a request has filters, and no other queries: for what is done with all that match.
///
/// # Errors
/// 400 for a request without a filter, and for one that names an order, a page or attributes.
pub(super) fn filters_only(call: &Call<()>) -> Result<(), Problem> {
    let queries = queries(call);
    if queries.is_empty() {
        return Err(invalid("queries", "Value must have a filter, such as equal(\"status\", \"expired\")"));
    }
    for text in queries {
        let query: Query = text.parse().map_err(|error| invalid("queries", error))?;
        if !query.method().is_filter() {
            return Err(invalid("queries", format!("Value must have filters only, and {} is none", query.method())));
        }
    }
    Ok(())
}

fn read_time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_unix_milliseconds)
}

fn refused(error: SelectionError) -> Problem {
    StorageError::List(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_attributes_that_storage_offers_are_offered() {
        fn names(attributes: &[(&'static str, Kind)]) -> Vec<&'static str> {
            attributes.iter().map(|(name, _)| *name).collect()
        }
        assert_eq!(names(<Bucket as Listed>::ATTRIBUTES), Bucket::ATTRIBUTES);
        assert_eq!(names(<BucketFile as Listed>::ATTRIBUTES), BucketFile::ATTRIBUTES);
    }
}
