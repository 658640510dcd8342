//! Messages of the [rendezvous protocol](https://github.com/libp2p/specs/tree/master/rendezvous), as a client sends and reads them.
//!
//! libp2p's own client panics on answers that a server should not give, so only its server is used.

use std::io;
use std::time::Duration;

use libp2p::core::{PeerRecord, SignedEnvelope};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Name of the protocol.
pub(super) const PROTOCOL: &str = "/rendezvous/1.0.0";

/// The longest name of a namespace in bytes.
pub(super) const NAMESPACE_LENGTH: usize = 255;

/// The longest answer in bytes.
const ANSWER_LENGTH: u64 = 1 << 20;

const OK: i32 = 0;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Message {
    #[prost(enumeration = "Kind", optional, tag = "1")]
    kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    register: Option<Register>,
    #[prost(message, optional, tag = "3")]
    register_response: Option<RegisterResponse>,
    #[prost(message, optional, tag = "4")]
    unregister: Option<Unregister>,
    #[prost(message, optional, tag = "5")]
    discover: Option<Discover>,
    #[prost(message, optional, tag = "6")]
    discover_response: Option<DiscoverResponse>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    Register = 0,
    RegisterResponse = 1,
    Unregister = 2,
    Discover = 3,
    DiscoverResponse = 4,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Register {
    #[prost(string, optional, tag = "1")]
    namespace: Option<String>,
    #[prost(bytes = "vec", optional, tag = "2")]
    signed_peer_record: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "3")]
    ttl: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RegisterResponse {
    #[prost(int32, optional, tag = "1")]
    status: Option<i32>,
    #[prost(uint64, optional, tag = "3")]
    ttl: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Unregister {
    #[prost(string, optional, tag = "1")]
    namespace: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Discover {
    #[prost(string, optional, tag = "1")]
    namespace: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    limit: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DiscoverResponse {
    #[prost(message, repeated, tag = "1")]
    registrations: Vec<Register>,
    #[prost(int32, optional, tag = "3")]
    status: Option<i32>,
}

impl Message {
    pub(super) fn register(namespace: &str, record: PeerRecord, ttl: Duration) -> Self {
        let register = Register {
            namespace: Some(namespace.into()),
            signed_peer_record: Some(record.into_signed_envelope().into_protobuf_encoding()),
            ttl: Some(ttl.as_secs()),
        };
        Self { kind: Some(Kind::Register.into()), register: Some(register), ..Self::default() }
    }

    pub(super) fn unregister(namespace: &str) -> Self {
        let unregister = Unregister { namespace: Some(namespace.into()) };
        Self { kind: Some(Kind::Unregister.into()), unregister: Some(unregister), ..Self::default() }
    }

    pub(super) fn discover(namespace: &str, limit: u64) -> Self {
        let discover = Discover { namespace: Some(namespace.into()), limit: Some(limit) };
        Self { kind: Some(Kind::Discover.into()), discover: Some(discover), ..Self::default() }
    }

    /// How long the registration lasts, from an answer to [`Message::register`], else the status of the refusal.
    pub(super) fn registered(self) -> Result<Result<u64, i32>, Unexpected> {
        let response = self.register_response.ok_or(Unexpected)?;
        match response.status.unwrap_or(OK) {
            OK => response.ttl.map(Ok).ok_or(Unexpected),
            refusal => Ok(Err(refusal)),
        }
    }

    /// Who is registered, from an answer to [`Message::discover`], else the status of the refusal. Records that do not verify are left out.
    pub(super) fn discovered(self) -> Result<Result<Vec<PeerRecord>, i32>, Unexpected> {
        let response = self.discover_response.ok_or(Unexpected)?;
        match response.status.unwrap_or(OK) {
            OK => {
                Ok(Ok(response.registrations.into_iter().filter_map(|registration| verified(&registration)).collect()))
            }
            refusal => Ok(Err(refusal)),
        }
    }

    /// Sends the message.
    pub(super) async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        stream.write_all(&self.encode_length_delimited_to_vec()).await?;
        stream.flush().await
    }

    /// Reads a message; memory follows what arrives.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let length = read_length(stream).await?;
        if length > ANSWER_LENGTH {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
        let mut bytes = Vec::new();
        stream.take(length).read_to_end(&mut bytes).await?;
        if bytes.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Self::decode(bytes.as_slice()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// The server answered with something else.
#[derive(Debug)]
pub(super) struct Unexpected;

fn verified(registration: &Register) -> Option<PeerRecord> {
    let envelope = SignedEnvelope::from_protobuf_encoding(registration.signed_peer_record.as_ref()?).ok()?;
    PeerRecord::from_signed_envelope(envelope).ok()
}

/// An unsigned varint of at most 4 bytes, which is more than the longest answer needs.
async fn read_length(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let byte = stream.read_u8().await?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the length of the answer is invalid"))
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    async fn read(bytes: &[u8]) -> io::Result<Message> {
        let mut bytes = bytes;
        Message::read(&mut bytes).await
    }

    fn key() -> Keypair {
        Keypair::ed25519_from_bytes([7; 32]).unwrap()
    }

    #[tokio::test]
    async fn a_message_is_what_it_was_after_writing_and_reading() {
        let record = PeerRecord::new(&key(), vec!["/ip4/203.0.113.1/tcp/1".parse().unwrap()]).unwrap();
        for message in [
            Message::register("a place", record, Duration::from_secs(60)),
            Message::unregister("a place"),
            Message::discover("a place", 16),
        ] {
            let mut bytes = Vec::new();
            message.write(&mut bytes).await.unwrap();
            assert_eq!(read(&bytes).await.unwrap(), message);
            for end in 0..bytes.len() {
                assert!(read(&bytes[..end]).await.is_err());
            }
        }
    }

    #[tokio::test]
    async fn the_bytes_are_those_of_the_protocol() {
        let mut bytes = Vec::new();
        Message::discover("ab", 16).write(&mut bytes).await.unwrap();
        assert_eq!(bytes, [10, 0x08, 3, 0x2a, 6, 0x0a, 2, b'a', b'b', 0x10, 16]);
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_bound() {
        let most = [0x80, 0x80, 0x40];
        let error = read(&most).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let more = [0x81, 0x80, 0x40];
        assert_eq!(read(&more).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let endless = [0x80; 16];
        assert_eq!(read(&endless).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn an_answer_of_another_kind_is_unexpected() {
        assert!(Message::discover("a", 1).registered().is_err());
        assert!(Message::discover("a", 1).discovered().is_err());
        let empty = RegisterResponse { status: None, ttl: None };
        assert!(Message { register_response: Some(empty), ..Message::default() }.registered().is_err());
        let refused = RegisterResponse { status: Some(102), ttl: None };
        let refused = Message { register_response: Some(refused), ..Message::default() };
        assert!(matches!(refused.registered(), Ok(Err(102))));
    }

    #[test]
    fn records_that_do_not_verify_are_left_out() {
        let good = PeerRecord::new(&key(), Vec::new()).unwrap().into_signed_envelope().into_protobuf_encoding();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        let with =
            |record: Option<Vec<u8>>| Register { namespace: None, signed_peer_record: record, ttl: Some(u64::MAX) };
        let registrations = vec![with(Some(good)), with(Some(bad)), with(Some(vec![1, 2, 3])), with(None)];
        let response = DiscoverResponse { registrations, status: None };
        let message = Message { discover_response: Some(response), ..Message::default() };
        let found = message.discovered().unwrap().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].peer_id(), key().public().to_peer_id());
    }
}
