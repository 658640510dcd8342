//! A face: one published form of the interface, such as a connector's dialect, over the pipeline that all of them share.
//!
//! The pipeline does what is the same for all faces; what a face says about itself is data and small functions. A new face
//! is a module that makes a [`Face`], and a line in [`crate::faces`].
//!
//! A path is looked up in the face's resources from first to last; the first one that matches and knows the method answers. If
//! none knows the method, `Allow` has those of the first path that matches; a path can stand there several times, with another need each.

use std::future::Future;
use std::pin::Pin;

use http::request::Parts;
use http::{HeaderValue, Method};
use runtime::Timestamp;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::allowance::Allowance;
use crate::auth::{Gate, Need, Sender};
use crate::call::Call;
use crate::problem::Problem;
use crate::protocol::{BodyBounds, Media, match_pattern};
use crate::reply::Reply;
use crate::validation::Object;

/// A published form of the interface.
pub(crate) struct Face {
    /// Unique among faces; operation ids of the OpenAPI document begin with it.
    pub(crate) name: &'static str,
    /// First segments of every path. No face's prefix begins another's.
    pub(crate) prefix: &'static [&'static str],
    /// What can be done, in the order in which paths are tried.
    pub(crate) resources: Vec<Resource>,
    /// Finds out who sends a request.
    pub(crate) authenticate: Authenticate,
    /// Why a sender that lacks a role gets nothing.
    pub(crate) forbidden: fn(Sender<'_>, Need) -> Problem,
    /// Counts a request of a sender that has the role for it, where the face limits how many there may be.
    pub(crate) allowance: Counting,
    /// Wraps the result of a handler, see [`Reply::ok`].
    pub(crate) envelope: fn(Reply) -> Reply,
    /// The answer to a request that failed.
    pub(crate) problem: fn(&Problem, &Parts, Timestamp) -> Reply,
    /// The `Content-Security-Policy` of answers that do not bring their own.
    pub(crate) content_policy: &'static str,
    /// `Access-Control-Allow-Headers` for configured sites: what requests carry besides simple headers.
    pub(crate) request_headers: HeaderValue,
    /// What the OpenAPI document says of answers.
    pub(crate) schemas: Schemas,
}

/// Finds out who sends a request. See [`authenticating`].
pub(crate) type Authenticate =
    Box<dyn for<'a> Fn(&'a Gate, &Parts, Timestamp) -> Result<Sender<'a>, Problem> + Send + Sync>;

/// A way to find out who sends a request.
pub(crate) fn authenticating(
    way: impl for<'a> Fn(&'a Gate, &Parts, Timestamp) -> Result<Sender<'a>, Problem> + Send + Sync + 'static,
) -> Authenticate {
    Box::new(way)
}

/// Counts a request; none if nothing limits it.
pub(crate) type Counting = Box<dyn Fn(&Parts, Sender<'_>, &Matched<'_>, Timestamp) -> Option<Allowance> + Send + Sync>;

/// Counts nothing.
pub(crate) fn unlimited() -> Counting {
    Box::new(|_, _, _, _| None)
}

/// The types of a face's answers.
pub(crate) struct Schemas {
    /// All types by name; faces may share some.
    pub(crate) components: fn() -> Vec<(String, RefOr<Schema>)>,
    /// A result in the envelope.
    pub(crate) enveloped: fn(RefOr<Schema>) -> RefOr<Schema>,
    /// The component that failures have.
    pub(crate) problem: &'static str,
    /// What the document calls the way in which a sender is authenticated.
    pub(crate) security: &'static str,
    /// Whether senders without a key may do what needs this.
    pub(crate) for_guests: fn(Need) -> bool,
    /// The header that holds the key.
    pub(crate) key_header: &'static str,
    /// The pattern of a parameter of paths by its name, if it has one.
    pub(crate) pattern: fn(&str) -> Option<&'static str>,
    /// Other headers of every request: name, meaning.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// Other parameters of every query, likewise.
    pub(crate) query: &'static [(&'static str, &'static str)],
    /// Whether the document lists `HEAD` and the statuses of failures. The dialects are described as their clients know them: every
    /// failure has one form.
    pub(crate) is_exact: bool,
}

/// A path and what can be done there.
pub(crate) struct Resource {
    /// Below the face's prefix.
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    pub(crate) operations: Vec<Operation>,
}

/// A method of a path.
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// The media types between which the client chooses. None: whatever it accepts is fine.
    pub(crate) produces: &'static [Media],
    pub(crate) handler: Handler,
    pub(crate) description: Description,
}

/// What the document says of an operation.
pub(crate) struct Description {
    pub(crate) summary: &'static str,
    pub(crate) input: Input,
    pub(crate) output: Output,
}

/// What an operation takes besides its path.
pub(crate) enum Input {
    None,
    /// A JSON body of this shape.
    Json(fn() -> Object),
    /// The same, or a form of a browser.
    JsonOrForm(fn() -> Object),
    /// A JSON body of this shape, with a member that takes any JSON.
    FreeJson(fn() -> Object),
    /// A form with a file, and with fields of this shape.
    Upload(fn() -> Object),
    /// Parameters of the query.
    Query(Vec<&'static str>),
    /// Parameters of the query that are true or false.
    Flags(&'static [&'static str]),
    /// Parameters of the query, each with its values, and a file token with a claim, in the query or in headers.
    ByToken(fn() -> Vec<QueryParameter>),
}

/// A parameter of the query that may be absent.
pub(crate) struct QueryParameter {
    pub(crate) name: &'static str,
    pub(crate) schema: ObjectBuilder,
    pub(crate) description: &'static str,
}

/// What an operation answers; the names are those of components.
pub(crate) enum Output {
    /// 204.
    Nothing,
    /// 200 with one.
    One(&'static str),
    /// 200 with a list.
    Many(&'static str),
    /// 201 with the new one.
    New(&'static str),
    /// The same, or 200 with one that is there already.
    NewOrFound(&'static str),
    /// 201 with the new one; browsers that ask for it are led to the content instead, and are shown failures as pages.
    NewOrLeading(&'static str),
    /// 200 with bytes.
    Content,
    /// 200 with an image.
    Image,
    /// 200 with a QR code as a PNG.
    QrCode,
    /// 200 with two lines of JSON: one at once, and one when what the first tells of has ended.
    Lines([&'static str; 2]),
}

/// Answers a request.
pub(crate) type Handler = Box<dyn Fn(Call<()>) -> Answering + Send + Sync>;

/// A handler at work.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send>>;

/// A route that a request was matched to.
pub(crate) struct Matched<'f> {
    /// The pattern, see [`Resource::path`].
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    pub(crate) operation: &'f Operation,
    pub(crate) parameters: Vec<String>,
}

impl Face {
    /// Whether a path is one of this face, known or not.
    pub(crate) fn covers(&self, segments: &[&str]) -> bool {
        self.below_prefix(segments).is_some()
    }

    /// Finds the operation for a path and a method. `HEAD` finds what `GET` does.
    ///
    /// # Errors
    /// 404 for an unknown path, 405 for a method that it does not have, 400 for a parameter that cannot be decoded.
    pub(crate) fn find(&self, segments: &[&str], method: &Method) -> Result<Matched<'_>, Problem> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let rest = self.below_prefix(segments).ok_or_else(Problem::route_does_not_exist)?;
        let mut first = None;
        for resource in &self.resources {
            let Some(parameters) = match_pattern(resource.path, rest) else { continue };
            if let Some(operation) = resource.operations.iter().find(|operation| operation.method == *method) {
                let parameters =
                    parameters.map_err(|_| Problem::invalid_property("the path must be percent-encoded UTF-8"))?;
                return Ok(Matched { path: resource.path, need: resource.need, operation, parameters });
            }
            first = first.or(Some(resource.path));
        }
        let first = first.ok_or_else(Problem::route_does_not_exist)?;
        Err(Problem::method_not_allowed(self.allow(first)))
    }

    /// The methods of a path. `HEAD` is one wherever `GET` is.
    fn allow(&self, path: &str) -> String {
        let resources = self.resources.iter().filter(|resource| resource.path == path);
        let methods = resources.flat_map(|resource| &resource.operations).map(|operation| &operation.method);
        let methods = methods.flat_map(|method| match *method {
            Method::GET => vec!["GET", "HEAD"],
            _ => vec![method.as_str()],
        });
        methods.collect::<Vec<_>>().join(", ")
    }

    /// `/api/v2`; empty for the face without a prefix.
    pub(crate) fn path_prefix(&self) -> String {
        self.prefix.iter().flat_map(|segment| ["/", segment]).collect()
    }

    fn below_prefix<'a, 's>(&self, segments: &'a [&'s str]) -> Option<&'a [&'s str]> {
        let (start, rest) = segments.split_at_checked(self.prefix.len())?;
        start.iter().zip(self.prefix).all(|(given, expected)| given.eq_ignore_ascii_case(expected)).then_some(rest)
    }
}

impl Operation {
    /// How large a JSON body may be.
    pub(crate) fn body_bounds(&self) -> BodyBounds {
        match self.description.input {
            Input::FreeJson(_) => BodyBounds::FREE,
            Input::None
            | Input::Json(_)
            | Input::JsonOrForm(_)
            | Input::Upload(_)
            | Input::Query(_)
            | Input::Flags(_)
            | Input::ByToken(_) => BodyBounds::KNOWN,
        }
    }
}
