//! Sending requests and receiving bounded answers. The only place that touches the network.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::SemaphorePermit;
use tracing::{Instrument as _, debug, debug_span};
use zeroize::Zeroizing;

use super::bounds::{self, AnswerBounds};
use super::config::BaseUrl;
use super::correlation::correlation_id;
use super::envelope::{self, MAX_ERROR_ANSWER, Page};
use super::retry::{self, Budget};
use super::{ClientConfig, ConfigError, Error, NetworkError, SecretText, auth, tls};
use crate::crypto::random;
use crate::wire::backbone::datawallet::SUPPORTED_VERSION_HEADER;

const API_PREFIX: &str = "/api/v2";
const CORRELATION_HEADER: &str = "x-correlation-id";
const TRACE_HEADER: &str = "x-trace-id";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Slowest transfer that is not given up, in bytes per second.
const SLOWEST_TRANSFER: u64 = 16 * 1024;
/// The only datawallet format there is.
const SUPPORTED_DATAWALLET_VERSION: &str = "1";

/// A request with a JSON body or none, which can be sent more than once.
pub(super) struct Request {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    datawallet: bool,
    bounds: AnswerBounds,
}

impl Request {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        let (path, bounds) = (path.into(), AnswerBounds::RECORD);
        Self { method, path, query: Vec::new(), body: None, datawallet: false, bounds }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new(Method::POST, path).body(body)
    }

    pub(super) fn put(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new(Method::PUT, path).body(body)
    }

    pub(super) fn body(mut self, body: &impl Serialize) -> Self {
        let text = serde_json::to_vec(body).expect("request shapes have text keys only, so they always serialise");
        // Bodies hold passwords and keys of devices.
        self.body = Some(Bytes::from_owner(Zeroizing::new(text)));
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Takes an answer that holds more than one record of a known shape.
    pub(super) fn answered_within(mut self, bounds: AnswerBounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Says which datawallet version we understand, as all synchronization calls must.
    pub(super) fn datawallet(mut self) -> Self {
        self.datawallet = true;
        self
    }

    /// Method and path, without the query: it may hold a password hash.
    pub(super) fn label(&self) -> String {
        format!("{} {API_PREFIX}{}", self.method, self.path)
    }
}

/// A connection pool to one backbone with everything a call needs.
pub(super) struct Http {
    client: reqwest::Client,
    base: BaseUrl,
    config: ClientConfig,
    budget: Budget,
}

impl Http {
    pub(super) fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let base = BaseUrl::parse(&config.base_url, config.allow_plain_http)?;
        let tls = match base.is_plain() {
            true => tls::trusting_nobody()?,
            false => tls::verified_by_platform()?,
        };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("enlace/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT.min(config.timeout))
            .redirect(redirects_at_the_origin(config.max_redirects))
            .referer(false)
            .tcp_nodelay(true);
        // The port of these addresses counts for nothing: the URL's is taken.
        let fixed: Vec<_> = base.fixed_addresses(config.host_address).into_iter().map(|ip| (ip, 0).into()).collect();
        if !fixed.is_empty() {
            builder = builder.resolve_to_addrs(base.host(), &fixed);
        }
        if base.is_loopback() || config.host_address.is_some() {
            // A proxy in the environment is not meant for a backbone in the same process.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| ConfigError::Tls(error.to_string()))?;
        Ok(Self { client, base, config, budget: Budget::new() })
    }

    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The URL of a path below the API prefix.
    pub(super) fn api_url(&self, path: &str) -> String {
        self.base.join(&format!("{API_PREFIX}{path}"))
    }

    /// The URL of a path outside of the API prefix.
    pub(super) fn root_url(&self, path: &str) -> String {
        self.base.join(path)
    }

    pub(super) fn builder(&self, method: Method, url: String) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// The longest a transfer of that many bytes may take.
    pub(super) fn transfer_timeout(&self, bytes: u64) -> Duration {
        self.config.timeout + Duration::from_secs(bytes / SLOWEST_TRANSFER)
    }

    /// Sends and reads the `result` of the answer.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: &Request,
        bearer: Option<&SecretText>,
    ) -> Result<Page<T>, Error> {
        let (label, bounds) = (request.label(), request.bounds);
        let body = self.with_retries(request, bearer, |response| read_body(response, bounds.bytes, &label)).await?;
        envelope::read(&body.bytes, bounds, &label)
    }

    /// Sends and ignores what a successful answer holds.
    pub(super) async fn no_content(&self, request: &Request, bearer: Option<&SecretText>) -> Result<(), Error> {
        self.with_retries(request, bearer, |_| std::future::ready(Ok(()))).await
    }

    /// Sends and hands out the answer as soon as its head is there.
    pub(super) async fn streamed(&self, request: &Request, bearer: Option<&SecretText>) -> Result<Response, Error> {
        self.with_retries(request, bearer, |response| std::future::ready(Ok(response))).await
    }

    async fn with_retries<T, F: Future<Output = Result<T, Error>>>(
        &self,
        request: &Request,
        bearer: Option<&SecretText>,
        read: impl Fn(Response) -> F,
    ) -> Result<T, Error> {
        let correlation = correlation_id();
        let span = debug_span!("backbone", method = %request.method, path = request.path, correlation);
        let attempts = async {
            self.budget.earn();
            let mut retries = 0;
            loop {
                let outcome = self.attempt(request, bearer, &correlation, &read).await;
                match outcome {
                    Err(error) if retries < retry::MAX_RETRIES && may_retry(request, &error) && self.budget.spend() => {
                        debug!(code = error.code(), retries, "trying again");
                        tokio::time::sleep(retry::delay(retries, random_u32())).await;
                        retries += 1;
                    }
                    outcome => return outcome,
                }
            }
        };
        attempts.instrument(span).await
    }

    async fn attempt<T, F: Future<Output = Result<T, Error>>>(
        &self,
        request: &Request,
        bearer: Option<&SecretText>,
        correlation: &str,
        read: &impl Fn(Response) -> F,
    ) -> Result<T, Error> {
        let mut builder = self
            .builder(request.method.clone(), self.api_url(&request.path))
            .query(&request.query)
            .header(ACCEPT, "application/json, text/plain, */*")
            .header(CORRELATION_HEADER, correlation);
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(token) = bearer {
            builder = builder.bearer_auth(token.expose());
        }
        if request.datawallet {
            builder = builder.header(SUPPORTED_VERSION_HEADER, SUPPORTED_DATAWALLET_VERSION);
        }
        let label = request.label();
        within(self.config.timeout, &label, async {
            let response = builder.send().await.map_err(|error| Error::network(error, &label))?;
            read(accepted(response, &label).await?).await
        })
        .await
    }
}

/// Gives up after `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    label: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(Error::timeout(label)))
}

/// The answer if its status is a success, otherwise the error it stands for.
pub(super) async fn accepted(response: Response, label: &str) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let trace_id = response.headers().get(TRACE_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
    // An error answer that is too long or breaks off still has a status to report.
    let body = read_body(response, MAX_ERROR_ANSWER, label).await.unwrap_or_default();
    Err(envelope::error(status.as_u16(), trace_id, &body.bytes, label))
}

/// The body of an answer, with its share of the memory for large ones.
#[derive(Default)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// Given back when the body is gone: after it was decoded.
    _share: Option<SemaphorePermit<'static>>,
}

/// Reads a body of at most `limit` bytes. A large one waits for its turn.
pub(super) async fn read_body(mut response: Response, limit: usize, label: &str) -> Result<Body, Error> {
    let too_large = || Error::AnswerTooLarge { request: label.to_owned(), limit: limit as u64, unit: "bytes" };
    let announced = match response.content_length().map(usize::try_from) {
        Some(Ok(length)) if length <= limit => Some(length),
        Some(_) => return Err(too_large()),
        None => None,
    };
    // Without a length it may become as large as it is allowed to be.
    let most = announced.unwrap_or(limit);
    let (mut body, mut share) = (BytesMut::new(), None);
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::network(error, label))? {
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        if share.is_none() && body.len() + chunk.len() > bounds::UNCOUNTED {
            share = Some(bounds::share(most).await);
            body.reserve(announced.unwrap_or(0).saturating_sub(body.len()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Body { bytes: body.freeze(), _share: share })
}

/// Only requests that change nothing, and only failures that time heals. A time-out is not tried again: the caller has
/// waited long enough.
fn may_retry(request: &Request, error: &Error) -> bool {
    let timed_out = matches!(error, Error::Network { kind: NetworkError::Timeout, .. });
    let overloaded = error.status() == Some(429);
    request.method == Method::GET && error.is_transient() && !timed_out && !overloaded
}

/// Follows redirects at the same origin only, so that a token or a password never goes to another program, and none of a
/// login: its form holds the password of the device and the secret of the client.
fn redirects_at_the_origin(limit: usize) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        let follows = attempt
            .previous()
            .first()
            .is_some_and(|asked| asked.origin() == attempt.url().origin() && !asked.path().ends_with(auth::PATH));
        match follows && attempt.previous().len() <= limit {
            true => attempt.follow(),
            false => attempt.error("redirects end here"),
        }
    })
}

fn random_u32() -> u32 {
    u32::from_le_bytes(random::bytes())
}
