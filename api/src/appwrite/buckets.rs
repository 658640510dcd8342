//! Buckets.

use runtime::dto;
use runtime::storage::{BucketRequest, Compression};

use super::arguments::{Arguments, invalid};
use super::list;
use super::model::{Bucket, BucketList};
use super::{NAME, NEW_ID, parameter};
use crate::call::Call;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// The members of an update.
pub(super) fn update_shape() -> Object {
    settings(Object::new())
}

/// The members of a creation.
pub(super) fn creation_shape() -> Object {
    settings(Object::new().required("bucketId", ValueRule::Pattern(NEW_ID), "An id, or unique()."))
}

fn settings(object: Object) -> Object {
    object
        .required("name", ValueRule::Pattern(NAME), "1 to 128 characters.")
        .optional("permissions", ValueRule::Texts, "Such as read(\"any\").")
        .optional("fileSecurity", ValueRule::Flag, "Whether files have permissions of their own. Default: false.")
        .optional("enabled", ValueRule::Flag, "Whether those who have no key see it. Default: true.")
        .optional("maximumFileSize", ValueRule::Number, "Most bytes of a file. Default: what the node takes.")
        .optional("allowedFileExtensions", ValueRule::Texts, "Without periods; all if there are none.")
        .optional("compression", ValueRule::Choice(&["none", "gzip", "zstd"]), "Contents are stored as they are.")
        .optional("encryption", ValueRule::Flag, "Contents are always encrypted.")
        .optional("antivirus", ValueRule::Flag, "Contents are not scanned.")
        .optional("transformations", ValueRule::Flag, "Whether those who have no key get previews. Default: true.")
        .ignoring_unknown()
}

fn request(arguments: &mut Arguments) -> Result<BucketRequest, Problem> {
    Ok(BucketRequest {
        name: arguments.required_text("name")?,
        permissions: arguments.texts("permissions")?,
        file_security: arguments.flag("fileSecurity")?,
        enabled: arguments.flag("enabled")?,
        maximum_file_size: arguments.number("maximumFileSize")?,
        allowed_file_extensions: arguments.texts("allowedFileExtensions")?,
        compression: arguments.text("compression")?.map(|name| compression(&name)).transpose()?,
        encryption: arguments.flag("encryption")?,
        antivirus: arguments.flag("antivirus")?,
        transformations: arguments.flag("transformations")?,
    })
}

fn compression(name: &str) -> Result<Compression, Problem> {
    let all = [Compression::None, Compression::Gzip, Compression::Zstd];
    let found = all.into_iter().find(|compression| compression.as_str() == name);
    found.ok_or_else(|| invalid("compression", "Value must be one of (none, gzip, zstd)"))
}

/// `POST storage/buckets`
pub(super) async fn create(mut call: Call<()>) -> Result<Reply, Problem> {
    let mut arguments = Arguments::of(&mut call)?;
    let id = arguments.required_text("bucketId")?;
    let request = request(&mut arguments)?;
    let bucket = call.runtime().storage().create_bucket(&id, request).await?;
    Ok(Reply::created(&Bucket::from(bucket)))
}

/// `GET storage/buckets`
pub(super) async fn list(call: Call<()>) -> Result<Reply, Problem> {
    let found = call.runtime().storage().find_buckets(list::find::<dto::Bucket>(&call)?).await?;
    Ok(Reply::ok(&BucketList { total: found.total, buckets: found.records.into_iter().map(Into::into).collect() }))
}

/// `GET storage/buckets/{bucketId}`
pub(super) async fn get(call: Call<()>) -> Result<Reply, Problem> {
    let bucket = call.runtime().storage().bucket(parameter(&call, 0))?;
    Ok(Reply::ok(&Bucket::from(bucket)))
}

/// `PUT storage/buckets/{bucketId}`
pub(super) async fn update(mut call: Call<()>) -> Result<Reply, Problem> {
    let request = request(&mut Arguments::of(&mut call)?)?;
    let bucket = call.runtime().storage().update_bucket(parameter(&call, 0), request).await?;
    Ok(Reply::ok(&Bucket::from(bucket)))
}

/// `DELETE storage/buckets/{bucketId}`
pub(super) async fn delete(call: Call<()>) -> Result<Reply, Problem> {
    call.runtime().storage().delete_bucket(parameter(&call, 0)).await?;
    Ok(Reply::no_content())
}
