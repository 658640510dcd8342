//! `/api/enlace/v1/PeerServices`: what the process of a backbone does for peers.

use super::offered::offered;
use super::{Client, Error};
use crate::wire::backbone::peer_services::{PATH, PeerServices};

impl Client {
    /// The relay and the rendezvous server that run beside the backbone; `None` if there are none. Nothing of the answer is
    /// verified. It is not retried: whoever needs it asks again later.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn peer_services(&self) -> Result<Option<PeerServices>, Error> {
        offered(self.http(), PATH).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::bounds::AnswerBounds;
    use super::super::fake::{FakeAnswer, FakeServer};
    use super::super::{ClientConfig, SecretText};
    use super::*;

    fn client(server: &FakeServer) -> Client {
        Client::new(ClientConfig::new(server.url(), "test", SecretText::new("client-secret"))).unwrap()
    }

    #[tokio::test]
    async fn services_are_read_without_a_login() {
        let server = FakeServer::start(|_| FakeAnswer::result(&json!({ "peerId": "12D3", "relay": true }))).await;
        let expected =
            PeerServices { peer_id: "12D3".to_owned(), addresses: Vec::new(), relay: true, rendezvous: false };
        assert_eq!(client(&server).peer_services().await.unwrap(), Some(expected));
        let requests = server.requests();
        assert_eq!((requests.len(), requests[0].path()), (1, PATH));
        assert_eq!(requests[0].header("authorization"), None);
    }

    #[tokio::test]
    async fn a_backbone_that_does_not_know_the_call_has_no_services() {
        for status in [404, 405] {
            let server = FakeServer::start(move |_| FakeAnswer::error(status, "error.platform.x", "")).await;
            assert_eq!(client(&server).peer_services().await.unwrap(), None, "{status}");
        }
    }

    #[tokio::test]
    async fn other_answers_are_errors_after_one_request() {
        for answer in [FakeAnswer::Body(503, Vec::new()), FakeAnswer::Body(200, b"<html>".to_vec())] {
            let server = FakeServer::start(move |_| answer.clone()).await;
            assert!(client(&server).peer_services().await.is_err());
            assert_eq!(server.requests().len(), 1);
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_bound() {
        let most = AnswerBounds::RECORD.bytes;
        for (length, fits) in [(most, true), (most + 1, false)] {
            let server = FakeServer::start(move |_| {
                let mut text = json!({ "result": { "peerId": "12D3" } }).to_string();
                text.push_str(&" ".repeat(length - text.len()));
                FakeAnswer::Body(200, text.into_bytes())
            })
            .await;
            assert_eq!(client(&server).peer_services().await.is_ok(), fits, "{length}");
        }
    }
}
