//! The tus protocol, version 1.0.0, as far as it is headers: what they say, and which statuses answer what.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use transport::wire::backbone::files::part;
use transport::wire::backbone::uploads::{CHECKSUM_MISMATCH, FinishUpload, VERSION, header};
use transport::wire::bytes::{from_any_base64, from_base64};
use transport::wire::{ByteText, Timestamp, UploadId};

use super::problem::Problem;
use crate::domain::resumable::{Algorithm, Checksum, Described, NewUpload, Role, UploadRecord, UploadRefusal};

/// Extensions of the protocol that are spoken.
pub(crate) const EXTENSIONS: &str = "creation,creation-defer-length,checksum,termination,expiration,concatenation";
/// Bytes of the metadata of an upload.
pub(crate) const MAX_METADATA_BYTES: usize = 32 * 1024;
/// Names in the metadata of an upload.
const MAX_METADATA_NAMES: usize = 32;
/// Bytes of the list of uploads that are put together: 64 URLs.
const MAX_CONCAT_BYTES: usize = 32 * 1024;
const PARTIAL: &str = "partial";
const FINAL: &str = "final;";

/// Around each of these routes: the version of the protocol is in each request and answer.
pub(crate) async fn speak(request: Request, next: Next) -> Response {
    let is_spoken = request.headers().get(header::TUS_RESUMABLE).is_some_and(|version| version == VERSION);
    let mut response = if is_spoken || request.method() == Method::OPTIONS {
        next.run(request).await
    } else {
        let mut refusal = Problem::from(UploadRefusal::WrongVersion).into_response();
        refusal.headers_mut().insert(header::TUS_VERSION, HeaderValue::from_static(VERSION));
        refusal
    };
    response.headers_mut().insert(header::TUS_RESUMABLE, HeaderValue::from_static(VERSION));
    response
}

/// How a refusal is answered: status, and the code behind `error.platform.`.
pub(super) fn status(refusal: &UploadRefusal) -> (StatusCode, &'static str) {
    match refusal {
        UploadRefusal::OffsetConflict { .. } => (StatusCode::CONFLICT, "upload.offsetConflict"),
        UploadRefusal::Locked => (StatusCode::LOCKED, "upload.locked"),
        UploadRefusal::ChecksumMismatch => (checksum_mismatch(), "upload.checksumMismatch"),
        UploadRefusal::UnknownAlgorithm => (StatusCode::BAD_REQUEST, "upload.unknownAlgorithm"),
        UploadRefusal::WrongContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "upload.wrongContentType"),
        UploadRefusal::WrongVersion => (StatusCode::PRECONDITION_FAILED, "upload.wrongVersion"),
        UploadRefusal::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "upload.tooLarge"),
        UploadRefusal::BeyondLength { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "upload.beyondLength"),
        UploadRefusal::LengthIsKnown { .. } => (StatusCode::BAD_REQUEST, "upload.lengthIsKnown"),
        UploadRefusal::TooMany { .. } => (StatusCode::BAD_REQUEST, "upload.tooMany"),
        UploadRefusal::IsFinal => (StatusCode::FORBIDDEN, "upload.isFinal"),
        UploadRefusal::IsPartial => (StatusCode::BAD_REQUEST, "upload.isPartial"),
        UploadRefusal::NotPreviewable => (StatusCode::BAD_REQUEST, "upload.notPreviewable"),
        UploadRefusal::BeyondOffset { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "upload.beyondOffset"),
        UploadRefusal::IsNotPartial => (StatusCode::BAD_REQUEST, "upload.isNotPartial"),
        UploadRefusal::Incomplete { .. } => (StatusCode::BAD_REQUEST, "upload.incomplete"),
        UploadRefusal::HashMismatch => (StatusCode::BAD_REQUEST, "upload.hashMismatch"),
    }
}

fn checksum_mismatch() -> StatusCode {
    StatusCode::from_u16(CHECKSUM_MISMATCH).unwrap_or(StatusCode::BAD_REQUEST)
}

/// What a request creates.
pub(crate) enum Creation {
    New(NewUpload),
    /// The whole of these.
    Whole(Vec<UploadId>, String),
}

/// Reads what a request creates.
pub(crate) fn creation(headers: &HeaderMap) -> Result<Creation, Problem> {
    let metadata = text(headers, header::UPLOAD_METADATA)?.unwrap_or_default();
    Metadata::parse(metadata)?;
    let metadata = metadata.to_owned();
    let (length, concat) = (number(headers, header::UPLOAD_LENGTH)?, text(headers, header::UPLOAD_CONCAT)?);
    if let Some(parts) = concat.and_then(|concat| concat.strip_prefix(FINAL)) {
        return if length.is_none() {
            Ok(Creation::Whole(part_ids(parts)?, metadata))
        } else {
            Err(unreadable(header::UPLOAD_LENGTH, "that of a final upload follows from its parts"))
        };
    }
    if concat.is_some_and(|concat| concat != PARTIAL) {
        return Err(unreadable(header::UPLOAD_CONCAT, "must be 'partial', or 'final;' and URLs of uploads"));
    }
    match (length, text(headers, header::UPLOAD_DEFER_LENGTH)?) {
        (Some(_), None) | (None, Some("1")) => {
            Ok(Creation::New(NewUpload { length, is_partial: concat.is_some(), metadata }))
        }
        (None, None) => Err(unreadable(header::UPLOAD_LENGTH, "is missing")),
        (_, Some(_)) => Err(unreadable(header::UPLOAD_DEFER_LENGTH, "must be 1, without Upload-Length")),
    }
}

/// The identifiers at the end of a list of URLs.
fn part_ids(urls: &str) -> Result<Vec<UploadId>, Problem> {
    if urls.len() > MAX_CONCAT_BYTES {
        return Err(unreadable(header::UPLOAD_CONCAT, "is too long"));
    }
    let id = |url: &str| url.rsplit('/').next().unwrap_or_default().parse();
    let invalid = |_| unreadable(header::UPLOAD_CONCAT, "must be 'final;' and URLs of uploads");
    urls.split_ascii_whitespace().map(id).collect::<Result<_, _>>().map_err(invalid)
}

/// Behind how many bytes those of a request belong.
pub(crate) fn offset(headers: &HeaderMap) -> Result<u64, Problem> {
    number(headers, header::UPLOAD_OFFSET)?.ok_or_else(|| unreadable(header::UPLOAD_OFFSET, "is missing"))
}

/// Bytes of the whole upload, if the request says so.
pub(crate) fn length(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    number(headers, header::UPLOAD_LENGTH)
}

/// The checksum of the bytes of a request.
pub(crate) fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, Problem> {
    let Some(text) = text(headers, header::UPLOAD_CHECKSUM)? else { return Ok(None) };
    let invalid = || unreadable(header::UPLOAD_CHECKSUM, "must be an algorithm, a blank, and base64");
    let (name, value) = text.split_once(' ').ok_or_else(invalid)?;
    let algorithm = Algorithm::named(name).ok_or(UploadRefusal::UnknownAlgorithm)?;
    let expected = from_base64(value).map_err(|_| invalid())?;
    Ok(Some(Checksum { algorithm, expected }))
}

/// What is told of an upload.
pub(crate) fn describe(upload: &UploadRecord, headers: &mut HeaderMap, path: &str) {
    headers.insert(header::UPLOAD_OFFSET, upload.offset().into());
    headers.insert(header::UPLOAD_EXPIRES, http_date(upload.expires_at));
    match upload.length {
        Some(length) => headers.insert(header::UPLOAD_LENGTH, length.into()),
        None => headers.insert(header::UPLOAD_DEFER_LENGTH, HeaderValue::from_static("1")),
    };
    if let Ok(metadata) = HeaderValue::from_str(&upload.metadata)
        && !metadata.is_empty()
    {
        headers.insert(header::UPLOAD_METADATA, metadata);
    }
    let concat = match &upload.role {
        Role::Whole => return,
        Role::Partial => PARTIAL.to_owned(),
        Role::Final(parts) => {
            let urls: Vec<_> = parts.iter().map(|part| format!("{path}/{part}")).collect();
            format!("{FINAL}{}", urls.join(" "))
        }
    };
    headers.insert(header::UPLOAD_CONCAT, HeaderValue::from_str(&concat).expect("ids are a header value"));
}

/// A point in time as HTTP writes it.
pub(crate) fn http_date(time: Timestamp) -> HeaderValue {
    let since_epoch = u64::try_from(time.as_unix_milliseconds()).unwrap_or(0);
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(since_epoch));
    HeaderValue::from_str(&date).expect("a date is a header value")
}

/// Metadata of an upload: names, each with bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata(BTreeMap<String, Vec<u8>>);

impl Metadata {
    /// Reads what was sent with an upload.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let refuse = |problem| Err(unreadable(header::UPLOAD_METADATA, problem));
        if text.len() > MAX_METADATA_BYTES {
            return refuse("is too long; send it with the request that makes the file");
        }
        let mut pairs = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let Ok(value) = from_base64(value) else { return refuse("the values must be base64") };
            if name.is_empty() || pairs.insert(name.to_owned(), value).is_some() {
                return refuse("each pair needs a name of its own");
            }
            if pairs.len() > MAX_METADATA_NAMES {
                return refuse("has too many names");
            }
        }
        Ok(Self(pairs))
    }

    /// Bytes, which come as base64 like those in a form.
    fn bytes(&self, name: &'static str) -> Result<Option<ByteText>, Problem> {
        let invalid = |error: &dyn std::fmt::Display| Problem::unreadable(format!("'{name}': {error}"));
        let decode = |text| from_any_base64(text).map(ByteText).map_err(|error| invalid(&error));
        self.text(name)?.map(decode).transpose()
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let text = self.0.get(name).map(|value| std::str::from_utf8(value)).transpose();
        Ok(text.map_err(Problem::unreadable)?.map(str::trim).filter(|text| !text.is_empty()))
    }

    /// What a file shall be like: what the request says, else what these say.
    pub(crate) fn completed_by(&self, request: FinishUpload) -> Result<Described, Problem> {
        let missing = |name: &str| Problem::unreadable(format!("'{name}': is missing"));
        let bytes = |given: Option<ByteText>, name| given.map_or_else(|| self.bytes(name), |given| Ok(Some(given)));
        let expires_at = match (request.expires_at, self.text(part::EXPIRES_AT)?) {
            (Some(time), _) => time,
            (None, Some(text)) => text.parse().map_err(|_| Problem::unreadable("'expiresAt': not a date-time"))?,
            (None, None) => return Err(missing(part::EXPIRES_AT)),
        };
        Ok(Described {
            cipher_hash: bytes(request.cipher_hash, part::CIPHER_HASH)?,
            owner_signature: bytes(request.owner_signature, part::OWNER_SIGNATURE)?
                .ok_or_else(|| missing(part::OWNER_SIGNATURE))?,
            encrypted_properties: bytes(request.encrypted_properties, part::ENCRYPTED_PROPERTIES)?
                .ok_or_else(|| missing(part::ENCRYPTED_PROPERTIES))?,
            expires_at,
        })
    }
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, Problem> {
    let parse = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_plain).ok_or_else(|| unreadable(name, "must be a number of bytes"))
    };
    text(headers, name)?.map(parse).transpose()
}

/// The value of a header, which may be there once.
fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(|text| Some(text.trim())).map_err(|_| unreadable(name, "must be plain text"))
        }
        (Some(_), Some(_)) => Err(unreadable(name, "is there twice")),
    }
}

fn unreadable(name: &str, problem: &str) -> Problem {
    Problem::unreadable(format!("header '{name}': {problem}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use transport::wire::bytes::to_base64;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn created(pairs: &[(&'static str, &str)]) -> Result<Creation, Problem> {
        creation(&headers(pairs))
    }

    #[test]
    fn an_upload_has_a_length_or_defers_it() {
        use header::{UPLOAD_CONCAT, UPLOAD_DEFER_LENGTH, UPLOAD_LENGTH};
        let length = |pairs: &[_]| match created(pairs) {
            Ok(Creation::New(new)) => Some((new.length, new.is_partial)),
            _ => None,
        };
        assert_eq!(length(&[(UPLOAD_LENGTH, "0")]), Some((Some(0), false)));
        assert_eq!(length(&[(UPLOAD_LENGTH, "18446744073709551615")]), Some((Some(u64::MAX), false)));
        assert_eq!(length(&[(UPLOAD_LENGTH, "7"), (UPLOAD_CONCAT, "partial")]), Some((Some(7), true)));
        assert_eq!(length(&[(UPLOAD_DEFER_LENGTH, "1")]), Some((None, false)));
        for pairs in [
            &[][..],
            &[(UPLOAD_LENGTH, "")],
            &[(UPLOAD_LENGTH, "-1")],
            &[(UPLOAD_LENGTH, "+1")],
            &[(UPLOAD_LENGTH, "1.0")],
            &[(UPLOAD_LENGTH, "18446744073709551616")],
            &[(UPLOAD_DEFER_LENGTH, "0")],
            &[(UPLOAD_LENGTH, "1"), (UPLOAD_DEFER_LENGTH, "1")],
            &[(UPLOAD_LENGTH, "1"), (UPLOAD_CONCAT, "whole")],
        ] {
            assert_eq!(length(pairs), None, "{pairs:?}");
        }
        let mut twice = headers(&[(UPLOAD_LENGTH, "1")]);
        twice.append(UPLOAD_LENGTH, HeaderValue::from_static("2"));
        assert!(creation(&twice).is_err());
    }

    #[test]
    fn the_parts_of_an_upload_are_named_by_their_urls() {
        let concat = "final;/api/enlace/v1/Uploads/UPLaaaaaaaaaaaaaaaaa  http://h:1/x/UPLbbbbbbbbbbbbbbbbb";
        let Ok(Creation::Whole(parts, metadata)) = created(&[(header::UPLOAD_CONCAT, concat)]) else {
            panic!("it is a whole");
        };
        assert_eq!(
            parts.iter().map(UploadId::as_str).collect::<Vec<_>>(),
            ["UPLaaaaaaaaaaaaaaaaa", "UPLbbbbbbbbbbbbbbbbb"]
        );
        assert_eq!(metadata, "");
        for bad in ["final;x", "final;/a/FILaaaaaaaaaaaaaaaaa", "final;UPLaaaaaaaaaaaaaaaaa/"] {
            assert!(created(&[(header::UPLOAD_CONCAT, bad)]).is_err(), "{bad}");
        }
        let too_long = format!("final;{}UPLaaaaaaaaaaaaaaaaa", " ".repeat(MAX_CONCAT_BYTES - 19));
        assert!(created(&[(header::UPLOAD_CONCAT, &too_long)]).is_err());
        let length = (header::UPLOAD_LENGTH, "1");
        assert!(created(&[(header::UPLOAD_CONCAT, "final;UPLaaaaaaaaaaaaaaaaa"), length]).is_err());
    }

    #[test]
    fn a_checksum_is_an_algorithm_and_base64() {
        let read = |value| checksum(&headers(&[(header::UPLOAD_CHECKSUM, value)]));
        let expected = Checksum { algorithm: Algorithm::Sha1, expected: b"abc".to_vec() };
        assert_eq!(read("sha1 YWJj").unwrap(), Some(expected));
        assert_eq!(checksum(&HeaderMap::new()).unwrap(), None);
        for bad in ["sha1", "sha1 ?", "md5 YWJj", "SHA1 YWJj", "sha1  YWJj", "YWJj", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn metadata_are_names_with_base64_and_bounded() {
        let parsed = Metadata::parse("a YWJj, b ,c").unwrap();
        let expected = [("a", &b"abc"[..]), ("b", b""), ("c", b"")];
        assert_eq!(parsed.0, expected.map(|(name, value)| (name.to_owned(), value.to_vec())).into());
        assert_eq!(Metadata::parse("").unwrap(), Metadata::default());
        for bad in ["a ?", "a YWJj,a YWJj", ",", "a YWJj,", "a  YWJj"] {
            assert!(Metadata::parse(bad).is_err(), "{bad}");
        }
        let names = |count| (0..count).map(|number| format!("n{number}")).collect::<Vec<_>>().join(",");
        assert!(Metadata::parse(&names(MAX_METADATA_NAMES)).is_ok());
        assert!(Metadata::parse(&names(MAX_METADATA_NAMES + 1)).is_err());
        let long = format!("a {}", "A".repeat(MAX_METADATA_BYTES - 4));
        assert!(Metadata::parse(&format!("{long}  ")).is_ok());
        assert!(Metadata::parse(&format!("{long}   ")).is_err());
    }

    #[test]
    fn what_a_request_says_of_a_file_comes_before_the_metadata() {
        let value = |text: &str| to_base64(text.as_bytes());
        let text = format!(
            "ownerSignature {},encryptedProperties {},expiresAt {}",
            value("b25l"),
            value("dHdv"),
            value("2031-01-01T00:00:00.000Z")
        );
        let metadata = Metadata::parse(&text).unwrap();
        let request = FinishUpload { encrypted_properties: Some(ByteText(vec![1])), ..FinishUpload::default() };
        let described = metadata.completed_by(request).unwrap();
        assert_eq!((described.owner_signature.0, described.encrypted_properties.0), (b"one".to_vec(), vec![1]));
        assert_eq!(described.expires_at.to_string(), "2031-01-01T00:00:00.000Z");
        assert!(described.cipher_hash.is_none());
        assert!(Metadata::default().completed_by(FinishUpload::default()).is_err());
    }

    proptest! {
        #[test]
        fn no_metadata_are_too_strange_to_be_read(text in "[ -~]{0,60}") {
            let _ = Metadata::parse(&text);
            let _ = created(&[(header::UPLOAD_METADATA, &text), (header::UPLOAD_CONCAT, &text)]);
            let _ = checksum(&headers(&[(header::UPLOAD_CHECKSUM, &text)]));
            let _ = offset(&headers(&[(header::UPLOAD_OFFSET, &text)]));
        }

        #[test]
        fn metadata_come_back(pairs in proptest::collection::btree_map("[a-zA-Z]{1,8}", any::<Vec<u8>>(), 0..8)) {
            let text: Vec<_> = pairs.iter().map(|(name, value)| format!("{name} {}", to_base64(value))).collect();
            prop_assert_eq!(Metadata::parse(&text.join(",")).unwrap().0, pairs);
        }
    }
}
