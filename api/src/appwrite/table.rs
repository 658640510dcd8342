//! Every route. What reads and what changes a thing needs different scopes, so a path can stand here twice.

use http::Method;

use super::{buckets, content, files, preview, tokens, upload};
use crate::auth::Need;
use crate::face::{Description, Input, Operation, Output, Resource};

const READ_BUCKETS: Need = Need("appwrite:buckets.read");
const WRITE_BUCKETS: Need = Need("appwrite:buckets.write");
const READ_FILES: Need = Need("appwrite:files.read");
const WRITE_FILES: Need = Need("appwrite:files.write");
const READ_TOKENS: Need = Need("appwrite:tokens.read");
pub(super) const WRITE_TOKENS: Need = Need("appwrite:tokens.write");

const BUCKETS: &str = "storage/buckets";
const BUCKET: &str = "storage/buckets/{bucketId}";
const FILES: &str = "storage/buckets/{bucketId}/files";
const FILE: &str = "storage/buckets/{bucketId}/files/{fileId}";
const VIEW: &str = "storage/buckets/{bucketId}/files/{fileId}/view";
const PREVIEW: &str = "storage/buckets/{bucketId}/files/{fileId}/preview";
const DOWNLOAD: &str = "storage/buckets/{bucketId}/files/{fileId}/download";
const TOKENS: &str = "tokens";
const TOKENS_OF_FILE: &str = "tokens/buckets/{bucketId}/files/{fileId}";
const TOKEN: &str = "tokens/{tokenId}";
const ROTATE: &str = "tokens/{tokenId}/rotate";
const REVOKE: &str = "tokens/{tokenId}/revoke";
const QR_CODE: &str = "tokens/{tokenId}/qr";
const CLAIMS: &str = "tokens/claims";
const COMMIT: &str = "tokens/claims/{claimId}/commit";

macro_rules! operation {
    ($method:ident, $handler:path, $input:expr, $output:expr, $summary:literal) => {
        Operation {
            method: Method::$method,
            // Clients accept whatever comes.
            produces: &[],
            handler: Box::new(|call| Box::pin($handler(call))),
            description: Description { summary: $summary, input: $input, output: $output },
        }
    };
}

fn list() -> Input {
    Input::Query(vec!["queries[]", "search", "total"])
}

/// A content for those who have a file token.
fn by_token() -> Input {
    Input::ByToken(Vec::new)
}

/// All of them.
pub(super) fn resources() -> Vec<Resource> {
    let resource = |path, need, operations| Resource { path, need, operations };
    let mut all = buckets_of(resource);
    all.extend(files_of(resource));
    all.extend(contents_of(resource));
    all.extend(tokens_of_files(resource));
    all.extend(tokens_of(resource));
    all
}

type Make = fn(&'static str, Need, Vec<Operation>) -> Resource;

fn buckets_of(resource: Make) -> Vec<Resource> {
    let bucket = "AppwriteBucket";
    vec![
        resource(
            BUCKETS,
            READ_BUCKETS,
            vec![operation!(GET, buckets::list, list(), Output::One("AppwriteBucketList"), "Lists buckets")],
        ),
        resource(
            BUCKETS,
            WRITE_BUCKETS,
            vec![operation!(
                POST,
                buckets::create,
                Input::Json(buckets::creation_shape),
                Output::New(bucket),
                "Creates a bucket"
            )],
        ),
        resource(
            BUCKET,
            READ_BUCKETS,
            vec![operation!(GET, buckets::get, Input::None, Output::One(bucket), "A bucket")],
        ),
        resource(
            BUCKET,
            WRITE_BUCKETS,
            vec![
                operation!(
                    PUT,
                    buckets::update,
                    Input::Json(buckets::update_shape),
                    Output::One(bucket),
                    "Replaces the settings of a bucket"
                ),
                operation!(DELETE, buckets::delete, Input::None, Output::Nothing, "Deletes a bucket with its files"),
            ],
        ),
    ]
}

fn contents_of(resource: Make) -> Vec<Resource> {
    vec![
        resource(
            VIEW,
            READ_FILES,
            vec![operation!(GET, content::view, by_token(), Output::Content, "The content of a file, to be shown")],
        ),
        resource(
            PREVIEW,
            READ_FILES,
            vec![operation!(
                GET,
                preview::preview,
                Input::ByToken(preview::query),
                Output::Image,
                "A preview of an image, or an icon for a file that is none"
            )],
        ),
        resource(
            DOWNLOAD,
            READ_FILES,
            vec![operation!(GET, content::download, by_token(), Output::Content, "The content of a file, to be saved")],
        ),
    ]
}

fn tokens_of_files(resource: Make) -> Vec<Resource> {
    let tokens = "AppwriteTokenList";
    vec![
        resource(
            TOKENS_OF_FILE,
            READ_TOKENS,
            vec![operation!(GET, tokens::list_of_file, list(), Output::One(tokens), "Lists the tokens of a file")],
        ),
        resource(
            TOKENS_OF_FILE,
            WRITE_TOKENS,
            vec![operation!(
                POST,
                tokens::create,
                Input::Json(tokens::shape),
                Output::New("AppwriteToken"),
                "Creates a token, whose holder gets the content of the file"
            )],
        ),
        resource(
            TOKENS,
            READ_TOKENS,
            vec![operation!(GET, tokens::list, list(), Output::One(tokens), "Lists the tokens of all files")],
        ),
        resource(
            TOKENS,
            WRITE_TOKENS,
            vec![operation!(
                DELETE,
                tokens::delete_some,
                Input::Query(vec!["queries[]"]),
                Output::One("AppwriteDeletedTokens"),
                "Deletes the tokens that match all filters"
            )],
        ),
        resource(
            CLAIMS,
            READ_FILES,
            vec![operation!(
                POST,
                tokens::claim,
                Input::JsonOrForm(tokens::claim_shape),
                Output::NewOrLeading("AppwriteTokenClaim"),
                "Leases a use of a token to whoever presents its secret"
            )],
        ),
        resource(
            COMMIT,
            READ_FILES,
            vec![operation!(PUT, tokens::commit, Input::None, Output::Nothing, "Ends a use whose content has arrived")],
        ),
    ]
}

fn tokens_of(resource: Make) -> Vec<Resource> {
    let token = "AppwriteToken";
    vec![
        resource(TOKEN, READ_TOKENS, vec![operation!(GET, tokens::get, Input::None, Output::One(token), "A token")]),
        resource(
            TOKEN,
            WRITE_TOKENS,
            vec![
                operation!(
                    PATCH,
                    tokens::update,
                    Input::Json(tokens::shape),
                    Output::One(token),
                    "Changes what a token allows; a body without any member ends the expiry"
                ),
                operation!(DELETE, tokens::delete, Input::None, Output::Nothing, "Deletes a token"),
            ],
        ),
        resource(
            ROTATE,
            WRITE_TOKENS,
            vec![operation!(POST, tokens::rotate, Input::None, Output::One(token), "Gives a token another secret")],
        ),
        resource(
            REVOKE,
            WRITE_TOKENS,
            vec![operation!(POST, tokens::revoke, Input::None, Output::One(token), "Ends a token and keeps it listed")],
        ),
        // It shows the secret.
        resource(
            QR_CODE,
            WRITE_TOKENS,
            vec![operation!(GET, tokens::qr_code, Input::None, Output::QrCode, "The URL of a token as a QR code")],
        ),
    ]
}

fn files_of(resource: Make) -> Vec<Resource> {
    let file = "AppwriteFile";
    vec![
        resource(
            FILES,
            READ_FILES,
            vec![operation!(GET, files::list, list(), Output::One("AppwriteFileList"), "Lists the files of a bucket")],
        ),
        resource(
            FILES,
            WRITE_FILES,
            vec![operation!(
                POST,
                upload::create,
                Input::Upload(upload::form),
                Output::NewOrFound(file),
                "Uploads a file, or a part of one that Content-Range names"
            )],
        ),
        resource(FILE, READ_FILES, vec![operation!(GET, files::get, Input::None, Output::One(file), "A file")]),
        resource(
            FILE,
            WRITE_FILES,
            vec![
                operation!(
                    PUT,
                    files::update,
                    Input::Json(files::update_shape),
                    Output::One(file),
                    "Changes name and permissions of a file"
                ),
                operation!(DELETE, files::delete, Input::None, Output::Nothing, "Deletes a file"),
            ],
        ),
    ]
}
