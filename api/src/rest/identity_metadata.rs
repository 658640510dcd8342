//! Values that an application keeps about an identity.

use runtime::{Address, dto};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::call::read_checked;
use crate::connector::Call;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::validation::{Object, Rule};

/// What reads and deletions take.
pub(crate) const FIELDS: &[&str] = &["reference", "key"];

/// A value stored under an address and an optional key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IdentityMetadata {
    /// The own address, or a peer's.
    reference: String,
    /// Several values can be kept for one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Any JSON but null.
    #[schema(value_type = Value)]
    value: Value,
}

/// The body of an entry.
pub(crate) fn entry() -> Object {
    Object::new()
        .required("reference", Rule::Address, "The own address, or a peer's.")
        .required("value", Rule::Any, "Any JSON but null.")
        .optional("key", Rule::Text(0), "Several values can be kept for one address.")
}

fn selection() -> Object {
    Object::new().required("reference", Rule::Address, "").optional("key", Rule::Text(0), "")
}

#[derive(serde::Deserialize)]
struct Selection {
    reference: Address,
    key: Option<String>,
}

/// `PUT IdentityMetadata`
pub(crate) async fn upsert(mut call: Call) -> Result<Reply, Problem> {
    let entry: dto::IdentityMetadata = call.checked(&entry())?;
    let stored = call.runtime().identity_metadata().upsert(entry).await?;
    Ok(Reply::ok(&IdentityMetadata::from(stored)))
}

/// `GET IdentityMetadata`
pub(crate) async fn get(call: Call) -> Result<Reply, Problem> {
    let Selection { reference, key } = select(&call)?;
    let found = call.runtime().identity_metadata().find(&reference, key.as_deref()).await?;
    Ok(Reply::ok(&IdentityMetadata::from(found)))
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
    read_checked(&selection(), Value::Object(given.collect::<Map<_, _>>()))
}

impl From<dto::IdentityMetadata> for IdentityMetadata {
    fn from(entry: dto::IdentityMetadata) -> Self {
        Self { reference: entry.reference.to_string(), key: entry.key, value: entry.value }
    }
}
