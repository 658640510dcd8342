//! `/enlace/code/1` between two sides, and against those who guess, repeat, and stand between.

use std::time::Duration;

use transport::peer::{
    Code, CodeMessage, CodeOffer, CodeReceiver, CodeSharer, DEFAULT_CODE_LIFETIME, FrameError, MAX_CODE_LIFETIME,
    MAX_EXCHANGES, Message, Now, OfferState, PeerError, PeerId, ReceivedReference, Refusal, Side, TakenBy, Turn,
};

use transport::wire::reference::MAX_REFERENCE_LENGTH;
use transport::wire::{ReferenceError, ReferenceKey, TokenReference};

use crate::world::{End, Link, Node, now, tell};

const CODE: &str = "7-amber-violin";

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

pub(crate) fn reference() -> TokenReference {
    TokenReference::new("TOKabcDEF123ghiJKL45".parse().unwrap(), ReferenceKey::from_bytes([3; 32]))
}

fn offer() -> CodeOffer {
    CodeOffer::new(code(CODE), &reference(), now().instant, DEFAULT_CODE_LIFETIME).unwrap()
}

/// Sharer and receiver.
fn ids() -> [PeerId; 2] {
    [2, 1].map(|number| Node::new(number).peer_id())
}

fn sharer(offer: &CodeOffer) -> CodeSharer {
    CodeSharer::new(offer.clone(), ids(), ([1; 64], [2; 24]))
}

fn receiver(text: &str) -> CodeReceiver {
    let [sharer, receiver] = ids();
    CodeReceiver::new(code(text), [receiver, sharer], [4; 64])
}

fn attempt(offer: &CodeOffer, text: &str) -> (End<TakenBy>, End<ReceivedReference>) {
    Link::whole().run(sharer(offer), receiver(text))
}

#[test]
fn the_right_code_brings_the_reference_once() {
    for piece in [1, 7, usize::MAX] {
        let offer = offer();
        let (taken, received) = Link { piece, ..Link::whole() }.run(sharer(&offer), receiver("7 Amber Violin"));
        let (taken, received) = (taken.unwrap().unwrap(), received.unwrap().unwrap());
        assert_eq!(received.reference, reference());
        assert_eq!((taken.fingerprint, taken.peer_id), (received.fingerprint, ids()[1]));
        assert_eq!(offer.state(now().instant), OfferState::Taken);
        let refused = PeerError::Refused(Refusal::NotFound);
        assert_eq!(attempt(&offer, CODE), (Some(Err(refused)), Some(Err(refused))), "it is used up");
    }
}

#[test]
fn one_wrong_guess_burns_a_code() {
    let offer = offer();
    assert_eq!(attempt(&offer, "7-amber-walnut"), (Some(Err(PeerError::WrongCode)), Some(Err(PeerError::WrongCode))));
    assert_eq!(offer.state(now().instant), OfferState::Burned);
    let refused = PeerError::Refused(Refusal::NotFound);
    assert_eq!(attempt(&offer, CODE), (Some(Err(refused)), Some(Err(refused))));
}

#[test]
fn another_number_is_no_guess() {
    let offer = offer();
    let refused = PeerError::Refused(Refusal::NotFound);
    assert_eq!(attempt(&offer, "8-amber-violin").1, Some(Err(refused)));
    assert_eq!(offer.state(now().instant), OfferState::Open);
    assert!(attempt(&offer, CODE).1.unwrap().is_ok());
}

#[test]
fn a_code_ends_with_its_time() {
    let (start, instant) = (now(), Duration::from_nanos(1));
    let bounded = CodeOffer::new(code(CODE), &reference(), start.instant, Duration::MAX).unwrap();
    assert_eq!(bounded.state(start.instant + MAX_CODE_LIFETIME - instant), OfferState::Open);
    assert_eq!(bounded.state(start.instant + MAX_CODE_LIFETIME), OfferState::Expired);
    // also in the middle of an exchange
    let end = Now { instant: start.instant + MAX_CODE_LIFETIME, ..start };
    let (mut sharing, mut receiving) = (sharer(&bounded), receiver(CODE));
    let reply = message(sharing.receive(&receiving.open().unwrap()[4..], start));
    let confirm = message(receiving.receive(&reply[4..], start));
    let refused = error(sharing.receive(&confirm[4..], end));
    assert_eq!(refused, PeerError::Refused(Refusal::NotFound));
}

fn message<T: std::fmt::Debug>(turn: Turn<T>) -> Vec<u8> {
    turn.into_parts().0.unwrap()
}

fn error<T: std::fmt::Debug>(turn: Turn<T>) -> PeerError {
    turn.into_parts().1.unwrap().unwrap_err()
}

#[test]
fn ten_thousand_guesses_never_succeed_twice_and_no_second_one_is_looked_at() {
    let starts = ["7-acorn-violin", "7-amber-acorn", CODE].map(|text| receiver(text).open().unwrap());
    for (first, succeeds) in [("7-amber-walnut", false), (CODE, true)] {
        let offer = offer();
        assert_eq!(attempt(&offer, first).0.unwrap().is_ok(), succeeds);
        for guess in 1..10_000 {
            let end = tell(sharer(&offer), std::slice::from_ref(&starts[guess % starts.len()])).1;
            assert_eq!(end, Some(Err(PeerError::Refused(Refusal::NotFound))));
        }
    }

    // the same begun at the same time, before any of them guesses
    for right in [0, 1, MAX_EXCHANGES as usize - 1] {
        let offer = self::offer();
        let mut begun: Vec<_> = (0..MAX_EXCHANGES as usize)
            .map(|guess| {
                let mut side = sharer(&offer);
                let mut other = receiver(if guess == right { CODE } else { "7-amber-walnut" });
                let reply = message(side.receive(&other.open().unwrap()[4..], now()));
                let confirm = message(other.receive(&reply[4..], now()));
                (side, confirm)
            })
            .collect();
        let ends = begun.iter_mut().map(|(side, confirm)| side.receive(&confirm[4..], now()).into_parts().1.unwrap());
        assert_eq!(ends.filter(Result::is_ok).count(), usize::from(right == 0));
    }
}

#[test]
fn exchanges_that_are_given_up_are_counted() {
    let offer = offer();
    let start = receiver(CODE).open().unwrap();
    for _ in 0..MAX_EXCHANGES {
        assert_eq!(tell(sharer(&offer), std::slice::from_ref(&start)).1, None);
    }
    assert_eq!(offer.state(now().instant), OfferState::Open);
    assert_eq!(tell(sharer(&offer), &[start]).1, Some(Err(PeerError::Refused(Refusal::NotFound))));
    assert_eq!(offer.state(now().instant), OfferState::Burned);
}

#[test]
fn an_exchange_that_breaks_anywhere_never_gives_the_code_a_second_guess() {
    let mut whole = Link::whole();
    let _ = whole.run(sharer(&offer()), receiver(CODE));
    for cut_at in 0..whole.delivered {
        let offer = offer();
        let (taken, received) = Link::cut_at(cut_at).run(sharer(&offer), receiver(CODE));
        assert_eq!(received, Some(Err(PeerError::Cut)), "{cut_at}");
        let state = offer.state(now().instant);
        assert_eq!(state == OfferState::Taken, taken.unwrap().is_ok(), "{cut_at}");
        assert!(state != OfferState::Burned, "a connection that breaks is no guess");
    }
}

#[test]
fn whoever_stands_between_has_the_wrong_key_on_both_sides() {
    // passes on every message, but is another peer to each of them
    let [sharer_id, receiver_id] = ids();
    let between = Node::new(3).peer_id();
    let offer = offer();
    let sharing = CodeSharer::new(offer.clone(), [sharer_id, between], ([1; 64], [2; 24]));
    let receiving = CodeReceiver::new(code(CODE), [receiver_id, between], [4; 64]);
    let (taken, received) = Link::whole().run(sharing, receiving);
    assert_eq!((taken, received), (Some(Err(PeerError::WrongCode)), Some(Err(PeerError::WrongCode))));
}

#[test]
fn what_one_exchange_said_is_worth_nothing_in_the_next() {
    let recorded = {
        let mut sharing = sharer(&offer());
        let mut receiving = receiver(CODE);
        let start = receiving.open().unwrap();
        let reply = message(sharing.receive(&start[4..], now()));
        let confirm = message(receiving.receive(&reply[4..], now()));
        let reference = message(sharing.receive(&confirm[4..], now()));
        [start, reply, confirm, reference]
    };
    // to the sharer, which has other randomness by now
    let offer = offer();
    let sharing = CodeSharer::new(offer.clone(), ids(), ([9; 64], [2; 24]));
    assert_eq!(tell(sharing, &[recorded[0].clone(), recorded[2].clone()]).1, Some(Err(PeerError::WrongCode)));
    // to the receiver
    let [sharer_id, receiver_id] = ids();
    let receiving = CodeReceiver::new(code(CODE), [receiver_id, sharer_id], [9; 64]);
    let frames = [recorded[1].clone(), recorded[3].clone()];
    assert_eq!(tell(receiving, &frames).1, Some(Err(PeerError::WrongCode)));
    // what the receiver said itself
    let own = CodeMessage::Reply { element: recorded[0][4..][5..38].try_into().unwrap() }.to_frame();
    assert_eq!(tell(receiver(CODE), &[own]).1, Some(Err(FrameError::Malformed.into())));
}

#[test]
fn messages_out_of_turn_and_garbage_end_it_without_a_guess() {
    let offer = offer();
    let start = receiver(CODE).open().unwrap();
    let confirm = CodeMessage::Confirm { confirmation: [0; 32] }.to_frame();
    let reference = CodeMessage::Reference { sealed: vec![0; 50] }.to_frame();
    let out_of_turn = Some(Err(PeerError::OutOfTurn));
    assert_eq!(tell(sharer(&offer), std::slice::from_ref(&confirm)).1, out_of_turn);
    assert_eq!(tell(sharer(&offer), &[start.clone(), start.clone()]).1, out_of_turn);
    assert_eq!(tell(receiver(CODE), &[reference]).1, Some(Err(PeerError::OutOfTurn)));
    let mut no_point = [0x42; 33];
    no_point[1..].copy_from_slice(&[2; 32]);
    let no_point = CodeMessage::Start { nameplate: 7, element: no_point }.to_frame();
    assert_eq!(tell(sharer(&offer), &[no_point]).1, Some(Err(FrameError::Malformed.into())));
    assert_eq!(tell(sharer(&offer), &[b"\0\0\0\x41".to_vec()]).1, Some(Err(FrameError::TooLong.into())));
    assert_eq!(offer.state(now().instant), OfferState::Open);
    let busy = CodeMessage::Refused(Refusal::Busy).to_frame();
    assert_eq!(tell(receiver(CODE), &[busy]).1, Some(Err(PeerError::Refused(Refusal::Busy))));
}

#[test]
fn a_receiver_says_when_its_code_is_spent() {
    let (mut sharing, mut receiving) = (sharer(&offer()), receiver(CODE));
    let start = receiving.open().unwrap();
    assert!(!receiving.has_guessed());
    let reply = message(sharing.receive(&start[4..], now()));
    let _ = receiving.receive(&reply[4..], now());
    assert!(receiving.has_guessed());
}

#[test]
fn the_longest_reference_is_passed_on_and_a_longer_one_is_not_offered() {
    let at = |length: usize| reference().at(&format!("https://example.org/{}", "a".repeat(length))).unwrap();
    let offer = |length| CodeOffer::new(code(CODE), &at(length), now().instant, DEFAULT_CODE_LIFETIME);
    let longest = (0..MAX_REFERENCE_LENGTH).rev().find(|length| offer(*length).is_ok()).unwrap();
    assert!((MAX_REFERENCE_LENGTH - 2..=MAX_REFERENCE_LENGTH).contains(&at(longest).to_truncated().len()));
    assert_eq!(attempt(&offer(longest).unwrap(), CODE).1.unwrap().unwrap().reference, at(longest));
    assert_eq!(offer(longest + 1).unwrap_err(), ReferenceError::TooLong);
}

#[test]
fn nothing_secret_is_shown() {
    assert_eq!(format!("{:?}", offer()), "CodeOffer(Code(7-…), Open)");
}

/// The messages of an exchange with the randomness of this file, and its fingerprint.
pub(crate) fn recorded() -> (Vec<(&'static str, CodeMessage)>, String) {
    let (mut sharing, mut receiving) = (sharer(&offer()), receiver(CODE));
    let read = |frame: &[u8]| CodeMessage::decode(&frame[4..]).unwrap();
    let start = receiving.open().unwrap();
    let reply = message(sharing.receive(&start[4..], now()));
    let confirm = message(receiving.receive(&reply[4..], now()));
    let (reference, taken) = sharing.receive(&confirm[4..], now()).into_parts();
    let messages = vec![
        ("start", read(&start)),
        ("reply", read(&reply)),
        ("confirm", read(&confirm)),
        ("reference", read(&reference.unwrap())),
        ("refused", CodeMessage::Refused(Refusal::WrongCode)),
    ];
    (messages, taken.unwrap().unwrap().fingerprint.to_string())
}
