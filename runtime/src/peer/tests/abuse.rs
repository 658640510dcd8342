//! What a hostile peer can do: nothing, to those beside it.

use std::time::Duration;

use futures_util::future::join_all;
use swarm::{Connection, Stream};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use transport::crypto::random;
use transport::peer::{
    CODE_PROTOCOL, Claims, ContentAnswer, Credentials, FILE_PROTOCOL, FILE_PROTOCOL_V2, FileRequest, FileTarget,
    IDENTITY_PROTOCOL, INBOX_PROTOCOL, InboxMessage, Message as _, PeerError, Refusal, TOKEN_PROTOCOL,
    TOKEN_PROTOCOL_V2, TokenAnswer, TokenRequest,
};

use super::reading::load;
use super::world::{RawPeer, TestNode, config_with, hear, tell};
use crate::config::{PeerConfig, PeerLimits};
use crate::peer::testing::{Person, time, today};

const ALL: [&str; 7] = [
    IDENTITY_PROTOCOL,
    FILE_PROTOCOL,
    FILE_PROTOCOL_V2,
    TOKEN_PROTOCOL,
    TOKEN_PROTOCOL_V2,
    INBOX_PROTOCOL,
    CODE_PROTOCOL,
];

/// A legitimate peer loads everything while something else happens.
async fn while_others_load<T>(alice: &TestNode, abuse: impl Future<Output = T>) -> T {
    tokio::join!(abuse, load_as(2, alice)).0
}

async fn load_as(number: u8, alice: &TestNode) {
    let bob = TestNode::new(number).await;
    let route = alice.route();
    for _ in 0..4 {
        assert_eq!(load(alice, &bob.peers, &route, 0).await.unwrap(), alice.shelf.bytes);
    }
}

async fn identified(raw: &RawPeer, alice: &TestNode) -> Connection {
    let connection = raw.connect(alice).await;
    raw.identify(&connection, Some(raw.person.credentials()), &time()).await.unwrap();
    connection
}

fn content_request(target: FileTarget) -> Vec<u8> {
    FileRequest::Content { target, start: 0, end: Some(1), proof: None }.to_frame()
}

#[tokio::test]
async fn garbage_in_any_protocol_ends_its_stream_only() {
    let (alice, raw) = (TestNode::new(1).await, RawPeer::new(9).await);
    let abuse = async {
        let connection = identified(&raw, &alice).await;
        for protocol in ALL {
            for garbage in [&[0xff; 64][..], &[0, 0, 0, 1, 0xff], &[0, 0, 0, 0], b"GET / HTTP/1.1\r\n\r\n"] {
                let mut stream = connection.open(protocol).await.unwrap();
                assert_eq!(tell::<InboxMessage>(&mut stream, garbage).await, None, "{protocol}");
            }
        }
        connection
    };
    let connection = while_others_load(&alice, abuse).await;
    assert!(connection.is_open());
    let random: Vec<_> = (0..8).map(|_| random::bytes::<200>()).collect();
    for bytes in random {
        let mut stream = connection.open(FILE_PROTOCOL).await.unwrap();
        let _ = tell::<ContentAnswer>(&mut stream, &bytes).await;
    }
}

#[tokio::test]
async fn a_flood_of_streams_hurts_nobody() {
    let (alice, raw) = (TestNode::new(1).await, RawPeer::new(9).await);
    let flood = async {
        // As fast as the connection takes them, as long as it is not closed.
        let connection = identified(&raw, &alice).await;
        while connection.is_open() {
            let opened = join_all((0..100).map(|_| connection.open(FILE_PROTOCOL)));
            let _ = timeout(Duration::from_millis(100), opened).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = flood => {}
        () = while_others_load(&alice, async {}) => {}
    }
}

/// Sets for how many seconds hostile peers are hostile; they are for one transfer of others if it is not set.
const SECONDS_VARIABLE: &str = "ENLACE_HOSTILE_SECONDS";

#[tokio::test]
async fn hostile_peers_hurt_nobody_however_long_they_try() {
    let seconds = std::env::var(SECONDS_VARIABLE).map_or(0, |text| text.parse().unwrap());
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let alice = TestNode::new(1).await;
    let [flooding, fuzzing] = [RawPeer::new(9).await, RawPeer::new(10).await];
    let address = alice.address();
    // Each comes back when it is turned out.
    let flood = async {
        loop {
            let Ok(connection) = flooding.network.connect(alice.peer_id(), vec![address.clone()]).await else {
                continue;
            };
            while connection.is_open() {
                let opened = join_all((0..100).map(|_| connection.open(TOKEN_PROTOCOL)));
                let _ = timeout(Duration::from_millis(100), opened).await;
            }
        }
    };
    let fuzz = async {
        loop {
            let Ok(connection) = fuzzing.network.connect(alice.peer_id(), vec![address.clone()]).await else {
                continue;
            };
            let _ = fuzzing.identify(&connection, Some(fuzzing.person.credentials()), &time()).await;
            for protocol in ALL.iter().cycle() {
                let Ok(mut stream) = connection.open(protocol).await else { break };
                let [length, bytes @ ..] = random::bytes::<400>();
                // A length that is believed, with nonsense behind it; or nonsense from the first byte on.
                let frame = [&[0, 0, 0, length][..], &bytes].concat();
                let garbage = if length % 2 == 0 { &frame[..] } else { &bytes[..] };
                let _ = timeout(Duration::from_millis(100), tell::<InboxMessage>(&mut stream, garbage)).await;
            }
        }
    };
    let others = async {
        // One after the other, so that nobody asks more often than it may.
        for number in (20..=100).cycle() {
            load_as(number, &alice).await;
            if tokio::time::Instant::now() >= end {
                break;
            }
        }
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(flood, fuzz) } => {}
        () = others => {}
    }
}

#[tokio::test]
async fn stalls_in_every_protocol_keep_nobody_waiting() {
    let (alice, raw) = (TestNode::new(1).await, RawPeer::new(9).await);
    let connection = identified(&raw, &alice).await;
    let mut stalled: Vec<Stream> = Vec::new();
    for protocol in ALL {
        // With the content below one less than a connection may have.
        for begun in [&[][..], &[0, 0, 0, 40, 0x83]] {
            let mut stream = connection.open(protocol).await.unwrap();
            // Some are reset at once: a second exchange of identities, and what is too long for its protocol.
            let _ = stream.write_all(begun).await;
            let _ = stream.flush().await;
            stalled.push(stream);
        }
    }
    // A content that is asked for and not read.
    let mut stream = connection.open(FILE_PROTOCOL).await.unwrap();
    let request = FileRequest::Content { target: alice.shelf.token_target(), start: 0, end: None, proof: None };
    stream.write_all(&request.to_frame()).await.unwrap();
    while_others_load(&alice, async {}).await;
    drop((stalled, stream));
}

#[tokio::test]
async fn who_asks_too_often_is_refused_with_an_answer() {
    let limits = PeerLimits { requests_per_second: 1, ..PeerLimits::default() };
    let alice = TestNode::with(Person::new(1), config_with(limits), |_| {}).await;
    let raw = RawPeer::new(9).await;
    let connection = identified(&raw, &alice).await;
    let begin = std::time::Instant::now();
    let mut busy = 0;
    for _ in 0..10 {
        let mut stream = connection.open(TOKEN_PROTOCOL).await.unwrap();
        let request = TokenRequest { token: alice.shelf.token.id.clone(), proof: None };
        match tell(&mut stream, &request.to_frame()).await.unwrap() {
            TokenAnswer::Refused(Refusal::Busy) => busy += 1,
            TokenAnswer::Token(_) => {}
            other @ TokenAnswer::Refused(_) => panic!("{other:?}"),
        }
    }
    let allowed = 1 + begin.elapsed().as_secs() + 1;
    assert!(busy as u64 >= 10 - allowed.min(10), "{busy} of 10 in {:?}", begin.elapsed());
}

fn in_memory() -> PeerConfig {
    PeerConfig { listen: vec!["/memory/0".to_owned()], ..PeerConfig::on_this_machine() }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_an_exchange_of_identities_ends_after_15_seconds() {
    let alice = TestNode::with(Person::new(1), in_memory(), |_| {}).await;
    let raw = RawPeer::in_memory(9).await;
    for begun in [None, Some(&[][..]), Some(&[0, 0, 0, 35])] {
        let connection = raw.connect(&alice).await;
        let begin = tokio::time::Instant::now();
        let mut stream = None;
        if let Some(bytes) = begun {
            let mut identity = connection.open(IDENTITY_PROTOCOL).await.unwrap();
            identity.write_all(bytes).await.unwrap();
            identity.flush().await.unwrap();
            stream = Some(identity);
        }
        connection.closed().await;
        let elapsed = begin.elapsed();
        assert!(elapsed.abs_diff(Duration::from_secs(15)) < Duration::from_secs(2), "{elapsed:?}");
        drop(stream);
    }
    assert!(alice.peers.peers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_exchange_of_identities_is_refused() {
    let alice = TestNode::with(Person::new(1), in_memory(), |_| {}).await;
    let raw = RawPeer::in_memory(9).await;
    let connection = raw.connect(&alice).await;
    let mut stream = connection.open(FILE_PROTOCOL).await.unwrap();
    let answer = tell(&mut stream, &content_request(alice.shelf.token_target())).await;
    assert_eq!(answer, Some(ContentAnswer::Refused(Refusal::IdentityRequired)));
    connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn requests_before_the_exchange_wait_for_it() {
    let alice = TestNode::with(Person::new(1), in_memory(), |_| {}).await;
    let raw = RawPeer::in_memory(9).await;
    let connection = raw.connect(&alice).await;
    let mut early = connection.open(FILE_PROTOCOL).await.unwrap();
    early.write_all(&content_request(alice.shelf.token_target())).await.unwrap();
    early.flush().await.unwrap();
    raw.identify(&connection, Some(raw.person.credentials()), &time()).await.unwrap();
    assert!(matches!(hear(&mut early).await, Some(ContentAnswer::Header(_))));
}

#[tokio::test]
async fn an_exchange_that_fails_closes_the_connection() {
    let (alice, raw) = (TestNode::new(1).await, RawPeer::new(9).await);
    let (mallory, bob) = (&raw.person, Person::new(2));
    let long_ago = today().saturating_sub(Duration::from_secs(30 * 24 * 60 * 60));
    let expired = Claims {
        valid_from: long_ago,
        valid_until: long_ago.saturating_add(Duration::from_secs(60)),
        ..mallory.claims()
    };
    let stolen_name = Claims { peer_id: bob.peer_id(), ..bob.claims() };
    let other_device = Credentials { device_key: bob.device_key.clone(), ..mallory.credentials() };
    for (credentials, refusal) in [
        (mallory.credentials_of(expired), Refusal::CertificateTime),
        (
            Credentials { device_key: mallory.device_key.clone(), ..bob.credentials_of(stolen_name) },
            Refusal::Certificate,
        ),
        (bob.credentials(), Refusal::Certificate),
        (other_device, Refusal::Certificate),
    ] {
        let connection = raw.connect(&alice).await;
        let ended = raw.identify(&connection, Some(credentials), &time()).await.unwrap_err();
        assert_eq!(ended.error, PeerError::Refused(refusal));
        connection.closed().await;
    }
    assert!(alice.peers.peers().is_empty());
}

#[tokio::test]
async fn a_second_exchange_on_a_connection_is_reset() {
    let (alice, raw) = (TestNode::new(1).await, RawPeer::new(9).await);
    let connection = identified(&raw, &alice).await;
    let again = raw.identify(&connection, None, &time()).await;
    assert_eq!(again.unwrap_err().error, PeerError::Cut);
    assert_eq!(alice.peers.peers()[0].address, Some(raw.person.address()), "what was proven stays");
}

#[tokio::test]
async fn ids_of_others_are_not_there() {
    let (alice, raw) = (TestNode::new(1).await, RawPeer::new(9).await);
    let connection = identified(&raw, &alice).await;
    let others = [
        FileTarget::Token("TOKabcDEF123ghiJKL46".parse().unwrap()),
        FileTarget::File("FILabcDEF123ghiJKL46".parse().unwrap()),
    ];
    for target in others {
        let mut stream = connection.open(FILE_PROTOCOL).await.unwrap();
        let answer = tell(&mut stream, &content_request(target)).await;
        assert_eq!(answer, Some(ContentAnswer::Refused(Refusal::NotFound)));
    }
}
