//! Every route of both dialects, in one table. The own face has those of some areas.

use http::Method;
use runtime::facade::{FilesFacade, TokensFacade};

use crate::auth::Need;
use crate::connector::Differences;
use crate::face::{Description, Input, Output};
use crate::face::{Operation, Resource};
use crate::protocol::Media;
use crate::rest::{account, challenges, files, identity_metadata, streamed_upload_form, tokens, upload_form};

const ACCOUNT: Need = Need("core:account");
const CHALLENGES: Need = Need("core:challenges");
const FILES: Need = Need("core:files");
const IDENTITY_METADATA: Need = Need("core:identityMetadata");
const TOKENS: Need = Need("core:tokens");

/// The component for files that say how they are sealed.
pub(crate) const FILE_WITH_FORMAT: &str = "FileWithFormat";
/// The component for tokens that say whether they are revoked.
pub(crate) const TOKEN_WITH_TERMS: &str = "TokenWithTerms";

/// The component for a token of either kind.
pub(crate) const ANY_TOKEN: &str = "AnyToken";
/// The component for one whose terms were changed.
pub(crate) const CHANGED_ANY_TOKEN: &str = "ChangedAnyToken";

/// No declared type: whatever the client accepts is fine.
const ANYTHING: &[Media] = &[];
const JSON: &[Media] = &[Media::JSON];
const JSON_OR_PNG: &[Media] = &[Media::JSON, Media::PNG];

/// All of them, for a dialect. New areas are added here and in `rest`.
pub(crate) fn resources(differences: Differences) -> Vec<Resource> {
    let file = if differences.formats { FILE_WITH_FORMAT } else { "File" };
    let token = if differences.token_terms { TOKEN_WITH_TERMS } else { "Token" };
    let any_token = if differences.token_terms { ANY_TOKEN } else { "Token" };
    let qr_code = || if differences.truncated_qr_codes { Input::Flags(&["newQRCodeFormat"]) } else { Input::None };
    macro_rules! operation {
        ($method:ident, $produces:ident, $handler:path, $input:expr, $output:expr, $summary:literal) => {
            Operation {
                method: Method::$method,
                produces: $produces,
                handler: Box::new(move |call| Box::pin($handler(call.with(differences)))),
                description: Description { summary: $summary, input: $input, output: $output },
            }
        };
    }
    vec![
        Resource {
            path: "Account/IdentityInfo",
            need: ACCOUNT,
            operations: vec![operation!(
                GET,
                JSON,
                account::identity_info,
                Input::None,
                Output::One("IdentityInfo"),
                "Address and public key of this node"
            )],
        },
        Resource {
            path: "Account/Sync",
            need: ACCOUNT,
            operations: vec![operation!(
                POST,
                JSON,
                account::sync,
                Input::None,
                Output::Nothing,
                "Synchronizes with the backbone and handles what came in"
            )],
        },
        Resource {
            path: "Account/SyncInfo",
            need: ACCOUNT,
            operations: vec![operation!(
                GET,
                JSON,
                account::sync_info,
                Input::None,
                Output::One("SyncInfo"),
                "When this node synchronized last"
            )],
        },
        Resource {
            path: "Challenges",
            need: CHALLENGES,
            operations: vec![operation!(
                POST,
                JSON,
                challenges::create,
                Input::Json(challenges::creation),
                Output::New("Challenge"),
                "Signs a challenge"
            )],
        },
        Resource {
            path: "Challenges/Validate",
            need: CHALLENGES,
            operations: vec![operation!(
                POST,
                JSON,
                challenges::validate,
                Input::Json(challenges::validation),
                Output::One("ChallengeValidation"),
                "Checks a challenge that a peer signed"
            )],
        },
        Resource {
            path: "Files",
            need: FILES,
            operations: vec![operation!(
                GET,
                JSON,
                files::list_all,
                Input::Query(FilesFacade::filters()),
                Output::Many(file),
                "Files that match a query"
            )],
        },
        Resource {
            path: "Files/Own",
            need: FILES,
            operations: vec![
                match differences.formats {
                    true => operation!(
                        POST,
                        JSON,
                        files::upload_streamed,
                        Input::Upload(streamed_upload_form),
                        Output::New(file),
                        "Encrypts and uploads a file while it is received; it must be the last part of the form"
                    ),
                    false => operation!(
                        POST,
                        JSON,
                        files::upload,
                        Input::Upload(upload_form),
                        Output::New(file),
                        "Encrypts and uploads a file"
                    ),
                },
                operation!(
                    GET,
                    JSON,
                    files::list_own,
                    Input::Query(FilesFacade::filters()),
                    Output::Many(file),
                    "Own files that match a query"
                ),
            ],
        },
        Resource {
            path: "Files/Peer",
            need: FILES,
            operations: vec![
                operation!(
                    POST,
                    JSON,
                    files::load,
                    Input::Json(files::loading),
                    Output::New(file),
                    "Loads a peer's file by its reference, or by that of a token"
                ),
                operation!(
                    GET,
                    JSON,
                    files::list_peer,
                    Input::Query(FilesFacade::filters()),
                    Output::Many(file),
                    "Peers' files that match a query"
                ),
            ],
        },
        Resource {
            path: "Files/{id}",
            need: FILES,
            operations: vec![
                operation!(
                    GET,
                    JSON_OR_PNG,
                    files::get,
                    qr_code(),
                    Output::One(file),
                    "A file by id or reference; as a picture, the QR code of its reference"
                ),
                operation!(DELETE, ANYTHING, files::delete, Input::None, Output::Nothing, "Deletes a file"),
            ],
        },
        Resource {
            path: "Files/{id}/Download",
            need: FILES,
            operations: vec![operation!(
                GET,
                ANYTHING,
                files::download,
                Input::None,
                Output::Content,
                "Fetches, verifies and decrypts a file"
            )],
        },
        Resource {
            path: "Files/{id}/Token",
            need: FILES,
            operations: vec![operation!(
                POST,
                JSON_OR_PNG,
                files::create_token,
                Input::Json(files::sharing),
                Output::New(token),
                "Creates a token by which others load the file; as a picture, its QR code"
            )],
        },
        Resource {
            path: "Files/{id}/RegenerateOwnershipToken",
            need: FILES,
            operations: vec![operation!(
                PATCH,
                ANYTHING,
                files::regenerate_ownership_token,
                Input::None,
                Output::One(file),
                "Replaces the ownership token"
            )],
        },
        Resource {
            path: "IdentityMetadata",
            need: IDENTITY_METADATA,
            operations: vec![
                operation!(
                    PUT,
                    JSON,
                    identity_metadata::upsert,
                    Input::FreeJson(identity_metadata::entry),
                    Output::One("IdentityMetadata"),
                    "Keeps a value about an identity"
                ),
                operation!(
                    GET,
                    ANYTHING,
                    identity_metadata::get,
                    Input::Query(identity_metadata::FIELDS.to_vec()),
                    Output::One("IdentityMetadata"),
                    "The value kept about an identity"
                ),
                operation!(
                    DELETE,
                    ANYTHING,
                    identity_metadata::delete,
                    Input::Query(identity_metadata::FIELDS.to_vec()),
                    Output::Nothing,
                    "Removes the value kept about an identity"
                ),
            ],
        },
        Resource {
            path: "Tokens/Own",
            need: TOKENS,
            operations: vec![
                operation!(
                    POST,
                    JSON,
                    tokens::create,
                    Input::FreeJson(tokens::creation),
                    Output::New(token),
                    "Creates a token with any content"
                ),
                operation!(
                    GET,
                    JSON,
                    tokens::list_own,
                    Input::Query(TokensFacade::filters()),
                    Output::Many(token),
                    "Own tokens that match a query"
                ),
            ],
        },
        Resource {
            path: "Tokens/Peer",
            need: TOKENS,
            operations: vec![
                operation!(
                    POST,
                    JSON,
                    tokens::load,
                    Input::Json(tokens::loading),
                    Output::New(token),
                    "Loads a token by its reference"
                ),
                operation!(
                    GET,
                    JSON,
                    tokens::list_peer,
                    Input::Query(TokensFacade::filters()),
                    Output::Many(token),
                    "Peers' tokens that match a query"
                ),
            ],
        },
        Resource {
            path: "Tokens/{id}",
            need: TOKENS,
            operations: vec![
                operation!(DELETE, ANYTHING, tokens::delete, Input::None, Output::Nothing, "Deletes a token"),
                operation!(
                    GET,
                    JSON_OR_PNG,
                    tokens::get,
                    qr_code(),
                    Output::One(any_token),
                    "A token by id; as a picture, the QR code of its reference"
                ),
                operation!(
                    PATCH,
                    JSON,
                    tokens::update,
                    Input::Json(tokens::changes),
                    Output::One(CHANGED_ANY_TOKEN),
                    "Changes the terms of an own token, at the backbone and at this node"
                ),
            ]
            .into_iter()
            .filter(|operation| operation.method != Method::DELETE || differences.delete_tokens)
            .filter(|operation| operation.method != Method::PATCH || differences.token_terms)
            .collect(),
        },
        Resource {
            path: "Tokens/{id}/Unlock",
            need: TOKENS,
            operations: vec![operation!(
                POST,
                ANYTHING,
                tokens::unlock,
                Input::None,
                Output::Nothing,
                "Unlocks an own token that too many wrong passwords have locked"
            )]
            .into_iter()
            .filter(|_| differences.unlock_tokens)
            .collect(),
        },
    ]
}
