//! Masks an answer as the recordings are masked, so that both can be compared.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::Regex;
use serde_json::Value;

use crate::recording::Node;
use crate::world::{UNKNOWN_ADDRESS, World};

pub(crate) fn mask(world: &World, value: &Value) -> Value {
    match value {
        Value::String(text) => mask_text(world, text).into(),
        Value::Array(list) => list.iter().map(|inner| mask(world, inner)).collect(),
        Value::Object(object) => {
            let is_key = object.contains_key("alg");
            object.iter().map(|(name, inner)| (name.clone(), mask_member(world, name, inner, is_key))).collect()
        }
        other => other.clone(),
    }
}

fn mask_member(world: &World, name: &str, value: &Value, is_key: bool) -> Value {
    match (name, value) {
        ("truncated" | "truncatedReference", Value::String(text)) => format!("<ref {}>", kind_of(text)).into(),
        ("url", Value::String(text)) => match text.rsplit_once("/r/") {
            Some((_, rest)) => format!("<url {}>", &rest[..3]).into(),
            None => value.clone(),
        },
        ("key", Value::String(_)) if is_key => "<key>".into(),
        ("publicKey" | "signature" | "ownershipToken", Value::String(_)) => format!("<{name}>").into(),
        ("challengeString", Value::String(_)) => "<challenge>".into(),
        _ => mask(world, value),
    }
}

fn kind_of(reference: &str) -> String {
    let start = URL_SAFE_NO_PAD.decode(&reference[..4]).unwrap();
    String::from_utf8(start).unwrap()
}

pub(crate) fn mask_text(world: &World, text: &str) -> String {
    let mut text = text.replace(world.address(Node::A), "<address a>");
    text = text.replace(world.address(Node::B), "<address b>").replace(UNKNOWN_ADDRESS, "<unknown address>");
    let id = Regex::new(r"\b(FIL|TOK|RLT|REL|MSG|DVC|CHL|ERR)([A-Za-z0-9]{17})\b").unwrap();
    text = id
        .replace_all(&text, |found: &regex::Captures<'_>| match &found[2] {
            "00000000000000000" => found[0].to_owned(),
            _ => format!("<{}>", &found[1]),
        })
        .into_owned();
    let date = Regex::new(r"\b(\d{4})-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z").unwrap();
    let year: i32 = world.now()[..4].parse().unwrap();
    date.replace_all(&text, |found: &regex::Captures<'_>| {
        let near = found[1].parse::<i32>().is_ok_and(|found| (found - year).abs() <= 1);
        if near { "<date>".to_owned() } else { found[0].to_owned() }
    })
    .into_owned()
}
