//! Values that clients encode in more than one way.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use transport::wire::backbone::datawallet::ModificationType;
use transport::wire::backbone::sync_runs::SyncRunType;

/// Reads a whole number; for `deserialize_with`.
pub(crate) fn number<'de, D: Deserializer<'de>, T: FromStr + TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    Number::deserialize(deserializer).map(|number| number.0)
}

/// Reads one of several names; for `deserialize_with`.
pub(crate) fn choice<'de, D: Deserializer<'de>, C: Choices>(deserializer: D) -> Result<C, D::Error> {
    Choice::deserialize(deserializer).map(|choice| choice.0)
}

/// Reads `null` as the default; for `deserialize_with`, beside `default` for what is missing.
pub(crate) fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A whole number, written as a number or as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<T>(pub(crate) T);

impl<'de, T: FromStr + TryFrom<i64>> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor(PhantomData)).map(Self)
    }
}

struct NumberVisitor<T>(PhantomData<T>);

impl<T: FromStr + TryFrom<i64>> Visitor<'_> for NumberVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number in range")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        number.try_into().map_err(|_| E::custom("number out of range"))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_i64(number.try_into().map_err(|_| E::custom("number out of range"))?)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.trim().parse().map_err(|_| E::custom("not a whole number in range"))
    }
}

/// One of several names, written in any case or as its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice<C>(pub(crate) C);

/// An enum whose values have names and numbers.
pub(crate) trait Choices: Copy + Sized + 'static {
    /// The names in the order of their numbers.
    const NAMES: &'static [(&'static str, Self)];
}

impl Choices for ModificationType {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("Create", Self::Create),
        ("Update", Self::Update),
        ("Delete", Self::Delete),
        ("CacheChanged", Self::CacheChanged),
    ];
}

impl Choices for SyncRunType {
    const NAMES: &'static [(&'static str, Self)] =
        &[("ExternalEventSync", Self::ExternalEventSync), ("DatawalletVersionUpgrade", Self::DatawalletVersionUpgrade)];
}

impl<'de, C: Choices> Deserialize<'de> for Choice<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoiceVisitor(PhantomData)).map(Self)
    }
}

struct ChoiceVisitor<C>(PhantomData<C>);

impl<C: Choices> Visitor<'_> for ChoiceVisitor<C> {
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = C::NAMES.iter().map(|(name, _)| *name).collect();
        write!(f, "one of {}", names.join(", "))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<C, E> {
        let choice = usize::try_from(number).ok().and_then(|number| C::NAMES.get(number));
        choice.map(|(_, choice)| *choice).ok_or_else(|| E::custom("unknown number"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<C, E> {
        let choice = C::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        choice.map(|(_, choice)| *choice).ok_or_else(|| E::custom("unknown name"))
    }
}

/// A list of at most `N` items. Reading stops at the first excess one.
#[derive(Debug)]
pub(crate) struct AtMost<T, const N: usize>(pub(crate) Vec<T>);

impl<T, const N: usize> Default for AtMost<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for AtMost<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(AtMostVisitor::<T, N>(PhantomData)).map(Self)
    }
}

struct AtMostVisitor<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for AtMostVisitor<T, N> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {N} items; send more in several requests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            if items.len() == N {
                return Err(A::Error::invalid_length(N + 1, &self));
            }
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_texts() {
        for text in ["7", "\"7\""] {
            assert_eq!(serde_json::from_str::<Number<u16>>(text).unwrap(), Number(7));
        }
        for text in ["-1", "70000", "\"x\"", "1.5", "null"] {
            assert!(serde_json::from_str::<Number<u16>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_member_that_is_null_or_missing_is_the_default() {
        #[derive(serde::Deserialize)]
        struct Body {
            #[serde(default, deserialize_with = "null_as_default")]
            list: AtMost<u8, 3>,
        }
        for text in ["{}", r#"{"list":null}"#, r#"{"list":[]}"#] {
            assert_eq!(serde_json::from_str::<Body>(text).unwrap().list.0, [0; 0], "{text}");
        }
    }

    #[test]
    fn a_list_has_no_more_items_than_it_may() {
        let read = |text: &str| serde_json::from_str::<AtMost<u8, 3>>(text);
        assert_eq!(read("[1,2,3]").unwrap().0, [1, 2, 3]);
        let error = read("[1,2,3,4]").unwrap_err().to_string();
        assert!(error.contains("at most 3 items"), "{error}");
    }

    #[test]
    fn choices_may_be_in_any_case_or_numbers() {
        for text in ["\"Update\"", "\"uPDATE\"", "1"] {
            let choice = serde_json::from_str::<Choice<ModificationType>>(text).unwrap();
            assert_eq!(choice.0, ModificationType::Update);
        }
        for text in ["\"Upsert\"", "4", "-1"] {
            assert!(serde_json::from_str::<Choice<ModificationType>>(text).is_err(), "{text}");
        }
    }
}
