//! Held tokens whose uses are counted, here or at the backbone.

use std::num::NonZeroU32;

use transport::access::{ClaimEnd, LEASE, RENEWED_AFTER, Uses};
use transport::backbone::new_claim_id;
use transport::wire::ClaimId;

use super::direct_shares::direct_request;
use super::other_devices::{OTHER_DEVICE, as_of_another_device, revoke};
use super::*;
use crate::dto::{AnyTokenId, TokenStatus};
use crate::facade::{LoadPeerToken, NewTerms};

impl World {
    /// A token whose uses the backbone allocates.
    async fn limited_at_the_backbone(&self, terms: CreateTokenForFile, limit: u32) -> Token {
        let token = self.shared(terms).await;
        let uses = Uses::new(NonZeroU32::new(limit), false);
        self.backbone.held().await.tokens.get_mut(&token.id).unwrap().uses = uses;
        self.use_within(&token.id, None, true).await;
        token
    }

    async fn use_within(&self, id: &TokenId, not_before: Option<Timestamp>, is_counted: bool) {
        edit(&self.node.core.store, |edit| edit.use_within(id, not_before, is_counted)).await;
    }

    /// What a peer gets for a use.
    pub(in crate::held) async fn claim(
        &self,
        id: &TokenId,
        channel: &Channel,
        claim: &ClaimId,
        password: Option<&PasswordHash>,
    ) -> Result<BackboneToken, Refusal> {
        let proof = password.map(|hash| PasswordProof::new(hash, channel.binding(), id));
        self.holder.token(id, Caller::new(channel, proof, self.clock.now()).under(Some(claim))).await
    }

    async fn content_under(&self, id: &TokenId, channel: &Channel, claim: &ClaimId) -> Result<Vec<u8>, Refusal> {
        let caller = Caller::new(channel, None, self.clock.now()).under(Some(claim));
        let mut held = self.holder.content(&FileTarget::Token(id.clone()), caller).await?;
        read_from(&mut held, 0).await
    }

    pub(in crate::held) async fn end(
        &self,
        id: &TokenId,
        channel: &Channel,
        claim: &ClaimId,
        end: ClaimEnd,
    ) -> Result<(), Refusal> {
        self.holder.end_claim(id, claim, end, Caller::new(channel, None, self.clock.now())).await
    }

    /// Committed, leased, remaining, by the counter of this node.
    pub(in crate::held) fn counts(&self, id: &TokenId) -> (u32, u32, Option<u32>) {
        counts_of(&HeldToken::uses(&self.node.core.store.view(), id).unwrap(), self.clock.now())
    }

    /// The same by the counter of the backbone.
    async fn counts_at_the_backbone(&self, id: &TokenId) -> (u32, u32, Option<u32>) {
        counts_of(&self.backbone.held().await.tokens[id].uses, self.clock.now())
    }

    async fn reads_at_the_backbone(&self) -> usize {
        self.backbone.held().await.reads
    }
}

fn counts_of(uses: &Uses, now: Timestamp) -> (u32, u32, Option<u32>) {
    (uses.committed(now), uses.leased(now), uses.remaining(now))
}

pub(in crate::held) fn limited(limit: u64) -> CreateTokenForFile {
    let max_downloads = Some(limit.try_into().unwrap());
    CreateTokenForFile { terms: NewTerms { max_downloads, ..NewTerms::default() }, ..CreateTokenForFile::default() }
}

fn claims<const N: usize>() -> [ClaimId; N] {
    std::array::from_fn(|_| new_claim_id())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_share_is_used_as_often_as_it_says_also_after_a_restart() {
    World::run(async |world| {
        world.is_reachable();
        let (_directory, token) = world.shared_directly(limited(2)).await;
        assert_eq!(token.max_downloads.map(|limit| limit.get()), Some(2));
        let (id, peer, [first, second, third]) = (&token.id, world.stranger(), claims());
        assert!(world.claim(id, &peer, &first, None).await.is_ok());
        for _ in 0..2 {
            assert!(world.content_under(id, &peer, &first).await.unwrap().len() > 3_000_000);
        }
        assert_eq!(world.counts(id), (0, 1, Some(1)));
        assert!(world.content_under(id, &peer, &second).await.is_ok());
        assert_eq!(world.claim(id, &peer, &third, None).await, Err(Refusal::NoUseLeft));
        assert_eq!(world.content_under(id, &peer, &third).await, Err(Refusal::NoUseLeft));

        world.end(id, &peer, &first, ClaimEnd::Commit).await.unwrap();
        // Content was sent under it.
        world.end(id, &peer, &second, ClaimEnd::Release).await.unwrap();
        assert_eq!(world.end(id, &peer, &third, ClaimEnd::Release).await, Err(Refusal::NotFound));
        world.restart(Some(ContentStoreConfig::default())).await;
        assert_eq!(world.counts(id), (2, 0, Some(0)));
        let tokens = TokensFacade::new(world.node.clone());
        let terms = tokens.token_terms(id).await.unwrap();
        assert_eq!((terms.max_uses, terms.committed_uses, terms.status), (Some(2), 2, TokenStatus::Exhausted));
        let any = AnyTokenId::E2e(id.clone());
        assert!(matches!(tokens.any_token(&any).await, Err(crate::Error::NotSupported(_))), "it is on no list");
        assert!(matches!(tokens.revoke_any_token(&any).await, Err(crate::Error::NotSupported(_))));
        assert_eq!(world.claim(id, &peer, &third, None).await, Err(Refusal::NoUseLeft));
        assert!(world.content_under(id, &peer, &first).await.is_ok(), "who was interrupted goes on");

        world.files().stop_sharing(id).await.unwrap();
        assert!(matches!(tokens.any_token(&any).await, Err(crate::Error::RecordNotFound(_))));
        assert_eq!(world.end(id, &peer, &first, ClaimEnd::Commit).await, Err(Refusal::NotFound));
        assert!(world.node.core.store.view().value_names("HeldTokenUses/", "HeldTokenUses/", 9).unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_claim_a_counted_token_is_there_for_its_creator_only() {
    World::run(async |world| {
        world.is_reachable();
        let (_directory, direct) = world.shared_directly(limited(2)).await;
        let at_backbone = world.limited_at_the_backbone(CreateTokenForFile::default(), 2).await;
        let reader = world.somebody();
        let creator = channel_to(Some(&world.account), world.clock.now());
        for token in [&direct, &at_backbone] {
            for peer in [&reader, &world.stranger()] {
                assert_eq!(world.ask(token, peer, None).await, Err(Refusal::NotFound));
                let content = world.content(FileTarget::Token(token.id.clone()), peer).await;
                assert_eq!(content.err(), Some(Refusal::NotFound));
            }
            assert!(world.ask(token, &creator, None).await.is_ok());
        }
        assert_eq!(world.counts(&direct.id), (0, 0, Some(2)));
        assert_eq!(world.counts_at_the_backbone(&at_backbone.id).await, (0, 0, Some(2)));
        // Nor does the id of the file lead around the token, as long as nothing but this node has it.
        let file = HeldToken::stored(&world.node.core.store.view(), &direct.id).unwrap().unwrap().file;
        let content = world.content(FileTarget::File(file), &reader).await;
        assert_eq!(content.err(), Some(Refusal::NotFound));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_claimants_at_a_time_one_gets_the_only_use() {
    World::run(async |world| {
        world.is_reachable();
        let (_directory, direct) = world.shared_directly(limited(1)).await;
        let at_backbone = world.limited_at_the_backbone(CreateTokenForFile::default(), 1).await;
        for token in [&direct, &at_backbone] {
            let claimants: Vec<_> = (0..64).map(|_| (world.stranger(), new_claim_id())).collect();
            let asked = claimants.iter().map(|(peer, claim)| world.claim(&token.id, peer, claim, None));
            let outcomes = join_all(asked).await;
            let granted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            let refused = outcomes.iter().filter(|outcome| **outcome == Err(Refusal::NoUseLeft)).count();
            assert_eq!((granted, refused), (1, 63));
        }
        assert_eq!(world.counts(&direct.id), (0, 1, Some(0)));
        assert_eq!(world.counts_at_the_backbone(&at_backbone.id).await, (0, 1, Some(0)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_with_several_uses_at_a_time_is_one_reader() {
    World::run(async |world| {
        world.is_reachable();
        let (_directory, token) = world.shared_directly(limited(64)).await;
        let reader = world.somebody();
        let claims: [ClaimId; 64] = claims();
        let uses = claims.iter().map(|claim| world.claim(&token.id, &reader, claim, None));
        assert!(join_all(uses).await.iter().all(Result::is_ok));
        assert_eq!(world.ledger(&token).readers, 1);
        assert_eq!(world.counts(&token.id), (0, 64, Some(0)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_that_the_backbone_allocates_is_counted_there_before_anything_is_given() {
    World::run(async |world| {
        let token = world.limited_at_the_backbone(CreateTokenForFile::default(), 2).await;
        let (id, peer, [first, second, third]) = (&token.id, world.stranger(), claims());
        assert_eq!(world.claim(id, &peer, &first, None).await.unwrap().id, *id);
        assert_eq!(world.counts_at_the_backbone(id).await, (0, 1, Some(1)));
        let reads = world.reads_at_the_backbone().await;
        for _ in 0..3 {
            assert!(world.content_under(id, &peer, &first).await.is_ok());
        }
        assert_eq!(world.reads_at_the_backbone().await, reads, "it is not asked for each range");
        world.end(id, &peer, &first, ClaimEnd::Commit).await.unwrap();
        assert_eq!(world.counts_at_the_backbone(id).await, (1, 0, Some(1)));

        // What cannot be counted is not given; a use that is known is not forgotten at once.
        world.backbone.held().await.is_away = true;
        assert_eq!(world.claim(id, &peer, &second, None).await, Err(Refusal::Unavailable));
        assert_eq!(world.content_under(id, &peer, &second).await, Err(Refusal::Unavailable));
        assert_eq!(world.end(id, &peer, &second, ClaimEnd::Commit).await, Err(Refusal::Unavailable));
        world.backbone.held().await.is_away = false;
        assert!(world.content_under(id, &peer, &second).await.is_ok());
        assert_eq!(world.claim(id, &peer, &third, None).await, Err(Refusal::NoUseLeft));
        assert_eq!(world.end(id, &peer, &third, ClaimEnd::Commit).await, Err(Refusal::NotFound));

        // The backbone has forgotten the token.
        let gone = world.limited_at_the_backbone(CreateTokenForFile::default(), 2).await;
        world.backbone.held().await.tokens.remove(&gone.id);
        assert_eq!(world.claim(&gone.id, &peer, &third, None).await, Err(Refusal::NotFound));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_load_a_token_takes_no_use_of_it() {
    World::run(async |world| {
        world.is_reachable();
        let direct = CreateTokenForFile { terms: limited(1).terms, ..protected() };
        let (_directory, direct) = world.shared_directly(direct).await;
        let at_backbone = world.limited_at_the_backbone(protected(), 1).await;
        let reader = world.somebody();
        let wrong = PasswordHash::from_bytes([9; 32]);
        for token in [&direct, &at_backbone] {
            let (id, right, [first, second]) = (&token.id, world.hash(token), claims());
            for password in [None, Some(&wrong)] {
                assert_eq!(world.claim(id, &reader, &first, password).await, Err(Refusal::NotFound));
            }
            assert_eq!(world.ledger(token), LedgerRecord { failed_attempts: 2, readers: 0 });
            assert!(world.claim(id, &reader, &first, Some(&right)).await.is_ok());
            assert_eq!(world.ledger(token), LedgerRecord { failed_attempts: 2, readers: 1 });
            assert!(world.claim(id, &reader, &first, None).await.is_ok(), "an identity needs its password once");
            // A reader whose use is refused is not remembered.
            let other = world.somebody();
            assert_eq!(world.claim(id, &other, &second, Some(&right)).await, Err(Refusal::NoUseLeft));
            assert_eq!(world.ledger(token).readers, 1);
        }
        assert_eq!(world.counts(&direct.id), (0, 1, Some(0)));
        assert_eq!(world.counts_at_the_backbone(&at_backbone.id).await, (0, 1, Some(0)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_before_its_beginning() {
    World::run(async |world| {
        world.is_reachable();
        let from = |not_before| NewTerms { not_before, ..limited(1).terms };
        let terms = || CreateTokenForFile { terms: from(in_hours(world, 1)), ..limited(1) };
        let (directory, direct) = world.shared_directly(terms()).await;
        let later = world.shared(CreateTokenForFile::default()).await;
        world.use_within(&later.id, in_hours(world, 1), false).await;
        let end = in_hours(world, 2);
        let never = CreateTokenForFile { terms: from(end), expires_at: end, ..limited(1) };
        let source = directory.path().join("source");
        let refused = world.files().share_directly(direct_request(&source), never).await.unwrap_err();
        assert!(refused.to_string().contains("notBefore"), "{refused}");
        let (peer, [claim]) = (world.stranger(), claims());
        for token in [&direct, &later] {
            assert_eq!(world.claim(&token.id, &peer, &claim, None).await, Err(Refusal::NotFound));
            assert_eq!(world.content_under(&token.id, &peer, &claim).await, Err(Refusal::NotFound));
        }
        assert_eq!(world.end(&direct.id, &peer, &claim, ClaimEnd::Commit).await, Err(Refusal::NotFound));
        assert_eq!(world.counts(&direct.id), (0, 0, Some(1)));
        world.clock.advance(HOUR);
        for token in [&direct, &later] {
            assert!(world.claim(&token.id, &peer, &claim, None).await.is_ok());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_over_counts_and_a_revoked_token_has_no_uses() {
    World::run(async |world| {
        world.is_reachable();
        let (_directory, direct) = world.shared_directly(limited(2)).await;
        let (peer, [first, second]) = (world.stranger(), claims());
        world.claim(&direct.id, &peer, &first, None).await.unwrap();
        world.clock.advance(LEASE);
        assert_eq!(world.counts(&direct.id), (1, 0, Some(1)));
        world.claim(&direct.id, &peer, &second, None).await.unwrap();
        assert_eq!(world.counts(&direct.id), (1, 1, Some(0)));

        let token = world.limited_at_the_backbone(CreateTokenForFile::default(), 2).await;
        world.claim(&token.id, &peer, &first, None).await.unwrap();
        revoke(world, &token.id, false).await;
        for claim in [&first, &second] {
            assert_eq!(world.claim(&token.id, &peer, claim, None).await, Err(Refusal::NotFound));
            assert_eq!(world.end(&token.id, &peer, claim, ClaimEnd::Commit).await, Err(Refusal::NotFound));
        }
        assert_eq!(world.counts_at_the_backbone(&token.id).await, (0, 1, Some(1)));
    })
    .await;
}

#[tokio::test]
async fn a_device_leaves_an_own_token_that_it_has_loaded_by_its_reference_to_the_one_that_made_it() {
    World::run(async |world| {
        let terms = CreateTokenForFile { ephemeral: true, ..CreateTokenForFile::default() };
        let token = world.shared(terms).await;
        let of_other = Some(OTHER_DEVICE.parse().unwrap());
        world.backbone.held().await.tokens.get_mut(&token.id).unwrap().token.created_by_device = of_other;
        edit(&world.node.core.store, |edit| edit.remove(&token.id)).await;
        let request = LoadPeerToken { reference: token.reference.url.clone(), ephemeral: false, password: None };
        let loaded = TokensFacade::new(world.node.clone()).load_peer_token(request).await.unwrap();
        assert!(loaded.is_own);
        let peer = world.stranger();
        assert_eq!(world.ask(&token, &peer, None).await, Err(Refusal::NotFound));
        assert_eq!(world.claim(&token.id, &peer, &new_claim_id(), None).await, Err(Refusal::NotFound));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_share_stores_nothing_for_a_range_that_follows_another_one() {
    World::run(async |world| {
        world.is_reachable();
        let (_directory, token) = world.shared_directly(limited(1)).await;
        let (id, peer, [claim]) = (&token.id, world.stranger(), claims());
        let stored = || HeldToken::uses(&world.node.core.store.view(), id).unwrap();
        world.claim(id, &peer, &claim, None).await.unwrap();
        let first = stored();
        world.clock.advance(RENEWED_AFTER - Duration::from_millis(1));
        world.content_under(id, &peer, &claim).await.unwrap();
        assert_eq!(stored(), first);
        world.clock.advance(Duration::from_millis(1));
        world.content_under(id, &peer, &claim).await.unwrap();
        assert_ne!(stored(), first);
        world.clock.advance(LEASE - Duration::from_millis(1));
        assert_eq!(world.counts(id), (0, 1, Some(0)), "the lease was renewed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_if_the_backbone_does_not_say_that_it_counts() {
    World::run(async |world| {
        let token = world.limited_at_the_backbone(CreateTokenForFile::default(), 1).await;
        let (id, peer, [claim]) = (&token.id, world.stranger(), claims());
        world.backbone.held().await.is_without_claims = true;
        assert_eq!(world.claim(id, &peer, &claim, None).await, Err(Refusal::Unavailable));
        assert_eq!(world.content_under(id, &peer, &claim).await, Err(Refusal::Unavailable));
        world.backbone.held().await.is_without_claims = false;
        assert!(world.content_under(id, &peer, &claim).await.is_ok());
        assert_eq!(world.counts_at_the_backbone(id).await, (0, 1, Some(0)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_makes_up_claims_has_few_places_and_keeps_nobody_from_ending_a_use() {
    World::run(async |world| {
        let token = world.limited_at_the_backbone(CreateTokenForFile::default(), 2).await;
        let (id, peer, [used, made_up]) = (&token.id, world.stranger(), claims());
        world.claim(id, &peer, &used, None).await.unwrap();
        assert_eq!(world.end(id, &peer, &made_up, ClaimEnd::Commit).await, Err(Refusal::NotFound));
        let core = world.node.core.clone();
        let taken: Vec<_> = std::iter::from_fn(|| core.held.leases.place_for_unknown()).collect();
        assert_eq!(world.end(id, &peer, &made_up, ClaimEnd::Commit).await, Err(Refusal::Busy));
        world.end(id, &peer, &used, ClaimEnd::Commit).await.unwrap();
        assert_eq!(world.end(id, &peer, &used, ClaimEnd::Commit).await, Err(Refusal::Busy), "it is not remembered now");
        drop(taken);
        world.end(id, &peer, &used, ClaimEnd::Commit).await.unwrap();
        assert_eq!(world.counts_at_the_backbone(id).await, (1, 0, Some(1)));
    })
    .await;
}

#[tokio::test]
async fn other_devices_leave_a_token_with_terms_to_the_one_that_made_it() {
    World::run(async |world| {
        let reader = world.somebody();
        let plain = as_of_another_device(world, |_| ()).await;
        assert!(world.ask(&plain, &reader, None).await.is_ok());
        let set = |members: &mut Properties| drop(members.insert("hasTerms".to_owned(), Value::from(true)));
        let with_terms = as_of_another_device(world, set).await;
        assert_eq!(world.ask(&with_terms, &reader, None).await, Err(Refusal::NotFound));
        assert_eq!(world.claim(&with_terms.id, &reader, &new_claim_id(), None).await, Err(Refusal::NotFound));
    })
    .await;
}
