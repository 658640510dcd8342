//! Member names in any case, without a list of names: each struct knows its own.
//!
//! A deserializer around another one. Where a struct is read, each name is replaced by the name of the member that it equals
//! without regard to case; other names are passed on unchanged.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Reads structs with members in any case.
pub(super) struct AnyCase<D>(pub(super) D);

/// Methods for values without members.
macro_rules! passed_on {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        }
    )*};
}

/// Methods for values that may hold structs.
macro_rules! wrapped {
    ($($method:ident($($argument:ident: $kind:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* Inner { visitor, members: None })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for AnyCase<D> {
    type Error = D::Error;

    passed_on! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    wrapped! {
        deserialize_option()
        deserialize_seq()
        deserialize_map()
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, members, Inner { visitor, members: Some(members) })
    }
}

/// Passes the contents of a value to `T` through [`AnyCase`].
struct Inner<T> {
    visitor: T,
    /// The member names, for a struct.
    members: Option<&'static [&'static str]>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Inner<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(AnyCase(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(AnyCase(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Items(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Members { map, names: self.members })
    }
}

struct Items<A>(A);

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

struct Members<A> {
    map: A,
    names: Option<&'static [&'static str]>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        match self.names {
            Some(names) => self.map.next_key_seed(Name { seed, names }),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.map.size_hint()
    }
}

struct Seed<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(AnyCase(inner))
    }
}

/// The name of a member.
struct Name<S> {
    seed: S,
    names: &'static [&'static str],
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Name<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<S::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Name<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<S::Value, E> {
        let proper = self.names.iter().find(|name| name.eq_ignore_ascii_case(text)).copied();
        self.seed.deserialize(StrDeserializer::new(proper.unwrap_or(text)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outer {
        for_identity: Wrapped,
        #[serde(default)]
        all_of_them: Vec<Inside>,
        maybe: Option<Inside>,
        by_name: BTreeMap<String, Inside>,
        pair: (Inside, u8),
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Inside);

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Inside {
        content_type: String,
    }

    fn inside(text: &str) -> Inside {
        Inside { content_type: text.to_owned() }
    }

    fn outer() -> Outer {
        Outer {
            for_identity: Wrapped(inside("contentType")),
            all_of_them: vec![inside("a"), inside("CONTENTTYPE")],
            maybe: Some(inside("")),
            by_name: BTreeMap::from([("Maybe".to_owned(), inside("x"))]),
            pair: (inside("y"), 7),
        }
    }

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, serde_json::Error> {
        T::deserialize(AnyCase(&mut serde_json::Deserializer::from_str(text)))
    }

    /// The same tree with some letters of the names of members changed; keys of the map are no such names.
    fn recased(value: Value, upper: &mut impl FnMut() -> bool) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(|item| recased(item, upper)).collect(),
            Value::Object(members) => {
                let mut change = |name: String, inner| {
                    if name == "Maybe" {
                        return (name, recased(inner, upper));
                    }
                    let name = name.chars().map(|letter| if upper() { letter.to_ascii_uppercase() } else { letter });
                    (name.collect(), recased(inner, upper))
                };
                Value::Object(members.into_iter().map(|(name, inner)| change(name, inner)).collect())
            }
            scalar => scalar,
        }
    }

    #[test]
    fn a_name_twice_is_refused_and_an_escaped_one_read() {
        assert!(read::<Inside>(r#"{"contentType":"x","CONTENTtype":"y"}"#).is_err());
        assert_eq!(read::<Inside>(r#"{"\u0043ontenttype":"x","other":{"contentType":1}}"#).unwrap(), inside("x"));
    }

    #[test]
    fn errors_are_those_of_the_struct() {
        for text in ["[]", "1", "null", r#"{"CONTENTTYPE":1}"#, "{}", r#"{"contentType":null}"#] {
            let plain = serde_json::from_str::<Inside>(&text.replace("CONTENTTYPE", "contentType")).unwrap_err();
            assert_eq!(read::<Inside>(text).unwrap_err().to_string(), plain.to_string(), "{text}");
        }
    }

    #[test]
    fn a_missing_option_is_none() {
        let text =
            json!({"FORIDENTITY": {"contenttype": "x"}, "byname": {}, "pair": [{"contenttype": ""}, 1], "Maybe": null});
        let read: Outer = read(&text.to_string()).unwrap();
        assert_eq!((read.maybe, read.all_of_them), (None, vec![]));
    }

    proptest! {
        #[test]
        fn names_at_any_depth_are_read_in_any_case(letters in any::<u64>()) {
            let mut place = 0;
            let mut upper = || {
                place += 1;
                letters >> (place % 64) & 1 == 1
            };
            let text = recased(serde_json::to_value(outer()).unwrap(), &mut upper).to_string();
            prop_assert_eq!(read::<Outer>(&text).unwrap(), outer());
        }
    }
}
