//! Where our answers differ from the recorded ones on purpose.

use api::Dialect;

/// What is answered instead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// Another status, another code, or both.
    Answer(u16, Option<&'static str>),
    /// Status and code as recorded, but another body; its JSON text if it is worth pinning.
    OtherBody(Option<&'static str>),
}

struct Deviation {
    /// The name of an entry; a star at the end stands for any rest.
    name: &'static str,
    /// Absent: both.
    dialect: Option<Dialect>,
    expected: Expected,
    /// Why ours is better.
    #[expect(dead_code, reason = "read by people, who should not have to look for it")]
    reason: &'static str,
}

/// The listed deviation of an entry.
pub(crate) fn find(dialect: Dialect, name: &str) -> Option<Expected> {
    let matches = |deviation: &&Deviation| {
        let here = deviation.dialect.is_none_or(|only| only == dialect);
        here && match deviation.name.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == deviation.name,
        }
    };
    DEVIATIONS.iter().find(matches).map(|deviation| deviation.expected)
}

const fn both(name: &'static str, expected: Expected, reason: &'static str) -> Deviation {
    Deviation { name, dialect: None, expected, reason }
}

const fn only(dialect: Dialect, name: &'static str, expected: Expected, reason: &'static str) -> Deviation {
    Deviation { name, dialect: Some(dialect), expected, reason }
}

use Expected::{Answer, OtherBody};

const PROPERTY: Option<&str> = Some("error.runtime.validation.invalidPropertyValue");
const JSON: Option<&str> = Some("error.connector.validation.invalidJsonInPayload");
const TOO_LARGE: Option<&str> = Some("error.connector.http.payloadTooLarge");
const REFERENCE: Option<&str> = Some("error.core-types.invalidTruncatedReference");
const PAYLOAD: Option<&str> = Some("error.runtime.validation.invalidPayload");
const MULTIPART: Option<&str> = Some("error.connector.validation.invalidMultipartPayload");

static DEVIATIONS: &[Deviation] = &[
    // HTTP
    both("http bad percent encoding", Answer(400, PROPERTY), "a broken request is not a fault of the node"),
    both("http accept json with parameter on list", Answer(200, None), "parameters do not make JSON something else"),
    both(
        "http cors origin",
        Answer(403, Some("error.connector.http.originNotAllowed")),
        "a page of another site has no business here unless it was configured",
    ),
    both("http PUT on Files/{id}", OtherBody(None), "DELETE exists there and Allow says so"),
    // bodies
    only(Dialect::CoreV1, "body json with charset latin1", Answer(400, JSON), "the client's mistake, not a fault"),
    only(Dialect::V2, "body json with charset *", Answer(400, JSON), "bytes in another encoding are not guessed at"),
    both("body json with unknown content-encoding", Answer(400, JSON), "the client's mistake, not a fault"),
    both("body json over 2 MB", Answer(413, TOO_LARGE), "says what is wrong, and that a repetition cannot help"),
    both("body form-urlencoded over 100 kB", Answer(413, TOO_LARGE), "says what is wrong"),
    both("body text/plain", Answer(400, JSON), "the client's mistake, not a fault"),
    both("body vendor json", Answer(400, JSON), "the client's mistake, not a fault"),
    both("body multipart on json route", Answer(400, JSON), "the client's mistake, not a fault"),
    both("body none and no content type", Answer(400, PROPERTY), "no body is an empty one"),
    both("challenge no body", Answer(400, PAYLOAD), "no body is an empty one"),
    // uploads
    both("upload no body", Answer(400, PROPERTY), "no body is an empty one"),
    both("upload two files", Answer(400, PROPERTY), "the client's mistake, not a fault"),
    both("upload file in unknown field", Answer(400, PROPERTY), "the client's mistake, not a fault"),
    both("upload bad boundary", Answer(400, MULTIPART), "the client's mistake, not a fault"),
    both("upload truncated multipart", Answer(400, MULTIPART), "the client's mistake, not a fault"),
    both("upload one tag", Answer(201, None), "one tag is a list of one: forms cannot say it otherwise"),
    // reading files
    both("file get text before id", Answer(400, REFERENCE), "the client's mistake, not a fault"),
    both("file get token id", Answer(400, REFERENCE), "the client's mistake, not a fault"),
    both("file get garbage", Answer(400, REFERENCE), "the client's mistake, not a fault"),
    both("file get lower-case id", Answer(400, REFERENCE), "the client's mistake, not a fault"),
    // documentation
    both("docs /docs/rapidoc*", Answer(301, None), "one viewer is enough; the address still leads to documentation"),
    both("docs /docs", OtherBody(None), "straight to the page instead of over a second redirect"),
];
