//! Bytes on the streams of a relay. libp2p does not say how many a relayed connection carries.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::{AsyncRead, AsyncWrite};
use libp2p::core::Transport as _;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox};

use crate::transport::Carrier;

/// What all streams together have carried.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The same transport, whose streams are counted.
pub(crate) fn counted(carrier: Carrier, traffic: Arc<Traffic>) -> Carrier {
    let count = move |inner| StreamMuxerBox::new(Counted { inner, traffic: Arc::clone(&traffic) });
    carrier.map(move |(peer, muxer), _| (peer, count(muxer))).boxed()
}

/// A connection, or a stream on one, that is counted.
struct Counted<T> {
    inner: T,
    traffic: Arc<Traffic>,
}

impl<T: Unpin> Counted<T> {
    fn inner(self: Pin<&mut Self>) -> Pin<&mut T> {
        Pin::new(&mut self.get_mut().inner)
    }

    fn stream<S>(&self, inner: S) -> Counted<S> {
        Counted { inner, traffic: Arc::clone(&self.traffic) }
    }
}

impl StreamMuxer for Counted<StreamMuxerBox> {
    type Substream = Counted<SubstreamBox>;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, io::Error>> {
        self.as_mut().inner().poll_inbound(cx).map_ok(|stream| self.stream(stream))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, io::Error>> {
        self.as_mut().inner().poll_outbound(cx).map_ok(|stream| self.stream(stream))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        self.inner().poll_close(cx)
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, io::Error>> {
        self.inner().poll(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = self.as_mut().inner().poll_read(cx, buffer);
        count(&self.traffic.received, read)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let read = self.as_mut().inner().poll_read_vectored(cx, buffers);
        count(&self.traffic.received, read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.as_mut().inner().poll_write(cx, bytes);
        count(&self.traffic.sent, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.as_mut().inner().poll_write_vectored(cx, bytes);
        count(&self.traffic.sent, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_close(cx)
    }
}

fn count(counter: &AtomicU64, moved: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
    if let Poll::Ready(Ok(bytes)) = &moved {
        counter.fetch_add(*bytes as u64, Ordering::Relaxed);
    }
    moved
}
