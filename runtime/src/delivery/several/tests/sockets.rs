//! A node that lies over real sockets.

use super::*;
use crate::delivery::fake_peers::with_network;
use crate::peer::testing::{Person, Shelf};
use crate::peer::{PeerNetwork, PeerParts, PeerServer, Time};

/// The network of a node, on loopback.
async fn network(core: &Core) -> (PeerNetwork, swarm::Inbound) {
    let parts = PeerParts {
        key: PeerKey::derive(core.account.device_key()),
        device: None,
        is_removed: Arc::new(|_, _| false),
        time: Time::new(core.clock.clone()),
        events: core.events.clone(),
        max_token_content: 1000,
        transport: None,
    };
    PeerNetwork::start(&PeerConfig::on_this_machine(), parts).await.unwrap()
}

#[tokio::test]
async fn a_node_that_lies_over_real_sockets_corrupts_nothing() {
    // Which path comes first is not for how busy the machine is to decide.
    let world = World::with_patience(REACHING_LIMIT);
    let backbone = world.backbone.clone();
    let test = async {
        let content = plain(4 * MEBIBYTE);
        let file = world.upload(&content, ContentFormat::V2).await;
        world.load(&file.reference.url, None).await.unwrap();
        let mut altered = Shelf::of(&Person::new(1), 0);
        let (metadata, body) = world.backbone.held().await.files[&file.id].clone();
        let mut body = body.to_vec();
        body[2_500_000] ^= 1;
        (altered.metadata, altered.bytes) = (metadata, body.into());
        let token = altered.token.id.clone();
        let (peers, inbound) = network(&world.alice.core).await;
        let _server = PeerServer::start(&peers, inbound, Arc::new(altered));

        let (network, _inbound) = network(&world.bob.core).await;
        let route = Route { token: Some(token), ..Route::to(peers.direct().unwrap()) };
        world.bob.core.routes.learn_file(&file.id, route);
        let mut events = world.bob.core.events.subscribe();
        let (received, paths) = with_network(network.clone(), world.download(&file.id)).await.unwrap();
        assert!(received == content);
        assert_eq!(by(&paths), [Path::Lan, Path::Backbone]);
        assert_eq!(drops(&mut events), [(Some(Path::Lan), true)]);
        network.shutdown().await;
        peers.shutdown().await;
    };
    backbone.scope(Box::pin(test)).await;
}
