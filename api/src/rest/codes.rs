//! Codes that a person can say. Each lives as long as the request that asks for it.

use runtime::{CodeEnd, DEFAULT_CODE_LIFETIME, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::connector::Call;
use crate::lines::lines;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// The body that asks for a code.
pub(crate) fn offering() -> Object {
    Object::new().required(
        "reference",
        ValueRule::Reference(&["TOK"]),
        "Reference of a token, truncated or as a URL. Addresses of this node are added if the receiver needs them and it has none.",
    )
}

/// A code that waits for its receiver: the first line of the answer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfferedCode {
    /// A number and two words, such as `7-amber-violin`.
    code: String,
    /// Until when it waits.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// How a code has ended: the last line of the answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndedCode {
    end: End,
    /// Of a code that was taken: to compare with what the receiver sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum End {
    /// Somebody had the code and got the reference.
    Taken,
    /// Somebody had the code, but the connection broke before the reference was sent.
    Interrupted,
    /// Somebody guessed wrong.
    Burned,
    /// Its time is over.
    Expired,
    /// The node stops.
    Withdrawn,
}

#[derive(Deserialize)]
struct Offer {
    reference: String,
}

/// `POST Codes`
pub(crate) async fn offer(mut call: Call) -> Result<Reply, Problem> {
    let Offer { reference } = call.read(&offering())?;
    let mut offered = call.runtime().peers().offer_code(&reference, DEFAULT_CODE_LIFETIME)?;
    let expires_at = call.runtime().clock().now().saturating_add(DEFAULT_CODE_LIFETIME);
    let first = OfferedCode { code: offered.text().to_owned(), expires_at };
    let stopping = call.stopping.clone();
    Ok(lines(&first, async move {
        tokio::select! {
            end = offered.taken() => EndedCode::of(end),
            () = stopping.cancelled() => EndedCode::of(CodeEnd::Withdrawn),
        }
    }))
}

impl EndedCode {
    fn of(end: CodeEnd) -> Self {
        let (end, fingerprint) = match end {
            CodeEnd::Taken { fingerprint } => (End::Taken, Some(fingerprint.to_string())),
            CodeEnd::Interrupted => (End::Interrupted, None),
            CodeEnd::Burned => (End::Burned, None),
            CodeEnd::Expired => (End::Expired, None),
            _ => (End::Withdrawn, None),
        };
        Self { end, fingerprint }
    }
}
