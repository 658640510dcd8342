//! The SHA-256 of a file, for scripts that compare it. Nothing depends on it: what arrives is verified before it is written.

use sha2::{Digest as _, Sha256};

use super::destination::hex;
use crate::progress::ProgressOutput;

/// The hash of bytes in their order, or nothing where nobody asks for it: it takes an eighth of the time that the processor spends on a
/// direct transfer.
#[derive(Clone)]
pub(super) struct Checksum(Option<Sha256>);

impl Checksum {
    /// For the result that an output shows: JSON has the hash, text does not.
    pub(super) fn shown_by(progress: &ProgressOutput) -> Self {
        Self(progress.is_json().then(Sha256::new))
    }

    /// For a result without it.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Whether there is one.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Adds bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.0 {
            hash.update(bytes);
        }
    }

    /// The hash in lower-case hexadecimal.
    pub(super) fn finish(self) -> Option<String> {
        self.0.map(|hash| hex(&hash.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;

    #[test]
    fn json_has_a_hash_and_text_has_none() {
        for (json, wanted) in
            [(true, Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")), (false, None)]
        {
            let mut checksum = Checksum::shown_by(&ProgressOutput::new(Output::new(json)));
            assert_eq!(checksum.is_wanted(), json);
            checksum.update(b"a");
            checksum.update(b"bc");
            assert_eq!(checksum.finish().as_deref(), wanted);
        }
    }
}
