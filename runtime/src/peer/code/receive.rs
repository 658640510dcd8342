//! The side that was told a code: looks for who offers it, and gets the reference.
//!
//! Everybody who is found is asked at the same time, and who has no such code refuses before anything depends on the code. Only
//! one is sent the confirmation, because each confirmation is a guess.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use swarm::{DiscoveredBy, Event as SwarmEvent, Multiaddr, Network, Stream};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::sleep;
use transport::crypto::{SignatureKeypair, random};
use transport::peer::{
    CODE_PROTOCOL, Code, CodeReceiver, Conversation, Fingerprint, PeerError, PeerId, PeerKey, ReceivedReference,
    Refusal,
};

use super::place;
use crate::Result;
use crate::clock::Clock;
use crate::config::PeerConfig;
use crate::event::EventBus;
use crate::peer::drive::{Time, close, converse, hear, write};
use crate::peer::error::PeersError;
use crate::peer::network::{PeerNetwork, PeerParts};

/// How long the other side is looked for.
pub(crate) const SEARCH_LIMIT: Duration = Duration::from_secs(60);

/// Questions for a code, in total: for each peer one, and one more each time it is found at other addresses.
pub(crate) const MAX_ASKED: usize = 64;

/// How long a peer that was not reached is left alone.
const RETRY_PAUSE: Duration = Duration::from_secs(3);

/// How long rendezvous servers are left alone.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

/// How often a peer is tried that is not reached.
const MAX_TRIES: u32 = 5;

/// Gets the reference behind a code from who offers it in the local network or at the rendezvous servers of the settings. Ends
/// after 60 seconds at the latest. Cancel-safe, but a code whose words were sent is used up.
///
/// # Errors
/// [`Error::Peers`](crate::Error::Peers) says what was tried, or that the code is wrong; [`Error::Config`](crate::Error::Config) for settings that cannot work.
pub async fn receive_code(config: PeerConfig, code: &str, clock: Arc<dyn Clock>) -> Result<(String, Fingerprint)> {
    receive_code_at(config, code, &[], clock).await
}

/// As [`receive_code`], and asks at these addresses, too, each with the peer id at its end.
///
/// # Errors
/// As [`receive_code`], and [`PeersError::InvalidAddress`].
pub async fn receive_code_at(
    config: PeerConfig,
    code: &str,
    addresses: &[String],
    clock: Arc<dyn Clock>,
) -> Result<(String, Fingerprint)> {
    let code = parsed(code)?;
    let given = addresses.iter().map(|text| given(text)).collect::<Result<Vec<_>, _>>()?;
    let time = Time::new(clock);
    let parts = PeerParts {
        // Nobody has to know which node receives, so it is another peer each time, and a stranger.
        key: PeerKey::derive(&SignatureKeypair::generate()),
        device: None,
        is_removed: Arc::new(|_, _| false),
        time: time.clone(),
        events: EventBus::new(),
        max_token_content: 0,
        transport: None,
    };
    let config = PeerConfig { listen: Vec::new(), ..config };
    let (peers, inbound) = PeerNetwork::start(&config, parts).await?;
    drop(inbound);
    let network = peers.shared().map(|shared| shared.network.clone()).ok_or(PeersError::Off)?;
    let outcome = Search::new(&config, network, code, time).run(given).await;
    peers.shutdown().await;
    let received = outcome?;
    Ok((received.text.as_str().to_owned(), received.fingerprint))
}

/// Checks that a text has the form of a code and words of codes. Nobody is asked.
///
/// # Errors
/// [`PeersError::InvalidCode`].
pub fn check_code(code: &str) -> Result<()> {
    Ok(parsed(code).map(drop)?)
}

fn parsed(code: &str) -> Result<Code, PeersError> {
    code.parse().map_err(|_| PeersError::InvalidCode(shown(code)))
}

/// Where peers were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Found {
    Given,
    Here,
    Elsewhere,
}

/// Somebody who was asked.
struct Asked {
    found: Found,
    /// Where. A peer is found at some addresses first, for example those of IPv6, and then at others.
    addresses: HashSet<Multiaddr>,
}

/// Somebody who has such a code, and who has not been told yet that we know it.
struct Answered {
    stream: Stream,
    conversation: Conversation<CodeReceiver>,
    confirmation: Vec<u8>,
}

/// Why somebody was not asked, or has not answered.
enum NotAnswered {
    /// It is there and has no such code.
    HasNone,
    /// It was not reached, or broke off.
    Failed,
}

struct Search {
    asker: Arc<Asker>,
    /// Whether others may be found while it runs.
    finds_more: bool,
    uses_servers: bool,
    asked: HashMap<PeerId, Asked>,
    /// How often somebody was asked.
    questions: usize,
    failed: HashSet<PeerId>,
    asking: JoinSet<(PeerId, Result<Answered, NotAnswered>)>,
}

struct Asker {
    network: Network,
    code: Code,
    time: Time,
}

impl Search {
    fn new(config: &PeerConfig, network: Network, code: Code, time: Time) -> Self {
        Self {
            asker: Arc::new(Asker { network, code, time }),
            finds_more: config.mdns || !config.rendezvous.is_empty(),
            uses_servers: !config.rendezvous.is_empty(),
            asked: HashMap::new(),
            questions: 0,
            failed: HashSet::new(),
            asking: JoinSet::new(),
        }
    }

    /// The first one that has such a code gets the one confirmation.
    async fn run(mut self, given: Vec<(PeerId, Multiaddr)>) -> Result<ReceivedReference, PeersError> {
        let answered = self.find(given).await.ok_or_else(|| PeersError::CodeNotFound { tried: self.tried() })?;
        // Nobody else is told anything that depends on the code.
        self.asking.shutdown().await;
        answered.confirm(&self.asker.time).await.map_err(PeersError::after_guess)
    }

    async fn find(&mut self, given: Vec<(PeerId, Multiaddr)>) -> Option<Answered> {
        let mut events = self.asker.network.subscribe();
        for (peer, address) in given {
            self.ask(peer, vec![address], Found::Given);
        }
        // Before there was somebody to tell.
        for (peer, addresses) in self.asker.network.found_locally() {
            self.ask(peer, addresses, Found::Here);
        }
        let mut limit = std::pin::pin!(sleep(SEARCH_LIMIT));
        // What is found is an event.
        let looking = self.asker.clone();
        let mut looking = std::pin::pin!(async move { looking.look_at_servers().await });
        while self.finds_more || !self.asking.is_empty() {
            tokio::select! {
                () = &mut limit => break,
                () = &mut looking, if self.uses_servers => self.uses_servers = false,
                event = events.recv(), if self.finds_more => match event {
                    Ok(SwarmEvent::Discovered { peer, addresses, by }) => {
                        self.ask(peer, addresses, if by == DiscoveredBy::Mdns { Found::Here } else { Found::Elsewhere });
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => self.finds_more = false,
                },
                Some(asked) = self.asking.join_next() => match asked {
                    Ok((_, Ok(answered))) => return Some(answered),
                    Ok((peer, Err(NotAnswered::Failed))) => drop(self.failed.insert(peer)),
                    Ok((_, Err(NotAnswered::HasNone))) | Err(_) => {}
                },
            }
        }
        None
    }

    /// Asks somebody, at each address once.
    fn ask(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, found: Found) {
        if self.questions == MAX_ASKED {
            return;
        }
        let asked = self.asked.entry(peer).or_insert_with(|| Asked { found, addresses: HashSet::new() });
        let new: Vec<_> = addresses.into_iter().filter(|address| asked.addresses.insert(address.clone())).collect();
        if !new.is_empty() {
            self.questions += 1;
            let asker = self.asker.clone();
            self.asking.spawn(async move { (peer, asker.ask(peer, new).await) });
        }
    }

    /// What was tried, for a person.
    fn tried(&self) -> String {
        let count = |wanted| self.asked.values().filter(|asked| asked.found == wanted).count();
        let places = [
            (Found::Here, "in the local network"),
            (Found::Elsewhere, "at rendezvous servers"),
            (Found::Given, "at given addresses"),
        ];
        let found: Vec<_> = places
            .into_iter()
            .map(|(found, place)| (count(found), place))
            .filter(|(count, _)| *count > 0)
            .map(|(count, place)| format!("{count} {place}"))
            .collect();
        match (found.is_empty(), self.failed.len()) {
            (true, _) => "no node was found".to_owned(),
            (false, 0) => format!("nodes asked: {}", found.join(", ")),
            (false, failed) => format!("nodes found: {}; not reached: {failed}", found.join(", ")),
        }
    }
}

impl Asker {
    /// Looks for the sharer at the rendezvous servers, again and again.
    async fn look_at_servers(&self) {
        let place = place(self.code.nameplate());
        loop {
            if let Err(error) = self.network.discover(&place).await {
                tracing::debug!(%error, "a rendezvous server does not say who offers a code");
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    async fn ask(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<Answered, NotAnswered> {
        for _ in 0..MAX_TRIES {
            match self.ask_once(peer, addresses.clone()).await {
                Ok(answered) => return Ok(answered),
                Err(Some(PeerError::Refused(Refusal::NotFound))) => return Err(NotAnswered::HasNone),
                Err(_) => sleep(RETRY_PAUSE).await,
            }
        }
        Err(NotAnswered::Failed)
    }

    async fn ask_once(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<Answered, Option<PeerError>> {
        let connection = self.network.connect(peer, addresses).await.map_err(|_| None)?;
        let mut stream = connection.open(CODE_PROTOCOL).await.map_err(|_| None)?;
        let (ids, now) = ([self.network.local_peer(), peer], self.time.now());
        let side = CodeReceiver::new(self.code.clone(), ids, random::bytes());
        let mut conversation = Conversation::new(side, now.instant);
        if let Some(start) = conversation.outgoing() {
            write(&mut stream, &start, conversation.deadline()).await.map_err(Some)?;
        }
        loop {
            hear(&mut stream, &mut conversation, &self.time).await;
            match (conversation.end(), conversation.outgoing()) {
                (Some(Err(error)), _) => return Err(Some(error)),
                (Some(Ok(_)), _) => return Err(Some(PeerError::OutOfTurn)),
                (None, Some(confirmation)) => return Ok(Answered { stream, conversation, confirmation }),
                (None, None) => {}
            }
        }
    }
}

impl Answered {
    /// Makes the one guess.
    async fn confirm(mut self, time: &Time) -> Result<ReceivedReference, PeerError> {
        write(&mut self.stream, &self.confirmation, self.conversation.deadline()).await?;
        let received = converse(&mut self.stream, &mut self.conversation, time).await;
        close(&mut self.stream, self.conversation.deadline()).await;
        received.map_err(|ended| ended.error)
    }
}

fn given(text: &str) -> Result<(PeerId, Multiaddr), PeersError> {
    let invalid = || PeersError::InvalidAddress(shown(text));
    let address: Multiaddr = text.parse().map_err(|_| invalid())?;
    let (_, peer) = text.rsplit_once("/p2p/").ok_or_else(invalid)?;
    Ok((peer.parse().map_err(|_| invalid())?, address))
}

/// A text of a user as a message repeats it.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(80).collect()
}
