//! Values that an application keeps about an identity.

use runtime::Address;
use runtime::dto::IdentityMetadata;
use serde_json::{Map, Value};

use crate::connector::Call;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// What reads and deletions take.
pub(crate) const FIELDS: &[&str] = &["reference", "key"];

/// The body of an entry.
pub(crate) fn entry() -> Object {
    Object::new()
        .required("reference", ValueRule::Address, "The own address, or a peer's.")
        .required("value", ValueRule::Any, "Any JSON but null.")
        .optional("key", ValueRule::Text(0), "Several values can be kept for one address.")
}

fn selection() -> Object {
    Object::new().required("reference", ValueRule::Address, "").optional("key", ValueRule::Text(0), "")
}

#[derive(serde::Deserialize)]
struct Selection {
    reference: Address,
    key: Option<String>,
}

/// `PUT IdentityMetadata`
pub(crate) async fn upsert(mut call: Call) -> Result<Reply, Problem> {
    let entry: IdentityMetadata = call.read(&entry())?;
    let stored = call.runtime().identity_metadata().upsert(entry).await?;
    Ok(Reply::ok(&stored))
}

/// `GET IdentityMetadata`
pub(crate) async fn get(call: Call) -> Result<Reply, Problem> {
    let Selection { reference, key } = select(&call)?;
    let found = call.runtime().identity_metadata().find(&reference, key.as_deref()).await?;
    Ok(Reply::ok(&found))
}

/// `DELETE IdentityMetadata`
pub(crate) async fn delete(call: Call) -> Result<Reply, Problem> {
    let Selection { reference, key } = select(&call)?;
    call.runtime().identity_metadata().delete(&reference, key.as_deref()).await?;
    Ok(Reply::no_content())
}

/// Other parameters than these two mean nothing here.
fn select(call: &Call) -> Result<Selection, Problem> {
    let given = FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), call.query_value(name)?.into())));
    selection().read(Value::Object(given.collect::<Map<_, _>>()))
}
