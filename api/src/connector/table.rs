//! Every route of both dialects, in one table.

use http::Method;

use crate::auth::Need;
use crate::face::{Operation, Resource};
use crate::openapi::{Description, Input, Output};
use crate::protocol::Media;
use crate::rest::{account, challenges, files, identity_metadata, tokens};

const ACCOUNT: Need = Need("core:account");
const CHALLENGES: Need = Need("core:challenges");
const FILES: Need = Need("core:files");
const IDENTITY_METADATA: Need = Need("core:identityMetadata");
const TOKENS: Need = Need("core:tokens");

/// No declared type: whatever the client accepts is fine.
const ANYTHING: &[Media] = &[];
const JSON: &[Media] = &[Media::Json];
const JSON_OR_PNG: &[Media] = &[Media::Json, Media::Png];

macro_rules! operation {
    ($method:ident, $produces:ident, $handler:path, $input:expr, $output:expr, $summary:literal) => {
        operation!($method, $produces, $handler, $input, $output, $summary, |_| true)
    };
    ($method:ident, $produces:ident, $handler:path, $input:expr, $output:expr, $summary:literal, $offered:expr) => {
        Operation {
            method: Method::$method,
            produces: $produces,
            handler: |call| Box::pin($handler(call)),
            is_offered: $offered,
            description: Description { summary: $summary, input: $input, output: $output },
        }
    };
}

/// All of them. New areas are added here and in `rest`.
pub(crate) static RESOURCES: &[Resource] = &[
    Resource {
        path: "Account/IdentityInfo",
        need: ACCOUNT,
        operations: &[operation!(
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
        operations: &[operation!(
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
        operations: &[operation!(
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
        operations: &[operation!(
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
        operations: &[operation!(
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
        operations: &[operation!(
            GET,
            JSON,
            files::list_all,
            Input::Query(files::FIELDS),
            Output::Many("File"),
            "Files that match a query"
        )],
    },
    Resource {
        path: "Files/Own",
        need: FILES,
        operations: &[
            operation!(POST, JSON, files::upload, Input::Upload, Output::New("File"), "Encrypts and uploads a file"),
            operation!(
                GET,
                JSON,
                files::list_own,
                Input::Query(files::FIELDS),
                Output::Many("File"),
                "Own files that match a query"
            ),
        ],
    },
    Resource {
        path: "Files/Peer",
        need: FILES,
        operations: &[
            operation!(
                POST,
                JSON,
                files::load,
                Input::Json(files::loading),
                Output::New("File"),
                "Loads a peer's file by its reference, or by that of a token"
            ),
            operation!(
                GET,
                JSON,
                files::list_peer,
                Input::Query(files::FIELDS),
                Output::Many("File"),
                "Peers' files that match a query"
            ),
        ],
    },
    Resource {
        path: "Files/{id}",
        need: FILES,
        operations: &[
            operation!(
                GET,
                JSON_OR_PNG,
                files::get,
                Input::QrCode,
                Output::One("File"),
                "A file by id or reference; as a picture, the QR code of its reference"
            ),
            operation!(DELETE, ANYTHING, files::delete, Input::None, Output::Nothing, "Deletes a file"),
        ],
    },
    Resource {
        path: "Files/{id}/Download",
        need: FILES,
        operations: &[operation!(
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
        operations: &[operation!(
            POST,
            JSON_OR_PNG,
            files::create_token,
            Input::Json(files::sharing),
            Output::New("Token"),
            "Creates a token by which others load the file; as a picture, its QR code"
        )],
    },
    Resource {
        path: "Files/{id}/RegenerateOwnershipToken",
        need: FILES,
        operations: &[operation!(
            PATCH,
            ANYTHING,
            files::regenerate_ownership_token,
            Input::None,
            Output::One("File"),
            "Replaces the ownership token"
        )],
    },
    Resource {
        path: "IdentityMetadata",
        need: IDENTITY_METADATA,
        operations: &[
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
                Input::Query(identity_metadata::FIELDS),
                Output::One("IdentityMetadata"),
                "The value kept about an identity"
            ),
            operation!(
                DELETE,
                ANYTHING,
                identity_metadata::delete,
                Input::Query(identity_metadata::FIELDS),
                Output::Nothing,
                "Removes the value kept about an identity"
            ),
        ],
    },
    Resource {
        path: "Tokens/Own",
        need: TOKENS,
        operations: &[
            operation!(
                POST,
                JSON,
                tokens::create,
                Input::FreeJson(tokens::creation),
                Output::New("Token"),
                "Creates a token with any content"
            ),
            operation!(
                GET,
                JSON,
                tokens::list_own,
                Input::Query(tokens::FIELDS),
                Output::Many("Token"),
                "Own tokens that match a query"
            ),
        ],
    },
    Resource {
        path: "Tokens/Peer",
        need: TOKENS,
        operations: &[
            operation!(
                POST,
                JSON,
                tokens::load,
                Input::Json(tokens::loading),
                Output::New("Token"),
                "Loads a token by its reference"
            ),
            operation!(
                GET,
                JSON,
                tokens::list_peer,
                Input::Query(tokens::FIELDS),
                Output::Many("Token"),
                "Peers' tokens that match a query"
            ),
        ],
    },
    Resource {
        path: "Tokens/{id}",
        need: TOKENS,
        operations: &[
            operation!(
                DELETE,
                ANYTHING,
                tokens::delete,
                Input::None,
                Output::Nothing,
                "Deletes a token",
                |differences| differences.delete_tokens
            ),
            operation!(
                GET,
                JSON_OR_PNG,
                tokens::get,
                Input::QrCode,
                Output::One("Token"),
                "A token by id; as a picture, the QR code of its reference"
            ),
        ],
    },
    Resource {
        path: "Tokens/{id}/Unlock",
        need: TOKENS,
        operations: &[operation!(
            POST,
            ANYTHING,
            tokens::unlock,
            Input::None,
            Output::Nothing,
            "Unlocks an own token that too many wrong passwords have locked",
            |differences| differences.unlock_tokens
        )],
    },
];
