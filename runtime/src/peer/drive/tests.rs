use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use transport::crypto::random;
use transport::peer::{
    AwaitRequest, Code, CodeOffer, CodeReceiver, CodeSharer, ContentExpectation, FileRequest, FileTarget, HintGate,
    InboxMessage, LoadToken, Message, OfferState, PIECE_LENGTH, ReceiveHint, SendHint, TokenRequest, serve_file,
    serve_token,
};

use super::ahead::{COUNTED, READ_AHEAD};
use super::alive::{Dead, SILENCE};
use super::*;
use crate::peer::testing::{Bytewise, Person, Shelf, time};

/// The window of a stream, small enough that every protocol fills it.
const WINDOW: usize = 64;

const CONTENT_LENGTH: usize = 700;

/// How long the check of a line takes that does not answer.
const CHECK: Duration = Duration::from_secs(3);

/// A line that answers as often as this says.
struct Answering(std::sync::atomic::AtomicU32);

impl Answering {
    fn times(count: u32) -> Self {
        Self(count.into())
    }

    fn always() -> Self {
        Self::times(u32::MAX)
    }
}

impl Line for Answering {
    async fn answers(&self) -> bool {
        use std::sync::atomic::Ordering::SeqCst;
        let answers = self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if !answers {
            tokio::time::sleep(CHECK).await;
        }
        answers
    }
}

/// Carries bytes between two streams until so many have passed in both directions together, then breaks both.
async fn cut_at(limit: usize, run: impl AsyncFnOnce(DuplexStream, DuplexStream)) -> usize {
    let ((left, mut left_end), (right, mut right_end)) = (duplex(WINDOW), duplex(WINDOW));
    let carry = async {
        let (mut to_right, mut to_left) = ([0; WINDOW], [0; WINDOW]);
        let (mut passed, mut is_open) = (0, [true; 2]);
        while passed < limit && is_open != [false; 2] {
            tokio::select! {
                read = left_end.read(&mut to_right), if is_open[0] => {
                    is_open[0] = pass(read, &to_right, &mut right_end, &mut passed, limit).await;
                }
                read = right_end.read(&mut to_left), if is_open[1] => {
                    is_open[1] = pass(read, &to_left, &mut left_end, &mut passed, limit).await;
                }
            }
        }
        drop((left_end, right_end));
        passed
    };
    tokio::join!(carry, run(left, right)).0
}

async fn pass(read: io::Result<usize>, bytes: &[u8], to: &mut DuplexStream, passed: &mut usize, limit: usize) -> bool {
    let length = read.unwrap_or(0).min(limit - *passed);
    *passed += length;
    if length == 0 || to.write_all(&bytes[..length]).await.is_err() {
        let _ = to.shutdown().await;
        return false;
    }
    true
}

/// Runs an exchange whole, then cut at every byte, and hands each outcome to `check` with whether it was whole.
async fn cut_everywhere<T>(run: impl AsyncFn(DuplexStream, DuplexStream) -> T, mut check: impl FnMut(T, bool)) {
    let mut outcome = None;
    let whole = cut_at(usize::MAX, async |left, right| outcome = Some(run(left, right).await)).await;
    check(outcome.unwrap(), true);
    assert!(whole > 8, "{whole} bytes have passed");
    for limit in 0..whole {
        let mut outcome = None;
        cut_at(limit, async |left, right| outcome = Some(run(left, right).await)).await;
        check(outcome.unwrap(), false);
    }
}

fn is_cut<T>(outcome: &Result<T, Ended>) -> bool {
    matches!(outcome, Err(Ended { error: PeerError::Cut, .. }))
}

#[tokio::test(start_paused = true)]
async fn identities_are_exchanged_or_the_exchange_is_cut_at_any_byte() {
    let (one, two, time) = (Person::new(1), Person::new(2), time());
    let run = async |left, right| {
        let now = time.now().instant;
        let ours = exchange(left, Conversation::new(one.initiator(&two), now), &time);
        let theirs = exchange(right, Conversation::new(two.responder(&one), now), &time);
        tokio::join!(ours, theirs)
    };
    cut_everywhere(run, |(ours, theirs), is_whole| {
        assert_eq!(ours.is_ok(), is_whole);
        assert!(is_whole || is_cut(&ours), "{ours:?}");
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            assert_eq!(ours.binding(), theirs.binding());
            assert_eq!(theirs.caller(time.now().time), Some(&one.address()));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_token_arrives_whole_or_not_at_all() {
    let (one, two, time) = (Person::new(1), Person::new(2), time());
    let ([mine, theirs], shelf) = (one.meet(&two).await, Shelf::of(&two, 0));
    let run = async |left, right| {
        let request = TokenRequest { token: shelf.token.id.clone(), proof: None };
        let load = LoadToken::new(&mine, request, 1000, time.now().time).unwrap();
        let loaded = exchange(left, Conversation::new(load, time.now().instant), &time);
        tokio::join!(loaded, serve_one_token(right, &shelf, &theirs, &time)).0
    };
    cut_everywhere(run, |loaded, is_whole| match is_whole {
        true => assert_eq!(loaded, Ok(shelf.token.clone())),
        false => assert!(is_cut(&loaded), "{loaded:?}"),
    })
    .await;
}

async fn serve_one_token(mut stream: impl Link, shelf: &Shelf, channel: &transport::peer::Channel, time: &Time) {
    let mut request = AwaitRequest::begin(time.now());
    let Ok::<TokenRequest, _>(request) = converse(&mut stream, &mut request, time).await else { return };
    let served = serve_token(shelf, channel, &request.into(), time.now()).await;
    let _ = answer::<Bytewise>(stream, served, None, time).await;
}

async fn serve_one_file(
    mut stream: impl Link,
    shelf: &Shelf,
    channel: &transport::peer::Channel,
    time: &Time,
) -> Result<(), PeerError> {
    let mut request = AwaitRequest::begin(time.now());
    let request: FileRequest = converse(&mut stream, &mut request, time).await.map_err(|ended| ended.error)?;
    let (served, content) = serve_file(shelf, channel, &request.into(), time.now()).await;
    answer(stream, served, content, time).await
}

fn fetch(shelf: &Shelf, start: u64, time: &Time) -> Fetch {
    let expectation = ContentExpectation { file: None, length: None, limit: u64::MAX };
    Fetch::new(shelf.token_target(), (start, None), None, expectation, time.now().instant)
}

async fn collect<L: Link + 'static>(stream: L, fetch: Fetch, time: &Time) -> (Vec<u8>, Result<(), PeerError>) {
    let mut bytes = Vec::new();
    let mut incoming = match Incoming::begin(stream, fetch, time.clone()).await {
        Ok(incoming) => ReadAhead::start(incoming, Answering::always()),
        Err(ended) => return (bytes, Err(ended.error)),
    };
    loop {
        match incoming.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return (bytes, Ok(())),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn content_arrives_in_order_up_to_the_byte_where_it_is_cut() {
    let (one, two, time) = (Person::new(1), Person::new(2), time());
    let ([_, theirs], shelf) = (one.meet(&two).await, Shelf::of(&two, CONTENT_LENGTH));
    let run = async |left, right| {
        tokio::join!(collect(left, fetch(&shelf, 5, &time), &time), serve_one_file(right, &shelf, &theirs, &time)).0
    };
    let mut most = 0;
    cut_everywhere(run, |(bytes, end), is_whole| {
        assert_eq!(bytes, shelf.bytes[5..5 + bytes.len()]);
        assert_eq!(end, if is_whole { Ok(()) } else { Err(PeerError::Cut) });
        assert_eq!(bytes.len() == CONTENT_LENGTH - 5, is_whole);
        most = most.max(if is_whole { 0 } else { bytes.len() });
    })
    .await;
    assert_eq!(most, CONTENT_LENGTH - 6, "everything but the last byte arrived once");
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_accepted_or_cut() {
    let (one, two, time) = (Person::new(1), Person::new(2), time());
    let [_, channel] = one.meet(&two).await;
    let run = async |left, right| {
        let mut gate = HintGate::new();
        let now = time.now().instant;
        let told = exchange(left, Conversation::new(SendHint::new(), now), &time);
        let heard = exchange(right, Conversation::new(ReceiveHint::new(&channel, &mut gate), now), &time);
        tokio::join!(told, heard)
    };
    cut_everywhere(run, |(told, heard), is_whole| {
        assert_eq!(told.is_ok(), is_whole);
        assert!(is_whole == heard.is_ok() || told.is_err(), "{told:?} {heard:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_arrives_whole_and_a_code_is_open_until_its_guess() {
    let (one, two, time) = (Person::new(1), Person::new(2), time());
    let reference = reference();
    let run = async |left, right| {
        let now = time.now().instant;
        let code = Code::generate(7).unwrap();
        let offer = CodeOffer::new(code.clone(), &reference, now, Duration::from_secs(60)).unwrap();
        let ids = [one.peer_id(), two.peer_id()];
        let asked = CodeReceiver::new(code, [ids[1], ids[0]], random::bytes());
        let shared = CodeSharer::new(offer.clone(), ids, (random::bytes(), random::bytes()));
        let (asked, shared) = tokio::join!(
            exchange(left, Conversation::new(asked, now), &time),
            exchange(right, Conversation::new(shared, now), &time)
        );
        (asked, shared, offer.state(now))
    };
    cut_everywhere(run, |(asked, shared, state), is_whole| {
        assert_eq!(asked.is_ok(), is_whole);
        assert!(matches!(state, OfferState::Open) == is_cut(&shared) || state == OfferState::Taken);
        if let (Ok(asked), Ok(shared)) = (asked, shared) {
            assert_eq!(asked.fingerprint, shared.fingerprint);
        }
    })
    .await;
}

fn reference() -> transport::wire::TokenReference {
    use transport::crypto::SecretKey;
    transport::wire::TokenReference {
        id: "TOKabcDEF123ghiJKL45".parse().unwrap(),
        backbone_base_url: None,
        key: SecretKey::from_bytes([7; 32]).into(),
        for_identity_truncated: None,
        password_protection: None,
        password: None,
        direct: None,
    }
}

/// How long a future takes, by the paused clock.
async fn duration<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let begin = tokio::time::Instant::now();
    let outcome = future.await;
    (outcome, begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn each_exchange_with_a_silent_peer_ends_at_its_time_limit() {
    let (one, two, time) = (Person::new(1), Person::new(2), time());
    let [mine, channel] = one.meet(&two).await;
    let mut gate = HintGate::new();
    let request = TokenRequest { token: Shelf::of(&two, 0).token.id, proof: None };
    let load = LoadToken::new(&mine, request, 1000, time.now().time).unwrap();
    let code = Code::generate(7).unwrap();
    let offer = CodeOffer::new(code.clone(), &reference(), time.now().instant, Duration::from_secs(60)).unwrap();
    let ids = [one.peer_id(), two.peer_id()];
    for (limit, elapsed) in [
        (15, silent(one.initiator(&two), &time).await),
        (15, silent(two.responder(&one), &time).await),
        (60, silent(load, &time).await),
        (15, silent(SendHint::new(), &time).await),
        (15, silent(ReceiveHint::new(&channel, &mut gate), &time).await),
        (30, silent(CodeReceiver::new(code, ids, random::bytes()), &time).await),
        (30, silent(CodeSharer::new(offer, ids, (random::bytes(), random::bytes())), &time).await),
    ] {
        assert_eq!(elapsed, Duration::from_secs(limit));
    }
    let (_open, stream) = duplex(WINDOW);
    let mut request = AwaitRequest::<FileRequest>::begin(time.now());
    let mut stream = stream;
    let (end, elapsed) = duration(converse(&mut stream, &mut request, &time)).await;
    assert_eq!((end.unwrap_err().error, elapsed.as_secs()), (PeerError::TimedOut, 15));
}

async fn silent<S: Side>(side: S, time: &Time) -> Duration {
    let (_open, stream) = duplex(4096);
    let conversation = Conversation::new(side, time.now().instant);
    let (end, elapsed) = duration(exchange(stream, conversation, time)).await;
    assert_eq!(end.err(), Some(Ended { error: PeerError::TimedOut, was_heard: false }));
    elapsed
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_trickles_gets_no_more_time_and_one_that_is_in_time_is_heard() {
    let time = time();
    let frame = InboxMessage::Accepted.to_frame();
    for (step, is_heard) in [(Duration::from_secs(15) / 7, true), (Duration::from_secs(15) / 6, false)] {
        let (mut peer, stream) = duplex(WINDOW);
        let trickle = async {
            for byte in &frame {
                tokio::time::sleep(step).await;
                let _ = peer.write_all(&[*byte]).await;
            }
        };
        let conversation = Conversation::new(SendHint::new(), time.now().instant);
        let (told, ()) = tokio::join!(exchange(stream, conversation, &time), trickle);
        assert_eq!(frame.len(), 6);
        match is_heard {
            true => assert_eq!(told, Ok(())),
            false => assert_eq!(told, Err(Ended { error: PeerError::TimedOut, was_heard: true })),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_owner_leaves_who_reads_no_piece_in_30_seconds_and_keeps_who_just_does() {
    let (one, two, time) = (Person::new(1), Person::new(2), time());
    let length = 3 * PIECE_LENGTH as usize;
    let ([_, theirs], shelf) = (one.meet(&two).await, Shelf::of(&two, length));
    for (pause, is_served) in [(STALL_LIMIT - Duration::from_millis(1), true), (STALL_LIMIT, false)] {
        let (mut peer, stream) = duplex(WINDOW);
        peer.write_all(&content_request(&shelf)).await.unwrap();
        let read_slowly = async {
            let (mut header, mut piece) = ([0; 64], vec![0; PIECE_LENGTH as usize]);
            let head = peer.read(&mut header).await.unwrap();
            assert!(head > 0);
            loop {
                tokio::time::sleep(pause).await;
                if peer.read_exact(&mut piece).await.is_err() {
                    break;
                }
            }
        };
        let (served, ()) = tokio::join!(serve_one_file(stream, &shelf, &theirs, &time), read_slowly);
        assert_eq!(served, if is_served { Ok(()) } else { Err(PeerError::TimedOut) }, "{pause:?}");
    }
}

fn content_request(shelf: &Shelf) -> Vec<u8> {
    whole(shelf).to_frame()
}

#[tokio::test(start_paused = true)]
async fn the_receiver_leaves_an_owner_that_sends_no_header_in_60_or_no_byte_in_30_seconds() {
    let (two, time) = (Person::new(2), time());
    let shelf = Shelf::of(&two, 10);
    let (_open, stream) = duplex(4096);
    let ((bytes, end), elapsed) = duration(collect(stream, fetch(&shelf, 0, &time), &time)).await;
    assert_eq!((bytes.len(), end, elapsed.as_secs()), (0, Err(PeerError::TimedOut), 60));

    let (mut peer, stream) = duplex(4096);
    peer.write_all(&content_header(&shelf)).await.unwrap();
    peer.write_all(&[1, 2]).await.unwrap();
    let ((bytes, end), elapsed) = duration(collect(stream, fetch(&shelf, 0, &time), &time)).await;
    assert_eq!((bytes.len(), end, elapsed.as_secs()), (2, Err(PeerError::TimedOut), 30));
}

fn content_header(shelf: &Shelf) -> Vec<u8> {
    let (file, length) = (shelf.metadata.id.clone(), shelf.bytes.len() as u64);
    ContentHeader { file, format: shelf.format, length, start: 0, end: length }.to_frame()
}

#[tokio::test(start_paused = true)]
async fn no_byte_behind_the_announced_ones_is_read() {
    let (two, time) = (Person::new(2), time());
    let shelf = Shelf::of(&two, 10);
    let (mut peer, stream) = duplex(4096);
    peer.write_all(&[&content_header(&shelf)[..], &[9; 30]].concat()).await.unwrap();
    assert_eq!(collect(stream, fetch(&shelf, 0, &time), &time).await, (vec![9; 10], Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_given_up_comes_with_the_next_call() {
    let (two, time) = (Person::new(2), time());
    let shelf = Shelf::of(&two, 10);
    let (mut peer, stream) = duplex(4096);
    peer.write_all(&content_header(&shelf)).await.unwrap();
    let mut incoming = Incoming::begin(stream, fetch(&shelf, 0, &time), time.clone()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), incoming.chunk()).await.is_err());
    peer.write_all(&[3; 10]).await.unwrap();
    assert_eq!(incoming.chunk().await.unwrap().unwrap(), vec![3; 10]);
    assert_eq!(incoming.chunk().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn so_many_bytes_are_read_ahead_and_who_is_slow_to_use_them_loses_none() {
    const LENGTH: usize = READ_AHEAD + (1 << 20);
    const WINDOW: usize = 64 * 1024;
    let (two, time) = (Person::new(2), time());
    let shelf = Shelf::of(&two, LENGTH);
    let (mut peer, stream) = duplex(WINDOW);
    peer.write_all(&content_header(&shelf)).await.unwrap();
    let incoming = Incoming::begin(stream, fetch(&shelf, 0, &time), time.clone()).await.unwrap();
    let mut ahead = ReadAhead::start(incoming, Answering::times(0));

    let mut sent = 0;
    while let Ok(length) = tokio::time::timeout(Duration::from_secs(1), peer.write(&shelf.bytes[sent..])).await {
        sent += length.unwrap();
    }
    let most = READ_AHEAD + WINDOW;
    assert!((most - PIECE_LENGTH as usize..=most).contains(&sent), "{sent} bytes were taken");

    // Much longer than an owner may take for a piece.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let rest = async {
        peer.write_all(&shelf.bytes[sent..]).await.unwrap();
        peer.shutdown().await.unwrap();
    };
    let mut bytes = Vec::new();
    let all = async {
        while let Some(chunk) = ahead.chunk().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
    };
    tokio::join!(rest, all);
    assert!(bytes == shelf.bytes, "other bytes than those that were sent");
    assert_eq!(ahead.chunk().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn of_bytes_that_arrive_one_by_one_fewer_are_read_ahead() {
    let (two, time) = (Person::new(2), time());
    let shelf = Shelf::of(&two, READ_AHEAD);
    let (mut peer, stream) = duplex(1);
    let answer = async {
        peer.read_to_end(&mut Vec::new()).await.unwrap();
        peer.write_all(&content_header(&shelf)).await.unwrap();
    };
    let (incoming, ()) = tokio::join!(Incoming::begin(stream, fetch(&shelf, 0, &time), time.clone()), answer);
    let mut ahead = ReadAhead::start(incoming.unwrap(), Answering::times(0));
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_secs(1), peer.write_all(&shelf.bytes[sent..=sent])).await.is_ok() {
        sent += 1;
    }
    // One more is in the stream.
    let most = READ_AHEAD / COUNTED + 1;
    assert!((most - PIECE_LENGTH as usize / COUNTED..=most).contains(&sent), "{sent} bytes were taken");
    for place in 0..sent {
        assert_eq!(ahead.chunk().await.unwrap().unwrap(), shelf.bytes[place..=place]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_content_that_is_dropped_leaves_the_stream_and_one_that_broke_says_so_again() {
    let (two, time) = (Person::new(2), time());
    let shelf = Shelf::of(&two, 10);
    let begin = async || {
        let (mut peer, stream) = duplex(4096);
        peer.write_all(&content_header(&shelf)).await.unwrap();
        let incoming = Incoming::begin(stream, fetch(&shelf, 0, &time), time.clone()).await.unwrap();
        (peer, ReadAhead::start(incoming, Answering::always()))
    };
    let (mut peer, ahead) = begin().await;
    drop(ahead);
    let mut asked = Vec::new();
    peer.read_to_end(&mut asked).await.unwrap();
    tokio::task::yield_now().await;
    assert!(peer.write_all(&[0; 10]).await.is_err(), "nobody reads any more");

    let (peer, mut ahead) = begin().await;
    drop(peer);
    for _ in 0..2 {
        assert_eq!(ahead.chunk().await, Err(PeerError::Cut));
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_dead_ends_a_content_within_seconds_and_a_slow_owner_keeps_its_time() {
    let (two, time) = (Person::new(2), time());
    let shelf = Shelf::of(&two, 10);
    for (answers, seconds, expected) in [
        (0, (SILENCE + CHECK).as_secs(), PeerError::Cut),
        (3, (4 * SILENCE + CHECK).as_secs(), PeerError::Cut),
        (u32::MAX, STALL_LIMIT.as_secs(), PeerError::TimedOut),
    ] {
        let (mut peer, stream) = duplex(4096);
        peer.write_all(&[&content_header(&shelf)[..], &[7; 4]].concat()).await.unwrap();
        let incoming = Incoming::begin(stream, fetch(&shelf, 0, &time), time.clone()).await.unwrap();
        let mut ahead = ReadAhead::start(incoming, Answering::times(answers));
        assert_eq!(ahead.chunk().await.unwrap().unwrap(), vec![7; 4], "what has arrived is handed out");
        let (end, elapsed) = duration(ahead.chunk()).await;
        assert_eq!((end, elapsed.as_secs()), (Err(expected), seconds), "{answers}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_line_is_checked_is_taken() {
    let late = async |after| {
        tokio::time::sleep(after).await;
        7
    };
    let moment = Duration::from_millis(1);
    assert_eq!(while_alive(&Answering::times(0), late(SILENCE + CHECK - moment)).await, Ok(7));
    assert_eq!(while_alive(&Answering::times(0), late(SILENCE + CHECK + moment)).await, Err(Dead));
    assert_eq!(while_alive(&Answering::times(1), late(2 * SILENCE + CHECK - moment)).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_contradicts_the_request_ends_it() {
    let (two, time) = (Person::new(2), time());
    let shelf = Shelf::of(&two, 10);
    let other = ContentHeader { file: shelf.metadata.id.clone(), format: shelf.format, length: 10, start: 1, end: 10 };
    for (said, expected) in [
        (other.to_frame(), PeerError::Contradiction("it is another range")),
        (vec![0, 0, 1, 0], PeerError::Frame(transport::peer::FrameError::TooLong)),
        (vec![0, 0, 0, 1, 0xff], PeerError::Frame(transport::peer::FrameError::Malformed)),
    ] {
        let (mut peer, stream) = duplex(4096);
        peer.write_all(&said).await.unwrap();
        assert_eq!(collect(stream, fetch(&shelf, 0, &time), &time).await.1, Err(expected));
    }
}

/// A content that notes which of its bytes were handed over.
struct Noting {
    read: std::ops::Range<u64>,
    sent: Arc<std::sync::Mutex<Vec<std::ops::Range<u64>>>>,
}

impl Content for Noting {
    async fn read(&mut self, range: std::ops::Range<u64>) -> Result<Bytes, Refusal> {
        let length = range.end - range.start;
        self.read = range;
        Ok(vec![0; usize::try_from(length).unwrap()].into())
    }

    fn was_sent(&mut self, length: u64) {
        self.sent.lock().unwrap().push(self.read.start..self.read.start + length);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_within_a_piece_has_taken_a_part_of_it() {
    const HALF: usize = PIECE_LENGTH as usize / 2;
    let (one, two, time) = (Person::new(1), Person::new(2), time());
    let length = 2 * PIECE_LENGTH as usize;
    let ([_, theirs], shelf) = (one.meet(&two).await, Shelf::of(&two, length));
    let sent = Arc::<std::sync::Mutex<Vec<_>>>::default();
    // Stops reading within a piece; one drops the stream then, the other one leaves it open until its time is over.
    for (is_dropped, expected) in [(true, PeerError::Cut), (false, PeerError::TimedOut)] {
        sent.lock().unwrap().clear();
        let (mut peer, stream) = duplex(WINDOW);
        let (served, _) = serve_file(&shelf, &theirs, &whole(&shelf).into(), time.now()).await;
        let content = Noting { read: 0..0, sent: sent.clone() };
        let header = content_header(&shelf).len();
        let take = async {
            peer.read_exact(&mut vec![0; header + HALF]).await.unwrap();
            (!is_dropped).then_some(peer)
        };
        let (end, _open) = tokio::join!(answer(stream, served, Some(content), &time), take);
        assert_eq!(end, Err(expected));
        let sent = sent.lock().unwrap();
        let [begun] = &sent[..] else { panic!("{sent:?}") };
        // What fills the window was taken, too.
        assert_eq!(begun.start, 0);
        assert!((HALF..=HALF + WINDOW).contains(&usize::try_from(begun.end).unwrap()), "{begun:?}");
    }
    // The other side goes on from there.
    sent.lock().unwrap().clear();
    let (peer, stream) = duplex(WINDOW);
    let request = FileRequest::Content { target: shelf.token_target(), start: HALF as u64, end: None, proof: None };
    let (served, _) = serve_file(&shelf, &theirs, &request.into(), time.now()).await;
    let content = Noting { read: 0..0, sent: sent.clone() };
    let (end, (bytes, _)) = tokio::join!(
        answer(stream, served, Some(content), &time),
        collect(peer, fetch(&shelf, HALF as u64, &time), &time)
    );
    assert_eq!((end, bytes.len()), (Ok(()), length - HALF));
    let sent = sent.lock().unwrap();
    assert_eq!(sent.first().map(|piece| piece.start), Some(HALF as u64));
    assert_eq!(sent.last().map(|piece| piece.end), Some(length as u64));
    assert!(sent.windows(2).all(|two| two[0].end == two[1].start), "{sent:?}");
}

fn whole(shelf: &Shelf) -> FileRequest {
    FileRequest::Content { target: shelf.token_target(), start: 0, end: None, proof: None }
}

/// A content that fails, or gives other lengths than it was asked for.
struct Faulty(Result<usize, Refusal>);

impl Content for Faulty {
    async fn read(&mut self, _: std::ops::Range<u64>) -> Result<Bytes, Refusal> {
        self.0.map(|length| vec![0; length].into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_content_that_cannot_be_read_resets_the_stream() {
    let (one, two, time) = (Person::new(1), Person::new(2), time());
    let ([_, theirs], shelf) = (one.meet(&two).await, Shelf::of(&two, 10));
    for faulty in [Err(Refusal::Unavailable), Ok(9), Ok(11)] {
        let (peer, stream) = duplex(4096);
        let request = FileRequest::Content {
            target: FileTarget::Token(shelf.token.id.clone()),
            start: 0,
            end: None,
            proof: None,
        };
        let (served, _) = serve_file(&shelf, &theirs, &request.into(), time.now()).await;
        let end = answer(stream, served, Some(Faulty(faulty)), &time).await;
        assert_eq!(end, Err(PeerError::Refused(Refusal::Unavailable)));
        assert_eq!(collect(peer, fetch(&shelf, 0, &time), &time).await, (vec![], Err(PeerError::Cut)));
    }
}
