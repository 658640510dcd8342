//! Parts of a representation: the byte ranges and the conditions of RFC 9110, sections 13 and 14.
//!
//! No I/O: [`select`] decides what a request asks for, [`Selection::status`] and [`Selection::headers`] say how to answer.
//!
//! | Request | Answer |
//! |---|---|
//! | no `Range`, or one that is not a list of byte ranges | 200 with everything |
//! | one range, or several of which exactly one can be satisfied | 206 with that range |
//! | several ranges that can be satisfied | 200 with everything, which the RFC allows; there are no `multipart/byteranges` |
//! | ranges none of which can be satisfied | 416 with the size |
//! | `If-Range` with another entity tag, or with a date | 200 with everything |
//! | `If-None-Match` with this entity tag | 304 |
//! | `If-Match` without this entity tag | 412 |
//!
//! `Range` has a meaning for `GET` only.

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_range_header::{SyntacticallyCorrectRange, parse_range_header};

const WEAK: &str = "W/";

/// What is sent: bytes that never change under this entity tag.
#[derive(Debug, Clone, Copy)]
pub struct Representation<'r> {
    /// A strong entity tag, with its quotes.
    pub etag: &'r HeaderValue,
    /// Bytes.
    pub size: u64,
}

/// Consecutive bytes of a representation; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Everything.
    Whole,
    /// These bytes.
    Part(ByteRange),
    /// Bytes that the representation does not have.
    Unsatisfiable,
    /// Nothing: the client has the representation.
    NotModified,
    /// Nothing: the client wants another representation.
    PreconditionFailed,
}

impl ByteRange {
    /// Number of bytes before the first one.
    #[must_use]
    pub fn offset(self) -> u64 {
        self.first
    }

    /// Number of bytes.
    #[must_use]
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a request with these headers asks for.
#[must_use]
pub fn select(method: &Method, headers: &HeaderMap, representation: Representation<'_>) -> Selection {
    let Representation { etag, size } = representation;
    let matches = |name, is_weak_enough| etags(headers, name).any(|tag| tag.matches(etag, is_weak_enough));
    if headers.contains_key(IF_MATCH) && !matches(IF_MATCH, false) {
        return Selection::PreconditionFailed;
    }
    if matches(IF_NONE_MATCH, true) {
        return Selection::NotModified;
    }
    let is_current = headers.get(IF_RANGE).is_none_or(|condition| condition == etag);
    if method == Method::GET && is_current { range(headers, size) } else { Selection::Whole }
}

fn range(headers: &HeaderMap, size: u64) -> Selection {
    let mut lines = headers.get_all(RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Selection::Whole };
    let ranges = line.to_str().ok().and_then(|text| parse_range_header(text).ok());
    let Some(ranges) = ranges else { return Selection::Whole };
    let mut satisfiable = ranges.into_ranges().into_iter().filter_map(|range| within(range, size));
    match (satisfiable.next(), satisfiable.next()) {
        (None, _) => Selection::Unsatisfiable,
        (Some(only), None) => Selection::Part(only),
        (Some(_), Some(_)) => Selection::Whole,
    }
}

/// The bytes of a range that exist, if any.
fn within(range: SyntacticallyCorrectRange, size: u64) -> Option<ByteRange> {
    let end = size.checked_sub(1)?;
    let (first, last) = match range {
        SyntacticallyCorrectRange::FromStart(first) => (first, end),
        SyntacticallyCorrectRange::FromLast(0) => return None,
        SyntacticallyCorrectRange::FromLast(length) => (size.saturating_sub(length), end),
        SyntacticallyCorrectRange::Indexed(first, last) => (first, last.min(end)),
    };
    (first <= last).then_some(ByteRange { first, last })
}

impl Selection {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Whole => StatusCode::OK,
            Self::Part(_) => StatusCode::PARTIAL_CONTENT,
            Self::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        }
    }

    /// The headers of the answer, without those that describe the bytes.
    #[must_use]
    pub fn headers(self, representation: Representation<'_>) -> HeaderMap {
        let Representation { etag, size } = representation;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        match self {
            Self::Whole => {
                headers.insert(CONTENT_LENGTH, size.into());
            }
            Self::Part(range) => {
                headers.insert(CONTENT_LENGTH, range.length().into());
                headers.insert(CONTENT_RANGE, ascii(&format!("bytes {}-{}/{size}", range.first, range.last)));
            }
            Self::Unsatisfiable => {
                headers.insert(CONTENT_RANGE, ascii(&format!("bytes */{size}")));
            }
            Self::NotModified | Self::PreconditionFailed => {}
        }
        headers.insert(ETAG, etag.clone());
        headers
    }
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits and signs are a header value")
}

/// An entry of a list of entity tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntityTag<'h> {
    Any,
    Strong(&'h str),
    Weak(&'h str),
}

impl EntityTag<'_> {
    fn matches(self, etag: &HeaderValue, is_weak_enough: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Strong(tag) => etag == tag,
            Self::Weak(tag) => is_weak_enough && etag == tag,
        }
    }
}

/// The entity tags of a header. A line ends where it stops being a list of them.
fn etags(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = EntityTag<'_>> {
    headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).flat_map(|mut rest| {
        std::iter::from_fn(move || {
            let (tag, behind) = first_etag(rest.trim_start_matches([' ', '\t', ',']))?;
            rest = behind;
            Some(tag)
        })
    })
}

fn first_etag(list: &str) -> Option<(EntityTag<'_>, &str)> {
    if let Some(behind) = list.strip_prefix('*') {
        return Some((EntityTag::Any, behind));
    }
    let (is_weak, tag) = list.strip_prefix(WEAK).map_or((false, list), |tag| (true, tag));
    let length = tag.strip_prefix('"')?.find('"')? + 2;
    let (tag, behind) = tag.split_at(length);
    Some((if is_weak { EntityTag::Weak(tag) } else { EntityTag::Strong(tag) }, behind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: HeaderValue = HeaderValue::from_static("\"a,b\"");

    fn asked(size: u64, headers: &[(HeaderName, &str)]) -> Selection {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        select(&Method::GET, &map, Representation { etag: &TAG, size })
    }

    fn ranges(size: u64, value: &str) -> Selection {
        asked(size, &[(RANGE, value)])
    }

    fn part(first: u64, last: u64) -> Selection {
        Selection::Part(ByteRange { first, last })
    }

    #[test]
    fn each_form_of_a_range_selects_its_bytes() {
        for (value, expected) in [
            ("bytes=0-", part(0, 9)),
            ("bytes=0-0", part(0, 0)),
            ("bytes=9-", part(9, 9)),
            ("bytes=2-5", part(2, 5)),
            ("bytes=2-10", part(2, 9)),
            ("bytes=2-99999999999999999999999", part(2, 9)),
            ("bytes=-1", part(9, 9)),
            ("bytes=-10", part(0, 9)),
            ("bytes=-11", part(0, 9)),
            ("BYTES=1-1", part(1, 1)),
            ("bytes=10-, 3-4", part(3, 4)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=10-10,-0", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=0-1,3-4", Selection::Whole),
            ("bytes=5-2", Selection::Whole),
            ("bytes=", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("bytes 0-1", Selection::Whole),
            ("items=0-1", Selection::Whole),
        ] {
            assert_eq!(ranges(10, value), expected, "{value}");
        }
        let many = format!("bytes={}", "0-0,".repeat(1000));
        assert_eq!(ranges(10, &many), Selection::Whole);
        assert_eq!(asked(10, &[(RANGE, "bytes=0-0"), (RANGE, "bytes=1-1")]), Selection::Whole);
    }

    #[test]
    fn nothing_has_no_part() {
        for value in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(ranges(0, value), Selection::Unsatisfiable, "{value}");
        }
        assert_eq!(asked(0, &[]), Selection::Whole);
    }

    #[test]
    fn a_range_is_for_the_representation_that_the_client_has() {
        let range = (RANGE, "bytes=1-2");
        for (condition, expected) in [
            ("\"a,b\"", part(1, 2)),
            ("W/\"a,b\"", Selection::Whole),
            ("\"other\"", Selection::Whole),
            ("*", Selection::Whole),
            ("Sat, 01 Jan 2000 00:00:00 GMT", Selection::Whole),
        ] {
            assert_eq!(asked(10, &[range.clone(), (IF_RANGE, condition)]), expected, "{condition}");
        }
    }

    #[test]
    fn conditions_come_before_ranges() {
        let range = (RANGE, "bytes=1-2");
        for (value, is_known) in [
            ("*", true),
            ("\"a,b\"", true),
            ("W/\"a,b\"", true),
            ("\"x\", \"a,b\"", true),
            ("\"x\",,\t\"y\" , W/\"a,b\"", true),
            ("\"a\", b\"", false),
            ("a,b", false),
            ("\"x\"", false),
            ("\"", false),
            ("", false),
        ] {
            let expected = if is_known { Selection::NotModified } else { part(1, 2) };
            assert_eq!(asked(10, &[range.clone(), (IF_NONE_MATCH, value)]), expected, "{value}");
            let expected = if is_known && !value.contains(WEAK) { part(1, 2) } else { Selection::PreconditionFailed };
            assert_eq!(asked(10, &[range.clone(), (IF_MATCH, value)]), expected, "{value}");
        }
    }

    #[test]
    fn only_get_has_ranges() {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=1-2"))]);
        let selection = select(&Method::HEAD, &headers, Representation { etag: &TAG, size: 10 });
        assert_eq!(selection, Selection::Whole);
    }

    #[test]
    fn headers_are_exact() {
        let text = |selection: Selection| {
            let headers = selection.headers(Representation { etag: &TAG, size: 10 });
            let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(text(ETAG).unwrap(), "\"a,b\"");
            assert_eq!(text(ACCEPT_RANGES).unwrap(), "bytes");
            (selection.status().as_u16(), text(CONTENT_LENGTH), text(CONTENT_RANGE))
        };
        let owned = |text: &str| Some(text.to_owned());
        assert_eq!(text(Selection::Whole), (200, owned("10"), None));
        assert_eq!(text(part(3, 9)), (206, owned("7"), owned("bytes 3-9/10")));
        assert_eq!(text(Selection::Unsatisfiable), (416, None, owned("bytes */10")));
        assert_eq!(text(Selection::NotModified), (304, None, None));
        assert_eq!(text(Selection::PreconditionFailed), (412, None, None));
    }

    proptest! {
        #[test]
        fn no_text_selects_bytes_that_do_not_exist(value in "(bytes=)?[ -~]{0,40}", size in 0_u64..20) {
            if let Selection::Part(range) = ranges(size, &value) {
                prop_assert!(range.length() > 0 && range.offset() + range.length() <= size);
            }
        }

        #[test]
        fn one_range_selects_what_it_says(first in any::<u64>(), more in any::<u64>(), size in any::<u64>()) {
            let last = first.saturating_add(more);
            let expected = if first < size { part(first, last.min(size - 1)) } else { Selection::Unsatisfiable };
            prop_assert_eq!(ranges(size, &format!("bytes={first}-{last}")), expected);
        }

        #[test]
        fn any_list_of_entity_tags_is_read(value in "[\"W/*, a]{0,30}") {
            asked(1, &[(IF_NONE_MATCH, &value), (IF_MATCH, &value)]);
        }
    }
}
