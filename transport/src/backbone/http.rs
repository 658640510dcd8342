//! Sending requests and receiving bounded answers. The only place that touches the network.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName};
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
use super::http_client::{self, Redirects};
use super::retry::{self, Budget};
use super::{ClientConfig, ConfigError, Error, NetworkError, SecretText};
use crate::crypto::random;
use crate::wire::backbone::datawallet::SUPPORTED_VERSION_HEADER;
use crate::wire::id::ID_LENGTH;

const API_PREFIX: &str = "/api/v2";
/// Where enlace's backbones have what others do not.
const OWN_PREFIX: &str = "/api/enlace/v1";
const CORRELATION_HEADER: &str = "x-correlation-id";
const TRACE_HEADER: &str = "x-trace-id";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Minimum rate of a transfer in bytes per second; slower ones time out.
const SLOWEST_TRANSFER: u64 = 16 * 1024;
/// Characters of an identifier that messages have, as in the log of the backbone.
const SHORT_ID_LENGTH: usize = 7;
/// The only existing version of the datawallet.
const SUPPORTED_DATAWALLET_VERSION: &str = "1";

/// A request with an optional JSON body, which can be sent more than once.
pub(super) struct Request {
    method: Method,
    prefix: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    header: Option<(HeaderName, String)>,
    body: Option<Bytes>,
    datawallet: bool,
    bounds: AnswerBounds,
}

impl Request {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        let (path, bounds) = (path.into(), AnswerBounds::RECORD);
        let (prefix, query) = (API_PREFIX, Vec::new());
        Self { method, prefix, path, query, header: None, body: None, datawallet: false, bounds }
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
        let text = serde_json::to_vec(body).expect("request shapes have text keys only, so they always serialize");
        // wiped on drop, because bodies contain passwords and keys of devices
        self.body = Some(Bytes::from_owner(Zeroizing::new(text)));
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Makes it a request that only enlace's backbones know.
    pub(super) fn own(mut self) -> Self {
        self.prefix = OWN_PREFIX;
        self
    }

    /// Adds a header.
    pub(super) fn with_header(mut self, name: HeaderName, value: String) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Allows a larger answer than one record of a known shape.
    pub(super) fn answered_within(mut self, bounds: AnswerBounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Adds the header with the supported datawallet version, which all synchronization calls need.
    pub(super) fn datawallet(mut self) -> Self {
        self.datawallet = true;
        self
    }

    /// Method and path, for messages, with identifiers cut short. Without the query, which may contain a password hash.
    pub(super) fn label(&self) -> String {
        format!("{} {}{}", self.method, self.prefix, self.short_path())
    }

    /// The path with identifiers cut short: whoever has the id of a claim in full may go on with it.
    fn short_path(&self) -> String {
        let short = |segment: &str| match segment.char_indices().nth(SHORT_ID_LENGTH) {
            Some((end, _)) if segment.len() == ID_LENGTH => format!("{}…", &segment[..end]),
            _ => segment.to_owned(),
        };
        self.path.split('/').map(short).collect::<Vec<_>>().join("/")
    }
}

/// A connection pool to one backbone, with the settings and the retry budget.
pub(super) struct Http {
    client: reqwest::Client,
    base: BaseUrl,
    config: ClientConfig,
    budget: Budget,
}

impl Http {
    pub(super) fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let base = BaseUrl::parse(&config.base_url, config.allow_plain_http)?;
        let redirects = Redirects::AtTheOrigin(config.max_redirects);
        let builder = http_client::towards(&base, config.host_address, redirects)?;
        let builder = builder.connect_timeout(CONNECT_TIMEOUT.min(config.timeout));
        let client = builder.build().map_err(|error| ConfigError::Tls(error.into()))?;
        Ok(Self { client, base, config, budget: Budget::new() })
    }

    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Where the backbone is.
    pub(super) fn base(&self) -> &BaseUrl {
        &self.base
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

    /// Time-out of a transfer of this many bytes.
    pub(super) fn transfer_timeout(&self, bytes: u64) -> Duration {
        self.config.timeout + Duration::from_secs(bytes / SLOWEST_TRANSFER)
    }

    /// Sends the request and decodes the `result` of the answer.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: &Request,
        bearer: Option<&SecretText>,
    ) -> Result<Page<T>, Error> {
        let (label, bounds) = (request.label(), request.bounds);
        let body = self.with_retries(request, bearer, |response| read_body(response, bounds.bytes, &label)).await?;
        envelope::read(&body.bytes, bounds, &label)
    }

    /// Sends the request and ignores the body of a successful answer.
    pub(super) async fn no_content(&self, request: &Request, bearer: Option<&SecretText>) -> Result<(), Error> {
        self.with_retries(request, bearer, |_| std::future::ready(Ok(()))).await
    }

    /// Sends the request and returns the answer once its headers have arrived.
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
        let span = debug_span!("backbone", method = %request.method, path = request.short_path(), correlation);
        let attempts = async {
            self.budget.earn();
            let mut retries = 0;
            loop {
                let outcome = self.attempt(request, bearer, &correlation, &read).await;
                match outcome {
                    Err(error) if retries < retry::MAX_RETRIES && may_retry(request, &error) && self.budget.spend() => {
                        debug!(%error, retries, "retrying");
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
            .builder(request.method.clone(), self.root_url(&format!("{}{}", request.prefix, request.path)))
            .query(&request.query)
            .header(ACCEPT, "application/json, text/plain, */*")
            .header(CORRELATION_HEADER, correlation);
        if let Some((name, value)) = &request.header {
            builder = builder.header(name, value);
        }
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

/// Fails with a time-out after `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    label: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(Error::timeout(label)))
}

/// Returns a successful answer, and converts any other into an error.
pub(super) async fn accepted(response: Response, label: &str) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let trace_id = response.headers().get(TRACE_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
    // If the body of an error answer is too long or truncated, the status is still reported.
    let body = read_body(response, MAX_ERROR_ANSWER, label).await.unwrap_or_default();
    Err(envelope::error(status.as_u16(), trace_id, &body.bytes, label))
}

/// The body of an answer, with its share of the memory budget for large answers.
#[derive(Default)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    /// Released when the body is dropped, after decoding.
    _share: Option<SemaphorePermit<'static>>,
}

/// Reads a body of at most `limit` bytes. A large one first waits for its share of the memory budget.
pub(super) async fn read_body(mut response: Response, limit: usize, label: &str) -> Result<Body, Error> {
    let too_large = || Error::AnswerTooLarge { request: label.to_owned(), limit: limit as u64, unit: "bytes" };
    let announced = match response.content_length().map(usize::try_from) {
        Some(Ok(length)) if length <= limit => Some(length),
        Some(_) => return Err(too_large()),
        None => None,
    };
    // Without a `Content-Length`, reserves the limit.
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

/// Whether to retry: only safe requests after transient failures. Not after a time-out, because the caller has already waited
/// for the full time.
fn may_retry(request: &Request, error: &Error) -> bool {
    let timed_out = matches!(error, Error::Network { kind: NetworkError::Timeout, .. });
    let overloaded = error.status() == Some(429);
    request.method == Method::GET && error.is_transient() && !timed_out && !overloaded
}

fn random_u32() -> u32 {
    u32::from_le_bytes(random::bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_no_identifier_in_full() {
        let path = "/Tokens/TOKabcdefghijklmno12/Claims/CLMabcdefghijklmno12/Commit";
        let request = Request::new(Method::POST, path).own().query("password", "hash");
        assert_eq!(request.label(), "POST /api/enlace/v1/Tokens/TOKabcd…/Claims/CLMabcd…/Commit");
        assert_eq!(Request::get("/Files/FILabcdefghijklmno12/metadata").label(), "GET /api/v2/Files/FILabcd…/metadata");
    }
}
