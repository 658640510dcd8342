//! Properties that hold for all inputs, not only for the vectors.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;
use transport::crypto::hash::Sha512Hash;
use transport::crypto::{Cipher, CryptoObject, Form, SecretKey};
use transport::file::{FileMetadata, Opener, sealed_length};
use transport::token::TokenContent;
use transport::wire::password::{PasswordLocationIndicator, PasswordType, SharedPasswordProtection};
use transport::wire::reference::BaseUrl;
use transport::wire::{Address, AnyReference, ReferenceKey, Timestamp, TokenReference, json};

use crate::file::{metadata, open, seal};
use crate::token_content;

fn protection() -> impl Strategy<Value = SharedPasswordProtection> {
    let kind = prop_oneof![Just(PasswordType::Pw), (4..=16_u8).prop_map(PasswordType::Pin)];
    let location = option::of((0..=99_u8).prop_map(|value| PasswordLocationIndicator::new(value).unwrap()));
    (kind, location, any::<[u8; 16]>()).prop_map(|(password_type, location, salt)| SharedPasswordProtection {
        location,
        password_type,
        salt,
    })
}

fn reference() -> impl Strategy<Value = TokenReference> {
    let base_url = "https?://[a-z]{1,10}(:[1-9][0-9]{3})?(/[a-z0-9]{1,5}){0,3}";
    ("TOK[A-Za-z0-9]{17}", option::of(base_url), any::<[u8; 32]>(), option::of("[0-9a-f]{4}"), option::of(protection()))
        .prop_map(|(id, base_url, key, for_identity, protection)| {
            let mut reference = TokenReference::new(id.parse().unwrap(), ReferenceKey::from_bytes(key));
            reference.backbone_base_url = base_url;
            reference.for_identity_truncated = for_identity;
            reference.password_protection = protection;
            reference
        })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((prop_oneof!["[0-9]{1,11}", "\\PC{0,5}"], inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn references_survive_both_forms(reference in reference()) {
        prop_assert_eq!(&TokenReference::parse(&reference.to_truncated()).unwrap(), &reference);
        prop_assert_eq!(AnyReference::parse(&reference.to_truncated()), Ok(AnyReference::Token(reference.clone())));
        if let Some(url) = reference.to_url(Some("a b&c")) {
            prop_assert_eq!(TokenReference::parse(&url).unwrap(), reference);
        }
    }

    #[test]
    fn where_a_node_can_be_reached_survives_the_url_and_nothing_else_changes(
        reference in reference(), direct in "[A-Za-z0-9_-]{1,200}", app in option::of("\\PC{0,10}"),
    ) {
        let dialable = reference.clone().reached_at(&direct).unwrap();
        prop_assert_eq!(TokenReference::parse(&dialable.to_truncated()).unwrap(), reference);
        if let Some(url) = dialable.to_url(app.as_deref()) {
            prop_assert_eq!(TokenReference::parse(&url).unwrap(), dialable);
        }
    }

    #[test]
    fn a_query_never_changes_what_a_url_names(reference in reference(), query in "[^#]{0,60}") {
        if let Some(url) = reference.to_url(None) {
            let read = TokenReference::parse(&url.replace('#', &format!("?{query}#"))).unwrap();
            prop_assert_eq!(TokenReference { direct: None, ..read }, reference);
        }
    }

    #[test]
    fn both_forms_at_once_are_those_one_by_one(reference in reference()) {
        let place = BaseUrl::parse(reference.backbone_base_url.as_deref().unwrap_or("https://a.b/c/")).unwrap();
        let placed = reference.clone().at(place.as_str()).unwrap();
        prop_assert_eq!(reference.forms_at(&place), (placed.to_truncated(), placed.to_url(None).unwrap()));
    }

    #[test]
    fn references_with_anything_behind_them_are_refused(reference in reference(), tail in "[^A-Za-z0-9_-]{1,3}") {
        let text = reference.to_truncated() + &tail;
        prop_assert!(TokenReference::parse(&text).is_err());
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,80}") {
        let _ = AnyReference::parse(&text);
        let _ = AnyReference::parse(&format!("http://h/r/TOKabcDEF123ghiJKL45#{text}"));
        let _ = text.parse::<Timestamp>();
        let _ = text.parse::<Address>();
        let _ = TokenContent::parse(&text);
        let _ = FileMetadata::parse(&text);
        let _ = Cipher::from_json(&text);
        let _ = json::from_text(&text);
    }

    #[test]
    fn timestamps_survive_their_text(milliseconds in Timestamp::MIN.as_unix_milliseconds()..=Timestamp::MAX.as_unix_milliseconds()) {
        let timestamp = Timestamp::from_unix_milliseconds(milliseconds);
        prop_assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
    }

    #[test]
    fn json_texts_are_stable_and_mean_the_same(value in json_value()) {
        let text = json::to_text(&value);
        let read = json::from_text(&text).unwrap();
        prop_assert_eq!(json::to_text(&read), text.clone());
        let with_tail = text + " x";
        prop_assert!(json::from_text(&with_tail).is_err());
    }

    #[test]
    fn ciphers_survive_their_texts_and_nothing_may_follow(plaintext in vec(any::<u8>(), 0..300), cut in 1_usize..40) {
        let key = SecretKey::generate();
        let cipher = key.encrypt(&plaintext);
        for form in [Form::Verbose, Form::Compact] {
            let text = cipher.to_json(form);
            prop_assert_eq!(&Cipher::from_json(&text).unwrap(), &cipher);
            prop_assert!(Cipher::from_json(&text[..text.len() - cut]).is_err());
            let with_tail = text + "}";
            prop_assert!(Cipher::from_json(&with_tail).is_err());
        }
        prop_assert_eq!(Cipher::from_base64(&cipher.to_base64()).unwrap(), cipher.clone());
        let opened = key.decrypt(&cipher).unwrap();
        prop_assert_eq!(opened.as_slice(), plaintext);
    }

    #[test]
    fn open_contents_survive_sealing(value in json_value()) {
        let Value::Object(members) = value else { return Ok(()) };
        prop_assume!(!members.contains_key("@type"));
        let (key, content) = (SecretKey::generate(), TokenContent::Json(members));
        let opened = token_content::open(&key.encrypt(content.to_text().as_bytes()).to_byte_text().0, &key);
        prop_assert_eq!(opened.to_text(), content.to_text());
    }

    #[test]
    fn files_survive_whatever_the_pieces(plaintext in vec(any::<u8>(), 0..5000), piece in 1_usize..6000) {
        let key = SecretKey::generate();
        let (body, sealed) = seal(&plaintext, &key, piece);
        prop_assert_eq!(body.len() as u64, sealed_length(plaintext.len() as u64));
        prop_assert_eq!(open(&body, &metadata(&sealed, &key), sealed.cipher_hash).unwrap(), plaintext);
    }

    #[test]
    fn no_body_makes_the_opener_panic(body in vec(prop_oneof![Just(b'"'), Just(b'{'), Just(b'}'), Just(b':'), Just(b','), any::<u8>()], 0..60)) {
        let key = SecretKey::generate();
        let (_, sealed) = seal(b"", &key, 1);
        let opener = Opener::new(&metadata(&sealed, &key), Sha512Hash::of(&body));
        prop_assert!(opener.open(std::io::Cursor::new(body)).is_err());
    }

    #[test]
    fn metadata_survive_sealing_and_their_text(
        (filename, filesize, mimetype) in (".*", any::<u64>(), ".*"),
        (description, title, tags) in (option::of(".*"), option::of(".*"), option::of(vec(".*", 0..4))),
    ) {
        let key = SecretKey::generate();
        let metadata = FileMetadata {
            description, modified_at: Some(Timestamp::NEVER), filename, filesize, mimetype,
            plaintext_hash: Sha512Hash::of(b""), secret_key: key.clone(), tags, title,
        };
        let text = metadata.to_text();
        prop_assert_eq!(&FileMetadata::parse(&text).unwrap(), &metadata);
        prop_assert!(FileMetadata::parse(&text[..text.len() - 1]).is_err());
        prop_assert!(FileMetadata::parse(&(text + "x")).is_err());
        prop_assert_eq!(FileMetadata::open(&metadata.seal(&key).0, &key).unwrap(), metadata);
    }
}
