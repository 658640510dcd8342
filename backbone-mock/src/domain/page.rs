//! Pages of lists.

use transport::wire::backbone::envelope::Pagination;

use super::{Refusal, Rule};

const DEFAULT_SIZE: u64 = 50;
const MAX_SIZE: u64 = 200;

/// Which page of a list is asked for.
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
    /// Where the page is; absent when it is the only one.
    pub(crate) pagination: Option<Pagination>,
}

impl PageRequest {
    /// Checks what the caller asked for.
    pub(crate) fn new(number: Option<i64>, size: Option<i64>) -> Result<Self, Refusal> {
        let size = size.map_or(Ok(DEFAULT_SIZE), |size| at_least_one(size, "pageSize"))?;
        if size > MAX_SIZE {
            return Err(Refusal::rule(Rule::InvalidPageSize, format!("the maximum is {MAX_SIZE}")));
        }
        let number = number.map_or(Ok(1), |number| at_least_one(number, "pageNumber"))?;
        Ok(Self { number, size })
    }

    /// Cuts the page out of the keys of all matches.
    pub(crate) fn cut<K>(self, keys: Vec<K>) -> Page<K> {
        let total = keys.len() as u64;
        let pages = total.div_ceil(self.size);
        let skipped = usize::try_from((self.number - 1).saturating_mul(self.size)).unwrap_or(usize::MAX);
        let taken = usize::try_from(self.size).unwrap_or(usize::MAX);
        let pagination = (pages > 1).then_some(Pagination {
            page_number: self.number,
            page_size: self.size,
            total_pages: pages,
            total_records: total,
        });
        Page { items: keys.into_iter().skip(skipped).take(taken).collect(), pagination }
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

    #[test]
    fn a_single_page_carries_no_pagination() {
        let page = PageRequest::new(None, None).unwrap().cut(vec![1, 2, 3]);
        assert_eq!(page.items, [1, 2, 3]);
        assert_eq!(page.pagination, None);
    }

    #[test]
    fn pages_beyond_the_end_are_empty_and_know_the_total() {
        let page = PageRequest::new(Some(i64::MAX), Some(2)).unwrap().cut(vec![1, 2, 3]);
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
