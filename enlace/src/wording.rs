//! The errors of the node and its backbone in the words of the command line.
//!
//! A node in this process gives an error with its parts ([`of_error`]). One that is asked over REST gives a code, a text and few
//! other members, and the text has a form that clients of the published connectors know. [`of_rest`] reads the parts back where a message
//! needs them, as the inverse of what the REST interface writes; codes decide everything else.

use runtime::{CHECK_ID, Error, ErrorCode, InvalidProperty, Property, PropertyRule};

use crate::code::Code;

/// What is said of an error: what happened and, if the error itself knows it, the next step.
pub(crate) type Message = (String, Option<String>);

/// What is said of an error of the node in this process.
pub(crate) fn of_error(code: &Code, error: &Error) -> Message {
    const NOT_AT_BACKBONE: &str = "the backbone does not have this, or does not show it to this identity";
    match error {
        Error::RecordNotFound(what) => plain(format!("{what} not found")),
        Error::RecordNotFoundAtBackbone(_) => plain(NOT_AT_BACKBONE),
        Error::RecordOfAnotherBackbone { named, own, .. } => {
            plain(format!("{NOT_AT_BACKBONE}: the reference names the backbone {named}, but this node uses {own}"))
        }
        Error::InvalidProperty(invalid) => plain(invalid_property(invalid)),
        Error::Backbone(failed) => match failed.network() {
            Some(network) => (network.what().to_owned(), network.next_step().map(str::to_owned)),
            None => plain(code.message().map_or_else(|| failed.to_string(), str::to_owned)),
        },
        Error::Store(failed) | Error::StorageFull(failed) => (failed.what(), failed.next_step()),
        Error::Config(invalid) => plain(with_sources(invalid)),
        Error::Stopped => plain(error.to_string()),
        Error::Peers(failed) => (failed.what(), failed.next_step().map(str::to_owned)),
        Error::Undelivered(undelivered)
            if matches!(code, Code::Runtime(ErrorCode::PeerUnreachable | ErrorCode::PeerExchange)) =>
        {
            plain(undelivered.what())
        }
        Error::Transport { reason, .. } => plain(code.message().unwrap_or(reason)),
        other => plain(code.message().map_or_else(|| other.to_string(), str::to_owned)),
    }
}

/// What is said of the code and text of a node that is asked over REST.
pub(crate) fn of_rest(code: &Code, text: &str) -> String {
    if let Some(message) = code.message() {
        return message.to_owned();
    }
    if let Ok(invalid) = text.parse::<InvalidProperty>() {
        return invalid_property(&invalid);
    }
    // The hint says that.
    let text = text.strip_suffix(CHECK_ID).unwrap_or(text);
    reason_in(code, text).unwrap_or(text).to_owned()
}

/// The reason in what the REST interface writes for [`Error::Transport`]: `error.a.b: 'why' at 2030-01-01T00:00:00.000Z`.
fn reason_in<'a>(code: &Code, text: &'a str) -> Option<&'a str> {
    let quoted = text.strip_prefix(code.as_str())?.strip_prefix(": '")?;
    quoted.rsplit_once("' at ").map(|(reason, _)| reason)
}

/// An error and its causes in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn plain(message: impl Into<String>) -> Message {
    (message.into(), None)
}

/// Which rule a value breaks, without the names of the API.
fn invalid_property(InvalidProperty { property, rule }: &InvalidProperty) -> String {
    let value = match property {
        Property::Content => "the content",
        Property::ExpiresAt => "the expiry",
        Property::Query => "the filter",
        _ => "a value",
    };
    match (property, rule) {
        (Property::Query, PropertyRule::NoOtherMembers) => {
            "the filter names a property that these records do not have".to_owned()
        }
        (_, PropertyRule::AtMost(bound)) => format!("{value} must not have more than {bound}"),
        (_, rule) => format!("{value} {rule}"),
    }
}

#[cfg(test)]
mod tests {
    use runtime::{ErrorCode, PeersError, Timestamp};

    use super::*;

    fn transport(code: ErrorCode, reason: &str) -> Error {
        Error::Transport { code, reason: reason.to_owned(), at: Timestamp::NEVER }
    }

    #[test]
    fn errors_read_the_same_in_process_and_over_rest() {
        let invalid = |property, rule| Error::InvalidProperty(InvalidProperty { property, rule });
        for (error, expected) in [
            (transport(ErrorCode::NotIntendedForYou, "The token isn't yours"), "The token isn't yours"),
            (transport(ErrorCode::NoIdentityFound, "No"), "there is no identity in this data directory"),
            (Error::RecordNotFound("File"), "File not found"),
            (invalid(Property::ExpiresAt, PropertyRule::InFuture), "the expiry must be in the future"),
            (
                invalid(Property::Content, PropertyRule::AtMost("5 bytes".into())),
                "the content must not have more than 5 bytes",
            ),
            (
                invalid(Property::Query, PropertyRule::NoOtherMembers),
                "the filter names a property that these records do not have",
            ),
            (Error::InvalidPropertyValue("'x' is blue".to_owned()), "'x' is blue"),
            (Error::InvalidReference, "this command cannot load what the reference names"),
        ] {
            let code = Code::from(&error);
            assert_eq!(of_error(&code, &error), (expected.to_owned(), None));
            assert_eq!(of_rest(&Code::read(error.code()), &error.to_string()).trim_end_matches(['.', ' ']), expected);
        }
    }

    #[test]
    fn what_a_value_has_is_no_next_step() {
        let invalid = Error::Peers(PeersError::InvalidId("a; b".to_owned()));
        let said = of_error(&Code::from(&invalid), &invalid);
        assert_eq!(said, ("'a; b' is not the ID of a peer, which begins with 12D3KooW".to_owned(), None));
        let off = Error::Peers(PeersError::Off);
        let next_step = of_error(&Code::from(&off), &off).1;
        assert_eq!(next_step.as_deref(), Some("enable peers in its settings and start it again"));
    }

    #[test]
    fn a_node_that_stops_is_not_a_slow_backbone() {
        assert_eq!(of_error(&Code::from(&Error::Stopped), &Error::Stopped).0, "the node is shutting down");
    }
}
