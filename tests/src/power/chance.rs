//! A seeded random number generator.

use std::time::{SystemTime, UNIX_EPOCH};

/// A xorshift generator. Not for secrets.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// Creates a generator. The same seed gives the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Mixed, because similar seeds would start with similar numbers.
        let mut chance = Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 };
        for _ in 0..8 {
            chance.number();
        }
        chance
    }

    /// The seed from an environment variable, otherwise one from the clock.
    ///
    /// # Panics
    /// If the variable is not a number.
    #[must_use]
    pub fn seed_from(variable: &str) -> u64 {
        std::env::var(variable).ok().map_or_else(
            || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64),
            |text| text.parse().expect("a seed is a number"),
        )
    }

    fn number(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below `bound`, or 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or(0)
    }

    /// An index into a list of this length, or 0 if it is empty.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// An independent generator, seeded from this one.
    pub fn child(&mut self) -> Self {
        Self::new(self.number())
    }
}
