//! Accepting connections, and letting go of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::impatient::{Busy, Impatient};
use super::pipeline;
use crate::core::Core;
use crate::web::peer::PeerAddress;

/// How long requests may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(5);
/// After an error such as too many open files, trying again at once is pointless.
const PAUSE_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(50);

/// Serves until `stop` turns true or its sender is dropped; then finishes what is under way.
pub(crate) async fn serve(listener: TcpListener, core: Arc<Core>, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(core.config.limits.max_connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let peer = PeerAddress(peer.ip());
                connections.spawn(converse(stream, peer, place, core.clone(), router.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE_AFTER_ACCEPT_ERROR).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    core.hub.close();
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::warn!("requests were still running, they are cut off");
        connections.shutdown().await;
    }
}

/// Waits for a free place first, so that surplus connections queue in the operating system.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

async fn converse(
    stream: TcpStream,
    peer: PeerAddress,
    _place: OwnedSemaphorePermit,
    core: Arc<Core>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let limits = &core.config.limits;
    let busy = Busy::default();
    let io = TokioIo::new(Impatient::new(stream, busy.clone(), limits.header_timeout, limits.body_timeout));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.idle_timeout);
    let service = service_fn(|mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let (core, router, guard) = (core.clone(), router.clone(), busy.begin());
        async move {
            let answer = pipeline::answer(core, router, request.map(axum::body::Body::new)).await;
            drop(guard);
            answer
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    // Errors are the peer's: it broke off, or spoke no HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
