//! Ids that contain their challenge, so that the server stores nothing for challenges without a login.
//!
//! ```text
//! id     = "CHL" and 17 letters or digits, most significant first: the number below to the base of 62
//! number = expiry (34 bits, seconds since 1970) ‖ serial (20 bits) ‖ MAC (47 bits, Blake2b over expiry ‖ serial)
//! ```
//!
//! The serial distinguishes challenges of one second. The MAC makes the text unpredictable, which is the purpose of a challenge.
//! Guessing one gains nothing, because everybody can request one; so 47 bits are enough.

use std::sync::atomic::{AtomicU64, Ordering};

use transport::wire::{ChallengeId, Timestamp};

use crate::secrets::{ServerKey, random_bytes};

const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const PREFIX: &str = "CHL";
const LENGTH: usize = 17;
const EXPIRY_BITS: u32 = 34;
const SERIAL_BITS: u32 = 20;
const MAC_BITS: u32 = 47;
const MILLISECONDS: i64 = 1000;

/// Serial numbers of challenges. The first one is random, so that those of two processes within one second differ.
pub(crate) struct Serials(AtomicU64);

impl Serials {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(u64::from_be_bytes(random_bytes())))
    }

    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) & mask(SERIAL_BITS)
    }
}

/// A new challenge that expires at this time or less than a second later, because ids contain whole seconds.
pub(crate) fn issue(key: &ServerKey, serials: &Serials, expires_at: Timestamp) -> (ChallengeId, Timestamp) {
    let seconds = expires_at.as_unix_milliseconds().saturating_add(MILLISECONDS - 1).div_euclid(MILLISECONDS);
    let seconds = u64::try_from(seconds).unwrap_or(0) & mask(EXPIRY_BITS);
    let claims = (seconds << SERIAL_BITS) | serials.next();
    let number = (u128::from(claims) << MAC_BITS) | u128::from(mac(key, claims));
    (spell(number), time(seconds))
}

/// When the challenge with this id expires, if this server issued it.
pub(crate) fn expiry(key: &ServerKey, id: &ChallengeId) -> Option<Timestamp> {
    let number = read(id)?;
    let claims = u64::try_from(number >> MAC_BITS).ok()?;
    let given = u64::try_from(number & u128::from(mask(MAC_BITS))).ok()?;
    (mac(key, claims) == given).then(|| time(claims >> SERIAL_BITS))
}

fn mac(key: &ServerKey, claims: u64) -> u64 {
    key.challenge(claims) & mask(MAC_BITS)
}

fn time(seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).expect("34 bits");
    Timestamp::from_unix_milliseconds(seconds * MILLISECONDS)
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

fn spell(mut number: u128) -> ChallengeId {
    let base = DIGITS.len() as u128;
    let mut digits = [DIGITS[0]; LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(number % base).expect("below 62")];
        number /= base;
    }
    let digits = std::str::from_utf8(&digits).expect("letters and digits");
    format!("{PREFIX}{digits}").parse().unwrap_or_else(|_| unreachable!("a prefix and 17 letters or digits are an id"))
}

fn read(id: &ChallengeId) -> Option<u128> {
    id.as_str().strip_prefix(PREFIX)?.bytes().try_fold(0_u128, |number, digit| {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        number.checked_mul(DIGITS.len() as u128)?.checked_add(value as u128)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> ServerKey {
        ServerKey::from_bytes([byte; 32])
    }

    #[test]
    fn an_id_contains_its_expiry_for_its_own_server_only() {
        let expires_at: Timestamp = "2030-01-01T12:10:00.001Z".parse().unwrap();
        let (id, until) = issue(&key(1), &Serials::new(), expires_at);
        assert_eq!(until.to_string(), "2030-01-01T12:10:01.000Z");
        assert_eq!(expiry(&key(1), &id), Some(until));
        assert_eq!(expiry(&key(2), &id), None);
    }

    #[test]
    fn challenges_of_one_second_differ() {
        let (key, serials, now) = (key(1), Serials::new(), Timestamp::from_unix_milliseconds(0));
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| issue(&key, &serials, now).0).collect();
        assert_eq!(ids.len(), 1000);
    }

    /// Frozen, so that challenges outlive a new version of the program.
    #[test]
    fn the_form_of_an_id_is_frozen() {
        let id = spell((1 << (EXPIRY_BITS + SERIAL_BITS + MAC_BITS)) - 1);
        assert_eq!(id.as_str(), "CHL1LQlW3oBLftKFuRzB");
        assert_eq!(read(&id), Some((1 << 101) - 1));
    }

    proptest! {
        #[test]
        fn altered_ids_are_invalid(place in 3_usize..20, digit in 0_usize..62) {
            let (id, _) = issue(&key(1), &Serials::new(), Timestamp::from_unix_milliseconds(1_900_000_000_000));
            let mut text = id.as_str().as_bytes().to_vec();
            let is_altered = text[place] != DIGITS[digit];
            text[place] = DIGITS[digit];
            let altered: ChallengeId = String::from_utf8(text).unwrap().parse().unwrap();
            prop_assert_eq!(expiry(&key(1), &altered).is_none(), is_altered);
        }

        #[test]
        fn foreign_ids_are_invalid(text in "CHL[A-Za-z0-9]{17}") {
            let id: ChallengeId = text.parse().unwrap();
            prop_assert_eq!(expiry(&key(1), &id), None);
        }
    }
}
