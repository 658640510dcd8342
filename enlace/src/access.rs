//! One way to a node for the commands that ask it something: over REST if a process serves it, in this process if not.

use std::ops::Range;
use std::time::Duration;

use runtime::dto::{
    AnyToken, AnyTokenId, ChangedAnyToken, File, FileFormat, IdentityInfo, ListedTokens, RotatedToken, Token,
    TokenServices, TokenTerms, TokenTransports,
};
use runtime::facade::{
    CreateOwnToken, CreateTokenForFile, Download, FindTokens, LoadFile, LoadPeerToken, Ownership, UpdateToken,
    UploadOwnFile,
};
use runtime::file_name::NoFileName;
use runtime::manifest::Manifest;
use runtime::{ErrorCode, MediaType, PassedOn, Secret, Tags, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::code::{Code, Kind};
use crate::failure::Failure;
use crate::format::Format;
use crate::home::same;
use crate::node::{Node, Plan, WhichBackbone};
use crate::output::Output;
use crate::paths::Paths;
use crate::progress::ProgressOutput;
use crate::reach::{Reached, reach};
use crate::rest_client::RestClient;
use crate::running::Running;
use crate::{api_key, source_file, terms};

/// A node, wherever it runs.
pub(crate) enum Access {
    /// In this process.
    Here(Box<Node>),
    /// In another one.
    There {
        /// The way to it.
        client: RestClient,
        /// What it said of itself.
        running: Running,
    },
}

/// Who a node is.
#[derive(Debug)]
pub(crate) struct NodeIdentity {
    /// Address and key.
    pub(crate) identity: IdentityInfo,
    /// Which device.
    pub(crate) device_id: String,
    /// Its backbone, unless it has none that anybody else could use.
    pub(crate) backbone_url: Option<String>,
}

/// A file to upload, with what is said about it.
pub(crate) struct NewFile {
    /// The bytes.
    pub(crate) source: source_file::SourceFile,
    /// In which format it is sent.
    pub(crate) format: Format,
    /// Media type; by the name if absent.
    pub(crate) mimetype: Option<MediaType>,
    /// Until when it is kept.
    pub(crate) expires_at: Option<Timestamp>,
    /// Title shown to receivers.
    pub(crate) title: Option<String>,
    /// Description shown to receivers.
    pub(crate) description: Option<String>,
    /// Of known kinds.
    pub(crate) tags: Option<Tags>,
}

/// The bytes of a file on their way here.
pub(crate) struct DownloadedContent {
    /// Plaintext bytes to come.
    pub(crate) length: u64,
    /// The plaintext.
    pub(crate) reader: std::pin::Pin<Box<dyn AsyncRead + Send>>,
    /// By which paths it comes.
    pub(crate) paths: Paths,
}

impl From<Download> for DownloadedContent {
    fn from(Download { content, .. }: Download) -> Self {
        let (length, paths) = (content.length(), Paths::Counted(content.path_log()));
        Self { length, reader: Box::pin(content.into_reader()), paths }
    }
}

impl Access {
    /// Finds the node of a data directory, or starts it, after waiting for a process that uses the directory for something
    /// short. Dropping the future ends the wait.
    ///
    /// # Errors
    /// A failure if another process keeps the directory without serving, or if the start fails.
    pub(crate) async fn open(plan: Plan, output: Output) -> Result<Self, Failure> {
        match reach(&plan.dir, output).await? {
            Reached::Held(held) => Ok(Self::Here(Box::new(Node::start_in(held, plan).await?))),
            Reached::Served(running) => {
                let client = client_of(&plan, &running)?;
                Ok(Self::There { client, running })
            }
        }
    }

    /// The way to the process that serves a data directory, for what only that process knows.
    ///
    /// # Errors
    /// A failure if none serves it.
    pub(crate) async fn serving(plan: Plan, output: Output) -> Result<(RestClient, Running), Failure> {
        match reach(&plan.dir, output).await? {
            Reached::Held(_) => {
                let message = format!("no process serves the data directory {}", plan.dir.path().display());
                Err(Failure::new(Kind::Network, message)
                    .hint("start one with `enlace serve` or `enlace share`, and run this command in another terminal"))
            }
            Reached::Served(running) => Ok((client_of(&plan, &running)?, running)),
        }
    }

    /// Stops what was started.
    ///
    /// # Errors
    /// A failure if the last flush of the store failed.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Here(node) => node.stop().await,
            Self::There { .. } => Ok(()),
        }
    }

    /// How far in the future new tokens and files may expire, if the node knows.
    pub(crate) async fn max_lifetime(&self) -> Option<Duration> {
        match self {
            Self::Here(node) => node.max_lifetime().await,
            Self::There { running, .. } => running.max_lifetime.map(Duration::from_secs),
        }
    }

    /// Whether its backbone is in this process.
    pub(crate) fn has_embedded_backbone(&self) -> bool {
        matches!(self, Self::Here(node) if node.backbone.is_some())
    }

    pub(crate) async fn identity(&self) -> Result<NodeIdentity, Failure> {
        match self {
            Self::Here(node) => Ok(NodeIdentity {
                identity: node.runtime.account().identity_info().await?,
                device_id: node.runtime.account().device_info().await?.id.to_string(),
                backbone_url: Some(node.backbone_url.clone()),
            }),
            Self::There { client, running } => Ok(NodeIdentity {
                identity: client.identity_info().await?,
                device_id: running.device_id.clone(),
                backbone_url: Some(running.backbone_url.clone()),
            }),
        }
    }

    pub(crate) async fn files(&self, ownership: Ownership, query: &[(String, String)]) -> Result<Vec<File>, Failure> {
        match self {
            Self::Here(node) => Ok(node.runtime.files().files(ownership, query)?.collect().await?),
            Self::There { client, .. } => client.files(ownership, query).await,
        }
    }

    pub(crate) async fn file(&self, id: &str) -> Result<File, Failure> {
        match self {
            Self::Here(node) => Ok(node.runtime.files().file(&file_id(id)?).await?),
            Self::There { client, .. } => client.file(file_id(id)?.as_str()).await,
        }
    }

    pub(crate) async fn load_file(&self, reference: &str, password: Option<&Secret>) -> Result<File, Failure> {
        let request = LoadFile { reference: reference.to_owned(), password: password.cloned() };
        match self {
            Self::Here(node) => Ok(node.runtime.files().get_or_load_file(request).await?),
            Self::There { client, .. } => client.load_peer_file(&request).await,
        }
    }

    pub(crate) async fn upload(&self, file: NewFile, progress: &ProgressOutput) -> Result<File, Failure> {
        let (reading, length) = (file.source.read_failure(), file.source.length);
        progress.begin(length);
        let is_in_chunks = file.source.manifest().is_some() || file.format.is_in_chunks(length);
        if matches!(self, Self::Here(_)) && file.source.is_files() && is_in_chunks {
            progress.is_resumable();
        }
        let request = file.into_request()?;
        let uploaded = match self {
            Self::Here(node) => {
                // The facade reads a stream and cannot know its length; we do.
                progress.step("encrypting", Some(length));
                let request = UploadOwnFile { observer: Some(progress.observer()), ..request };
                node.runtime.files().upload_own_file(request).await.map_err(Failure::from)
            }
            Self::There { client, .. } => client.upload(request, length, progress).await,
        };
        uploaded.map_err(|failure| progress.explain_stopped(reading.explain(failure)))
    }

    pub(crate) async fn download(&self, id: &str, progress: &ProgressOutput) -> Result<DownloadedContent, Failure> {
        match self {
            Self::Here(node) => {
                Ok(node.runtime.files().download_file(&file_id(id)?, Some(progress.observer())).await?.into())
            }
            Self::There { client, running } => {
                let DownloadedContent { length, mut reader, paths } =
                    rest_content(client.download(file_id(id)?.as_str()).await?);
                let mut head = Vec::with_capacity(LIST_HEAD);
                // An error comes again when the rest is read.
                let _ = (&mut reader).take(LIST_HEAD as u64).read_to_end(&mut head).await;
                if lists_files(&head) {
                    return Err(several_files(running.pid));
                }
                Ok(DownloadedContent { length, reader: Box::pin(std::io::Cursor::new(head).chain(reader)), paths })
            }
        }
    }

    /// By which paths a download has come that has ended. An earlier version of a running process knows the first one only.
    pub(crate) async fn paths_at_end(&self, paths: Paths) -> Paths {
        match (self, &paths) {
            (Self::There { client, .. }, Paths::Said { request: Some(request), .. }) => {
                client.download_paths(request).await.map_or(paths, Paths::Told)
            }
            _ => paths,
        }
    }

    /// Whether a download of this file can go on where an earlier one ended. A running process cannot be asked for less than all,
    /// nor for the hashes that show what is here.
    pub(crate) fn can_continue(&self, file: &File) -> bool {
        matches!(self, Self::Here(_)) && file.format == FileFormat::V2
    }

    /// The list of several files in one content. A running process cannot be asked for it: [`lists_files`] tells.
    pub(crate) async fn manifest(&self, file: &File) -> Result<Option<Manifest>, Failure> {
        match self {
            Self::Here(node) if file.format == FileFormat::V2 => {
                node.runtime.files().manifest(&file.id).await.map_err(unlisted)
            }
            _ => Ok(None),
        }
    }

    /// Bytes at the start of what is here that are those of the file.
    pub(crate) async fn verified_prefix(&self, file: &File, content: impl AsyncRead) -> Result<u64, Failure> {
        match self {
            Self::Here(node) => Ok(node.runtime.files().verified_prefix(&file.id, content).await?),
            Self::There { .. } => Ok(0),
        }
    }

    /// Some bytes of a file for which [`can_continue`](Self::can_continue).
    pub(crate) async fn download_range(&self, file: &File, range: Range<u64>) -> Result<DownloadedContent, Failure> {
        match self {
            Self::Here(node) => Ok(node.runtime.files().read_range(&file.id, range).await?.into()),
            Self::There { running, .. } => Err(only_whole(running.pid)),
        }
    }

    pub(crate) async fn delete_file(&self, id: &str) -> Result<(), Failure> {
        match self {
            Self::Here(node) => Ok(node.runtime.files().delete_file(&file_id(id)?).await?),
            Self::There { client, .. } => client.delete_file(file_id(id)?.as_str()).await,
        }
    }

    pub(crate) async fn create_token_for_file(&self, id: &str, request: CreateTokenForFile) -> Result<Token, Failure> {
        self.check_paths(request.terms.transports).await?;
        let (id, terms) = (file_id(id)?, request.terms.clone());
        let created = match self {
            Self::Here(node) => node.runtime.files().create_token_for_file(&id, request).await.map_err(Failure::from),
            Self::There { client, .. } => client.create_token_for_file(id.as_str(), &request).await,
        };
        created.map_err(|failure| terms::explain(failure, &terms))
    }

    /// Refuses paths that a running process of an earlier version would ignore, before something is shared.
    pub(crate) async fn check_paths(&self, transports: Option<TokenTransports>) -> Result<(), Failure> {
        let is_limited = transports.is_some_and(|transports| transports != TokenTransports::ALL);
        match self {
            // Any answer but that there is no such route comes from a version that knows paths; its backbone need not be there for them.
            Self::There { client, running } if is_limited && matches!(client.token_services().await, Ok(None)) => {
                Err(knows_no_paths(running.pid))
            }
            _ => Ok(()),
        }
    }

    /// Refuses terms that the backbone cannot enforce and uses that it cannot tell, before something is uploaded. A running process of an earlier
    /// version does not say what its backbone offers, and refuses the former with the token, but it would ignore paths.
    pub(crate) async fn check_terms(&self, request: &CreateTokenForFile) -> Result<(), Failure> {
        self.check_paths(request.terms.transports).await?;
        let services = match (request.terms.depend_on_backbone(), self) {
            (false, _) => Some(TokenServices::default()),
            (true, Self::Here(node)) => Some(node.runtime.tokens().services().await?),
            (true, Self::There { client, .. }) => client.token_services().await?,
        };
        let checked = services.map_or(Ok(()), |services| request.terms.check(&services));
        checked.map_err(|error| terms::explain(error.into(), &request.terms))
    }

    pub(crate) async fn create_own_token(&self, request: CreateOwnToken) -> Result<Token, Failure> {
        self.check_paths(request.terms.transports).await?;
        let terms = request.terms.clone();
        let created = match self {
            Self::Here(node) => node.runtime.tokens().create_own_token(request).await.map_err(Failure::from),
            Self::There { client, .. } => client.create_own_token(&request).await,
        };
        created.map_err(|failure| terms::explain(failure, &terms))
    }

    pub(crate) async fn load_peer_token(
        &self,
        reference: &str,
        password: Option<&Secret>,
        ephemeral: bool,
    ) -> Result<Token, Failure> {
        let request = LoadPeerToken { reference: reference.to_owned(), ephemeral, password: password.cloned() };
        match self {
            Self::Here(node) => Ok(node.runtime.tokens().load_peer_token(request).await?),
            Self::There { client, .. } => client.load_peer_token(&request).await,
        }
    }

    pub(crate) async fn tokens(&self, ownership: Ownership, query: &[(String, String)]) -> Result<Vec<Token>, Failure> {
        match (self, ownership) {
            (Self::Here(node), _) => Ok(node.runtime.tokens().tokens(ownership, query)?.collect().await?),
            (Self::There { client, .. }, Ownership::Any) => {
                let mut tokens = client.tokens(Ownership::Own, query).await?;
                tokens.extend(client.tokens(Ownership::Peer, query).await?);
                Ok(tokens)
            }
            (Self::There { client, .. }, _) => client.tokens(ownership, query).await,
        }
    }

    pub(crate) async fn find_tokens(&self, request: FindTokens) -> Result<ListedTokens, Failure> {
        match self {
            Self::Here(node) => Ok(node.runtime.tokens().find(request).await?),
            Self::There { client, .. } => client.find_tokens(&request).await,
        }
    }

    pub(crate) async fn token(&self, id: &str) -> Result<AnyToken, Failure> {
        let id = token_id(id)?;
        match self {
            Self::Here(node) => Ok(node.runtime.tokens().any_token(&id).await?),
            Self::There { client, .. } => client.token(&id).await,
        }
    }

    pub(crate) async fn unlock_token(&self, id: &str) -> Result<(), Failure> {
        let id = token_id(id)?;
        match self {
            Self::Here(node) => Ok(node.runtime.tokens().unlock_any_token(&id).await?),
            Self::There { client, .. } => client.unlock_token(id.as_str()).await,
        }
    }

    pub(crate) async fn update_token(&self, id: &str, request: UpdateToken) -> Result<ChangedAnyToken, Failure> {
        let id = token_id(id)?;
        self.check_paths(request.transports).await?;
        match self {
            Self::Here(node) => Ok(node.runtime.tokens().update_any_token(&id, request).await?),
            Self::There { client, .. } => client.update_token(&id, &request).await,
        }
    }

    pub(crate) async fn revoke_token(&self, id: &str) -> Result<ChangedAnyToken, Failure> {
        let id = token_id(id)?;
        match self {
            Self::Here(node) => Ok(node.runtime.tokens().revoke_any_token(&id).await?),
            Self::There { client, .. } => client.revoke_token(&id).await,
        }
    }

    pub(crate) async fn rotate_token(&self, id: &str) -> Result<RotatedToken, Failure> {
        let id = token_id(id)?;
        match self {
            Self::Here(node) => Ok(node.runtime.tokens().rotate_any_token(&id).await?),
            Self::There { client, .. } => client.rotate_token(id.as_str()).await,
        }
    }

    pub(crate) async fn token_terms(&self, id: &str) -> Result<TokenTerms, Failure> {
        let id = token_id(id)?;
        match self {
            Self::Here(node) => Ok(node.runtime.tokens().any_token_terms(&id).await?),
            Self::There { client, .. } => client.token_terms(id.as_str()).await,
        }
    }

    /// The reference of a token to pass on.
    pub(crate) async fn passed_on(&self, token: &Token) -> Result<PassedOn, Failure> {
        match self {
            Self::Here(node) => Ok(node.runtime.peers().passed_on(token)?),
            // An earlier version does not say how peers reach it.
            Self::There { client, .. } => {
                let peer = client.peers().await.ok().and_then(|shown| shown.this);
                Ok(PassedOn::of_token(token, peer.as_ref(), false))
            }
        }
    }

    pub(crate) async fn delete_token(&self, id: &str) -> Result<(), Failure> {
        let id = token_id(id)?;
        match self {
            Self::Here(node) => Ok(node.runtime.tokens().delete_any_token(&id).await?),
            Self::There { client, .. } => client.delete_token(id.as_str()).await,
        }
    }
}

/// The way to a process, with the key to it.
fn client_of(plan: &Plan, running: &Running) -> Result<RestClient, Failure> {
    if let WhichBackbone::At(url) = &plan.backbone
        && !same(url, &running.backbone_url)
    {
        return Err(serves_another(plan, url, running));
    }
    let key = api_key::load(plan.settings.api_key_file.as_ref().unwrap_or(&running.api_key_file))?;
    RestClient::new(&running.rest_url, key)
}

impl NewFile {
    /// A file about which nothing is said.
    pub(crate) fn new(source: source_file::SourceFile, format: Format) -> Self {
        Self { source, format, mimetype: None, expires_at: None, title: None, description: None, tags: None }
    }

    /// The facade's request, which the REST interface takes as a form. Every node refuses what another one would refuse: tags
    /// of unknown kinds, too.
    pub(crate) fn into_request(self) -> Result<UploadOwnFile, Failure> {
        let mimetype = self.mimetype.unwrap_or_else(|| self.source.media_type());
        let filename = self.source.name.parse().map_err(|error: NoFileName| Failure::usage(error.to_string()))?;
        Ok(UploadOwnFile {
            expires_at: self.expires_at,
            title: self.title,
            description: self.description,
            tags: self.tags.map(Tags::only_known),
            format: self.format.content(),
            ..self.source.into_request(filename, mimetype)
        })
    }
}

/// Bytes by which a list of files is recognized.
const LIST_HEAD: usize = 8;

/// Whether a content begins like a list of files (`docs/content-v2.md`, section 9.1): version 1, an array, in it an array of four
/// that begins with a text. The REST interface hands the list out as part of the content, and does not say so.
fn lists_files(head: &[u8]) -> bool {
    let Some(entries) = head.strip_prefix(&[0x82, 1]) else { return false };
    let first = match *entries {
        [0x81..0x98, ref first @ ..] | [0x98, _, ref first @ ..] | [0x99, _, _, ref first @ ..] => first,
        [0x9a, _, _, _, _, ref first @ ..] => return first == [0x84],
        _ => return false,
    };
    matches!(first, [0x84, 0x60..=0x79, ..])
}

fn several_files(pid: u32) -> Failure {
    Failure::new(Kind::Refused, "a running process cannot be asked for several files")
        .hint(format!("stop process {pid}, which serves this data directory, and run the same command"))
}

fn only_whole(pid: u32) -> Failure {
    Failure::new(Kind::Refused, "a running process cannot be asked for a part of a file")
        .hint(format!("stop process {pid}, which serves this data directory, and run the same command"))
}

/// A process of an earlier version would share by all paths and not say so.
fn knows_no_paths(pid: u32) -> Failure {
    Failure::new(
        Kind::Refused,
        "the running process is of an earlier version, which does not know by which paths a token may be loaded",
    )
    .hint(format!("restart process {pid}, which serves this data directory, with this version, or omit --transports"))
}

/// The sender's program made the list; trying again helps nobody.
fn unlisted(error: runtime::Error) -> Failure {
    let failure = Failure::from(error);
    match failure.code {
        Some(Code::Runtime(ErrorCode::InvalidFileMetadata)) => {
            failure.hint("nothing was written; ask the sender to share the files as an archive")
        }
        _ => failure,
    }
}

/// The header of a download that says by which path its first byte comes.
const PATH_HEADER: &str = "x-enlace-path";
/// The header that names the request of a download.
const REQUEST_HEADER: &str = "x-correlation-id";

fn rest_content(response: reqwest::Response) -> DownloadedContent {
    use futures_util::TryStreamExt;
    let length = response.content_length().unwrap_or(0);
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let first = header(PATH_HEADER).and_then(|name| serde_json::from_value(name.into()).ok());
    let paths = Paths::Said { first, request: header(REQUEST_HEADER).map(str::to_owned) };
    let stream = response.bytes_stream().map_err(std::io::Error::other);
    DownloadedContent { length, reader: Box::pin(tokio_util::io::StreamReader::new(stream)), paths }
}

fn serves_another(plan: &Plan, url: &str, running: &Running) -> Failure {
    let (dir, pid, theirs) = (plan.dir.path().display(), running.pid, &running.backbone_url);
    Failure::new(Kind::Refused, format!("process {pid} serves {dir} with the backbone {theirs}, not with {url}"))
        .hint("omit the backbone, stop that process, or use another directory with --data-dir DIR")
}

/// An id given on the command line.
fn file_id(text: &str) -> Result<runtime::FileId, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("{text:?} is {error}")).hint("`enlace files list` shows IDs"))
}

/// The same of a token of either kind.
fn token_id(text: &str) -> Result<AnyTokenId, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("{text:?} is {error}")).hint("`enlace tokens list` shows IDs"))
}

#[cfg(test)]
mod tests {
    use runtime::manifest::{Entry, EntryKind, Manifest, RelativePath};

    use super::*;

    #[test]
    fn a_list_of_files_is_recognized_by_its_first_bytes() {
        for count in [1, 23, 24, 255, 256, 65_535, 65_536] {
            for name in [1, 20, 200] {
                let entry = |number: usize| Entry {
                    path: RelativePath::new(format!("{number:05}{}", "n".repeat(name))).unwrap(),
                    kind: EntryKind::File { size: 0 },
                    mode: None,
                    modified_at: None,
                };
                let manifest = Manifest::new((0..count).map(entry).collect()).unwrap();
                assert!(lists_files(&manifest.encode()[..LIST_HEAD]), "{count} entries");
            }
        }
        for other in
            [&b""[..], b"text", &[0x82, 1], &[0x82, 1, 0x80], &[0x82, 1, 0x81, 0x84, 0], &[0x82, 2, 0x81, 0x84, 0x61]]
        {
            assert!(!lists_files(other), "{other:?}");
        }
    }
}
