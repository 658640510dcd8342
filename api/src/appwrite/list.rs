//! Lists: queries, a search, and whether matches are counted.

use query::Query;
use runtime::facade::FindFileTokens;
use runtime::storage::{FileTokenQueries, Find, Listable, Queries, Search};

use super::arguments::{flag_of, invalid};
use crate::call::Call;
use crate::problem::Problem;
use crate::protocol::is_element;

/// What a request for a list of buckets or files says.
///
/// # Errors
/// 400 for queries that are not in the language, a search that is too long, and a `total` that is not a boolean.
pub(super) fn find<T: Listable>(call: &Call<()>) -> Result<Find<T>, Problem> {
    let queries = Queries::parse(&queries(call)).map_err(|error| invalid("queries", error))?;
    Ok(Find { queries, search: search(call)?, is_counted: is_counted(call)? })
}

/// What a request for a list of file tokens says.
///
/// # Errors
/// As [`find`].
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
