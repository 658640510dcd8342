//! Reads stored objects: CBOR (RFC 8949) from a slice, with texts borrowed from it.
//!
//! Objects are JSON values encoded as CBOR, so this reads what JSON has: numbers, texts, booleans, null, lists, and maps
//! with text keys, all of definite length. Everything else is refused. Listing objects spends most of its time here; a
//! general decoder, which reads from a stream, is slower because it copies each text.

use std::fmt;

use serde::de::{self, Deserialize, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{Result, StoreError};

/// Deepest nesting that is read; stored values were JSON that was read under a smaller bound.
const MAX_DEPTH: u8 = 200;
/// Major types of RFC 8949 section 3.1 that matter for skipping an item.
const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
pub(super) const ARRAY: u8 = 4;
pub(super) const MAP: u8 = 5;
const TAG: u8 = 6;
/// Further major types of RFC 8949 section 3.1.
const POSITIVE: u8 = 0;
const NEGATIVE: u8 = 1;
const SIMPLE: u8 = 7;
/// Initial bytes of RFC 8949 section 3.3.
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const HALF: u8 = 0xf9;
const SINGLE: u8 = 0xfa;
const DOUBLE: u8 = 0xfb;

/// Reads one item; bytes after it are an error.
pub(super) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    let mut decoder = Decoder { rest: bytes, depth: 0 };
    let value = T::deserialize(&mut decoder).map_err(|Unreadable| StoreError::Damaged)?;
    if decoder.rest.is_empty() { Ok(value) } else { Err(StoreError::Damaged) }
}

/// An item has another type than expected. The message omits its content, which may be private.
#[derive(Debug)]
struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an object that can be read")
    }
}

impl std::error::Error for Unreadable {}

impl de::Error for Unreadable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

struct Decoder<'de> {
    rest: &'de [u8],
    depth: u8,
}

impl<'de> Decoder<'de> {
    fn take_head(&mut self) -> Result<(u8, u64), Unreadable> {
        let (major, argument, rest) = head(self.rest).ok_or(Unreadable)?;
        self.rest = rest;
        Ok((major, argument))
    }

    fn text(&mut self, length: u64) -> Result<&'de str, Unreadable> {
        let length = usize::try_from(length).map_err(|_| Unreadable)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(Unreadable)?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| Unreadable)
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Unreadable>) -> Result<T, Unreadable> {
        if self.depth == MAX_DEPTH {
            return Err(Unreadable);
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let first = *self.rest.first().ok_or(Unreadable)?;
        let (major, argument) = self.take_head()?;
        match (major, first) {
            (POSITIVE, _) => visitor.visit_u64(argument),
            (NEGATIVE, _) => visitor.visit_i64(!i64::try_from(argument).map_err(|_| Unreadable)?),
            (TEXT, _) => visitor.visit_borrowed_str(self.text(argument)?),
            (ARRAY, _) => self.nested(|decoder| visitor.visit_seq(Items { decoder, left: argument })),
            (MAP, _) => self.nested(|decoder| visitor.visit_map(Items { decoder, left: argument })),
            (SIMPLE, FALSE) => visitor.visit_bool(false),
            (SIMPLE, TRUE) => visitor.visit_bool(true),
            (SIMPLE, NULL) => visitor.visit_unit(),
            (SIMPLE, HALF) => visitor.visit_f64(from_half(argument)),
            (SIMPLE, SINGLE) => {
                visitor.visit_f64(f32::from_bits(u32::try_from(argument).map_err(|_| Unreadable)?).into())
            }
            (SIMPLE, DOUBLE) => visitor.visit_f64(f64::from_bits(argument)),
            _ => Err(Unreadable),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.rest.split_first() {
            Some((&NULL, rest)) => {
                self.rest = rest;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_newtype_struct(self)
    }

    /// Only variants without content are kept in objects.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        match self.take_head()? {
            (TEXT, length) => visitor.visit_enum(self.text(length)?.into_deserializer()),
            _ => Err(Unreadable),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.rest = skip(self.rest).ok_or(Unreadable)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

/// The remaining items of a list or a map.
struct Items<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: u64,
}

impl<'de> de::SeqAccess<'de> for Items<'_, 'de> {
    type Error = Unreadable;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unreadable> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.decoder).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for Items<'_, 'de> {
    type Error = Unreadable;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Unreadable> {
        seed.deserialize(&mut *self.decoder)
    }
}

/// RFC 8949 appendix D: sign(1) exponent(5) mantissa(10).
fn from_half(bits: u64) -> f64 {
    let exponent = i32::try_from(bits >> 10 & 0x1f).unwrap_or_default();
    let mantissa = f64::from(u16::try_from(bits & 0x3ff).unwrap_or_default());
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// What follows the first item.
pub(super) fn skip(bytes: &[u8]) -> Option<&[u8]> {
    let mut items: u64 = 1;
    let mut rest = bytes;
    while items > 0 {
        let (major, argument, after) = head(rest)?;
        items -= 1;
        rest = after;
        match major {
            BYTES | TEXT => rest = rest.get(usize::try_from(argument).ok()?..)?,
            ARRAY => items = items.checked_add(argument)?,
            MAP => items = items.checked_add(argument.checked_mul(2)?)?,
            TAG => items = items.checked_add(1)?,
            // Numbers, booleans and null are their heads.
            _ => {}
        }
    }
    Some(rest)
}

/// Major type and argument of the first item, and what follows its head. Records have definite lengths only.
pub(super) fn head(bytes: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let length = match first & 0x1f {
        small @ 0..=23 => return Some((first >> 5, u64::from(small), rest)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let (argument, rest) = rest.split_at_checked(length)?;
    let argument = argument.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some((first >> 5, argument, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::sealing;
    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-100_i16..100).prop_map(|number| Value::from(f64::from(number) / 4.0)),
            ".{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(".{0,8}", inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_as_the_other_reader_reads_it(value in any_json()) {
            let bytes = sealing::encode(&value).unwrap();
            prop_assert_eq!(from_slice::<Value>(&bytes).unwrap(), sealing::decode::<Value>(&bytes).unwrap());
            for cut in 0..bytes.len() {
                prop_assert!(from_slice::<Value>(&bytes[..cut]).is_err());
            }
            prop_assert!(from_slice::<Value>(&[bytes.as_slice(), &[0]].concat()).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_slice::<Value>(&bytes);
        }
    }

    #[test]
    fn half_precision_is_read_exactly() {
        // RFC 8949 appendix A.
        for (bits, number) in [
            (0x0000, 0.0),
            (0x3e00, 1.5),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x0400, 6.103_515_625e-5),
            (0xc400, -4.0),
        ] {
            assert_eq!(from_half(bits), number);
        }
        assert!(from_half(0x7e00).is_nan() && from_half(0xfc00) == f64::NEG_INFINITY);
    }

    #[test]
    fn nesting_is_read_to_its_bound() {
        let nested = |depth: usize| [vec![0x81; depth], vec![0xf6]].concat();
        assert!(from_slice::<de::IgnoredAny>(&nested(10_000)).is_ok(), "stepping over needs no stack");
        let lists = |depth: u8| {
            let bytes = nested(depth.into());
            from_slice::<Value>(&bytes).map(drop)
        };
        assert!(lists(MAX_DEPTH).is_ok() && lists(MAX_DEPTH + 1).is_err());
    }

    #[test]
    fn what_json_does_not_have_is_refused() {
        for bytes in [
            [0x41, 0x00].as_slice(),
            &[0xc0, 0x00],
            &[0xf7],
            &[0x9f, 0xff],
            &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(from_slice::<Value>(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(from_slice::<Value>(&[0x20]).unwrap(), json!(-1));
    }
}
