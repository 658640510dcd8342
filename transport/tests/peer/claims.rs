//! Version 2 of the protocols for tokens and files: uses of a token, counted by the node that serves it.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use transport::access::{ClaimEnd, LEASE, MAX_CLAIMS, Uses};
use transport::crypto::PasswordHash;
use transport::peer::{
    Channel, ClaimAnswer, ContentExpectation, Conversation, EndClaim, Fetch, FetchMetadata, Fetched, FileRequest,
    FileRequestV2, FileTarget, Format, LoadToken, Message as _, PasswordProof, PeerError, Refusal, TokenAnswer,
    TokenRequest, TokenRequestV2,
};
use transport::wire::ClaimId;
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;

use crate::messages::{check, frozen, proof, refusal, vectors};
use crate::shelf::{Serving, Shelf, file_id, token};
use crate::world::{Link, Node, now, tell};

fn claim(number: usize) -> ClaimId {
    format!("CLM{number:017}").parse().unwrap()
}

fn token_requests() -> Vec<(&'static str, TokenRequestV2)> {
    let (token, claim) = (token(&Node::new(2)).id, claim(1));
    let load = |proof, claim| TokenRequestV2::Load { request: TokenRequest { token: token.clone(), proof }, claim };
    let end = |end| TokenRequestV2::End { token: token.clone(), claim: claim.clone(), end };
    vec![
        ("load", load(None, None)),
        ("load under a claim", load(None, Some(claim.clone()))),
        ("load under a claim with a password", load(Some(proof()), Some(claim.clone()))),
        ("commit", end(ClaimEnd::Commit)),
        ("release", end(ClaimEnd::Release)),
    ]
}

fn file_requests() -> Vec<(&'static str, FileRequestV2)> {
    let (token, file) = (FileTarget::Token(token(&Node::new(2)).id), FileTarget::File(file_id()));
    let content =
        |target, range: (u64, Option<u64>), proof| FileRequest::Content { target, start: range.0, end: range.1, proof };
    let metadata = |target, proof| FileRequest::Metadata { target, proof };
    let under = |request, claim| FileRequestV2 { request, claim };
    vec![
        ("all of it", under(content(file.clone(), (0, None), None), None)),
        (
            "a range under a claim with a password",
            under(content(token.clone(), (u64::MAX, Some(u64::MAX)), Some(proof())), Some(claim(1))),
        ),
        ("metadata", under(metadata(file, None), None)),
        ("metadata under a claim", under(metadata(token, Some(proof())), Some(claim(1)))),
    ]
}

#[test]
fn uses_are_asked_for_and_ended_as_the_vectors_say() {
    let answers = [("ended", ClaimAnswer::Ended), ("refused", ClaimAnswer::Refused(Refusal::NotFound))];
    let exhausted = [("no use left", TokenAnswer::Refused(Refusal::NoUseLeft))];
    let current = json!({
        "tokenRequests": vectors(&token_requests()),
        "fileRequests": vectors(&file_requests()),
        "endAnswers": vectors(&answers),
        "tokenAnswers": vectors(&exhausted),
    });
    frozen("peer-claims", &current);
}

#[test]
fn the_longest_requests_are_within_their_bounds() {
    let longest = |lengths: Vec<usize>| lengths.into_iter().max().unwrap();
    let token = longest(token_requests().iter().map(|(_, request)| request.encode().len()).collect());
    let file = longest(file_requests().iter().map(|(_, request)| request.encode().len()).collect());
    assert_eq!((token, file), (78, 96));
    assert!(token <= TokenRequestV2::MAX_LENGTH && file <= FileRequestV2::MAX_LENGTH);
}

proptest! {
    #[test]
    fn requests_under_claims_have_one_encoding(
        (start, end, proof) in (any::<u64>(), any::<Option<u64>>(), any::<Option<[u8; 32]>>()),
        (token, claim, is_claimed) in ("TOK[A-Za-z0-9]{17}", "CLM[A-Za-z0-9]{17}", any::<bool>()),
        (refusal, at, bit) in (refusal(), any::<usize>(), 0..8_u32),
    ) {
        let proof = proof.map(PasswordProof::from_bytes);
        let (token, claim): (transport::wire::TokenId, ClaimId) = (token.parse().unwrap(), claim.parse().unwrap());
        for end in [ClaimEnd::Commit, ClaimEnd::Release] {
            check(&TokenRequestV2::End { token: token.clone(), claim: claim.clone(), end }, at, bit);
        }
        let (target, claim) = (FileTarget::Token(token.clone()), is_claimed.then_some(claim));
        check(&TokenRequestV2::Load { request: TokenRequest { token, proof }, claim: claim.clone() }, at, bit);
        let request = FileRequest::Metadata { target: target.clone(), proof };
        check(&FileRequestV2 { request, claim: claim.clone() }, at, bit);
        check(&FileRequestV2 { request: FileRequest::Content { target, start, end, proof }, claim }, at, bit);
        check(&ClaimAnswer::Ended, at, bit);
        check(&ClaimAnswer::Refused(refusal), at, bit);
    }
}

/// What node 2 shares, so often.
fn shelf(limit: u32) -> Shelf {
    let shelf = Shelf::new(Format::V2, 100);
    *shelf.uses.lock().unwrap() = Some(Uses::new(NonZeroU32::new(limit), false));
    shelf
}

fn channels() -> [Channel; 2] {
    Node::new(1).meet(&Node::new(2), 5)
}

/// Carries a request of version 2 to the owner and its answer back.
fn ask<S: transport::peer::Side>(shelf: &Shelf, side: S, is_file: bool) -> Result<S::Outcome, PeerError> {
    let [_, owner] = channels();
    let mut side = Conversation::new(side, now().instant);
    let request = side.outgoing().unwrap();
    let serve = if is_file { Serving::file_v2 } else { Serving::token_v2 };
    let answer = serve(shelf, &owner, &request).unwrap().all();
    Link { piece: 5, ..Link::whole() }.feed(&answer, &mut side, now());
    side.end().unwrap()
}

fn load_side(shelf: &Shelf) -> LoadToken {
    let request = TokenRequest { token: shelf.token.id.clone(), proof: None };
    LoadToken::new(&channels()[0], request, 1000, now().time).unwrap()
}

fn load(shelf: &Shelf, number: usize) -> Result<Token, PeerError> {
    ask(shelf, load_side(shelf).under(Some(&claim(number))), false)
}

fn metadata(shelf: &Shelf, number: usize) -> Result<FileMetadata, PeerError> {
    let side = FetchMetadata::new(&channels()[0], shelf.token_target(), None, now().time).unwrap();
    ask(shelf, side.under(Some(&claim(number))), true)
}

fn content(shelf: &Shelf, number: usize) -> Result<Vec<u8>, PeerError> {
    let expectation = ContentExpectation { file: None, length: None, limit: 1000 };
    let fetch = Fetch::new(shelf.token_target(), (0, None), None, expectation, now().instant);
    let mut fetch = fetch.under(Some(&claim(number)));
    let answer = Serving::file_v2(shelf, &channels()[1], &fetch.outgoing().unwrap()).unwrap().all();
    let (mut rest, mut received) = (&answer[..], Vec::new());
    while fetch.wants() > 0 {
        let (now_read, later) = rest.split_at(rest.len().min(fetch.wants()));
        rest = later;
        if let Fetched::Bytes(_, bytes) = fetch.receive(now_read, now().instant) {
            received.extend_from_slice(bytes);
        }
    }
    fetch.end().unwrap().map(|()| received)
}

fn end(shelf: &Shelf, number: usize, end: ClaimEnd) -> Result<(), PeerError> {
    ask(shelf, EndClaim::new(shelf.token.id.clone(), claim(number), end), false)
}

fn counts(shelf: &Shelf) -> (u32, u32, Option<u32>) {
    let (uses, now) = (shelf.uses.lock().unwrap(), now().time);
    let uses = uses.as_ref().unwrap();
    (uses.committed(now), uses.leased(now), uses.remaining(now))
}

const NO_USE_LEFT: PeerError = PeerError::Refused(Refusal::NoUseLeft);
const NOTHING: PeerError = PeerError::Refused(Refusal::NotFound);

#[test]
fn token_metadata_and_content_are_one_use_under_one_claim() {
    let shelf = shelf(1);
    assert_eq!(load(&shelf, 1), Ok(shelf.token.clone()));
    assert_eq!(metadata(&shelf, 1), Ok(shelf.metadata.clone()));
    for _ in 0..3 {
        assert_eq!(content(&shelf, 1), Ok(shelf.bytes.to_vec()));
    }
    assert_eq!(counts(&shelf), (0, 1, Some(0)));
    for refused in [load(&shelf, 2).map(drop), metadata(&shelf, 2).map(drop), content(&shelf, 2).map(drop)] {
        assert_eq!(refused, Err(NO_USE_LEFT));
    }
    for _ in 0..2 {
        assert_eq!(end(&shelf, 1, ClaimEnd::Commit), Ok(()));
    }
    assert_eq!(counts(&shelf), (1, 0, Some(0)));
    assert_eq!(content(&shelf, 1), Ok(shelf.bytes.to_vec()), "who was interrupted goes on");
}

#[test]
fn a_use_under_which_content_was_sent_is_not_given_back_and_an_unknown_one_cannot_end() {
    let shelf = shelf(2);
    load(&shelf, 1).unwrap();
    assert_eq!(end(&shelf, 1, ClaimEnd::Release), Ok(()));
    assert_eq!(counts(&shelf), (1, 0, Some(1)));
    for how in [ClaimEnd::Commit, ClaimEnd::Release] {
        assert_eq!(end(&shelf, 2, how), Err(NOTHING));
    }
}

#[test]
fn without_a_claim_a_counted_token_is_not_there_by_either_version() {
    let shelf = shelf(5);
    let load = TokenRequest { token: shelf.token.id.clone(), proof: None };
    let metadata = FileRequest::Metadata { target: shelf.token_target(), proof: None };
    let content = FileRequest::Content { target: shelf.token_target(), start: 0, end: None, proof: None };
    let [_, owner] = channels();
    let refused = TokenAnswer::Refused(Refusal::NotFound).to_frame();
    assert_eq!(Serving::token(&shelf, &owner, &load.to_frame()).unwrap().all(), refused);
    let load = TokenRequestV2::from(load).to_frame();
    assert_eq!(Serving::token_v2(&shelf, &owner, &load).unwrap().all(), refused);
    for request in [metadata, content] {
        assert_eq!(Serving::file(&shelf, &owner, &request.to_frame()).unwrap().all(), refused);
        let request = FileRequestV2::from(request).to_frame();
        assert_eq!(Serving::file_v2(&shelf, &owner, &request).unwrap().all(), refused);
    }
    assert_eq!(counts(&shelf), (0, 0, Some(5)));
}

#[test]
fn who_may_not_load_a_token_uses_nothing_and_learns_nothing_of_its_uses() {
    let mut shelf = shelf(1);
    shelf.password = Some(PasswordHash::from_bytes([9; 32]));
    assert_eq!(load(&shelf, 1), Err(NOTHING));
    assert_eq!(counts(&shelf), (0, 0, Some(1)));
    shelf.uses.lock().unwrap().as_mut().unwrap().take(now().time).unwrap();
    assert_eq!(load(&shelf, 1), Err(NOTHING));
}

#[test]
fn more_open_claims_than_are_remembered_have_to_wait() {
    let shelf = shelf(2 * MAX_CLAIMS as u32);
    for number in 0..MAX_CLAIMS {
        load(&shelf, number).unwrap();
    }
    assert_eq!(load(&shelf, MAX_CLAIMS), Err(PeerError::Refused(Refusal::Busy)));
    // Their leases are over.
    let later = now().time.saturating_add(LEASE).saturating_add(Duration::from_millis(1));
    shelf.uses.lock().unwrap().as_mut().unwrap().lapse(later);
    assert!(load(&shelf, MAX_CLAIMS).is_ok());
}

#[test]
fn answers_that_are_none_to_the_end_of_a_use_are_refused() {
    let side = || EndClaim::new(token(&Node::new(2)).id, claim(1), ClaimEnd::Commit);
    assert_eq!(tell(side(), &[ClaimAnswer::Ended.to_frame()]).1, Some(Ok(())));
    for bytes in [&b"\0\0\0\x01\x06"[..], b"\0\0\0\x02\x82\x06", b"\0\0\0\x09"] {
        assert!(matches!(tell(side(), &[bytes.to_vec()]).1, Some(Err(PeerError::Frame(_)))), "{bytes:?}");
    }
}
