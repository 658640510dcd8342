//! `/v1/tokens`: grants on single files, as clients of Appwrite send and expect them, and what their holders get.

use std::time::Duration;

use api::{ApiConfig, ApiKey, ApiKeys};
use axum::body::Body;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode, header};
use runtime::{Clock as _, Secret, Timestamp};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::appwrite::{BUCKETS, Client, FILE, query, refused, told};
use crate::node::{Answer, KEY, TestNode, get};

const LISTING: &str = "This_KEY_lists_tokens_with_30_chars_or_more+";
const CREATING: &str = "This_KEY_creates_tokens_with_30_chars_or_more+";
const OF_FILE: &str = "/v1/tokens/buckets/docs/files/f";
const DOWNLOAD: &str = "/v1/storage/buckets/docs/files/f/download";
const VIEW: &str = "/v1/storage/buckets/docs/files/f/view";
const CONTENT: &[u8] = b"some text that is longer than a range";

/// A client of a node with a bucket that guests may not read, and the files `f` and `g` in it.
async fn client(node: &TestNode) -> Client {
    let key = |name: &str, key: &str, scopes: Option<&[&str]>| {
        let scopes: Option<Vec<_>> = scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect());
        ApiKey::for_appwrite(name, Secret::new(key), scopes.as_deref()).unwrap()
    };
    let keys = [
        key("all", KEY, None),
        key("listing", LISTING, Some(&["tokens.read"])),
        key("creating", CREATING, Some(&["tokens.write"])),
    ];
    let keys = ApiKeys::named(&keys, Timestamp::NEVER).unwrap();
    let client = Client { router: api::router(node.runtime.clone(), ApiConfig::new(keys)), key: Some(KEY) };
    client.bucket(json!({"bucketId": "docs", "name": "Docs", "fileSecurity": true})).await;
    for id in ["f", "g"] {
        let parts: &[(&[u8], &[u8])] = &[(b"name=\"fileId\"", id.as_bytes()), (FILE, CONTENT)];
        assert_eq!(client.upload("docs", parts, &[]).await.status, StatusCode::CREATED);
    }
    client
}

impl Client {
    async fn token(&self, body: Value) -> Value {
        let answer = self.json(Method::POST, OF_FILE, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
        answer.json()
    }

    /// The token as it is now.
    async fn current(&self, token: &Value) -> Value {
        self.get(&path(token)).await.json()
    }

    async fn claim(&self, token: &Value) -> Answer {
        self.json(Method::POST, "/v1/tokens/claims", &json!({"token": token["secret"]})).await
    }

    async fn head(&self, path: &str) -> Answer {
        self.send(Request::head(path).body(Body::empty()).unwrap()).await
    }
}

fn path(token: &Value) -> String {
    format!("/v1/tokens/{}", token["$id"].as_str().unwrap())
}

fn secret(token: &Value) -> &str {
    token["secret"].as_str().unwrap()
}

fn by(token: &Value, content: &str) -> String {
    format!("{content}?token={}", secret(token))
}

/// The page on which a browser is told of a refusal.
fn refusal_page(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status.as_u16(), status);
    assert_eq!(header_of(answer, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header_of(answer, "cache-control"), "private, no-store");
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(page.contains("The file cannot be loaded"), "{page}");
    page
}

fn header_of(answer: &Answer, name: &str) -> String {
    answer.headers[name].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_all_members_and_its_secret_is_for_keys_that_may_create_some() {
    let node = TestNode::start().await;
    let client = client(&node).await;
    let token = client.token(json!({})).await;
    let (id, created) = (token["$id"].as_str().unwrap(), token["$createdAt"].as_str().unwrap());
    assert!(created.ends_with("+00:00") && secret(&token).len() <= 512);
    assert_eq!(
        token,
        json!({
            "$id": id, "$createdAt": created, "$updatedAt": created, "resourceId": "docs:f", "resourceType": "files",
            "expire": "", "secret": token["secret"], "accessedAt": "", "label": "", "notBefore": "",
            "maxDownloads": null, "downloads": 0, "remaining": null, "allow": ["view", "preview", "download"],
            "notify": "none", "status": "active", "revokedAt": "", "delivery": "node",
        })
    );
    let (guest, listing, creating) = (client.with(None), client.with(Some(LISTING)), client.with(Some(CREATING)));
    for path in [OF_FILE, "/v1/tokens"] {
        assert_eq!(client.get(path).await.json(), json!({"total": 1, "tokens": [token]}));
        let seen = listing.get(path).await.json();
        assert_eq!((&seen["tokens"][0]["$id"], &seen["tokens"][0]["secret"]), (&json!(id), &json!("")));
        for key in [&guest, &creating] {
            assert_eq!(told(&key.get(path).await), refused(401, "general_unauthorized_scope"));
        }
    }
    for key in [&guest, &listing] {
        for (method, path) in [
            (Method::POST, OF_FILE.to_owned()),
            (Method::PATCH, path(&token)),
            (Method::DELETE, path(&token)),
            (Method::DELETE, "/v1/tokens".to_owned()),
            (Method::POST, format!("{}/rotate", path(&token))),
            (Method::POST, format!("{}/revoke", path(&token))),
        ] {
            let answer = key.json(method, &path, &json!({})).await;
            assert_eq!(told(&answer), refused(401, "general_unauthorized_scope"), "{path}");
        }
    }
    assert_eq!(listing.get(&path(&token)).await.json()["secret"], "");
    assert_eq!(secret(&creating.token(json!({})).await).len(), secret(&token).len());
    assert_eq!(client.current(&token).await, token, "nothing was changed");
    for (path, kind) in [
        ("/v1/tokens/buckets/none/files/f", "storage_bucket_not_found"),
        ("/v1/tokens/buckets/docs/files/none", "storage_file_not_found"),
    ] {
        assert_eq!(told(&client.get(path).await), refused(404, kind));
        assert_eq!(told(&client.json(Method::POST, path, &json!({})).await), refused(404, kind));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_is_a_date_in_the_future_or_none_at_all() {
    let (node, clock) = TestNode::with_clock().await;
    let client = client(&node).await;
    for (given, stored) in [
        (json!("2130-01-31"), "2130-01-31T00:00:00.000+00:00"),
        (json!("2130-01-31T12:00:00.000+02:00"), "2130-01-31T10:00:00.000+00:00"),
        (json!("2130-01-31T12:00:00Z"), "2130-01-31T12:00:00.000+00:00"),
        (json!(""), ""),
        (Value::Null, ""),
    ] {
        assert_eq!(client.token(json!({"expire": given})).await["expire"], stored, "{given}");
    }
    let token = client.token(json!({"expire": "2130-01-31", "label": "a"})).await;
    for given in [json!("2020-01-01"), json!("tomorrow"), json!(1), json!("2130-02-30")] {
        for (method, path) in [(Method::POST, OF_FILE.to_owned()), (Method::PATCH, path(&token))] {
            let answer = client.json(method, &path, &json!({"expire": given})).await;
            assert_eq!(told(&answer), refused(400, "general_argument_invalid"));
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(message.starts_with("Invalid `expire` param: ") && message.contains("valid date in the future"));
        }
    }
    for (body, name) in [
        (json!({"label": "x".repeat(129)}), "label"),
        (json!({"maxDownloads": 0}), "maxDownloads"),
        (json!({"maxDownloads": 1_000_001}), "maxDownloads"),
        (json!({"allow": []}), "allow"),
        (json!({"allow": ["edit"]}), "allow"),
        (json!({"notify": "often"}), "notify"),
        (json!({"notBefore": "soon"}), "notBefore"),
        (json!({"notBefore": "2130-02-01"}), "notBefore"),
        // What cannot be held is not promised.
        (json!({"forIdentity": "did:e:example:dids:1"}), "forIdentity"),
        (json!({"passwordProtection": {}}), "passwordProtection"),
        (json!({"transports": ["direct"]}), "transports"),
        (json!({"maxDownloads": 2, "strictUses": true}), "strictUses"),
        (json!({"strictUses": "sometimes"}), "strictUses"),
        (json!({"receipts": "signed"}), "receipts"),
        (json!({"delivery": "e2e"}), "delivery"),
    ] {
        let created = client.json(Method::POST, OF_FILE, &body).await;
        // A date after the expiry of the token is fine for one without any.
        if body["notBefore"] != "2130-02-01" {
            assert_eq!(told(&created), refused(400, "general_argument_invalid"), "{body}");
        }
        let answer = client.json(Method::PATCH, &path(&token), &body).await;
        assert!(answer.json()["message"].as_str().unwrap().starts_with(&format!("Invalid `{name}` param: ")));
    }
    // The expiry stays beside another member, and goes with a body that has none.
    let change = |body: Value| {
        let (client, path) = (&client, path(&token));
        async move { client.json(Method::PATCH, &path, &body).await.json() }
    };
    clock.advance(Duration::from_secs(1));
    let renamed = change(json!({"label": "b"})).await;
    assert_eq!((&renamed["expire"], &renamed["label"]), (&token["expire"], &json!("b")));
    assert_ne!(renamed["$updatedAt"], token["$updatedAt"]);
    // So it does beside members that mean nothing here, mistyped ones for instance.
    let nothing = json!({"lable": "x", "forIdentity": null, "receipts": null, "strictUses": false, "delivery": "node"});
    assert_eq!(change(nothing).await, renamed);
    assert_eq!(change(json!({"expire": null, "label": "c"})).await["expire"], "");
    change(json!({"expire": "2130-01-31", "maxDownloads": 5, "allow": ["view"], "notify": "each"})).await;
    let cleared = change(json!({})).await;
    assert_eq!((&cleared["expire"], &cleared["maxDownloads"], &cleared["label"]), (&json!(""), &json!(5), &json!("c")));
    let reset = change(json!({"maxDownloads": null, "allow": null, "notify": null, "label": null})).await;
    assert_eq!((&reset["maxDownloads"], &reset["notify"], &reset["label"]), (&Value::Null, &json!("none"), &json!("")));
    assert_eq!((&reset["allow"], &reset["secret"]), (&token["allow"], &token["secret"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_presents_a_secret_gets_its_file_and_no_other() {
    let (node, clock) = TestNode::with_clock().await;
    let client = client(&node).await;
    let guest = client.with(None);
    for content in [VIEW, DOWNLOAD] {
        assert_eq!(told(&guest.get(content).await), refused(404, "storage_file_not_found"));
    }
    let expire = clock.now().saturating_add(Duration::from_secs(600)).to_string();
    let token = client.token(json!({"expire": expire})).await;
    let shown = guest.get(&by(&token, VIEW)).await;
    assert_eq!((shown.status, &shown.body[..]), (StatusCode::OK, CONTENT));
    assert!(header_of(&shown, "content-type").starts_with("text/plain"));
    assert!(header_of(&shown, "content-disposition").starts_with("inline; "));
    assert_eq!(header_of(&shown, "cache-control"), "private, max-age=600");
    assert_eq!(header_of(&shown, "referrer-policy"), "no-referrer");
    let bearer = format!("Bearer {}", secret(&token));
    for (name, value) in [("x-file-token", secret(&token)), ("authorization", &bearer)] {
        let part = guest.ranged(DOWNLOAD, &[(name, value), ("range", "bytes=5-8")]).await;
        assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &CONTENT[5..9]), "{name}");
    }
    let head = guest.head(&by(&token, DOWNLOAD)).await;
    assert_eq!((head.status, header_of(&head, "content-length")), (StatusCode::OK, CONTENT.len().to_string()));

    // Wrong ones are all the same, and do not stop anybody who may read the file anyway.
    let unlimited = client.token(json!({})).await;
    assert_eq!(header_of(&guest.get(&by(&unlimited, VIEW)).await, "cache-control"), "private, max-age=3888000");
    let own = secret(&token);
    let forged = format!("{}.{}", unlimited["$id"].as_str().unwrap(), own.rsplit('.').next().unwrap());
    let long = "x".repeat(600);
    for wrong in [&own[..own.len() - 1], &own[1..], &forged, "x", &long] {
        let path = format!("{DOWNLOAD}?token={wrong}");
        assert_eq!(told(&guest.get(&path).await), refused(401, "token_invalid"), "{wrong}");
        assert_eq!(client.get(&path).await.status, StatusCode::OK);
        for headers in [[("x-file-token", wrong)], [("authorization", &format!("Bearer {wrong}")[..])]] {
            assert_eq!(told(&guest.ranged(DOWNLOAD, &headers).await), refused(401, "token_invalid"));
        }
    }
    let other = by(&token, "/v1/storage/buckets/docs/files/g/view");
    for caller in [&guest, &client] {
        assert_eq!(told(&caller.get(&other).await), refused(401, "user_unauthorized"));
    }
    let viewing = client.token(json!({"allow": ["view"]})).await;
    assert_eq!(guest.get(&by(&viewing, VIEW)).await.status, StatusCode::OK);
    assert_eq!(told(&guest.get(&by(&viewing, DOWNLOAD)).await), refused(401, "user_unauthorized"));
    assert_eq!(client.get(&by(&viewing, DOWNLOAD)).await.status, StatusCode::OK);

    // The secret follows the expiry, and what is refused does not count as a use.
    let used = client.current(&token).await;
    assert!(used["accessedAt"].as_str().unwrap().ends_with("+00:00") && used["downloads"] == 1, "{used}");
    clock.advance(Duration::from_secs(601));
    let [expired, invalid] = [guest.get(&by(&token, VIEW)).await, guest.get(&format!("{VIEW}?token=x")).await];
    assert_eq!((told(&expired), expired.body.len()), (refused(401, "token_expired"), invalid.body.len()));
    assert_eq!(client.current(&token).await["status"], "expired");
    client.json(Method::PATCH, &path(&token), &json!({"expire": null})).await;
    assert_eq!(client.current(&token).await["accessedAt"], used["accessedAt"]);
    assert_eq!(guest.get(&by(&token, VIEW)).await.status, StatusCode::OK);
    assert_ne!(client.current(&token).await["accessedAt"], used["accessedAt"]);

    let rotated = client.json(Method::POST, &format!("{}/rotate", path(&token)), &json!({})).await.json();
    assert_eq!(told(&guest.get(&by(&token, VIEW)).await), refused(401, "token_invalid"));
    assert_eq!(guest.get(&by(&rotated, VIEW)).await.status, StatusCode::OK);
    let revoked = client.json(Method::POST, &format!("{}/revoke", path(&token)), &json!({})).await.json();
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(told(&guest.get(&by(&rotated, VIEW)).await), refused(401, "token_invalid"));
    let again = client.json(Method::POST, &format!("{}/rotate", path(&token)), &json!({})).await;
    assert_eq!(told(&again), refused(409, "token_revoked"));
    assert_eq!(client.json(Method::DELETE, &path(&token), &json!({})).await.status, StatusCode::NO_CONTENT);
    for answer in [client.json(Method::DELETE, &path(&token), &json!({})).await, client.get(&path(&token)).await] {
        assert_eq!(told(&answer), refused(404, "token_not_found"));
    }
    // Files and their tokens go together.
    client.json(Method::DELETE, &format!("{BUCKETS}/docs/files/f"), &json!({})).await;
    assert_eq!(told(&client.get(&path(&viewing)).await), refused(404, "token_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_ordered_by_what_tokens_have() {
    let node = TestNode::start().await;
    let client = client(&node).await;
    let mut ids = Vec::new();
    for (label, expire) in
        [("a", Some("2130-01-03")), ("b", None), ("c", Some("2130-01-01")), ("d", Some("2130-01-02"))]
    {
        ids.push(client.token(json!({"label": label, "expire": expire, "maxDownloads": 2})).await["$id"].clone());
    }
    let of = |method: &str, attribute: &str, values: Value| {
        query(&json!({"method": method, "attribute": attribute, "values": values}))
    };
    let listed = |queries: Vec<String>| {
        let parameters: Vec<_> = queries.iter().map(|query| format!("queries[]={query}")).collect();
        let path = format!("/v1/tokens?{}", parameters.join("&"));
        let client = &client;
        async move { client.get(&path).await }
    };
    let labels = |answer: &Answer| -> String {
        let tokens = answer.json()["tokens"].as_array().unwrap().clone();
        tokens.iter().map(|token| token["label"].as_str().unwrap()).collect()
    };
    let by_expiry = query(&json!({"method": "orderAsc", "attribute": "expire"}));
    let later = of("greaterThan", "expire", json!(["2130-01-01"]));
    for (queries, expected) in [
        (vec![by_expiry.clone()], "bcda"),
        (vec![later.clone(), by_expiry.clone()], "da"),
        (vec![of("between", "expire", json!(["2130-01-01", "2130-01-02T00:00:00Z"]))], "cd"),
        (vec![query(&json!({"method": "isNull", "attribute": "expire"}))], "b"),
        (vec![query(&json!({"method": "isNotNull", "attribute": "accessedAt"}))], ""),
        (
            vec![of("notEqual", "label", json!(["a"])), query(&json!({"method": "orderDesc", "attribute": "label"}))],
            "dcb",
        ),
        (vec![of("equal", "status", json!(["active"])), query(&json!({"method": "limit", "values": [2]}))], "ab"),
        (vec![of("equal", "remaining", json!([2])), query(&json!({"method": "offset", "values": [3]}))], "d"),
        (vec![of("equal", "resourceId", json!(["docs:g"]))], ""),
        (vec![query(&json!({"method": "cursorAfter", "values": [ids[1]]}))], "cd"),
        (vec![query(&json!({"method": "cursorBefore", "values": [ids[2]]}))], "ab"),
        (vec![query(&json!({"method": "cursorAfter", "values": [ids[3]]})), later.clone(), by_expiry.clone()], "a"),
    ] {
        assert_eq!(labels(&listed(queries.clone()).await), expected, "{queries:?}");
    }
    let null_order = listed(vec![by_expiry, query(&json!({"method": "cursorAfter", "values": [ids[0]]}))]).await;
    assert_eq!(told(&null_order), refused(400, "database_query_order_null"));
    let lost = listed(vec![query(&json!({"method": "cursorAfter", "values": ["none"]}))]).await;
    assert_eq!(told(&lost), refused(400, "general_cursor_not_found"));
    let long = format!("queries[0]={}", "x".repeat(4097));
    let many = "queries[]={\"method\":\"isNull\",\"attribute\":\"expire\"}&".replace('"', "%22").repeat(101);
    for parameters in [long, many.replace('{', "%7B").replace('}', "%7D")] {
        let answer = client.get(&format!("{OF_FILE}?{parameters}")).await;
        assert_eq!(told(&answer), refused(400, "general_argument_invalid"));
    }
    assert_eq!(client.get(&format!("{OF_FILE}?total=false")).await.json()["total"], 0);

    // Only what a filter names is deleted together.
    let limit = query(&json!({"method": "limit", "values": [1]}));
    for parameters in [String::new(), format!("?queries[]={limit}"), format!("?queries[]={later}&queries[]={limit}")] {
        let answer = client.json(Method::DELETE, &format!("/v1/tokens{parameters}"), &json!({})).await;
        assert_eq!(told(&answer), refused(400, "general_argument_invalid"));
    }
    let deleted = client.json(Method::DELETE, &format!("/v1/tokens?queries[]={later}"), &json!({})).await;
    assert_eq!((deleted.status, deleted.json()), (StatusCode::OK, json!({"total": 2})));
    assert_eq!(labels(&listed(Vec::new()).await), "bc");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_count_as_far_as_the_node_is_told_to() {
    let node = TestNode::counting_to(2).await;
    let client = client(&node).await;
    for expected in [1, 2, 2] {
        client.token(json!({})).await;
        let list = client.get("/v1/tokens").await.json();
        assert_eq!(list["total"], expected);
    }
    assert_eq!(client.get("/v1/tokens").await.json()["tokens"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counted_use_is_paid_for_once_and_looking_is_free() {
    let node = TestNode::start().await;
    let client = client(&node).await;
    let guest = client.with(None);
    let token = client.token(json!({"maxDownloads": 2})).await;
    let download = by(&token, DOWNLOAD);
    // Neither a program that knows no claims, nor one that shows links, uses anything.
    assert_eq!(told(&guest.get(&download).await), refused(409, "token_claim_required"));
    assert_eq!(guest.head(&download).await.status, StatusCode::OK);
    assert_eq!(told(&guest.get(&format!("{download}&claim=auto")).await), refused(400, "general_argument_invalid"));
    // Of another file it is not a token whose use could be claimed.
    let other = by(&token, "/v1/storage/buckets/docs/files/g/view");
    for caller in [&guest, &client] {
        assert_eq!(told(&caller.get(&other).await), refused(401, "user_unauthorized"));
        assert!(!refusal_page(&caller.ranged(&other, &[("accept", "text/html")]).await, 401).contains("<form"));
    }
    let page = guest.ranged(&format!("{download}&project=enlace"), &[("accept", "text/html,*/*;q=0.8")]).await;
    assert_eq!(
        (page.status, header_of(&page, "content-type")),
        (StatusCode::OK, "text/html; charset=utf-8".to_owned())
    );
    assert!(header_of(&page, "content-security-policy").contains("form-action 'self'"));
    assert_eq!(header_of(&page, "cache-control"), "private, no-store");
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(page.contains("action=\"/v1/tokens/claims?project=enlace\"") && page.contains(secret(&token)), "{page}");
    let seen = client.current(&token).await;
    assert_eq!((&seen["downloads"], &seen["remaining"], &seen["accessedAt"]), (&json!(0), &json!(2), &json!("")));

    // Any number of ranges under one claim is one use.
    let claimed = guest.claim(&token).await;
    assert_eq!(claimed.status, StatusCode::CREATED);
    let claim = claimed.json();
    let id = claim["claimId"].as_str().unwrap();
    assert_eq!((&claim["remaining"], &claim["resourceId"]), (&json!(1), &json!("docs:f")));
    for range in ["bytes=0-3", "bytes=4-", "bytes=0-"] {
        let part = guest.ranged(&download, &[("x-claim", id), ("range", range)]).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(header_of(&part, "cache-control"), "private, no-store");
    }
    let commit = format!("/v1/tokens/claims/{id}/commit");
    for _ in 0..2 {
        assert_eq!(guest.json(Method::PUT, &commit, &json!({})).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(client.current(&token).await["downloads"], 1);
    assert_eq!(told(&guest.ranged(&download, &[("x-claim", "x")]).await), refused(400, "general_argument_invalid"));
    let unknown = guest.json(Method::PUT, &commit.replace(id, &other_claim(id)), &json!({})).await;
    assert_eq!(told(&unknown), refused(404, "token_claim_not_found"));
    // Nor does a claim that somebody has made up use anything, in a URL or in the header.
    let made_up = other_claim(id);
    for answer in [
        guest.get(&format!("{download}&claim={made_up}")).await,
        guest.ranged(&download, &[("x-claim", &made_up)]).await,
    ] {
        assert_eq!(told(&answer), refused(404, "token_claim_not_found"));
    }
    assert_eq!(client.current(&token).await["remaining"], 1);

    // The button claims a use and leads to the content.
    let body = format!("token={}&then=download", secret(&token));
    let press_as = |media: &str, body: String| {
        let request = Request::post("/v1/tokens/claims?project=enlace").header(header::ACCEPT, "text/html,*/*;q=0.8");
        request.header(header::CONTENT_TYPE, media).body(Body::from(body)).unwrap()
    };
    let press = || press_as("application/x-www-form-urlencoded; charset=UTF-8", body.clone());
    let led = guest.send(press()).await;
    assert_eq!(led.status, StatusCode::SEE_OTHER);
    let target = header_of(&led, "location");
    assert!(target.starts_with(&format!("{DOWNLOAD}?project=enlace&token=")), "{target}");
    assert_eq!(&guest.get(&target).await.body[..], CONTENT);
    assert_eq!(&guest.get(&target).await.body[..], CONTENT);
    refusal_page(&guest.send(press()).await, 409);
    // A program reads JSON, even if it accepts everything that a browser does.
    for body in [json!({"token": secret(&token)}), json!({"token": secret(&token), "then": "download"})] {
        let over = guest.send(press_as("application/json", body.to_string())).await;
        assert_eq!(told(&over), refused(409, "token_exhausted"));
    }
    assert_eq!(told(&guest.claim(&token).await), refused(409, "token_exhausted"));
    assert_eq!(told(&guest.get(&download).await), refused(409, "token_exhausted"));
    // A browser that opens the URL again, or has a wrong one, is told so as a person is.
    for (url, status, words) in
        [(download.clone(), 409, "No use of the file token is left."), (format!("{VIEW}?token=wrong"), 401, "token")]
    {
        let page = guest.ranged(&url, &[("accept", "text/html,*/*;q=0.8")]).await;
        assert!(refusal_page(&page, status).contains(words));
    }
    let without = guest.ranged(VIEW, &[("accept", "text/html")]).await;
    assert_eq!(told(&without), refused(404, "storage_file_not_found"), "there is no token to tell of");
    assert_eq!(guest.head(&download).await.status, StatusCode::CONFLICT);
    // Whoever has a use may look as well.
    assert_eq!(guest.head(&format!("{download}&claim={id}")).await.status, StatusCode::OK);
    assert_eq!(guest.head(&format!("{download}&claim=x")).await.status, StatusCode::BAD_REQUEST);
    let unknown = guest.head(&format!("{download}&claim={}", other_claim(id))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get(&download).await.status, StatusCode::OK, "a key needs no token");
    assert_eq!(client.current(&token).await["status"], "exhausted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_of_a_use_is_worth_nothing_some_time_after_it_counts() {
    let (node, clock) = TestNode::with_clock().await;
    let client = client(&node).await;
    let guest = client.with(None);
    let token = client.token(json!({"maxDownloads": 2})).await;
    let claim = guest.claim(&token).await.json();
    let id = claim["claimId"].as_str().unwrap();
    let url = format!("{}&claim={id}", by(&token, VIEW));
    assert_eq!(guest.get(&url).await.status, StatusCode::OK);
    let commit = format!("/v1/tokens/claims/{id}/commit");
    assert_eq!(guest.json(Method::PUT, &commit, &json!({})).await.status, StatusCode::NO_CONTENT);
    let readable = Duration::from_secs(30 * 60);
    clock.advance(readable.saturating_sub(Duration::from_millis(1)));
    assert_eq!(guest.get(&url).await.status, StatusCode::OK);
    clock.advance(Duration::from_millis(1));
    assert_eq!(told(&guest.get(&url).await), refused(409, "token_exhausted"));
    assert_eq!(guest.head(&url).await.status, StatusCode::CONFLICT);
    assert_eq!(client.current(&token).await["remaining"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_ends_with_its_token_and_goes_on_when_only_its_time_is_over() {
    const BIG: &str = "/v1/storage/buckets/docs/files/big/download";
    let (node, clock) = TestNode::with_clock().await;
    let client = client(&node).await;
    let content = vec![7; 2 << 20];
    let parts: &[(&[u8], &[u8])] = &[(b"name=\"fileId\"", b"big"), (FILE, &content)];
    assert_eq!(client.upload("docs", parts, &[]).await.status, StatusCode::CREATED);
    let hour = Duration::from_secs(60 * 60);
    let ends = [
        Some((Method::POST, "/revoke", StatusCode::OK)),
        Some((Method::POST, "/rotate", StatusCode::OK)),
        Some((Method::DELETE, "", StatusCode::NO_CONTENT)),
        None,
    ];
    for (number, end) in ends.iter().chain(&ends).enumerate() {
        let max_downloads = if number < ends.len() { json!(1) } else { Value::Null };
        let body = json!({"expire": clock.now().saturating_add(hour).to_string(), "maxDownloads": max_downloads});
        let token = client.json(Method::POST, "/v1/tokens/buckets/docs/files/big", &body).await.json();
        let request = Request::get(by(&token, BIG)).header("x-appwrite-project", "enlace").header("x-claim", "auto");
        let request = request.header(header::HOST, "localhost").body(Body::empty()).unwrap();
        let response = client.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body().into_data_stream();
        let first = body.next().await.unwrap().unwrap();
        match end {
            Some((method, action, status)) => {
                let path = format!("{}{action}", path(&token));
                assert_eq!(client.json(method.clone(), &path, &json!({})).await.status, *status);
            }
            None => clock.advance(2 * hour),
        }
        let mut sent = first.len();
        let failed = loop {
            match body.next().await {
                Some(Ok(bytes)) => sent += bytes.len(),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert_eq!(failed, end.is_some(), "{end:?}");
        assert!(if failed { sent < content.len() / 2 } else { sent == content.len() }, "{end:?}: {sent} bytes");
    }
}

/// Another claim of the same token.
fn other_claim(id: &str) -> String {
    let (token, _) = id.rsplit_once('.').unwrap();
    format!("{token}.CLM00000000000000000")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_who_ask_at_the_same_time_one_gets_the_only_use() {
    let node = TestNode::start().await;
    let client = client(&node).await;
    let guest = client.with(None);
    let token = client.token(json!({"maxDownloads": 1})).await;
    let download = by(&token, DOWNLOAD);
    let headers = [("x-claim", "auto")];
    let answers = join_all((0..64).map(|_| guest.ranged(&download, &headers))).await;
    let (sent, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == StatusCode::OK);
    assert_eq!((sent.len(), &sent[0].body[..]), (1, CONTENT));
    assert!(others.iter().all(|answer| told(answer) == refused(409, "token_exhausted")));
    let used = client.current(&token).await;
    assert_eq!((&used["downloads"], &used["remaining"]), (&json!(1), &json!(0)));
    // What has no content to send uses nothing.
    let token = client.token(json!({"maxDownloads": 1})).await;
    let etag = header_of(&client.get(DOWNLOAD).await, "etag");
    for (name, value, status) in
        [("if-none-match", etag.as_str(), 304), ("range", "bytes=999-", 416), ("if-match", "\"other\"", 412)]
    {
        let answer = guest.ranged(&by(&token, DOWNLOAD), &[("x-claim", "auto"), (name, value)]).await;
        assert_eq!(answer.status.as_u16(), status);
    }
    assert_eq!(client.current(&token).await["remaining"], 1);
    assert_eq!(guest.send(get(&by(&token, VIEW))).await.status, StatusCode::CONFLICT);
}

/// The modules of a QR code, black ones, with how many there are in a row.
fn modules(picture: &[u8]) -> (usize, Vec<bool>) {
    /// Pixels of a module's edge, and light modules around the code.
    const SCALE: usize = 4;
    const MARGIN: usize = 4;
    let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let width = usize::try_from(info.width).unwrap() / SCALE - 2 * MARGIN;
    let is_dark = |at: usize| {
        let (x, y) = ((at % width + MARGIN) * SCALE, (at / width + MARGIN) * SCALE);
        pixels[y * info.line_size + x / 8] >> (7 - x % 8) & 1 == 0
    };
    (width, (0..width * width).map(is_dark).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_of_a_token_is_a_picture_for_keys_that_see_its_secret() {
    let node = TestNode::start().await;
    let client = client(&node).await;
    let token = client.token(json!({})).await;
    let downloading = client.token(json!({"allow": ["preview", "download"]})).await;
    let picture = |token: &Value| format!("{}/qr", path(token));
    let shown = |url: &str| {
        let code = qrcode::QrCode::with_error_correction_level(url, qrcode::EcLevel::M).unwrap();
        (code.width(), code.to_colors().into_iter().map(|color| color == qrcode::Color::Dark).collect::<Vec<_>>())
    };
    let url = |scheme: &str, content: &str, token: &Value| {
        let secret = percent_encoding::utf8_percent_encode(secret(token), percent_encoding::NON_ALPHANUMERIC);
        format!("{scheme}://localhost{content}?project=enlace&token={secret}")
    };
    for (token, content) in [(&token, VIEW), (&downloading, DOWNLOAD)] {
        let answer = client.get(&picture(token)).await;
        assert_eq!((answer.status, header_of(&answer, "content-type").as_str()), (StatusCode::OK, "image/png"));
        assert_eq!(header_of(&answer, "cache-control"), "private, no-store");
        assert_eq!(modules(&answer.body), shown(&url("http", content, token)));
        assert_eq!(
            client.with(None).get(&url("", content, token)["://localhost".len()..]).await.status,
            StatusCode::OK
        );
    }
    let proxied = Request::get(picture(&token)).header("x-forwarded-proto", "https").body(Body::empty()).unwrap();
    assert_eq!(modules(&client.send(proxied).await.body), shown(&url("https", VIEW, &token)));

    assert_eq!(client.with(Some(CREATING)).get(&picture(&token)).await.status, StatusCode::OK);
    for key in [None, Some(LISTING)] {
        let refusal = client.with(key).get(&picture(&token)).await;
        assert_eq!(told(&refusal), refused(401, "general_unauthorized_scope"));
    }
    assert_eq!(told(&client.get("/v1/tokens/none/qr").await), refused(404, "token_not_found"));
}
