//! empty-token.json

use transport::crypto::{SecretKey, hash_password};
use transport::wire::{ByteText, TokenReference};

use crate::token_content::open;
use crate::vectors::{Vector, load};

fn filled_content(version: &serde_json::Value) -> ByteText {
    let requests = version.list("steps").iter().flat_map(|step| step.list("requests"));
    let mut contents = requests.filter_map(|request| request["body"].get("newContent"));
    serde_json::from_value(contents.next_back().unwrap().clone()).unwrap()
}

#[test]
fn references_of_empty_tokens_round_trip_in_both_forms() {
    for version in load("empty-token")["versions"].as_object().unwrap().values() {
        let reference = TokenReference::parse(version.text("reference")).unwrap();
        assert_eq!(reference.to_truncated(), version.text("reference"));
        assert_eq!(reference.to_url(None).as_deref(), Some(version.text("url")));
        assert_eq!(TokenReference::parse(version.text("url")).unwrap(), reference);
        let token = &version["emptyToken"];
        assert_eq!(reference.id.as_str(), token.text("id"));
        assert_eq!(reference.password.as_deref(), token["passwordProtection"].optional_text("password"));
    }
}

#[test]
fn the_content_from_another_device_opens_with_the_reference() {
    for version in load("empty-token")["versions"].as_object().unwrap().values() {
        let reference = TokenReference::parse(version.text("reference")).unwrap();
        let content = open(&filled_content(version).0, &SecretKey::from(&reference.key));
        assert_eq!(content.to_json(), version["loadedContent"]);
    }
}

#[test]
fn the_password_in_the_reference_gives_the_hash_that_was_sent() {
    let vectors = load("empty-token");
    let version = &vectors["versions"]["7.0.0"];
    let reference = TokenReference::parse(version.text("reference")).unwrap();
    let hash = hash_password(&reference.password.unwrap(), &reference.password_protection.unwrap().salt);
    let sent = &version.list("steps")[0]["requests"][0]["body"];
    assert_eq!(hash.to_backbone_text(), sent.text("password"));
}
