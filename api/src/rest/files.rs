//! Files: upload, list, load, show, share, delete.

use http::StatusCode;
use runtime::facade::{CreateTokenForFile, LoadFile, Ownership};
use runtime::{Error, FileId, FileReference};
use serde_json::{Map, Value};

pub(crate) use super::download::download;
use super::password;
pub(crate) use super::streamed_upload::upload as upload_streamed;
pub(crate) use super::upload::upload;
use super::{list, qr_code, tokens};
use crate::call::parse_id;
use crate::connector::Call;
use crate::problem::Problem;
use crate::protocol::Media;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// The body of loading a file.
pub(crate) fn loading() -> Object {
    Object::new()
        .required(
            "reference",
            ValueRule::Reference(&["FIL", "TOK"]),
            "Reference of a file or a token, truncated or as a URL.",
        )
        .optional("password", ValueRule::Text(0), "For protected tokens.")
        .saying("token / file reference invalid")
}

/// The body of sharing a file. Everything is optional, the body itself too.
pub(crate) fn sharing() -> Object {
    let published = Object::new()
        .optional("expiresAt", ValueRule::DateTime, "Must lie in the future. Default: when the file expires.")
        .optional("ephemeral", ValueRule::Flag, "Whether the token is left out of the store. Default: true.")
        .optional("forIdentity", ValueRule::Address, "The only identity that may load it.")
        .optional("passwordProtection", password::shape(), "What loading it takes.");
    super::tokens::with_terms(published).ignoring_unknown()
}

/// `GET Files`
pub(crate) async fn list_all(call: Call) -> Result<Reply, Problem> {
    list_of(call, Ownership::Any).await
}

/// `GET Files/Own`
pub(crate) async fn list_own(call: Call) -> Result<Reply, Problem> {
    list_of(call, Ownership::Own).await
}

/// `GET Files/Peer`
pub(crate) async fn list_peer(call: Call) -> Result<Reply, Problem> {
    list_of(call, Ownership::Peer).await
}

/// `POST Files/Peer`
pub(crate) async fn load(mut call: Call) -> Result<Reply, Problem> {
    let request: LoadFile = call.read(&loading())?;
    let file = call.runtime().files().get_or_load_file(request).await?;
    Ok(Reply::created(&call.differences().file(file)))
}

/// `GET Files/{idOrReference}`
pub(crate) async fn get(call: Call) -> Result<Reply, Problem> {
    let id = id_or_reference(call.parameter())?;
    let file = call.runtime().files().file(&id).await?;
    if call.media == Media::PNG {
        let picture = qr_code::of_reference(&call, &file.reference, wants_url(&call))?;
        return Ok(Reply::png(StatusCode::OK, &format!("{id}.png"), picture));
    }
    Ok(Reply::ok(&call.differences().file(file)))
}

/// `DELETE Files/{id}`
pub(crate) async fn delete(call: Call) -> Result<Reply, Problem> {
    let id: FileId = call.id("fileId", "File")?;
    call.runtime().files().delete_file(&id).await?;
    Ok(Reply::no_content())
}

/// `PATCH Files/{id}/RegenerateOwnershipToken`
pub(crate) async fn regenerate_ownership_token(call: Call) -> Result<Reply, Problem> {
    let id: FileId = call.id("id", "File")?;
    let file = call.runtime().files().regenerate_file_ownership_token(&id).await?;
    Ok(Reply::ok(&call.differences().file(file)))
}

/// `POST Files/{id}/Token`
pub(crate) async fn create_token(mut call: Call) -> Result<Reply, Problem> {
    let id: FileId = call.id("fileId", "File")?;
    let body = object_or_empty(call.take_json()?);
    let wants_url = body.get("newQRCodeFormat") == Some(&Value::Bool(true));
    let is_picture = call.media == Media::PNG;
    let request = read_sharing(body, is_picture)?;
    let token = call.runtime().files().create_token_for_file(&id, request).await?;
    if is_picture {
        let picture = tokens::picture(&call, &token, wants_url)?;
        return Ok(Reply::png(StatusCode::CREATED, &format!("{id}.png"), picture));
    }
    Ok(Reply::created(&tokens::shown(&call, token)?))
}

/// Whether a read asks for the URL in its picture.
pub(crate) fn wants_url(call: &Call) -> bool {
    call.query_value("newQRCodeFormat") == Some("true")
}

/// Nobody learns the id of a token that is answered as a picture, so it is never stored.
fn read_sharing(body: Value, is_picture: bool) -> Result<CreateTokenForFile, Problem> {
    let request: CreateTokenForFile = sharing().read(body)?;
    Ok(CreateTokenForFile { ephemeral: is_picture || request.ephemeral, ..request })
}

/// On this route a list counts as no body.
fn object_or_empty(body: Value) -> Value {
    if body.is_array() { Value::Object(Map::new()) } else { body }
}

/// Of a reference only the id is used; nothing is fetched.
fn id_or_reference(text: &str) -> Result<FileId, Problem> {
    if text.starts_with("FIL") {
        return parse_id(text, "id", "File");
    }
    let reference = FileReference::parse(text);
    Ok(reference.map_err(|error| Error::InvalidTruncatedReference(error.to_string()))?.id)
}

async fn list_of(call: Call, ownership: Ownership) -> Result<Reply, Problem> {
    let files = call.runtime().files().files(ownership, &call.query)?;
    let differences = call.differences();
    list::list(files, move |file| differences.file(file)).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sharing_is_ephemeral_unless_asked_otherwise_and_always_as_a_picture() {
        for (body, is_picture, expected) in [
            (json!({}), false, true),
            (json!({"ephemeral": false}), false, false),
            (json!({"ephemeral": false}), true, true),
        ] {
            assert_eq!(read_sharing(body, is_picture).unwrap().ephemeral, expected);
        }
    }

    #[test]
    fn unknown_properties_of_sharing_are_ignored_and_known_ones_checked() {
        assert!(read_sharing(json!({"unknown": 1, "fileId": "x"}), false).is_ok());
        assert!(read_sharing(json!({"ephemeral": null}), false).is_err());
        assert!(read_sharing(json!({"expiresAt": true}), false).is_err());
    }

    #[test]
    fn a_text_that_is_neither_id_nor_reference_is_a_bad_request() {
        for text in ["abc", "TOK00000000000000000", "FIL", "filaaaaaaaaaaaaaaaaa"] {
            assert_eq!(id_or_reference(text).unwrap_err().status().as_u16(), 400, "{text}");
        }
    }
}
