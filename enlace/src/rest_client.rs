//! Calls to a node that runs in another process, over its REST interface.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::FaceCode;
use futures_util::StreamExt;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use runtime::dto::{
    AnyToken, AnyTokenId, ChangedAnyToken, Connectivity, File, FileFormat, IdentityInfo, ListedTokens, Peer,
    RotatedToken, Token, TokenServices, TokenTerms,
};
use runtime::facade::{
    CreateOwnToken, CreateTokenForFile, FindTokens, LoadFile, LoadPeerToken, Ownership, UpdateToken, UploadOwnFile,
};
use runtime::http_client::{self, Redirects, Trust};
use runtime::source::Source;
use runtime::{Path, PathBytes, Secret, Timestamp, TokenId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::code::{Code, Kind};
use crate::failure::Failure;
use crate::progress::ProgressOutput;
use crate::rest_lines::Lines;
use crate::wording::with_sources;

/// The interface whose objects are the facades' own, and that takes files in every format.
const PREFIX: &str = "api/enlace/v1";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence of the node.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of a file that are read at a time.
const PIECE: usize = 64 * 1024;

/// Another process's node.
pub(crate) struct RestClient {
    http: reqwest::Client,
    url: String,
    key: Secret,
}

#[derive(Deserialize)]
struct Envelope<T> {
    result: T,
}

/// A file with its format, which is not part of the facades' JSON.
#[derive(Deserialize)]
struct ShownFile {
    #[serde(flatten)]
    file: File,
    format: FileFormat,
}

impl From<ShownFile> for File {
    fn from(ShownFile { file, format }: ShownFile) -> Self {
        Self { format, ..file }
    }
}

/// Who is connected to a node, and how it can be reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShownPeers {
    /// The connected peers.
    pub(crate) peers: Vec<Peer>,
    /// The node itself, unless it has no peers by its settings.
    #[serde(rename = "self")]
    pub(crate) this: Option<Connectivity>,
}

/// By which paths a download has come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct DownloadPaths {
    /// That of the last byte; none if nothing had to be fetched.
    pub(crate) path: Option<Path>,
    /// All of them.
    pub(crate) paths: Vec<PathBytes>,
}

#[derive(Deserialize)]
struct DirectShare {
    token: Token,
}

/// A code that a node offers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfferedCode {
    /// The code.
    pub(crate) code: String,
    /// When it expires.
    pub(crate) expires_at: Timestamp,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: RefusalBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefusalBody {
    code: String,
    message: String,
    #[serde(default)]
    new_token: Option<TokenId>,
    #[serde(default)]
    sender_reached: bool,
}

impl From<RefusalBody> for Failure {
    fn from(RefusalBody { code, message, new_token, sender_reached }: RefusalBody) -> Self {
        let failure = Self { is_sender_reached: sender_reached, ..Self::from_rest(&code, &message) };
        match new_token {
            Some(id) => failure.after_new_token(id),
            None => failure,
        }
    }
}

impl RestClient {
    /// A client for the interface at `url`, with a key to it.
    ///
    /// # Errors
    /// A failure if the client cannot be set up.
    pub(crate) fn new(url: &str, key: Secret) -> Result<Self, Failure> {
        let http = on_this_machine(Some(READ_TIMEOUT))?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), key })
    }

    pub(crate) async fn identity_info(&self) -> Result<IdentityInfo, Failure> {
        result(self.request(Method::GET, "Account/IdentityInfo")).await
    }

    pub(crate) async fn files(&self, ownership: Ownership, query: &[(String, String)]) -> Result<Vec<File>, Failure> {
        let files: Vec<ShownFile> = result(self.request(Method::GET, &list("Files", ownership)).query(query)).await?;
        Ok(files.into_iter().map(File::from).collect())
    }

    pub(crate) async fn file(&self, id: &str) -> Result<File, Failure> {
        file(self.request(Method::GET, &format!("Files/{id}"))).await
    }

    /// Uploads a file of `length` bytes.
    pub(crate) async fn upload(
        &self,
        upload: UploadOwnFile,
        length: u64,
        progress: &ProgressOutput,
    ) -> Result<File, Failure> {
        progress.step("uploading", Some(length));
        let form = Form::new().text("format", upload.format.as_str());
        let answer =
            self.send_file("Files/Own", upload, length, form, progress).await?.json::<Envelope<ShownFile>>().await;
        answer.map(|envelope| File::from(envelope.result)).map_err(unreachable_node)
    }

    /// Sends a form with a file of `length` bytes, and waits for the head of the answer.
    async fn send_file(
        &self,
        path: &str,
        upload: UploadOwnFile,
        length: u64,
        form: Form,
        progress: &ProgressOutput,
    ) -> Result<Response, Failure> {
        let form = fields(&upload).into_iter().fold(form, |form, (name, value)| form.text(name, value));
        let UploadOwnFile { content, filename, mimetype, .. } = upload;
        // An earlier version of a running process takes one file only, and refuses the field with several.
        let (form, field) = match content.source().and_then(Source::manifest) {
            Some(manifest) => (form.text("manifestLength", manifest.length().to_string()), "files"),
            None => (form, "file"),
        };
        let (bar, taken) = (progress.clone(), Arc::new(AtomicU64::new(0)));
        let counter = taken.clone();
        let counted = tokio_util::io::ReaderStream::with_capacity(content.into_reader(), PIECE).inspect(move |chunk| {
            let bytes = chunk.as_ref().map_or(0, |bytes| bytes.len() as u64);
            counter.fetch_add(bytes, Ordering::Relaxed);
            bar.add(bytes);
        });
        let part = Part::stream_with_length(reqwest::Body::wrap_stream(counted), length)
            .file_name(String::from(filename))
            .mime_str(mimetype.as_str())
            .map_err(|_| Failure::usage(format!("{mimetype} is not a media type")))?;
        // A read timeout would begin with the request, and a large body takes longer.
        let http = on_this_machine(None)?;
        // The node reads the file while it receives it, so the fields come first.
        let request = self.with_key(http.request(Method::POST, self.address(path)));
        let uploading = send(request.multipart(form.part(field, part)));
        unless_silent(uploading, &taken, READ_TIMEOUT).await.unwrap_or_else(|| Err(silent_node()))
    }

    /// Shares a file of `length` bytes without a backbone, until the lines are dropped.
    pub(crate) async fn share_directly(
        &self,
        upload: UploadOwnFile,
        length: u64,
        terms: &CreateTokenForFile,
        progress: &ProgressOutput,
    ) -> Result<(Token, Lines), Failure> {
        let terms = serde_json::to_string(terms).map_err(|error| Failure::general(error.to_string()))?;
        let response =
            self.send_file("Files/Direct", upload, length, Form::new().text("terms", terms), progress).await?;
        let mut lines = Lines::of(response);
        let first: DirectShare = lines.next().await?;
        Ok((first.token, lines))
    }

    /// Offers a reference under a new code, until the lines are dropped. The next one says how the code has ended.
    pub(crate) async fn offer_code(&self, reference: &str) -> Result<(OfferedCode, Lines), Failure> {
        // Nothing comes until somebody uses the code.
        let request = self.with_key(on_this_machine(None)?.request(Method::POST, self.address("Codes")));
        let mut lines = Lines::of(send(request.json(&serde_json::json!({ "reference": reference }))).await?);
        let first: OfferedCode = lines.next().await?;
        Ok((first, lines))
    }

    /// By which paths the download with this correlation id has come so far.
    pub(crate) async fn download_paths(&self, id: &str) -> Result<DownloadPaths, Failure> {
        result(self.request(Method::GET, &format!("Downloads/{id}"))).await
    }

    pub(crate) async fn download(&self, id: &str) -> Result<Response, Failure> {
        send(self.request(Method::GET, &format!("Files/{id}/Download"))).await
    }

    pub(crate) async fn load_peer_file(&self, request: &LoadFile) -> Result<File, Failure> {
        file(self.request(Method::POST, "Files/Peer").json(request)).await
    }

    pub(crate) async fn delete_file(&self, id: &str) -> Result<(), Failure> {
        send(self.request(Method::DELETE, &format!("Files/{id}"))).await.map(drop)
    }

    pub(crate) async fn create_token_for_file(&self, id: &str, request: &CreateTokenForFile) -> Result<Token, Failure> {
        result(self.request(Method::POST, &format!("Files/{id}/Token")).json(request)).await
    }

    pub(crate) async fn tokens(&self, ownership: Ownership, query: &[(String, String)]) -> Result<Vec<Token>, Failure> {
        result(self.request(Method::GET, &list("Tokens", ownership)).query(query)).await
    }

    pub(crate) async fn find_tokens(&self, request: &FindTokens) -> Result<ListedTokens, Failure> {
        let queries = request.queries.iter().map(|query| ("queries[]", query.as_str()));
        let total = ("total", if request.is_counted { "true" } else { "false" });
        let file = request.file.as_deref().map(|file| ("file", file));
        let parameters: Vec<_> = queries.chain(file).chain([total]).collect();
        result(self.request(Method::GET, "Tokens").query(&parameters)).await
    }

    pub(crate) async fn token(&self, id: &AnyTokenId) -> Result<AnyToken, Failure> {
        let request = self.request(Method::GET, &format!("Tokens/{}", id.as_str()));
        match id {
            AnyTokenId::E2e(_) => Ok(AnyToken::E2e(result(request).await?)),
            AnyTokenId::Node(_) => Ok(AnyToken::Node(result(request).await?)),
        }
    }

    pub(crate) async fn create_own_token(&self, request: &CreateOwnToken) -> Result<Token, Failure> {
        result(self.request(Method::POST, "Tokens/Own").json(request)).await
    }

    pub(crate) async fn load_peer_token(&self, request: &LoadPeerToken) -> Result<Token, Failure> {
        result(self.request(Method::POST, "Tokens/Peer").json(request)).await
    }

    pub(crate) async fn unlock_token(&self, id: &str) -> Result<(), Failure> {
        send(self.request(Method::POST, &format!("Tokens/{id}/Unlock"))).await.map(drop)
    }

    pub(crate) async fn update_token(
        &self,
        id: &AnyTokenId,
        request: &UpdateToken,
    ) -> Result<ChangedAnyToken, Failure> {
        changed(id, self.request(Method::PATCH, &format!("Tokens/{}", id.as_str())).json(request)).await
    }

    pub(crate) async fn revoke_token(&self, id: &AnyTokenId) -> Result<ChangedAnyToken, Failure> {
        changed(id, self.request(Method::POST, &format!("Tokens/{}/Revoke", id.as_str()))).await
    }

    pub(crate) async fn rotate_token(&self, id: &str) -> Result<RotatedToken, Failure> {
        result(self.request(Method::POST, &format!("Tokens/{id}/Rotate"))).await
    }

    pub(crate) async fn token_terms(&self, id: &str) -> Result<TokenTerms, Failure> {
        result(self.request(Method::GET, &format!("Tokens/{id}/Terms"))).await
    }

    /// What the backbone of the process offers; none if an earlier version does not say.
    pub(crate) async fn token_services(&self) -> Result<Option<TokenServices>, Failure> {
        match result(self.request(Method::GET, "TokenServices")).await {
            Err(failure) if failure.code == Some(Code::Face(FaceCode::RouteDoesNotExist)) => Ok(None),
            services => services.map(Some),
        }
    }

    pub(crate) async fn delete_token(&self, id: &str) -> Result<(), Failure> {
        send(self.request(Method::DELETE, &format!("Tokens/{id}"))).await.map(drop)
    }

    pub(crate) async fn peers(&self) -> Result<ShownPeers, Failure> {
        result(self.request(Method::GET, "Peers")).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.with_key(self.http.request(method, self.address(path)))
    }

    fn address(&self, path: &str) -> String {
        format!("{}/{PREFIX}/{path}", self.url)
    }

    fn with_key(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("X-API-KEY", self.key.expose())
    }
}

/// Whatever name is asked for: this machine. A resolver could lead away from it.
struct ThisMachine;

impl reqwest::dns::Resolve for ThisMachine {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        let addresses: reqwest::dns::Addrs = Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// An HTTP client for this machine, so neither proxies, authorities nor name servers matter.
///
/// # Errors
/// A failure if the client cannot be set up.
pub(crate) fn on_this_machine(read_timeout: Option<Duration>) -> Result<reqwest::Client, Failure> {
    let unusable = |error: &dyn std::error::Error| {
        Failure::general(format!("cannot set up an HTTP client: {}", with_sources(error)))
    };
    // What is sent would go along with a redirect.
    let builder = http_client::builder(Trust::Nobody, Redirects::Refused).map_err(|error| unusable(&error))?;
    let builder = builder.no_proxy().dns_resolver(Arc::new(ThisMachine)).connect_timeout(CONNECT_TIMEOUT);
    read_timeout
        .into_iter()
        .fold(builder, reqwest::ClientBuilder::read_timeout)
        .build()
        .map_err(|error| unusable(&error))
}

/// What a form says of a file besides its bytes, name and media type.
fn fields(upload: &UploadOwnFile) -> Vec<(&'static str, String)> {
    let single = [
        ("expiresAt", upload.expires_at.map(|time| time.to_string())),
        ("title", upload.title.clone()),
        ("description", upload.description.clone()),
    ];
    let tags = upload.tags.iter().flat_map(|tags| tags.as_slice()).map(|tag| ("tags[]", tag.clone()));
    single.into_iter().filter_map(|(name, value)| Some((name, value?))).chain(tags).collect()
}

fn list(noun: &str, ownership: Ownership) -> String {
    match ownership {
        Ownership::Any if noun == "Files" => noun.to_owned(),
        // There is no list of all tokens; callers ask for both.
        Ownership::Any | Ownership::Own => format!("{noun}/Own"),
        Ownership::Peer => format!("{noun}/Peer"),
    }
}

async fn send(request: RequestBuilder) -> Result<Response, Failure> {
    let response = request.send().await.map_err(unreachable_node)?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    match response.json::<ErrorAnswer>().await {
        Ok(ErrorAnswer { error }) => Err(error.into()),
        Err(_) => Err(Failure::new(Kind::Network, format!("the running node answered with status {status}"))),
    }
}

async fn result<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Failure> {
    let answer = send(request).await?.json::<Envelope<T>>().await;
    answer.map(|envelope| envelope.result).map_err(unreachable_node)
}

/// The kind of a token tells the form of the answer.
async fn changed(id: &AnyTokenId, request: RequestBuilder) -> Result<ChangedAnyToken, Failure> {
    match id {
        AnyTokenId::E2e(_) => Ok(ChangedAnyToken::E2e(result(request).await?)),
        AnyTokenId::Node(_) => Ok(ChangedAnyToken::Node(result(request).await?)),
    }
}

async fn file(request: RequestBuilder) -> Result<File, Failure> {
    result::<ShownFile>(request).await.map(File::from)
}

/// The outcome, or nothing if the node neither answers nor takes more bytes for `longest`, or up to twice as long.
async fn unless_silent<T>(work: impl Future<Output = T>, taken: &AtomicU64, longest: Duration) -> Option<T> {
    let (mut work, mut before) = (std::pin::pin!(work), 0);
    loop {
        if let Ok(outcome) = tokio::time::timeout(longest, &mut work).await {
            return Some(outcome);
        }
        let now = taken.load(Ordering::Relaxed);
        if std::mem::replace(&mut before, now) == now {
            return None;
        }
    }
}

fn silent_node() -> Failure {
    let seconds = READ_TIMEOUT.as_secs();
    Failure::new(
        Kind::Network,
        format!("the running node has neither taken nor answered anything for {seconds} seconds"),
    )
    .hint(CHECK_NODE)
}

const CHECK_NODE: &str = "check the output of that process, or stop it and try again";

pub(crate) fn unreachable_node(error: reqwest::Error) -> Failure {
    Failure::new(Kind::Network, format!("the running node does not answer: {}", with_sources(&error.without_url())))
        .hint(CHECK_NODE)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_takes_bytes_is_not_silent_however_long_that_takes() {
        let (second, taken) = (Duration::from_secs(1), AtomicU64::new(0));
        let work = async {
            for _ in 0..1000 {
                tokio::time::sleep(second).await;
                taken.fetch_add(1, Ordering::Relaxed);
            }
        };
        assert_eq!(unless_silent(work, &taken, 2 * second).await, Some(()));
        let began = tokio::time::Instant::now();
        assert_eq!(unless_silent(std::future::pending::<()>(), &taken, 2 * second).await, None);
        assert!(began.elapsed() <= 4 * second);
        let none = AtomicU64::new(0);
        assert_eq!(unless_silent(std::future::pending::<()>(), &none, 2 * second).await, None);
    }

    #[test]
    fn a_file_is_read_with_its_format() {
        let json = serde_json::json!({
            "id": "FIL00000000000000000", "isOwn": true, "filename": "a", "filesize": u64::MAX,
            "createdAt": "2030-01-01T00:00:00.000Z", "createdBy": "did:e:localhost:dids:0123456789abcdef012345",
            "createdByDevice": "DVC00000000000000000", "expiresAt": "2030-01-01T00:00:00.000Z", "mimetype": "a/b",
            "reference": {"truncated": "", "url": ""}, "owner": "did:e:localhost:dids:0123456789abcdef012345",
            "format": "v2", "later": 1
        });
        let file = File::from(serde_json::from_value::<ShownFile>(json).unwrap());
        assert_eq!((file.format, file.filesize, file.is_own), (FileFormat::V2, u64::MAX, true));
    }

    #[test]
    fn a_node_that_is_asked_over_rest_says_by_a_member_whether_the_sender_was_reached() {
        let refused = |json: &str| Failure::from(serde_json::from_str::<ErrorAnswer>(json).unwrap().error);
        let code = r#""code":"error.runtime.recordNotFound""#;
        assert!(refused(&format!(r#"{{"error":{{{code},"message":"x","senderReached":true}}}}"#)).is_sender_reached);
        let text = "The node that shares it was reached.";
        assert!(!refused(&format!(r#"{{"error":{{{code},"message":"{text}"}}}}"#)).is_sender_reached);
        let in_process = Failure::from(runtime::testing::cut_off());
        assert!(in_process.is_sender_reached && in_process.kind == Kind::NotFound);
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_with_the_key() {
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        elsewhere.set_nonblocking(true).unwrap();
        let location = format!("http://{}/", elsewhere.local_addr().unwrap());
        let node = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", node.local_addr().unwrap());
        let answer = std::thread::spawn(move || {
            let (mut connection, _) = node.accept().unwrap();
            let _ = connection.read(&mut [0; 4096]).unwrap();
            write!(
                connection,
                "HTTP/1.1 307 x\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            .unwrap();
        });
        let client = RestClient::new(&url, Secret::new("key")).unwrap();
        assert_eq!(client.identity_info().await.unwrap_err().kind, Kind::Network);
        answer.join().unwrap();
        assert!(elsewhere.accept().is_err(), "the key went elsewhere");
    }
}
