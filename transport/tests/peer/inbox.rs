//! `/enlace/inbox/1` between two sides, and against who hints too often.

use std::time::Duration;

use transport::peer::{
    Channel, HINT_INTERVAL, HintGate, InboxMessage, MAX_HEARD, Message, PeerError, ReceiveHint, Refusal, SYNC_INTERVAL,
    SendHint,
};
use transport::wire::Address;

use crate::world::{Link, Node, now, tell};

fn hint(channel: &Channel, gate: &mut HintGate, mut link: Link) -> [Option<Result<(), PeerError>>; 2] {
    let (sent, received) = link.run(SendHint::new(), ReceiveHint::new(channel, gate));
    [sent, received]
}

#[test]
fn a_hint_leads_to_one_synchronization_and_the_next_one_waits() {
    let ([_, channel], mut gate) = (Node::new(1).meet(&Node::new(2), 5), HintGate::new());
    let busy = Some(Err(PeerError::Refused(Refusal::Busy)));
    assert_eq!(hint(&channel, &mut gate, Link::whole()), [Some(Ok(())); 2]);
    assert_eq!(hint(&channel, &mut gate, Link::whole()), [busy; 2]);
}

#[test]
fn strangers_are_not_heard() {
    let channel = Node::new(1).meet(&Node::new(2), 5)[1].clone();
    let mut late = now();
    late.time = transport::wire::Timestamp::NEVER;
    let mut gate = HintGate::new();
    let mut side = transport::peer::Conversation::new(ReceiveHint::new(&channel, &mut gate), late.instant);
    Link::whole().feed(&InboxMessage::Hint.to_frame(), &mut side, late);
    assert_eq!(side.end(), Some(Err(PeerError::Refused(Refusal::IdentityRequired))));
    assert_eq!(hint(&channel, &mut gate, Link::whole()), [Some(Ok(())); 2], "it did not count");
}

#[test]
fn a_hint_that_breaks_anywhere_is_an_error_for_who_sends_it() {
    let [_, channel] = Node::new(1).meet(&Node::new(2), 5);
    for cut_at in 0..2 * InboxMessage::Hint.to_frame().len() {
        let [sent, _] = hint(&channel, &mut HintGate::new(), Link::cut_at(cut_at));
        assert_eq!(sent, Some(Err(PeerError::Cut)), "{cut_at}");
    }
}

#[test]
fn only_hints_and_their_answers_have_a_place() {
    let [_, channel] = Node::new(1).meet(&Node::new(2), 5);
    let error = Err(PeerError::OutOfTurn);
    let answer = InboxMessage::Accepted.to_frame();
    assert_eq!(tell(ReceiveHint::new(&channel, &mut HintGate::new()), &[answer]).1, Some(error));
    assert_eq!(tell(SendHint::new(), &[InboxMessage::Hint.to_frame()]).1, Some(error));
}

fn address(number: usize) -> Address {
    format!("did:e:localhost:dids:{number:022x}").parse().unwrap()
}

#[test]
fn hints_are_heard_at_their_intervals() {
    let (mut gate, start, instant) = (HintGate::new(), now().instant, Duration::from_nanos(1));
    assert_eq!(gate.hear(&address(1), start), Ok(()));
    assert_eq!(gate.hear(&address(2), start + SYNC_INTERVAL - instant), Err(Refusal::Busy));
    assert_eq!(gate.hear(&address(2), start + SYNC_INTERVAL), Ok(()));
    assert_eq!(gate.hear(&address(1), start + HINT_INTERVAL - instant), Err(Refusal::Busy));
    assert_eq!(gate.hear(&address(1), start + HINT_INTERVAL), Ok(()));
    // a clock that goes back lets nobody through
    assert_eq!(gate.hear(&address(3), start), Err(Refusal::Busy));
}

#[test]
fn a_flood_of_identities_costs_one_synchronization_an_interval() {
    let (mut gate, start) = (HintGate::new(), now().instant);
    let flood = Duration::from_secs(60);
    let hints = 60 * MAX_HEARD as u32;
    let heard = (0..hints).filter(|hint| gate.hear(&address(*hint as usize), start + flood * *hint / hints).is_ok());
    assert_eq!(heard.count() as u64, flood.as_secs());
}
