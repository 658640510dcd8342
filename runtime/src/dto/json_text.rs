//! JSON that is passed on as it is: kept as text, because values take many times the memory.

use std::fmt;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Any JSON, as text without white space. Writing it and reading it from any format take no more memory than the text.
///
/// Equal texts are equal; the order of members counts.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The decoded value. Takes up to a hundred times the memory of the text: for texts that are known to be short.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<&Value> for JsonText {
    fn from(value: &Value) -> Self {
        Self(value.to_string())
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_transcode::transcode(&mut serde_json::Deserializer::from_str(&self.0), serializer)
            .map_err(|_| S::Error::custom("the text nests too deeply to be written"))
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = Vec::new();
        serde_transcode::transcode(deserializer, &mut serde_json::Serializer::new(&mut text))
            .map_err(|_| D::Error::custom("not JSON"))?;
        String::from_utf8(text).map(Self).map_err(D::Error::custom)
    }
}

/// Shows how long it is: contents do not belong in logs.
impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
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
        fn what_is_written_and_read_is_the_same_as_by_way_of_values(value in any_json()) {
            let text = JsonText::from(&value);
            prop_assert_eq!(text.as_str(), value.to_string());
            prop_assert_eq!(text.to_value(), value.clone());
            prop_assert_eq!(serde_json::to_string(&text).unwrap(), value.to_string());
            prop_assert_eq!(serde_json::to_value(&text).unwrap(), value.clone());
            prop_assert_eq!(&JsonText::deserialize(&value).unwrap(), &text);
            prop_assert_eq!(&serde_json::from_str::<JsonText>(&serde_json::to_string_pretty(&value).unwrap()).unwrap(), &text);
        }
    }

    #[test]
    fn numbers_and_the_order_of_members_stay() {
        let text = r#"{"b":1.0,"a":18446744073709551615,"c":-2.5}"#;
        let read: JsonText = serde_json::from_str(text).unwrap();
        assert_eq!(read.as_str(), text);
    }

    #[test]
    fn what_is_no_json_is_refused_and_debug_shows_nothing() {
        for text in ["", "{", "[1,]", "nul"] {
            assert!(serde_json::from_str::<JsonText>(text).is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", JsonText::from(&json!("secret"))), "JsonText(8 bytes)");
    }
}
