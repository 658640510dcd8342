//! What a sender may still do at a route, as the headers of its answers tell.

use http::{HeaderName, HeaderValue, StatusCode};

use crate::problem::Problem;
use crate::reply::Reply;

/// Requests in a window.
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// How many of them are left.
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// When all of them are there again, in seconds since 1970.
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What a sender may still do, after the request that it is told with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Requests in a window.
    pub(crate) limit: u32,
    /// How many of them are left.
    pub(crate) remaining: u32,
    /// When all of them are there again, in seconds since 1970.
    pub(crate) reset: u64,
    /// In how many seconds there is one, if this request was one too many.
    pub(crate) wait: Option<u32>,
}

impl Allowance {
    /// Refuses the request if it is one too many.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let Some(wait) = self.wait else { return Ok(()) };
        let message = format!("Too many requests at this URL from your address. Try again in {wait} s.");
        let problem = Problem::of_face(StatusCode::TOO_MANY_REQUESTS, "general_rate_limit_exceeded", message);
        Err(problem.for_some(wait))
    }

    /// An answer that tells it.
    pub(crate) fn told(&self, outcome: Result<Reply, Problem>) -> Result<Reply, Problem> {
        let headers = self.headers();
        match outcome {
            Ok(reply) => Ok(headers.into_iter().fold(reply, |reply, (name, value)| reply.with(name, value))),
            Err(problem) => Err(headers.into_iter().fold(problem, |problem, (name, value)| problem.with(name, value))),
        }
    }

    fn headers(&self) -> [(HeaderName, HeaderValue); 3] {
        [(LIMIT, self.limit.into()), (REMAINING, self.remaining.into()), (RESET, self.reset.into())]
    }
}
