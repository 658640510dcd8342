//! Logging in and access tokens.
#![allow(clippy::unwrap_used)]

mod common;

use common::{CLIENT, CLIENT_SECRET, PASSWORD, Person, World, answer, refusal};
use reqwest::Method;
use serde_json::json;

/// Tries a password and returns the error, or `ok`.
async fn try_password(world: &World, person: &Person, password: &str) -> String {
    let (status, body) = world.login(&fields(&person.username, password)).await;
    assert_eq!(status.as_u16(), if body.get("error").is_some() { 400 } else { 200 });
    body["error"].as_str().unwrap_or("ok").to_owned()
}

fn fields<'a>(username: &'a str, password: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("grant_type", "password"),
        ("client_id", CLIENT),
        ("client_secret", CLIENT_SECRET),
        ("username", username),
        ("password", password),
    ]
}

/// C4.
#[tokio::test]
async fn an_expired_token_is_a_bare_401_until_the_next_login() {
    let world = World::new().await;
    let mut person = world.person(1).await;
    world.advance(299);
    answer(person.get("/Devices/Self"), 200).await;
    world.advance(1);
    let response = person.get("/Devices/Self").send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert!(response.text().await.unwrap().is_empty());
    person.log_in(PASSWORD).await;
    answer(person.get("/Devices/Self"), 200).await;
}

/// C5.
#[tokio::test]
async fn three_wrong_passwords_lock_the_device_out_for_ten_minutes() {
    let world = World::new().await;
    let person = world.person(1).await;
    for expected in ["invalid_grant", "invalid_grant", "access_denied"] {
        assert_eq!(try_password(&world, &person, "wrong").await, expected);
    }
    assert_eq!(try_password(&world, &person, PASSWORD).await, "access_denied");
    world.advance(599);
    assert_eq!(try_password(&world, &person, PASSWORD).await, "access_denied");
    world.advance(1);
    assert_eq!(try_password(&world, &person, PASSWORD).await, "ok");
}

/// C5.
#[tokio::test]
async fn a_successful_login_resets_the_count() {
    let world = World::new().await;
    let person = world.person(1).await;
    for password in ["wrong", "wrong", PASSWORD, "wrong", "wrong", PASSWORD] {
        let expected = if password == PASSWORD { "ok" } else { "invalid_grant" };
        assert_eq!(try_password(&world, &person, password).await, expected);
    }
}

/// T5: attempts in parallel gain nothing.
#[tokio::test]
async fn of_many_parallel_attempts_three_are_checked() {
    let world = World::new().await;
    let person = world.person(1).await;
    let attempts = (0..12).map(|_| try_password(&world, &person, "wrong"));
    let outcomes = futures_util::future::join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "invalid_grant").count(), 2);
    assert_eq!(try_password(&world, &person, PASSWORD).await, "access_denied");
}

#[tokio::test]
async fn the_failed_count_survives_a_restart() {
    let mut world = World::new().await;
    let person = world.person(1).await;
    for _ in 0..2 {
        try_password(&world, &person, "wrong").await;
    }
    world.restart().await;
    assert_eq!(try_password(&world, &person, "wrong").await, "access_denied");
}

#[tokio::test]
async fn user_names_are_read_trimmed_and_in_any_case() {
    let world = World::new().await;
    let person = world.person(1).await;
    let username = format!(" {} ", person.username.to_lowercase());
    let (status, _) = world.login(&fields(&username, PASSWORD)).await;
    assert_eq!(status.as_u16(), 200);
}

#[tokio::test]
async fn each_way_a_login_can_be_wrong_has_its_error() {
    let world = World::new().await;
    let person = world.person(1).await;
    let good = fields(&person.username, PASSWORD);
    let cases = [
        ("grant_type", None, 400, "invalid_request"),
        ("grant_type", Some("client_credentials"), 400, "unsupported_grant_type"),
        ("username", None, 400, "invalid_request"),
        ("password", None, 400, "invalid_request"),
        ("client_id", None, 401, "invalid_client"),
        ("client_id", Some("other"), 401, "invalid_client"),
        ("client_secret", None, 401, "invalid_client"),
        ("client_secret", Some("other"), 401, "invalid_client"),
        ("username", Some("USRunknown0000000001"), 400, "invalid_grant"),
    ];
    for (name, value, status, error) in cases {
        let changed =
            good.iter().filter_map(
                |&(field, sent)| {
                    if field == name { value.map(|value| (field, value)) } else { Some((field, sent)) }
                },
            );
        let (found, body) = world.login(&changed.collect::<Vec<_>>()).await;
        assert_eq!((found.as_u16(), &body["error"]), (status, &json!(error)), "{name} {value:?}");
        assert!(body["error_description"].is_string());
    }
}

/// C43.
#[tokio::test]
async fn a_password_change_keeps_the_token_and_ends_the_old_password() {
    let world = World::new().await;
    let person = world.person(1).await;
    let new = "Bb2?another-password";
    let change =
        |old: &str, new: &str| person.put("/Devices/Self/Password", &json!({ "oldPassword": old, "newPassword": new }));
    assert_eq!(refusal(change("wrong", new), 400).await, "validation.device.changePasswordFailed");
    assert_eq!(refusal(change(PASSWORD, "weak"), 400).await, "validation.device.changePasswordFailed");
    assert_eq!(refusal(change("", new), 400).await, "validation.invalidPropertyValue");
    answer(change(PASSWORD, new), 204).await;
    answer(person.get("/Devices/Self"), 200).await;
    assert_eq!(try_password(&world, &person, PASSWORD).await, "invalid_grant");
    assert_eq!(try_password(&world, &person, new).await, "ok");
}

/// C44.
#[tokio::test]
async fn an_expired_token_counts_as_anonymous_where_that_is_allowed() {
    let world = World::new().await;
    let person = world.person(1).await;
    let expires = world.in_seconds(3600);
    let plain = person.token(json!({ "content": "AAAA", "expiresAt": expires })).await;
    let personal = json!({ "content": "AAAA", "expiresAt": expires, "forIdentity": person.address });
    let personal = person.token(personal).await;
    let file = person.file(b"bytes").await;
    world.advance(300);
    answer(person.get(&format!("/Tokens/{plain}")), 200).await;
    refusal(person.get(&format!("/Tokens/{personal}")), 404).await;
    let with_content = person.post("/Tokens", &json!({ "content": "AAAA", "expiresAt": world.in_seconds(60) }));
    assert_eq!(refusal(with_content, 400).await, "validation.invalidPropertyValue");
    let path = format!("/Files/{}", file["id"].as_str().unwrap());
    assert_eq!(person.get(&path).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn everything_that_is_not_anonymous_answers_401() {
    let world = World::new().await;
    let operations = [
        (Method::GET, "/Challenges/CHLaaaaaaaaaaaaaaaa1"),
        (Method::POST, "/Devices"),
        (Method::GET, "/Devices"),
        (Method::GET, "/Devices/Self"),
        (Method::PUT, "/Devices/Self"),
        (Method::PUT, "/Devices/Self/Password"),
        (Method::DELETE, "/Devices/DVCaaaaaaaaaaaaaaaa1"),
        (Method::PUT, "/Devices/Self/PushNotifications"),
        (Method::DELETE, "/Devices/Self/PushNotifications"),
        (Method::GET, "/Tokens"),
        (Method::DELETE, "/Tokens/TOKaaaaaaaaaaaaaaaa1"),
        (Method::POST, "/Tokens/TOKaaaaaaaaaaaaaaaa1/UpdateContent"),
        (Method::POST, "/Files"),
        (Method::GET, "/Files"),
        (Method::GET, "/Files/not-even-an-id"),
        (Method::GET, "/Files/FILaaaaaaaaaaaaaaaa1/Metadata"),
        (Method::DELETE, "/Files/FILaaaaaaaaaaaaaaaa1"),
        (Method::PATCH, "/Files/FILaaaaaaaaaaaaaaaa1/ClaimOwnership"),
        (Method::PATCH, "/Files/FILaaaaaaaaaaaaaaaa1/RegenerateOwnershipToken"),
        (Method::POST, "/Files/FILaaaaaaaaaaaaaaaa1/ValidateOwnershipToken"),
        (Method::GET, "/Datawallet"),
        (Method::GET, "/Datawallet/Modifications?pageSize=999"),
        (Method::POST, "/Datawallet/Modifications"),
        (Method::POST, "/SyncRuns"),
        (Method::GET, "/SyncRuns/SYRaaaaaaaaaaaaaaaa1/ExternalEvents"),
        (Method::PUT, "/SyncRuns/SYRaaaaaaaaaaaaaaaa1/FinalizeExternalEventSync"),
        (Method::PUT, "/SyncRuns/SYRaaaaaaaaaaaaaaaa1/FinalizeDatawalletVersionUpgrade"),
        (Method::GET, "/sse"),
    ];
    for (method, path) in operations {
        for request in [
            world.anonymous(method.clone(), path),
            world.anonymous(method.clone(), path).bearer_auth("made-up"),
            world.anonymous(method.clone(), path).header("authorization", "Basic eDp5"),
        ] {
            assert_eq!(request.send().await.unwrap().status(), 401, "{method} {path}");
        }
    }
}

/// Creating a token is open to everybody, so a client with a lost login would get a 400 here and never log in again.
#[tokio::test]
async fn a_login_survives_a_restart_but_not_its_lifetime() {
    let mut world = World::new().await;
    let person = world.person(1).await;
    world.restart().await;
    let device = || world.anonymous(Method::GET, "/Devices/Self").bearer_auth(&person.token).send();
    assert_eq!(device().await.unwrap().status(), 200);
    let body = json!({ "content": "AAAA", "expiresAt": world.in_seconds(60) });
    let token = world.anonymous(Method::POST, "/Tokens").bearer_auth(&person.token).json(&body);
    assert_eq!(token.send().await.unwrap().status(), 201);
    world.advance(300);
    assert_eq!(device().await.unwrap().status(), 401);
}
