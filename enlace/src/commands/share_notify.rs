//! `enlace share --notify`: says when the reference was used, until nobody else can use it and what was begun has ended.

use std::time::Duration;

use futures_util::FutureExt as _;
use runtime::dto::{Token, TokenStatus, TokenTerms};
use runtime::{Event, EventReceiver, TokenId};
use serde::Serialize;
use tokio::time::Instant;

use crate::access::Access;
use crate::code::Kind;
use crate::failure::Failure;
use crate::output::Output;

/// How often the backbone is asked how often the token was used.
pub(super) const INTERVAL: Duration = Duration::from_secs(3);

/// How long nothing must have been loaded from a backbone that ends with this process after a use whose receiver does not tell when it has
/// the file. Clients of the published protocol read the token first, and ask for the file then.
const QUIET: Duration = Duration::from_secs(60);

/// What has become of a token, in the words that scripts get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
enum Notice {
    /// Somebody loads the file; whether it has arrived is not known yet.
    #[serde(rename_all = "camelCase")]
    Loading { token: TokenId, uses: u32, max_downloads: Option<u32> },
    /// It was used: what counts does not tell whether the file has arrived.
    #[serde(rename_all = "camelCase")]
    Used { token: TokenId, uses: u32, max_downloads: Option<u32> },
    /// This node has sent all of it to a receiver.
    Sent { token: TokenId, by: Option<String>, bytes: u64 },
    /// Nobody else can load it; what was begun is waited for.
    Ending { token: TokenId, status: TokenStatus },
    /// Nobody else can load it, and nothing is waited for.
    End { token: TokenId, status: TokenStatus },
}

impl Notice {
    fn text(&self) -> String {
        let of = |most: &Option<u32>| most.map_or_else(String::new, |most| format!(" of {most}"));
        match self {
            Self::Loading { uses, max_downloads, .. } => {
                format!("somebody is loading the file: use {uses}{}", of(max_downloads))
            }
            Self::Used { uses, max_downloads, .. } => {
                format!("the reference was used: use {uses}{}", of(max_downloads))
            }
            Self::Sent { by: Some(by), bytes, .. } => format!("sent to {by} directly: {bytes} bytes"),
            Self::Sent { by: None, bytes, .. } => format!("sent directly: {bytes} bytes"),
            Self::Ending { status, .. } => format!("{}; waiting for transfers to end", over(*status)),
            Self::End { status, .. } => over(*status).to_owned(),
        }
    }

    fn tell(&self, output: Output) {
        output.event(self);
        output.talk(self.text());
    }
}

/// Why nobody else can load a file.
fn over(status: TokenStatus) -> &'static str {
    match status {
        TokenStatus::Exhausted => "the reference was used as often as it can be",
        TokenStatus::Revoked => "the reference was revoked",
        _ => "the reference has expired",
    }
}

/// Uses of a token that are waited for.
pub(super) struct Watch<'a> {
    access: &'a Access,
    token: Token,
    events: Option<EventReceiver>,
}

impl<'a> Watch<'a> {
    /// From now on.
    pub(super) fn new(access: &'a Access, token: Token) -> Self {
        let events = match access {
            Access::Here(node) => Some(node.runtime.events()),
            Access::There { .. } => None,
        };
        Self { access, token, events }
    }

    /// Says what happens, until nobody else can load the file and nobody is loading it.
    ///
    /// # Errors
    /// A failure if the backbone does not tell uses, or the token is not there any more.
    pub(super) async fn follow(mut self, interval: Duration, output: Output) -> Result<(), Failure> {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut seen, mut is_silent) = (Seen::new(Instant::now()), false);
        loop {
            tokio::select! {
                _ = ticks.tick() => match self.access.token_terms(self.token.id.as_str()).await {
                    Ok(terms) => {
                        is_silent = false;
                        let transfers = Transfers::of(self.access, &self.token.id).await;
                        let notices = seen.notices(&self.token.id, &terms, transfers, Instant::now());
                        let is_over = matches!(notices.last(), Some(Notice::End { .. }));
                        while is_over && let Some(sent) = sent(&mut self.events, &self.token.id).now_or_never() {
                            sent.tell(output);
                        }
                        notices.iter().for_each(|notice| notice.tell(output));
                        if is_over {
                            return Ok(());
                        }
                    }
                    Err(failure) if matches!(failure.kind, Kind::Network) => {
                        if !std::mem::replace(&mut is_silent, true) {
                            output.talk(format!("{failure}; asking again"));
                        }
                    }
                    Err(failure) => return Err(failure),
                },
                sent = sent(&mut self.events, &self.token.id) => sent.tell(output),
            }
        }
    }
}

/// The next time that this node has sent the file by this token. Cancel-safe.
async fn sent(events: &mut Option<EventReceiver>, id: &TokenId) -> Notice {
    use tokio::sync::broadcast::error::RecvError;
    let Some(events) = events else { return std::future::pending().await };
    loop {
        match events.recv().await {
            Ok(Event::FileServed { token: Some(token), by, bytes, .. }) if token == *id => {
                return Notice::Sent { token, by: by.map(|by| by.to_string()), bytes };
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// What would end with this process.
#[derive(Debug, Clone, Copy, Default)]
struct Transfers {
    /// Contents that the embedded backbone is sending.
    open: usize,
    /// Uses whose receivers do not tell when they have the file.
    unconfirmed: u32,
}

impl Transfers {
    /// Nothing ends if the backbone or the node is another process.
    async fn of(access: &Access, id: &TokenId) -> Self {
        let Access::Here(node) = access else { return Self::default() };
        let Some(backbone) = &node.backbone else { return Self::default() };
        let admin = backbone.admin();
        // If that cannot be read, somebody may still be loading the file.
        Self { open: admin.open_downloads(), unconfirmed: admin.unconfirmed_uses(id).await.unwrap_or(1) }
    }
}

/// What was told of the uses already.
#[derive(Debug)]
struct Seen {
    committed: u32,
    begun: u32,
    /// When something was loaded last.
    active_at: Instant,
    is_ending: bool,
}

impl Seen {
    fn new(now: Instant) -> Self {
        Self { committed: 0, begun: 0, active_at: now, is_ending: false }
    }

    /// What is new.
    fn notices(&mut self, id: &TokenId, terms: &TokenTerms, transfers: Transfers, now: Instant) -> Vec<Notice> {
        let (max_downloads, begun) = (terms.max_uses, terms.committed_uses.saturating_add(terms.leased_uses));
        let mut notices = Vec::new();
        if begun > self.begun && terms.leased_uses > 0 {
            notices.push(Notice::Loading { token: id.clone(), uses: begun, max_downloads });
        }
        if terms.committed_uses > self.committed {
            notices.push(Notice::Used { token: id.clone(), uses: terms.committed_uses, max_downloads });
        }
        if (terms.committed_uses, begun) != (self.committed, self.begun) || transfers.open > 0 {
            self.active_at = now;
        }
        // A use that is given back may begin again.
        (self.committed, self.begun) = (terms.committed_uses, begun);
        let is_quiet = transfers.unconfirmed == 0 || now.duration_since(self.active_at) >= QUIET;
        let is_done = terms.leased_uses == 0 && transfers.open == 0 && is_quiet;
        let (token, status) = (id.clone(), terms.status);
        match status {
            TokenStatus::Revoked => notices.push(Notice::End { token, status }),
            TokenStatus::Expired | TokenStatus::Exhausted if is_done => notices.push(Notice::End { token, status }),
            TokenStatus::Expired | TokenStatus::Exhausted => {
                if !std::mem::replace(&mut self.is_ending, true) {
                    notices.push(Notice::Ending { token, status });
                }
            }
            TokenStatus::Active | TokenStatus::NotYetValid | TokenStatus::Locked => self.is_ending = false,
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOTHING: Transfers = Transfers { open: 0, unconfirmed: 0 };

    fn terms(status: TokenStatus, committed: u32, leased: u32) -> TokenTerms {
        let value = json!({
            "status": status, "expiresAt": "2030-01-01T00:00:00.000Z", "maxUses": 2, "committedUses": committed,
            "leasedUses": leased, "failedAttempts": 0
        });
        serde_json::from_value(value).unwrap()
    }

    fn id() -> TokenId {
        "TOKabcdefghijklmno12".parse().unwrap()
    }

    #[test]
    fn each_use_is_told_when_it_begins_and_when_it_ends_and_the_last_one_ends_it() {
        let now = Instant::now();
        let mut seen = Seen::new(now);
        let mut told = |status, committed, leased| -> Vec<String> {
            seen.notices(&id(), &terms(status, committed, leased), NOTHING, now).iter().map(Notice::text).collect()
        };
        let (active, exhausted) = (TokenStatus::Active, TokenStatus::Exhausted);
        assert!(told(active, 0, 0).is_empty());
        assert_eq!(told(active, 0, 1), ["somebody is loading the file: use 1 of 2"]);
        assert!(told(active, 0, 1).is_empty(), "once");
        assert_eq!(told(active, 1, 0), ["the reference was used: use 1 of 2"]);
        let waiting = "the reference was used as often as it can be; waiting for transfers to end";
        assert_eq!(told(exhausted, 1, 1), ["somebody is loading the file: use 2 of 2", waiting]);
        assert!(told(exhausted, 1, 1).is_empty(), "once");
        let end = ["the reference was used: use 2 of 2", "the reference was used as often as it can be"];
        assert_eq!(told(exhausted, 2, 0), end);
        assert_eq!(told(TokenStatus::Revoked, 1, 1), ["the reference was revoked"], "at once");
    }

    #[test]
    fn transfers_that_would_end_with_the_process_are_waited_for() {
        let start = Instant::now();
        let is_over = |seen: &mut Seen, status, leased, transfers, at: Duration| {
            let notices = seen.notices(&id(), &terms(status, 2 - leased, leased), transfers, start + at);
            matches!(notices.last(), Some(Notice::End { .. }))
        };
        let second = Duration::from_secs(1);
        for status in [TokenStatus::Exhausted, TokenStatus::Expired] {
            let mut seen = Seen::new(start);
            assert!(!is_over(&mut seen, status, 1, NOTHING, 100 * QUIET), "a lease");
            let sending = Transfers { open: 1, unconfirmed: 0 };
            assert!(!is_over(&mut seen, status, 0, sending, 101 * QUIET), "a download");
            assert!(is_over(&mut seen, status, 0, NOTHING, 101 * QUIET));
            // A client that reads the token first and asks for the file later.
            let (mut seen, plain) = (Seen::new(start), Transfers { open: 0, unconfirmed: 1 });
            assert!(!is_over(&mut seen, status, 0, plain, second));
            assert!(!is_over(&mut seen, status, 0, plain, QUIET));
            assert!(!is_over(&mut seen, status, 0, Transfers { open: 1, ..plain }, QUIET));
            assert!(!is_over(&mut seen, status, 0, plain, 2 * QUIET - second));
            assert!(is_over(&mut seen, status, 0, plain, 2 * QUIET));
        }
    }

    #[test]
    fn scripts_get_members() {
        let token = id();
        let used = Notice::Used { token: token.clone(), uses: 1, max_downloads: Some(1) };
        let expected = json!({ "event": "used", "token": token, "uses": 1, "maxDownloads": 1 });
        assert_eq!(serde_json::to_value(used).unwrap(), expected);
        for (notice, event) in [
            (Notice::Ending { token: token.clone(), status: TokenStatus::Exhausted }, "ending"),
            (Notice::End { token: token.clone(), status: TokenStatus::Exhausted }, "end"),
        ] {
            let expected = json!({ "event": event, "token": token, "status": "exhausted" });
            assert_eq!(serde_json::to_value(notice).unwrap(), expected);
        }
    }
}
