//! `enlace share --notify`: says when the file was fetched, until nobody else can fetch it.

use std::time::Duration;

use runtime::dto::{Token, TokenStatus, TokenTerms};
use runtime::{Event, EventReceiver, TokenId};
use serde::Serialize;

use crate::access::Access;
use crate::code::Kind;
use crate::failure::Failure;
use crate::output::Output;

/// How often the backbone is asked how often the token was used.
pub(super) const INTERVAL: Duration = Duration::from_secs(3);

/// What has become of a token, in the words that scripts get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
enum Notice {
    /// Somebody loads the file; whether it has arrived is not known yet.
    #[serde(rename_all = "camelCase")]
    Loading { token: TokenId, uses: u32, max_downloads: Option<u32> },
    /// Somebody has loaded it.
    #[serde(rename_all = "camelCase")]
    Fetched { token: TokenId, uses: u32, max_downloads: Option<u32> },
    /// This node has sent it to its last byte.
    Sent { token: TokenId, by: Option<String>, bytes: u64 },
    /// Nobody else can load it.
    End { token: TokenId, status: TokenStatus },
}

impl Notice {
    fn text(&self) -> String {
        let of = |most: &Option<u32>| most.map_or_else(String::new, |most| format!(" of {most}"));
        match self {
            Self::Loading { uses, max_downloads, .. } => {
                format!("somebody is loading the file: use {uses}{}", of(max_downloads))
            }
            Self::Fetched { uses, max_downloads, .. } => {
                format!("the file was fetched: use {uses}{}", of(max_downloads))
            }
            Self::Sent { by: Some(by), bytes, .. } => format!("sent to {by} directly: {bytes} bytes"),
            Self::Sent { by: None, bytes, .. } => format!("sent directly: {bytes} bytes"),
            Self::End { status, .. } => match status {
                TokenStatus::Exhausted => "the file was fetched as often as it can be".to_owned(),
                TokenStatus::Revoked => "the reference was revoked".to_owned(),
                _ => "the reference has expired".to_owned(),
            },
        }
    }

    fn tell(&self, output: Output) {
        output.event(self);
        output.talk(self.text());
    }
}

/// Uses of a token that are waited for.
pub(super) struct Watch<'a> {
    access: &'a Access,
    token: Token,
    /// Whether a backbone counts: it knows nothing of what is shared without it.
    is_counted: bool,
    events: Option<EventReceiver>,
}

impl<'a> Watch<'a> {
    /// From now on.
    pub(super) fn new(access: &'a Access, token: Token, is_counted: bool) -> Self {
        let events = match access {
            Access::Here(node) => Some(node.runtime.events()),
            Access::There { .. } => None,
        };
        Self { access, token, is_counted, events }
    }

    /// Says what happens, until nobody else can load the file.
    ///
    /// # Errors
    /// A failure if the backbone does not tell uses, or the token is not there any more.
    pub(super) async fn follow(mut self, interval: Duration, output: Output) -> Result<(), Failure> {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut seen, mut is_silent) = (Seen::default(), false);
        loop {
            tokio::select! {
                _ = ticks.tick(), if self.is_counted => match self.access.token_terms(self.token.id.as_str()).await {
                    Ok(terms) => {
                        is_silent = false;
                        let notices = seen.notices(&self.token.id, &terms);
                        notices.iter().for_each(|notice| notice.tell(output));
                        if matches!(notices.last(), Some(Notice::End { .. })) {
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

/// What was told of the uses already.
#[derive(Debug, Default)]
struct Seen {
    committed: u32,
    begun: u32,
}

impl Seen {
    /// What is new.
    fn notices(&mut self, id: &TokenId, terms: &TokenTerms) -> Vec<Notice> {
        let (max_downloads, begun) = (terms.max_uses, terms.committed_uses.saturating_add(terms.leased_uses));
        let mut notices = Vec::new();
        if begun > self.begun && terms.leased_uses > 0 {
            notices.push(Notice::Loading { token: id.clone(), uses: begun, max_downloads });
        }
        if terms.committed_uses > self.committed {
            notices.push(Notice::Fetched { token: id.clone(), uses: terms.committed_uses, max_downloads });
        }
        // A use that is given back may begin again.
        (self.committed, self.begun) = (terms.committed_uses, begun);
        let is_over = match terms.status {
            TokenStatus::Expired | TokenStatus::Revoked => true,
            // What is being loaded is waited for.
            TokenStatus::Exhausted => terms.leased_uses == 0,
            TokenStatus::Active | TokenStatus::NotYetValid | TokenStatus::Locked => false,
        };
        notices.extend(is_over.then(|| Notice::End { token: id.clone(), status: terms.status }));
        notices
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn terms(status: TokenStatus, committed: u32, leased: u32) -> TokenTerms {
        let value = json!({
            "status": status, "expiresAt": "2030-01-01T00:00:00.000Z", "maxUses": 2, "committedUses": committed,
            "leasedUses": leased, "failedAttempts": 0
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_use_is_told_when_it_begins_and_when_it_ends_and_the_last_one_ends_it() {
        let id: TokenId = "TOKabcdefghijklmno12".parse().unwrap();
        let mut seen = Seen::default();
        let mut told = |status, committed, leased| -> Vec<String> {
            seen.notices(&id, &terms(status, committed, leased)).iter().map(Notice::text).collect()
        };
        let (active, exhausted) = (TokenStatus::Active, TokenStatus::Exhausted);
        assert!(told(active, 0, 0).is_empty());
        assert_eq!(told(active, 0, 1), ["somebody is loading the file: use 1 of 2"]);
        assert!(told(active, 0, 1).is_empty(), "once");
        assert_eq!(told(active, 1, 0), ["the file was fetched: use 1 of 2"]);
        assert_eq!(told(exhausted, 1, 1), ["somebody is loading the file: use 2 of 2"], "it is waited for");
        let end = ["the file was fetched: use 2 of 2", "the file was fetched as often as it can be"];
        assert_eq!(told(exhausted, 2, 0), end);
        assert_eq!(told(TokenStatus::Revoked, 2, 0), ["the reference was revoked"]);
    }

    #[test]
    fn scripts_get_members() {
        let token: TokenId = "TOKabcdefghijklmno12".parse().unwrap();
        let fetched = Notice::Fetched { token: token.clone(), uses: 1, max_downloads: Some(1) };
        let expected = json!({ "event": "fetched", "token": token, "uses": 1, "maxDownloads": 1 });
        assert_eq!(serde_json::to_value(fetched).unwrap(), expected);
        let end = Notice::End { token: token.clone(), status: TokenStatus::Exhausted };
        assert_eq!(
            serde_json::to_value(end).unwrap(),
            json!({ "event": "end", "token": token, "status": "exhausted" })
        );
    }
}
