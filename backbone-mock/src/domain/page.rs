//! Pages of lists.

use transport::wire::backbone::envelope::Pagination;

use super::{Refusal, Rule};

const DEFAULT_SIZE: u64 = 50;
const MAX_SIZE: u64 = 200;

/// The requested page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageRequest {
    number: u64,
    size: u64,
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    /// The records on the page.
    pub(crate) items: Vec<T>,
    /// The position of the page; absent if there is only one.
    pub(crate) pagination: Option<Pagination>,
}

impl PageRequest {
    /// Checks the parameters of a request.
    pub(crate) fn new(number: Option<i64>, size: Option<i64>) -> Result<Self, Refusal> {
        let size = size.map_or(Ok(DEFAULT_SIZE), |size| at_least_one(size, "pageSize"))?;
        if size > MAX_SIZE {
            return Err(Refusal::rule(Rule::InvalidPageSize, format!("the maximum is {MAX_SIZE}")));
        }
        let number = number.map_or(Ok(1), |number| at_least_one(number, "pageNumber"))?;
        Ok(Self { number, size })
    }

    /// Starts to collect the page from all matches, which are added one by one.
    pub(crate) fn cut<K>(self) -> Cut<K> {
        Cut { request: self, seen: 0, items: Vec::new() }
    }
}

/// A page that is being collected. It holds the items of the page only, however many matches there are.
///
/// The protocol numbers pages and includes the total, so every page counts all matches. That is cheap if they are keys, and
/// callers read them in steps.
#[derive(Debug)]
pub(crate) struct Cut<K> {
    request: PageRequest,
    seen: u64,
    items: Vec<K>,
}

impl<K> Cut<K> {
    /// Counts the next match, and keeps it if it is on the page.
    pub(crate) fn add(&mut self, item: K) {
        let PageRequest { number, size } = self.request;
        let first = (number - 1).saturating_mul(size);
        if (first..first.saturating_add(size)).contains(&self.seen) {
            self.items.push(item);
        }
        self.seen += 1;
    }

    /// The page, after the last match.
    pub(crate) fn finish(self) -> Page<K> {
        let Self { request: PageRequest { number, size }, seen, items } = self;
        let total_pages = seen.div_ceil(size);
        let pagination = (total_pages > 1).then_some(Pagination {
            page_number: number,
            page_size: size,
            total_pages,
            total_records: seen,
        });
        Page { items, pagination }
    }
}

impl<K> Extend<K> for Cut<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, matches: I) {
        matches.into_iter().for_each(|item| self.add(item));
    }
}

impl<T> Page<T> {
    /// The same page with other items.
    pub(crate) fn with<U>(self, items: Vec<U>) -> Page<U> {
        Page { items, pagination: self.pagination }
    }
}

fn at_least_one(value: i64, property: &'static str) -> Result<u64, Refusal> {
    u64::try_from(value).ok().filter(|value| *value > 0).ok_or_else(|| Refusal::invalid(property, "must be at least 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(request: Result<PageRequest, Refusal>, matches: std::ops::Range<u64>) -> Page<u64> {
        let mut page = request.unwrap().cut();
        page.extend(matches);
        page.finish()
    }

    #[test]
    fn a_page_holds_no_more_than_itself() {
        let mut page = PageRequest::new(Some(2), Some(200)).unwrap().cut();
        for number in 0..100_000 {
            page.add(number);
            assert!(page.items.len() <= 200);
        }
        assert_eq!(page.finish().items, (200..400).collect::<Vec<_>>());
    }

    #[test]
    fn a_single_page_carries_no_pagination() {
        let page = cut(PageRequest::new(None, None), 0..50);
        assert_eq!(page.items.len(), 50);
        assert_eq!(page.pagination, None);
    }

    #[test]
    fn pages_beyond_the_end_are_empty_and_know_the_total() {
        let page = cut(PageRequest::new(Some(i64::MAX), Some(2)), 0..3);
        assert!(page.items.is_empty());
        let pagination = page.pagination.unwrap();
        assert_eq!((pagination.total_pages, pagination.total_records), (2, 3));
    }

    #[test]
    fn sizes_and_numbers_out_of_range_are_refused() {
        let size = PageRequest::new(None, Some(201)).unwrap_err();
        assert!(matches!(size, Refusal::Rule { rule: Rule::InvalidPageSize, .. }));
        for (number, size) in [(Some(0), None), (Some(-1), None), (None, Some(0))] {
            assert!(matches!(PageRequest::new(number, size), Err(Refusal::Invalid { .. })));
        }
    }
}
