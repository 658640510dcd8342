//! What a node shares, in memory, under the rules of `transport::access`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt as _;
use transport::access::{Attempt, ClaimEnd, FailedAttempt, Ledger, Uses};
use transport::crypto::PasswordHash;
use transport::peer::{
    Answer, AwaitRequest, Caller, Channel, Content, FileRequest, FileRequestV2, FileTarget, Format, HeldContent,
    Holder, Message, Piece, Refusal, TokenRequest, TokenRequestV2, serve_file, serve_token,
};
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;
use transport::wire::{Address, ClaimId, FileId, Timestamp, TokenId};

use crate::world::{Link, Node, TODAY, now};

/// One token for one file.
pub(crate) struct Shelf {
    pub(crate) token: Token,
    pub(crate) password: Option<PasswordHash>,
    pub(crate) counted: Mutex<Counted>,
    /// Its uses, if they are counted.
    pub(crate) uses: Mutex<Option<Uses>>,
    pub(crate) metadata: FileMetadata,
    pub(crate) format: Format,
    pub(crate) bytes: Arc<Vec<u8>>,
    /// Bytes that were read of the content.
    pub(crate) read: Arc<Mutex<u64>>,
}

/// What attempts have left behind.
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) failed_attempts: u32,
    pub(crate) readers: BTreeSet<Address>,
}

impl Shelf {
    /// What node 2 shares: a content of this length.
    pub(crate) fn new(format: Format, length: usize) -> Self {
        let owner = Node::new(2);
        Self {
            token: token(&owner),
            password: None,
            counted: Mutex::default(),
            uses: Mutex::default(),
            metadata: metadata(&owner, length as u64),
            format,
            bytes: Arc::new((0..length).map(|at| (at % 251) as u8).collect()),
            read: Arc::default(),
        }
    }

    pub(crate) fn token_target(&self) -> FileTarget {
        FileTarget::Token(self.token.id.clone())
    }

    pub(crate) fn file_target(&self) -> FileTarget {
        FileTarget::File(self.metadata.id.clone())
    }

    async fn access(&self, id: &TokenId, caller: Caller<'_>) -> Result<(), Refusal> {
        let mut uses = self.uses.lock().unwrap();
        if *id != self.token.id || (uses.is_some() && caller.claim().is_none()) {
            return Err(Refusal::NotFound);
        }
        let mut counted = self.counted.lock().unwrap();
        let attempt = Attempt {
            caller: caller.address(),
            creator: self.token.created_by.as_ref(),
            is_allocated: caller.address().is_some_and(|address| counted.readers.contains(address)),
            for_identity: self.token.for_identity.as_ref(),
            password_fits: caller.password_fits(&self.token.id, self.password.as_ref()),
            failed_attempts: counted.failed_attempts,
            not_before: None,
            expires_at: self.token.expires_at,
            is_revoked: false,
            now: caller.now(),
        };
        let ledger = InMemory { counted: &mut counted, reader: caller.address() };
        let outcome = attempt.judge().settle(&attempt, ledger).now_or_never().unwrap();
        Refusal::unless_granted(outcome.unwrap())?;
        if let (Some(uses), Some(claim)) = (uses.as_mut(), caller.claim()) {
            let _ = uses.read(claim, caller.now())?;
        }
        Ok(())
    }

    async fn find(&self, target: &FileTarget, caller: Caller<'_>) -> Result<(), Refusal> {
        match target {
            FileTarget::Token(id) => self.access(id, caller).await,
            FileTarget::File(id) if *id != self.metadata.id => Err(Refusal::NotFound),
            FileTarget::File(_) if caller.address().is_none() => Err(Refusal::IdentityRequired),
            FileTarget::File(_) => Ok(()),
        }
    }
}

struct InMemory<'a> {
    counted: &'a mut Counted,
    reader: Option<&'a Address>,
}

impl Ledger for InMemory<'_> {
    type Error = std::convert::Infallible;

    async fn allocate(self) -> Result<(), Self::Error> {
        self.counted.readers.extend(self.reader.cloned());
        Ok(())
    }

    async fn count(self, failed: FailedAttempt) -> Result<(), Self::Error> {
        self.counted.failed_attempts = failed.number;
        Ok(())
    }
}

impl Holder for Shelf {
    type Content = Bytewise;

    async fn token(&self, id: &TokenId, caller: Caller<'_>) -> Result<Token, Refusal> {
        self.access(id, caller).await.map(|()| self.token.clone())
    }

    async fn metadata(&self, target: &FileTarget, caller: Caller<'_>) -> Result<FileMetadata, Refusal> {
        self.find(target, caller).await.map(|()| self.metadata.clone())
    }

    async fn content(&self, target: &FileTarget, caller: Caller<'_>) -> Result<HeldContent<Bytewise>, Refusal> {
        self.find(target, caller).await?;
        let content = Bytewise { bytes: self.bytes.clone(), read: self.read.clone() };
        Ok(HeldContent {
            file: self.metadata.id.clone(),
            format: self.format,
            length: self.bytes.len() as u64,
            content,
        })
    }

    async fn end_claim(&self, id: &TokenId, claim: &ClaimId, end: ClaimEnd, caller: Caller<'_>) -> Result<(), Refusal> {
        let mut uses = self.uses.lock().unwrap();
        let uses = uses.as_mut().filter(|_| *id == self.token.id).ok_or(Refusal::NotFound)?;
        Ok(uses.end(claim, end, caller.now())?)
    }
}

pub(crate) struct Bytewise {
    bytes: Arc<Vec<u8>>,
    read: Arc<Mutex<u64>>,
}

impl Content for Bytewise {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, Refusal> {
        *self.read.lock().unwrap() += range.end - range.start;
        Ok(Bytes::copy_from_slice(&self.bytes[range.start as usize..range.end as usize]))
    }
}

/// An answer with the content behind it, as a driver has it.
pub(crate) struct Serving {
    pub(crate) answer: Answer,
    content: Option<Bytewise>,
}

impl Serving {
    /// What the owner does with the bytes of a request of version 1; `None` if they are none.
    pub(crate) fn file(shelf: &Shelf, channel: &Channel, request: &[u8]) -> Option<Self> {
        Some(Self::of_file(shelf, channel, &read::<FileRequest>(request)?.into()))
    }

    /// The same for version 2.
    pub(crate) fn file_v2(shelf: &Shelf, channel: &Channel, request: &[u8]) -> Option<Self> {
        Some(Self::of_file(shelf, channel, &read(request)?))
    }

    fn of_file(shelf: &Shelf, channel: &Channel, request: &FileRequestV2) -> Self {
        let (answer, content) = serve_file(shelf, channel, request, now()).now_or_never().unwrap();
        Self { answer, content }
    }

    /// What the owner does with the bytes of a request of version 1; `None` if they are none.
    pub(crate) fn token(shelf: &Shelf, channel: &Channel, request: &[u8]) -> Option<Self> {
        Some(Self::of_token(shelf, channel, &read::<TokenRequest>(request)?.into()))
    }

    /// The same for version 2.
    pub(crate) fn token_v2(shelf: &Shelf, channel: &Channel, request: &[u8]) -> Option<Self> {
        Some(Self::of_token(shelf, channel, &read(request)?))
    }

    fn of_token(shelf: &Shelf, channel: &Channel, request: &TokenRequestV2) -> Self {
        let answer = serve_token(shelf, channel, request, now()).now_or_never().unwrap();
        Self { answer, content: None }
    }

    /// The next bytes to write.
    pub(crate) fn piece(&mut self) -> Option<Bytes> {
        match self.answer.next()? {
            Piece::Frame(frame) => Some(Bytes::copy_from_slice(frame)),
            Piece::Content(range) => Some(self.content.as_mut()?.read(range).now_or_never().unwrap().unwrap()),
        }
    }

    /// All bytes, as somebody sees them who reads everything.
    pub(crate) fn all(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece() {
            bytes.extend_from_slice(&piece);
            self.answer.written(now().instant);
        }
        bytes
    }
}

/// A request that has arrived as a whole.
fn read<M: Message>(bytes: &[u8]) -> Option<M> {
    let now = now();
    let mut conversation = AwaitRequest::begin(now);
    Link::whole().feed(bytes, &mut conversation, now);
    conversation.end()?.ok()
}

pub(crate) fn token(owner: &Node) -> Token {
    Token {
        id: "TOKabcDEF123ghiJKL45".parse().unwrap(),
        created_by: Some(owner.address()),
        created_by_device: Some(Node::device_id()),
        for_identity: None,
        created_at: Timestamp::from_unix_milliseconds(TODAY),
        expires_at: Timestamp::NEVER,
        content: Some(vec![1, 2, 3].into()),
        is_password_protected: false,
    }
}

pub(crate) fn metadata(owner: &Node, cipher_size: u64) -> FileMetadata {
    FileMetadata {
        id: file_id(),
        created_at: Timestamp::from_unix_milliseconds(TODAY),
        created_by: owner.address(),
        created_by_device: Node::device_id(),
        modified_at: None,
        modified_by: None,
        modified_by_device: None,
        deleted_at: None,
        deleted_by: None,
        deleted_by_device: None,
        owner: owner.address(),
        owner_signature: vec![4; 90].into(),
        ownership_is_locked: false,
        cipher_size,
        cipher_hash: vec![5; 64].into(),
        expires_at: Timestamp::NEVER,
        encrypted_properties: vec![6; 300].into(),
    }
}

pub(crate) fn file_id() -> FileId {
    "FILabcDEF123ghiJKL45".parse().unwrap()
}
