//! Reads the log of the datawallet, in sections of bounded size.

use transport::backbone::{self, Session};
use transport::datawallet::{DatawalletError, check_order};
use transport::wire::backbone::datawallet::Modification;

/// Modifications after which a section ends, so that a device that is new to a long log has only a part of it in memory.
const SECTION_COUNT: usize = 1000;
/// Bytes of answers after which a section ends. Its last page may exceed it by the size of one answer.
const SECTION_BYTES: u64 = 16 * 1024 * 1024;
/// Most bytes of answers that are read to find one push in flight: what a section may have before it, an answer of up to 32
/// MiB in which it begins, and the push, which has 8 MiB and a payload. No honest backbone needs more.
const MAX_SECTION_BYTES: u64 = SECTION_BYTES + 48 * 1024 * 1024;
/// Most pages of one pull; a page of the published backbone has 50 modifications. What was read is kept, and the next
/// synchronization continues after it, so a log of any length is read eventually and an endless one does not occupy the node.
const MAX_PAGES: u64 = 20_000;
/// Most bytes of one pull, for the same reason.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Reads sections in order.
pub(super) struct LogReader<'a> {
    session: &'a Session,
    extent: Extent,
    /// Index of the last modification that was listed, or the one that was asked for.
    cursor: Option<u64>,
    is_at_end: bool,
}

/// A part of the log, in order and with indices in range.
pub(super) struct Section {
    pub(super) modifications: Vec<Modification>,
    /// Whether the log ends with it.
    pub(super) is_last: bool,
}

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum ReadError {
    Backbone(backbone::Error),
    /// The list cannot be part of a log.
    Invalid(DatawalletError),
    /// A push in flight is longer than what was sent.
    Padded,
    /// The log is longer than what one pull reads.
    TooLong,
}

impl<'a> LogReader<'a> {
    /// Reads what has a greater index than `known`; everything if there is none.
    pub(super) fn new(session: &'a Session, known: Option<u64>) -> Self {
        Self { session, extent: Extent::default(), cursor: known, is_at_end: false }
    }

    /// The next section. It does not end after an index for which `together` holds.
    pub(super) async fn next(&mut self, together: impl Fn(u64) -> bool) -> Result<Section, ReadError> {
        let (mut modifications, mut bytes) = (Vec::new(), 0);
        while !self.is_at_end {
            let page = self.session.modifications_page(self.cursor).await.map_err(ReadError::Backbone)?;
            self.extent.add_page(page.bytes)?;
            // A page without modifications is the end, even if the backbone announces more pages.
            self.is_at_end = !page.has_more || page.modifications.is_empty();
            self.cursor = check_order(&page.modifications, self.cursor).map_err(ReadError::Invalid)?;
            modifications.extend(page.modifications);
            bytes += page.bytes;
            let may_end = !self.cursor.is_some_and(&together);
            if is_enough(modifications.len(), bytes, may_end)? {
                break;
            }
        }
        Ok(Section { modifications, is_last: self.is_at_end })
    }
}

fn is_enough(count: usize, bytes: u64, may_end: bool) -> Result<bool, ReadError> {
    match may_end {
        true => Ok(count >= SECTION_COUNT || bytes >= SECTION_BYTES),
        false if bytes > MAX_SECTION_BYTES => Err(ReadError::Padded),
        false => Ok(false),
    }
}

/// How much of the log was read in one pull.
#[derive(Default)]
struct Extent {
    pages: u64,
    bytes: u64,
}

impl Extent {
    fn add_page(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.pages += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.pages > MAX_PAGES || self.bytes > MAX_BYTES { Err(ReadError::TooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_reads_max_pages_and_no_more() {
        let mut extent = Extent::default();
        for _ in 0..MAX_PAGES {
            extent.add_page(1).unwrap();
        }
        assert!(matches!(extent.add_page(1), Err(ReadError::TooLong)));
    }

    #[test]
    fn a_pull_reads_max_bytes_and_no_more() {
        let mut extent = Extent::default();
        extent.add_page(MAX_BYTES).unwrap();
        assert!(matches!(extent.add_page(1), Err(ReadError::TooLong)));
        assert!(matches!(Extent::default().add_page(u64::MAX), Err(ReadError::TooLong)));
    }

    #[test]
    fn a_section_ends_at_its_bounds() {
        assert!(!is_enough(SECTION_COUNT - 1, SECTION_BYTES - 1, true).unwrap());
        assert!(is_enough(SECTION_COUNT, 0, true).unwrap() && is_enough(1, SECTION_BYTES, true).unwrap());
    }

    #[test]
    fn a_section_that_must_not_end_has_a_bound_as_well() {
        assert!(!is_enough(SECTION_COUNT, MAX_SECTION_BYTES, false).unwrap());
        assert!(matches!(is_enough(1, MAX_SECTION_BYTES + 1, false), Err(ReadError::Padded)));
    }
}
