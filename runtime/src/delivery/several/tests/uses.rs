//! Uses of tokens, which are counted once whoever is asked.

use std::num::NonZeroU32;

use transport::access::{LEASE, Uses};
use transport::backbone::new_claim_id;

use super::*;
use crate::facade::{LoadPeerToken, TokensFacade};

#[tokio::test(start_paused = true)]
async fn both_sides_are_asked_under_one_claim_and_it_ends_where_it_is_known() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V1).await;
        let (token, _) = world.share(&file, None).await;
        world.bob.core.routes.learn_token(&token.id, route());
        let (by, [claim, other]) = (crate::delivery::of(&world.bob.core), [(); 2].map(|()| new_claim_id()));
        // The peer has it first, and the backbone is slower; or the peer has nothing.
        for refusal in [None, Some(Refusal::NotFound)] {
            world.peers.state().refusal = refusal;
            assert_eq!(by.token(&token.id, None, Some(&claim), None).await.unwrap().id, token.id);
        }
        assert_eq!(world.peers.state().claims, [Some(claim.clone())]);
        assert_eq!(world.uses(&token.id).await, (0, 1));
        by.end_claim(&token.id, &claim, ClaimEnd::Commit).await.unwrap();
        assert_eq!(world.uses(&token.id).await, (1, 0));

        // Of what the peer allocates the backbone knows nothing.
        world.peers.state().refusal = None;
        world.peers.state().uses.insert(token.id.clone(), Uses::new(NonZeroU32::new(1), false));
        assert_eq!(by.token(&token.id, None, Some(&other), None).await.unwrap().id, token.id);
        by.end_claim(&token.id, &other, ClaimEnd::Commit).await.unwrap();
        let uses = world.peers.state().uses[&token.id].clone();
        assert_eq!(uses.committed(world.bob.core.clock.now()), 1);
        let unknown = by.end_claim(&token.id, &new_claim_id(), ClaimEnd::Release).await;
        assert!(matches!(unknown, Err(Failure::NotFound(_))));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_the_peer_that_counts_is_no_second_use() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        for is_foreign in [false, true] {
            let (token, reference) = world.share(&file, None).await;
            let elsewhere = reference_elsewhere(&token);
            let reference = if is_foreign { elsewhere } else { reference };
            // Only the peer has it.
            world.backbone.held().await.tokens.remove(&token.id);
            world.peers.state().uses.insert(token.id.clone(), Uses::new(NonZeroU32::new(1), false));
            world.peers.state().loses_answers = true;
            assert!(load_token(&world, &reference).await.is_err());
            world.peers.state().loses_answers = false;
            load_token(&world, &reference).await.unwrap();
            let (uses, now) = (world.peers.state().uses[&token.id].clone(), world.bob.core.clock.now());
            assert_eq!((uses.committed(now) + uses.leased(now), uses.remaining(now)), (1, Some(0)));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_use_lasts_for_as_long_as_its_file_comes() {
    World::run(async |world| {
        let file = world.upload(&plain(8 * MEBIBYTE), ContentFormat::V2).await;
        let (token, _) = world.share(&file, None).await;
        world.load(&token.reference.url, None).await.unwrap();
        let files = FilesFacade::new(world.bob.clone());
        let mut content = files.download_file(&file.id, None).await.unwrap().content.into_reader();
        let mut chunk = vec![0; usize::try_from(MEBIBYTE).unwrap()];
        // This one is there already.
        content.read_exact(&mut chunk).await.unwrap();
        for number in 0..5 {
            world.clock.advance(LEASE * 2 / 3);
            content.read_exact(&mut chunk).await.unwrap();
            world.bob.core.background.idle().await;
            assert_eq!(world.uses(&token.id).await, (0, 1), "{number}");
        }
        content.read_to_end(&mut chunk).await.unwrap();
        world.bob.core.ending.idle().await;
        assert_eq!(world.uses(&token.id).await, (1, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_everybody_refuses_is_not_remembered_as_a_use() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let (token, reference) = world.share(&file, None).await;
        world.backbone.held().await.tokens.remove(&token.id);
        let remembered = || world.bob.core.store.view().value_names("TokenClaim/", "TokenClaim/", 9).unwrap().len();
        for (refusal, is_remembered) in [(Refusal::NotFound, false), (Refusal::Unavailable, true)] {
            world.peers.state().refusal = Some(refusal);
            assert!(load_token(&world, &reference).await.is_err());
            assert_eq!(remembered(), usize::from(is_remembered), "{refusal}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_use_is_over_when_all_of_its_file_was_read_in_whatever_order() {
    World::run(async |world| {
        let file = world.upload(&plain(3 * MEBIBYTE + 5), ContentFormat::V2).await;
        let (token, _) = world.share(&file, None).await;
        world.load(&token.reference.url, None).await.unwrap();
        let files = FilesFacade::new(world.bob.clone());
        let read = async |range: Range<u64>| {
            let mut content = files.read_range(&file.id, range).await.unwrap().content.into_reader();
            content.read_to_end(&mut Vec::new()).await.unwrap();
            world.bob.core.ending.idle().await;
            world.uses(&token.id).await
        };
        assert_eq!(read(3 * MEBIBYTE..3 * MEBIBYTE + 5).await, (0, 1), "the end only");
        assert_eq!(read(0..2 * MEBIBYTE).await, (0, 1));
        let kept = plain(3 * MEBIBYTE);
        assert_eq!(files.verified_prefix(&file.id, &kept[..]).await.unwrap(), 3 * MEBIBYTE, "by an earlier run");
        world.bob.core.ending.idle().await;
        assert_eq!(world.uses(&token.id).await, (1, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_file_of_a_stored_token_is_asked_for_under_a_use_also_after_a_restart_and_on_another_device() {
    World::run(async |world| {
        let file = world.upload(b"abc", ContentFormat::V2).await;
        let core = &world.bob.core;
        for is_use_known in [true, false] {
            let (token, reference) = world.share(&file, None).await;
            load_token(&world, &reference).await.unwrap();
            let first = core.routes.to_file(&file.id).unwrap().claim;
            assert!(first.is_some());
            core.routes.forget_token(&token.id);
            core.routes.forget_file(&file.id);
            if !is_use_known {
                let mut batch = Batch::new();
                for name in core.store.view().value_names("TokenClaim", "TokenClaim", 99).unwrap() {
                    batch.remove_value(&name);
                }
                core.store.commit(batch).await.unwrap();
            }
            world.load(&reference, None).await.unwrap();
            let again = core.routes.to_file(&file.id).unwrap().claim;
            assert!(again.is_some() && (again == first) == is_use_known);
            // It is the same from then on, and ends with the file.
            world.load(&reference, None).await.unwrap();
            assert_eq!(core.routes.to_file(&file.id).unwrap().claim, again);
            let name = format!("TokenClaimOf/{}/{}", file.id, token.id);
            assert_eq!(core.store.view().value_names(&name, &name, 9).unwrap().len(), 1);
        }
    })
    .await;
}

async fn load_token(world: &World, reference: &str) -> crate::Result<TokenDto> {
    let request = LoadPeerToken { reference: reference.to_owned(), ephemeral: false, password: None };
    TokensFacade::new(world.bob.clone()).load_peer_token(request).await
}
