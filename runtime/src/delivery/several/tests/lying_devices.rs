//! Routes with several devices, one of which sends wrong bytes.

use transport::peer::PeerId;

use super::*;

fn device(number: u8) -> PeerId {
    PeerKey::derive(&SignatureKeypair::from_seed(&[number; 32])).peer_id()
}

/// A file that a token names at its maker and at another device, of which the receiver knows.
async fn known_at_two(world: &World, content: &[u8], format: ContentFormat) -> (FileId, PeerId) {
    let id = world.known(content, format).await;
    let routes = &world.bob.core.routes;
    let route = routes.to_file(&id).unwrap();
    let other = transport::peer::Direct { peer_id: device(8), ..route.direct.clone() };
    routes.learn_file(&id, Route { others: Some(vec![other]), ..route });
    (id, device(8))
}

/// Which devices were left, and how.
fn left(events: &mut EventReceiver) -> Vec<(Option<Path>, Option<String>)> {
    let mut found = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::PathDropped { path, peer, .. } = event {
            found.push((path, peer));
        }
    }
    found
}

fn by_device(peer: PeerId) -> (Option<Path>, Option<String>) {
    (Some(Path::Direct), Some(peer.to_base58()))
}

#[tokio::test(start_paused = true)]
async fn one_that_sends_wrong_bytes_is_left_and_the_other_one_is_asked() {
    for format in FORMATS {
        for at in [0, 47, 48, 700_000, 2 * MEBIBYTE + 90] {
            World::run(async |world| {
                let content = plain(2 * MEBIBYTE + 5);
                let (id, other) = known_at_two(&world, &content, format).await;
                world.is_away(true, false).await;
                world.peers.state().altered_by = [(peer_id(), at)].into();
                let mut events = world.bob.core.events.subscribe();
                let (received, paths) = world.download(&id).await.unwrap();
                assert!(received == content, "{format:?} {at}");
                assert_eq!(by(&paths), [Path::Direct]);
                assert_eq!(left(&mut events), [by_device(peer_id())], "{format:?} {at}");
                world.peers.state().served_by.clear();
                assert!(world.download(&id).await.unwrap().0 == content);
                assert!(world.peers.state().served_by.iter().all(|peer| *peer == other), "{format:?} {at}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn if_all_devices_lie_each_is_named_and_the_backbone_is_asked() {
    for format in FORMATS {
        World::run(async |world| {
            let content = plain(MEBIBYTE + 5);
            let (id, other) = known_at_two(&world, &content, format).await;
            world.peers.state().altered_by = [(peer_id(), 700_000), (other, 700_001)].into();
            let mut events = world.bob.core.events.subscribe();
            let (received, paths) = world.download(&id).await.unwrap();
            assert!(received == content);
            assert_eq!(paths.last().unwrap().path, Path::Backbone);
            assert_eq!(left(&mut events), [by_device(peer_id()), by_device(other)], "{format:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_honest_device_is_not_left_for_what_another_one_sent_before_it() {
    for format in FORMATS {
        World::run(async |world| {
            let content = plain(2 * MEBIBYTE + 5);
            let (id, _) = known_at_two(&world, &content, format).await;
            world.is_away(true, false).await;
            // What is needed before the first chunk comes with a request of its own.
            let first = if format == ContentFormat::V2 { vec![(0, Act::Serve)] } else { vec![] };
            let acts: Vec<_> = first.into_iter().chain([(0, Act::Cut(300_000)), (1, Act::Serve)]).collect();
            {
                let mut state = world.peers.state();
                state.turns = acts.iter().map(|(turn, _)| *turn).collect();
                state.script = acts.iter().map(|(_, act)| *act).collect();
                state.altered_by = [(peer_id(), 100_000)].into();
            }
            let mut events = world.bob.core.events.subscribe();
            assert!(world.download(&id).await.unwrap().0 == content, "{format:?}");
            assert_eq!(left(&mut events), [by_device(peer_id())], "{format:?}");
        })
        .await;
    }
}
