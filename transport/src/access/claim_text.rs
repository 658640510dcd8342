//! How the claims of a token are stored: as one text.
//!
//! A token remembers hundreds of claims, and each use of it stores all of them: as a list whose times are texts, that took more of the
//! time of a use than everything else but the disk.
//!
//! Claims are separated by spaces. Each is the 17 characters behind the prefix of its id, a letter for its state, and the milliseconds since
//! the Unix epoch at which its lease ends or since which it counts.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

use super::uses::{Counted, Open, Remembered};
use crate::wire::id::ID_LENGTH;
use crate::wire::{ClaimId, Id, Timestamp};

/// Characters of an id behind its prefix.
const ID: usize = ID_LENGTH - ClaimId::PREFIX.len();
/// Characters of most claims with the space behind.
const USUAL_LENGTH: usize = ID + 15;

/// A lease under which no content was sent.
const LEASED: char = 'l';
/// A lease under which content was sent.
const READ: char = 'r';
/// Counts, and no content was sent.
const COUNTED: char = 'c';
/// Counts, and content was sent.
const COUNTED_READ: char = 'd';
/// Counts, and nothing else is known. There is no time.
const COUNTED_ONLY: char = 'o';

pub(super) fn serialize<S: Serializer>(claims: &[Remembered], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity(claims.len() * USUAL_LENGTH);
    for claim in claims {
        if !text.is_empty() {
            text.push(' ');
        }
        write(claim, &mut text);
    }
    serializer.serialize_str(&text)
}

fn write(Remembered(id, lease, counted): &Remembered, text: &mut String) {
    let (state, time) = match (lease, counted) {
        (Some(Open(ends_at, is_read)), _) => (if *is_read { READ } else { LEASED }, Some(ends_at)),
        (None, Some(Counted(since, is_read))) => (if *is_read { COUNTED_READ } else { COUNTED }, Some(since)),
        (None, None) => (COUNTED_ONLY, None),
    };
    text.push_str(&id.as_str()[ClaimId::PREFIX.len()..]);
    text.push(state);
    if let Some(time) = time {
        text.push_str(&time.as_unix_milliseconds().to_string());
    }
}

fn read(text: &str) -> Option<Remembered> {
    let (id, rest) = text.split_at_checked(ID)?;
    let id = format!("{}{id}", ClaimId::PREFIX).parse().ok()?;
    let mut rest = rest.chars();
    let (state, time) = (rest.next()?, rest.as_str());
    if state == COUNTED_ONLY {
        return time.is_empty().then_some(Remembered(id, None, None));
    }
    let time = Timestamp::from_unix_milliseconds(time.parse().ok()?);
    let leased = |is_read| Remembered(id.clone(), Some(Open(time, is_read)), None);
    let counted = |is_read| Remembered(id.clone(), None, Some(Counted(time, is_read)));
    match state {
        LEASED => Some(leased(false)),
        READ => Some(leased(true)),
        COUNTED => Some(counted(false)),
        COUNTED_READ => Some(counted(true)),
        _ => None,
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Remembered>, D::Error> {
    deserializer.deserialize_any(Claims)
}

struct Claims;

impl<'de> Visitor<'de> for Claims {
    type Value = Vec<Remembered>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the claims of a token")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let claims = text.split_ascii_whitespace().map(|claim| read(claim).ok_or_else(|| E::custom("not a claim")));
        claims.collect()
    }

    /// A list, as versions before this form stored them.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut claims = Vec::new();
        while let Some(claim) = list.next_element()? {
            claims.push(claim);
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Stored(#[serde(with = "super")] Vec<Remembered>);

    fn any_time() -> impl Strategy<Value = Timestamp> {
        let [least, most] = [Timestamp::MIN, Timestamp::MAX].map(Timestamp::as_unix_milliseconds);
        (least..=most).prop_map(Timestamp::from_unix_milliseconds)
    }

    fn any_claim() -> impl Strategy<Value = Remembered> {
        let state = prop_oneof![
            (any_time(), any::<bool>()).prop_map(|(end, is_read)| (Some(Open(end, is_read)), None)),
            prop::option::of((any_time(), any::<bool>()))
                .prop_map(|counted| (None, counted.map(|(since, is_read)| Counted(since, is_read)))),
        ];
        ("CLM[A-Za-z0-9]{17}", state).prop_map(|(id, (lease, counted))| Remembered(id.parse().unwrap(), lease, counted))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(claims in prop::collection::vec(any_claim(), 0..20)) {
            let stored = Stored(claims);
            let mut bytes = Vec::new();
            ciborium::into_writer(&stored, &mut bytes).unwrap();
            prop_assert_eq!(&ciborium::from_reader::<Stored, _>(&bytes[..]).unwrap(), &stored);
            let text = serde_json::to_string(&stored).unwrap();
            prop_assert_eq!(serde_json::from_str::<Stored>(&text).unwrap(), stored);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = read(&text);
        }
    }

    #[test]
    fn lists_of_earlier_versions_are_read_too() {
        let id = "CLM00000000000000001";
        let list = format!("[[\"{id}\",[\"1970-01-01T00:00:01.000Z\",true],null],[\"{id}\",null]]");
        let Stored(claims) = serde_json::from_str(&list).unwrap();
        let id: ClaimId = id.parse().unwrap();
        let end = Timestamp::from_unix_milliseconds(1000);
        assert_eq!(claims, [Remembered(id.clone(), Some(Open(end, true)), None), Remembered(id, None, None)]);
    }

    #[test]
    fn the_stored_form_stays() {
        let id: ClaimId = "CLM00000000000000001".parse().unwrap();
        let time = Timestamp::from_unix_milliseconds(1000);
        let claims = vec![
            Remembered(id.clone(), Some(Open(time, false)), None),
            Remembered(id.clone(), Some(Open(time, true)), None),
            Remembered(id.clone(), None, Some(Counted(time, false))),
            Remembered(id.clone(), None, Some(Counted(time, true))),
            Remembered(id, None, None),
        ];
        let digits = "00000000000000001";
        let text = format!("\"{digits}l1000 {digits}r1000 {digits}c1000 {digits}d1000 {digits}o\"");
        assert_eq!(serde_json::to_string(&Stored(claims)).unwrap(), text);
    }

    #[test]
    fn what_is_no_claim_is_refused() {
        for text in ["\"x\"", "\"00000000000000001l\"", "\"00000000000000001x1\"", "\"00000000000000001o1\"", "7"] {
            assert!(serde_json::from_str::<Stored>(text).is_err(), "{text}");
        }
    }
}
