//! What of the contents of files was sent to whom, so that it is told once when somebody was sent all of one. A receiver may ask in several
//! requests, in any order, and go on after an interruption.
//!
//! It is in memory: what was sent before the node was started counts as not sent.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use transport::wire::{Address, ClaimId, FileId, TokenId};

/// Transfers that are remembered. For one more, one is forgotten, as if nothing of it was sent: its end may not be told, and one whose end was told is told
/// again if all is sent again. It is one of a reader who has the most, so that nobody has those of others forgotten by asking often: one whose end was
/// told, or else the one that went on least lately.
pub(crate) const MAX_TRANSFERS: usize = 1024;

/// Transfers of one identity among them; beyond it one of its own is forgotten.
const MAX_OF_IDENTITY: usize = 64;

/// Transfers of all peers without an identity among them. A peer id costs nothing, so they count together.
const MAX_OF_STRANGERS: usize = MAX_TRANSFERS / 2;

/// Separate pieces that are remembered of a transfer. For one more, the shortest of the others is forgotten, as if it was not sent.
const MAX_PIECES: usize = 64;

/// A content on its way to a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Transfer {
    pub(crate) file: FileId,
    /// The token by which it is asked for, if it is not asked for by its own id.
    pub(crate) token: Option<TokenId>,
    /// Who asks: a peer under a claim, which stays the same when it proves an identity; else an identity, or a peer without one.
    pub(crate) reader: String,
    /// The use of the token to which the requests say that they belong, if they do. Of a token without a limit, nobody checks that.
    pub(crate) claim: Option<ClaimId>,
}

/// The transfers that are known.
#[derive(Default)]
pub(crate) struct Transfers(Mutex<Known>);

#[derive(Default)]
struct Known {
    transfers: HashMap<Transfer, Sent>,
    /// Grows with each call, so that it says what went on lately.
    calls: u64,
}

struct Sent {
    pieces: Pieces,
    /// The identity for which it counts; none for a peer without one.
    counts_for: Option<Address>,
    is_told: bool,
    /// The call in which it went on.
    last: u64,
}

/// Bytes, by their places: in order, and with gaps between them.
#[derive(Debug, Default)]
struct Pieces(Vec<Range<u64>>);

impl Transfers {
    /// These bytes of a blob were sent, to a peer of this identity or to one without, whose bytes in `content` are its content. Returns whether all of
    /// the content was sent now. That is so once for a use; to a receiver that names none again when all was sent again.
    pub(crate) fn were_sent(
        &self,
        transfer: &Transfer,
        counts_for: Option<&Address>,
        content: &Range<u64>,
        bytes: &Range<u64>,
    ) -> bool {
        let (start, end) = (bytes.start.max(content.start), bytes.end.min(content.end));
        if start >= end {
            return false;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = known.of(transfer, counts_for);
        sent.pieces.add(start..end);
        if sent.is_told || !sent.pieces.have(content) {
            return false;
        }
        match transfer.claim {
            Some(_) => sent.is_told = true,
            None => drop(known.transfers.remove(transfer)),
        }
        true
    }
}

impl Known {
    fn of(&mut self, transfer: &Transfer, counts_for: Option<&Address>) -> &mut Sent {
        self.calls += 1;
        if !self.transfers.contains_key(transfer) {
            self.make_room(counts_for);
        }
        let new = || Sent { pieces: Pieces::default(), counts_for: counts_for.cloned(), is_told: false, last: 0 };
        let sent = self.transfers.entry(transfer.clone()).or_insert_with(new);
        sent.last = self.calls;
        sent
    }

    /// Has one more transfer of a reader stay within the bounds.
    fn make_room(&mut self, reader: Option<&Address>) {
        let mut counts: HashMap<Option<&Address>, usize> = HashMap::new();
        for sent in self.transfers.values() {
            *counts.entry(sent.counts_for.as_ref()).or_default() += 1;
        }
        let bound = if reader.is_some() { MAX_OF_IDENTITY } else { MAX_OF_STRANGERS };
        let most = counts.values().max().copied().unwrap_or_default();
        let may_go = |sent: &Sent| match counts.get(&reader) {
            Some(count) if *count >= bound => sent.counts_for.as_ref() == reader,
            _ => self.transfers.len() >= MAX_TRANSFERS && counts.get(&sent.counts_for.as_ref()) == Some(&most),
        };
        let going = self.transfers.iter().filter(|(_, sent)| may_go(sent));
        let first = going.min_by_key(|(_, sent)| (!sent.is_told, sent.last)).map(|(transfer, _)| transfer.clone());
        first.and_then(|first| self.transfers.remove(&first));
    }
}

impl Pieces {
    /// Adds a piece that is not empty.
    fn add(&mut self, mut added: Range<u64>) {
        let first = self.0.partition_point(|piece| piece.end < added.start);
        let behind = self.0.partition_point(|piece| piece.start <= added.end);
        for joined in &self.0[first..behind] {
            added = added.start.min(joined.start)..added.end.max(joined.end);
        }
        self.0.splice(first..behind, [added]);
        if self.0.len() > MAX_PIECES {
            let others = self.0.iter().enumerate().filter(|(place, _)| *place != first);
            let shortest = others.min_by_key(|(_, piece)| piece.end - piece.start).map(|(place, _)| place);
            shortest.map(|place| self.0.remove(place));
        }
    }

    fn have(&self, bytes: &Range<u64>) -> bool {
        self.0.iter().any(|piece| piece.start <= bytes.start && bytes.end <= piece.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A blob has something before its content and behind it.
    const CONTENT: Range<u64> = 10..100;

    fn transfer(reader: impl ToString, claim: Option<usize>) -> Transfer {
        let claim = claim.map(|number| format!("CLM{number:017}").parse().unwrap());
        Transfer { file: "FILabcdefghijklmno12".parse().unwrap(), token: None, reader: reader.to_string(), claim }
    }

    fn identity(seed: &[u8; 32]) -> Address {
        let key = transport::crypto::SignatureKeypair::from_seed(seed).public_key();
        transport::identity::derive_address(&key, "localhost").unwrap()
    }

    /// The identity of a reader in a test.
    fn reader_of(transfer: &Transfer) -> Address {
        let mut seed = [0; 32];
        let name = transfer.reader.as_bytes();
        seed[..name.len()].copy_from_slice(name);
        identity(&seed)
    }

    fn by_claim(number: usize) -> Transfer {
        transfer("a", Some(number))
    }

    #[test]
    fn all_of_a_content_counts_in_any_order_and_nothing_beside_it() {
        let transfers = Transfers::default();
        let of_first = |bytes| sent(&transfers, &by_claim(1), bytes);
        assert!(![100..200, 0..10, 60..100, 5..30, 40..60, 30..39].into_iter().any(of_first));
        assert!(of_first(35..40));
        assert!(!of_first(0..200), "once");
        assert!(!sent(&transfers, &by_claim(2), 10..99), "another use");
        assert!(!sent(&transfers, &transfer("b", Some(2)), 99..100), "another reader");
    }

    #[test]
    fn the_same_bytes_do_not_count_twice() {
        let transfers = Transfers::default();
        assert!(!(0..9).any(|_| sent(&transfers, &by_claim(1), 0..60)));
    }

    #[test]
    fn a_receiver_without_a_claim_is_told_of_each_time() {
        let (transfers, receiver) = (Transfers::default(), transfer("a", None));
        for _ in 0..2 {
            assert!(!sent(&transfers, &receiver, 0..50));
            assert!(sent(&transfers, &receiver, 50..100));
        }
        assert!(transfers.0.lock().unwrap().transfers.is_empty());
    }

    /// Sends these bytes, and returns whether all were sent.
    fn sent(transfers: &Transfers, transfer: &Transfer, bytes: Range<u64>) -> bool {
        transfers.were_sent(transfer, Some(&reader_of(transfer)), &CONTENT, &bytes)
    }

    fn count(transfers: &Transfers) -> usize {
        transfers.0.lock().unwrap().transfers.len()
    }

    #[test]
    fn beyond_its_bound_a_reader_has_its_own_transfer_forgotten_that_went_on_least_lately() {
        let (transfers, other) = (Transfers::default(), transfer("b", None));
        assert!(!sent(&transfers, &other, 10..50));
        for number in 0..MAX_OF_IDENTITY {
            assert!(!sent(&transfers, &by_claim(number), 10..50));
        }
        // The first one goes on, so it is not the first to go.
        assert!(!sent(&transfers, &by_claim(0), 50..60));
        assert_eq!(count(&transfers), MAX_OF_IDENTITY + 1);
        assert!(!sent(&transfers, &by_claim(MAX_OF_IDENTITY), 10..50));
        assert_eq!(count(&transfers), MAX_OF_IDENTITY + 1);
        for (number, rest) in [(0, 60..100), (2, 50..100), (MAX_OF_IDENTITY, 50..100)] {
            assert!(sent(&transfers, &by_claim(number), rest));
        }
        // However many claims somebody invents.
        for number in MAX_OF_IDENTITY..3 * MAX_TRANSFERS {
            sent(&transfers, &by_claim(number), 10..50);
        }
        assert!(sent(&transfers, &other, 50..100));
        assert!(!sent(&transfers, &by_claim(1), 50..100), "it was forgotten");
        assert!(sent(&transfers, &by_claim(0), 10..100), "that it was told was forgotten, too");
    }

    #[test]
    fn beyond_the_bound_the_one_is_forgotten_that_went_on_least_lately_of_those_who_have_most() {
        let (transfers, of) = (Transfers::default(), |reader: usize| transfer(reader, None));
        for reader in 0..MAX_TRANSFERS - 1 {
            assert!(!sent(&transfers, &of(reader), 10..50));
        }
        assert!(!sent(&transfers, &transfer(7, Some(1)), 10..50));
        assert_eq!(count(&transfers), MAX_TRANSFERS);
        assert!(!sent(&transfers, &of(MAX_TRANSFERS), 10..50));
        assert!(!sent(&transfers, &of(0), 50..60));
        assert!(!sent(&transfers, &of(MAX_TRANSFERS + 1), 10..50));
        assert_eq!(count(&transfers), MAX_TRANSFERS);
        assert!(!sent(&transfers, &of(7), 50..100), "its reader had two");
        assert!(!sent(&transfers, &of(1), 50..100), "it went on least lately");
        assert!(sent(&transfers, &of(0), 60..100) && sent(&transfers, &of(MAX_TRANSFERS), 50..100));
    }

    #[test]
    fn transfers_at_the_same_time_are_told_although_all_places_are_those_of_told_uses() {
        let transfers = Transfers::default();
        for reader in 0..MAX_TRANSFERS {
            assert!(sent(&transfers, &transfer(reader, Some(1)), 0..100));
        }
        let two = [1, 2].map(|claim| transfer("new", Some(claim)));
        assert!(!two.iter().any(|transfer| sent(&transfers, transfer, 10..50)));
        assert!(two.iter().all(|transfer| sent(&transfers, transfer, 50..100)));
        assert_eq!(count(&transfers), MAX_TRANSFERS);
    }

    #[test]
    fn however_many_peers_without_an_identity_ask_they_have_no_others_forgotten() {
        let transfers = Transfers::default();
        let by_stranger = |name: usize, bytes| transfers.were_sent(&transfer(name, None), None, &CONTENT, &bytes);
        assert!(!sent(&transfers, &by_claim(1), 10..50));
        for stranger in 0..2 * MAX_TRANSFERS {
            assert!(!by_stranger(stranger, 10..50));
        }
        assert_eq!(count(&transfers), MAX_OF_STRANGERS + 1);
        assert!(sent(&transfers, &by_claim(1), 50..100) && by_stranger(2 * MAX_TRANSFERS - 1, 50..100));
    }

    #[test]
    fn beyond_the_bound_of_pieces_the_shortest_of_the_others_counts_as_not_sent() {
        let (mut pieces, all) = (Pieces::default(), 0..10 * MAX_PIECES as u64 + 5);
        for number in 0..MAX_PIECES as u64 {
            pieces.add(10 * number..10 * number + if number == 7 { 2 } else { 5 });
        }
        assert_eq!(pieces.0.len(), MAX_PIECES);
        pieces.add(all.end - 5..all.end - 4);
        assert_eq!(pieces.0.len(), MAX_PIECES);
        assert!(!pieces.have(&(70..72)) && pieces.have(&(60..65)) && pieces.have(&(all.end - 5..all.end - 4)));
        // Whoever asks for everything again gets it nevertheless.
        for start in all.clone() {
            pieces.add(start..start + 1);
        }
        assert!(pieces.have(&all));
    }

    proptest! {
        #[test]
        fn pieces_have_what_was_added(added in prop::collection::vec((0_u64..60, 1_u64..9), 1..40), from in 0_u64..60, length in 1_u64..30) {
            let mut pieces = Pieces::default();
            added.iter().for_each(|(start, length)| pieces.add(*start..start + length));
            let is_in = |place: &u64| added.iter().any(|(start, length)| (*start..start + length).contains(place));
            prop_assert_eq!(pieces.have(&(from..from + length)), (from..from + length).all(|place| is_in(&place)));
            prop_assert!(pieces.0.windows(2).all(|two| two[0].end < two[1].start));
        }
    }
}
