//! What goes over a line, and what can happen to it.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use tokio::sync::Semaphore;

/// A request that went over the line, with the answer that came back from the far end.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// `GET` and the like.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Headers of the request.
    pub headers: HeaderMap,
    /// Body of the request.
    pub body: Bytes,
    /// What the far end answered; nothing if it was not asked.
    pub answer: Option<Answer>,
}

/// What the far end says.
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

    /// The same answer with another JSON body.
    #[must_use]
    pub fn with_json(mut self, body: &serde_json::Value) -> Self {
        self.body = body.to_string().into();
        self
    }
}

type Change = Arc<dyn Fn(Answer) -> Answer + Send + Sync>;

/// What happens to a request.
#[derive(Clone)]
pub enum Fate {
    /// The connection breaks before the far end hears of it.
    LostRequest,
    /// The far end does it, then the connection breaks.
    LostAnswer,
    /// So many bytes of the body arrive, then the connection breaks.
    BrokenAnswer(usize),
    /// Something else answers.
    Answered(StatusCode, String),
    /// The answer is changed on the way.
    Changed(Change),
    /// It is held back until the gate opens.
    Held(Gate),
}

impl Fate {
    /// The answer is changed on the way.
    pub fn changed(change: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Self {
        Self::Changed(Arc::new(change))
    }
}

/// Holds requests back until it is opened.
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

    /// Waits until a request stands before the gate.
    pub async fn arrival(&self) {
        self.arrived.acquire().await.expect("never closed").forget();
    }

    /// Lets everything pass from now on.
    pub fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(crate) async fn pass(&self) {
        self.arrived.add_permits(1);
        drop(self.open.acquire().await);
    }
}
