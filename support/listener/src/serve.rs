//! The accept loop, and one task per connection.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::BoxError;
use crate::admission::Places;
use crate::close::RequestBody;
use crate::descriptors::affordable;
use crate::head::ReadableHeads;
use crate::linger::{LingeringSocket, Unread};
use crate::pace::{PaceLimits, Paced};
use crate::registry::{NoPlace, Place, Registry, Working};
use crate::socket::Listener;
use crate::socket_timeouts::{Busy, BusyGuard, TimedSocket};
use crate::source::Source;

/// How long a newcomer may keep the others waiting.
const NEWCOMER_TIMEOUT: Duration = Duration::from_secs(3);
/// After an error such as too many open files, trying again at once is pointless.
const PAUSE_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(50);
/// The answer to a connection for which there is no place.
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// Least that the HTTP library takes for a buffer.
const MIN_BUFFER: usize = 8 * 1024;

/// What a server allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections there may be; fewer if the process may open fewer files. When all places are taken, a newcomer
    /// takes the one of a connection that waits for its next request, see [`crate::admission`].
    pub places: Places,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a client may take none of what is written to it.
    pub stall_timeout: Duration,
    /// Bytes of the head of a request; at least 8 KiB. A connection buffers as much of a body.
    pub max_head_bytes: usize,
    /// The time that bodies may take.
    pub pace: PaceLimits,
    /// How long requests may go on after the server was told to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            places: Places::of(512),
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            max_head_bytes: 64 * 1024,
            pace: PaceLimits::default(),
            grace: Duration::from_secs(10),
        }
    }
}

/// An extension of each request: who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// What the peer counts as.
    #[must_use]
    pub fn source(&self) -> Source {
        self.0.ip().into()
    }
}

/// Serves until `stop` turns true or its sender is dropped; then finishes what is under way, within the grace.
///
/// The service finds [`Peer`] and [`RequestHandle`](crate::RequestHandle) among the extensions of a request. An error of
/// the service breaks the connection off.
///
/// # Cancellation
/// Dropping the future closes all connections at once.
pub(crate) async fn serve<S, F, B, E>(listener: Listener, limits: Limits, service: S, mut stop: watch::Receiver<bool>)
where
    S: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body + Unpin + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
    E: Into<BoxError> + 'static,
{
    let registry = Registry::new(affordable(limits.places));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Whoever comes meanwhile waits in the backlog of the operating system.
                let place = tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => break,
                    place = place_for(&registry, peer.ip().into()) => place,
                };
                match place {
                    Some(place) => {
                        let conversation = Conversation { stream, peer: Peer(peer), place, limits };
                        connections.spawn(conversation.run(service.clone(), stop.clone()));
                    }
                    None => {
                        tracing::debug!(%peer, "no place for a connection");
                        refuse(stream);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                if is_out_of_resources(&error) {
                    // Whoever waits for nothing gives a descriptor back.
                    registry.evict_one();
                    tokio::time::sleep(PAUSE_AFTER_ACCEPT_ERROR).await;
                }
            }
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, finished).await.is_err() {
        tracing::warn!("requests were still running, they are cut off");
        connections.shutdown().await;
    }
}

/// A place, as soon as there is one; none if that takes too long.
async fn place_for(registry: &Registry, source: Source) -> Option<Place> {
    let deadline = Instant::now() + NEWCOMER_TIMEOUT;
    loop {
        match registry.admit(source) {
            Ok(place) => return Some(place),
            Err(NoPlace::For(wait)) if Instant::now() + wait < deadline => tokio::time::sleep(wait).await,
            Err(_) => return None,
        }
    }
}

/// Whether the process or the machine has too many open files, or too little memory. Other errors are those of one connection.
fn is_out_of_resources(error: &io::Error) -> bool {
    const OF_ONE: [io::ErrorKind; 4] = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::Interrupted,
    ];
    !OF_ONE.contains(&error.kind())
}

/// Says that there is no place, as far as the socket takes it without waiting: a client that has sent its request already
/// may see a reset instead.
fn refuse(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write_all(REFUSAL);
    }
}

struct Conversation {
    stream: TcpStream,
    peer: Peer,
    place: Place,
    limits: Limits,
}

impl Conversation {
    async fn run<S, F, B, E>(self, service: S, mut stop: watch::Receiver<bool>)
    where
        S: Fn(Request<RequestBody>) -> F,
        F: Future<Output = Result<Response<B>, E>>,
        B: Body + Unpin + 'static,
        B::Error: Into<BoxError>,
        E: Into<BoxError>,
    {
        let Self { stream, peer, place, limits } = self;
        // Small answers should not wait for more to send; a socket that refuses the option works all the same.
        let _ = stream.set_nodelay(true);
        let busy = Busy::default();
        let io = TimedSocket::new(stream, busy.clone(), limits.head_timeout, limits.stall_timeout);
        let max_head = limits.max_head_bytes.max(MIN_BUFFER);
        let unread = Unread::default();
        let (io, verdict) = ReadableHeads::new(LingeringSocket::new(io, unread.clone()), max_head);
        let requests = AtomicU64::new(0);
        let service = service_fn(|request: Request<Incoming>| {
            let (handle, working) = place.begin();
            let occupied = Occupied { _busy: busy.begin(), _working: working };
            let (mut head, body) = request.into_parts();
            head.extensions.insert(peer);
            head.extensions.insert(handle.clone());
            let malformed = verdict.on(requests.fetch_add(1, Ordering::Relaxed));
            if let Some(malformed) = malformed {
                head.extensions.insert(malformed);
            }
            let (body, end) = RequestBody::new(Paced::new(body, limits.pace, handle));
            let unread = unread.clone();
            let answer = service(Request::from_parts(head, body));
            async move {
                let mut answer = answer.await?;
                unread.set(end.announce_close(&mut answer));
                if malformed.is_some() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, E>(answer.map(|body| AnswerBody { body, _occupied: occupied }))
            }
        });
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.idle_timeout)
                .max_buf_size(max_head)
                .serve_connection(TokioIo::new(io), service)
        );
        // Errors are the peer's: it broke off, or spoke no HTTP.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = place.evicted() => return,
            _ = stop.wait_for(|stop| *stop) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// While this exists, the connection does not wait for a request.
struct Occupied {
    _busy: BusyGuard,
    _working: Working,
}

/// An answer: the connection is occupied until all of it is handed over.
struct AnswerBody<B> {
    body: B,
    _occupied: Occupied,
}

impl<B: Body + Unpin> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::pace::is_too_slow;
    use crate::{Malformed, RequestHandle, Server};
    use bytes::Bytes;
    use http::StatusCode;
    use http_body_util::{BodyExt, Full};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    /// The head of a request whose body is never finished.
    const POST: &[u8] = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nx";

    fn limits() -> Limits {
        Limits {
            places: Places { total: 4, per_source: 2, loopback: 3, reserve: 1 },
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(150),
            stall_timeout: Duration::from_secs(60),
            max_head_bytes: 16 * 1024,
            pace: PaceLimits::default(),
            grace: Duration::from_secs(5),
        }
    }

    /// Reads the body and says how much it was.
    async fn answer(request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
        let handle = request.extensions().get::<RequestHandle>().unwrap().clone();
        if request.headers().contains_key("authorization") {
            handle.authenticated();
        }
        if let Some(malformed) = request.extensions().get::<Malformed>() {
            let answer = Response::builder().status(malformed.status()).body(Full::from(malformed.to_string()));
            return Ok(answer.unwrap());
        }
        let (status, text) = match request.into_body().collect().await {
            Ok(body) => (StatusCode::OK, body.to_bytes().len().to_string()),
            Err(error) if is_too_slow(&error) => (StatusCode::REQUEST_TIMEOUT, error.to_string()),
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
        };
        let mut answer = Response::new(Full::from(text));
        *answer.status_mut() = status;
        Ok(answer)
    }

    async fn start() -> Server {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        Server::start(listener, limits(), answer)
    }

    async fn connect(server: &Server) -> TcpStream {
        TcpStream::connect(server.local_addr()).await.unwrap()
    }

    /// A connection on which one request was sent.
    async fn send(server: &Server, request: &[u8]) -> TcpStream {
        let mut stream = connect(server).await;
        stream.write_all(request).await.unwrap();
        stream
    }

    /// Reads one answer of at most a kilobyte; empty if the server closed the connection.
    async fn answer_on(stream: &mut TcpStream) -> String {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }

    #[tokio::test]
    async fn idle_connections_keep_nobody_out() {
        let server = start().await;
        let mut idle = Vec::new();
        for _ in 0..3 {
            let mut stream = send(&server, GET).await;
            assert!(answer_on(&mut stream).await.starts_with("HTTP/1.1 200"));
            idle.push(stream);
        }
        let mut newcomer = send(&server, GET).await;
        assert!(answer_on(&mut newcomer).await.starts_with("HTTP/1.1 200"));
        assert_eq!(answer_on(&mut idle[0]).await, "", "the one that was idle the longest gave way");
        idle[1].write_all(GET).await.unwrap();
        assert!(answer_on(&mut idle[1]).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_newcomer_without_a_place_is_told_so() {
        let server = start().await;
        let mut working = Vec::new();
        for _ in 0..3 {
            let mut stream = send(&server, b"POST / HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n").await;
            stream.write_all(b"content-length: 1000\r\nauthorization: x\r\n\r\n").await.unwrap();
            // The service reads the body, so it has seen the head.
            assert!(answer_on(&mut stream).await.starts_with("HTTP/1.1 100"));
            working.push(stream);
        }
        let mut newcomer = connect(&server).await;
        let answer = answer_on(&mut newcomer).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
        working.remove(0);
        let started = Instant::now();
        while !answer_on(&mut send(&server, GET).await).await.starts_with("HTTP/1.1 200") {
            assert!(started.elapsed() < Duration::from_secs(10), "the place is free again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_answered_408_and_closed() {
        let server = start().await;
        let started = Instant::now();
        let mut stream = send(&server, POST).await;
        let answer = answer_on(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("connection: close"), "{answer}");
        assert!(started.elapsed() >= PaceLimits::default().anonymous);
        assert_eq!(answer_on(&mut stream).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_not_finished_is_closed_and_an_idle_connection_is_not() {
        let server = start().await;
        let mut idle = connect(&server).await;
        let mut slow = send(&server, &GET[..20]).await;
        let started = Instant::now();
        assert_eq!(answer_on(&mut slow).await, "");
        assert!(started.elapsed() >= limits().head_timeout);
        idle.write_all(GET).await.unwrap();
        assert!(answer_on(&mut idle).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_idle_connections_at_once_and_requests_after_the_grace() {
        let server = start().await;
        let mut idle = send(&server, GET).await;
        answer_on(&mut idle).await;
        let mut working = send(&server, POST).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let started = Instant::now();
        let address = server.local_addr();
        server.stop();
        assert_eq!(answer_on(&mut idle).await, "");
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(answer_on(&mut working).await, "");
        server.shutdown().await;
        assert!(started.elapsed().abs_diff(limits().grace) < Duration::from_millis(10));
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let server = start().await;
        let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(limits().max_head_bytes));
        let mut stream = send(&server, large.as_bytes()).await;
        assert!(answer_on(&mut stream).await.starts_with("HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn the_service_answers_what_cannot_be_read_and_the_connection_ends() {
        let server = start().await;
        let mut stream = send(&server, &[GET, b"GET /a b HTTP/1.1\r\n\r\n", GET].concat()).await;
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        let (first, second) = answers.split_at(answers.rfind("HTTP/1.1").unwrap());
        assert!(first.starts_with("HTTP/1.1 200"), "{answers}");
        assert!(second.starts_with("HTTP/1.1 400") && second.contains("connection: close"), "{answers}");
        assert!(second.ends_with("write it as %20"), "{answers}");
    }
}
