//! Files in buckets, but for their contents.

use runtime::dto;
use runtime::facade::FileChange;

use super::arguments::Arguments;
use super::list;
use super::model::{File, FileList};
use super::{NAME, caller, parameter};
use crate::call::Call;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// The members of an update.
pub(super) fn update_shape() -> Object {
    Object::new()
        .optional("name", ValueRule::Pattern(NAME), "1 to 128 characters; kept if absent.")
        .optional("permissions", ValueRule::Texts, "Such as read(\"any\"); kept if absent.")
        .ignoring_unknown()
}

/// `GET storage/buckets/{bucketId}/files`
pub(super) async fn list(call: Call<()>) -> Result<Reply, Problem> {
    let find = list::find::<dto::BucketFile>(&call)?;
    let found = call.runtime().storage().find_bucket_files(caller(&call), parameter(&call, 0), find).await?;
    Ok(Reply::ok(&FileList { total: found.total, files: found.records.into_iter().map(Into::into).collect() }))
}

/// `GET storage/buckets/{bucketId}/files/{fileId}`
pub(super) async fn get(call: Call<()>) -> Result<Reply, Problem> {
    let storage = call.runtime().storage();
    let file = storage.bucket_file(caller(&call), parameter(&call, 0), parameter(&call, 1))?;
    Ok(Reply::ok(&File::from(file)))
}

/// `PUT storage/buckets/{bucketId}/files/{fileId}`
pub(super) async fn update(mut call: Call<()>) -> Result<Reply, Problem> {
    let mut arguments = Arguments::of(&mut call)?;
    let change = FileChange { name: arguments.text("name")?, permissions: arguments.texts("permissions")? };
    let (storage, caller) = (call.runtime().storage(), caller(&call));
    let file = storage.update_bucket_file(caller, parameter(&call, 0), parameter(&call, 1), change).await?;
    Ok(Reply::ok(&File::from(file)))
}

/// `DELETE storage/buckets/{bucketId}/files/{fileId}`
pub(super) async fn delete(call: Call<()>) -> Result<Reply, Problem> {
    let storage = call.runtime().storage();
    storage.delete_bucket_file(caller(&call), parameter(&call, 0), parameter(&call, 1)).await?;
    Ok(Reply::no_content())
}
