//! Downloads of files: ranges, conditions, and what they answer.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Person, World, raw, refusal, text_of};
use reqwest::{Method, Response};

const SIZE: usize = 300_000;

fn bytes() -> Vec<u8> {
    (0..SIZE).map(|place| u8::try_from(place % 251).unwrap()).collect()
}

/// A person, and the path of a file.
async fn with_file(world: &World) -> (Person, String) {
    let person = world.person(1).await;
    let file = person.file(&bytes()).await;
    let path = format!("/Files/{}", text_of(&file["id"]));
    (person, path)
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn each_range_answers_with_exactly_its_bytes() {
    let world = World::new().await;
    let (person, path) = with_file(&world).await;
    let all = bytes();
    for (range, first, last) in [
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-1000000", 0, SIZE - 1),
        ("bytes=299999-", SIZE - 1, SIZE - 1),
        ("bytes=122879-122880", 122_879, 122_880),
        ("bytes=1000-9999999", 1000, SIZE - 1),
        ("bytes=300000-, 5-6", 5, 6),
    ] {
        let response = raw(person.get(&path).header("range", range)).await;
        assert_eq!(response.status(), 206, "{range}");
        assert_eq!(header(&response, "content-range").unwrap(), format!("bytes {first}-{last}/{SIZE}"), "{range}");
        assert_eq!(header(&response, "content-length").unwrap(), (last - first + 1).to_string(), "{range}");
        assert_eq!(header(&response, "content-type").unwrap(), "application/octet-stream");
        assert_eq!(header(&response, "accept-ranges").unwrap(), "bytes");
        assert!(response.bytes().await.unwrap() == all[first..=last], "{range}");
    }
}

#[tokio::test]
async fn what_is_no_range_answers_with_everything() {
    let world = World::new().await;
    let (person, path) = with_file(&world).await;
    for range in ["bytes=0-1,5-6", "bytes=5-2", "bytes=x", "lines=1-2", "bytes=1-2,x"] {
        let response = raw(person.get(&path).header("range", range)).await;
        assert_eq!((response.status().as_u16(), header(&response, "content-range")), (200, None), "{range}");
        assert!(response.bytes().await.unwrap() == bytes(), "{range}");
    }
}

#[tokio::test]
async fn ranges_that_do_not_exist_are_refused_with_the_size() {
    let world = World::new().await;
    let (person, path) = with_file(&world).await;
    for range in ["bytes=300000-", "bytes=-0", "bytes=300000-300001,400000-"] {
        let response = raw(person.get(&path).header("range", range)).await;
        assert_eq!(response.status(), 416, "{range}");
        assert_eq!(header(&response, "content-range").unwrap(), "bytes */300000");
        assert_eq!(header(&response, "content-type"), None);
        assert!(response.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn conditions_compare_the_strong_entity_tag() {
    let world = World::new().await;
    let (person, path) = with_file(&world).await;
    let whole = raw(person.get(&path)).await;
    let etag = header(&whole, "etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.len() > 20, "{etag}");
    let status = async |name: &str, value: &str| {
        let response = raw(person.get(&path).header("range", "bytes=1-2").header(name, value)).await;
        (response.status().as_u16(), header(&response, "etag") == Some(&etag))
    };
    assert_eq!(status("if-range", &etag).await, (206, true));
    assert_eq!(status("if-range", "\"other\"").await, (200, true));
    assert_eq!(status("if-range", &format!("W/{etag}")).await, (200, true));
    assert_eq!(status("if-range", "Sat, 01 Jan 2000 00:00:00 GMT").await, (200, true));
    assert_eq!(status("if-none-match", &etag).await, (304, true));
    assert_eq!(status("if-none-match", &format!("\"x\", W/{etag}")).await, (304, true));
    assert_eq!(status("if-none-match", "\"other\"").await, (206, true));
    assert_eq!(status("if-match", &etag).await, (206, true));
    assert_eq!(status("if-match", "\"other\"").await, (412, true));
    let unchanged = raw(person.get(&path).header("if-none-match", "*")).await;
    assert_eq!(unchanged.status(), 304);
    assert!(unchanged.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_head_request_answers_as_a_download_of_everything_without_the_bytes() {
    let world = World::new().await;
    let (person, path) = with_file(&world).await;
    let whole = raw(person.get(&path)).await;
    for request in
        [person.request(Method::HEAD, &path), person.request(Method::HEAD, &path).header("range", "bytes=1-2")]
    {
        let head = raw(request).await;
        assert_eq!(head.status(), 200);
        for name in ["content-length", "content-type", "etag", "accept-ranges", "content-range"] {
            assert_eq!(header(&head, name), header(&whole, name), "{name}");
        }
        assert!(head.bytes().await.unwrap().is_empty());
    }
    let gone = person.request(Method::HEAD, "/Files/FILaaaaaaaaaaaaaaaaa");
    assert_eq!(raw(gone).await.status(), 404);
}

#[tokio::test]
async fn version_one_has_ranges_too_and_strangers_have_none() {
    let world = World::new().await;
    let (person, path) = with_file(&world).await;
    let part = raw(person.get(&format!("/api/v1{path}")).header("range", "bytes=-3")).await;
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().to_vec()), (206, bytes()[SIZE - 3..].to_vec()));
    let stranger = raw(world.anonymous(Method::GET, &path).header("range", "bytes=0-0")).await;
    assert_eq!(stranger.status(), 401);
}

#[tokio::test]
async fn bytes_that_are_gone_from_the_disk_are_an_error_and_not_a_shorter_file() {
    let world = World::new().await;
    let (person, path) = with_file(&world).await;
    let blobs = world.dir.path().join("data/blobs");
    let folders = std::fs::read_dir(blobs).unwrap().map(|folder| folder.unwrap().path());
    let mut files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path());
    let file = std::fs::OpenOptions::new().write(true).open(files.next().unwrap()).unwrap();
    file.set_len(1000).unwrap();
    assert_eq!(refusal(person.get(&path), 500).await, "unexpected");
    assert_eq!(refusal(person.get(&path).header("range", "bytes=999-1000"), 500).await, "unexpected");
    assert_eq!(raw(person.get(&path).header("range", "bytes=998-999")).await.status(), 206);
}
