//! Values that are opened in the place of those that are not there.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sealing::{self, Sealing, StoreSecret};
use super::{Result, key};

/// A value of no store, sealed as those in a store are: for who must not learn by the time whether there is a value. To open it takes the work of opening
/// one that was read.
pub(crate) struct StandIn {
    sealing: Sealing,
    key: Vec<u8>,
    sealed: Vec<u8>,
}

impl StandIn {
    /// Seals a value as if it had this name.
    ///
    /// # Errors
    /// [`StoreError::Encoding`](super::StoreError::Encoding), and for a name that is too long.
    pub(crate) fn new<T: Serialize>(name: &str, value: &T) -> Result<Self> {
        let (sealing, key) = (Sealing::new(StoreSecret::generate()), key::value(name)?);
        let sealed = sealing.seal(&key, &sealing::encode(value)?);
        Ok(Self { sealing, key, sealed })
    }

    /// Opens it.
    pub(crate) fn open<T: DeserializeOwned>(&self) -> Result<T> {
        #[cfg(test)]
        super::view::note_opened();
        sealing::decode(&self.sealing.open(&self.key, &self.sealed)?)
    }
}
