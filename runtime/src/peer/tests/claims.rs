//! Counted uses of a token between nodes, and with a node of a version that knows no claims.

use std::num::NonZeroU32;
use std::sync::Arc;

use swarm::{AddressPolicy, Inbound, InboundStream, Network, Seed};
use transport::access::{ClaimEnd, Uses};
use transport::backbone::new_claim_id;
use transport::crypto::random;
use transport::peer::{
    AwaitRequest, Conversation, Direct, Disclosure, IDENTITY_PROTOCOL, IdentityExchange, MultiaddrText, PeerKey,
    Refusal, TOKEN_PROTOCOL, TokenRequest, serve_token,
};
use transport::wire::ClaimId;

use super::reading::{load, refused};
use super::world::TestNode;
use crate::config::PeerConfig;
use crate::peer::drive::{Time, answer, converse, exchange};
use crate::peer::testing::{Bytewise, Person, Shelf, nobody_removed, time};
use crate::peer::{PeerReads as _, Route};

/// A node whose token can be used so often.
async fn sharer(limit: u32) -> TestNode {
    TestNode::with(Person::new(1), PeerConfig::on_this_machine(), |shelf| {
        *shelf.uses.get_mut().unwrap() = Some(Uses::new(NonZeroU32::new(limit), false));
    })
    .await
}

fn under(route: Route, claim: &ClaimId) -> Route {
    Route { claim: Some(claim.clone()), ..route }
}

#[tokio::test]
async fn token_metadata_and_bytes_are_one_use_and_a_second_one_is_refused() {
    let (alice, bob) = (sharer(1).await, TestNode::new(2).await);
    let [first, second] = [new_claim_id(), new_claim_id()].map(|claim| under(alice.route(), &claim));
    let (shelf, target) = (&alice.shelf, alice.shelf.token_target());
    for route in [&first, &first] {
        assert_eq!(bob.peers.token(route, &shelf.token.id, None).await.unwrap(), shelf.token);
        assert_eq!(bob.peers.metadata(route, &target, None).await.unwrap(), shelf.metadata);
        assert_eq!(load(&alice, &bob.peers, route, 7).await.unwrap(), shelf.bytes[7..]);
    }
    assert_eq!(refused(bob.peers.token(&second, &shelf.token.id, None).await), Refusal::NoUseLeft);
    assert_eq!(refused(bob.peers.metadata(&second, &target, None).await), Refusal::NoUseLeft);
    assert_eq!(refused(load(&alice, &bob.peers, &second, 0).await), Refusal::NoUseLeft);
    assert_eq!(refused(bob.peers.token(&alice.route(), &shelf.token.id, None).await), Refusal::NotFound);

    let (claim, id) = (first.claim.clone().unwrap(), &shelf.token.id);
    for _ in 0..2 {
        bob.peers.end_claim(&first, id, &claim, ClaimEnd::Commit).await.unwrap();
    }
    let unknown = bob.peers.end_claim(&first, id, &new_claim_id(), ClaimEnd::Release).await;
    assert_eq!(refused(unknown), Refusal::NotFound);
    let uses = shelf.uses.lock().unwrap().clone().unwrap();
    assert_eq!((uses.committed(time().now().time), uses.leased(time().now().time)), (1, 0));
}

/// Answers as a node that only knows version 1.
async fn serve_version_1(mut inbound: Inbound, person: Person, shelf: Arc<Shelf>, time: Time) {
    let mut channel = None;
    while let Some(InboundStream { connection, protocol, mut stream }) = inbound.next().await {
        if protocol == IDENTITY_PROTOCOL {
            let (ids, proof) = ([person.peer_id(), connection.peer()], (person.credentials(), Disclosure::Everyone));
            let side = IdentityExchange::responder(ids, random::bytes(), Some(proof), nobody_removed);
            channel = exchange(stream, Conversation::new(side, time.now().instant), &time).await.ok();
        } else {
            let mut waiting = AwaitRequest::<TokenRequest>::begin(time.now());
            let request = converse(&mut stream, &mut waiting, &time).await.unwrap();
            let answered = serve_token(&*shelf, channel.as_ref().unwrap(), &request.into(), time.now()).await;
            answer::<Bytewise>(stream, answered, None, &time).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_peer_that_knows_no_claims_is_asked_as_before_there_were_any() {
    let person = Person::new(1);
    let seed = PeerKey::derive(&person.device_key).expose_seed();
    let earlier = swarm::Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        accept: vec![IDENTITY_PROTOCOL, TOKEN_PROTOCOL],
        addresses: AddressPolicy { private: true, loopback: true, dns: false },
        ..swarm::Config::new(Seed::new(*seed))
    };
    let (network, inbound) = Network::start(earlier).await.unwrap();
    let shelf = Arc::new(Shelf::of(&person, 100));
    let serving = tokio::spawn(serve_version_1(inbound, person.clone(), shelf.clone(), time()));

    let bob = TestNode::new(2).await;
    let address = MultiaddrText::new(&network.listen_addresses()[0].to_string()).unwrap();
    let direct = Direct { peer_id: person.peer_id(), addresses: vec![address], relays: Vec::new() };
    let claim = new_claim_id();
    let route = under(Route { token: Some(shelf.token.id.clone()), ..Route::to(direct) }, &claim);
    assert_eq!(bob.peers.token(&route, &shelf.token.id, None).await.unwrap(), shelf.token);
    // It counts no uses, so it knows none.
    let ended = bob.peers.end_claim(&route, &shelf.token.id, &claim, ClaimEnd::Commit).await;
    assert_eq!(refused(ended), Refusal::NotFound);
    serving.abort();
}
