//! Hints: "there is something for you at the backbone" (specification, section 8).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use swarm::Connection;
use tokio::sync::mpsc;
use tokio::time::timeout;
use transport::peer::{Conversation, INBOX_PROTOCOL, SendHint};
use transport::wire::Address;

use super::drive::exchange;
use super::network::Shared;

/// Identities that wait to be told. Further ones are not told.
pub(super) const HINT_QUEUE: usize = 64;

/// How long a device may take for a hint.
const HINT_LIMIT: Duration = Duration::from_secs(2);

/// Tells one identity after the other, all its connected devices at the same time.
pub(super) async fn send_all(shared: Arc<Shared>, mut queue: mpsc::Receiver<Address>) {
    while let Some(address) = queue.recv().await {
        let now = shared.time.now().time;
        let devices = shared.connections.best_of_each().into_iter();
        let devices = devices.filter(|(_, channel)| channel.caller(now) == Some(&address));
        // One that does not take it in time learns of it at its next synchronization, and keeps nobody else waiting.
        join_all(devices.map(|(entry, _)| timeout(HINT_LIMIT, send(&shared, entry.connection)))).await;
    }
}

async fn send(shared: &Shared, connection: Connection) {
    // A stream that is lost costs the peer a later synchronization.
    let Ok(stream) = connection.open(INBOX_PROTOCOL).await else { return };
    let conversation = Conversation::new(SendHint::new(), shared.time.now().instant);
    if let Err(ended) = exchange(stream, conversation, &shared.time).await {
        tracing::debug!(peer = %connection.peer(), error = %ended.error, "a peer does not take a hint");
    }
}
