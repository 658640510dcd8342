//! Which recorded object a mask stands for.
//!
//! Recordings say `<FIL>` wherever a file id stood. This table says of which entry's file.

/// The entry whose object an id, reference or URL in the request of `name` belongs to.
pub(crate) fn source(name: &str, kind: &str) -> Option<String> {
    if let Some(source) = same_suffix(name) {
        return Some(source);
    }
    let found = match kind {
        "FIL" => file(name),
        "TOK" => token(name),
        _ => None,
    };
    found.map(str::to_owned)
}

/// Downloads of an upload have its name but for the first word.
fn same_suffix(name: &str) -> Option<String> {
    ["download file name ", "download mimetype "]
        .iter()
        .find(|prefix| name.starts_with(*prefix))
        .map(|_| name.replacen("download", "upload", 1))
}

fn file(name: &str) -> Option<&'static str> {
    Some(match name {
        "download empty file" | "load file by url" => "upload empty file",
        "file token of file without expiry"
        | "load file by truncated reference"
        | "load file again"
        | "load own file"
        | "load file wrong key" => "upload minimal",
        _ if name.starts_with("peer file") && !name.contains("after delete") => "upload minimal",
        _ if name.starts_with("expiry") => "expiry upload",
        _ => "upload all fields",
    })
}

fn token(name: &str) -> Option<&'static str> {
    Some(match name {
        "load file by token for somebody else" => "file token forIdentity unknown",
        "load file by token for this node" | "load own file by token for somebody else" => {
            "file token forIdentity other node"
        }
        "load file by token with other content" => "prepared: token with other content",
        _ if name.starts_with("load file by protected token") => "file token all fields",
        "expiry load expired file by valid token" => "expiry file token",
        _ if name.starts_with("expiry") => "expiry token",
        _ if name.starts_with("load file") => "file token ephemeral true",
        "token get ephemeral" | "token delete" | "load token by url" => "token ephemeral",
        "token get protected" | "peer token get" | "token delete peer copy" => "token protected",
        _ if name.starts_with("load token protected") => "token protected",
        "load token personalised" | "load own personalised token at its creator" => "token personalised",
        _ => "token stored",
    })
}
