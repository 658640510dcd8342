//! Devices that stand in for others, on the program's own backbone.

use transport::crypto::SignatureKeypair;
use transport::peer::{Direct, MAX_DEVICES, MultiaddrText, PeerKey};
use transport::wire::DeviceId;

use super::two_devices::World;
use super::*;
use crate::PeerConfig;
use crate::core::TELL_INTERVAL;

const ADDRESSES: &str = "peerAddresses";
const PUBLIC: &str = "/ip4/203.0.113.1/tcp/4001";
const PRIVATE: &str = "/ip4/192.168.1.20/tcp/4001";

fn reachable(core: &Core, addresses: &[&str]) -> Direct {
    let addresses = addresses.iter().map(|address| MultiaddrText::new(address).unwrap()).collect();
    Direct { peer_id: PeerKey::derive(core.account.device_key()).peer_id(), addresses, relays: Vec::new() }
}

fn told(core: &Core) -> Vec<Direct> {
    core.stand_ins(&core.store.view()).unwrap()
}

/// Changes the settings of a node whose addresses these are from now on.
fn stands_in(core: &mut Arc<Core>, stand_in: bool) {
    Arc::get_mut(core).unwrap().config.peers = Some(PeerConfig { stand_in, ..PeerConfig::default() });
}

async fn synchronize(cores: [&Core; 2]) {
    for core in cores {
        core.datawallet().await.unwrap();
    }
}

#[tokio::test]
async fn a_device_is_named_by_others_if_it_says_so_and_as_far_as_they_may_tell_its_addresses() {
    let world = World::new().await;
    let mut first = world.first_device().await;
    let mut second = world.second_device(&first).await;
    stands_in(&mut first, false);
    let current = Arc::new(std::sync::Mutex::new(None::<Direct>));
    let asked = current.clone();
    second.held.reachable_by(move || asked.lock().unwrap().clone());
    let move_to = |direct| *current.lock().unwrap() = Some(direct);
    move_to(reachable(&second, &[PUBLIC, PRIVATE]));
    synchronize([&second, &first]).await;
    assert_eq!(told(&first), [], "nobody has asked for it");

    stands_in(&mut second, true);
    synchronize([&second, &first]).await;
    assert_eq!(told(&first), [reachable(&second, &[PUBLIC, PRIVATE])]);
    assert_eq!(told(&second), [], "no device stands in for itself");
    let no_private = PeerConfig { private_addresses: false, ..PeerConfig::default() };
    Arc::get_mut(&mut first).unwrap().config.peers = Some(no_private);
    assert_eq!(told(&first), [reachable(&second, &[PUBLIC])]);
    move_to(reachable(&second, &[PRIVATE]));
    synchronize([&second, &first]).await;
    assert_eq!(told(&first), [reachable(&second, &[PUBLIC])], "it was told just now");
    let before = world.clock.now();
    world.clock.advance(TELL_INTERVAL);
    synchronize([&second, &first]).await;
    assert_eq!(told(&first), [], "what is left may not be told");
    stands_in(&mut first, false);
    assert_eq!(told(&first), [reachable(&second, &[PRIVATE])]);
    let keeps_to_itself = PeerConfig { name_others: false, ..PeerConfig::default() };
    Arc::get_mut(&mut first).unwrap().config.peers = Some(keeps_to_itself);
    assert_eq!(told(&first), [], "nor does it name others");
    stands_in(&mut first, false);

    let relay =
        MultiaddrText::new("/ip4/203.0.113.9/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp");
    let through = Direct { relays: vec![relay.unwrap()], ..reachable(&second, &[PUBLIC]) };
    move_to(through.clone());
    world.clock.set(before);
    synchronize([&second, &first]).await;
    assert_eq!(told(&first), [through], "the clock was set back");
    let no_relays = PeerConfig { relaying: false, ..PeerConfig::default() };
    Arc::get_mut(&mut first).unwrap().config.peers = Some(no_relays);
    assert_eq!(told(&first), [reachable(&second, &[PUBLIC])]);

    stands_in(&mut second, false);
    synchronize([&second, &first]).await;
    assert_eq!(told(&first), [], "no more, at once");
}

#[tokio::test]
async fn as_many_devices_are_named_as_a_reader_takes_and_none_that_was_removed() {
    let world = World::new().await;
    let mut first = world.first_device().await;
    stands_in(&mut first, false);
    let direct = |seed: usize| {
        let key = PeerKey::derive(&SignatureKeypair::from_seed(&[u8::try_from(seed).unwrap(); 32]));
        Direct { peer_id: key.peer_id(), ..reachable(&first, &[PUBLIC]) }.to_reference_text()
    };
    let id = |number: usize| format!("DVC{number:017}");
    for number in 0..=MAX_DEVICES {
        let device: DeviceId = id(number).parse().unwrap();
        let Value::Object(properties) = json!({ ADDRESSES: direct(number), "isOffboarded": number == 0 }) else {
            unreachable!()
        };
        create(&first, Object::new(collection::DEVICES, device.as_str(), properties)).await;
    }
    assert_eq!(told(&first).len(), MAX_DEVICES - 1);
    let mut same = first.store.object(collection::DEVICES, &id(2)).unwrap().unwrap();
    same.properties.insert(ADDRESSES.to_owned(), Value::from(direct(1)));
    update(&first, same).await;
    let peers: Vec<_> = told(&first).into_iter().map(|direct| direct.peer_id.to_base58()).collect();
    assert_eq!(peers.len(), MAX_DEVICES - 1, "two devices that say the same take one place: {peers:?}");
    for number in 3..=MAX_DEVICES {
        let mut object = first.store.object(collection::DEVICES, &id(number)).unwrap().unwrap();
        object.properties.insert(ADDRESSES.to_owned(), Value::from("no addresses"));
        update(&first, object).await;
    }
    assert_eq!(told(&first).len(), 1);
}
