//! Compares an answer with the recorded one.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::deviations::{self, Expected};
use crate::mask::{mask, mask_text};
use crate::recording::{Entry, Response};
use crate::world::{Answer, World};

/// Headers that were recorded with every answer that had them: what was not recorded must not be answered.
const HEADERS: [&str; 9] = [
    "access-control-allow-origin",
    "allow",
    "content-disposition",
    "content-encoding",
    "content-type",
    "etag",
    "location",
    "vary",
    "www-authenticate",
];
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

pub(crate) fn compare(world: &World, entry: &Entry, answer: &Answer) -> Result<(), String> {
    let recorded = (entry.response.status, code(&entry.response.body));
    // Of some answers only the media type was recorded.
    let has_code = entry.response.body["kind"].is_null();
    let given = (answer.status, code(&answer.json()).filter(|_| has_code));
    match deviations::find(world.dialect(), &entry.name) {
        Some(Expected::Answer(status, expected)) => {
            let expected = (status, expected.map(str::to_owned));
            if given != expected {
                return Err(format!("{given:?} instead of the listed {expected:?}"));
            }
            if given == recorded { Err("is listed as a deviation and is none".to_owned()) } else { Ok(()) }
        }
        Some(expected) => {
            same(&recorded, &given)?;
            let amended = expected.amend(&entry.response);
            if amended == entry.response {
                return Err("is listed as a deviation and is none".to_owned());
            }
            details(world, &entry.name, &amended, answer)
        }
        None => {
            same(&recorded, &given)?;
            details(world, &entry.name, &entry.response, answer)
        }
    }
}

fn details(world: &World, name: &str, recorded: &Response, answer: &Answer) -> Result<(), String> {
    headers(world, recorded, answer)?;
    // Of errors of other layers only the code is promised, their texts vary.
    let expected = without_free_text(name, recorded.body.clone());
    same(&expected, &masked_body(world, name, &recorded.body, answer))
}

fn same<T: PartialEq + std::fmt::Debug>(recorded: &T, given: &T) -> Result<(), String> {
    if recorded == given { Ok(()) } else { Err(format!("\n     recorded {recorded:?}\n     given    {given:?}")) }
}

fn headers(world: &World, recorded: &Response, answer: &Answer) -> Result<(), String> {
    let names: BTreeSet<&str> = HEADERS.into_iter().chain(recorded.headers.keys().map(String::as_str)).collect();
    for name in names {
        let recorded = recorded.headers.get(name).map(|value| value.to_ascii_lowercase());
        let given = answer.headers.get(name).map(|value| mask_header(world, name, value.to_str().unwrap()));
        let given = given.map(|value| value.to_ascii_lowercase());
        if !deviations::is_deliberate(name, recorded.as_deref(), given.as_deref()) {
            same(&(name, recorded), &(name, given))?;
        }
    }
    Ok(())
}

fn mask_header(world: &World, name: &str, value: &str) -> String {
    match name {
        "etag" => if value.starts_with("W/") { "<weak>" } else { "<strong>" }.to_owned(),
        "x-response-duration-ms" if value.parse::<f64>().is_ok() => "<ms>".to_owned(),
        _ => mask_text(world, without_extended(value)),
    }
}

/// A disposition as it was recorded: without the second form of the name, which says the same for other clients.
fn without_extended(value: &str) -> &str {
    let decode = |name: &str| percent_encoding::percent_decode_str(name).decode_utf8().unwrap().into_owned();
    let Some((recorded, extended)) = value.split_once(";filename*=UTF-8''") else { return value };
    assert_eq!(decode(extended), decode(recorded.rsplit_once('=').unwrap().1), "both forms say the same");
    recorded
}

fn code(body: &Value) -> Option<String> {
    body["error"]["code"].as_str().map(str::to_owned)
}

fn masked_body(world: &World, name: &str, recorded: &Value, answer: &Answer) -> Value {
    match recorded["kind"].as_str() {
        Some("names") => json!({"kind": "names", "names": names(&answer.json())}),
        Some("png") => json!({"kind": "png", "valid": answer.body.starts_with(PNG_SIGNATURE)}),
        Some("bytes") => {
            let digest =
                Sha256::digest(&answer.body).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
            json!({"kind": "bytes", "length": answer.body.len(), "sha256": digest})
        }
        Some("shape") => shape_like(&recorded["shape"], &answer.json()),
        Some(_) => recorded.clone(),
        None if answer.body.is_empty() => Value::Null,
        None => without_free_text(name, mask(world, &answer.json())),
    }
}

fn without_free_text(name: &str, mut body: Value) -> Value {
    let Some(code) = code(&body) else { return body };
    let exact = ["error.runtime.validation.", "error.connector.", "error.runtime.identityMetadata."];
    let is_exact = exact.iter().any(|prefix| code.starts_with(prefix))
        // What is loaded is missing at the backbone, whose text it is; everything else is missing here.
        || code == "error.runtime.recordNotFound" && !name.starts_with("load") && !name.starts_with("expiry");
    if !is_exact {
        body["error"]["message"] = "<text>".into();
    }
    body
}

/// Names of files, or names inside token contents.
fn names(body: &Value) -> Vec<Value> {
    let list = body["result"].as_array().cloned().unwrap_or_default();
    list.iter().map(|item| item.get("filename").unwrap_or(&item["content"]["name"]).clone()).collect()
}

/// The recorded shape if the answer has it and nothing more, else what the answer has. Configurations differ, so theirs is
/// not compared.
fn shape_like(recorded: &Value, given: &Value) -> Value {
    fn fits(shape: &Value, given: &Value) -> bool {
        match shape {
            Value::Object(members) => {
                let is_known = |given: &Map<String, Value>| given.keys().all(|name| members.contains_key(name));
                given.as_object().is_some_and(is_known)
                    && members.iter().all(|(name, shape)| {
                        matches!(name.as_str(), "configuration" | "requestCountByStatus") || fits(shape, &given[name])
                    })
            }
            Value::String(kind) if kind == "number" => given.is_number(),
            Value::String(kind) if kind == "boolean" => given.is_boolean(),
            _ => given.is_string(),
        }
    }
    if fits(recorded, given) { json!({"kind": "shape", "shape": recorded}) } else { given.clone() }
}
