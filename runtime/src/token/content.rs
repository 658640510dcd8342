//! Contents of tokens: JSON.

use serde_json::Value;
use transport::crypto::{Cipher, CryptoError, CryptoObject as _, SecretKey};
use transport::peer::DirectDevices;
use transport::token::TokenContent;
use transport::wire::json_budget::{self, JsonBudget, MAX_CONTENT};
use transport::wire::{ByteText, json};
use zeroize::Zeroizing;

use crate::error::{Property, PropertyRule};
use crate::{Error, Result};

/// A checked content, as everybody sees it who opens the token. Typed contents are in their canonical form, with what the
/// node that made them added, all others as ECMAScript parses and writes them: numbers are doubles, keys that are array
/// indices come first.
///
/// The protocol knows objects only. Texts, numbers, booleans and lists are sealed as they are: a node like this one reads
/// them back unchanged, the published clients turn them into objects.
#[derive(Clone, PartialEq)]
pub(crate) struct TokenJson(Value);

/// Why a sealed content cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnreadableContent {
    /// The key is wrong, or the content was altered.
    Decryption,
    /// The plaintext is not a valid content.
    Malformed,
    /// It has more bytes or values than this node accepts.
    TooLarge,
}

impl TokenJson {
    /// Checks the content of a new token.
    ///
    /// # Errors
    /// [`Error::InvalidTokenContent`] for null, for an object whose `@type` is not a text or not known here, and for a
    /// known type with missing or wrong members; [`Error::InvalidProperty`] for a content of more than `max_length`
    /// bytes, or of more values than nodes accept.
    pub(crate) fn check(value: Value, max_length: usize) -> Result<Self> {
        let content = Self::read(value, false).map_err(|_| Error::InvalidTokenContent)?;
        let text = Zeroizing::new(json::to_text(&content.0));
        check_size(&text, max_length).map_err(|_| {
            let JsonBudget { max_nodes, max_depth } = MAX_CONTENT;
            let bounds = format!("{max_length} bytes, {max_nodes} values or {max_depth} levels");
            Error::invalid_property(Property::Content, PropertyRule::AtMost(format!("{bounds} as JSON")))
        })?;
        // The creator sees the numbers as they are sealed, not with digits that no reader will see.
        json::from_text(&text).map(Self).map_err(|_| Error::InvalidTokenContent)
    }

    /// The content of a stored token, which was checked before.
    pub(crate) fn stored(value: Value) -> Self {
        Self(value)
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    /// With the devices that give the file which this content is for.
    pub(crate) fn reachable_at(&self, devices: &DirectDevices) -> Self {
        match TokenContent::from_json(self.0.clone(), true) {
            Ok(mut content) => {
                devices.add_to(&mut content);
                Self(content.to_json())
            }
            Err(_) => self.clone(),
        }
    }

    /// The same, without the last of the devices as far as the content would have more than `max_length` bytes or values than nodes accept. The first
    /// one stays.
    pub(crate) fn reachable_within(&self, mut devices: DirectDevices, max_length: usize) -> Self {
        loop {
            let reachable = self.reachable_at(&devices);
            let text = Zeroizing::new(json::to_text(&reachable.0));
            if check_size(&text, max_length).is_ok() || devices.others.pop().is_none() {
                return reachable;
            }
        }
    }

    pub(crate) fn seal(&self, key: &SecretKey) -> ByteText {
        key.encrypt(Zeroizing::new(json::to_text(&self.0)).as_bytes()).to_byte_text()
    }

    /// Opens a sealed content. Unknown types are accepted: a peer may support more than this node.
    pub(crate) fn open(sealed: &[u8], key: &SecretKey, max_length: usize) -> Result<Self, UnreadableContent> {
        let cipher = Cipher::from_bytes(sealed).map_err(|_| UnreadableContent::Malformed)?;
        let plaintext = key.decrypt(&cipher).map_err(|_: CryptoError| UnreadableContent::Decryption)?;
        let text = std::str::from_utf8(&plaintext).map_err(|_| UnreadableContent::Malformed)?;
        check_size(text, max_length)?;
        Self::read(json::from_text(text).map_err(|_| UnreadableContent::Malformed)?, true)
    }

    fn read(value: Value, allow_unknown: bool) -> Result<Self, UnreadableContent> {
        match value {
            Value::Null => Err(UnreadableContent::Malformed),
            Value::Object(_) => match TokenContent::from_json(value, allow_unknown) {
                // What others add to a content is kept, as for instance where a node can be reached; applications add nothing.
                Ok(content) if allow_unknown => Ok(Self(content.to_json())),
                Ok(content) => Ok(Self(content.into_canonical().to_json())),
                Err(_) => Err(UnreadableContent::Malformed),
            },
            other => Ok(Self(other)),
        }
    }
}

/// Decoding takes many times the memory of the text, so its size is checked first.
fn check_size(text: &str, max_length: usize) -> Result<(), UnreadableContent> {
    let fits = text.len() <= max_length && json_budget::check(text.as_bytes(), &MAX_CONTENT).is_ok();
    if fits { Ok(()) } else { Err(UnreadableContent::TooLarge) }
}

impl From<&TokenContent> for TokenJson {
    fn from(content: &TokenContent) -> Self {
        Self(content.to_json())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use transport::crypto::SignatureKeypair;
    use transport::peer::{Direct, MultiaddrText, PeerKey};

    use super::*;

    const MAX: usize = 1000;

    fn device(seed: u8) -> Direct {
        let peer_id = PeerKey::derive(&SignatureKeypair::from_seed(&[seed; 32])).peer_id();
        let addresses = vec![MultiaddrText::new("/ip4/203.0.113.1/tcp/4001").unwrap()];
        Direct { peer_id, addresses, relays: Vec::new() }
    }

    #[test]
    fn as_many_devices_are_named_as_fit_and_the_first_one_always() {
        let file_id = "FILabcdefghijklmno12".parse().unwrap();
        let content = TokenJson::from(&TokenContent::file(file_id, SecretKey::generate()));
        let devices = DirectDevices::of_all((1..=3).map(device)).unwrap();
        let named = |max_length| {
            let reachable = content.reachable_within(devices.clone(), max_length);
            let read = DirectDevices::of(&TokenContent::from_json(reachable.0.clone(), true).unwrap()).unwrap();
            (read.all().count(), json::to_text(&reachable.0).len())
        };
        let (all, length) = named(usize::MAX);
        assert_eq!((all, named(length).0, named(length - 1).0), (3, 3, 2));
        assert_eq!(named(0).0, 1);
    }

    #[test]
    fn a_content_may_be_as_long_as_it_is_allowed_to_be_and_no_longer() {
        let key = SecretKey::generate();
        for (length, fits) in [(MAX, true), (MAX + 1, false)] {
            let value = json!("x".repeat(length - 2));
            let made = TokenJson::check(value.clone(), MAX);
            assert_eq!(made.is_ok(), fits);
            if let Err(refusal) = made {
                let rule = "'content' must NOT have more than 1000 bytes, 32768 values or 64 levels as JSON";
                assert_eq!(refusal.to_string(), rule);
            }
            let sealed = key.encrypt(value.to_string().as_bytes()).to_byte_text();
            let opened = TokenJson::open(&sealed.0, &key, MAX).map(|content| content.value().clone());
            assert_eq!(opened, if fits { Ok(value) } else { Err(UnreadableContent::TooLarge) });
        }
    }

    #[test]
    fn a_content_may_hold_so_many_values_and_no_more() {
        let key = SecretKey::generate();
        let flat = |values| Value::from(vec![0; values]);
        let nested = |depth| (0..depth).fold(json!(0), |inner, _| json!([inner]));
        for (value, fits) in [
            (flat(MAX_CONTENT.max_nodes - 1), true),
            (flat(MAX_CONTENT.max_nodes), false),
            (nested(MAX_CONTENT.max_depth), true),
            (nested(MAX_CONTENT.max_depth + 1), false),
        ] {
            assert_eq!(TokenJson::check(value.clone(), usize::MAX).is_ok(), fits);
            let sealed = key.encrypt(value.to_string().as_bytes()).to_byte_text();
            assert_eq!(TokenJson::open(&sealed.0, &key, usize::MAX).is_ok(), fits);
        }
    }

    #[test]
    fn any_json_but_null_survives_a_round_trip() {
        let key = SecretKey::generate();
        for value in
            [json!({}), json!({"a": {"b": [1, null, "x"]}}), json!("abc"), json!(1), json!(true), json!([1, 2])]
        {
            let content = TokenJson::check(value.clone(), MAX).unwrap();
            let opened = TokenJson::open(&content.seal(&key).0, &key, MAX).unwrap_or_else(|_| panic!("{value}"));
            assert_eq!(opened.value(), &value);
        }
    }

    #[test]
    fn creator_and_reader_see_the_same_text() {
        let key = SecretKey::generate();
        let given =
            r#"{"b":9007199254740993,"c":1.0,"d":-0.0,"e":[18446744073709551615,1e20,1.10],"1":"x","a":5e-324}"#;
        let content = TokenJson::check(serde_json::from_str(given).unwrap(), MAX).unwrap();
        let expected =
            r#"{"1":"x","b":9007199254740992,"c":1,"d":0,"e":[1.8446744073709552e+19,1e+20,1.1],"a":5e-324}"#;
        assert_eq!(content.value().to_string(), expected);
        let opened = TokenJson::open(&content.seal(&key).0, &key, MAX);
        assert_eq!(opened.map(|opened| opened.value().to_string()), Ok(expected.to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn any_number_is_the_same_for_creator_and_reader(integer: i64, unsigned: u64, double in proptest::num::f64::ANY) {
            let key = SecretKey::generate();
            let content = TokenJson::check(json!([integer, unsigned, double]), MAX).unwrap();
            let opened = TokenJson::open(&content.seal(&key).0, &key, MAX);
            let opened = opened.map(|opened| opened.value().to_string());
            proptest::prop_assert_eq!(opened, Ok(content.value().to_string()));
        }
    }

    #[test]
    fn contents_that_no_client_can_read_are_refused() {
        for value in [
            Value::Null,
            json!({"@type": "Nope", "x": 1}),
            json!({"@type": 1}),
            json!({"@type": null}),
            json!({"@type": "TokenContentFile"}),
            json!({"@type": "TokenContentFile", "fileId": "FIL00000000000000000", "secretKey": {"key": "x", "alg": 3}}),
        ] {
            assert!(matches!(TokenJson::check(value.clone(), MAX), Err(Error::InvalidTokenContent)), "{value}");
        }
        assert!(TokenJson::check(json!({"a": {"@type": "Nope"}}), MAX).is_ok());
    }

    #[test]
    fn typed_contents_are_put_into_their_canonical_form() {
        let key = SecretKey::generate();
        let text = key.to_value(transport::crypto::Form::Compact)["key"].clone();
        let given = json!({
            "@type": "TokenContentFile", "secretKey": {"@type": "CryptoSecretKey", "alg": 3, "key": text},
            "fileId": "FIL00000000000000000", "more": 1
        });
        let expected = json!({
            "@type": "TokenContentFile", "fileId": "FIL00000000000000000", "secretKey": {"key": text, "alg": 3}
        });
        assert_eq!(TokenJson::check(given.clone(), MAX).unwrap().value(), &expected);
        let sealed = key.encrypt(given.to_string().as_bytes()).to_byte_text();
        let opened = TokenJson::open(&sealed.0, &key, MAX).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(opened.value()["more"], 1, "what a peer adds is kept");
    }

    #[test]
    fn a_wrong_key_and_an_altered_content_are_refused() {
        let key = SecretKey::generate();
        let sealed = TokenJson::check(json!({"a": 1}), MAX).unwrap().seal(&key);
        assert!(matches!(TokenJson::open(&sealed.0, &SecretKey::generate(), MAX), Err(UnreadableContent::Decryption)));
        assert!(matches!(TokenJson::open(b"{}", &key, MAX), Err(UnreadableContent::Malformed)));
        let null = key.encrypt(b"null").to_byte_text();
        assert!(matches!(TokenJson::open(&null.0, &key, MAX), Err(UnreadableContent::Malformed)));
    }
}
