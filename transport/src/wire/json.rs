//! JSON texts as ECMAScript writes them.
//!
//! Sealed and signed texts are produced by these rules so that they equal what the protocol's other clients write:
//! no white space, array-index-like keys first in ascending order, numbers as doubles in shortest form. Verifiers never
//! re-serialize; they use the text as received.

use serde_json::{Map, Value};

use super::json_budget::{self, MAX_FREE_JSON};

/// A text is not JSON or exceeds [`MAX_FREE_JSON`]. Position and content are omitted, because such texts contain secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text is not valid JSON, or holds too many values")]
pub struct InvalidJson;

/// Writes a value as ECMAScript's `JSON.stringify` would after reading it.
#[must_use]
pub fn to_text(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

/// Parses a text. For duplicate keys the last value wins at the first position. Escaped lone surrogates, which
/// ECMAScript allows and Rust strings cannot hold, become U+FFFD.
///
/// # Errors
/// [`InvalidJson`] if the text is not JSON, has trailing characters, or exceeds [`MAX_FREE_JSON`].
pub fn from_text(text: &str) -> Result<Value, InvalidJson> {
    json_budget::check(text.as_bytes(), &MAX_FREE_JSON).map_err(|_| InvalidJson)?;
    serde_json::from_str(text).or_else(|_| {
        let repaired = replace_lone_surrogates(text).ok_or(InvalidJson)?;
        serde_json::from_str(&repaired).map_err(|_| InvalidJson)
    })
}

fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(text, number.as_f64().unwrap_or(0.0)),
        Value::String(string) => write_string(text, string),
        Value::Array(items) => write_list(text, '[', ']', items, write_value),
        Value::Object(members) => write_list(text, '{', '}', ordered(members), |text, (key, value)| {
            write_string(text, key);
            text.push(':');
            write_value(text, value);
        }),
    }
}

fn write_list<T>(
    text: &mut String,
    open: char,
    close: char,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut String, T),
) {
    text.push(open);
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(close);
}

/// Members in ECMAScript's property order.
fn ordered(members: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut indexed: Vec<_> = members.iter().filter_map(|member| Some((array_index(member.0)?, member))).collect();
    indexed.sort_unstable_by_key(|(index, _)| *index);
    let named = members.iter().filter(|(key, _)| array_index(key).is_none());
    indexed.into_iter().map(|(_, member)| member).chain(named)
}

/// The array index that a key spells: a canonical decimal below 2^32 - 1.
fn array_index(key: &str) -> Option<u32> {
    let canonical = key == "0" || (!key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit()));
    canonical.then(|| key.parse().ok())?.filter(|index| *index < u32::MAX)
}

/// Number::toString of ECMA-262: shortest digits that read back as the same double.
fn write_number(text: &mut String, number: f64) {
    if number == 0.0 {
        text.push('0');
        return;
    }
    if number < 0.0 {
        text.push('-');
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    match exponent {
        0..=20 if exponent + 1 >= count => {
            text.push_str(&digits);
            (count..=exponent).for_each(|_| text.push('0'));
        }
        0..=20 => {
            let (whole, fraction) = digits.split_at(usize::try_from(exponent + 1).unwrap_or(0));
            text.push_str(whole);
            text.push('.');
            text.push_str(fraction);
        }
        -6..0 => {
            text.push_str("0.");
            (exponent + 1..0).for_each(|_| text.push('0'));
            text.push_str(&digits);
        }
        _ => {
            text.push_str(mantissa);
            text.push_str(if exponent < 0 { "e-" } else { "e+" });
            text.push_str(&exponent.unsigned_abs().to_string());
        }
    }
}

fn write_string(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// Replaces `\uD800`..`\uDFFF` escapes of lone surrogates by `\uFFFD`; `None` if there are none.
fn replace_lone_surrogates(text: &str) -> Option<String> {
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    while let Some(start) = rest.find('\\') {
        let (before, escape) = rest.split_at(start);
        repaired.push_str(before);
        let length = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(Surrogate::Leading), Some(Surrogate::Trailing)) => 12,
            (Some(_), _) => {
                found = true;
                repaired.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            // a backslash and the character after it, which may be another backslash
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        repaired.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    repaired.push_str(rest);
    found.then_some(repaired)
}

enum Surrogate {
    Leading,
    Trailing,
}

fn surrogate(escape: &str) -> Option<Surrogate> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Surrogate::Leading),
        0xdc00..=0xdfff => Some(Surrogate::Trailing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        to_text(&from_text(text).unwrap())
    }

    #[test]
    fn numbers_are_written_as_ecmascript_writes_them() {
        for (number, expected) in [
            ("1.0", "1"),
            ("-1.50", "-1.5"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1.25e21", "1.25e+21"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("0.00000123", "0.00000123"),
            ("123456.789", "123456.789"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("9007199254740993", "9007199254740992"),
            ("-0", "0"),
        ] {
            assert_eq!(rewritten(number), expected, "{number}");
        }
    }

    #[test]
    fn only_canonical_indices_below_the_limit_move_to_the_front() {
        let text = r#"{"4294967295":1,"b":2,"4294967294":3,"00":4,"0":5,"+1":6}"#;
        assert_eq!(rewritten(text), r#"{"0":5,"4294967294":3,"4294967295":1,"b":2,"00":4,"+1":6}"#);
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_kept() {
        assert_eq!(rewritten(r#""\ud800""#), "\"\u{fffd}\"");
        assert_eq!(rewritten(r#""\udc00\ud83d\ude00\ud83d""#), "\"\u{fffd}\u{1f600}\u{fffd}\"");
        assert_eq!(rewritten(r#""\\ud800 \ud800""#), "\"\\\\ud800 \u{fffd}\"");
    }

    #[test]
    fn broken_texts_and_too_deep_ones_are_refused() {
        for text in ["", "{", "{} x", "\"\\", "\"\\ud800", "\"\\u\u{e9}\u{e9}\""] {
            assert_eq!(from_text(text), Err(InvalidJson), "{text:?}");
        }
        assert_eq!(from_text(&"[".repeat(100_000)), Err(InvalidJson));
    }

    #[test]
    fn a_text_may_hold_as_many_values_as_its_budget_says() {
        let list = |values: usize| format!("[{}0]", "0,".repeat(values - 1));
        assert!(from_text(&list(MAX_FREE_JSON.max_nodes - 1)).is_ok(), "the list counts as well");
        assert_eq!(from_text(&list(MAX_FREE_JSON.max_nodes)), Err(InvalidJson));
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(from_text(&nested(MAX_FREE_JSON.max_depth)).is_ok());
        assert_eq!(from_text(&nested(MAX_FREE_JSON.max_depth + 1)), Err(InvalidJson));
    }

    proptest::proptest! {
        #[test]
        fn texts_within_the_budget_are_read_as_the_decoder_reads_them(text in r#"[\[\]{}",: a1\\]{0,24}"#) {
            proptest::prop_assert_eq!(from_text(&text).ok(), serde_json::from_str::<Value>(&text).ok());
        }
    }
}
