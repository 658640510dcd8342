//! Content negotiation: which of a route's media types a client wants.
//!
//! The better quality wins, then the more specific range, then the one named first, then the one the route prefers.
//! Parameters other than `q` are ignored: `application/json;charset=utf-8` takes JSON.

use std::cmp::Reverse;

/// Longest `Accept` header that is read; longer ones accept nothing.
const MAX_LENGTH: usize = 4096;
/// Most ranges that are read.
const MAX_RANGES: usize = 64;

/// A media type that routes make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Media {
    kind: &'static str,
    subtype: &'static str,
}

impl Media {
    pub(crate) const JSON: Self = Self::new("application", "json");
    pub(crate) const PNG: Self = Self::new("image", "png");

    /// `kind/subtype`.
    pub(crate) const fn new(kind: &'static str, subtype: &'static str) -> Self {
        Self { kind, subtype }
    }
}

#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// Thousandths.
    quality: u16,
}

/// The best of `offered` (at least one) for this header; `None` if the client takes none of them.
pub(crate) fn negotiate(header: Option<&[u8]>, offered: &[Media]) -> Option<Media> {
    let Some(header) = header else { return offered.first().copied() };
    let text = std::str::from_utf8(header).ok().filter(|text| text.len() <= MAX_LENGTH)?;
    if text.trim().is_empty() {
        return offered.first().copied();
    }
    let ranges: Vec<Range<'_>> = text.split(',').take(MAX_RANGES).filter_map(parse).collect();
    let candidates = offered.iter().enumerate().filter_map(|(index, media)| {
        let (order, range, specificity) = most_specific(&ranges, *media)?;
        (range.quality > 0).then_some((Reverse(range.quality), Reverse(specificity), order, index, *media))
    });
    candidates
        .min_by_key(|(quality, specificity, order, index, _)| (*quality, *specificity, *order, *index))
        .map(|best| best.4)
}

/// The range that decides about a media type: the most specific one, the first among equals.
fn most_specific<'a>(ranges: &[Range<'a>], media: Media) -> Option<(usize, Range<'a>, u8)> {
    let Media { kind, subtype } = media;
    let matching = ranges.iter().enumerate().filter_map(|(order, range)| {
        let exact = range.kind.eq_ignore_ascii_case(kind);
        let specificity = match (range.kind, range.subtype) {
            ("*", "*") => 0,
            (_, "*") if exact => 1,
            (_, given) if exact && given.eq_ignore_ascii_case(subtype) => 2,
            _ => return None,
        };
        Some((order, *range, specificity))
    });
    matching.min_by_key(|(order, _, specificity)| (Reverse(*specificity), *order))
}

fn parse(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if !is_token(kind) || !is_token(subtype) {
        return None;
    }
    let quality = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| parse_quality(value.trim()))
    });
    Some(Range { kind, subtype, quality: quality.unwrap_or(Some(1000))? })
}

/// `0` to `1` with up to three decimals, in thousandths.
fn parse_quality(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: &[Media] = &[Media::JSON, Media::PNG];

    fn choose(header: &str, offered: &[Media]) -> Option<Media> {
        negotiate(Some(header.as_bytes()), offered)
    }

    #[test]
    fn json_only_routes_take_what_admits_json() {
        for header in [
            "*/*",
            "application/*",
            "application/json",
            "APPLICATION/JSON",
            "application/json;charset=utf-8",
            "image/png, application/json",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ] {
            assert_eq!(choose(header, &[Media::JSON]), Some(Media::JSON), "{header}");
        }
        for header in
            ["text/html", "image/png", "application/json;q=0", "application/vnd.api+json", ";;;", "json", "a/b/c"]
        {
            assert_eq!(choose(header, &[Media::JSON]), None, "{header}");
        }
        assert_eq!(negotiate(None, &[Media::JSON]), Some(Media::JSON));
    }

    #[test]
    fn the_better_match_wins_where_both_are_offered() {
        for (header, expected) in [
            ("*/*", Some(Media::JSON)),
            ("image/png", Some(Media::PNG)),
            ("image/*", Some(Media::PNG)),
            ("image/png;q=0.9, application/json;q=0.8", Some(Media::PNG)),
            ("image/png;q=0.5, application/json", Some(Media::JSON)),
            ("image/png, application/json", Some(Media::PNG)),
            ("application/json, image/png", Some(Media::JSON)),
            ("image/*, application/json", Some(Media::JSON)),
            ("*/*, image/png;q=0", Some(Media::JSON)),
            ("application/json;q=0, */*", Some(Media::PNG)),
            ("text/html", None),
        ] {
            assert_eq!(choose(header, BOTH), expected, "{header}");
        }
    }

    #[test]
    fn malformed_qualities_drop_their_range_only() {
        assert_eq!(choose("image/png;q=2, application/json;q=0.001", BOTH), Some(Media::JSON));
        assert_eq!(choose("application/json;q=0.0001", BOTH), None);
    }

    proptest! {
        #[test]
        fn any_header_gives_an_answer_that_was_offered(header in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(media) = negotiate(Some(&header), &[Media::JSON]) {
                prop_assert_eq!(media, Media::JSON);
            }
        }

        #[test]
        fn header_like_texts_never_panic(header in "[a-z*/;=q0-9., ]{0,80}") {
            let _ = negotiate(Some(header.as_bytes()), BOTH);
        }
    }
}
