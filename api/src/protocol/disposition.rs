//! `Content-Disposition`: the names of files that are sent, and of parts that are received.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// What ECMAScript's `encodeURIComponent` leaves as it is.
const URI_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// What may stand in an extended value as it is: `attr-char` of RFC 8187, section 3.2.1.
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `attachment;filename=<name>`, without blank and quotes, percent-encoded: the form that the connectors' clients parse. For
/// a name that this changes, `;filename*=UTF-8''<name>` follows (RFC 6266), which browsers and others decode.
pub(crate) fn attachment(name: &str) -> HeaderValue {
    let name = if name.is_empty() { runtime::file_name::FALLBACK } else { name };
    let encoded = utf8_percent_encode(name, URI_COMPONENT).to_string();
    let text = if encoded == name {
        format!("attachment;filename={encoded}")
    } else {
        format!("attachment;filename={encoded};filename*=UTF-8''{}", utf8_percent_encode(name, ATTRIBUTE))
    };
    HeaderValue::from_str(&text).expect("percent-encoded text is visible ASCII")
}

/// What is to be done with a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It is shown.
    Inline,
    /// It is saved.
    Attachment,
}

/// `attachment; filename="<name>"`, as RFC 6266 has it. A name that is not plain ASCII follows as `filename*=UTF-8''<name>`; characters
/// that control lines or the direction of a text are replaced in both.
pub(crate) fn disposition(kind: Disposition, name: &str) -> HeaderValue {
    let kind = if kind == Disposition::Inline { "inline" } else { "attachment" };
    let is_control = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let name: String = name.chars().map(|c| if is_control(c) { '_' } else { c }).collect();
    let ascii: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let quoted = ascii.replace('\\', "\\\\").replace('"', "\\\"");
    let text = if quoted == name {
        format!("{kind}; filename=\"{quoted}\"")
    } else {
        format!("{kind}; filename=\"{quoted}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, ATTRIBUTE))
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// What the header of a part of a form says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PartNames {
    /// Of the field.
    pub(crate) field: Option<String>,
    /// Of the file, if the part is one.
    pub(crate) file: Option<String>,
}

/// Reads the header of a part: names in any order, quoted or not. `filename*` wins over `filename`, as it does in RFC 6266,
/// although RFC 7578 has no use for it: clients send it, some of them alone.
pub(crate) fn part_names(headers: &HeaderMap) -> PartNames {
    let value = headers.get(header::CONTENT_DISPOSITION).map(HeaderValue::as_bytes).unwrap_or_default();
    let (mut names, mut extended) = (PartNames::default(), None);
    for (name, value) in Parameters(value) {
        match name.to_ascii_lowercase().as_slice() {
            b"name" => names.field = names.field.or_else(|| utf8(&value)),
            b"filename" => names.file = names.file.or_else(|| utf8(&value)),
            b"filename*" => extended = extended.or_else(|| extended_value(&value)),
            _ => {}
        }
    }
    names.file = extended.or(names.file);
    names
}

fn utf8(value: &[u8]) -> Option<String> {
    std::str::from_utf8(value).ok().map(str::to_owned)
}

/// `charset'language'value` (RFC 8187, section 3.2).
fn extended_value(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let decoded = Cow::from(percent_decode(encoded));
    if charset.eq_ignore_ascii_case(b"utf-8") {
        return utf8(&decoded);
    }
    charset.eq_ignore_ascii_case(b"iso-8859-1").then(|| decoded.iter().copied().map(char::from).collect())
}

/// Names and values behind the first semicolon. What has no `=` is passed over.
struct Parameters<'a>(&'a [u8]);

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.0.iter().position(|byte| *byte == b';')?;
            self.0 = &self.0[start + 1..];
            let end = self.0.iter().position(|byte| matches!(byte, b';' | b'=')).unwrap_or(self.0.len());
            let (name, rest) = self.0.split_at(end);
            self.0 = rest;
            if let Some(value) = rest.strip_prefix(b"=") {
                let (value, rest) = take_value(value.trim_ascii_start());
                self.0 = rest;
                return Some((name.trim_ascii(), value));
            }
        }
    }
}

/// A value and what is behind it. In quotes a backslash stands before a quote or a backslash only: browsers send paths of
/// Windows as they are.
fn take_value(text: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.trim_ascii_end().into(), rest);
    };
    let (mut value, mut at) = (Vec::new(), 0);
    while let Some(byte) = quoted.get(at) {
        match (byte, quoted.get(at + 1)) {
            (b'"', _) => return (value.into(), &quoted[at + 1..]),
            (b'\\', Some(escaped @ (b'"' | b'\\'))) => {
                value.push(*escaped);
                at += 2;
            }
            _ => {
                value.push(*byte);
                at += 1;
            }
        }
    }
    // The quote is never closed: so is the value.
    (value.into(), &[])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_quoted_and_followed_by_what_ascii_cannot_say() {
        for (kind, name, expected) in [
            (Disposition::Attachment, "logo.png", r#"attachment; filename="logo.png""#),
            (Disposition::Inline, "a b.txt", r#"inline; filename="a b.txt""#),
            (Disposition::Inline, "a\"b\\.txt", r#"inline; filename="a\"b\\.txt"; filename*=UTF-8''a%22b%5C.txt"#),
            (Disposition::Inline, "ä\r\nx", r#"inline; filename="___x"; filename*=UTF-8''%C3%A4__x"#),
            (Disposition::Attachment, "exe.\u{202e}gnp", r#"attachment; filename="exe._gnp""#),
        ] {
            assert_eq!(disposition(kind, name), expected, "{name:?}");
        }
    }

    #[test]
    fn names_are_encoded_as_uri_components() {
        for (name, expected) in [
            ("full.txt", "full.txt"),
            ("Grüße.txt", "Gr%C3%BC%C3%9Fe.txt;filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt"),
            ("a b+c;d.txt", "a%20b%2Bc%3Bd.txt;filename*=UTF-8''a%20b+c%3Bd.txt"),
            ("it's(1)*!~.txt", "it's(1)*!~.txt"),
            ("it's [2].txt", "it's%20%5B2%5D.txt;filename*=UTF-8''it%27s%20%5B2%5D.txt"),
            ("a\tb\r\nX: y", "a%09b%0D%0AX%3A%20y;filename*=UTF-8''a%09b%0D%0AX%3A%20y"),
            ("\"q\"", "%22q%22;filename*=UTF-8''%22q%22"),
            ("", "file"),
        ] {
            assert_eq!(attachment(name), format!("attachment;filename={expected}").as_str(), "{name:?}");
        }
    }

    fn read(value: &[u8]) -> (Option<String>, Option<String>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_bytes(value).unwrap());
        let names = part_names(&headers);
        (names.field, names.file)
    }

    #[test]
    fn names_are_read_in_every_form_that_clients_send() {
        for (value, file) in [
            ("form-data; name=\"file\"; filename=\"a.txt\"", Some("a.txt")),
            ("form-data; filename=\"a.txt\"; name=\"file\"", Some("a.txt")),
            ("form-data; name=file; filename=a.txt", Some("a.txt")),
            ("form-data;name=file;filename=a b.txt ; x", Some("a b.txt")),
            ("form-data; name=\"file\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt", Some("Grüße.txt")),
            ("form-data; filename*=utf-8'de'%E2%82%AC.txt; name=\"file\"", Some("€.txt")),
            ("form-data; filename*=iso-8859-1''%A3.txt; filename=\"x\"; name=\"file\"", Some("£.txt")),
            ("form-data; filename=\"x\"; filename*=UTF-8''y; name=\"file\"", Some("y")),
            ("form-data; filename=\"x\"; filename*=UTF-8''%ff; name=\"file\"", Some("x")),
            ("form-data; filename=\"x\"; filename*=koi8-r''y; name=\"file\"", Some("x")),
            ("form-data; NAME=\"file\"; FileName=\"a\"", Some("a")),
            ("form-data; name=\"file\"; filename=\"a;b\\\"c.txt\"", Some("a;b\"c.txt")),
            ("form-data; filename=\"; name=\\\"no\\\"\"; name=\"file\"", Some("; name=\"no\"")),
            ("form-data; name=\"file\"; filename=\"C:\\dir\\a.txt\"", Some("C:\\dir\\a.txt")),
            ("form-data; name=\"file\"; filename=\"\"", Some("")),
            ("form-data; name=\"file\"", None),
            ("form-data; name=\"file\"; xfilename=\"a\"", None),
        ] {
            assert_eq!(read(value.as_bytes()), (Some("file".to_owned()), file.map(str::to_owned)), "{value}");
        }
        assert_eq!(read(b"form-data"), (None, None));
        assert_eq!(part_names(&HeaderMap::new()), PartNames::default());
    }

    proptest! {
        #[test]
        fn any_name_is_a_header_value_in_one_line(name in ".{0,40}") {
            let value = disposition(Disposition::Attachment, &name);
            prop_assert!(value.to_str().unwrap().starts_with("attachment; filename=\""));
        }

        #[test]
        fn no_name_breaks_the_header_and_every_name_comes_back(name in ".{1,60}") {
            let sent = attachment(&name);
            prop_assert!(sent.to_str().is_ok());
            let read = read(sent.as_bytes()).1.unwrap();
            prop_assert_eq!(read, name);
        }

        #[test]
        fn any_header_is_read_without_panic(value in proptest::collection::vec(32_u8..127, 0..80)) {
            read(&value);
        }
    }
}
