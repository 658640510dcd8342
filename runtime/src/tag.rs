//! Tags of files.
//!
//! Tags of the backbone's own collection (`bkb:…`) are refused: this node does not know the collection.

/// Prefixes of the kinds of tags.
pub const KINDS: [&str; 4] = ["x:", "urn:", "language:", "mimetype:"];

/// ISO 639-1.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv \
     dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu \
     ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne \
     ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv \
     sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// Whether a tag is of a known kind and has a valid value.
#[must_use]
pub fn is_valid(tag: &str) -> bool {
    match tag.split_once(':') {
        Some(("x" | "X" | "urn", _)) => true,
        Some(("language", code)) => LANGUAGES.split_ascii_whitespace().any(|language| language == code),
        Some(("mimetype", media)) => is_media_type(media),
        _ => false,
    }
}

fn is_media_type(text: &str) -> bool {
    let fits = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'*'))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| fits(kind) && fits(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_known_kinds_are_valid() {
        for tag in ["x:a", "X:", "x:", "urn:isbn:1", "urn:", "language:de", "mimetype:image/*", "mimetype:*/x-y"] {
            assert!(is_valid(tag), "{tag}");
        }
        for tag in
            ["", "plain", "language:xx", "language:", "mimetype:a1/b", "mimetype:a", "mimetype:a/b/c", "bkb:unknown"]
        {
            assert!(!is_valid(tag), "{tag}");
        }
    }
}
