//! Where our answers differ from the recorded ones on purpose.

use api::Dialect;

use crate::recording::{Recording, Response};

/// What is answered instead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// Another status, another code, or both.
    Answer(u16, Option<&'static str>),
    /// As recorded, but for this value of a header.
    Header(&'static str, &'static str),
    /// As recorded, but for the member at this JSON pointer, which is this JSON.
    Member(&'static str, &'static str),
    /// A list of these names.
    Names(&'static [&'static str]),
    /// The recorded names and this one once more.
    OneMore(&'static str),
}

impl Expected {
    /// What should have been recorded, if it is told in full.
    pub(crate) fn amend(self, recorded: &Response) -> Response {
        let mut amended = recorded.clone();
        match self {
            Self::Answer(..) => {}
            Self::Header(name, value) => {
                amended.headers.insert(name.to_owned(), value.to_owned());
            }
            Self::Member(pointer, json) => {
                *amended.body.pointer_mut(pointer).unwrap() = serde_json::from_str(json).unwrap();
            }
            Self::Names(names) => amended.body["names"] = names.into(),
            Self::OneMore(name) => {
                let names = amended.body["names"].as_array_mut().unwrap();
                let last = names.iter().rposition(|recorded| recorded == name).unwrap();
                names.insert(last, name.into());
            }
        }
        amended
    }
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

/// Our answers are data, never pages: nothing may be loaded by them, and nobody may frame them.
const POLICY: &str = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none';sandbox";

/// Whether a header differs on purpose, wherever it stands.
pub(crate) fn is_deliberate(header: &str, recorded: Option<&str>, given: Option<&str>) -> bool {
    match (header, recorded, given) {
        ("content-security-policy", Some(_), Some(given)) => given == POLICY,
        // Ours says what the answer depends on: errors and answers about nothing new are compressed as well, and whether a
        // picture comes is a matter of `Accept`.
        ("vary", None, Some("accept" | "accept-encoding"))
        | ("vary", Some("accept"), Some("accept, accept-encoding")) => true,
        // HEAD is answered wherever GET is, and RFC 9110, section 10.2.1, has all methods in the list.
        ("allow", Some(recorded), Some(given)) => given.replace("get, head", "get") == recorded,
        // What does not shrink is not compressed.
        ("vary", Some("accept-encoding"), None) => true,
        // Redirects have no text, and lead everybody to the same place.
        ("vary", Some("accept, accept-encoding"), None) => true,
        ("content-type", Some("text/plain; charset=utf-8" | "text/html; charset=utf-8"), None) => true,
        _ => false,
    }
}

/// Every row is about an entry of the recording.
pub(crate) fn assert_all_used(dialect: Dialect, recording: &Recording) {
    for deviation in DEVIATIONS.iter().filter(|deviation| deviation.dialect.is_none_or(|only| only == dialect)) {
        let is_meant = |name: &str| match deviation.name.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == deviation.name,
        };
        assert!(recording.entries.iter().any(|entry| is_meant(&entry.name)), "no entry is called {}", deviation.name);
    }
}

const fn both(name: &'static str, expected: Expected, reason: &'static str) -> Deviation {
    Deviation { name, dialect: None, expected, reason }
}

const fn only(dialect: Dialect, name: &'static str, expected: Expected, reason: &'static str) -> Deviation {
    Deviation { name, dialect: Some(dialect), expected, reason }
}

use Expected::{Answer, Header, Member, Names, OneMore};

const PROPERTY: Option<&str> = Some("error.runtime.validation.invalidPropertyValue");
const JSON: Option<&str> = Some("error.connector.validation.invalidJsonInPayload");
const ENCODING: Option<&str> = Some("error.connector.http.unsupportedContentEncoding");
const TOO_LARGE: Option<&str> = Some("error.connector.http.payloadTooLarge");
const REFERENCE: Option<&str> = Some("error.core-types.invalidTruncatedReference");
const PAYLOAD: Option<&str> = Some("error.runtime.validation.invalidPayload");
const NOT_FOUND: Option<&str> = Some("error.runtime.recordNotFound");
const MULTIPART: Option<&str> = Some("error.connector.validation.invalidMultipartPayload");

const STRONG: &str = "the bytes are the same, and a range of them can be asked for only with a strong tag";

static DEVIATIONS: &[Deviation] = &[
    // HTTP
    both("http other prefix", Answer(200, None), "a node serves both generations"),
    both("http bad percent encoding", Answer(400, PROPERTY), "a broken request is not a fault of the node"),
    both("http accept json with parameter on list", Answer(200, None), "parameters do not make JSON something else"),
    both(
        "http cors origin",
        Answer(403, Some("error.connector.http.originNotAllowed")),
        "a page of another site has no business here unless it was configured",
    ),
    both("http PUT on Files/{id}", Header("allow", "GET, HEAD, DELETE"), "DELETE exists there and Allow says so"),
    both("http PATCH on Files/{id}", Header("allow", "GET, HEAD, DELETE"), "DELETE exists there and Allow says so"),
    both("http POST on Files/{id}", Header("allow", "GET, HEAD, DELETE"), "DELETE exists there and Allow says so"),
    // bodies
    only(Dialect::CoreV1, "body json with charset *", Answer(400, PROPERTY), "JSON is UTF-8; it has no charset"),
    both("body json with unknown content-encoding", Answer(415, ENCODING), "says what is wrong"),
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
    // metadata
    both(
        "metadata put typed object",
        Member("/result/value", r#"{"@type": "Unknown", "x": 1}"#),
        "a value comes back as it was given",
    ),
    both(
        "metadata get key 'typed'",
        Member("/result/value", r#"{"@type": "Unknown", "x": 1}"#),
        "a value comes back as it was given",
    ),
    // queries
    both("file query starts with", Names(&["q1.dat", "q2.dat"]), "case-insensitive, as it is meant to be"),
    both("file query ends with", Names(&["q2.dat"]), "case-insensitive, as it is meant to be"),
    both("file query matches", Names(&["q1.dat"]), "case-insensitive, as it is meant to be"),
    both("file query digits in text field", Names(&["q3.dat"]), "digits in a text are found too"),
    both("file query true in text field", Names(&["q3.dat"]), "the word in a text is found too"),
    both("file query tags not", Names(&["q2.dat", "q3.dat"]), "operators work on tags as anywhere"),
    only(Dialect::CoreV1, "file query tags set", Names(&["q1.dat", "q2.dat"]), "operators work on tags as anywhere"),
    only(Dialect::CoreV1, "file query tags not set", Names(&["q3.dat"]), "operators work on tags as anywhere"),
    only(Dialect::V2, "file query tags one", Names(&["q1.dat"]), "one tag is found like several"),
    only(Dialect::V2, "file query tags shared", Names(&["q1.dat", "q2.dat"]), "one tag is found like several"),
    both("file query ampersand only", OneMore("x.txt"), "the upload with one tag exists and is listed"),
    // tokens of files
    both("file token no content type", Answer(201, None), "no body is an empty one"),
    both("file token text body", Answer(400, JSON), "the client's mistake, not a fault"),
    both(
        "file token expiresAt \"2099-01-31 12:00:00\"",
        Answer(201, None),
        "a blank instead of the T is a common form",
    ),
    both("file token expiresAt \"2099-01-31T24:00:00Z\"", Answer(201, None), "the end of a day is a time of it"),
    both("file token expiresAt \"2099-01-31t12:00:00z\"", Answer(201, None), "RFC 3339 allows lower case"),
    both("file token expiresAt \"2099-02-30\"", Answer(400, PROPERTY), "names the property that is wrong"),
    both("file token expiresAt \"-2099-01-01\"", Answer(400, PROPERTY), "names the property that is wrong"),
    both("file token expiresAt value true", Answer(400, PROPERTY), "the client's mistake, not a fault"),
    both("file token expiresAt value {}", Answer(400, PROPERTY), "the client's mistake, not a fault"),
    both("file token expiresAt value []", Answer(400, PROPERTY), "the client's mistake, not a fault"),
    both("file token forIdentity text around", Answer(400, PROPERTY), "found before a token is made"),
    both(
        "file token forIdentity other host",
        Answer(400, Some("error.platform.validation.invalidPropertyValue")),
        "the backbone checks addresses: nobody could ever load this token",
    ),
    both("file token password location 50.5", Answer(400, PROPERTY), "names the property that is wrong"),
    // loading
    both("load file reference with padding", Answer(400, REFERENCE), "says that it is the reference"),
    both("load file reference garbage after prefix", Answer(400, REFERENCE), "says that it is the reference"),
    both("load file reference other algorithm", Answer(400, REFERENCE), "says that it is the reference"),
    both("load file reference url with bad fragment", Answer(400, REFERENCE), "says that it is the reference"),
    both("load file wrong key", Answer(400, REFERENCE), "says that it is the reference"),
    // tokens
    both("token content text", Member("/result/content", "\"abc\""), "a content comes back as it was given"),
    both("token content number", Member("/result/content", "1"), "a content comes back as it was given"),
    both("token content true", Member("/result/content", "true"), "a content comes back as it was given"),
    both("token content list", Member("/result/content", "[1, 2]"), "a content comes back as it was given"),
    // expiry and deletion
    // downloads
    both("download range", Answer(206, None), "ranges resume a download and seek in it"),
    both("download", Header("etag", "<strong>"), STRONG),
    both("download without accept", Header("etag", "<strong>"), STRONG),
    both("download accept html", Header("etag", "<strong>"), STRONG),
    both("download empty file", Header("etag", "<strong>"), STRONG),
    both("download gzip", Header("etag", "<strong>"), STRONG),
    both("download HEAD", Header("etag", "<strong>"), STRONG),
    both("download file name *", Header("etag", "<strong>"), STRONG),
    both("download mimetype *", Header("etag", "<strong>"), STRONG),
    both("peer file download", Header("etag", "<strong>"), STRONG),
    both("expiry download expired file", Answer(404, NOT_FOUND), "says what is the matter"),
    both(
        "expiry token of expired file with default",
        Answer(400, Some("error.platform.validation.invalidPropertyValue")),
        "the client's mistake, not a fault: repeating the request cannot help",
    ),
    both("expiry delete expired file", Answer(204, None), "what is gone at the backbone can be removed here too"),
    both("peer file download after delete by owner", Answer(404, NOT_FOUND), "says what is the matter"),
    // documentation
    both(
        "docs /docs/rapidoc*",
        Answer(301, None),
        "a second viewer would be a megabyte of foreign script in every program; the address leads to the first",
    ),
    both("docs /favicon.ico", Header("content-type", "image/png"), "the viewer's own icon is a PNG"),
];
