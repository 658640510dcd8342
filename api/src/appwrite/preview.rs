//! Previews of files.

use std::ops::ControlFlow;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use runtime::facade::WantedPreview;
use runtime::storage::ContentUse;
use runtime::storage::preview::parameters::{BORDER_RADIUS, BORDER_WIDTH, GRAVITIES, OUTPUTS, QUALITY, ROTATION, SIZE};
use runtime::storage::preview::{Answer, Parameters};
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::Type;

use super::arguments::{Arguments, invalid};
use super::content::{kept, open};
use super::{caller, embeddable};
use crate::call::Call;
use crate::face::QueryParameter;
use crate::finish::matches_tag;
use crate::problem::Problem;
use crate::reply::Reply;

/// Clients may keep a preview for 30 days; its entity tag tells whether it is still the same one.
const KEPT_SECONDS: u64 = 30 * 24 * 60 * 60;
/// Whether a preview was rendered for this request.
pub(super) const CACHE: HeaderName = HeaderName::from_static("x-appwrite-cache");

/// `GET storage/buckets/{bucketId}/files/{fileId}/preview`
pub(super) async fn preview(call: Call<()>) -> Result<Reply, Problem> {
    let parameters = parameters(&call)?;
    let storage = call.runtime().storage();
    let content = match open(&call, ContentUse::Preview)? {
        ControlFlow::Continue(content) => content,
        ControlFlow::Break(page) => return Ok(page),
    };
    let wanted = WantedPreview::new(content, parameters);
    let etag = HeaderValue::from_str(&wanted.etag()).map_err(|_| Problem::unexpected())?;
    let (reply, first) = match is_known(&call.headers, &etag) {
        true => (not_modified(&wanted), None),
        false => (shown(storage.preview(caller(&call), &wanted).await?), Some(0)),
    };
    // It is counted when there is something to send, and before any of it is sent.
    if call.method != Method::HEAD {
        storage.use_token(wanted.content(), first).await?;
    }
    let now = call.runtime().clock().now();
    let kept = kept(KEPT_SECONDS, wanted.content().by_token.as_ref(), now);
    Ok(embeddable(reply.with(header::ETAG, etag).with(header::CACHE_CONTROL, kept)))
}

/// What the document says of the parameters.
pub(super) fn query() -> Vec<QueryParameter> {
    let integer = |minimum: i64, maximum: i64| {
        let schema = ObjectBuilder::new().schema_type(Type::Integer);
        schema.minimum(Some(minimum as isize)).maximum(Some(maximum as isize))
    };
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let color = || text().pattern(Some("^[0-9A-Fa-f]{6}$"));
    let size = || integer(0, SIZE.into());
    let parameter = |name, schema: ObjectBuilder, description| QueryParameter { name, schema, description };
    vec![
        parameter("width", size(), "Pixels. With a height too, the image is scaled to cover both and cropped."),
        parameter("height", size(), "Pixels."),
        parameter("gravity", text().enum_values(Some(GRAVITIES)), "What remains of a crop; the center if absent."),
        parameter("quality", integer(-1, QUALITY.into()), "Of JPEG; -1 for that of the image."),
        parameter("borderWidth", integer(0, BORDER_WIDTH.into()), "Pixels, which are added to the size."),
        parameter("borderColor", color(), "Hexadecimal digits; black if absent."),
        parameter("borderRadius", integer(0, BORDER_RADIUS.into()), "Pixels."),
        parameter(
            "opacity",
            ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).maximum(Some(1)),
            "1 is opaque.",
        ),
        parameter("rotation", integer(-ROTATION, ROTATION), "Degrees clockwise."),
        parameter("background", color(), "Hexadecimal digits; what is behind transparent pixels."),
        parameter("output", text().enum_values(Some(OUTPUTS)), "By the name of the file if absent."),
    ]
}

/// The parameters that a request gives. Of one that is given several times it is the last value.
pub(super) fn given(call: &Call<()>) -> Vec<(&'static str, &str)> {
    let value = |name: &'static str| {
        call.query.iter().rev().find(|(given, _)| given == name).map(|(_, value)| (name, value.as_str()))
    };
    query().into_iter().filter_map(|parameter| value(parameter.name)).collect()
}

/// The parameters among the members of a body.
///
/// # Errors
/// 400 for those with which there is no preview.
pub(super) fn taken(arguments: &mut Arguments) -> Result<Vec<(&'static str, String)>, Problem> {
    let mut taken = Vec::new();
    for QueryParameter { name, .. } in query() {
        taken.extend(arguments.text(name)?.map(|value| (name, value)));
    }
    parse(taken.iter().map(|(name, value)| (*name, value.as_str())))?;
    Ok(taken)
}

fn parameters(call: &Call<()>) -> Result<Parameters, Problem> {
    parse(call.query.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn parse<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Parameters, Problem> {
    Parameters::parse(pairs).map_err(|error| invalid(error.parameter(), error.reason()))
}

fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let tag = etag.to_str().unwrap_or_default();
    headers.get(header::IF_NONE_MATCH).is_some_and(|given| matches_tag(given, tag))
}

/// With the media type: clients replace the headers that they have by those of such an answer (RFC 9111, section 4.3.4).
fn not_modified(wanted: &WantedPreview) -> Reply {
    Reply::bytes(StatusCode::NOT_MODIFIED, HeaderValue::from_static(wanted.media_type()), bytes::Bytes::new())
}

fn shown(Answer { preview, cached }: Answer) -> Reply {
    let reply = Reply::bytes(StatusCode::OK, HeaderValue::from_static(preview.media_type), preview.bytes);
    reply.with(CACHE, HeaderValue::from_static(if cached { "hit" } else { "miss" }))
}
