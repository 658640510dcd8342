//! `/enlace/file/1` and `/enlace/token/1` between two sides, against peers that lie, and under the rules of access.

use std::time::Duration;

use transport::access::MAX_FAILED_ATTEMPTS;
use transport::crypto::PasswordHash;
use transport::peer::{
    Channel, ContentAnswer, ContentExpectation, ContentHeader, Conversation, Fetch, FetchMetadata, Fetched,
    FileRequest, FileTarget, Format, FrameError, LoadToken, Message, MetadataAnswer, PIECE_LENGTH, PasswordProof,
    PeerError, Refusal, STALL_LIMIT, TokenAnswer, TokenRequest,
};
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;
use transport::wire::{Address, Timestamp};

use crate::shelf::{Serving, Shelf, file_id, token};
use crate::world::{Link, Node, now, tell};

/// The channels of a receiver, node 1, and the owner, node 2.
fn channels() -> [Channel; 2] {
    Node::new(1).meet(&Node::new(2), 5)
}

fn expecting(length: u64) -> ContentExpectation {
    ContentExpectation { file: Some(file_id()), length: Some(length), limit: length }
}

fn fetch(shelf: &Shelf, range: (u64, Option<u64>)) -> Fetch {
    Fetch::new(shelf.token_target(), range, None, expecting(shelf.bytes.len() as u64), now().instant)
}

/// Hands bytes to a receiver as a driver reads them, and puts what it gets in its place.
fn deliver(fetch: &mut Fetch, mut bytes: &[u8], piece: usize, received: &mut Vec<u8>) {
    while !bytes.is_empty() && fetch.wants() > 0 {
        let (read, rest) = bytes.split_at(bytes.len().min(piece).min(fetch.wants()));
        bytes = rest;
        match fetch.receive(read, now().instant) {
            Fetched::Nothing => {}
            Fetched::Header(header) => received.resize(header.start as usize, 0),
            Fetched::Bytes(position, bytes) => {
                assert_eq!(position, received.len() as u64);
                received.extend_from_slice(bytes);
            }
        }
    }
}

fn transfer(shelf: &Shelf, mut fetch: Fetch, piece: usize) -> (Vec<u8>, Option<Result<(), PeerError>>) {
    let [_, owner] = channels();
    let bytes = Serving::file(shelf, &owner, &fetch.outgoing().unwrap()).unwrap().all();
    let mut received = Vec::new();
    deliver(&mut fetch, &bytes, piece, &mut received);
    (received, fetch.end())
}

#[test]
fn contents_arrive_whole_and_in_ranges() {
    let length = 2 * PIECE_LENGTH as usize + 17;
    let whole = Shelf::new(Format::V1, length);
    let parts = Shelf::new(Format::V2, length);
    for piece in [1000, usize::MAX] {
        assert_eq!(transfer(&whole, fetch(&whole, (0, None)), piece), (whole.bytes.to_vec(), Some(Ok(()))));
        // a part of what can only be verified as a whole
        assert_eq!(transfer(&whole, fetch(&whole, (5, Some(9))), piece).0, *whole.bytes);
        for (start, end) in [(0, length), (5, 9), (length - 1, length), (7, 7), (length, length)] {
            let (received, end_of_it) = transfer(&parts, fetch(&parts, (start as u64, Some(end as u64))), piece);
            assert_eq!(end_of_it, Some(Ok(())));
            assert_eq!(received[start..], parts.bytes[start..end]);
        }
    }
    let refused = Some(Err(PeerError::Refused(Refusal::Range)));
    for range in [(0, Some(length as u64 + 1)), (length as u64 + 1, None), (2, Some(1))] {
        assert_eq!(transfer(&parts, fetch(&parts, range), 1000), (Vec::new(), refused));
    }
    assert_eq!(transfer(&Shelf::new(Format::V1, 0), fetch(&Shelf::new(Format::V1, 0), (0, None)), 1).1, Some(Ok(())));
}

#[test]
fn a_transfer_that_breaks_anywhere_goes_on_where_it_stopped() {
    let shelf = Shelf::new(Format::V2, 300);
    let [_, owner] = channels();
    let mut first = fetch(&shelf, (0, None));
    let bytes = Serving::file(&shelf, &owner, &first.outgoing().unwrap()).unwrap().all();
    for cut_at in 0..bytes.len() {
        let (mut one, mut received) = (fetch(&shelf, (0, None)), Vec::new());
        deliver(&mut one, &bytes[..cut_at], usize::MAX, &mut received);
        one.cut();
        assert_eq!(one.end(), Some(Err(PeerError::Cut)), "{cut_at}");
        let position = one.position().unwrap_or(0);
        assert_eq!(received, shelf.bytes[..position as usize]);
        let (rest, end) = transfer(&shelf, fetch(&shelf, (position, None)), 7);
        assert_eq!((end, &rest[position as usize..]), (Some(Ok(())), &shelf.bytes[position as usize..]));
    }
}

#[test]
fn nothing_is_read_before_the_other_side_took_what_came_before() {
    let shelf = Shelf::new(Format::V2, 10 * PIECE_LENGTH as usize);
    let [_, owner] = channels();
    let mut serving = Serving::file(&shelf, &owner, &fetch(&shelf, (0, None)).outgoing().unwrap()).unwrap();
    let read = || *shelf.read.lock().unwrap();
    assert_eq!(read(), 0);
    serving.answer.written(now().instant);
    for pieces in 1..=10 {
        serving.piece().unwrap();
        assert_eq!(read(), pieces * PIECE_LENGTH);
        serving.answer.written(now().instant);
    }
    assert_eq!(serving.answer.next(), None);
}

#[test]
fn a_slow_reader_is_left_and_a_silent_owner_too() {
    let shelf = Shelf::new(Format::V2, 3 * PIECE_LENGTH as usize);
    let ([_, owner], start) = (channels(), now().instant);
    let mut one = Fetch::new(shelf.token_target(), (0, None), None, expecting(3 * PIECE_LENGTH), start);
    let mut serving = Serving::file(&shelf, &owner, &one.outgoing().unwrap()).unwrap();
    serving.answer.written(start);
    let just_in_time = start + STALL_LIMIT - Duration::from_nanos(1);
    assert_eq!((serving.answer.tick(just_in_time), serving.answer.deadline()), (Ok(()), start + STALL_LIMIT));
    serving.answer.written(just_in_time);
    assert_eq!(serving.answer.tick(start + STALL_LIMIT), Ok(()));
    assert_eq!(serving.answer.tick(just_in_time + STALL_LIMIT), Err(PeerError::TimedOut));

    one.tick(one.deadline() - Duration::from_nanos(1));
    assert_eq!(one.end(), None);
    one.tick(one.deadline());
    assert_eq!((one.end(), one.wants()), (Some(Err(PeerError::TimedOut)), 0));
}

#[test]
fn only_whole_pieces_renew_the_time_of_an_owner() {
    let (length, start) = (2 * PIECE_LENGTH + 5, now().instant);
    let mut one = Fetch::new(FileTarget::File(file_id()), (0, None), None, expecting(length), start);
    let header = ContentHeader { file: file_id(), format: Format::V2, length, start: 0, end: length };
    let frame = ContentAnswer::Header(header).to_frame();
    assert!(matches!(one.receive(&frame[..4], start), Fetched::Nothing));
    assert!(matches!(one.receive(&frame[4..], start), Fetched::Header(_)));
    let piece = vec![0; PIECE_LENGTH as usize];
    let second = Duration::from_secs(1);
    for (at, bytes, deadline) in [
        (1, &piece[..1], start + STALL_LIMIT),
        (2, &piece[2..], start + STALL_LIMIT),
        (3, &piece[..1], start + 3 * second + STALL_LIMIT),
        (4, &piece[..1], start + 3 * second + STALL_LIMIT),
    ] {
        assert!(matches!(one.receive(bytes, start + at * second), Fetched::Bytes(..)));
        assert_eq!(one.deadline(), deadline, "{at}");
    }
    one.tick(one.deadline());
    assert_eq!(one.end(), Some(Err(PeerError::TimedOut)));
}

fn header(change: impl FnOnce(&mut ContentHeader)) -> Vec<u8> {
    let mut header = ContentHeader { file: file_id(), format: Format::V2, length: 10, start: 2, end: 8 };
    change(&mut header);
    ContentAnswer::Header(header).to_frame()
}

/// How a receiver that wants bytes 2 to 8 of 10 ends with these bytes of an owner.
fn given(bytes: &[u8]) -> (Vec<u8>, Option<Result<(), PeerError>>) {
    let mut one = Fetch::new(FileTarget::File(file_id()), (2, Some(8)), None, expecting(10), now().instant);
    let mut received = Vec::new();
    deliver(&mut one, bytes, 3, &mut received);
    (received, one.end())
}

#[test]
fn an_owner_that_lies_is_not_believed() {
    let contradiction = |bytes: &[u8]| matches!(given(bytes).1, Some(Err(PeerError::Contradiction(_))));
    assert!(contradiction(&header(|header| header.file = "FILabcDEF123ghiJKL46".parse().unwrap())));
    assert!(contradiction(&header(|header| header.length = 11)));
    assert!(contradiction(&header(|header| header.start = 1)));
    assert!(contradiction(&header(|header| header.end = 10)));
    assert!(contradiction(&header(|header| header.format = Format::V1)));
    let too_long = ContentExpectation { file: None, length: None, limit: 9 };
    let mut one = Fetch::new(FileTarget::File(file_id()), (2, Some(8)), None, too_long, now().instant);
    deliver(&mut one, &header(|_| ()), 3, &mut Vec::new());
    assert!(matches!(one.end(), Some(Err(PeerError::Contradiction(_)))));

    // more bytes than announced are not taken
    let (received, end) = given(&[&header(|_| ())[..], b"abcdefghij"].concat());
    assert_eq!((&received[2..], end), (&b"abcdef"[..], Some(Ok(()))));
    // fewer are not enough
    assert_eq!(given(&[&header(|_| ())[..], b"abcde"].concat()).1, None);

    let malformed = Some(Err(PeerError::Frame(FrameError::Malformed)));
    assert_eq!(given(&header(|header| header.end = 1)).1, malformed);
    assert_eq!(given(&header(|header| (header.length, header.end) = (7, 8))).1, malformed);
    assert_eq!(given(b"\0\0\0\x05hello").1, malformed);
    assert_eq!(given(b"HTTP/1.1 200 OK").1, Some(Err(PeerError::Frame(FrameError::TooLong))));
    let refused = ContentAnswer::Refused(Refusal::Busy).to_frame();
    assert_eq!(given(&refused).1, Some(Err(PeerError::Refused(Refusal::Busy))));
}

#[test]
fn requests_that_are_none_are_not_answered() {
    let (shelf, [_, owner]) = (Shelf::new(Format::V2, 10), channels());
    let request = fetch(&shelf, (0, None)).outgoing().unwrap();
    for cut_at in 0..request.len() {
        assert!(Serving::file(&shelf, &owner, &request[..cut_at]).is_none());
    }
    for bytes in [&b"\0\0\0\x80"[..], b"\0\0\0\x81", b"\0\0\0\x03abc", b"GET /", &[0xff; 40]] {
        assert!(Serving::file(&shelf, &owner, bytes).is_none());
        assert!(Serving::token(&shelf, &owner, bytes).is_none());
    }
}

fn load(shelf: &Shelf, [receiver, owner]: [Channel; 2], proof: Option<PasswordProof>) -> Result<Token, PeerError> {
    let request = TokenRequest { token: shelf.token.id.clone(), proof };
    let load = LoadToken::new(&receiver, request, 1000, now().time)?;
    let mut load = Conversation::new(load, now().instant);
    let bytes = Serving::token(shelf, &owner, &load.outgoing().unwrap()).unwrap().all();
    Link { piece: 5, ..Link::whole() }.feed(&bytes, &mut load, now());
    load.end().unwrap()
}

#[test]
fn tokens_come_from_who_made_them_only() {
    let mut shelf = Shelf::new(Format::V2, 10);
    assert_eq!(load(&shelf, channels(), None), Ok(shelf.token.clone()));
    let is_refused = |shelf: &Shelf| matches!(load(shelf, channels(), None), Err(PeerError::Contradiction(_)));
    // the owner must not pass on what others made, nor what nobody made; here it does
    shelf.token.created_by = None;
    assert!(is_refused(&shelf));
    shelf.token.created_by = Some(Node::new(3).address());
    assert!(is_refused(&shelf));

    let [channel, _] = channels();
    let request = TokenRequest { token: token(&Node::new(2)).id, proof: None };
    // nobody can say whose token it is
    let refused = PeerError::Refused(Refusal::IdentityRequired);
    assert_eq!(LoadToken::new(&strangers().0, request.clone(), 1, now().time).unwrap_err(), refused);

    let answer = |change: fn(&mut Token), max_content| {
        let mut token = token(&Node::new(2));
        change(&mut token);
        let load = LoadToken::new(&channel, request.clone(), max_content, now().time).unwrap();
        tell(load, &[TokenAnswer::Token(Box::new(token)).to_frame()]).1.unwrap()
    };
    assert!(answer(|_| (), 3).is_ok());
    assert_eq!(answer(|_| (), 2), Err(FrameError::TooLong.into()));
    assert_eq!(answer(|token| token.content = Some(vec![0; 600].into()), 3), Err(FrameError::TooLong.into()));
    assert!(answer(|token| token.id = "TOKabcDEF123ghiJKL46".parse().unwrap(), 3).is_err());
}

#[test]
fn metadata_are_those_of_the_file() {
    let (shelf, [receiver, owner]) = (Shelf::new(Format::V2, 10), channels());
    let ask = |target| FetchMetadata::new(&receiver, target, None, now().time).unwrap();
    for target in [shelf.token_target(), shelf.file_target()] {
        let mut one = Conversation::new(ask(target), now().instant);
        let bytes = Serving::file(&shelf, &owner, &one.outgoing().unwrap()).unwrap().all();
        Link { piece: 100, ..Link::whole() }.feed(&bytes, &mut one, now());
        assert_eq!(one.end().unwrap(), Ok(shelf.metadata.clone()));
    }
    let other = FileTarget::File("FILabcDEF123ghiJKL46".parse().unwrap());
    let answer = MetadataAnswer::Metadata(Box::new(shelf.metadata.clone())).to_frame();
    let end = tell(ask(other), &[answer]).1.unwrap();
    assert!(matches!(end, Err(PeerError::Contradiction(_))));
    // what the other side would refuse to read is not sent
    let mut shelf = shelf;
    shelf.metadata.owner_signature = vec![0; 2000].into();
    let request = FileRequest::Metadata { target: shelf.file_target(), proof: None }.to_frame();
    let answer = Serving::file(&shelf, &owner, &request).unwrap().all();
    assert_eq!(answer, MetadataAnswer::Refused(Refusal::Unavailable).to_frame());
}

#[test]
fn metadata_come_from_who_owns_and_has_made_the_file_only() {
    let (shelf, [receiver, _]) = (Shelf::new(Format::V2, 10), channels());
    let somebody_else = Node::new(3).address();
    let answered = |change: &dyn Fn(&mut FileMetadata), target| {
        let mut metadata = shelf.metadata.clone();
        change(&mut metadata);
        let ask = FetchMetadata::new(&receiver, target, None, now().time).unwrap();
        tell(ask, &[MetadataAnswer::Metadata(Box::new(metadata)).to_frame()]).1.unwrap()
    };
    let lies: [&dyn Fn(&mut FileMetadata); 2] =
        [&|metadata| metadata.owner = somebody_else.clone(), &|metadata| metadata.created_by = somebody_else.clone()];
    for target in [shelf.token_target(), shelf.file_target()] {
        assert!(answered(&|_| (), target.clone()).is_ok());
        for lie in lies {
            assert!(matches!(answered(lie, target.clone()), Err(PeerError::Contradiction(_))));
        }
    }
    let of_a_stranger = FetchMetadata::new(&strangers().0, shelf.token_target(), None, now().time);
    assert_eq!(of_a_stranger.unwrap_err(), PeerError::Refused(Refusal::IdentityRequired));
}

/// caller, allocated, for, password proven, failures, expired, answer, failures after, allocated after. The owner is 2.
type Row = (Option<u8>, bool, Option<u8>, bool, u32, bool, Option<Refusal>, u32, bool);

/// The decision table of `transport::access`, as peers see it.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    (Some(2), false, None,    true,  0,   false, None,                    0,   false),
    (Some(2), false, Some(1), false, 100, true,  None,                    100, false),
    (Some(1), true,  None,    false, 100, true,  None,                    100, true),
    (Some(3), true,  Some(1), false, 0,   false, None,                    0,   true),
    (None,    false, None,    false, 0,   false, Some(Refusal::NotFound), 1,   false),
    (Some(1), false, None,    true,  0,   true,  Some(Refusal::NotFound), 0,   false),
    (Some(1), false, None,    true,  100, false, Some(Refusal::Locked),   100, false),
    (Some(3), false, Some(1), true,  0,   false, Some(Refusal::NotFound), 0,   false),
    (None,    false, Some(1), true,  0,   false, Some(Refusal::NotFound), 0,   false),
    (Some(1), false, None,    false, 98,  false, Some(Refusal::NotFound), 99,  false),
    (Some(1), false, None,    false, 99,  false, Some(Refusal::Locked),   100, false),
    (None,    false, None,    true,  99,  false, None,                    99,  false),
    (Some(1), false, None,    true,  99,  false, None,                    99,  true),
    (Some(1), false, Some(1), true,  0,   false, None,                    0,   true),
];

/// The owner's channel to a node, or to a stranger.
fn owners_channel(caller: Option<u8>) -> Channel {
    match caller {
        Some(number) => Node::new(number).meet(&Node::new(2), 5)[1].clone(),
        None => strangers().1,
    }
}

fn strangers() -> (Channel, Channel) {
    let (one, two) = (Node::new(1), Node::new(2));
    let ids = [one.peer_id(), two.peer_id()];
    let nobody = crate::world::nobody_removed;
    let one = transport::peer::IdentityExchange::initiator(ids, [5; 32], None, nobody);
    let two = transport::peer::IdentityExchange::responder([ids[1], ids[0]], [6; 32], None, nobody);
    let (one, two) = Link::whole().run(one, two);
    (one.unwrap().unwrap(), two.unwrap().unwrap())
}

#[test]
fn the_owner_decides_as_a_backbone_does() {
    let address = |number: u8| -> Address { Node::new(number).address() };
    for row in TABLE {
        let (caller, allocated, for_identity, proven, failures, expired, refusal, failures_after, allocated_after) =
            *row;
        // by the token, for its content, for the metadata and the content of its file
        for way in 0..3 {
            let (mut shelf, channel) = (Shelf::new(Format::V2, 10), owners_channel(caller));
            let hash = PasswordHash::from_bytes([9; 32]);
            let proof = proven.then(|| PasswordProof::new(&hash, channel.binding(), &shelf.token.id));
            shelf.password = Some(hash);
            shelf.token.for_identity = for_identity.map(address);
            shelf.token.expires_at = if expired { now().time } else { Timestamp::NEVER };
            shelf.counted.get_mut().unwrap().failed_attempts = failures;
            if allocated {
                shelf.counted.get_mut().unwrap().readers.extend(caller.map(address));
            }
            let target = shelf.token_target();
            let serving = match way {
                0 => {
                    Serving::token(&shelf, &channel, &TokenRequest { token: shelf.token.id.clone(), proof }.to_frame())
                }
                1 => Serving::file(&shelf, &channel, &FileRequest::Metadata { target, proof }.to_frame()),
                _ => {
                    let request = FileRequest::Content { target, start: 0, end: None, proof };
                    Serving::file(&shelf, &channel, &request.to_frame())
                }
            };
            let answer = serving.unwrap().all();
            let refused = refusal.map(|refusal| TokenAnswer::Refused(refusal).to_frame());
            assert_eq!(refused.is_some(), refused.as_ref() == Some(&answer), "{way} {row:?}");
            let counted = shelf.counted.lock().unwrap();
            let is_allocated = caller.is_some_and(|caller| counted.readers.contains(&address(caller)));
            assert_eq!((counted.failed_attempts, is_allocated), (failures_after, allocated_after), "{way} {row:?}");
        }
    }
}

#[test]
fn a_password_proof_of_one_channel_or_token_is_none_of_another() {
    let (mut shelf, hash) = (Shelf::new(Format::V2, 10), PasswordHash::from_bytes([9; 32]));
    shelf.password = Some(hash.clone());
    let [channel, owner] = channels();
    let proof = |channel: &Channel, token: &str| PasswordProof::new(&hash, channel.binding(), &token.parse().unwrap());
    let id = shelf.token.id.as_str();
    let refused = Err(PeerError::Refused(Refusal::NotFound));
    let [again, owner_again] = Node::new(1).meet(&Node::new(2), 7);
    assert_eq!(load(&shelf, [again, owner_again], Some(proof(&channel, id))), refused);
    let [third, owner_of_third] = Node::new(3).meet(&Node::new(2), 5);
    assert_eq!(load(&shelf, [third, owner_of_third], Some(proof(&channel, id))), refused);
    assert_eq!(load(&shelf, channels(), Some(proof(&channel, "TOKabcDEF123ghiJKL46"))), refused);
    assert_eq!(shelf.counted.lock().unwrap().failed_attempts, 3);
    assert!(load(&shelf, [channel.clone(), owner], Some(proof(&channel, id))).is_ok());
}

#[test]
fn wrong_passwords_lock_a_token_for_good() {
    let (mut shelf, hash) = (Shelf::new(Format::V2, 10), PasswordHash::from_bytes([9; 32]));
    shelf.password = Some(hash.clone());
    let [channel, _] = channels();
    for _ in 0..MAX_FAILED_ATTEMPTS - 1 {
        assert_eq!(load(&shelf, channels(), None), Err(PeerError::Refused(Refusal::NotFound)));
    }
    for proof in [None, Some(PasswordProof::new(&hash, channel.binding(), &shelf.token.id))] {
        assert_eq!(load(&shelf, channels(), proof), Err(PeerError::Refused(Refusal::Locked)));
    }
}
