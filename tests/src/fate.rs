//! Requests over a line, and the faults that tests inject.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use tokio::sync::Semaphore;

/// A recorded request with the backbone's answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Headers of the request.
    pub headers: HeaderMap,
    /// Body of the request.
    pub body: Bytes,
    /// The backbone's answer; `None` if the request was not forwarded.
    pub answer: Option<Answer>,
}

/// An answer of the backbone.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The same answer with a different JSON body.
    #[must_use]
    pub fn with_json(mut self, body: &serde_json::Value) -> Self {
        self.body = body.to_string().into();
        self
    }
}

type Change = Arc<dyn Fn(Answer) -> Answer + Send + Sync>;

/// The fault that affects a request.
#[derive(Clone)]
pub enum Fate {
    /// The connection breaks before the request reaches the backbone.
    LostRequest,
    /// The backbone executes the request, then the connection breaks.
    LostAnswer,
    /// This many bytes of the answer's body arrive, then the connection breaks.
    BrokenAnswer(usize),
    /// The line answers in place of the backbone.
    Answered(StatusCode, String),
    /// The backbone's answer is modified.
    Changed(Change),
    /// The request is held until the gate opens.
    Held(Gate),
}

impl Fate {
    /// The backbone's answer is modified.
    pub fn changed(change: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Self {
        Self::Changed(Arc::new(change))
    }
}

/// Holds requests until it is opened.
#[derive(Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until a request is held at the gate.
    pub async fn arrival(&self) {
        self.arrived.acquire().await.expect("never closed").forget();
    }

    /// Lets all held and later requests pass.
    pub fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(crate) async fn pass(&self) {
        self.arrived.add_permits(1);
        drop(self.open.acquire().await);
    }
}
