//! A content that leaves by the path for which it was granted, and by no other.

use std::ops::Range;

use bytes::Bytes;
use swarm::{Connection, PathKind};
use transport::peer::{Content, Refusal, Via};

/// How a connection gets to the peer now.
pub(super) fn via(connection: &Connection) -> Via {
    of_kind(connection.path())
}

fn of_kind(kind: PathKind) -> Via {
    match kind {
        PathKind::Lan | PathKind::Direct | PathKind::Punched => Via::Direct,
        PathKind::Relayed => Via::Relay,
    }
}

/// A content whose connection may turn out to take another path, for which the terms of its token may say something else. It ends then: who
/// asks again is answered by the new path.
pub(super) struct OnPath<C, V> {
    content: C,
    granted: Via,
    via: V,
}

impl<C, V: Fn() -> Via> OnPath<C, V> {
    /// A content that was granted for a path. `via` says which one is taken now.
    pub(super) fn new(content: C, granted: Via, via: V) -> Self {
        Self { content, granted, via }
    }
}

impl<C: Content, V: Fn() -> Via + Send> Content for OnPath<C, V> {
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, Refusal> {
        let bytes = self.content.read(range).await?;
        // Reading takes time.
        if (self.via)() == self.granted { Ok(bytes) } else { Err(Refusal::Unavailable) }
    }

    fn was_sent(&mut self, length: u64) {
        self.content.was_sent(length);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::peer::testing::Bytewise;

    #[test]
    fn only_a_relay_is_no_direct_path() {
        let kinds = [PathKind::Lan, PathKind::Direct, PathKind::Punched, PathKind::Relayed];
        assert_eq!(kinds.map(of_kind), [Via::Direct, Via::Direct, Via::Direct, Via::Relay]);
    }

    #[tokio::test]
    async fn nothing_leaves_by_another_path_than_the_one_that_was_granted() {
        let is_relayed = AtomicBool::new(true);
        let via = || if is_relayed.load(Ordering::Relaxed) { Via::Relay } else { Via::Direct };
        let mut content = OnPath::new(Bytewise(Bytes::from_static(b"abcd")), Via::Relay, via);
        assert_eq!(content.read(0..2).await, Ok(Bytes::from_static(b"ab")));
        is_relayed.store(false, Ordering::Relaxed);
        assert_eq!(content.read(2..4).await, Err(Refusal::Unavailable));
        is_relayed.store(true, Ordering::Relaxed);
        assert_eq!(content.read(2..4).await, Ok(Bytes::from_static(b"cd")));
    }
}
