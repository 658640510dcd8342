//! A scripted HTTP server for tests: a function decides its answers, and it records all requests.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Stops when dropped.
pub struct FakeServer {
    url: String,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    task: JoinHandle<()>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query, still percent-encoded.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum FakeAnswer {
    /// Status and body.
    Body(u16, Vec<u8>),
    /// Status (302, 307, …) and the place to go.
    Redirect(u16, String),
    /// Announces this many bytes, sends fewer and closes the connection.
    Truncated(u64, Vec<u8>),
    /// Closes the connection without an answer.
    Close,
    /// Never answers.
    Hang,
}

impl FakeAnswer {
    /// `{"result": …}`.
    #[must_use]
    pub fn result(value: &serde_json::Value) -> Self {
        Self::Body(200, serde_json::json!({ "result": value }).to_string().into_bytes())
    }

    /// `{"error": …}`.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let error = serde_json::json!({ "error": { "id": "ERR", "code": code, "message": message, "docs": "" } });
        Self::Body(status, error.to_string().into_bytes())
    }

    /// An access token.
    #[must_use]
    pub fn access_token(text: &str, seconds: u64) -> Self {
        let token = serde_json::json!({ "access_token": text, "token_type": "Bearer", "expires_in": seconds });
        Self::Body(200, token.to_string().into_bytes())
    }
}

impl ReceivedRequest {
    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` if it is not.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl FakeServer {
    /// Starts on a free port of the loopback interface. `answer` gets each request in turn.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(answer: impl Fn(&ReceivedRequest) -> FakeAnswer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, requests.clone(), Arc::new(answer)));
        Self { url, requests, task }
    }

    /// `http://127.0.0.1:<port>`
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Method, path and query of all requests so far, without the API prefix.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        let requests = self.requests();
        requests.iter().map(|request| format!("{} {}", request.method, request.target.replace("/api/v2", ""))).collect()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Script = Arc<dyn Fn(&ReceivedRequest) -> FakeAnswer + Send + Sync>;

async fn serve(listener: TcpListener, requests: Arc<Mutex<Vec<ReceivedRequest>>>, script: Script) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, requests.clone(), script.clone()));
    }
}

async fn converse(stream: TcpStream, requests: Arc<Mutex<Vec<ReceivedRequest>>>, script: Script) {
    // Head and body are separate writes: Nagle's algorithm and delayed acknowledgements would cost 40 ms each.
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Some(request) = receive(&mut stream).await {
        requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let (head, body, stay) = match script(&request) {
            FakeAnswer::Body(204, _) => ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), Vec::new(), true),
            FakeAnswer::Body(status, body) => {
                (format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n\r\n", body.len()), body, true)
            }
            FakeAnswer::Redirect(status, to) => {
                let head = format!("HTTP/1.1 {status} Status\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
                (head, Vec::new(), true)
            }
            FakeAnswer::Truncated(length, body) => {
                (format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"), body, false)
            }
            FakeAnswer::Close => return,
            FakeAnswer::Hang => std::future::pending().await,
        };
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&body).await.is_err() || !stay {
            return;
        }
    }
}

async fn receive(stream: &mut BufReader<TcpStream>) -> Option<ReceivedRequest> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(ReceivedRequest { method, target, headers, body })
}
