//! A peer without a node of its own, which uses tokens at the node that shares them.

use std::io;
use std::time::{Duration, Instant};

use swarm::{AddressPolicy, Connection, Inbound, Network, Seed, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::access::ClaimEnd;
use transport::crypto::random;
use transport::peer::{
    ContentExpectation, Conversation, Direct, EndClaim, FILE_PROTOCOL_V2, Fetch, FileTarget, IDENTITY_PROTOCOL,
    IdentityExchange, Now, PeerError, Side, TOKEN_PROTOCOL_V2,
};
use transport::wire::{Address, ClaimId, DeviceId, Timestamp, TokenId, TokenReference};

/// After this long an exchange has hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stranger on a connection to the node that shares a token.
pub struct PeerClaimant {
    network: Network,
    connection: Connection,
    token: TokenId,
    _inbound: Inbound,
}

impl PeerClaimant {
    /// Connects to the node that the URL of a reference names.
    ///
    /// # Errors
    /// Why there is no connection.
    ///
    /// # Panics
    /// If the reference names no node.
    pub async fn of_reference(url: &str) -> Result<Self, String> {
        let reference = TokenReference::parse(url).expect("a reference to a token");
        let direct = reference.direct.as_deref().and_then(Direct::of_reference_text).expect("it names its node");
        Self::connect(reference.id, &direct.peer_id.to_base58(), direct.addresses[0].as_str()).await
    }

    /// Connects to a node with this peer id at this multiaddr.
    ///
    /// # Errors
    /// Why there is no connection.
    ///
    /// # Panics
    /// If they are none.
    pub async fn connect(token: TokenId, peer: &str, address: &str) -> Result<Self, String> {
        let addresses = AddressPolicy { private: true, loopback: true, dns: false };
        let config = swarm::Config { addresses, ..swarm::Config::new(Seed::new(random::bytes())) };
        let (network, inbound) = Network::start(config).await.map_err(|error| error.to_string())?;
        let peer = peer.parse().expect("a peer id");
        let connected = network.connect(peer, vec![address.parse().expect("a multiaddr")]).await;
        let connection = connected.map_err(|error| error.to_string())?;
        let nobody_is_removed = |_: &Address, _: &DeviceId| false;
        let ids = [network.local_peer(), peer];
        let identity = IdentityExchange::initiator(ids, random::bytes(), None, nobody_is_removed);
        let stream = connection.open(IDENTITY_PROTOCOL).await.map_err(|error| error.to_string())?;
        converse(stream, identity).await.map_err(|error| error.to_string())?;
        Ok(Self { network, connection, token, _inbound: inbound })
    }

    /// Asks for no bytes of the content under a claim, which is a use as any.
    ///
    /// # Errors
    /// What the node says, or what happened to the connection.
    pub async fn use_once(&self, claim: &ClaimId) -> Result<(), PeerError> {
        let target = FileTarget::Token(self.token.clone());
        let expectation = ContentExpectation { file: None, length: None, limit: u64::MAX };
        let mut fetch = Fetch::new(target, (0, Some(0)), None, expectation, Instant::now()).under(Some(claim));
        let asked = async {
            let mut stream = self.open(FILE_PROTOCOL_V2).await?;
            while let Some(bytes) = fetch.outgoing() {
                write(&mut stream, &bytes).await?;
            }
            loop {
                if let Some(end) = fetch.end() {
                    return end;
                }
                let bytes = read(&mut stream, fetch.wants()).await?;
                fetch.receive(&bytes, Instant::now());
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(PeerError::TimedOut))
    }

    /// Ends a use.
    ///
    /// # Errors
    /// As for [`use_once`](Self::use_once).
    pub async fn end(&self, claim: &ClaimId, end: ClaimEnd) -> Result<(), PeerError> {
        let stream = self.open(TOKEN_PROTOCOL_V2).await?;
        converse(stream, EndClaim::new(self.token.clone(), claim.clone(), end)).await
    }

    /// Ends its connection.
    pub async fn leave(self) {
        self.network.shutdown().await;
    }

    async fn open(&self, protocol: &'static str) -> Result<Stream, PeerError> {
        self.connection.open(protocol).await.map_err(|_| PeerError::Cut)
    }
}

/// Runs one side of an exchange on a stream.
async fn converse<S: Side>(mut stream: Stream, side: S) -> Result<S::Outcome, PeerError> {
    let mut conversation = Conversation::new(side, Instant::now());
    let run = async {
        loop {
            while let Some(bytes) = conversation.outgoing() {
                write(&mut stream, &bytes).await?;
            }
            if let Some(end) = conversation.end() {
                return end;
            }
            let bytes = read(&mut stream, conversation.wants()).await?;
            conversation.receive(&bytes, now());
        }
    };
    tokio::time::timeout(PATIENCE, run).await.unwrap_or(Err(PeerError::TimedOut))
}

fn now() -> Now {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let time = Timestamp::from_unix_milliseconds(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Now { instant: Instant::now(), time }
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> Result<(), PeerError> {
    let written = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    written.await.map_err(cut)
}

/// What is there, at most so much.
async fn read(stream: &mut Stream, most: usize) -> Result<Vec<u8>, PeerError> {
    let mut bytes = vec![0; most.min(4096)];
    match stream.read(&mut bytes).await.map_err(cut)? {
        0 => Err(PeerError::Cut),
        length => {
            bytes.truncate(length);
            Ok(bytes)
        }
    }
}

fn cut(_: io::Error) -> PeerError {
    PeerError::Cut
}
