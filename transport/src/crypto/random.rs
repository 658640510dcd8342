//! The only source of randomness: the operating system's.

/// Fresh random bytes.
///
/// # Panics
/// If the operating system provides no randomness.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

/// A uniformly distributed number below `bound`, which must not be 0.
#[must_use]
pub fn below(bound: u32) -> u32 {
    // rejection sampling: the incomplete last range would make small numbers more likely
    let limit = u32::MAX - u32::MAX % bound;
    loop {
        let candidate = u32::from_le_bytes(bytes());
        if candidate < limit {
            return candidate % bound;
        }
    }
}

/// `length` characters, each drawn from an alphabet of ASCII characters.
#[must_use]
pub fn text(alphabet: &[u8], length: usize) -> String {
    (0..length).map(|_| char::from(choice(alphabet))).collect()
}

/// One character of an alphabet that is not empty.
pub(crate) fn choice(alphabet: &[u8]) -> u8 {
    let bound = u32::try_from(alphabet.len()).unwrap_or(u32::MAX);
    alphabet[below(bound) as usize]
}
