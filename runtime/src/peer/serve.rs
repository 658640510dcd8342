//! What peers ask of this node.
//!
//! A [`PeerServer`] accepts the streams of all connections. Each is answered by a task of its own, so a slow peer waits for
//! nobody and nobody for it. What may be asked is bounded: streams and their rate by the network, requests of a peer and of an
//! identity by [`Rates`], contents at a time by [`Places`]. Who may load what is decided by the [`Holder`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use swarm::{Inbound, InboundStream, Stream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use transport::peer::{
    Answer, AwaitRequest, CODE_PROTOCOL, Channel, Content, ContentAnswer, Conversation, FILE_PROTOCOL,
    FILE_PROTOCOL_V2, FileRequest, FileRequestV2, HintGate, Holder, IDENTITY_PROTOCOL, INBOX_PROTOCOL, InboxMessage,
    Message, PeerError, ReceiveHint, Refusal, TOKEN_PROTOCOL, TOKEN_PROTOCOL_V2, TokenAnswer, TokenRequest,
    TokenRequestV2, Via, serve_file, serve_token,
};

use super::connections::Entry;
use super::drive::{Link, answer, converse, finish_with};
use super::network::{PeerNetwork, Shared};
use super::on_path::{OnPath, via};
use super::place::Places;
use super::rate::Rates;

/// How long the holder may take to decide. What is left of the time in which an answer must be written is enough for the answer.
const DECISION_LIMIT: Duration = Duration::from_secs(20);

/// Answers peers until it is stopped or dropped.
pub(crate) struct PeerServer {
    stop: CancellationToken,
    tasks: TaskTracker,
    _stop: DropGuard,
}

impl PeerServer {
    /// Starts to answer what peers ask of a network, for what `holder` shares.
    pub(crate) fn start<H>(network: &PeerNetwork, inbound: Inbound, holder: Arc<H>) -> Self
    where
        H: Holder + 'static,
    {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        if let Some(shared) = network.shared() {
            let serving = Arc::new(Serving {
                rates: Rates::new(shared.config.limits.requests_per_second),
                shared: shared.clone(),
                holder,
                gate: Mutex::new(HintGate::new()),
                places: Places::default(),
            });
            tasks.spawn(serving.accept(inbound, tasks.clone(), stop.clone()));
        }
        Self { _stop: stop.clone().drop_guard(), stop, tasks }
    }

    /// Stops, and waits until nothing is answered any more. Idempotent.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Serving<H> {
    shared: Arc<Shared>,
    holder: Arc<H>,
    rates: Rates,
    gate: Mutex<HintGate>,
    places: Places,
}

impl<H: Holder + 'static> Serving<H> {
    /// The network bounds how many streams there are, and with them the tasks.
    async fn accept(self: Arc<Self>, mut inbound: Inbound, tasks: TaskTracker, stop: CancellationToken) {
        loop {
            let stream = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                stream = inbound.next() => stream,
            };
            let Some(stream) = stream else { return };
            if stream.protocol == IDENTITY_PROTOCOL {
                self.shared.clone().accept_identity(&stream.connection, stream.stream);
                continue;
            }
            let (serving, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = serving.serve(stream) => {}
                }
            });
        }
    }

    async fn serve(&self, InboundStream { connection, protocol, stream }: InboundStream) {
        let entry = self.shared.clone().attend(&connection);
        let ended = match protocol {
            TOKEN_PROTOCOL => self.token::<TokenRequest>(&entry, stream).await,
            TOKEN_PROTOCOL_V2 => self.token::<TokenRequestV2>(&entry, stream).await,
            FILE_PROTOCOL => self.file::<FileRequest>(&entry, stream).await,
            FILE_PROTOCOL_V2 => self.file::<FileRequestV2>(&entry, stream).await,
            INBOX_PROTOCOL => self.inbox(&entry, stream).await,
            CODE_PROTOCOL => self.code(&entry, stream).await,
            _ => Ok(()),
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %connection.peer(), protocol, %error, "a request of a peer ended early");
        }
    }

    /// A request of either version. The refusals of its answers are the same.
    async fn token<M>(&self, entry: &Entry, mut stream: Stream) -> Result<(), PeerError>
    where
        M: Message + Into<TokenRequestV2>,
    {
        let request = self.request::<M>(&mut stream).await?.into();
        match self.admit(entry).await {
            Ok(channel) => {
                let decided = serve_token(&*self.holder, &channel, &request, self.shared.time.now());
                match timeout(DECISION_LIMIT, decided).await {
                    Ok(answered) => self.answer::<H::Content>(stream, answered, None).await,
                    Err(_) => self.say(stream, &TokenAnswer::Refused(Refusal::Unavailable)).await,
                }
            }
            Err(refusal) => self.say(stream, &TokenAnswer::Refused(refusal)).await,
        }
    }

    async fn file<M>(&self, entry: &Entry, mut stream: Stream) -> Result<(), PeerError>
    where
        M: Message + Into<FileRequestV2>,
    {
        let request = self.request::<M>(&mut stream).await?.into();
        let admitted = self.admit(entry).await;
        let place = admitted.and_then(|channel| Ok((self.place(entry, &request)?, channel)));
        match place {
            Ok((_place, channel)) => {
                let (granted, connection) = (channel.via().unwrap_or(Via::Direct), entry.connection.clone());
                let decided = serve_file(&*self.holder, &channel, &request, self.shared.time.now());
                let decided = timeout(DECISION_LIMIT, decided).await;
                let on_path = |content| OnPath::new(content, granted, || via(&connection));
                match decided {
                    Ok((answered, content)) => self.answer(stream, answered, content.map(on_path)).await,
                    Err(_) => self.say(stream, &ContentAnswer::Refused(Refusal::Unavailable)).await,
                }
            }
            Err(refusal) => self.say(stream, &ContentAnswer::Refused(refusal)).await,
        }
    }

    async fn inbox(&self, entry: &Entry, mut stream: Stream) -> Result<(), PeerError> {
        let message: InboxMessage = self.request(&mut stream).await?;
        match self.admit(entry).await {
            Ok(channel) => match self.hear(&channel, &message) {
                (Some(said), _) => finish_with(stream, &said, self.shared.time.deadline()).await,
                (None, ended) => ended,
            },
            Err(refusal) => self.say(stream, &InboxMessage::Refused(refusal)).await,
        }
    }

    /// Decides about a hint at once, so that no stream holds the gate.
    fn hear(&self, channel: &Channel, message: &InboxMessage) -> (Option<Vec<u8>>, Result<(), PeerError>) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.shared.time.now();
        let mut hearing = Conversation::new(ReceiveHint::new(channel, &mut gate), now.instant);
        hearing.receive(&message.to_frame(), now);
        let (said, ended) = (hearing.outgoing(), hearing.end());
        if matches!(ended, Some(Ok(()))) {
            self.shared.note_hint();
        }
        (said, ended.unwrap_or(Err(PeerError::OutOfTurn)))
    }

    async fn code(&self, entry: &Entry, stream: Stream) -> Result<(), PeerError> {
        let counted = self.rates.count(&entry.connection.peer(), None);
        self.shared.offers.answer(entry.connection.peer(), stream, counted).await
    }

    /// Who asks, after the exchange of identities, unless they ask too often.
    async fn admit(&self, entry: &Entry) -> Result<Channel, Refusal> {
        let channel = entry.wait().await.map_err(|_| Refusal::IdentityRequired)?;
        self.rates.count(channel.remote(), channel.caller(self.shared.time.now().time))?;
        Ok(channel.over(via(&entry.connection)))
    }

    /// A place for a content, if one is asked for.
    fn place(&self, entry: &Entry, request: &FileRequestV2) -> Result<Option<super::place::Place>, Refusal> {
        match request.request {
            FileRequest::Content { .. } => self.places.take(entry.connection.peer()).map(Some),
            FileRequest::Metadata { .. } => Ok(None),
        }
    }

    async fn request<M: Message>(&self, stream: &mut impl Link) -> Result<M, PeerError> {
        let mut waiting = AwaitRequest::begin(self.shared.time.now());
        converse(stream, &mut waiting, &self.shared.time).await.map_err(|ended| ended.error)
    }

    async fn answer<C: Content>(&self, stream: Stream, answered: Answer, content: Option<C>) -> Result<(), PeerError> {
        answer(stream, answered, content, &self.shared.time).await
    }

    async fn say(&self, stream: Stream, message: &impl Message) -> Result<(), PeerError> {
        finish_with(stream, &message.to_frame(), self.shared.time.deadline()).await
    }
}
