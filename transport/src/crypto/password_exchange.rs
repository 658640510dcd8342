//! SPAKE2 over Ed25519's group: two sides that know the same password, and nobody else, get the same key.
//!
//! Whoever does not know the password learns nothing about it from the messages, and can test one guess for each exchange that it
//! takes part in. The key says nothing by itself: the sides have to prove to each other that they have the same.
//!
//! The crate `spake2` of RustCrypto is maintained beside the other primitives, was written by the author of magic-wormhole and has
//! carried its codes for years; nobody has audited it. OPAQUE has been audited, but is for a server that keeps a record of
//! the password; the crates for CPace are not maintained.

use spake2::rand_core::{TryCryptoRng, TryRng};
use spake2::{Ed25519Group, Identity, Password, Spake2};

use super::{CryptoError, SecretKey};

/// Bytes of a message: one that tells the sides apart, and a compressed point.
pub(crate) const ELEMENT_LENGTH: usize = 33;

/// Bytes of randomness for one exchange.
pub(crate) const RANDOMNESS_LENGTH: usize = 64;

/// The two sides, which are not interchangeable, so that a message that is sent back fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExchangeSide {
    /// Side A of SPAKE2.
    A,
    /// Side B of SPAKE2.
    B,
}

/// One side of an exchange that waits for the message of the other one.
pub(crate) struct PasswordExchange(Spake2<Ed25519Group>);

impl PasswordExchange {
    /// Starts an exchange between two named sides; both must use the same names. `randomness` must be fresh.
    pub(crate) fn start(
        side: ExchangeSide,
        password: &str,
        names: [&[u8]; 2],
        randomness: [u8; RANDOMNESS_LENGTH],
    ) -> (Self, [u8; ELEMENT_LENGTH]) {
        let (password, [a, b]) = (Password::new(password), names.map(Identity::new));
        let (state, message) = match side {
            ExchangeSide::A => Spake2::start_a_with_rng(&password, &a, &b, Once(randomness)),
            ExchangeSide::B => Spake2::start_b_with_rng(&password, &a, &b, Once(randomness)),
        };
        (Self(state), message.try_into().expect("a message is a side and a compressed point"))
    }

    /// The key. Both sides get the same one if they used the same password and names.
    ///
    /// # Errors
    /// [`CryptoError::PasswordExchange`] if the message is not one of the other side.
    pub(crate) fn finish(self, message: &[u8; ELEMENT_LENGTH]) -> Result<SecretKey, CryptoError> {
        let key = zeroize::Zeroizing::new(self.0.finish(message).map_err(|_| CryptoError::PasswordExchange)?);
        key.as_slice().try_into().map(SecretKey::from_bytes).map_err(|_| CryptoError::PasswordExchange)
    }
}

/// Randomness from the caller, as the source that `spake2` asks for. It asks for all of it, once.
struct Once([u8; RANDOMNESS_LENGTH]);

impl TryRng for Once {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unreachable!("a scalar is made of 64 bytes at once")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!("a scalar is made of 64 bytes at once")
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Self::Error> {
        target.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Once {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(password: &str, names: [&[u8]; 2], message: &[u8; ELEMENT_LENGTH]) -> Result<SecretKey, CryptoError> {
        PasswordExchange::start(ExchangeSide::A, password, names, [1; 64]).0.finish(message)
    }

    #[test]
    fn the_key_is_shared_with_the_same_password_and_names_only() {
        let (b, from_b) = PasswordExchange::start(ExchangeSide::B, "amber", [b"a", b"b"], [2; 64]);
        let (_, from_a) = PasswordExchange::start(ExchangeSide::A, "amber", [b"a", b"b"], [1; 64]);
        let shared = b.finish(&from_a).unwrap();
        assert_eq!(key("amber", [b"a", b"b"], &from_b).unwrap(), shared);
        assert_ne!(key("ember", [b"a", b"b"], &from_b).unwrap(), shared);
        assert_ne!(key("amber", [b"a", b"c"], &from_b).unwrap(), shared);
    }

    #[test]
    fn messages_that_come_back_or_are_no_points_are_refused() {
        let (_, from_a) = PasswordExchange::start(ExchangeSide::A, "amber", [b"a", b"b"], [1; 64]);
        let mut no_point = [0x42; ELEMENT_LENGTH];
        no_point[1..].copy_from_slice(&[2; 32]);
        for message in [from_a, no_point] {
            assert_eq!(key("amber", [b"a", b"b"], &message), Err(CryptoError::PasswordExchange));
        }
    }
}
