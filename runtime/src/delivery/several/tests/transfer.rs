//! The bytes of a file, with sides that fail.

use proptest::prelude::*;
use transport::peer::PIECE_LENGTH;

use super::*;

#[tokio::test(start_paused = true)]
async fn token_file_and_content_come_from_the_peer_while_the_backbone_is_away() {
    for format in FORMATS {
        World::run(async |world| {
            let content = plain(3 * MEBIBYTE + 5);
            let file = world.upload(&content, format).await;
            let (_, reference) = world.share(&file, None).await;
            world.is_away(true, false).await;
            let loaded = world.load(&reference, None).await.unwrap();
            assert_eq!((&loaded.id, loaded.is_own), (&file.id, false));
            let (received, paths) = world.download(&file.id).await.unwrap();
            assert!(received == content);
            let body = world.backbone.held().await.files[&file.id].1.len() as u64;
            assert_eq!(by(&paths), [Path::Direct], "{format:?}");
            assert!((body..body + 1000).contains(&paths[0].bytes));
            assert_eq!(again(&world.sent().await, body), 0);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_says_by_which_path_it_came() {
    World::run(async |world| {
        for (format, path) in FORMATS.into_iter().zip([Path::Lan, Path::Relayed]) {
            world.peers.state().path = Some(path);
            let id = world.known(&plain(2 * MEBIBYTE), format).await;
            let files = FilesFacade::new(world.bob.clone());
            let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
            let told = seen.clone();
            let observer: crate::facade::Observer = Arc::new(move |progress: crate::facade::Progress| {
                told.lock().unwrap().push((progress.phase, progress.path));
            });
            let download = files.download_file(&id, Some(observer)).await.unwrap();
            assert_eq!(download.content.path(), Some(path));
            let part = files.read_range(&id, 5..MEBIBYTE).await.unwrap();
            assert_eq!(by(&part.content.paths()), [path]);
            let told = seen.lock().unwrap().clone();
            assert!(
                told.iter().all(|(phase, by)| (*phase == crate::facade::Phase::Downloading) == (*by == Some(path)))
            );
            assert!(told.iter().any(|(_, by)| *by == Some(path)));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_breaks_anywhere_goes_on_from_the_other_side_behind_what_arrived() {
    for format in FORMATS {
        World::run(async |world| {
            let content = plain(2 * MEBIBYTE + 5);
            let id = world.known(&content, format).await;
            let body = world.backbone.held().await.files[&id].1.len() as u64;
            let cuts = (0..body).step_by(PIECE_LENGTH as usize).flat_map(|cut| [cut, cut + 1]);
            for cut in cuts.chain([body - 1]) {
                world.bob.core.routes.worked(&id, Origin::Peer);
                world.bob.core.routes.worked(&id, Origin::Backbone);
                // What is needed before the first chunk comes with a request of its own.
                let first = if format == ContentFormat::V2 { vec![Act::Serve] } else { vec![] };
                world.peers.state().script = first.into_iter().chain([Act::Cut(cut)]).collect();
                world.peers.state().otherwise = Some(Act::Unreachable);
                world.forget().await;
                let (received, paths) = world.download(&id).await.unwrap();
                assert!(received == content);
                assert_eq!(again(&world.sent().await, body), 0, "{format:?} {cut}");
                if cut > 0 && format == ContentFormat::V1 {
                    assert_eq!(by(&paths), [Path::Direct, Path::Backbone], "{cut}");
                    assert_eq!(paths[0].bytes, cut);
                }
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_breaks_at_the_backbone_goes_on_at_the_peer() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        let id = world.known(&content, ContentFormat::V2).await;
        let body = world.backbone.held().await.files[&id].1.len() as u64;
        for cut in [1, 47, 48, MEBIBYTE, 2 * MEBIBYTE] {
            world.bob.core.routes.worked(&id, Origin::Backbone);
            // The peer comes back when the backbone has begun to send.
            world.peers.state().script = [Act::Refuse(Refusal::Busy)].into();
            world.backbone.held().await.cuts = [u64::MAX, cut].into();
            world.forget().await;
            let (received, paths) = world.download(&id).await.unwrap();
            assert!(received == content);
            assert_eq!(by(&paths), [Path::Backbone, Path::Direct], "{cut}");
            assert_eq!(again(&world.sent().await, body), 0, "{cut}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_wrongly_or_refuses_is_no_obstacle() {
    for act in [
        Act::AnotherFile,
        Act::Unreachable,
        Act::Refuse(Refusal::NotFound),
        Act::Refuse(Refusal::Busy),
        Act::Refuse(Refusal::Unavailable),
        Act::Refuse(Refusal::IdentityRequired),
        Act::EndEarly(100_000),
        Act::Overrun,
    ] {
        for format in FORMATS {
            World::run(async |world| {
                let content = plain(2 * MEBIBYTE + 5);
                let id = world.known(&content, format).await;
                world.peers.state().otherwise = Some(act);
                assert!(world.download(&id).await.unwrap().0 == content, "{act:?}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn both_may_go_away_in_the_middle_and_come_back() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        let id = world.known(&content, ContentFormat::V2).await;
        world.peers.state().script = [Act::Serve, Act::Cut(700_000)].into();
        world.backbone.held().await.is_away = true;
        world.peers.state().otherwise = Some(Act::Unreachable);
        let (downloaded, ()) = tokio::join!(world.download(&id), async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            world.peers.state().otherwise = None;
        });
        let (received, paths) = downloaded.unwrap();
        assert!(received == content && by(&paths) == [Path::Direct]);
        let body = world.backbone.held().await.files[&id].1.len() as u64;
        assert_eq!(again(&world.sent().await, body), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn if_nobody_is_left_the_error_says_what_both_answered_and_both_may_come_back() {
    World::run(async |world| {
        let content = plain(2 * MEBIBYTE + 5);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.is_away(true, true).await;
            let error = world.download(&id).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::Undelivered(_)), "{text}");
            assert_eq!(error.code(), "error.transport.request.network");
            assert!(text.contains("The node that shares it cannot be reached directly"), "{text}");
            world.is_away(false, false).await;
            assert!(world.download(&id).await.unwrap().0 == content);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_download_without_progress_ends_and_one_with_progress_goes_on() {
    World::run(async |world| {
        let content = plain(MEBIBYTE - 5);
        for format in FORMATS {
            let id = world.known(&content, format).await;
            world.is_away(true, false).await;
            world.peers.state().otherwise = Some(Act::Trickle(1000));
            if format == ContentFormat::V2 {
                world.peers.state().otherwise = Some(Act::Trickle(0));
            }
            let download = tokio::time::timeout(Duration::from_secs(100_000), world.download(&id));
            assert!(download.await.expect("it ends").is_err(), "{format:?}");
            assert!(world.peers.state().requests <= 30, "{format:?}: {}", world.peers.state().requests);

            if format == ContentFormat::V1 {
                world.peers.state().script = (1..=30).map(|part| Act::Trickle(part * 30_000)).collect();
                world.peers.state().otherwise = None;
                assert!(world.download(&id).await.unwrap().0 == content);
            }
            world.peers.state().otherwise = None;
            world.is_away(false, false).await;
        }
    })
    .await;
}

/// What a peer does, by a number.
fn acts() -> impl Strategy<Value = Act> {
    let place = 0..2 * MEBIBYTE + 300;
    prop_oneof![
        Just(Act::Serve),
        Just(Act::Unreachable),
        Just(Act::Refuse(Refusal::NotFound)),
        Just(Act::Refuse(Refusal::Busy)),
        Just(Act::AnotherFile),
        Just(Act::Overrun),
        place.clone().prop_map(Act::Cut),
        place.clone().prop_map(Act::Stall),
        place.clone().prop_map(Act::EndEarly),
        place.prop_map(Act::Alter),
        (0..20_u64).prop_map(|seconds| Act::Slow(Duration::from_secs(seconds))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_failures_yields_the_right_bytes_or_an_error(
        script in proptest::collection::vec(acts(), 0..8),
        otherwise in proptest::option::of(acts()),
        cuts in proptest::collection::vec(0..2 * MEBIBYTE, 0..6),
        is_away: bool,
        format in proptest::sample::select(FORMATS.to_vec()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(World::run(async |world| {
            let content = plain(2 * MEBIBYTE + 5);
            let id = world.known(&content, format).await;
            let body = world.backbone.held().await.files[&id].1.len() as u64;
            let is_lying = script.iter().chain(&otherwise).any(|act| matches!(act, Act::Alter(_)));
            let is_all_there = !is_away && cuts.is_empty();
            world.peers.state().script = script.iter().copied().collect();
            world.peers.state().otherwise = otherwise;
            world.backbone.held().await.cuts = cuts.iter().copied().collect();
            world.backbone.held().await.is_away = is_away;
            let downloaded = world.download(&id).await;
            if let Ok((received, _)) = &downloaded {
                prop_assert!(*received == content);
            }
            prop_assert!(downloaded.is_ok() || !is_all_there, "{:?}", downloaded.err());
            if format == ContentFormat::V2 && !is_lying {
                // The header and the hashes of a tree of three chunks may come more than once.
                prop_assert!(again(&world.sent().await, body) < 48 * 20 + 300 * 20);
            }
            Ok(())
        }))?;
    }
}
