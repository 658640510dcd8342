//! A code that waits for its receiver, and what becomes of it: it ends with the first guess, right or wrong.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::Code;
use crate::peer::{PeerError, Refusal};
use crate::wire::reference::MAX_REFERENCE_LENGTH;
use crate::wire::{ReferenceError, TokenReference};

/// The longest time for which a code is valid.
pub const MAX_CODE_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// For how long a code is valid unless somebody says otherwise.
pub const DEFAULT_CODE_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Exchanges that may begin with one code. Those that are given up before the guess tell nobody anything, but they cost work.
pub const MAX_EXCHANGES: u32 = 32;

/// What has become of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferState {
    /// It waits.
    Open,
    /// Somebody had the right code, and got the reference.
    Taken,
    /// Somebody guessed wrong, or began too many exchanges.
    Burned,
    /// Its time is over.
    Expired,
}

/// A code and the reference behind it. Clones are the same offer: all streams of a node on which somebody tries the code.
#[derive(Clone)]
pub struct CodeOffer {
    code: Code,
    reference: Arc<Zeroizing<String>>,
    expires_at: Instant,
    progress: Arc<Mutex<Progress>>,
}

struct Progress {
    state: OfferState,
    exchanges: u32,
}

impl CodeOffer {
    /// Offers a reference for some time, at most [`MAX_CODE_LIFETIME`].
    ///
    /// # Errors
    /// [`ReferenceError::TooLong`] if no receiver would read the reference.
    pub fn new(
        code: Code,
        reference: &TokenReference,
        now: Instant,
        lifetime: Duration,
    ) -> Result<Self, ReferenceError> {
        Self::of_text(code, &Zeroizing::new(reference.to_truncated()), now, lifetime)
    }

    /// Offers a reference in the form of this text, which the receiver gets as it is.
    ///
    /// # Errors
    /// [`ReferenceError`] if no receiver would read it as the reference of a token.
    pub fn of_text(code: Code, text: &str, now: Instant, lifetime: Duration) -> Result<Self, ReferenceError> {
        if text.len() > MAX_REFERENCE_LENGTH {
            return Err(ReferenceError::TooLong);
        }
        TokenReference::parse(text)?;
        Ok(Self {
            code,
            reference: Arc::new(Zeroizing::new(text.to_owned())),
            expires_at: now + lifetime.min(MAX_CODE_LIFETIME),
            progress: Arc::new(Mutex::new(Progress { state: OfferState::Open, exchanges: 0 })),
        })
    }

    /// What has become of it.
    #[must_use]
    pub fn state(&self, now: Instant) -> OfferState {
        let progress = self.progress();
        if progress.state == OfferState::Open && now >= self.expires_at { OfferState::Expired } else { progress.state }
    }

    pub(super) fn code(&self) -> &Code {
        &self.code
    }

    /// Counts an exchange that begins.
    pub(super) fn begin(&self, nameplate: u16, now: Instant) -> Result<(), Refusal> {
        if nameplate != self.code.nameplate() || self.state(now) != OfferState::Open {
            return Err(Refusal::NotFound);
        }
        let mut progress = self.progress();
        progress.exchanges += 1;
        if progress.exchanges > MAX_EXCHANGES {
            progress.state = OfferState::Burned;
            return Err(Refusal::NotFound);
        }
        Ok(())
    }

    /// Takes the one guess. All others, on other streams too, come too late.
    pub(super) fn guess(&self, is_right: bool, now: Instant) -> Result<&str, PeerError> {
        let is_over = now >= self.expires_at;
        let mut progress = self.progress();
        if progress.state != OfferState::Open || is_over {
            return Err(PeerError::Refused(Refusal::NotFound));
        }
        progress.state = if is_right { OfferState::Taken } else { OfferState::Burned };
        if is_right { Ok(&self.reference) } else { Err(PeerError::WrongCode) }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows neither words nor reference.
impl fmt::Debug for CodeOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CodeOffer").field(&self.code).field(&self.progress().state).finish()
    }
}
