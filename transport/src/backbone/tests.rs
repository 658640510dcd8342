//! The client against a scripted server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::bounds::AnswerBounds;
use super::fake::{FakeAnswer, FakeServer, ReceivedRequest};
use super::http::Request;
use super::session::ListBounds;
use super::*;
use crate::wire::backbone::datawallet::{Modification, PushModifications};
use crate::wire::json_budget;

const FILE: &str = "FILabcdefghijklmno12";
const TOKEN: &str = "TOKabcdefghijklmno12";

fn client(url: &str) -> Client {
    Client::new(ClientConfig::new(url, "test", SecretText::new("client-secret"))).unwrap()
}

fn session(server: &FakeServer) -> Session {
    let username = "USRabcdefghijklmno12".parse().unwrap();
    client(server.url()).login(DeviceCredentials { username, password: SecretText::new("device password") })
}

fn is_login(request: &ReceivedRequest) -> bool {
    request.target == "/connect/token"
}

/// A server that accepts every login, for five minutes.
async fn open_server(answer: impl Fn(&ReceivedRequest) -> FakeAnswer + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(
        move |request| {
            if is_login(request) { FakeAnswer::access_token("token", 300) } else { answer(request) }
        },
    )
    .await
}

fn version() -> FakeAnswer {
    FakeAnswer::result(&json!({ "majorVersion": "7" }))
}

#[tokio::test]
async fn a_login_is_shared_by_simultaneous_calls() {
    let server = open_server(|_| FakeAnswer::result(&json!({ "version": 1 }))).await;
    let session = session(&server);
    let calls = (0..8).map(|_| session.datawallet());
    for outcome in futures_util::future::join_all(calls).await {
        assert_eq!(outcome.unwrap().version, 1);
    }
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|request| is_login(request)).count(), 1);
    let form = String::from_utf8(requests[0].body.clone()).unwrap();
    let expected = "client_id=test&client_secret=client-secret&grant_type=password&username=USRabcdefghijklmno12&\
                    password=device+password";
    assert_eq!(form, expected);
    assert_eq!(requests[1].header("authorization"), Some("Bearer token"));
    assert_eq!(requests[1].header("x-supported-datawallet-version"), Some("1"));
    assert!(requests[1].header("x-correlation-id").is_some());
}

#[tokio::test]
async fn calls_carry_the_correlation_id_of_their_operation() {
    let server = open_server(|_| FakeAnswer::result(&json!({ "version": 1 }))).await;
    let session = session(&server);
    super::with_correlation_id("probe-1".to_owned(), session.datawallet()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[1].header("x-correlation-id"), Some("probe-1"));
    assert_ne!(requests[0].header("x-correlation-id"), Some("probe-1"), "a login is shared by several operations");
}

#[tokio::test]
async fn a_failed_login_is_shared_and_not_remembered() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counter = attempts.clone();
    let server = FakeServer::start(move |request| match is_login(request) {
        true if counter.fetch_add(1, Ordering::SeqCst) == 0 => {
            FakeAnswer::Body(400, br#"{"error":"invalid_grant","error_description":""}"#.to_vec())
        }
        true => FakeAnswer::access_token("token", 300),
        false => FakeAnswer::result(&json!({ "version": 1 })),
    })
    .await;
    let session = session(&server);
    let (first, second) = tokio::join!(session.log_in(), session.log_in());
    assert!(matches!(first, Err(Error::NoAuthGrant { reason }) if reason == "invalid_grant"));
    assert!(second.is_err());
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    session.log_in().await.unwrap();
}

#[tokio::test]
async fn a_refused_token_leads_to_one_new_login() {
    let logins = Arc::new(AtomicUsize::new(0));
    let counter = logins.clone();
    let server = FakeServer::start(move |request| match is_login(request) {
        true => FakeAnswer::access_token(&format!("token{}", counter.fetch_add(1, Ordering::SeqCst)), 300),
        false if request.header("authorization") == Some("Bearer token0") => FakeAnswer::Body(401, Vec::new()),
        false => FakeAnswer::result(&json!({ "version": 1 })),
    })
    .await;
    assert_eq!(session(&server).datawallet().await.unwrap().version, 1);
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_token_that_is_refused_twice_is_an_error() {
    let server = open_server(|_| FakeAnswer::Body(401, Vec::new())).await;
    let error = session(&server).datawallet().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_token_is_renewed_ten_seconds_before_it_expires() {
    let server = open_server(|_| FakeAnswer::result(&json!({ "version": 1 }))).await;
    let session = session(&server);
    let logins = || server.requests().iter().filter(|request| is_login(request)).count();
    session.datawallet().await.unwrap();
    pass(Duration::from_secs(280)).await;
    session.datawallet().await.unwrap();
    assert_eq!(logins(), 1);
    pass(Duration::from_secs(11)).await;
    session.datawallet().await.unwrap();
    assert_eq!(logins(), 2);
}

/// Advances the clock while no request is in flight.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn reads_are_retried_and_writes_are_not() {
    let server = open_server(|_| FakeAnswer::Body(503, Vec::new())).await;
    let session = session(&server);
    let error = session.datawallet().await.unwrap_err();
    assert!(matches!(error, Error::UnexpectedStatus { status: 503, .. }), "{error:?}");
    assert_eq!(server.requests().len(), 1 + 4, "a login, a request and three retries");
    let push = PushModifications { local_index: -1, modifications: Vec::new() };
    assert!(session.push_modifications(&push).await.is_err());
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn a_successful_retry_is_a_success() {
    let asked = AtomicUsize::new(0);
    let server = FakeServer::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => FakeAnswer::Close,
        1 => FakeAnswer::Body(502, b"<html>".to_vec()),
        _ => version(),
    })
    .await;
    assert_eq!(client(server.url()).version().await.unwrap().major_version, "7");
}

#[tokio::test]
async fn retries_end_when_the_budget_is_spent() {
    let server = FakeServer::start(|_| FakeAnswer::Body(503, Vec::new())).await;
    let client = client(server.url());
    for _ in 0..10 {
        assert!(client.version().await.is_err());
    }
    // The reserve pays ten retries; ten requests earn one more.
    let count = server.requests().len();
    assert!((20..=21).contains(&count), "{count}");
}

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    let server =
        FakeServer::start(|_| FakeAnswer::error(404, "error.platform.recordNotFound", "Token not found.")).await;
    let error = client(server.url()).token(&TOKEN.parse().unwrap(), Some("a+/=")).await.unwrap_err();
    assert!(error.is_record_not_found());
    assert_eq!(server.calls(), [format!("GET /Tokens/{TOKEN}?password=a%2B%2F%3D")]);
    assert!(!format!("{error} {error:?}").contains("a%2B"), "{error:?}");
}

fn modification(index: u64) -> serde_json::Value {
    json!({
        "id": "DWMabcdefghijklmno12", "index": index, "objectIdentifier": "x", "payloadCategory": null,
        "createdAt": "2026-01-01T00:00:00Z", "createdByDevice": "DVCabcdefghijklmno12", "collection": "Files",
        "type": "Delete", "encryptedPayload": null, "datawalletVersion": 1
    })
}

#[tokio::test]
async fn lists_are_fetched_page_by_page() {
    let server = open_server(|request| {
        let number = match request.target.rsplit_once("pageNumber=") {
            Some((_, number)) => number.parse::<u64>().unwrap(),
            None => 1,
        };
        let pagination = json!({ "pageNumber": number, "pageSize": 1, "totalPages": 3, "totalRecords": 3 });
        let body = json!({ "result": [modification(number + 4)], "pagination": pagination });
        FakeAnswer::Body(200, body.to_string().into_bytes())
    })
    .await;
    let bounds = ListBounds { pages: 3, bytes: u64::MAX, values: u64::MAX };
    let request = || Request::get("/SyncRuns/SYRabcdefghijklmno12/ExternalEvents");
    let modifications = session(&server).all_pages::<Modification>(request, bounds).await.unwrap();
    assert_eq!(modifications.iter().map(|item| item.index).collect::<Vec<_>>(), [5, 6, 7]);
    assert_eq!(
        server.calls()[1..],
        [
            "GET /SyncRuns/SYRabcdefghijklmno12/ExternalEvents",
            "GET /SyncRuns/SYRabcdefghijklmno12/ExternalEvents?pageNumber=2",
            "GET /SyncRuns/SYRabcdefghijklmno12/ExternalEvents?pageNumber=3"
        ]
    );
}

#[tokio::test]
async fn a_page_of_modifications_reports_whether_there_are_more() {
    for (pages, has_more) in [(0, false), (1, false), (2, true), (u64::MAX, true)] {
        let server = open_server(move |_| {
            let pagination = json!({ "pageNumber": 1, "pageSize": 1, "totalPages": pages, "totalRecords": pages });
            FakeAnswer::Body(200, json!({ "result": [], "pagination": pagination }).to_string().into_bytes())
        })
        .await;
        let page = session(&server).modifications_page(Some(4)).await.unwrap();
        assert_eq!((page.has_more, page.modifications.len()), (has_more, 0), "{pages}");
        assert!(page.bytes > 50, "{}", page.bytes);
        assert_eq!(server.calls()[1..], ["GET /Datawallet/Modifications?localIndex=4"]);
    }
}

#[tokio::test]
async fn a_page_of_modifications_may_be_larger_than_one_record() {
    let server = open_server(|_| {
        let many: Vec<_> = (0..1_000).map(modification).collect();
        FakeAnswer::Body(200, json!({ "result": many }).to_string().into_bytes())
    })
    .await;
    let page = session(&server).modifications_page(None).await.unwrap();
    assert_eq!(page.modifications.len(), 1_000);
    assert!(page.bytes > 64 * 1024, "{}", page.bytes);
}

#[tokio::test]
async fn a_list_that_claims_too_many_pages_is_refused() {
    let server = open_server(|_| {
        let pagination = json!({ "pageNumber": 1, "pageSize": 1, "totalPages": u64::MAX, "totalRecords": 3 });
        FakeAnswer::Body(200, json!({ "result": [], "pagination": pagination }).to_string().into_bytes())
    })
    .await;
    let run = "SYRabcdefghijklmno12".parse().unwrap();
    let error = session(&server).external_events(&run).await.unwrap_err();
    assert!(matches!(error, Error::AnswerTooLarge { unit: "pages", .. }), "{error}");
}

#[tokio::test]
async fn a_list_is_abandoned_when_its_pages_exceed_the_bound() {
    let server = open_server(|_| {
        let pagination = json!({ "pageNumber": 1, "pageSize": 1, "totalPages": 1000, "totalRecords": 1000 });
        FakeAnswer::Body(200, json!({ "result": ["x".repeat(100)], "pagination": pagination }).to_string().into_bytes())
    })
    .await;
    let bounds = ListBounds { pages: 1000, bytes: 1000, values: u64::MAX };
    let list = session(&server).all_pages::<String>(|| Request::get("/Datawallet/Modifications"), bounds).await;
    assert!(matches!(list, Err(Error::AnswerTooLarge { limit: 1000, unit: "bytes", .. })), "{list:?}");
    assert!(server.calls().len() < 10, "the rest is not asked for");
}

#[tokio::test]
async fn the_number_of_values_on_all_pages_is_bounded() {
    let pages = 3;
    let page = json!({ "result": [["x"]], "pagination": { "pageNumber": 1, "pageSize": 1, "totalPages": pages, "totalRecords": pages } });
    let text = page.to_string();
    let in_page = json_budget::count(text.as_bytes(), &json_budget::MAX_FREE_JSON).unwrap() as u64;
    let server = open_server(move |_| FakeAnswer::Body(200, text.clone().into_bytes())).await;
    for (values, fits) in [(pages * in_page, true), (pages * in_page - 1, false)] {
        let bounds = ListBounds { pages, bytes: u64::MAX, values };
        let request = || Request::get("/Datawallet/Modifications");
        match session(&server).all_pages::<Vec<String>>(request, bounds).await {
            Ok(list) => assert!(fits && list.len() as u64 == pages),
            Err(Error::AnswerTooLarge { limit, unit: "values", .. }) => assert!(!fits && limit == values),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let server = FakeServer::start(|_| FakeAnswer::Truncated(33 * 1024 * 1024, b"{".to_vec())).await;
    let error = client(server.url()).version().await.unwrap_err();
    assert!(matches!(error, Error::AnswerTooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn each_kind_of_answer_has_its_own_bound() {
    const MAX_CONTENT: usize = 1000;
    let most = std::cmp::max(AnswerBounds::token(MAX_CONTENT).bytes, AnswerBounds::RECORD.bytes);
    // White space after the result counts, too.
    for (length, fits) in [(most, true), (most + 1, false)] {
        let server = open_server(move |request| {
            let token = json!({
                "id": TOKEN, "createdBy": null, "createdByDevice": null, "createdAt": "2026-01-01T00:00:00.000Z",
                "expiresAt": "2026-01-01T00:00:00.000Z"
            });
            let mut text = json!({ "result": token }).to_string();
            let version = json!({ "result": { "majorVersion": "7" } }).to_string();
            if request.path().ends_with("/Version") {
                text = version;
            }
            text.push_str(&" ".repeat(length - text.len()));
            FakeAnswer::Body(200, text.into_bytes())
        })
        .await;
        let config = ClientConfig::new(server.url(), "test", SecretText::new("client-secret"));
        let client = Client::new(ClientConfig { max_token_content: MAX_CONTENT, ..config }).unwrap();
        let outcome = client.token(&TOKEN.parse().unwrap(), None).await;
        assert_eq!(outcome.is_ok(), fits, "{outcome:?}");
        let error = client.version().await.unwrap_err();
        assert!(
            matches!(error, Error::AnswerTooLarge { limit, unit: "bytes", .. } if limit == AnswerBounds::RECORD.bytes as u64),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_event_of_many_values_is_refused() {
    let server = open_server(|_| {
        let list = format!("{{\"result\":[[{}0]]}}", "0,".repeat(64 * 1024));
        FakeAnswer::Body(200, list.into_bytes())
    })
    .await;
    let error = session(&server).external_events(&"SYRabcdefghijklmno12".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::AnswerTooLarge { unit: "values", .. }), "{error}");
}

#[tokio::test]
async fn a_missing_answer_times_out() {
    let server = FakeServer::start(|_| FakeAnswer::Hang).await;
    let client = client(server.url());
    tokio::time::pause();
    let error = client.version().await.unwrap_err();
    assert!(matches!(error, Error::Network { kind: NetworkError::Timeout, .. }), "{error:?}");
}

#[tokio::test]
async fn a_backbone_that_is_down_is_a_network_error() {
    let server = FakeServer::start(|_| version()).await;
    let url = server.url().to_owned();
    drop(server);
    tokio::task::yield_now().await;
    let error = client(&url).version().await.unwrap_err();
    assert!(matches!(error, Error::Network { kind: NetworkError::Connect, .. }), "{error:?}");
    assert!(error.is_transient());
}

fn is_redirect(error: &Error) -> bool {
    matches!(error, Error::Network { kind: NetworkError::Redirect, .. })
}

#[tokio::test]
async fn redirects_to_other_origins_and_too_many_are_refused() {
    let elsewhere = FakeServer::start(|_| FakeAnswer::Redirect(302, "http://example.invalid/".to_owned())).await;
    let around = FakeServer::start(|_| FakeAnswer::Redirect(302, "/api/v2/Version".to_owned())).await;
    for server in [&elsewhere, &around] {
        let error = client(server.url()).version().await.unwrap_err();
        assert!(is_redirect(&error), "{error:?}");
    }
    assert_eq!((elsewhere.requests().len(), around.requests().len()), (1, 11));
}

#[tokio::test]
async fn a_redirect_at_the_origin_is_followed() {
    let server = FakeServer::start(|request| match request.path() {
        "/elsewhere" => version(),
        _ => FakeAnswer::Redirect(302, "/elsewhere".to_owned()),
    })
    .await;
    assert_eq!(client(server.url()).version().await.unwrap().major_version, "7");
}

#[tokio::test]
async fn no_token_or_login_is_sent_to_another_port_of_the_host() {
    let other = open_server(|_| FakeAnswer::result(&json!({ "version": 1 }))).await;
    for status in [302, 307, 308] {
        let to = format!("{}/api/v2/Datawallet", other.url());
        let server = open_server(move |_| FakeAnswer::Redirect(status, to.clone())).await;
        assert!(is_redirect(&session(&server).datawallet().await.unwrap_err()), "{status}");
        let to = format!("{}/connect/token", other.url());
        let server = FakeServer::start(move |_| FakeAnswer::Redirect(status, to.clone())).await;
        assert!(is_redirect(&session(&server).log_in().await.unwrap_err()), "{status}");
    }
    assert_eq!(other.requests().len(), 0, "nothing goes to the other port");
}

#[tokio::test]
async fn a_login_follows_no_redirect_even_within_the_origin() {
    for status in [302, 307, 308] {
        let server = FakeServer::start(move |request| match request.path() {
            "/connect/token" => FakeAnswer::Redirect(status, "/elsewhere".to_owned()),
            _ => FakeAnswer::access_token("token", 300),
        })
        .await;
        assert!(is_redirect(&session(&server).log_in().await.unwrap_err()), "{status}");
        assert_eq!(server.requests().len(), 1, "the form is sent once");
    }
}

#[tokio::test]
async fn localhost_names_are_never_resolved() {
    let server = FakeServer::start(|_| version()).await;
    let port = server.url().rsplit(':').next().unwrap();
    // No resolver knows the second name.
    for name in ["localhost", "bank.localhost"] {
        let client = client(&format!("http://{name}:{port}"));
        assert_eq!(client.version().await.unwrap().major_version, "7", "{name}");
    }
}

#[tokio::test]
async fn a_host_with_a_known_address_is_not_resolved() {
    let server = FakeServer::start(|_| version()).await;
    let port = server.url().rsplit(':').next().unwrap();
    let mut config = ClientConfig::new(format!("http://a.invalid:{port}"), "test", SecretText::new("test"));
    config.allow_plain_http = true;
    config.host_address = Some([127, 0, 0, 1].into());
    assert_eq!(Client::new(config).unwrap().version().await.unwrap().major_version, "7");
}

fn created_file() -> FakeAnswer {
    let address = "did:e:localhost:dids:c5b454f4a8133c3d2cf2ef";
    FakeAnswer::result(&json!({
        "id": FILE, "createdAt": "2026-01-01T00:00:00Z", "createdBy": address,
        "createdByDevice": "DVCabcdefghijklmno12", "owner": address, "ownerSignature": "AA", "ownershipToken": "t",
        "cipherSize": 3, "cipherHash": "AA", "expiresAt": "2027-01-01T00:00:00Z"
    }))
}

fn upload() -> UploadFile {
    UploadFile {
        cipher_hash: vec![1].into(),
        owner: "did:e:localhost:dids:c5b454f4a8133c3d2cf2ef".parse().unwrap(),
        owner_signature: vec![2].into(),
        expires_at: "2027-01-01T00:00:00Z".parse().unwrap(),
        encrypted_properties: vec![3].into(),
    }
}

#[tokio::test]
async fn uploads_have_a_length_and_the_official_order_and_are_repeated_after_a_new_login() {
    let refused = AtomicUsize::new(0);
    let server = open_server(move |_| match refused.fetch_add(1, Ordering::SeqCst) {
        0 => FakeAnswer::Body(401, Vec::new()),
        _ => created_file(),
    })
    .await;
    let content = vec![b'x'; 600 * 1024];
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &content).unwrap();
    let progress = Arc::new(AtomicU64::new(0));
    let seen = progress.clone();
    let observer: UploadObserver = Arc::new(move |bytes| seen.store(bytes, Ordering::SeqCst));
    let contents =
        [UploadContent::File(file, content.len() as u64), UploadContent::Memory(Bytes::from(content.clone()))];
    for source in contents {
        let created = session(&server).upload_file(&upload(), &source, Some(observer.clone())).await.unwrap();
        assert_eq!(created.id.as_str(), FILE);
        assert_eq!(progress.swap(0, Ordering::SeqCst), content.len() as u64);
        let request = server.requests().pop().unwrap();
        assert!(request.header("content-length").is_some() && request.header("transfer-encoding").is_none());
        let body = String::from_utf8(request.body).unwrap();
        let names: Vec<_> = body.split("name=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let order =
            ["content", "cipher.bin", "cipherHash", "owner", "ownerSignature", "expiresAt", "encryptedProperties"];
        assert_eq!(names.iter().filter(|name| order.contains(name)).copied().collect::<Vec<_>>(), order);
        assert!(body.contains(std::str::from_utf8(&content).unwrap()));
    }
}

#[tokio::test]
async fn a_download_is_bounded_and_must_be_complete() {
    let server = open_server(|request| match request.path().ends_with(FILE) {
        true => FakeAnswer::Body(200, vec![7; 1000]),
        false => FakeAnswer::Truncated(1000, vec![7; 10]),
    })
    .await;
    let session = session(&server);
    let mut download = session.download_file(&FILE.parse().unwrap(), 1000).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(bytes, vec![7; 1000]);
    let error = session.download_file(&FILE.parse().unwrap(), 999).await.unwrap_err();
    assert!(matches!(error, Error::AnswerTooLarge { limit: 999, .. }));
    let mut cut = session.download_file(&"FILabcdefghijklmno34".parse().unwrap(), 1000).await.unwrap();
    let error = loop {
        match cut.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a truncated download was reported as complete"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Network { kind: NetworkError::Broken, .. }), "{error:?}");
}

#[tokio::test]
async fn an_error_answer_to_a_download_is_not_content() {
    let server = open_server(|_| FakeAnswer::error(404, "error.platform.recordNotFound", "File not found.")).await;
    let error = session(&server).download_file(&FILE.parse().unwrap(), 1000).await.unwrap_err();
    assert!(error.is_record_not_found());
}

#[tokio::test]
async fn a_deletion_accepts_an_empty_answer() {
    let server = open_server(|_| FakeAnswer::Body(204, Vec::new())).await;
    session(&server).delete_token(&TOKEN.parse().unwrap()).await.unwrap();
    assert_eq!(server.calls()[1], format!("DELETE /Tokens/{TOKEN}"));
}
