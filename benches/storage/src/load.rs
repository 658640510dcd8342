//! Clients that repeat a request, each on its own connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;
use crate::connection::{Connection, Request};

/// When the clients stop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this time; requests in flight are completed and counted.
    Elapsed(Duration),
    /// After this total number of requests.
    Count(u64),
}

/// Connections to one server, ready to send.
#[derive(Debug)]
pub struct Clients {
    connections: Vec<Connection>,
    request: Arc<Request>,
}

/// Rate and latencies.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Number of answered requests.
    pub count: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Requests per second.
    pub rate: f64,
    /// Median latency in microseconds.
    pub p50: u32,
    /// 90th percentile of the latency in microseconds.
    pub p90: u32,
    /// 99th percentile of the latency in microseconds.
    pub p99: u32,
}

impl Clients {
    /// Connects. `authority` is `host:port`.
    ///
    /// # Errors
    /// If a connection fails.
    pub async fn connect(authority: &str, count: usize, request: Request) -> Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Connection::open(authority).await?);
        }
        Ok(Self { connections, request: Arc::new(request) })
    }

    /// Repeats the request on all connections.
    ///
    /// # Errors
    /// If a connection breaks or an answer is not a success.
    pub async fn run(&mut self, until: Until) -> Result<Seen> {
        let (deadline, limit) = match until {
            Until::Elapsed(time) => (Some(Instant::now() + time), u64::MAX),
            Until::Count(count) => (None, count),
        };
        let started = Instant::now();
        let taken = Arc::new(AtomicU64::new(0));
        let mut clients = tokio::task::JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (request, taken) = (self.request.clone(), taken.clone());
            clients.spawn(async move {
                let mut latencies: Vec<u32> = Vec::new();
                while deadline.is_none_or(|deadline| Instant::now() < deadline)
                    && taken.fetch_add(1, Ordering::Relaxed) < limit
                {
                    let sent = Instant::now();
                    let answer = connection.discard(&request).await?;
                    latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
                    if !(200..300).contains(&answer.status) {
                        return Err(format!("a request was answered with {}", answer.status).into());
                    }
                }
                Ok::<_, crate::Error>((connection, latencies))
            });
        }
        let mut latencies = Vec::new();
        while let Some(client) = clients.join_next().await {
            let (connection, of_client) = client??;
            self.connections.push(connection);
            latencies.extend(of_client);
        }
        Ok(Seen::of(latencies, started.elapsed()))
    }
}

impl Seen {
    fn of(mut latencies: Vec<u32>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        let percentile = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or(0);
        let (count, seconds) = (latencies.len() as u64, elapsed.as_secs_f64());
        let (p50, p90, p99) = (percentile(50), percentile(90), percentile(99));
        Self { count, seconds, rate: count as f64 / seconds, p50, p90, p99 }
    }
}
