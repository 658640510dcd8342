//! Devices that made tokens and did not answer lately, and who answered instead.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use transport::peer::PeerId;

use super::route::pause_after;

/// Devices that are remembered. The oldest one goes first; it is asked first again then.
pub(super) const MAX_AWAY: usize = 1024;

/// What is known of devices that made tokens, by their peer id.
#[derive(Debug, Default)]
pub(super) struct Away(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    makers: HashMap<PeerId, Absence>,
    order: VecDeque<PeerId>,
}

#[derive(Debug)]
struct Absence {
    /// How often another device was faster since this one has answered.
    misses: u32,
    /// Until when others are asked before it.
    until: Instant,
    instead: PeerId,
}

/// Who has answered instead of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instead {
    pub(super) peer: PeerId,
    /// Whether others are asked before the device that made the token.
    pub(super) is_first: bool,
}

impl Away {
    /// Who has answered last instead of a device that made a token.
    pub(super) fn instead_of(&self, maker: &PeerId, now: Instant) -> Option<Instead> {
        let known = self.known();
        known.makers.get(maker).map(|absence| Instead { peer: absence.instead, is_first: now < absence.until })
    }

    /// Another device has answered, and the one that made the token had not, although it was asked before. It is left for a growing time.
    pub(super) fn missed(&self, maker: PeerId, instead: PeerId, now: Instant) {
        let mut known = self.known();
        if let Some(absence) = known.makers.get_mut(&maker) {
            absence.instead = instead;
            // Several who ask at the same time miss it once.
            if absence.until <= now {
                absence.misses = absence.misses.saturating_add(1);
                absence.until = now + pause_after(absence.misses);
            }
            return;
        }
        known.makers.insert(maker, Absence { misses: 0, until: now + pause_after(0), instead });
        known.order.push_back(maker);
        if known.order.len() > MAX_AWAY
            && let Some(oldest) = known.order.pop_front()
        {
            known.makers.remove(&oldest);
        }
    }

    /// Another device has answered that was asked before the one that made the token.
    pub(super) fn replaced(&self, maker: &PeerId, instead: PeerId) {
        if let Some(absence) = self.known().makers.get_mut(maker) {
            absence.instead = instead;
        }
    }

    /// A device that made a token has answered.
    pub(super) fn is_back(&self, maker: &PeerId) {
        let mut known = self.known();
        if known.makers.remove(maker).is_some() {
            known.order.retain(|known| known != maker);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use transport::crypto::SignatureKeypair;
    use transport::peer::PeerKey;

    use super::*;

    fn peer(number: usize) -> PeerId {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        PeerKey::derive(&SignatureKeypair::from_seed(&seed)).peer_id()
    }

    #[test]
    fn who_did_not_answer_is_left_for_a_growing_time_until_it_does() {
        let (away, mut now, maker) = (Away::default(), Instant::now(), peer(0));
        assert_eq!(away.instead_of(&maker, now), None);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            away.missed(maker, peer(1), now);
            away.missed(maker, peer(2), now);
            now += Duration::from_secs(pause) - Duration::from_millis(1);
            assert_eq!(away.instead_of(&maker, now), Some(Instead { peer: peer(2), is_first: true }), "{pause}");
            now += Duration::from_millis(1);
            assert_eq!(away.instead_of(&maker, now), Some(Instead { peer: peer(2), is_first: false }), "{pause}");
        }
        away.replaced(&maker, peer(3));
        assert_eq!(away.instead_of(&maker, now), Some(Instead { peer: peer(3), is_first: false }));
        away.is_back(&maker);
        away.replaced(&maker, peer(3));
        assert_eq!(away.instead_of(&maker, now), None);
        away.missed(maker, peer(1), now);
        assert!(!away.instead_of(&maker, now + pause_after(0)).unwrap().is_first, "it begins anew");
    }

    #[test]
    fn as_many_are_remembered_and_the_oldest_goes_first() {
        let (away, now) = (Away::default(), Instant::now());
        let makers: Vec<_> = (0..=MAX_AWAY).map(peer).collect();
        makers[..MAX_AWAY].iter().for_each(|maker| away.missed(*maker, peer(9999), now));
        away.missed(makers[0], peer(9999), now);
        assert!(away.instead_of(&makers[0], now).is_some());
        away.missed(makers[MAX_AWAY], peer(9999), now);
        assert!(away.instead_of(&makers[0], now).is_none() && away.instead_of(&makers[1], now).is_some());
        assert_eq!(away.known().order.len(), MAX_AWAY);
        away.is_back(&makers[1]);
        away.missed(makers[0], peer(9999), now);
        assert!(away.instead_of(&makers[2], now).is_some(), "there was room");
    }
}
