//! Failures on request, for tests of clients: refuse, break off, delay, and lie. Only with the feature `testing`.
//!
//! A [`Faults`] handle is shared between a test and the [`Config`](crate::Config) of its backbone.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::watch;

use crate::error::BrokenOff;

/// The failures a backbone shall produce.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<InjectedFault>>>);

/// A fault and the requests that it hits.
struct InjectedFault {
    matching: Matching,
    fault: Fault,
}

/// Which requests a fault hits.
#[derive(Debug, Clone)]
pub struct Matching {
    method: Option<Method>,
    path: String,
    left: Option<usize>,
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestInfo {
    /// The method.
    pub method: Method,
    /// The path as it was sent.
    pub path: String,
}

/// Changes the body of an answer.
pub type Tamper = Arc<dyn Fn(&RequestInfo, Bytes) -> Bytes + Send + Sync>;

/// What goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// The request is answered with this status and takes no effect.
    RefuseBefore(StatusCode),
    /// The request takes effect, and is answered with this status.
    RefuseAfter(StatusCode),
    /// The connection breaks before the request takes effect.
    DropBefore,
    /// The connection breaks after the request took effect.
    DropAfter,
    /// The request waits at the gate before it takes effect.
    HoldBefore(Gate),
    /// The request takes effect; the answer waits at the gate.
    HoldAfter(Gate),
    /// The body of the answer is changed.
    Tamper(Tamper),
}

/// Holds requests until it is opened.
#[derive(Clone)]
pub struct Gate(watch::Sender<bool>);

impl Faults {
    /// No failures yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a failure. Of several that match, each takes effect.
    pub fn inject(&self, matching: Matching, fault: Fault) {
        self.injected().push(InjectedFault { matching, fault });
    }

    /// Adds a change of answers.
    pub fn tamper(&self, matching: Matching, change: impl Fn(&RequestInfo, Bytes) -> Bytes + Send + Sync + 'static) {
        self.inject(matching, Fault::Tamper(Arc::new(change)));
    }

    /// Forgets all failures.
    pub fn clear(&self) {
        self.injected().clear();
    }

    /// Answers a request, with the failures that hit it.
    pub(crate) async fn around<F>(
        &self,
        request: Request,
        handle: impl FnOnce(Request) -> F,
    ) -> Result<Response, BrokenOff>
    where
        F: Future<Output = Response>,
    {
        let info = RequestInfo { method: request.method().clone(), path: request.uri().path().to_owned() };
        let hits = self.hits(&info);
        for fault in &hits {
            match fault {
                Fault::RefuseBefore(status) => return Ok(status.into_response()),
                Fault::DropBefore => return Err(BrokenOff),
                Fault::HoldBefore(gate) => gate.pass().await,
                Fault::RefuseAfter(_) | Fault::DropAfter | Fault::HoldAfter(_) | Fault::Tamper(_) => {}
            }
        }
        let mut response = handle(request).await;
        for fault in &hits {
            match fault {
                Fault::RefuseAfter(status) => return Ok(status.into_response()),
                Fault::DropAfter => return Err(BrokenOff),
                Fault::HoldAfter(gate) => gate.pass().await,
                Fault::Tamper(tamper) => response = tampered(&info, response, tamper).await,
                Fault::RefuseBefore(_) | Fault::DropBefore | Fault::HoldBefore(_) => {}
            }
        }
        Ok(response)
    }

    /// The failures that hit a request, each counted as used.
    fn hits(&self, request: &RequestInfo) -> Vec<Fault> {
        let mut injected = self.injected();
        let mut hits = Vec::new();
        for each in injected.iter_mut().filter(|each| each.matching.fits(request)) {
            each.matching.left = each.matching.left.map(|left| left - 1);
            hits.push(each.fault.clone());
        }
        injected.retain(|each| each.matching.left != Some(0));
        hits
    }

    fn injected(&self) -> MutexGuard<'_, Vec<InjectedFault>> {
        self.0.lock().expect("no code panics while it holds the lock")
    }
}

async fn tampered(info: &RequestInfo, response: Response, tamper: &Tamper) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let body = tamper(info, body.to_bytes());
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faults({})", self.injected().len())
    }
}

impl Matching {
    /// All requests whose path contains `part`, in any case.
    #[must_use]
    pub fn path(part: &str) -> Self {
        Self { method: None, path: part.to_ascii_lowercase(), left: None }
    }

    /// All requests.
    #[must_use]
    pub fn all() -> Self {
        Self::path("")
    }

    /// Only those with this method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only the next `count` of them.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.left = Some(count);
        self
    }

    fn fits(&self, request: &RequestInfo) -> bool {
        self.left != Some(0)
            && self.method.as_ref().is_none_or(|method| *method == request.method)
            && request.path.to_ascii_lowercase().contains(&self.path)
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until `count` requests wait at this gate.
    pub async fn wait_for_arrivals(&self, count: usize) {
        // Receivers are requests that wait; their number has no signal of its own.
        while self.0.receiver_count() < count {
            tokio::task::yield_now().await;
        }
    }

    async fn pass(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, path: &str) -> RequestInfo {
        RequestInfo { method, path: path.to_owned() }
    }

    #[test]
    fn a_fault_hits_what_it_matches_as_often_as_it_says() {
        let faults = Faults::new();
        faults.inject(Matching::path("/Tokens").method(Method::POST).times(2), Fault::DropBefore);
        assert!(faults.hits(&request(Method::GET, "/api/v2/Tokens")).is_empty());
        assert!(faults.hits(&request(Method::POST, "/api/v2/Files")).is_empty());
        for hits in [1, 1, 0] {
            assert_eq!(faults.hits(&request(Method::POST, "/api/v2/tokens")).len(), hits);
        }
    }
}
