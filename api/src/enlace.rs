//! The project's own face, `/api/enlace/v1`: what the dialects of the published connectors have no words for.
//!
//! Keys, roles, envelope, failures and handlers are those of the dialects. Here files say in which format they are sealed,
//! uploads choose it and go to the backbone while they are received. Own tokens get other
//! terms, other references, and are revoked. There are peers, codes, files that are shared without a backbone,
//! and the paths of downloads.

use http::Method;
use runtime::dto;
use utoipa::openapi::schema::{Object, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};

use crate::auth::Need;
use crate::connector::table::{self, ANY_TOKEN, CHANGED_ANY_TOKEN, FILE_WITH_FORMAT, TOKEN_WITH_TERMS};
use crate::connector::{self, Dialect, Differences};
use crate::face::{Description, Face, Input, Operation, Output, Resource, Schemas};
use crate::openapi::Components;
use crate::protocol::Media;
use crate::rest::{codes, direct, downloads, peers, token_list, tokens};

const DIFFERENCES: Differences = Differences {
    name: "enlace",
    prefix: &["api", "enlace", "v1"],
    truncated_reference: false,
    title_always: false,
    tags_checked: true,
    delete_tokens: true,
    unlock_tokens: true,
    token_terms: true,
    direct_references: true,
    truncated_qr_codes: false,
    formats: true,
};
/// Areas of the dialects that are here too, by the first segment of their paths.
const AREAS: [&str; 3] = ["Account", "Files", "Tokens"];
const FILES: Need = Need("core:files");
const PEERS: Need = Need("core:peers");
const TOKENS: Need = Need("core:tokens");

/// The face.
pub(crate) fn face() -> Face {
    let in_area = |path: &str| path.split('/').next().is_some_and(|area| AREAS.contains(&area));
    let resources = table::resources(DIFFERENCES).into_iter().filter(|resource| in_area(resource.path));
    let dialect = connector::face(Dialect::CoreV1);
    Face {
        name: DIFFERENCES.name,
        prefix: DIFFERENCES.prefix,
        resources: [direct()]
            .into_iter()
            .chain(resources)
            .chain([list(), revoke(), rotate(), terms(), services(), peers(), codes(), downloads()])
            .collect(),
        schemas: Schemas { components, is_exact: true, ..dialect.schemas },
        ..dialect
    }
}

fn peers() -> Resource {
    let list = Operation {
        method: Method::GET,
        produces: &[Media::JSON],
        handler: Box::new(|call| Box::pin(peers::list(call.with(DIFFERENCES)))),
        description: Description {
            summary: "Connected peers, and how this node can be reached",
            input: Input::None,
            output: Output::One("Peers"),
        },
    };
    Resource { path: "Peers", need: PEERS, operations: vec![list] }
}

fn codes() -> Resource {
    let offer = Operation {
        method: Method::POST,
        produces: &[],
        handler: Box::new(|call| Box::pin(codes::offer(call.with(DIFFERENCES)))),
        description: Description {
            summary: "Offers the reference of a token under a new code, until the request ends. The first line is the code, \
                      the last one says how it has ended",
            input: Input::Json(codes::offering),
            output: Output::Lines(["OfferedCode", "EndedCode"]),
        },
    };
    Resource { path: "Codes", need: PEERS, operations: vec![offer] }
}

fn direct() -> Resource {
    let share = Operation {
        method: Method::POST,
        produces: &[],
        handler: Box::new(|call| Box::pin(direct::share(call.with(DIFFERENCES)))),
        description: Description {
            summary: "Shares a file without a backbone, until the request ends; it must be the last part of the form. The \
                      first line has the token and the reference to pass on, the last one comes if the node stops",
            input: Input::Upload(direct::form),
            output: Output::Lines(["DirectShare", "EndedShare"]),
        },
    };
    Resource { path: "Files/Direct", need: FILES, operations: vec![share] }
}

fn downloads() -> Resource {
    let paths = Operation {
        method: Method::GET,
        produces: &[Media::JSON],
        handler: Box::new(|call| Box::pin(downloads::get(call.with(DIFFERENCES)))),
        description: Description {
            summary: "By which paths the bytes of a download have come so far; the id is the X-Correlation-Id of its answer",
            input: Input::None,
            output: Output::One("DownloadPaths"),
        },
    };
    Resource { path: "Downloads/{id}", need: FILES, operations: vec![paths] }
}

fn list() -> Resource {
    let list = Operation {
        method: Method::GET,
        produces: &[Media::JSON],
        handler: Box::new(|call| Box::pin(token_list::find(call.with(DIFFERENCES)))),
        description: Description {
            summary: "A page of the list of all tokens, of the protocol and of /v1, by queries such as \
                      {\"method\":\"lessThan\",\"attribute\":\"expiresAt\",\"values\":[\"2030-01-31\"]}. It has neither contents nor \
                      references",
            input: Input::Query(token_list::PARAMETERS.to_vec()),
            output: Output::One("ListedTokens"),
        },
    };
    Resource { path: "Tokens", need: TOKENS, operations: vec![list] }
}

fn revoke() -> Resource {
    let revoke = Operation {
        method: Method::POST,
        produces: &[Media::JSON],
        handler: Box::new(|call| Box::pin(tokens::revoke(call.with(DIFFERENCES)))),
        description: Description {
            summary: "Revokes an own token, at the backbone and at this node: nobody else gets it any more. It stays in the list",
            input: Input::None,
            output: Output::One(CHANGED_ANY_TOKEN),
        },
    };
    Resource { path: "Tokens/{id}/Revoke", need: TOKENS, operations: vec![revoke] }
}

fn rotate() -> Resource {
    let rotate = Operation {
        method: Method::POST,
        produces: &[Media::JSON],
        handler: Box::new(|call| Box::pin(tokens::rotate(call.with(DIFFERENCES)))),
        description: Description {
            summary: "Replaces an own token by a new one with the same content and terms and with the uses that are left, and revokes the \
                      old one",
            input: Input::None,
            output: Output::New("RotatedToken"),
        },
    };
    Resource { path: "Tokens/{id}/Rotate", need: TOKENS, operations: vec![rotate] }
}

fn terms() -> Resource {
    let terms = Operation {
        method: Method::GET,
        produces: &[Media::JSON],
        handler: Box::new(|call| Box::pin(tokens::terms(call.with(DIFFERENCES)))),
        description: Description {
            summary: "Status and terms of an own token, and how often it was used, as the backbone tells them",
            input: Input::None,
            output: Output::One("TokenTerms"),
        },
    };
    Resource { path: "Tokens/{id}/Terms", need: TOKENS, operations: vec![terms] }
}

fn services() -> Resource {
    let services = Operation {
        method: Method::GET,
        produces: &[Media::JSON],
        handler: Box::new(|call| Box::pin(tokens::services(call.with(DIFFERENCES)))),
        description: Description {
            summary: "What the backbone enforces and tells of tokens beyond the published protocol",
            input: Input::None,
            output: Output::One("TokenServices"),
        },
    };
    Resource { path: "TokenServices", need: TOKENS, operations: vec![services] }
}

/// Those that no dialect has; the document has the others already.
fn components() -> Vec<(String, RefOr<Schema>)> {
    let files = Components::default().with_renamed::<dto::File>(FILE_WITH_FORMAT, describe_format);
    let added = files
        .with_renamed::<dto::Token>(TOKEN_WITH_TERMS, describe_direct_reference)
        .with_changed::<dto::ChangedToken>(refer_to_token)
        .with_changed::<dto::RotatedToken>(refer_to_token)
        .with::<dto::ChangedFileToken>()
        .with::<dto::TokenTerms>()
        .with::<dto::TokenServices>()
        .with::<dto::ListedTokens>()
        .with::<peers::Peers>()
        .with::<codes::OfferedCode>()
        .with::<codes::EndedCode>()
        .with_changed::<direct::DirectShare>(refer_to_token)
        .with::<direct::EndedShare>()
        .with::<downloads::DownloadPaths>()
        .into_vec();
    let either = |name: &str, kinds: [&str; 2]| {
        let schema =
            kinds.into_iter().fold(OneOfBuilder::new(), |schema, kind| schema.item(Ref::from_schema_name(kind)));
        (name.to_owned(), Schema::OneOf(schema.build()).into())
    };
    // What a changed token is made of has the name of the token of the dialects.
    let added = added.into_iter().filter(|(name, _)| name != "Token");
    let of_both_kinds = [
        either(ANY_TOKEN, [TOKEN_WITH_TERMS, "ListedToken"]),
        either(CHANGED_ANY_TOKEN, ["ChangedToken", "ChangedFileToken"]),
    ];
    added.chain(of_both_kinds).collect()
}

fn refer_to_token(schema: &mut Object) {
    schema.properties.insert("token".to_owned(), Ref::from_schema_name(TOKEN_WITH_TERMS).into());
}

fn describe_direct_reference(schema: &mut Object) {
    let reference = ObjectBuilder::new().schema_type(Type::String).description(Some(
        "The reference to pass on in place of the one in `reference`: it carries addresses of this node, which other machines need \
         because they cannot load the token from its backbone. In answers to `POST Files/{id}/Token`, `POST Tokens/Own`, \
         `GET Tokens/{id}` and `POST Tokens/{id}/Rotate`.",
    ));
    schema.properties.insert("directReference".to_owned(), reference.into());
}

fn describe_format(schema: &mut Object) {
    let format = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["v1", "v2"])).description(Some(
        "How the content is sealed: as one ciphertext, which every client of the protocol reads, or in chunks.",
    ));
    schema.properties.insert("format".to_owned(), format.into());
    schema.required.push("format".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::segments;

    fn is_offered(method: &Method, path: &str) -> bool {
        face().find(&segments(path), method).is_ok()
    }

    #[test]
    fn files_tokens_peers_codes_and_the_account_are_here_and_nothing_else() {
        for (method, path) in [
            (Method::POST, "/api/enlace/v1/Files/Own"),
            (Method::HEAD, "/API/enlace/V1/files/x/download"),
            (Method::DELETE, "/api/enlace/v1/Tokens/x"),
            (Method::PATCH, "/api/enlace/v1/Tokens/x"),
            (Method::GET, "/api/enlace/v1/Tokens"),
            (Method::POST, "/api/enlace/v1/Tokens/x/Revoke"),
            (Method::POST, "/api/enlace/v1/Tokens/x/Rotate"),
            (Method::GET, "/api/enlace/v1/Tokens/x/Terms"),
            (Method::GET, "/api/enlace/v1/TokenServices"),
            (Method::GET, "/api/enlace/v1/Account/IdentityInfo"),
            (Method::GET, "/api/enlace/v1/Peers"),
            (Method::POST, "/api/enlace/v1/Codes"),
            (Method::POST, "/api/enlace/v1/Files/Direct"),
            (Method::GET, "/api/enlace/v1/Downloads/x"),
        ] {
            assert!(is_offered(&method, path), "{method} {path}");
        }
        for dialect in Dialect::ALL.map(connector::face) {
            let prefix = format!("/{}", dialect.prefix.join("/"));
            for (method, path, status) in [
                (Method::PATCH, "Tokens/x", 405),
                (Method::GET, "Tokens", 404),
                (Method::POST, "Tokens/x/Revoke", 404),
                (Method::GET, "Tokens/x/Terms", 404),
            ] {
                let refused = dialect.find(&segments(&format!("{prefix}/{path}")), &method).err().unwrap();
                assert_eq!(refused.status().as_u16(), status, "{method} {prefix}/{path}");
            }
        }
        for path in ["/api/enlace/v1/Challenges", "/api/enlace/v1/IdentityMetadata", "/api/enlace/v2/Files"] {
            assert!(!is_offered(&Method::GET, path), "{path}");
        }
    }
}
