//! The line between nodes and a backbone: a proxy that can be cut, can drop, delay and modify answers, and records all
//! requests.
//!
//! A line keeps its port while its backbone restarts, so references stay valid.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use tokio::task::{JoinHandle, JoinSet};

use crate::{Answer, Exchange, Fate};

/// Maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// A line. Clones share its state.
#[derive(Clone)]
pub struct Line {
    address: SocketAddr,
    wiring: Arc<Wiring>,
    /// Accepts connections while the line is up.
    accepting: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
    /// Bound but not listening: reserves the port while the line is cut.
    _reservation: Arc<TcpSocket>,
}

#[derive(Default)]
struct Wiring {
    far_end: Mutex<Option<SocketAddr>>,
    mischief: Mutex<VecDeque<Mischief>>,
    recording: Mutex<Vec<Exchange>>,
}

/// A fault and the requests that it affects.
type Matcher = Box<dyn Fn(&Method, &str) -> bool + Send>;
struct Mischief {
    matches: Matcher,
    fate: Fate,
    /// Number of further requests that it affects.
    times: usize,
}

impl Line {
    /// A line on a free port, without a destination yet.
    pub async fn new() -> Self {
        let (reservation, address) = reserve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let line =
            Self { address, wiring: Arc::default(), accepting: Arc::default(), _reservation: Arc::new(reservation) };
        line.heal().await;
        line
    }

    /// The backbone's base URL for nodes.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// The address that nodes connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects the line to a backbone.
    pub fn lead_to(&self, far_end: SocketAddr) {
        *lock(&self.wiring.far_end) = Some(far_end);
    }

    /// Address of the backbone.
    #[must_use]
    pub fn far_end(&self) -> Option<SocketAddr> {
        *lock(&self.wiring.far_end)
    }

    /// Closes all connections and refuses new ones.
    pub async fn cut(&self) {
        if let Some(task) = self.accepting.lock().await.take() {
            task.abort();
            // The listener is closed once the task has ended.
            let _ = task.await;
        }
    }

    /// Undoes [`Line::cut`].
    pub async fn heal(&self) {
        let mut accepting = self.accepting.lock().await;
        if accepting.is_none() {
            let (socket, _) = reserve(self.address);
            let listener = socket.listen(BACKLOG).expect("the port is reserved");
            *accepting = Some(tokio::spawn(accept(listener, self.wiring.clone())));
        }
    }

    /// Injects a fault into the next `times` matching requests. `path` is compared without case and query; `*` matches anything
    /// up to the next slash.
    pub fn next(&self, times: usize, method: Method, path: &str, fate: Fate) {
        let pattern = path.to_owned();
        let matches: Matcher = Box::new(move |m, path| *m == method && path_matches(&pattern, path));
        lock(&self.wiring.mischief).push_back(Mischief { matches, fate, times });
    }

    /// Injects a fault into all matching requests from now on.
    pub fn always(&self, method: Method, path: &str, fate: Fate) {
        self.next(usize::MAX, method, path, fate);
    }

    /// Removes all faults.
    pub fn behave(&self) {
        lock(&self.wiring.mischief).clear();
    }

    /// All recorded requests.
    #[must_use]
    pub fn recording(&self) -> Vec<Exchange> {
        lock(&self.wiring.recording).clone()
    }

    /// Number of recorded requests with this method and path.
    #[must_use]
    pub fn count(&self, method: &Method, path: &str) -> usize {
        self.recording().iter().filter(|seen| seen.method == *method && path_matches(path, &seen.target)).count()
    }

    /// Number of recorded requests for files or tokens. Unlike other requests, background synchronization never makes them, so
    /// tests can assert that there are none.
    #[must_use]
    pub fn content_requests(&self) -> usize {
        let about_contents =
            |target: &str| ["/api/v2/files", "/api/v2/tokens"].iter().any(|path| target.starts_with(path));
        // The end of a use is told in the background, by another method.
        let loads = |seen: &Exchange| {
            seen.method == Method::GET && seen.target.to_lowercase().starts_with("/api/enlace/v1/tokens/")
        };
        self.recording().iter().filter(|seen| about_contents(&seen.target.to_lowercase()) || loads(seen)).count()
    }

    /// Bytes that recorded requests appended to uploads, as far as their answers passed: what was answered just before its client was
    /// killed is not seen.
    #[must_use]
    pub fn appended(&self) -> u64 {
        let recording = self.recording();
        let appends = recording.iter().filter(|seen| {
            let is_answered = seen.answer.as_ref().is_some_and(|answer| answer.status.is_success());
            seen.method == Method::PATCH && path_matches("/api/enlace/v1/Uploads/*", &seen.target) && is_answered
        });
        appends.map(|seen| seen.body.len() as u64).sum()
    }

    /// Discards the recording.
    pub fn forget(&self) {
        lock(&self.wiring.recording).clear();
    }
}

/// A bound socket with `SO_REUSEADDR`, so that the listening socket can use the same port.
fn reserve(address: SocketAddr) -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket option");
    socket.bind(address).expect("a free port");
    let address = socket.local_addr().expect("a bound socket");
    (socket, address)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path_matches(pattern: &str, target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(path).all(|(p, s)| *p == "*" || p.eq_ignore_ascii_case(s))
}

/// Owns its connections: they are closed when it ends.
async fn accept(listener: TcpListener, wiring: Arc<Wiring>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let wiring = wiring.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| carry(request, wiring.clone()));
            // Errors are ignored, because many tests break connections on purpose.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Carried = Response<http_body_util::combinators::BoxBody<Bytes, Broken>>;

/// Breaks the connection when the server half receives it.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the line broke")
    }
}

impl std::error::Error for Broken {}

async fn carry(request: Request<Incoming>, wiring: Arc<Wiring>) -> Result<Carried, Broken> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let fate = wiring.fate(&head.method, &target);
    let mut exchange = Exchange { method: head.method, target, headers: head.headers, body, answer: None };
    let outcome = fulfil(&mut exchange, fate, &wiring).await;
    lock(&wiring.recording).push(exchange);
    outcome
}

async fn fulfil(exchange: &mut Exchange, fate: Option<Fate>, wiring: &Wiring) -> Result<Carried, Broken> {
    match fate {
        Some(Fate::LostRequest) => return Err(Broken),
        Some(Fate::Answered(status, body)) => return Ok(whole(status, HeaderMap::new(), body.into())),
        Some(Fate::Held(ref gate)) => gate.pass().await,
        _ => {}
    }
    let answer = wiring.ask(exchange).await?;
    exchange.answer = Some(answer.clone());
    match fate {
        Some(Fate::LostAnswer) => Err(Broken),
        Some(Fate::BrokenAnswer(bytes)) => Ok(broken_after(answer, bytes)),
        Some(Fate::Changed(change)) => {
            let changed = change(answer);
            Ok(whole(changed.status, changed.headers, changed.body))
        }
        _ => Ok(whole(answer.status, answer.headers, answer.body)),
    }
}

fn whole(status: StatusCode, headers: HeaderMap, body: Bytes) -> Carried {
    let mut response = Response::new(Full::new(body).map_err(|never: Infallible| match never {}).boxed());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    // The body may have another length by now; the server half sets the header.
    response.headers_mut().remove(hyper::header::CONTENT_LENGTH);
    response.headers_mut().remove(hyper::header::TRANSFER_ENCODING);
    response
}

fn broken_after(answer: Answer, bytes: usize) -> Carried {
    let length = answer.body.len();
    let start = Ok(Frame::data(answer.body.slice(..bytes.min(length))));
    let body = StreamBody::new(futures_util::stream::iter([start, Err(Broken)]));
    let mut response = Response::new(http_body_util::BodyExt::boxed(body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(hyper::header::CONTENT_LENGTH, length.into());
    response
}

impl Wiring {
    fn fate(&self, method: &Method, target: &str) -> Option<Fate> {
        let mut mischief = lock(&self.mischief);
        let index = mischief.iter().position(|m| (m.matches)(method, target))?;
        mischief[index].times -= 1;
        let fate = mischief[index].fate.clone();
        if mischief[index].times == 0 {
            mischief.remove(index);
        }
        Some(fate)
    }

    async fn ask(&self, exchange: &Exchange) -> Result<Answer, Broken> {
        let far_end = lock(&self.far_end).ok_or(Broken)?;
        let stream = TcpStream::connect(far_end).await.map_err(|_| Broken)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| Broken)?;
        let connection = tokio::spawn(connection);
        let mut request = Request::new(Full::new(exchange.body.clone()));
        *request.method_mut() = exchange.method.clone();
        *request.uri_mut() = exchange.target.parse().map_err(|_| Broken)?;
        *request.headers_mut() = exchange.headers.clone();
        request.headers_mut().remove(hyper::header::TRANSFER_ENCODING);
        request.headers_mut().insert(hyper::header::CONTENT_LENGTH, exchange.body.len().into());
        let response = sender.send_request(request).await.map_err(|_| Broken)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        connection.abort();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}
