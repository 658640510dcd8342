//! The file token that comes with a request: what is presented, and as which use the request is counted.
//!
//! Where several places have one, the query comes before `X-File-Token`, and that before `Authorization`. A secret in a header does
//! not get into the logs of proxies.

use http::{HeaderName, Method, header};
use runtime::facade::TokenUse;
use runtime::storage::{Counting, PresentedToken};

use super::arguments::invalid;
use crate::call::Call;
use crate::problem::Problem;

const FILE_TOKEN: HeaderName = HeaderName::from_static("x-file-token");
const CLAIM: HeaderName = HeaderName::from_static("x-claim");
const BEARER: &str = "bearer ";
/// In the header, instead of the id of a claim: the answer is one use. In a URL it would let every program that fetches links use one.
const ONCE: &str = "auto";

/// The token that a request for content presents.
///
/// # Errors
/// 400 for a claim that has not the form of one.
pub(super) fn token_use(call: &Call<()>) -> Result<Option<TokenUse>, Problem> {
    let Some(text) = secret(call) else { return Ok(None) };
    Ok(Some(TokenUse { token: PresentedToken::read(text), counting: counting(call)? }))
}

/// The secret that a request presents. What is not a text is a wrong one.
pub(super) fn secret(call: &Call<()>) -> Option<&str> {
    let header = |name| call.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let bearer = || {
        let (scheme, secret) = header(header::AUTHORIZATION)?.split_at_checked(BEARER.len())?;
        scheme.eq_ignore_ascii_case(BEARER).then(|| secret.trim())
    };
    let given = |text: &&str| !text.is_empty();
    call.query_value("token").filter(given).or_else(|| header(FILE_TOKEN).filter(given)).or_else(bearer).filter(given)
}

fn counting(call: &Call<()>) -> Result<Counting, Problem> {
    let given = |text: &&str| !text.is_empty();
    let header = call.headers.get(CLAIM).map(|value| value.to_str().unwrap_or("?")).filter(given);
    let counting = match header.or_else(|| call.query_value("claim").filter(given)) {
        None => Counting::Unclaimed,
        Some(text) if header.is_some() && text.eq_ignore_ascii_case(ONCE) => Counting::Once,
        Some(text) => Counting::Under(
            text.parse()
                .map_err(|_| invalid("claim", "Value must be the id of a claim, or in the header X-Claim auto"))?,
        ),
    };
    // Whoever looks under a claim is told what a request for the content under it would be.
    let is_look = call.method == Method::HEAD && !matches!(counting, Counting::Under(_));
    Ok(if is_look { Counting::Nothing } else { counting })
}
