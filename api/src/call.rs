//! One authenticated request on its way to a handler.

use std::sync::Arc;

use http::{HeaderMap, Method};
use runtime::facade::Parameters;
use runtime::{Error, Id, Runtime};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::auth::Roles;
use crate::problem::Problem;
use crate::protocol::{Admission, Body, Media};
use crate::rest::downloads::Downloads;
use crate::validation::{Object, id_pattern};

/// What a handler gets. `C` is what its face adds.
pub(crate) struct Call<C> {
    pub(crate) runtime: Runtime,
    pub(crate) method: Method,
    /// Those of the request, with a correlation id in any case.
    pub(crate) headers: HeaderMap,
    /// Decoded, in the order of the pattern.
    pub(crate) parameters: Vec<String>,
    pub(crate) query: Parameters,
    pub(crate) body: Body,
    /// What the body takes of the memory for large ones, until the handler is done with it.
    pub(crate) admission: Admission,
    /// What the client prefers of that which the route makes.
    pub(crate) media: Media,
    /// What is known of downloads.
    pub(crate) downloads: Arc<Downloads>,
    /// Answers that last end with it.
    pub(crate) stopping: CancellationToken,
    /// What the sender may do.
    pub(crate) roles: Roles,
    /// Whether the sender presented a key; else it is a guest.
    pub(crate) has_key: bool,
    pub(crate) context: C,
}

impl Call<()> {
    /// The same request with what a face adds.
    pub(crate) fn with<C>(self, context: C) -> Call<C> {
        let Self {
            runtime,
            method,
            headers,
            parameters,
            query,
            body,
            admission,
            media,
            downloads,
            stopping,
            roles,
            has_key,
            context: (),
        } = self;
        Call {
            runtime,
            method,
            headers,
            parameters,
            query,
            body,
            admission,
            media,
            downloads,
            stopping,
            roles,
            has_key,
            context,
        }
    }
}

impl<C> Call<C> {
    /// The node.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The path's parameter, as it came.
    pub(crate) fn parameter(&self) -> &str {
        self.parameters.first().map_or("", String::as_str)
    }

    /// The path's parameter as an id. `name` is what errors call it, `kind` what is not found.
    ///
    /// # Errors
    /// 400 for a text without an id in it, 404 for one with more around it: there is no such thing.
    pub(crate) fn id<I: Id>(&self, name: &str, kind: &'static str) -> Result<I, Problem> {
        parse_id(self.parameter(), name, kind)
    }

    /// The body, read into a request of this shape.
    ///
    /// # Errors
    /// 400 with the first violation.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, shape: &Object) -> Result<T, Problem> {
        shape.read(self.take_json()?)
    }

    /// The body as JSON; leaves none behind.
    pub(crate) fn take_json(&mut self) -> Result<Value, Problem> {
        self.take_body().into_json()
    }

    /// The body; leaves none behind.
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, Body::Unreadable)
    }

    /// The first value of a query parameter.
    pub(crate) fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// Reads an id from a path.
pub(crate) fn parse_id<I: Id>(text: &str, name: &str, kind: &'static str) -> Result<I, Problem> {
    text.parse().map_err(|_| {
        if contains_id(text, I::PREFIX) {
            Error::RecordNotFound(kind).into()
        } else {
            Problem::invalid_property(format!("{name} must match pattern {}", id_pattern(I::PREFIX)))
        }
    })
}

/// Whether there is an id somewhere in the text: the pattern that clients know is not anchored.
fn contains_id(text: &str, prefix: &str) -> bool {
    text.match_indices(prefix).any(|(at, _)| {
        let rest = &text.as_bytes()[at + prefix.len()..];
        rest.len() >= 17 && rest[..17].iter().all(u8::is_ascii_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use runtime::FileId;

    use super::*;

    fn status(text: &str) -> u16 {
        parse_id::<FileId>(text, "id", "File").map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[test]
    fn ids_are_exact_and_texts_around_an_id_name_nothing() {
        assert_eq!(status("FIL00000000000000000"), 200);
        assert_eq!(status("FIL000000000000000000"), 404);
        assert_eq!(status("xFIL00000000000000000"), 404);
        for text in ["", "FIL", "abc", "FIL\0", "fil00000000000000000", "FILäääääääääääääääää", "TOK00000000000000000"]
        {
            assert_eq!(status(text), 400, "{text:?}");
        }
    }
}
