//! Builds the request of an entry: masks are replaced by what they stand for in this run.

use axum::body::Body as HttpBody;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, header};
use serde_json::Value;

use crate::recording::{Body, Entry, Part};
use crate::sources::source;
use crate::world::{OTHER_KEY, World};

const BOUNDARY: &str = "boundary-of-the-replay";
/// The contents of the files that were uploaded, by length.
const CONTENT: &[u8] = b"probe content";
/// The address of node a in recorded paths, where it was not masked.
const ENCODED_ADDRESS_START: &str = "did%3Ae%3Alocalhost%3Adids%3A";

pub(crate) fn build(world: &World, entry: &Entry) -> Request<HttpBody> {
    let path = encode_reference(&substitute(world, entry, &entry.request.path));
    let mut builder = Request::builder().method(entry.request.method.as_str()).uri(own_address(world, &path));
    builder = builder.header(header::HOST, "localhost");
    for (name, value) in &entry.request.headers {
        if name == "content-type" && value == "multipart/form-data" {
            continue;
        }
        builder = builder.header(name, header_value(world, entry, name, value));
    }
    let body = match &entry.request.body {
        None => Vec::new(),
        Some(Body::Json(value)) => serde_json::to_vec(&substitute_all(world, entry, value)).unwrap(),
        Some(Body::Raw(text)) => raw(text).into_bytes(),
        Some(Body::Multipart(parts)) => multipart(world, entry, parts),
    };
    if entry.request.headers.get("content-type").is_some_and(|value| value == "multipart/form-data") {
        let is_form = matches!(entry.request.body, Some(Body::Multipart(_)));
        let value = if is_form {
            format!("multipart/form-data; boundary={BOUNDARY}")
        } else {
            "multipart/form-data".to_owned()
        };
        builder = builder.header(header::CONTENT_TYPE, value);
    }
    builder.header(header::CONTENT_LENGTH, body.len()).body(HttpBody::from(body)).unwrap()
}

fn header_value(world: &World, entry: &Entry, name: &str, value: &str) -> String {
    match (name, value) {
        ("x-api-key", "<key>") => world.key().to_owned(),
        ("x-api-key", "<other key>") if entry.name.starts_with("role") => OTHER_KEY.to_owned(),
        ("x-api-key", "<other key>") if entry.name.contains("other case") => world.key().to_lowercase(),
        ("x-api-key", "<other key>") => "a wrong key".to_owned(),
        ("if-none-match", "<etag>") => world.last_tag("account identity info"),
        _ => value.to_owned(),
    }
}

fn substitute_all(world: &World, entry: &Entry, value: &Value) -> Value {
    match value {
        Value::String(text) if text == "<challenge>" => challenge(world, entry, "challengeString").into(),
        // Any key will do where a client gives one.
        Value::String(text) if text == "<key>" => "A".repeat(43).into(),
        Value::String(text) if text == "<signature>" => challenge(world, entry, "signature").into(),
        Value::String(text) => substitute(world, entry, text).into(),
        Value::Array(list) => list.iter().map(|inner| substitute_all(world, entry, inner)).collect(),
        Value::Object(object) => {
            object.iter().map(|(name, inner)| (name.clone(), substitute_all(world, entry, inner))).collect()
        }
        other => other.clone(),
    }
}

/// Challenges that were made up are unreadable; the others are those of earlier entries.
fn challenge(world: &World, entry: &Entry, property: &str) -> String {
    let source = if entry.name.contains("device") { "challenge Device" } else { "challenge Identity" };
    match (entry.name.as_str(), property) {
        ("validate challenge is other json", "challengeString") => "{}".to_owned(),
        (name, "challengeString") if name.contains("unreadable challenge") || name.contains("unreadable both") => {
            "x".to_owned()
        }
        _ => world.result(source)[property].as_str().unwrap_or("missing").to_owned(),
    }
}

fn substitute(world: &World, entry: &Entry, text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(made_up) = made_up(world, &entry.name) {
        for mask in ["<ref FIL>", "<ref TOK>", "<ref RLT>", "<url FIL>"] {
            text = text.replace(mask, &made_up);
        }
    }
    for (mask, value) in [
        ("<address a>", world.address(crate::recording::Node::A)),
        ("<address b>", world.address(crate::recording::Node::B)),
        ("<unknown address>", crate::world::UNKNOWN_ADDRESS),
    ] {
        text = text.replace(mask, value);
    }
    for kind in ["FIL", "TOK"] {
        let masks =
            [format!("<{kind}>"), format!("<ref {kind}>"), format!("<url {kind}>"), format!("<url {kind} app>")];
        if !masks.iter().any(|mask| text.contains(mask)) {
            continue;
        }
        let object = world.result(&source(&entry.name, kind).unwrap());
        let member = |value: &Value| value.as_str().unwrap_or("missing").to_owned();
        let (id, url) = (member(&object["id"]), member(&object["reference"]["url"]));
        let app = url.replacen('#', "?app=probe#", 1);
        let values = [id, member(&object["reference"]["truncated"]), url, app];
        for (mask, value) in masks.iter().zip(values) {
            text = text.replace(mask, &value);
        }
    }
    text.replace("<date>", &world.soon())
}

/// References that lead nowhere, and texts that only look like references.
fn made_up(world: &World, name: &str) -> Option<String> {
    let key = "A".repeat(43);
    let base = world.backbone_url();
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    Some(match name {
        "file get reference of unknown file" | "load file reference unknown file" => {
            encode(format!("FIL00000000000000000@{base}|3|{key}||"))
        }
        "load file reference unknown token" | "load token reference unknown" => {
            encode(format!("TOK00000000000000000@{base}|3|{key}||"))
        }
        "load file reference template reference" => encode(format!("RLT00000000000000000@{base}|3|{key}||")),
        "load file reference letters after prefix" => format!("RklM{}", "a".repeat(90)),
        "load token reference letters after prefix" => format!("VE9L{}", "a".repeat(90)),
        "load file reference other algorithm" => encode(format!("FIL00000000000000000@{base}|4|{key}||")),
        "load file reference key too short" => encode(format!("FIL00000000000000000@{base}|3|AAAA{}", "|".repeat(40))),
        "load file reference three components" => encode(format!("FIL00000000000000000@{base}|3|{key}")),
        "load file reference two components" => encode(format!("FIL00000000000000000@{base}|{}", "3".repeat(60))),
        "load file reference url with bad fragment" => format!("{base}/r/FIL00000000000000000#____"),
        "load file wrong key" => {
            let object = world.result("upload minimal");
            encode(format!("{}@{base}|3|{key}||", object["id"].as_str().unwrap()))
        }
        _ => return None,
    })
}

/// A URL that stands as one segment of a path is percent-encoded.
fn encode_reference(path: &str) -> String {
    match path.find("http://") {
        Some(at) => {
            let (start, reference) = path.split_at(at);
            format!("{start}{}", percent_encoding::utf8_percent_encode(reference, percent_encoding::NON_ALPHANUMERIC))
        }
        None => path.to_owned(),
    }
}

fn own_address(world: &World, path: &str) -> String {
    let Some(at) = path.find(ENCODED_ADDRESS_START) else { return path.to_owned() };
    let digits = &path[at + ENCODED_ADDRESS_START.len()..];
    let is_stranger = digits.starts_with("0000");
    let end = at + ENCODED_ADDRESS_START.len() + 22;
    let own = world.address(crate::recording::Node::A).replace(':', "%3A");
    if is_stranger { path.to_owned() } else { format!("{}{own}{}", &path[..at], &path[end..]) }
}

/// Long bodies were not recorded, only their length.
fn raw(text: &str) -> String {
    let length = text.strip_prefix('<').and_then(|rest| rest.strip_suffix(" characters>"));
    match length.and_then(|length| length.parse::<usize>().ok()) {
        Some(110_002) => format!("a={}", "x".repeat(110_000)),
        Some(length) => format!("{{\"x\":\"{}\"}}", "x".repeat(length - 8)),
        None => text.to_owned(),
    }
}

fn multipart(world: &World, entry: &Entry, parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let filename = part.filename.as_ref().map(|name| format!("; filename=\"{name}\"")).unwrap_or_default();
        let mimetype = part.mimetype.as_ref().map(|media| format!("Content-Type: {media}\r\n")).unwrap_or_default();
        let disposition = format!("Content-Disposition: form-data; name=\"{}\"{filename}", part.field);
        body.extend(format!("--{BOUNDARY}\r\n{disposition}\r\n{mimetype}\r\n").bytes());
        match (&part.value, part.bytes) {
            (Some(value), _) => body.extend(substitute(world, entry, value).bytes()),
            (None, Some(13)) => body.extend(CONTENT),
            (None, Some(length)) => body.extend(std::iter::repeat_n(b't', length)),
            (None, None) => {}
        }
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}
