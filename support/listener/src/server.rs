//! A running server, from its address to its last answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use bytes::Buf;
use http::{Request, Response};
use hyper::body::Body;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::BoxError;
use crate::close::RequestBody;
use crate::serve::{Limits, serve};
use crate::socket::Listener;

/// A running server. Dropping it closes all connections at once; [`Server::shutdown`] lets running requests end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers with `service` whatever comes to the listener, within the limits.
    ///
    /// The service finds [`Peer`](crate::Peer) and [`RequestHandle`](crate::RequestHandle) among the extensions of a
    /// request. An error of the service breaks the connection off.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start<S, F, B, E>(listener: Listener, limits: Limits, service: S) -> Self
    where
        S: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body + Unpin + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<BoxError>,
        E: Into<BoxError> + 'static,
    {
        let address = listener.local_addr();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, limits, service, stopped));
        Self { address, stop, task: Some(task) }
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://<address>`. A server that listens at all addresses is named by the one that this machine has on its network.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Turns true when the server is told to stop: for tasks that end with it.
    #[must_use]
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Accepts nothing more. Idle connections end at once, running requests within the grace of [`Limits`].
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// [`Server::stop`], and waits until the last connection is closed.
    pub async fn shutdown(mut self) {
        self.stop();
        if let Some(task) = self.task.take() {
            // The task ends by itself within the grace period; that it panicked is logged where it happened.
            let _ = task.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn url(bound: SocketAddr) -> String {
    let ip = if bound.ip().is_unspecified() { own_address(bound.ip()) } else { bound.ip() };
    format!("http://{}", SocketAddr::new(ip, bound.port()))
}

/// The address of this machine that leads to other networks, else its loopback address.
fn own_address(unspecified: IpAddr) -> IpAddr {
    // Addresses for documentation: a datagram socket is only given a route, nothing is sent.
    let outside = match unspecified {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let routed = UdpSocket::bind((unspecified, 0)).and_then(|socket| {
        socket.connect((outside, 9))?;
        socket.local_addr()
    });
    match (routed, unspecified) {
        (Ok(address), _) if !address.ip().is_unspecified() => address.ip(),
        (_, IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
        // It listens at the addresses of version 4 as well.
        (_, IpAddr::V6(_)) => match own_address(Ipv4Addr::UNSPECIFIED.into()) {
            address if address.is_loopback() => Ipv6Addr::LOCALHOST.into(),
            address => address,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_those_of_the_bound_address_or_of_one_that_others_can_use() {
        for text in ["127.0.0.2:8080", "[::1]:8080", "192.0.2.7:80"] {
            assert_eq!(url(text.parse().unwrap()), format!("http://{text}"));
        }
        for text in ["0.0.0.0:8080", "[::]:8080"] {
            let url = url(text.parse().unwrap());
            assert!(url.ends_with(":8080") && !url.contains(text.trim_end_matches(":8080")), "{url}");
        }
    }
}
