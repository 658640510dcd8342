//! The project's own face, `/api/enlace/v1`: what the dialects of the published connectors have no words for.
//!
//! Keys, roles, envelope, failures and handlers are those of the dialects. Here files say in which format they are sealed, and
//! uploads choose it and go to the backbone while they are received.

use runtime::dto;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};

use crate::connector::table::{self, FILE_WITH_FORMAT};
use crate::connector::{self, Dialect, Differences};
use crate::face::{Face, Schemas};
use crate::openapi::Components;

const DIFFERENCES: Differences = Differences {
    name: "enlace",
    prefix: &["api", "enlace", "v1"],
    truncated_reference: false,
    title_always: false,
    tags_checked: true,
    delete_tokens: true,
    unlock_tokens: true,
    truncated_qr_codes: false,
    formats: true,
};
/// Areas of the dialects that are here too, by the first segment of their paths.
const AREAS: [&str; 3] = ["Account", "Files", "Tokens"];

/// The face.
pub(crate) fn face() -> Face {
    let in_area = |path: &str| path.split('/').next().is_some_and(|area| AREAS.contains(&area));
    let resources = table::resources(DIFFERENCES).into_iter().filter(|resource| in_area(resource.path));
    let dialect = connector::face(Dialect::CoreV1);
    Face {
        name: DIFFERENCES.name,
        prefix: DIFFERENCES.prefix,
        resources: resources.collect(),
        schemas: Schemas { components, ..dialect.schemas },
        ..dialect
    }
}

/// Those that no dialect has; the document has the others already.
fn components() -> Vec<(String, RefOr<Schema>)> {
    Components::default().with_renamed::<dto::File>(FILE_WITH_FORMAT, describe_format).into_vec()
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
    use http::Method;

    use super::*;
    use crate::protocol::segments;

    fn is_offered(method: &Method, path: &str) -> bool {
        face().find(&segments(path), method).is_ok()
    }

    #[test]
    fn files_tokens_and_the_account_are_here_and_nothing_else() {
        for (method, path) in [
            (Method::POST, "/api/enlace/v1/Files/Own"),
            (Method::HEAD, "/API/enlace/V1/files/x/download"),
            (Method::DELETE, "/api/enlace/v1/Tokens/x"),
            (Method::GET, "/api/enlace/v1/Account/IdentityInfo"),
        ] {
            assert!(is_offered(&method, path), "{method} {path}");
        }
        for path in ["/api/enlace/v1/Challenges", "/api/enlace/v1/IdentityMetadata", "/api/enlace/v2/Files"] {
            assert!(!is_offered(&Method::GET, path), "{path}");
        }
    }
}
