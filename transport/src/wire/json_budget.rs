//! A bound on the memory that a decoded JSON text takes.
//!
//! A decoded value takes up to about 100 bytes per node, and `[0,0,0,…]` has a node every second byte. So a limit on bytes
//! alone does not limit memory: texts from others are checked here before they are decoded into generic values.

/// Bounds of a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonBudget {
    /// Maximum number of nodes: scalars, arrays, objects and keys, counting repeated keys each time.
    pub max_nodes: usize,
    /// Maximum nesting of arrays and objects: 0 for a scalar, 1 for `[]`.
    pub max_depth: usize,
}

/// Budget of texts from others without a fixed schema: token contents, payloads, secrets. Decoded, they take at most 10 MiB
/// besides their strings; real ones have some hundred values.
pub const MAX_FREE_JSON: JsonBudget = JsonBudget { max_nodes: 64 * 1024, max_depth: 127 };

/// Budget of one member of a record set by an application: the content of a token, the value of identity metadata. Less than
/// [`MAX_FREE_JSON`], because the payload that carries it to the other devices has further members.
pub const MAX_CONTENT: JsonBudget = JsonBudget { max_nodes: 32 * 1024, max_depth: 64 };

/// How a text exceeds its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonBudgetError {
    /// Too many nodes.
    #[error("JSON has more than {max} values and keys")]
    TooManyNodes {
        /// Maximum number of nodes.
        max: usize,
    },
    /// Nested too deeply.
    #[error("JSON nests deeper than {max} levels")]
    TooDeep {
        /// Maximum number of levels.
        max: usize,
    },
}

/// Counts the nodes and levels of a text, in one pass and without allocation.
///
/// The count is exact for valid JSON. Invalid JSON may pass and is left to the decoder: before it fails, no decoder finds more
/// nodes than are counted here.
///
/// # Errors
/// [`JsonBudgetError`] as soon as the text exceeds the budget.
pub fn check(text: &[u8], budget: &JsonBudget) -> Result<(), JsonBudgetError> {
    count(text, budget).map(drop)
}

/// Like [`check`], and returns the number of nodes.
///
/// # Errors
/// [`JsonBudgetError`] as soon as the text exceeds the budget.
pub fn count(text: &[u8], budget: &JsonBudget) -> Result<usize, JsonBudgetError> {
    let mut count = Count { budget, nodes: 0, depth: 0 };
    let mut position = 0;
    while let Some(&byte) = text.get(position) {
        position += 1;
        match byte {
            b'"' => {
                count.node()?;
                position += string_length(&text[position..]);
            }
            b'[' | b'{' => {
                count.node()?;
                count.open()?;
            }
            b']' | b'}' => count.depth = count.depth.saturating_sub(1),
            between if is_between(between) => {}
            _ => {
                count.node()?;
                position += scalar_length(&text[position..]);
            }
        }
    }
    Ok(count.nodes)
}

struct Count<'a> {
    budget: &'a JsonBudget,
    nodes: usize,
    depth: usize,
}

impl Count<'_> {
    fn node(&mut self) -> Result<(), JsonBudgetError> {
        let max = self.budget.max_nodes;
        self.nodes += 1;
        if self.nodes > max { Err(JsonBudgetError::TooManyNodes { max }) } else { Ok(()) }
    }

    fn open(&mut self) -> Result<(), JsonBudgetError> {
        let max = self.budget.max_depth;
        self.depth += 1;
        if self.depth > max { Err(JsonBudgetError::TooDeep { max }) } else { Ok(()) }
    }
}

/// Number of bytes up to and including the closing quote, or all if there is none.
fn string_length(text: &[u8]) -> usize {
    let mut position = 0;
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => return position + 1,
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    text.len()
}

/// Number of bytes up to the end of a number or literal.
fn scalar_length(text: &[u8]) -> usize {
    let ends = |&byte: &u8| is_between(byte) || matches!(byte, b'"' | b'[' | b']' | b'{' | b'}');
    text.iter().position(ends).unwrap_or(text.len())
}

fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':')
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use proptest::prelude::*;
    use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

    use super::*;

    /// Nodes and nesting of a text according to serde_json.
    #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
    struct Found {
        nodes: usize,
        depth: usize,
    }

    impl Found {
        fn in_text(text: &[u8]) -> Option<Self> {
            let mut found = Self::default();
            let mut deserializer = serde_json::Deserializer::from_slice(text);
            Counter { found: &mut found, depth: 0 }.deserialize(&mut deserializer).ok()?;
            deserializer.end().ok()?;
            Some(found)
        }

        fn as_budget(self) -> JsonBudget {
            JsonBudget { max_nodes: self.nodes, max_depth: self.depth }
        }
    }

    struct Counter<'a> {
        found: &'a mut Found,
        depth: usize,
    }

    impl Counter<'_> {
        fn scalar<E>(self) -> Result<(), E> {
            self.found.nodes += 1;
            Ok(())
        }

        fn inner(&mut self) -> Counter<'_> {
            Counter { found: self.found, depth: self.depth + 1 }
        }

        fn entered(&mut self) {
            self.found.nodes += 1;
            self.found.depth = self.found.depth.max(self.depth + 1);
        }
    }

    impl<'de> DeserializeSeed<'de> for Counter<'_> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_any(self)
        }
    }

    impl<'de> Visitor<'de> for Counter<'_> {
        type Value = ();

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("JSON")
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            self.scalar()
        }

        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            self.scalar()
        }

        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            self.scalar()
        }

        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            self.scalar()
        }

        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            self.scalar()
        }

        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            self.scalar()
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
            self.entered();
            while items.next_element_seed(self.inner())?.is_some() {}
            Ok(())
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
            self.entered();
            while members.next_key::<IgnoredAny>()?.is_some() {
                self.found.nodes += 1;
                members.next_value_seed(self.inner())?;
            }
            Ok(())
        }
    }

    /// Valid texts, with keys that repeat, escapes and white space.
    fn valid_text() -> impl Strategy<Value = String> {
        let string =
            r#"([ -!#-\[\]-~é😀]|\\["\\/bfnrt]|\\u00[0-7][0-9a-f]){0,8}"#.prop_map(|text| format!("\"{text}\""));
        let scalar = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,4})?([eE][+-]?[0-9])?",
            string.clone(),
        ];
        scalar.prop_recursive(6, 60, 8, move |inner| {
            let space = "[ \t\r\n]{0,2}";
            let item = (space, inner, space).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
            let key = prop_oneof![string.clone(), Just("\"same\"".to_owned())];
            let member = (space, key, space, item.clone())
                .prop_map(|(before, key, after, value)| format!("{before}{key}{after}:{value}"));
            let list = |entry: BoxedStrategy<String>, open, close| {
                prop::collection::vec(entry, 0..8)
                    .prop_map(move |entries| format!("{open}{}{close}", entries.join(",")))
            };
            prop_oneof![list(item.boxed(), "[", "]"), list(member.boxed(), "{", "}")]
        })
    }

    /// Random bytes, mostly from JSON's syntax.
    fn any_text() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            prop::sample::select(vec![
                "[", "]", "{", "}", ",", ":", "\"", "\\", "\\\"", " ", "1", "-", "true", "nul", "\"k\":", "\"\""
            ])
            .prop_map(|part| part.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..3),
        ];
        prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    fn passes_exactly_at_its_own_size(text: &[u8], found: Found) {
        let own = found.as_budget();
        assert_eq!(count(text, &own), Ok(found.nodes));
        let fewer = JsonBudget { max_nodes: own.max_nodes - 1, ..own };
        assert_eq!(check(text, &fewer), Err(JsonBudgetError::TooManyNodes { max: fewer.max_nodes }));
        if own.max_depth > 0 {
            let flatter = JsonBudget { max_depth: own.max_depth - 1, ..own };
            assert_eq!(check(text, &flatter), Err(JsonBudgetError::TooDeep { max: flatter.max_depth }));
        }
    }

    proptest! {
        #[test]
        fn valid_json_is_counted_exactly(text in valid_text()) {
            let found = Found::in_text(text.as_bytes());
            prop_assert!(found.is_some(), "not JSON: {text}");
            passes_exactly_at_its_own_size(text.as_bytes(), found.unwrap());
        }

        #[test]
        fn whatever_the_decoder_accepts_is_counted_exactly(text in any_text()) {
            let _ = check(&text, &JsonBudget { max_nodes: 5, max_depth: 2 });
            if let Some(found) = Found::in_text(&text) {
                passes_exactly_at_its_own_size(&text, found);
            }
        }

        #[test]
        fn a_decoder_never_gets_further_than_what_is_counted(text in any_text()) {
            let mut found = Found::default();
            let mut deserializer = serde_json::Deserializer::from_slice(&text);
            let _ = Counter { found: &mut found, depth: 0 }.deserialize(&mut deserializer);
            if found.nodes > 0 {
                let fewer = JsonBudget { max_nodes: found.nodes - 1, max_depth: usize::MAX };
                prop_assert!(check(&text, &fewer).is_err());
            }
        }
    }

    #[test]
    fn the_bounds_are_exact() {
        let budget = JsonBudget { max_nodes: 5, max_depth: 2 };
        for fits in
            ["", "1", r#"{"a":[1,2]}"#, r#"[[],"[[[[,,,,",{}, 1]"#, r#"["\"[[[[[[",true,-1e3,null]"#, "[],[],[]"]
        {
            assert_eq!(check(fits.as_bytes(), &budget), Ok(()), "{fits}");
        }
        for large in [r#"{"a":[1,2,3]}"#, r#"{"a":1,"a":1,"a":1}"#, "1 2 3 4 5 6", r#"["\\",1,2,3,4]"#] {
            assert_eq!(check(large.as_bytes(), &budget), Err(JsonBudgetError::TooManyNodes { max: 5 }), "{large}");
        }
        for deep in ["[[[", r#"{"a":[[]]}"#, "[[{}]]"] {
            assert_eq!(check(deep.as_bytes(), &budget), Err(JsonBudgetError::TooDeep { max: 2 }), "{deep}");
        }
    }

    #[test]
    fn an_unterminated_string_is_left_to_the_decoder() {
        for text in ["\"", "\"\\", "\"abc", "[\"\\\""] {
            assert_eq!(check(text.as_bytes(), &JsonBudget { max_nodes: 2, max_depth: 1 }), Ok(()), "{text}");
        }
    }
}
