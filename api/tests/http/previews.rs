//! `/v1`: previews of files as clients of Appwrite ask for them.

use futures_util::future::join_all;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::appwrite::{BUCKETS, Client, PART, refused, told};
use crate::node::{Answer, TestNode};

/// A PNG image in one colour.
fn png(width: u32, height: u32, color: [u8; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&color.repeat((width * height) as usize)).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The size of a PNG image.
fn size(answer: &Answer) -> (u32, u32) {
    assert_eq!((answer.status, of(answer, "content-type")), (StatusCode::OK, "image/png"), "{}", answer.json());
    let number = |at: usize| u32::from_be_bytes(answer.body[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

fn of<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers[name].to_str().unwrap()
}

struct World {
    _node: TestNode,
    client: Client,
    guest: Client,
}

impl World {
    /// A bucket that everybody may read.
    async fn new() -> Self {
        let node = TestNode::start().await;
        let client = Client::of(&node);
        client.bucket(json!({"bucketId": "docs", "name": "Docs", "permissions": ["read(\"any\")"]})).await;
        Self { guest: client.with(None), client, _node: node }
    }

    async fn put(&self, id: &str, name: &str, content: &[u8]) {
        let name = format!("name=\"file\"; filename=\"{name}\"");
        let parts: &[(&[u8], &[u8])] = &[(b"name=\"fileId\"", id.as_bytes()), (name.as_bytes(), content)];
        let answer = self.client.upload("docs", parts, &[]).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
    }

    async fn preview(&self, id: &str, query: &str) -> Answer {
        self.guest.get(&format!("{BUCKETS}/docs/files/{id}/preview?{query}")).await
    }

    async fn change(&self, bucket: Value) {
        let answer = self.client.json(Method::PUT, &format!("{BUCKETS}/docs"), &bucket).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_has_the_size_the_format_and_the_headers_that_clients_expect() {
    let world = World::new().await;
    world.put("photo", "photo.png", &png(640, 400, [200, 100, 0])).await;
    for (query, expected) in [
        ("", (640, 400)),
        ("width=300&height=100", (300, 100)),
        ("width=320", (320, 200)),
        ("height=100", (160, 100)),
        ("width=1280", (1280, 800)),
        ("width=200&height=80&borderWidth=5&borderColor=ff0000", (210, 90)),
        ("width=300&height=100&borderRadius=50&opacity=0.5&rotation=45&output=png", (284, 284)),
        ("width=300&height=100&borderRadius=50&opacity=0.5&rotation=-315&output=png", (284, 284)),
        ("width=4000&height=4000", (4000, 4000)),
    ] {
        assert_eq!(size(&world.preview("photo", query).await), expected, "{query}");
    }
    for (output, media, magic) in [
        ("jpg", "image/jpeg", &b"\xff\xd8\xff"[..]),
        ("jpeg", "image/jpeg", b"\xff\xd8\xff"),
        ("webp", "image/webp", b"RIFF"),
        ("gif", "image/gif", b"GIF8"),
    ] {
        let answer = world.preview("photo", &format!("width=9&output={output}")).await;
        assert_eq!((of(&answer, "content-type"), answer.body.starts_with(magic)), (media, true), "{output}");
    }
    let answer = world.preview("photo", "width=10&project=enlace&token=x&mode=y").await;
    assert_eq!(of(&answer, "cache-control"), "private, max-age=2592000");
    assert_eq!(of(&answer, "x-appwrite-cache"), "miss");
    assert_eq!(of(&answer, "cross-origin-resource-policy"), "cross-origin");
    assert!(of(&answer, "content-security-policy").contains("default-src 'none'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_kept_while_its_content_and_the_permissions_are_the_same() {
    let world = World::new().await;
    world.put("photo", "photo.png", &png(64, 40, [200, 100, 0])).await;
    let first = world.preview("photo", "width=30&rotation=-315").await;
    let again = world.preview("photo", "rotation=45&width=30&height=&other=1").await;
    assert_eq!((of(&first, "x-appwrite-cache"), of(&again, "x-appwrite-cache")), ("miss", "hit"));
    assert_eq!((&first.body, of(&first, "etag")), (&again.body, of(&again, "etag")));

    let path = format!("{BUCKETS}/docs/files/photo/preview?width=30&rotation=45");
    let known = world.guest.ranged(&path, &[("if-none-match", of(&first, "etag"))]).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!((of(&known, "content-type"), of(&known, "etag")), ("image/png", of(&first, "etag")));
    assert_eq!(of(&known, "cache-control"), "private, max-age=2592000");
    let other = world.guest.ranged(&path, &[("if-none-match", "\"other\""), ("range", "bytes=0-1")]).await;
    assert_eq!((other.status, &other.body), (StatusCode::OK, &first.body));
    let head = world.guest.send(Request::head(&path).body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(of(&head, "content-length"), first.body.len().to_string());

    let deleted = world.client.json(Method::DELETE, &format!("{BUCKETS}/docs/files/photo"), &json!({})).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    assert_eq!(told(&world.guest.get(&path).await), refused(404, "storage_file_not_found"));
    world.put("photo", "photo.png", &png(64, 40, [0, 100, 200])).await;
    let replaced = world.guest.ranged(&path, &[("if-none-match", of(&first, "etag"))]).await;
    assert_eq!((replaced.status, of(&replaced, "x-appwrite-cache")), (StatusCode::OK, "miss"));
    assert_ne!(replaced.body, first.body);

    world.change(json!({"name": "Docs", "permissions": []})).await;
    assert_eq!(told(&world.guest.get(&path).await), refused(401, "user_unauthorized"));
    assert_eq!(of(&world.client.get(&path).await, "x-appwrite-cache"), "hit");
    world.change(json!({"name": "Docs", "fileSecurity": true})).await;
    assert_eq!(told(&world.guest.get(&path).await), refused(404, "storage_file_not_found"));
    world.change(json!({"name": "Docs", "transformations": false, "permissions": ["read(\"any\")"]})).await;
    assert_eq!(told(&world.guest.get(&path).await), refused(403, "storage_bucket_transformations_disabled"));
    assert_eq!(world.client.get(&path).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_refused_before_anything_is_looked_up() {
    let world = World::new().await;
    for (query, name, reason) in [
        ("width=4001", "width", "0 to 4000"),
        ("height=-1", "height", "0 to 4000"),
        ("gravity=auto", "gravity", "bottom-right"),
        ("quality=101", "quality", "-1 to 100"),
        ("borderWidth=101", "borderWidth", "0 to 100"),
        ("borderColor=%23ffffff", "borderColor", "six hexadecimal digits"),
        ("borderRadius=4001", "borderRadius", "0 to 4000"),
        ("opacity=1.1", "opacity", "0 to 1"),
        ("rotation=361", "rotation", "-360 to 360"),
        ("background=red", "background", "six hexadecimal digits"),
        ("output=bmp", "output", "webp"),
        ("output=heic", "output", "this build cannot encode heic"),
        ("output=avif", "output", "this build cannot encode avif"),
    ] {
        let answer = world.guest.get(&format!("{BUCKETS}/none/files/none/preview?{query}")).await;
        assert_eq!(told(&answer), refused(400, "general_argument_invalid"), "{query}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("Invalid `{name}` param: ")) && message.contains(reason), "{message}");
    }
    assert_eq!(told(&world.preview("none", "").await), refused(404, "storage_file_not_found"));
    let answer = world.guest.get(&format!("{BUCKETS}/none/files/none/preview")).await;
    assert_eq!(told(&answer), refused(404, "storage_bucket_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_are_damaged_or_too_large_are_refused_and_named() {
    let world = World::new().await;
    // The size stands at a fixed place, before any pixel.
    let claiming = |width: u32, height: u32| {
        let mut bytes = png(1, 1, [0; 3]);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        bytes
    };
    let whole = png(64, 64, [1, 2, 3]);
    for (id, content, kind, reason) in [
        ("wide", png(60_000, 1, [0; 3]), "storage_image_resolution_exceeded", "60000x1"),
        ("bomb", claiming(16_000, 16_000), "storage_image_resolution_exceeded", "16000x16000"),
        ("endless", claiming(u32::MAX, u32::MAX), "storage_image_resolution_exceeded", "4294967295"),
        ("empty", claiming(0, 1), "storage_file_type_unsupported", ""),
        ("cut", whole[..whole.len() / 2].to_vec(), "storage_file_type_unsupported", "decoded"),
        ("head", whole[..20].to_vec(), "storage_file_type_unsupported", "decoded"),
    ] {
        world.put(id, "a.png", &content).await;
        let answer = world.preview(id, "width=10").await;
        assert_eq!(told(&answer), refused(400, kind), "{id}");
        assert!(answer.json()["message"].as_str().unwrap().contains(reason), "{}", answer.json());
    }
    world.put("line", "a.png", &png(100, 1, [0; 3])).await;
    let answer = world.preview("line", "height=4000").await;
    assert_eq!(told(&answer), refused(400, "general_argument_invalid"));
    assert!(answer.json()["message"].as_str().unwrap().contains("400000x4000"), "{}", answer.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_or_too_large_a_file_has_an_icon() {
    let world = World::new().await;
    world.put("text", "notes.png", b"some text").await;
    let text = world.preview("text", "").await;
    assert_eq!(size(&text), (512, 512));
    assert_eq!(size(&world.preview("text", "width=30&height=10&borderWidth=1").await), (32, 12));
    world.put("clip", "clip.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom").await;
    let clip = world.preview("clip", "output=png").await;
    assert_eq!((size(&clip), clip.body != text.body), ((512, 512), true));
    assert_eq!(of(&world.preview("clip", "").await, "content-type"), "image/jpeg", "the extension is no output");

    let mut large = png(64, 64, [1, 2, 3]);
    large.resize(20_000_001, 0);
    for index in 0..large.len().div_ceil(PART) {
        assert_eq!(world.client.part("large", &large, index).await.status, StatusCode::CREATED);
    }
    assert_eq!(size(&world.preview("large", "output=png").await), (512, 512));
    let header = world.preview("large", "output=png").await;
    assert_eq!(header.headers[header::CACHE_CONTROL], "private, max-age=2592000");
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_without_a_place_are_refused_for_some_seconds() {
    let world = World::new().await;
    world.put("photo", "photo.png", &png(64, 40, [200, 100, 0])).await;
    let queries: Vec<String> = (0..60).map(|number| format!("width={}", 20 + number)).collect();
    let answers = join_all(queries.iter().map(|query| world.preview("photo", query))).await;
    let (done, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == StatusCode::OK);
    // Guests have one place, and 24 of those where previews wait.
    assert!(done.len() >= 25 && !others.is_empty(), "{}", done.len());
    for answer in others {
        assert_eq!(told(answer), refused(503, "general_unknown"));
        assert_eq!(of(answer, "retry-after"), "5");
    }
    for query in &queries[50..] {
        assert_eq!(world.preview("photo", query).await.status, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gives_previews_of_its_file_within_its_limits() {
    let world = World::new().await;
    world.put("photo", "photo.png", &png(640, 400, [200, 100, 0])).await;
    world.change(json!({"name": "Docs", "permissions": []})).await;
    let secret = async |body: Value| {
        let answer = world.client.json(Method::POST, "/v1/tokens/buckets/docs/files/photo", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
        answer.json()["secret"].as_str().unwrap().to_owned()
    };
    assert_eq!(told(&world.preview("photo", "").await), refused(401, "user_unauthorized"));
    let all = "width=300&height=100&borderRadius=50&opacity=0.5&rotation=45&output=png";
    let any = secret(json!({})).await;
    let given = world.preview("photo", &format!("{all}&token={any}")).await;
    assert_eq!((size(&given), of(&given, "cache-control")), ((284, 284), "private, max-age=2592000"));
    assert_eq!(
        of(&world.client.get(&format!("{BUCKETS}/docs/files/photo/preview?{all}")).await, "x-appwrite-cache"),
        "hit"
    );
    let header =
        world.guest.ranged(&format!("{BUCKETS}/docs/files/photo/preview?{all}"), &[("x-file-token", &any)]).await;
    assert_eq!((of(&header, "x-appwrite-cache"), &header.body), ("hit", &given.body));

    let viewer = secret(json!({"allow": ["view"]})).await;
    assert_eq!(told(&world.preview("photo", &format!("token={viewer}")).await), refused(401, "user_unauthorized"));
    let once = secret(json!({"maxDownloads": 1})).await;
    let path = format!("{BUCKETS}/docs/files/photo/preview?width=9&token={once}");
    assert_eq!(told(&world.guest.get(&path).await), refused(409, "token_claim_required"));
    // The button of the page leads to the same preview.
    let page = world.guest.ranged(&path, &[("accept", "text/html")]).await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    for (name, value) in [("then", "preview"), ("width", "9"), ("token", &once)] {
        assert!(page.contains(&format!("name=\"{name}\" value=\"{value}\"")), "{page}");
    }
    let press = async |secret: &str, width: &str| {
        let request = Request::post("/v1/tokens/claims?project=enlace");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let body = format!("token={secret}&then=preview&width={width}&claim=x&mode=y");
        world.guest.send(request.body(axum::body::Body::from(body)).unwrap()).await
    };
    let pressed = secret(json!({"maxDownloads": 1, "allow": ["preview"]})).await;
    for wrong in ["4001", "9%26claim%3Dx"] {
        assert_eq!(told(&press(&pressed, wrong).await), refused(400, "general_argument_invalid"));
    }
    let led = press(&pressed, "9").await;
    let target = of(&led, "location");
    assert_eq!((led.status, target.contains("mode=")), (StatusCode::SEE_OTHER, false));
    assert_eq!(size(&world.guest.get(target).await), (9, 5));
    let head = world.guest.send(Request::head(&path).body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "it uses nothing");
    let used = world.guest.ranged(&path, &[("x-claim", "auto")]).await;
    assert_eq!((size(&used), of(&used, "cache-control")), ((9, 5), "private, no-store"));
    assert_eq!(told(&world.guest.ranged(&path, &[("x-claim", "auto")]).await), refused(409, "token_exhausted"));
}
