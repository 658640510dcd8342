//! Terms of a token hold on every way by which it is loaded: directly, and from the backbone.

use enlace_tests::{PeerClaimant, client, refusal};
use futures_util::future::join_all;
use runtime::dto::{Token, TokenPath, TokenStatus};
use runtime::facade::{ContentFormat, CreateTokenForFile, NewTerms, UploadOwnFile};
use runtime::source::Source;
use runtime::{MediaType, Path};
use transport::access::ClaimEnd;
use transport::backbone::new_claim_id;
use transport::peer::{PeerError, Refusal};
use transport::wire::ClaimId;

use super::paths::{MEBIBYTE, Pair, by, node};

const NO_USE_LEFT: PeerError = PeerError::Refused(Refusal::NoUseLeft);
const NOTHING: PeerError = PeerError::Refused(Refusal::NotFound);
/// Connections of peers that ask at the same time, and how often each of them does.
const PEERS: usize = 8;
const ASKED_BY_EACH: usize = 8;

impl Pair {
    /// A token of the file that can be used so often, and a reference that says where the sharer is.
    async fn limited(&self, limit: u64) -> (Token, String) {
        let max_downloads = Some(limit.try_into().unwrap());
        let terms = CreateTokenForFile {
            terms: NewTerms { max_downloads, ..NewTerms::default() },
            ..CreateTokenForFile::default()
        };
        let token = self.sharer().share_as(&self.file, terms).await.unwrap();
        let reference = self.dialable(&token.reference.url);
        (token, reference)
    }

    /// Status, committed and leased uses, as the backbone tells them.
    async fn counts(&self, token: &Token) -> (TokenStatus, u32, u32) {
        let terms = self.sharer().runtime().tokens().token_terms(&token.id).await.unwrap();
        (terms.status, terms.committed_uses, terms.leased_uses)
    }
}

/// What becomes of a use once the node has a place for it.
async fn decided(peer: &PeerClaimant, claim: &ClaimId) -> Result<(), PeerError> {
    loop {
        match peer.use_once(claim).await {
            Err(PeerError::Refused(Refusal::Busy)) => {}
            outcome => return outcome,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_peers_at_a_time_one_gets_the_only_use_which_the_backbone_has_counted() {
    let pair = Pair::with(ContentFormat::V2, MEBIBYTE).await;
    let (token, reference) = pair.limited(1).await;
    let peers = join_all((0..PEERS).map(|_| PeerClaimant::of_reference(&reference))).await;
    let peers: Vec<_> = peers.into_iter().map(Result::unwrap).collect();
    let claims: Vec<_> = (0..PEERS * ASKED_BY_EACH).map(|_| new_claim_id()).collect();
    let asked = claims.iter().enumerate().map(|(number, claim)| decided(&peers[number % PEERS], claim));
    let outcomes = join_all(asked).await;
    let granted: Vec<_> = claims.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).collect();
    assert_eq!(granted.len(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| outcome.is_ok() || *outcome == Err(NO_USE_LEFT)), "{outcomes:?}");
    let (claim, _) = granted[0];

    assert_eq!(pair.counts(&token).await, (TokenStatus::Exhausted, 0, 1));
    let backbone = client(&pair.backbone.line().url());
    let other_way = backbone.claimed_token(&token.id, &new_claim_id(), None).await;
    assert!(other_way.unwrap_err().is_exhausted(), "there is one counter");
    assert_eq!(backbone.claimed_token(&token.id, claim, None).await.unwrap().id, token.id, "it is the same use");
    for peer in &peers {
        peer.end(claim, ClaimEnd::Commit).await.unwrap();
    }
    assert_eq!(pair.counts(&token).await, (TokenStatus::Exhausted, 1, 0));
    join_all(peers.into_iter().map(PeerClaimant::leave)).await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_share_is_counted_by_its_node_while_the_backbone_is_away() {
    let pair = Pair::with(ContentFormat::V2, MEBIBYTE).await;
    let other = node(&pair.world, "other", &pair.backbone, Vec::new()).await;
    let path = pair.world.directory("direct.bin");
    std::fs::write(&path, &pair.content).unwrap();
    let mimetype = MediaType::of_header(Some("application/octet-stream"));
    let request = UploadOwnFile::from_source(Source::file(&path).unwrap(), "a.bin".parse().unwrap(), mimetype);
    let max_downloads = Some(1_u64.try_into().unwrap());
    let terms = CreateTokenForFile {
        terms: NewTerms { max_downloads, ..NewTerms::default() },
        ..CreateTokenForFile::default()
    };
    let token = pair.sharer().runtime().files().share_directly(request, terms).await.unwrap();
    let reference = pair.dialable(&token.reference.url);
    pair.backbone.line().cut().await;
    for _ in 0..2 {
        assert!(pair.receiver.fetch(&reference).await.unwrap() == pair.content, "again it is the same use");
    }
    assert_eq!(refusal(other.fetch(&reference).await), "error.platform.token.exhausted");
    let claimant = PeerClaimant::of_reference(&reference).await.unwrap();
    assert_eq!(claimant.use_once(&new_claim_id()).await, Err(NO_USE_LEFT));
    claimant.leave().await;
    let (status, committed, leased) = pair.counts(&token).await;
    assert_eq!((status, committed + leased), (TokenStatus::Exhausted, 1));
    other.stop().await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_backbone_is_away_a_peer_gets_nothing_of_a_counted_token() {
    let pair = Pair::with(ContentFormat::V2, MEBIBYTE).await;
    let (token, reference) = pair.limited(2).await;
    let peer = PeerClaimant::of_reference(&reference).await.unwrap();
    let [known, new] = [new_claim_id(), new_claim_id()];
    peer.use_once(&known).await.unwrap();
    pair.backbone.line().cut().await;
    assert_eq!(peer.use_once(&new).await, Err(PeerError::Refused(Refusal::Unavailable)));
    peer.use_once(&known).await.unwrap();
    pair.backbone.line().heal().await;
    peer.use_once(&new).await.unwrap();
    assert_eq!(pair.counts(&token).await, (TokenStatus::Exhausted, 0, 2));
    peer.leave().await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_all_ways_the_running_transfer_included_and_names_them() {
    let mut pair = Pair::with(ContentFormat::V2, 16 * MEBIBYTE).await;
    let (counted, reference) = pair.limited(5).await;
    let plain = pair.sharer().share(&pair.file).await.unwrap();
    pair.receiver.receive(&pair.dialable(&plain.reference.url)).await.unwrap();
    let peer = PeerClaimant::of_reference(&reference).await.unwrap();
    let claim = new_claim_id();
    peer.use_once(&claim).await.unwrap();
    let (tokens, ids) = (pair.sharer().runtime().tokens(), [plain.id.clone(), counted.id.clone()]);
    let paths = pair
        .load(async |_| {
            for id in &ids {
                let changed = tokens.revoke_token(id).await.unwrap();
                assert_eq!((changed.backbone, changed.peers), (TokenPath::Revoked, TokenPath::Revoked));
            }
        })
        .await;
    // Whoever has loaded a token knows the key of its file, and gets the rest from the backbone.
    assert_eq!(by(&paths), [Path::Lan, Path::Backbone]);

    for claim in [&claim, &new_claim_id()] {
        assert_eq!(peer.use_once(claim).await, Err(NOTHING));
        assert_eq!(peer.end(claim, ClaimEnd::Commit).await, Err(NOTHING));
    }
    let backbone = client(&pair.backbone.line().url());
    for id in &ids {
        assert!(backbone.claimed_token(id, &claim, None).await.unwrap_err().is_record_not_found());
    }
    assert!(pair.receiver.load_token(&pair.dialable(&counted.reference.url)).await.is_err());
    peer.leave().await;
    pair.end().await;
}
