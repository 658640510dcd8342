//! Codes that a person can say: the side that shares a reference (specification, section 9). The other side is in [`receive`].

mod receive;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use swarm::Network;
use tokio::sync::watch;
use tokio::time::timeout_at;
use transport::crypto::random;
use transport::peer::{
    AwaitRequest, Code, CodeMessage, CodeOffer, CodeSharer, Conversation, Fingerprint, MAX_CODE_LIFETIME,
    MAX_NAMEPLATE, Message as _, OfferState, PeerError, PeerId, Refusal, TakenBy,
};
use zeroize::Zeroizing;

pub use self::receive::{check_code, receive_code, receive_code_at};
use super::drive::{Link, Time, close, converse, finish_with, hear, write};
use super::error::PeersError;
use super::tasks::Tasks;

/// Codes that a node offers at a time.
pub const MAX_OFFERS: usize = 16;

/// Attempts to find a number that no other code of the node has. All of them fail once in 16^64 times.
const NUMBER_ATTEMPTS: usize = 64;

/// The shortest time that rendezvous servers register anybody for.
const SHORTEST_REGISTRATION: Duration = Duration::from_secs(30);

/// How a code has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeEnd {
    /// Somebody had the code and got the reference.
    Taken {
        /// To compare with what the other side shows: equal means that nobody is between them.
        fingerprint: Fingerprint,
    },
    /// Somebody had the code, but the connection broke before the reference was sent. The code is used up.
    Interrupted,
    /// Somebody guessed wrong, or began too often. Nobody got the reference, and the code is used up.
    Burned,
    /// Its time is over.
    Expired,
    /// The node has stopped.
    Withdrawn,
}

/// A code that waits for its receiver. Dropping it withdraws it.
pub struct OfferedCode {
    text: Zeroizing<String>,
    expires_at: Instant,
    end: watch::Receiver<Option<CodeEnd>>,
    offered: Arc<Offered>,
    offers: Offers,
}

impl OfferedCode {
    /// The code, for the person who passes it on: a number and two words, such as `7-amber-violin`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Waits until it is taken or ends without. Cancel-safe; later calls return the same.
    pub async fn taken(&mut self) -> CodeEnd {
        let waited = timeout_at(self.expires_at.into(), self.end.wait_for(Option::is_some)).await;
        let is_over = waited.is_err();
        drop(waited);
        // One that was taken at the last moment has ended all the same.
        let end = *self.end.borrow();
        end.unwrap_or(if is_over { CodeEnd::Expired } else { CodeEnd::Withdrawn })
    }
}

impl Drop for OfferedCode {
    fn drop(&mut self) {
        self.offers.withdraw(&self.offered);
    }
}

/// Shows the number only.
impl fmt::Debug for OfferedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfferedCode").field("number", &self.offered.number).finish_non_exhaustive()
    }
}

/// The codes that a node offers.
#[derive(Clone)]
pub(super) struct Offers(Arc<Offering>);

struct Offering {
    network: Network,
    time: Time,
    tasks: Tasks,
    offers: Mutex<Vec<Arc<Offered>>>,
}

struct Offered {
    number: u16,
    offer: CodeOffer,
    end: watch::Sender<Option<CodeEnd>>,
}

impl Offered {
    /// Says how it has ended. The first end counts.
    fn end(&self, end: CodeEnd) {
        self.end.send_if_modified(|known| {
            let is_new = known.is_none();
            known.get_or_insert(end);
            is_new
        });
    }

    fn is_open(&self, now: Instant) -> bool {
        let state = self.offer.state(now);
        if state == OfferState::Expired {
            self.end(CodeEnd::Expired);
        }
        state == OfferState::Open
    }
}

impl Offers {
    pub(super) fn new(network: Network, time: Time, tasks: Tasks) -> Self {
        Self(Arc::new(Offering { network, time, tasks, offers: Mutex::default() }))
    }

    /// Offers a reference under a new code, at most [`MAX_CODE_LIFETIME`].
    ///
    /// # Errors
    /// [`PeersError::TooManyCodes`], [`PeersError::Reference`] for one that no receiver would read.
    pub(super) fn offer(&self, reference: &str, lifetime: Duration) -> Result<OfferedCode, PeersError> {
        let (now, lifetime) = (self.0.time.now().instant, lifetime.min(MAX_CODE_LIFETIME));
        let mut offers = self.offers();
        offers.retain(|offered| offered.is_open(now));
        let number = free_number(&offers).filter(|_| offers.len() < MAX_OFFERS).ok_or(PeersError::TooManyCodes)?;
        let code = Code::generate(number).map_err(|_| PeersError::TooManyCodes)?;
        let text = Zeroizing::new(code.expose().to_owned());
        let offer = CodeOffer::of_text(code, reference, now, lifetime).map_err(PeersError::Reference)?;
        let (end, ended) = watch::channel(None);
        let offered = Arc::new(Offered { number, offer, end });
        offers.push(offered.clone());
        self.0.tasks.spawn(announce(self.0.network.clone(), number, lifetime, ended.clone()));
        Ok(OfferedCode { text, expires_at: now + lifetime, end: ended, offered, offers: self.clone() })
    }

    /// Answers a peer that tries a code, unless it is refused.
    pub(super) async fn answer(
        &self,
        remote: PeerId,
        mut stream: impl Link,
        admitted: Result<(), Refusal>,
    ) -> Result<(), PeerError> {
        let time = &self.0.time;
        let mut waiting = AwaitRequest::<CodeMessage>::begin(time.now());
        let start = converse(&mut stream, &mut waiting, time).await.map_err(|ended| ended.error)?;
        let CodeMessage::Start { nameplate, .. } = start else { return Err(PeerError::OutOfTurn) };
        match admitted.and_then(|()| self.find(nameplate).ok_or(Refusal::NotFound)) {
            Ok(offered) => self.share(&offered, remote, stream, &start).await,
            Err(refusal) => finish_with(stream, &CodeMessage::Refused(refusal).to_frame(), time.deadline()).await,
        }
    }

    async fn share(
        &self,
        offered: &Offered,
        remote: PeerId,
        mut stream: impl Link,
        start: &CodeMessage,
    ) -> Result<(), PeerError> {
        let (ids, now) = ([self.0.network.local_peer(), remote], self.0.time.now());
        let side = CodeSharer::new(offered.offer.clone(), ids, (random::bytes(), random::bytes()));
        let mut conversation = Conversation::new(side, now.instant);
        conversation.receive(&start.to_frame(), now);
        let (end, written) = loop {
            let (said, end) = (conversation.outgoing(), conversation.end());
            let written = match said {
                Some(frame) => write(&mut stream, &frame, conversation.deadline()).await,
                None => Ok(()),
            };
            match (end, written) {
                (Some(end), written) => break (end, written),
                (None, Err(error)) => break (Err(error), Ok(())),
                (None, Ok(())) => hear(&mut stream, &mut conversation, &self.0.time).await,
            };
        };
        match (&end, &written) {
            (Ok(TakenBy { fingerprint, .. }), Ok(())) => offered.end(CodeEnd::Taken { fingerprint: *fingerprint }),
            (Ok(_), Err(_)) => offered.end(CodeEnd::Interrupted),
            (Err(_), _) if offered.offer.state(now.instant) == OfferState::Burned => offered.end(CodeEnd::Burned),
            (Err(_), _) => {}
        }
        close(&mut stream, conversation.deadline()).await;
        end.and(written)
    }

    /// Withdraws all, because the node stops.
    pub(super) fn withdraw_all(&self) {
        for offered in self.offers().drain(..) {
            offered.end(CodeEnd::Withdrawn);
        }
    }

    fn withdraw(&self, withdrawn: &Arc<Offered>) {
        withdrawn.end(CodeEnd::Withdrawn);
        self.offers().retain(|offered| !Arc::ptr_eq(offered, withdrawn));
    }

    fn find(&self, number: u16) -> Option<Arc<Offered>> {
        self.offers().iter().find(|offered| offered.number == number).cloned()
    }

    fn offers(&self) -> MutexGuard<'_, Vec<Arc<Offered>>> {
        self.0.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name under which who offers a code with this number is found at rendezvous servers.
fn place(number: u16) -> String {
    format!("enlace-code-{number}")
}

/// Is found at the rendezvous servers of the settings, if there are any, until the code ends.
async fn announce(network: Network, number: u16, lifetime: Duration, mut end: watch::Receiver<Option<CodeEnd>>) {
    let place = place(number);
    if let Err(error) = network.register(&place, lifetime.max(SHORTEST_REGISTRATION)).await {
        tracing::debug!(%error, "a code is not found at a rendezvous server");
    }
    let _ = timeout_at(tokio::time::Instant::now() + lifetime, end.wait_for(Option::is_some)).await;
    network.unregister(&place).await;
}

/// A number that no other code of the node has.
fn free_number(offers: &[Arc<Offered>]) -> Option<u16> {
    let number = || u16::try_from(random::below(u32::from(MAX_NAMEPLATE))).map_or(1, |number| number + 1);
    let mut numbers = (0..NUMBER_ATTEMPTS).map(|_| number());
    numbers.find(|number| offers.iter().all(|offered| offered.number != *number))
}
