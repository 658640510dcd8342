//! From a path and a method to the operation that answers.
//!
//! A path is looked up in the table from top to bottom; the first one that matches and knows the method answers. If none knows the
//! method, the first that matches says in `Allow` which ones it has.

use http::Method;

use crate::auth::Need;
use crate::call::Handler;
use crate::connector::{Dialect, Differences, RESOURCES};
use crate::openapi::{Description, Input};
use crate::problem::Problem;
use crate::protocol::{BodyBounds, Media, match_pattern};

/// A path and what can be done there.
pub(crate) struct Resource {
    /// Below the dialect's prefix.
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    pub(crate) operations: &'static [Operation],
}

/// A method of a path.
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) produces: &'static [Media],
    pub(crate) handler: Handler,
    pub(crate) is_offered: fn(Differences) -> bool,
    pub(crate) description: Description,
}

/// A route that a request was matched to.
pub(crate) struct Matched {
    pub(crate) dialect: Dialect,
    pub(crate) need: Need,
    pub(crate) operation: &'static Operation,
    pub(crate) parameters: Vec<String>,
}

/// Finds the operation for a path and a method. `HEAD` finds what `GET` does.
///
/// # Errors
/// 404 for an unknown path, 405 for a method that it does not have, 400 for a parameter that cannot be decoded.
pub(crate) fn find(dialects: &[Dialect], segments: &[&str], method: &Method) -> Result<Matched, Problem> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let (dialect, rest) = dialects
        .iter()
        .find_map(|dialect| Some((*dialect, below_prefix(*dialect, segments)?)))
        .ok_or_else(Problem::route_does_not_exist)?;
    let mut first = None;
    for resource in RESOURCES {
        let Some(parameters) = match_pattern(resource.path, rest) else { continue };
        if let Some(operation) = resource.offered(dialect).find(|operation| operation.method == *method) {
            let parameters =
                parameters.map_err(|_| Problem::invalid_property("the path must be percent-encoded UTF-8"))?;
            return Ok(Matched { dialect, need: resource.need, operation, parameters });
        }
        first = first.or(Some(resource));
    }
    Err(first
        .map_or_else(Problem::route_does_not_exist, |resource| Problem::method_not_allowed(resource.allow(dialect))))
}

impl Operation {
    /// How large a JSON body may be.
    pub(crate) fn body_bounds(&self) -> BodyBounds {
        match self.description.input {
            Input::FreeJson(_) => BodyBounds::FREE,
            Input::None | Input::Json(_) | Input::Upload | Input::Query(_) | Input::QrCode => BodyBounds::KNOWN,
        }
    }
}

impl Resource {
    /// What a dialect offers here.
    pub(crate) fn offered(&self, dialect: Dialect) -> impl Iterator<Item = &'static Operation> {
        let operations = self.operations;
        operations.iter().filter(move |operation| (operation.is_offered)(dialect.differences()))
    }

    fn allow(&self, dialect: Dialect) -> String {
        self.offered(dialect).map(|operation| operation.method.as_str()).collect::<Vec<_>>().join(", ")
    }
}

fn below_prefix<'a, 's>(dialect: Dialect, segments: &'a [&'s str]) -> Option<&'a [&'s str]> {
    let prefix = dialect.differences().prefix;
    let (start, rest) = segments.split_at_checked(prefix.len())?;
    start.iter().zip(prefix).all(|(given, expected)| given.eq_ignore_ascii_case(expected)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::segments;

    fn lookup(method: Method, path: &str) -> Result<&'static str, (u16, String)> {
        match find(&Dialect::ALL, &segments(path), &method) {
            Ok(matched) => Ok(matched.operation.description.summary),
            Err(problem) => {
                let allow = problem.header().map(|(_, value)| value.to_str().unwrap().to_owned()).unwrap_or_default();
                Err((problem.status().as_u16(), allow))
            }
        }
    }

    #[test]
    fn paths_match_in_any_case_and_unknown_ones_are_404() {
        assert!(lookup(Method::GET, "/API/CORE/V1/FILES/OWN/").is_ok());
        assert!(lookup(Method::HEAD, "/api/v2/Files").is_ok());
        for path in ["/", "/api", "/api/v2", "/api/v3/Files", "/api/v2/Tokens", "/api/v2//Files", "/api/v2/Messages"] {
            assert_eq!(lookup(Method::GET, path), Err((404, String::new())), "{path}");
        }
    }

    #[test]
    fn the_methods_of_the_first_matching_path_are_allowed() {
        let refused = |allow: &str| Err((405, allow.to_owned()));
        assert_eq!(lookup(Method::PUT, "/api/v2/Files/Own"), refused("POST, GET"));
        assert_eq!(lookup(Method::OPTIONS, "/api/v2/Files"), refused("GET"));
        assert_eq!(lookup(Method::POST, "/api/v2/IdentityMetadata"), refused("PUT, GET, DELETE"));
        assert_eq!(lookup(Method::PUT, "/api/v2/Tokens/x"), refused("GET"));
        assert_eq!(lookup(Method::PUT, "/api/core/v1/Tokens/x"), refused("DELETE, GET"));
    }

    #[test]
    fn parameters_match_fixed_words_too() {
        assert_eq!(lookup(Method::DELETE, "/api/v2/Files/Own"), Ok("Deletes a file"));
    }

    #[test]
    fn tokens_are_deleted_in_one_dialect_only() {
        assert_eq!(lookup(Method::DELETE, "/api/v2/Tokens/x"), Err((405, "GET".to_owned())));
        assert_eq!(lookup(Method::DELETE, "/api/core/v1/Tokens/x"), Ok("Deletes a token"));
    }
}
