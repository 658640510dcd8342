//! `/enlace/identity/1` between two sides, and against peers that lie.

use std::time::Duration;

use transport::crypto::{SignatureHash, SignatureKeypair};
use transport::peer::{
    CLOCK_TOLERANCE, CertificateError, Channel, Claims, Conversation, Credentials, DeviceCertificate, Disclosure,
    FrameError, IdentityExchange, IdentityMessage, IdentityProof, MAX_VALIDITY, Message, PeerError, PeerId, Refusal,
    Role, Side,
};
use transport::wire::{Address, DeviceId, Timestamp};

use crate::world::{End, Link, Node, TODAY, nobody_removed, now, tell};

type IsRemoved = fn(&Address, &DeviceId) -> bool;
type Exchange = IdentityExchange<IsRemoved>;

fn nodes() -> [Node; 2] {
    [1, 2].map(Node::new)
}

fn initiator(credentials: Option<Credentials>) -> Exchange {
    let [one, two] = nodes();
    IdentityExchange::initiator([one.peer_id(), two.peer_id()], [5; 32], credentials, nobody_removed)
}

fn responder(credentials: Option<Credentials>, disclosure: Disclosure) -> Exchange {
    let [one, two] = nodes();
    let credentials = credentials.map(|credentials| (credentials, disclosure));
    IdentityExchange::responder([two.peer_id(), one.peer_id()], [6; 32], credentials, nobody_removed)
}

fn pair() -> (Exchange, Exchange) {
    let [one, two] = nodes().map(|node| Some(node.credentials()));
    (initiator(one), responder(two, Disclosure::Identified))
}

fn ok(end: End<Channel>) -> Channel {
    end.unwrap().unwrap()
}

fn error(end: End<Channel>) -> PeerError {
    end.unwrap().unwrap_err()
}

#[test]
fn both_sides_know_each_other_and_have_one_binding() {
    for piece in [1, 3, usize::MAX] {
        let (one, two) = pair();
        let (one, two) = Link { piece, ..Link::whole() }.run(one, two);
        let (one, two) = (ok(one), ok(two));
        let [node_one, node_two] = nodes();
        assert_eq!(one.caller(now().time), Some(&node_two.address()));
        assert_eq!(two.caller(now().time), Some(&node_one.address()));
        assert_eq!((one.binding(), *one.remote()), (two.binding(), node_two.peer_id()));
        assert_eq!(two.identity(now().time).unwrap().device_id(), &Node::device_id());
    }
}

#[test]
fn a_proven_identity_ends_with_its_certificate() {
    let [one, two] = nodes();
    let [channel, _] = one.meet(&two, 5);
    let end = two.claims().valid_until.saturating_add(CLOCK_TOLERANCE);
    assert!(channel.caller(end.saturating_sub(Duration::from_millis(1))).is_some());
    assert_eq!(channel.caller(end), None);
}

#[test]
fn strangers_stay_strangers_and_learn_identities_from_those_who_tell_everybody() {
    let [_, two] = nodes();
    for (disclosure, told) in [(Disclosure::Identified, None), (Disclosure::Everyone, Some(two.address()))] {
        let (one, other) = Link::whole().run(initiator(None), responder(Some(two.credentials()), disclosure));
        assert_eq!(ok(one).caller(now().time), told.as_ref());
        assert_eq!(ok(other).caller(now().time), None);
    }
}

#[test]
fn a_stream_that_breaks_anywhere_ends_in_an_error_on_each_side_that_was_not_done() {
    let (one, two) = pair();
    let mut whole = Link::whole();
    let _ = whole.run(one, two);
    for cut_at in 0..whole.delivered {
        let (one, two) = pair();
        let (one, two) = Link::cut_at(cut_at).run(one, two);
        assert_eq!(error(one), PeerError::Cut, "{cut_at}");
        if let Err(error) = two.unwrap() {
            assert_eq!(error, PeerError::Cut, "{cut_at}");
        }
    }
}

#[test]
fn a_peer_that_says_nothing_costs_a_limited_time() {
    let now = now();
    let (one, _) = pair();
    let mut one = Conversation::new(one, now.instant);
    one.tick(one.deadline() - Duration::from_nanos(1));
    assert!(one.end().is_none());
    assert_eq!(one.deadline(), now.instant + Exchange::TIME_LIMIT);
    one.tick(one.deadline());
    assert_eq!(error(one.end()), PeerError::TimedOut);
    assert_eq!((one.wants(), one.receive(&[0; 4], now)), (0, 0));
    assert!(one.end().is_none(), "an end is told once");
}

/// What a responder answers and concludes if an initiator sends this proof.
fn responder_given(proof: Option<IdentityProof>) -> (Option<IdentityMessage>, PeerError) {
    given(responder(Some(nodes()[1].credentials()), Disclosure::Identified), proof)
}

fn given(side: Exchange, proof: Option<IdentityProof>) -> (Option<IdentityMessage>, PeerError) {
    let hello = IdentityMessage::Hello { nonce: [5; 32] }.to_frame();
    let (said, end) = tell(side, &[hello, IdentityMessage::Proof(proof.map(Box::new)).to_frame()]);
    (said.get(1).map(|frame| IdentityMessage::decode(&frame[4..]).unwrap()), error(end))
}

/// A proof by an initiator on the channel of `pair`, with anything in the certificate.
fn proof(certificate: DeviceCertificate, device_key: &SignatureKeypair, role: Role) -> IdentityProof {
    let [one, two] = nodes();
    let signed = IdentityProof::signed_bytes(&certificate, role, one.meet(&two, 5)[0].binding());
    IdentityProof { signature: *device_key.sign(&signed, SignatureHash::Sha512).as_raw(), certificate }
}

fn proof_of(change: impl FnOnce(&mut Claims)) -> IdentityProof {
    let [one, _] = nodes();
    let mut claims = one.claims();
    change(&mut claims);
    proof(claims.sign(&one.identity_key).unwrap(), &one.device_key, Role::Initiator)
}

#[test]
fn certificates_are_refused_outside_of_their_time() {
    let today = Timestamp::from_unix_milliseconds(TODAY);
    let (tolerance, instant) = (CLOCK_TOLERANCE, Duration::from_millis(1));
    let ended = |until: Timestamp| {
        proof_of(|claims| {
            claims.valid_from = until.saturating_sub(Duration::from_secs(60));
            claims.valid_until = until;
        })
    };
    let begins = |from: Timestamp| proof_of(|claims| claims.valid_from = from);
    let is_accepted = |proof: IdentityProof| {
        let side = responder(None, Disclosure::Everyone);
        let hello = IdentityMessage::Hello { nonce: [5; 32] }.to_frame();
        tell(side, &[hello, IdentityMessage::Proof(Some(proof.into())).to_frame()]).1.unwrap().is_ok()
    };
    assert!(is_accepted(ended(today.saturating_sub(tolerance).saturating_add(instant))));
    assert!(is_accepted(begins(today.saturating_add(tolerance))));
    for proof in
        [ended(today.saturating_sub(tolerance)), begins(today.saturating_add(tolerance).saturating_add(instant))]
    {
        let expected = (Some(IdentityMessage::Refused(Refusal::CertificateTime)), CertificateError::Time.into());
        assert_eq!(responder_given(Some(proof)), expected);
    }
}

#[test]
fn certificates_of_others_are_refused() {
    let [one, two] = nodes();
    let other_peer = proof_of(|claims| claims.peer_id = Node::new(3).peer_id());
    let mut forged_claims = one.claims();
    forged_claims.identity_key = two.identity_key.public_key();
    assert_eq!(forged_claims.clone().sign(&two.identity_key), Err(CertificateError::Address));
    let repeated = proof(two.certificate(), &two.device_key, Role::Initiator);
    for (proof, error) in [
        (other_peer, CertificateError::OtherPeer.into()),
        (repeated, CertificateError::OtherPeer.into()),
        (proof(one.certificate(), &two.device_key, Role::Initiator), PeerError::Proof),
        (proof(one.certificate(), &one.identity_key, Role::Initiator), PeerError::Proof),
        (proof(one.certificate(), &one.device_key, Role::Responder), PeerError::Proof),
    ] {
        assert_eq!(responder_given(Some(proof)), (Some(IdentityMessage::Refused(Refusal::Certificate)), error));
    }
}

#[test]
fn no_altered_byte_of_a_certificate_or_proof_is_accepted() {
    let bytes = IdentityMessage::Proof(Some(proof_of(|_| ()).into())).encode();
    for place in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[place] ^= 1;
        let hello = IdentityMessage::Hello { nonce: [5; 32] }.to_frame();
        let frame = [&(altered.len() as u32).to_be_bytes()[..], &altered].concat();
        let (_, end) = tell(responder(None, Disclosure::Everyone), &[hello, frame]);
        assert!(end.unwrap().is_err(), "{place}");
    }
}

#[test]
fn a_proof_of_one_channel_is_none_of_another() {
    let recorded = proof_of(|_| ());
    let [one, two] = nodes().map(|node| node.peer_id());
    let third = Node::new(3);
    let replay = |ids: [PeerId; 2], nonce| {
        let side = IdentityExchange::responder(ids, nonce, None, nobody_removed as IsRemoved);
        given(side, Some(recorded.clone())).1
    };
    // the same peers, another nonce of the responder
    assert_eq!(replay([two, one], [9; 32]), PeerError::Proof);
    // sent on to a third node by the one that got it
    assert_eq!(replay([third.peer_id(), two], [6; 32]), CertificateError::OtherPeer.into());
    // to another responder
    assert_eq!(replay([third.peer_id(), one], [6; 32]), PeerError::Proof);
}

#[test]
fn removed_devices_are_refused() {
    let [one, two] = nodes().map(|node| node.peer_id());
    let removed: IsRemoved = |address, device| *address == Node::new(1).address() && *device == Node::device_id();
    let side = IdentityExchange::responder([two, one], [6; 32], None, removed);
    let expected = (Some(IdentityMessage::Refused(Refusal::Removed)), CertificateError::Removed.into());
    assert_eq!(given(side, Some(proof_of(|_| ()))), expected);
}

#[test]
fn an_initiator_refuses_as_a_responder_does() {
    let [one, two] = nodes();
    let hello = IdentityMessage::Hello { nonce: [6; 32] }.to_frame();
    let reflected = proof(one.certificate(), &one.device_key, Role::Initiator);
    let mirrored = proof(two.certificate(), &two.device_key, Role::Initiator);
    for (proof, expected) in [(reflected, CertificateError::OtherPeer.into()), (mirrored, PeerError::Proof)] {
        let frames = [hello.clone(), IdentityMessage::Proof(Some(proof.into())).to_frame()];
        let (said, end) = tell(initiator(Some(one.credentials())), &frames);
        assert_eq!(error(end), expected);
        assert_eq!(said[2], IdentityMessage::Refused(Refusal::Certificate).to_frame());
    }
    let refused = IdentityMessage::Refused(Refusal::Busy).to_frame();
    assert_eq!(error(tell(initiator(None), &[refused]).1), PeerError::Refused(Refusal::Busy));
}

#[test]
fn messages_out_of_turn_and_garbage_end_it() {
    let hello = IdentityMessage::Hello { nonce: [5; 32] }.to_frame();
    let early = IdentityMessage::Proof(None).to_frame();
    for frames in [vec![hello.clone(), hello.clone()], vec![early]] {
        assert_eq!(error(tell(responder(None, Disclosure::Everyone), &frames).1), PeerError::OutOfTurn);
    }
    for (frame, expected) in [
        (b"\0\0\0\x02hi".to_vec(), FrameError::Malformed),
        (b"GET / HTTP/1.1\r\n".to_vec(), FrameError::TooLong),
        (((IdentityMessage::MAX_LENGTH + 1) as u32).to_be_bytes().to_vec(), FrameError::TooLong),
    ] {
        assert_eq!(error(tell(responder(None, Disclosure::Everyone), &[frame]).1), expected.into());
    }
}

#[test]
fn certificates_are_issued_for_a_limited_time_only() {
    let [one, two] = nodes();
    let sign = |until: Timestamp| Claims { valid_until: until, ..one.claims() }.sign(&one.identity_key);
    let from = one.claims().valid_from;
    assert!(sign(from.saturating_add(MAX_VALIDITY)).is_ok());
    let longer = MAX_VALIDITY + Duration::from_millis(1);
    assert_eq!(sign(from.saturating_add(longer)), Err(CertificateError::Validity));
    assert_eq!(sign(from), Err(CertificateError::Validity));
    assert_eq!(one.claims().sign(&two.identity_key), Err(CertificateError::Signature));
}
