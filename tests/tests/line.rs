//! The line does what stories rely on.
#![allow(clippy::unwrap_used, reason = "a test")]

use enlace_tests::{Answer, Fate, Gate, Line, http};
use hyper::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A line to somebody who answers everything with `0123456789`.
async fn line() -> Line {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = Line::new().await;
    line.lead_to(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789").await;
        }
    });
    line
}

async fn get(line: &Line) -> reqwest::Result<String> {
    http().get(line.url() + "/a/b?c=d").send().await?.text().await
}

#[tokio::test]
async fn a_cut_line_refuses_and_a_healed_one_carries_on_the_same_port() {
    let line = line().await;
    assert_eq!(get(&line).await.unwrap(), "0123456789");
    line.cut().await;
    assert!(get(&line).await.unwrap_err().is_connect());
    line.heal().await;
    assert_eq!(get(&line).await.unwrap(), "0123456789");
    assert_eq!(line.count(&Method::GET, "/a/*"), 2);
}

#[tokio::test]
async fn lost_requests_do_not_arrive_but_lost_answers_do() {
    let line = line().await;
    line.next(1, Method::GET, "/A/*", Fate::LostRequest);
    line.next(1, Method::GET, "/a/b", Fate::LostAnswer);
    assert!(get(&line).await.is_err());
    assert!(get(&line).await.is_err());
    assert_eq!(get(&line).await.unwrap(), "0123456789");
    let arrived: Vec<_> = line.recording().iter().map(|exchange| exchange.answer.is_some()).collect();
    assert_eq!(arrived, [false, true, true]);
}

#[tokio::test]
async fn a_broken_answer_is_an_error_and_not_a_shorter_body() {
    let line = line().await;
    line.next(1, Method::GET, "/a/b", Fate::BrokenAnswer(4));
    assert!(get(&line).await.is_err());
}

#[tokio::test]
async fn answers_can_be_changed_replaced_and_held_back() {
    let line = line().await;
    let gate = Gate::closed();
    line.next(1, Method::GET, "/a/b", Fate::changed(|answer| Answer { body: "changed".into(), ..answer }));
    line.next(1, Method::GET, "/a/b", Fate::Answered(StatusCode::OK, "mine".to_owned()));
    line.next(1, Method::GET, "/a/b", Fate::Held(gate.clone()));
    assert_eq!(get(&line).await.unwrap(), "changed");
    assert_eq!(get(&line).await.unwrap(), "mine");
    let held = tokio::spawn({
        let line = line.clone();
        async move { get(&line).await }
    });
    gate.arrival().await;
    assert!(!held.is_finished());
    gate.open();
    assert_eq!(held.await.unwrap().unwrap(), "0123456789");
}
