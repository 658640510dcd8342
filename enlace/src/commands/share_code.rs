//! `enlace share --code`: a reference is passed on by a code that a person can say.

use std::path::Path;

use runtime::{CodeEnd, DEFAULT_CODE_LIFETIME, OfferedCode};
use serde_json::json;

use super::next_steps::shell_word;
use crate::access::Access;
use crate::failure::Failure;
use crate::home::leads_to_this_machine;
use crate::output::Output;

/// Offers a reference under a new code.
///
/// # Errors
/// A failure if the node has no peers, or another process is asked.
pub(super) fn offer(access: &Access, reference: &str) -> Result<OfferedCode, Failure> {
    match access {
        Access::Here(node) => Ok(node.runtime.peers().offer_code(reference, DEFAULT_CODE_LIFETIME)?),
        Access::There { .. } => Err(Failure::usage("a running process cannot be asked for a code")),
    }
}

/// Shows a code and how it is used at a node with this backbone.
pub(super) fn show(code: &OfferedCode, backbone_url: &str, output: Output) {
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
pub(super) async fn follow(mut code: OfferedCode, output: Output) {
    let end = code.taken().await;
    output.event(&json!({ "code": ended(end) }));
    match end {
        CodeEnd::Taken { fingerprint } => output.talk(format!(
            "the code was used; the receiver has to see the same fingerprint: {fingerprint}\n\
             if it is another one, somebody is in between: revoke the reference"
        )),
        CodeEnd::Interrupted => output
            .warning("somebody used the code, but the connection broke before the reference was sent", ANOTHER_CODE),
        CodeEnd::Burned => output.warning(
            "somebody tried a wrong code, so this one has ended; nobody has got the reference by it",
            ANOTHER_CODE,
        ),
        CodeEnd::Expired => output.warning("the code has expired; nobody has used it", ANOTHER_CODE),
        _ => {}
    }
}

/// No code is made by itself: each one is a chance to guess.
const ANOTHER_CODE: &str = "for a new code, end this command and run it again; the reference can still be used";

fn ended(end: CodeEnd) -> serde_json::Value {
    match end {
        CodeEnd::Taken { fingerprint } => json!({ "end": "taken", "fingerprint": fingerprint.to_string() }),
        CodeEnd::Interrupted => json!({ "end": "interrupted" }),
        CodeEnd::Burned => json!({ "end": "burned" }),
        CodeEnd::Expired => json!({ "end": "expired" }),
        _ => json!({ "end": "withdrawn" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receiver_asks_a_backbone_that_both_can_reach() {
        assert_eq!(at_backbone("https://b.example.org/x"), " --backbone https://b.example.org/x");
        for here in ["http://localhost:4710", "http://127.0.0.1:4710", "http://[::1]:4710"] {
            assert_eq!(at_backbone(here), "", "{here}");
        }
    }
}
