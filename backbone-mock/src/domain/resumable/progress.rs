//! How far an upload goes, as it is stored: with the state of the hash, so that finishing does not read everything again.

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::SerializableState as _;
use sha2::{Digest as _, Sha512};
use transport::wire::ByteText;

use crate::core::Core;
use crate::error::StoreError;
use crate::store::{AppendProgress, packed};

/// The first byte of a stored state: that of `sha2` 0.11, which later versions may not read.
const FORMAT: u8 = 1;

/// Bytes that were acknowledged.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Acknowledged {
    pub(super) size: u64,
    /// The state of their SHA-512, behind its format.
    #[serde(with = "packed")]
    state: ByteText,
}

impl From<&AppendProgress> for Acknowledged {
    fn from(progress: &AppendProgress) -> Self {
        let mut state = vec![FORMAT];
        state.extend_from_slice(&progress.sha512.serialize());
        Self { size: progress.size, state: ByteText(state) }
    }
}

impl Default for Acknowledged {
    fn default() -> Self {
        Self::from(&AppendProgress::default())
    }
}

impl Acknowledged {
    /// To go on from there. Reads the bytes if their state was stored by a program that hashed in another way.
    pub(super) async fn progress(&self, core: &Core, blob: &str) -> Result<AppendProgress, StoreError> {
        let sha512 = match self.restored() {
            Some(sha512) => sha512,
            None => hash_of(core, blob, self.size).await?,
        };
        Ok(AppendProgress { size: self.size, sha512 })
    }

    fn restored(&self) -> Option<Sha512> {
        let (&format, state) = self.state.0.split_first()?;
        let state = state.try_into().ok().filter(|_| format == FORMAT)?;
        Sha512::deserialize(state).ok()
    }
}

async fn hash_of(core: &Core, blob: &str, size: u64) -> Result<Sha512, StoreError> {
    let missing = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let bytes = core.store.read_part_of_blob(blob, 0, size).await?.ok_or_else(missing)?;
    if bytes.size() < size {
        return Err(missing().into());
    }
    let mut pieces = std::pin::pin!(bytes.into_stream());
    let mut sha512 = Sha512::new();
    while let Some(piece) = pieces.try_next().await? {
        sha512.update(&piece);
    }
    Ok(sha512)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// Stored states outlive the version of `sha2` that wrote them: if this fails, a new [`FORMAT`] is due.
    #[test]
    fn the_stored_state_has_the_form_of_its_format() {
        let sha512 = Sha512::new_with_prefix(vec![7; 129]);
        let stored = Acknowledged::from(&AppendProgress { size: 129, sha512 }).state.0;
        let hex: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = [
            // The format, and the state after one block.
            "01",
            "8fa996e22393f5fc50153bd12ade358b43d1c070ecaa4f726815bec27ff505fb",
            "321adfb8d847e7ca052bf3959c305d6692635828cad1c704395cda2279463859",
            // The number of blocks, in 16 bytes.
            "01000000000000000000000000000000",
            // The bytes behind them: how many, which, and zeros.
            "0107",
        ];
        assert_eq!(hex, expected.concat() + &"00".repeat(126));
    }

    #[tokio::test]
    async fn a_hash_goes_on_from_what_was_stored_or_from_the_bytes() {
        let core = Core::in_memory(Config::new("")).await;
        for length in [0, 1, 127, 128, 129, 300_000] {
            let bytes = vec![7; length];
            let mut writer = core.store.new_blob().await.unwrap();
            writer.write(bytes.clone().into()).await.unwrap();
            let (blob, written) = writer.publish().await.unwrap();
            let progress = AppendProgress { size: written.size, sha512: Sha512::new_with_prefix(&bytes) };
            let mut stored = Acknowledged::from(&progress);
            let expected = Sha512::new_with_prefix(&bytes).chain_update(b"more").finalize();
            for format in [FORMAT, FORMAT + 1] {
                stored.state.0[0] = format;
                let restored = stored.progress(&core, blob.name()).await.unwrap();
                assert_eq!(restored.size, length as u64);
                assert_eq!(restored.sha512.chain_update(b"more").finalize(), expected, "{length}");
            }
            stored.state.0.truncate(9);
            stored.size += 1;
            assert!(stored.progress(&core, blob.name()).await.is_err(), "{length}");
        }
    }
}
