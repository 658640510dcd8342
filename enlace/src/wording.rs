//! The texts of the node and its backbone in the words of the command line.
//!
//! Those texts are for callers of an API: they name codes, routes and JSON properties. Codes decide what is said instead; where
//! a text is kept for its detail, only its form is changed.

use std::borrow::Cow;

/// What a person is told for a code whose own text is about HTTP, or repeats what the hint says.
pub(crate) fn message_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "error.platform.unexpected" => "the backbone answered with an error that it does not explain",
        "error.platform.unauthorized" => "the backbone refused the login",
        "error.platform.forbidden" => "the backbone does not allow this to this identity",
        "error.transport.request.notFound" => "no backbone answers at this URL",
        "error.transport.request.badRequest" => "the backbone refused the request without a reason",
        "error.transport.request.noAuthGrant" => "the backbone refused the login of this device",
        "error.transport.request.noAuthPossible" => "the backbone does not accept the OAuth client",
        "error.transport.request.resultUndefined" | "error.transport.request.unknown" => {
            "the answer cannot be read; it may not be that of a backbone"
        }
        "error.transport.request.bodyLengthExceeded" => "the answer of the backbone is larger than allowed",
        "error.transport.request.addressNotFound" => "the host name of the backbone cannot be resolved",
        "error.transport.request.aborted" => "the backbone did not answer in time",
        "error.transport.general.noIdentityFound" => "there is no identity in this data directory",
        "error.runtime.invalidReference" => "the reference leads to something else than this command loads",
        "error.runtime.invalidTokenContent" => "the token does not lead to a file",
        "error.runtime.files.notOwnedByYou" => "only the owner of the file can do this",
        "error.connector.unauthorized" => "the running node does not accept the API key",
        "error.connector.forbidden" => "the API key does not have the permission for this",
        "error.connector.tooManyUnauthorizedRequests" => "the running node was asked with wrong API keys too often",
        _ => return None,
    })
}

/// A text that is kept: without code and time, route, and JSON properties.
pub(crate) fn plain<'a>(code: &str, text: &'a str) -> Cow<'a, str> {
    let text = without_code(code, text);
    let text = without_route(text);
    let text = match text.split_once(". Make sure ") {
        // The hint says that. What follows it may be worth knowing.
        Some((what, rest)) => match rest.split_once(". ") {
            Some((_, more)) => Cow::Owned(format!("{what}. {more}")),
            None => Cow::Borrowed(what),
        },
        None => Cow::Borrowed(text),
    };
    OPTIONS.iter().fold(text, |text, (property, option)| match text.contains(property) {
        true => Cow::Owned(text.replace(property, option)),
        false => text,
    })
}

/// `error.a.b: 'why' at 2030-01-01T00:00:00.000Z` → `why`.
fn without_code<'a>(code: &str, text: &'a str) -> &'a str {
    let quoted = text.strip_prefix(code).and_then(|rest| rest.strip_prefix(": '"));
    quoted.and_then(|rest| rest.rsplit_once("' at ")).map_or(text, |(reason, _)| reason)
}

/// `the connection broke (POST /connect/token)` → `the connection broke`.
fn without_route(text: &str) -> &str {
    match text.rsplit_once(" (") {
        Some((before, route)) if route.ends_with(')') && is_route(route) => before,
        _ => text,
    }
}

fn is_route(text: &str) -> bool {
    let method = text.split_once(" /").map_or("", |(method, _)| method);
    !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Rules and properties of the API, and how they are called here. The longer ones come first.
const OPTIONS: &[(&str, &str)] = &[
    ("query must NOT have additional properties", "the filter names a property that these records do not have"),
    (" must NOT have more than ", " must not have more than "),
    ("'expiresAt'", "the expiry"),
    ("'forIdentity'", "the address given with --for"),
    ("'content'", "the content"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lose_codes_routes_and_properties_and_keep_their_details() {
        for (code, text, expected) in [
            (
                "error.transport.general.notIntendedForYou",
                "error.transport.general.notIntendedForYou: 'The token isn't yours' at 2030-01-01T00:00:00.000Z",
                "The token isn't yours",
            ),
            ("error.transport.request.network", "the connection broke (POST /connect/token)", "the connection broke"),
            ("x", "a file (of 5 bytes)", "a file (of 5 bytes)"),
            ("x", "File not found. Make sure the ID exists.", "File not found"),
            (
                "x",
                "Token not found. Make sure it is for you. The reference names A",
                "Token not found. The reference names A",
            ),
            ("x", "'expiresAt' must be in the future", "the expiry must be in the future"),
            ("x", "'content' must NOT have more than 5 bytes", "the content must not have more than 5 bytes"),
        ] {
            assert_eq!(plain(code, text), expected);
        }
    }
}
