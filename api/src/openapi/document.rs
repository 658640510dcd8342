//! Assembles the document.

use http::Method;
use runtime::Path;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathsBuilder};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{
    ArrayBuilder, ComponentsBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required,
    ResponseBuilder, ResponsesBuilder,
};

use super::failures;
use crate::face::{self, Face, Input, Output, QueryParameter, Resource, Schemas};
use crate::protocol::Media;

pub(crate) fn document(faces: &[Face]) -> OpenApi {
    let info = InfoBuilder::new()
        .title("enlace")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Share files end-to-end encrypted: files, tokens, and the identity that owns them."))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build()));
    let mut components = components(faces).security_scheme(FILE_TOKEN, file_token());
    for Schemas { security, key_header, .. } in faces.iter().map(|face| &face.schemas) {
        let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(*key_header)));
        components = components.security_scheme(*security, key);
    }
    let default = faces.first().map(|face| vec![requirement(face)]);
    OpenApiBuilder::new().info(info).paths(paths(faces)).components(Some(components.build())).security(default).build()
}

fn requirement(face: &Face) -> SecurityRequirement {
    SecurityRequirement::new::<_, [&str; 0], &str>(face.schemas.security, [])
}

/// The secret of a file token as a header. It opens what it is for, and nothing else.
const FILE_TOKEN: &str = "fileToken";

fn file_token() -> SecurityScheme {
    let text = "The secret of a file token, instead of X-File-Token or the parameter `token`.";
    SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build())
}

/// Whether the secret of a file token is of use.
fn takes_file_token(operation: &face::Operation) -> bool {
    let face::Description { input, output, .. } = &operation.description;
    matches!(input, Input::ByToken(_)) || matches!(output, Output::NewOrLeading(_))
}

/// A key, or none where guests are let in, or a file token.
fn requirements(face: &Face, resource: &Resource, operation: &face::Operation) -> Vec<SecurityRequirement> {
    let by_token = takes_file_token(operation).then(|| SecurityRequirement::new::<_, [&str; 0], &str>(FILE_TOKEN, []));
    let none = (face.schemas.for_guests)(resource.need).then(SecurityRequirement::default);
    [requirement(face)].into_iter().chain(by_token).chain(none).collect()
}

fn paths(faces: &[Face]) -> Paths {
    let mut paths = PathsBuilder::new();
    for face in faces {
        for resource in &face.resources {
            let path = format!("{}/{}", face.path_prefix(), resource.path);
            for (operation, method) in methods(face, resource) {
                let mut described = describe(face, resource, (operation, &method));
                if face.schemas.security != faces[0].schemas.security {
                    described.security = Some(requirements(face, resource, operation));
                }
                let item = utoipa::openapi::PathItem::new(http_method(&method), described);
                paths = paths.path(&path, item);
            }
        }
    }
    let health = OperationBuilder::new()
        .operation_id(Some("health"))
        .summary(Some("Whether the node works; needs no key"))
        .security(SecurityRequirement::default())
        .response("200", json_response("It does", reference("Health")))
        .response("500", json_response("It does not", reference("Health")));
    paths.path("/health", utoipa::openapi::PathItem::new(HttpMethod::Get, health)).build()
}

/// The operations of a path, each with its method, and with `HEAD` where the face is described exactly.
fn methods<'f>(face: &Face, resource: &'f Resource) -> impl Iterator<Item = (&'f face::Operation, Method)> {
    let is_exact = face.schemas.is_exact;
    resource.operations.iter().flat_map(move |operation| {
        let head = (is_exact && operation.method == Method::GET).then_some(Method::HEAD);
        std::iter::once(operation.method.clone()).chain(head).map(move |method| (operation, method))
    })
}

fn describe(face: &Face, resource: &Resource, (operation, method): (&face::Operation, &Method)) -> Operation {
    let description = &operation.description;
    let area = resource.path.split('/').next().unwrap_or_default();
    let mut builder = OperationBuilder::new()
        .operation_id(Some(operation_id(face, resource.path, method)))
        .summary(Some(description.summary))
        .tag(format!("{area} ({})", face.path_prefix()));
    let headers = face.schemas.headers.iter().copied().map(header);
    let conditions = conditions(&description.output);
    let own = parameters(face, resource.path, &description.input);
    for parameter in own.into_iter().chain(headers).chain(conditions) {
        builder = builder.parameter(parameter);
    }
    if let Some(body) = request_body(&description.input) {
        builder = builder.request_body(Some(body));
    }
    let answers = [(status(&description.output), success(face, operation))].into_iter();
    let answers = answers.chain(found(face, &description.output)).chain(parts(&description.output));
    let answers = answers.chain(leading(&description.output)).map(|(status, response)| (status, response.build()));
    let answers = answers.map(|(status, mut response)| {
        if *method == Method::HEAD {
            response.content.clear();
        }
        (status, response)
    });
    let responses = ResponsesBuilder::new().responses_from_iter(answers);
    let responses = match face.schemas.is_exact {
        true => responses.responses_from_iter(failures::of(face, operation)),
        false => responses.response("default", failures::response(face, "A failure")),
    };
    builder.responses(responses).build()
}

fn parameters(face: &Face, path: &str, input: &Input) -> Vec<ParameterBuilder> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let parameter = |name: &str, place, schema: ObjectBuilder| {
        let required = if place == ParameterIn::Path { Required::True } else { Required::False };
        ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(schema))
    };
    let mut all = Vec::new();
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    all.extend(names.map(|name| parameter(name, ParameterIn::Path, text().pattern((face.schemas.pattern)(name)))));
    match input {
        Input::Query(fields) => all.extend(fields.iter().map(|field| parameter(field, ParameterIn::Query, text()))),
        Input::Flags(names) => {
            let flag = || ObjectBuilder::new().schema_type(Type::Boolean);
            all.extend(names.iter().map(|name| parameter(name, ParameterIn::Query, flag())));
        }
        Input::ByToken(values) => {
            all.extend(values().into_iter().map(|QueryParameter { name, schema, description }| {
                parameter(name, ParameterIn::Query, schema).description(Some(description))
            }))
        }
        Input::None | Input::Json(_) | Input::JsonOrForm(_) | Input::FreeJson(_) | Input::Upload(_) => {}
    }
    let of_all = face.schemas.query.iter();
    all.extend(of_all.map(|(name, meaning)| parameter(name, ParameterIn::Query, text()).description(Some(*meaning))));
    if let Input::ByToken(_) = input {
        let of_token = [("token", "The secret of a file token."), ("claim", "The id of a claim of it.")];
        all.extend(
            of_token.map(|(name, meaning)| parameter(name, ParameterIn::Query, text()).description(Some(meaning))),
        );
        let headers = [
            ("X-File-Token", "The secret of a file token, unless the query has it."),
            ("X-Claim", "The id of a claim of it, or auto: the answer is one use."),
        ];
        all.extend(headers.map(header));
    }
    all
}

/// The headers that choose a part of a content (RFC 9110, sections 13 and 14).
fn conditions(output: &Output) -> Vec<ParameterBuilder> {
    let all = [
        ("Range", "Which bytes, such as bytes=0-99, bytes=100- or bytes=-100. Of several ranges, all bytes are sent."),
        ("If-Range", "The range only if the file has this entity tag, else all bytes."),
        ("If-None-Match", "Entity tags of what the client has."),
        ("If-Match", "Entity tags of which the file must have one."),
    ];
    match output {
        Output::Content => all.map(header).into(),
        Output::Image => all.into_iter().filter(|(name, _)| *name == "If-None-Match").map(header).collect(),
        _ => Vec::new(),
    }
}

fn header((name, description): (&str, &str)) -> ParameterBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).schema(Some(text));
    parameter.required(Required::False).description(Some(description))
}

/// The answers to them.
fn parts(output: &Output) -> Vec<(&'static str, ResponseBuilder)> {
    let not_modified = ("304", ResponseBuilder::new().description("The client has the file"));
    match output {
        Output::Content => {}
        Output::Image => return vec![not_modified],
        _ => return Vec::new(),
    }
    let content = ContentBuilder::new().schema(Some(binary("The bytes of the range."))).build();
    vec![
        (
            "206",
            with_path(
                ResponseBuilder::new()
                    .description("The range, of bytes that were all verified")
                    .content("*/*", content),
            ),
        ),
        not_modified,
    ]
}

fn leading(output: &Output) -> Option<(&'static str, ResponseBuilder)> {
    let Output::NewOrLeading(_) = output else { return None };
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    let location = HeaderBuilder::new().schema(Some(schema)).description(Some("The path of the content.")).build();
    Some(("303", ResponseBuilder::new().description("A browser is led to the content").header("Location", location)))
}

fn request_body(input: &Input) -> Option<RequestBody> {
    match input {
        Input::Json(shape) | Input::JsonOrForm(shape) | Input::FreeJson(shape) => {
            let shape = shape();
            let required = shape.properties.iter().any(|property| property.required);
            let content = || ContentBuilder::new().schema(Some(shape.describe())).build();
            let required = if required { Required::True } else { Required::False };
            let body = RequestBodyBuilder::new().content("application/json", content());
            let body = match input {
                Input::JsonOrForm(_) => body.content("application/x-www-form-urlencoded", content()),
                _ => body,
            };
            Some(body.required(Some(required)).build())
        }
        Input::Upload(form) => {
            let Schema::Object(mut form) = form().describe() else { return None };
            form.properties.insert("file".to_owned(), binary("The file.").into());
            form.required.push("file".to_owned());
            let content = ContentBuilder::new().schema(Some(Schema::Object(form))).build();
            let body = RequestBodyBuilder::new().content("multipart/form-data", content);
            Some(body.required(Some(Required::True)).build())
        }
        Input::None | Input::Query(_) | Input::Flags(_) | Input::ByToken(_) => None,
    }
}

fn status(output: &Output) -> &'static str {
    match output {
        Output::Nothing => "204",
        Output::One(_) | Output::Many(_) | Output::Content | Output::Image | Output::QrCode | Output::Lines(_) => "200",
        Output::New(_) | Output::NewOrFound(_) | Output::NewOrLeading(_) => "201",
    }
}

fn success(face: &Face, operation: &face::Operation) -> ResponseBuilder {
    let enveloped = face.schemas.enveloped;
    let response = match operation.description.output {
        Output::Nothing => ResponseBuilder::new().description("Done"),
        Output::One(name) => json_response("Found", enveloped(reference(name))),
        Output::Many(name) => {
            let list = ArrayBuilder::new().items(reference(name)).build();
            json_response("Found", enveloped(Schema::Array(list).into()))
        }
        Output::New(name) | Output::NewOrFound(name) | Output::NewOrLeading(name) => {
            json_response("Created", enveloped(reference(name)))
        }
        Output::Lines(names) => {
            let line = names.into_iter().fold(OneOfBuilder::new(), |line, name| line.item(reference(name)));
            let content = ContentBuilder::new().schema(Some(Schema::OneOf(line.build()))).build();
            ResponseBuilder::new()
                .description("A line of JSON at once, and one at the end")
                .content("application/x-ndjson", content)
        }
        Output::Content => {
            let content = ContentBuilder::new().schema(Some(binary("The bytes of the file."))).build();
            with_path(ResponseBuilder::new().description("The bytes, verified").content("*/*", content))
        }
        Output::Image => image(),
        Output::QrCode => with_qr_code(ResponseBuilder::new().description("A QR code"), "The QR code of the URL."),
    };
    if operation.produces.contains(&Media::PNG) {
        with_qr_code(response, "The QR code of the reference.")
    } else {
        response
    }
}

fn with_qr_code(response: ResponseBuilder, description: &str) -> ResponseBuilder {
    response.content("image/png", ContentBuilder::new().schema(Some(binary(description))).build())
}

/// The answer where the new thing is there already.
fn found(face: &Face, output: &Output) -> Option<(&'static str, ResponseBuilder)> {
    let Output::NewOrFound(name) = output else { return None };
    Some(("200", json_response("It is there already", (face.schemas.enveloped)(reference(name)))))
}

fn image() -> ResponseBuilder {
    let content = || ContentBuilder::new().schema(Some(binary("The image."))).build();
    let types = ["image/jpeg", "image/png", "image/webp", "image/gif"];
    types
        .into_iter()
        .fold(ResponseBuilder::new().description("An image"), |response, media| response.content(media, content()))
}

/// With the header that tells by which path the content comes.
fn with_path(response: ResponseBuilder) -> ResponseBuilder {
    let names = [Path::Lan, Path::Direct, Path::Punched, Path::Relayed, Path::Backbone].map(Path::name);
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build();
    let text = "By which path the first byte has come; absent if the node had all bytes.";
    response.header("X-Enlace-Path", HeaderBuilder::new().schema(Some(schema)).description(Some(text)).build())
}

fn json_response(description: &str, schema: RefOr<Schema>) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content("application/json", content)
}

fn binary(description: &str) -> Schema {
    let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
    let object = ObjectBuilder::new().schema_type(Type::String).format(Some(format)).description(Some(description));
    Schema::Object(object.build())
}

fn reference(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

fn components(faces: &[Face]) -> ComponentsBuilder {
    let mut components = ComponentsBuilder::new();
    for (name, schema) in faces.iter().flat_map(|face| (face.schemas.components)()) {
        components = components.schema(name, schema);
    }
    for (name, response) in faces.iter().filter(|face| face.schemas.is_exact).flat_map(failures::components) {
        components = components.response(name, response);
    }
    components
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        Method::HEAD => HttpMethod::Head,
        _ => HttpMethod::Get,
    }
}

/// `coreV1_post_files_id_token`
fn operation_id(face: &Face, path: &str, method: &Method) -> String {
    let words = path.split('/').map(|word| word.trim_matches(['{', '}']).to_ascii_lowercase());
    let words = words.collect::<Vec<_>>().join("_");
    format!("{}_{}_{words}", face.name, method.as_str().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::faces;

    fn as_json() -> Value {
        serde_json::to_value(document(&faces::all())).unwrap()
    }

    #[test]
    fn every_offered_operation_is_described() {
        let document = as_json();
        for face in faces::all() {
            for resource in &face.resources {
                let path = format!("{}/{}", face.path_prefix(), resource.path);
                for operation in &resource.operations {
                    let method = operation.method.as_str().to_ascii_lowercase();
                    assert!(document["paths"][&path][&method].is_object(), "{method} {path}");
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_to_a_component() {
        fn check(value: &Value, components: &Value) {
            match value {
                Value::Object(object) => {
                    if let Some(name) = object.get("$ref").and_then(Value::as_str) {
                        let (kind, name) = name.strip_prefix("#/components/").unwrap().split_once('/').unwrap();
                        assert!(components[kind][name].is_object(), "{kind} {name}");
                    }
                    object.values().for_each(|inner| check(inner, components));
                }
                Value::Array(list) => list.iter().for_each(|inner| check(inner, components)),
                _ => {}
            }
        }
        let document = as_json();
        check(&document, &document["components"]);
    }

    #[test]
    fn a_key_is_optional_where_guests_are_let_in() {
        let paths = &as_json()["paths"];
        let (key, token) = (json!({"appwriteKey": []}), json!({"fileToken": []}));
        for (path, method, expected) in [
            ("/v1/tokens/claims", "post", json!([key, token, {}])),
            ("/v1/storage/buckets/{bucketId}/files/{fileId}/view", "get", json!([key, token, {}])),
            ("/v1/storage/buckets/{bucketId}/files/{fileId}/view", "head", json!([key, token, {}])),
            ("/v1/storage/buckets/{bucketId}/files", "get", json!([key, {}])),
            ("/v1/storage/buckets", "get", json!([key])),
            ("/v1/tokens", "get", json!([key])),
            ("/api/v2/Files", "get", Value::Null),
        ] {
            assert_eq!(paths[path][method]["security"], expected, "{method} {path}");
        }
    }

    #[test]
    fn a_claim_can_lead_a_browser_to_the_content() {
        let document = as_json();
        let claim = &document["paths"]["/v1/tokens/claims"]["post"];
        let (body, responses) = (&claim["requestBody"]["content"], &claim["responses"]);
        for media in ["application/json", "application/x-www-form-urlencoded"] {
            assert!(body[media]["schema"]["properties"]["then"].is_object(), "{body}");
        }
        assert!(responses["201"]["content"]["application/json"].is_object(), "{responses}");
        assert!(responses["303"]["headers"]["Location"].is_object(), "{responses}");
        for status in ["401", "409", "429"] {
            let name = responses[status]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let failure = &document["components"]["responses"][name]["content"];
            assert!(failure["application/json"].is_object() && failure["text/html"].is_object(), "{name}");
        }
    }

    #[test]
    fn own_faces_tell_of_each_status_and_of_head_and_the_dialects_as_they_were_published() {
        let paths = &as_json()["paths"];
        let statuses = |path: &str, method: &str| {
            let responses = paths[path][method]["responses"].as_object().unwrap();
            responses.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        let view = "/v1/storage/buckets/{bucketId}/files/{fileId}/view";
        let failures = "400 401 403 404 408 409 412 413 414 415 416 429 431 500 503 507";
        for method in ["get", "head"] {
            assert_eq!(statuses(view, method), format!("200 206 304 {failures}"));
        }
        assert_eq!(paths[view]["head"]["responses"]["200"].get("content"), None);
        let names: Vec<_> = paths[view]["get"]["parameters"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
        assert!(names.contains(&&json!("project")), "{names:?}");
        assert_eq!(statuses("/v1/tokens/{tokenId}", "get"), "200 400 401 403 404 408 413 414 415 429 431 500 503 507");
        let own = statuses("/api/enlace/v1/Tokens/{id}", "patch");
        assert_eq!(own, "200 400 401 403 404 406 408 409 413 414 415 429 431 500 503 507");
        assert_eq!(statuses("/api/v2/Files", "get"), "200 default");
        assert!(paths["/api/v2/Files"].get("head").is_none());
    }

    #[test]
    fn a_rotated_token_is_a_new_one() {
        let responses = &as_json()["paths"]["/api/enlace/v1/Tokens/{id}/Rotate"]["post"]["responses"];
        assert!(responses["201"].is_object() && responses["200"].is_null(), "{responses}");
    }

    #[test]
    fn dialects_differ_where_the_table_says_so() {
        let paths = &as_json()["paths"];
        assert!(paths["/api/v2/Tokens/{id}"]["delete"].is_null());
        assert!(paths["/api/core/v1/Tokens/{id}"]["delete"].is_object());
    }
}
