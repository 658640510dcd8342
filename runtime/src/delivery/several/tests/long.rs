//! Contents that take long, with better paths that appear meanwhile.

use transport::peer::PIECE_LENGTH;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_long_content_is_one_request_until_there_is_a_better_path() {
    World::run(async |world| {
        let content = plain(70 * MEBIBYTE);
        world.peers.state().path = Some(Path::Relayed);
        let id = world.known(&content, ContentFormat::V2).await;
        let download = FilesFacade::new(world.bob.clone()).download_file(&id, None).await.unwrap();
        let (paths, mut reader) = (download.content.path_log(), download.content.into_reader());
        let mut received = vec![0; content.len()];
        let (first, rest) = received.split_at_mut(66 << 20);
        reader.read_exact(first).await.unwrap();
        let before = world.peers.state().requests;
        assert!(before <= 2, "{before} requests, one of them for hashes");
        world.peers.state().path = Some(Path::Punched);
        reader.read_exact(rest).await.unwrap();
        assert!(received == content);
        assert_eq!(by(&paths.bytes()), [Path::Relayed, Path::Punched]);
        assert_eq!(world.peers.state().requests, before + 1);
        let body = world.backbone.held().await.files[&id].1.len() as u64;
        let twice = again(&world.sent().await, body);
        assert!(twice < PIECE_LENGTH, "it goes on behind the last whole chunk: {twice}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_comes_takes_over_a_long_content_from_the_backbone() {
    World::run(async |world| {
        let content = plain(70 * MEBIBYTE);
        let id = world.known(&content, ContentFormat::V2).await;
        // The backbone answers in its place.
        world.peers.state().script = [Act::Slow(Duration::from_secs(3))].into();
        let download = FilesFacade::new(world.bob.clone()).download_file(&id, None).await.unwrap();
        let (paths, mut reader) = (download.content.path_log(), download.content.into_reader());
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::task::yield_now().await;
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        assert!(received == content);
        let bytes = paths.bytes();
        assert_eq!(by(&bytes), [Path::Backbone, Path::Direct]);
        assert!((64 * MEBIBYTE..66 * MEBIBYTE).contains(&bytes[0].bytes), "{bytes:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_use_is_renewed_and_a_better_path_that_fails_costs_nothing() {
    World::run(async |world| {
        let content = plain(6 * MEBIBYTE);
        world.peers.state().path = Some(Path::Relayed);
        let id = world.known(&content, ContentFormat::V2).await;
        let download = FilesFacade::new(world.bob.clone()).download_file(&id, None).await.unwrap();
        let (paths, mut reader) = (download.content.path_log(), download.content.into_reader());
        let mut received = vec![0; content.len()];
        let mut parts = received.chunks_mut(1 << 20);
        reader.read_exact(parts.next().unwrap()).await.unwrap();
        let begun = world.peers.state().requests;
        world.peers.state().path = Some(Path::Punched);
        world.peers.state().script = [Act::Refuse(Refusal::Busy)].into();
        world.is_away(true, false).await;
        reader.read_exact(parts.next().unwrap()).await.unwrap();
        reader.read_exact(parts.next().unwrap()).await.unwrap();
        assert_eq!(world.peers.state().requests, begun + 1, "the peer is not asked at each chunk");
        assert_eq!(by(&paths.bytes()), [Path::Relayed]);
        world.peers.state().path = Some(Path::Relayed);
        tokio::time::advance(transport::access::RENEWED_AFTER).await;
        for part in parts {
            reader.read_exact(part).await.unwrap();
        }
        assert!(received == content);
        assert_eq!(world.peers.state().requests, begun + 2, "asked for anew, so the use lasts");
    })
    .await;
}
