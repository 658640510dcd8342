//! Who is waited for, and for how long.

use tokio::io::AsyncSeekExt as _;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_peer_that_stalls_is_left_and_one_that_is_slow_is_used_later() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.peers.state().otherwise = Some(Act::Stall(100_000));
            assert!(world.download(&id).await.unwrap().0 == content);
        }
        world.peers.state().otherwise = None;
        let id = world.known(&content, ContentFormat::V2).await;
        world.peers.state().script = [Act::Slow(Duration::from_secs(3))].into();
        let files = FilesFacade::new(world.bob.clone());
        let start = Instant::now();
        let mut reader = files.open_file(&id).await.unwrap();
        assert_eq!(start.elapsed(), PeerConfig::default().patience);
        assert_eq!(reader.path_log().last(), Some(Path::Backbone));
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::task::yield_now().await;
        reader.seek(std::io::SeekFrom::Start(2 * MEBIBYTE)).await.unwrap();
        reader.read_u8().await.unwrap();
        assert_eq!(reader.path_log().last(), Some(Path::Direct), "the next request takes the better path");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backbone_that_does_not_answer_any_more_is_left_for_a_peer_that_can_be_reached_again() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.backbone.held().await.delay = Duration::from_secs(30);
            world.peers.state().script = [Act::Cut(MEBIBYTE)].into();
            let start = Instant::now();
            let (received, paths) = world.download(&id).await.unwrap();
            assert!(received == content);
            assert_eq!(by(&paths), [Path::Direct], "{format:?}");
            assert!(start.elapsed() < 2 * PeerConfig::default().patience, "{format:?}: {:?}", start.elapsed());
            world.backbone.held().await.delay = Duration::ZERO;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_peer_is_asked_alone_for_as_long_as_the_configuration_says() {
    let patience = Duration::from_secs(10);
    let test = async |world: Arc<World>| {
        let (moment, id) = (Duration::from_millis(1), world.known(&plain(MEBIBYTE), ContentFormat::V2).await);
        for (slow, path) in [(patience - moment, Path::Direct), (patience + moment, Path::Backbone)] {
            world.peers.state().script = [Act::Slow(slow)].into();
            assert_eq!(by(&world.download(&id).await.unwrap().1)[0], path, "{slow:?}");
        }
    };
    World::with_patience(patience).runs(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_waited_for_if_there_is_nobody_else() {
    World::run(async |world| {
        let content = plain(MEBIBYTE);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.is_away(true, false).await;
            world.peers.state().otherwise = Some(Act::Slow(Duration::from_secs(3)));
            assert!(world.download(&id).await.unwrap().0 == content);
            world.is_away(false, false).await;
            world.peers.state().otherwise = None;
        }
    })
    .await;
}
