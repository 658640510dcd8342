//! The end of connections over TCP and relays, in time: what was written last waits for a peer that may be gone. (QUIC closes at once.)

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use tokio::time::{Sleep, sleep};

/// How long a connection may take to close. Until then it has its place among all connections.
pub(crate) const CLOSE_TIME: Duration = Duration::from_secs(5);

/// A connection that is broken off when it has not closed within [`CLOSE_TIME`].
pub(crate) struct ClosedInTime<M> {
    inner: M,
    /// Once it is closing.
    end: Option<Pin<Box<Sleep>>>,
}

impl<M: Unpin> ClosedInTime<M> {
    pub(crate) fn new(inner: M) -> Self {
        Self { inner, end: None }
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut M> {
        Pin::new(&mut self.get_mut().inner)
    }
}

impl<M: StreamMuxer<Error = io::Error> + Unpin> StreamMuxer for ClosedInTime<M> {
    type Substream = M::Substream;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
        self.inner().poll_inbound(cx)
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
        self.inner().poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(closed) = self.as_mut().inner().poll_close(cx) {
            return Poll::Ready(closed);
        }
        let end = self.get_mut().end.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIME)));
        ready!(end.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.inner().poll(cx)
    }
}
