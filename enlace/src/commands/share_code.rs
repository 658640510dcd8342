//! `enlace share --code`: a reference is passed on by a code that a person can say.

use std::path::Path;

use runtime::{CodeEnd, DEFAULT_CODE_LIFETIME, OfferedCode, leads_to_this_machine};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::next_steps::shell_word;
use crate::access::Access;
use crate::failure::Failure;
use crate::output::Output;
use crate::rest_lines::Lines;

/// A code that waits for its receiver. Dropping it withdraws it.
pub(super) enum Offer {
    /// At the node in this process.
    Here(OfferedCode),
    /// At that of another one.
    There {
        /// The code.
        code: String,
        /// Says how it ends.
        lines: Lines,
    },
}

/// How a code has ended, in the words that scripts get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "lowercase")]
enum End {
    Taken {
        fingerprint: String,
    },
    Interrupted,
    Burned,
    Expired,
    #[serde(other)]
    Withdrawn,
}

/// Offers a reference under a new code.
///
/// # Errors
/// A failure if the node has no peers, or offers as many codes as it may.
pub(super) async fn offer(access: &Access, reference: &str) -> Result<Offer, Failure> {
    match access {
        Access::Here(node) => Ok(Offer::Here(node.runtime.peers().offer_code(reference, DEFAULT_CODE_LIFETIME)?)),
        Access::There { client, .. } => {
            let (code, lines) = client.offer_code(reference).await?;
            Ok(Offer::There { code, lines })
        }
    }
}

impl Offer {
    /// The code.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Here(code) => code.text(),
            Self::There { code, .. } => code,
        }
    }

    /// Waits until it has ended. What ends it with the process that offers it counts as withdrawn.
    async fn end(&mut self) -> End {
        match self {
            Self::Here(code) => code.taken().await.into(),
            Self::There { lines, .. } => lines.next().await.unwrap_or(End::Withdrawn),
        }
    }
}

impl From<CodeEnd> for End {
    fn from(end: CodeEnd) -> Self {
        match end {
            CodeEnd::Taken { fingerprint } => Self::Taken { fingerprint: fingerprint.to_string() },
            CodeEnd::Interrupted => Self::Interrupted,
            CodeEnd::Burned => Self::Burned,
            CodeEnd::Expired => Self::Expired,
            _ => Self::Withdrawn,
        }
    }
}

/// Shows a code and how it is used at a node with this backbone.
pub(super) fn show(code: &Offer, backbone_url: &str, output: Output) {
    let (text, minutes) = (code.text(), DEFAULT_CODE_LIFETIME.as_secs() / 60);
    let command = format!("enlace receive {text}{}", at_backbone(backbone_url));
    output.talk(format!("\n    {text}\n\non the other machine, within {minutes} minutes: {command}"));
}

/// The option that leads the receiver to the rendezvous server of a backbone that both can reach.
fn at_backbone(url: &str) -> String {
    match leads_to_this_machine(url) {
        true => String::new(),
        false => format!(" --backbone {}", shell_word(Path::new(url))),
    }
}

/// Waits until a code has ended, and says how.
pub(super) async fn follow(mut code: Offer, output: Output) {
    let end = code.end().await;
    output.event(&json!({ "code": end }));
    match end {
        End::Taken { fingerprint } => output.talk(format!(
            "the code was used; the receiver has to see the same fingerprint: {fingerprint}\n\
             if it is another one, somebody is in between: revoke the reference"
        )),
        End::Interrupted => output
            .warning("somebody used the code, but the connection broke before the reference was sent", ANOTHER_CODE),
        End::Burned => output.warning(
            "somebody tried a wrong code, so this one has ended; nobody has got the reference by it",
            ANOTHER_CODE,
        ),
        End::Expired => output.warning("the code has expired; nobody has used it", ANOTHER_CODE),
        End::Withdrawn => output.warning("the node has stopped, so the code has ended", ANOTHER_CODE),
    }
}

/// No code is made by itself: each one is a chance to guess.
const ANOTHER_CODE: &str = "for a new code, end this command and run it again; the reference can still be used";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_written_as_they_are_read() {
        for (end, expected) in [
            (End::Taken { fingerprint: "1 2".to_owned() }, json!({ "end": "taken", "fingerprint": "1 2" })),
            (End::Interrupted, json!({ "end": "interrupted" })),
            (End::Burned, json!({ "end": "burned" })),
            (End::Expired, json!({ "end": "expired" })),
            (End::Withdrawn, json!({ "end": "withdrawn" })),
        ] {
            assert_eq!(serde_json::to_value(&end).unwrap(), expected);
            assert_eq!(serde_json::from_value::<End>(expected).unwrap(), end);
        }
        assert_eq!(serde_json::from_value::<End>(json!({ "end": "later" })).unwrap(), End::Withdrawn);
    }

    #[test]
    fn the_receiver_asks_a_backbone_that_both_can_reach() {
        assert_eq!(at_backbone("https://b.example.org/x"), " --backbone https://b.example.org/x");
        for here in ["http://localhost:4710", "http://127.0.0.1:4710", "http://[::1]:4710"] {
            assert_eq!(at_backbone(here), "", "{here}");
        }
    }
}
