//! Login passwords of devices: generated, never typed.

use zeroize::Zeroizing;

use crate::crypto::random::{below, choice};

const SPECIAL: &[u8] = b"!?-_.:,;#+";
const LOWER: &[u8] = b"abcdefghijkmnpqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
const DIGITS: &[u8] = b"123456789";
const MIN_LENGTH: u32 = 45;
const MAX_LENGTH: u32 = 50;

/// A fresh password of 45 to 50 characters with at least one special character, lower-case letter, upper-case letter
/// and digit, without characters that look alike. Wiped on drop.
#[must_use]
pub fn generate_device_password() -> Zeroizing<String> {
    let kinds = [SPECIAL, LOWER, UPPER, DIGITS];
    let all = kinds.concat();
    let length = (MIN_LENGTH + below(MAX_LENGTH - MIN_LENGTH + 1)) as usize;
    let mut characters = Zeroizing::new(Vec::with_capacity(length));
    characters.extend(kinds.into_iter().map(choice));
    characters.resize_with(length, || choice(&all));
    shuffle(&mut characters);
    Zeroizing::new(characters.iter().copied().map(char::from).collect())
}

/// Fisher-Yates shuffle: every order is equally likely.
fn shuffle(items: &mut [u8]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(u32::try_from(last).unwrap_or(u32::MAX - 1) + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_the_right_length_and_every_kind_of_character_and_differ() {
        let passwords: std::collections::HashSet<_> =
            (0..200).map(|_| generate_device_password().to_string()).collect();
        assert_eq!(passwords.len(), 200);
        for password in passwords {
            assert!((45..=50).contains(&password.len()), "{password}");
            for kind in [SPECIAL, LOWER, UPPER, DIGITS] {
                assert!(password.bytes().any(|byte| kind.contains(&byte)), "{password}");
            }
            assert!(!password.contains(['I', 'O', 'l', 'o', '0', '&']), "{password}");
        }
    }
}
