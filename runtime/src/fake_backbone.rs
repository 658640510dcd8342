//! A backbone for the tests of account and synchronization: it keeps a log, delivers events, and misbehaves on request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use transport::backbone::fake::{FakeAnswer, FakeServer, ReceivedRequest};
use transport::crypto::{CryptoObject as _, SignaturePublicKey};
use transport::identity::derive_address;
use transport::wire::ByteText;

use crate::config::{BackboneConfig, Secret};

/// Host name in addresses.
pub(crate) const HOST: &str = "localhost";

/// Stops when dropped.
pub(crate) struct FakeBackbone {
    server: FakeServer,
    state: Arc<Mutex<State>>,
}

/// Builds a list of modifications from the state of the backbone and the index after which it was requested.
pub(crate) type Lists = Box<dyn Fn(&State, i64) -> Vec<Value> + Send>;

/// What it keeps and how it misbehaves.
#[derive(Default)]
pub(crate) struct State {
    /// Format version of the datawallet, once there is one.
    pub(crate) version: Option<u64>,
    /// Modifications as they are listed.
    pub(crate) log: Vec<Value>,
    /// Events that the next run hands out.
    pub(crate) events: Vec<Value>,
    /// Whether finalizing a run always claims that there is more.
    pub(crate) endless_events: bool,
    /// Whether pushes are acknowledged with other indices than requested.
    pub(crate) wrong_indices: bool,
    /// Whether pushes are acknowledged but not stored.
    pub(crate) drops_pushes: bool,
    /// Whether pushes are refused as out of date, although their content is known.
    pub(crate) refuses: bool,
    /// Content of pushes that were refused or dropped.
    pub(crate) captured: Vec<Value>,
    /// Whether answers to new identities have a user name that cannot log in.
    pub(crate) wrong_username: bool,
    /// Builds false lists.
    pub(crate) lists: Option<Lists>,
    /// Most modifications that a list answers at a time; the rest counts as more pages.
    pub(crate) page_size: Option<usize>,
    /// Results that were reported for events: id and error code.
    pub(crate) results: Vec<(String, Option<String>)>,
    /// Metadata of files by id.
    pub(crate) files: HashMap<String, Value>,
    /// Public keys of the identities that were made.
    pub(crate) identities: Vec<String>,
    /// Passwords by user name.
    pub(crate) passwords: HashMap<String, String>,
    /// Executes the next request to a path with this ending, and closes the connection instead of answering.
    pub(crate) lose_answer_to: Option<&'static str>,
    /// Executes the next request to a path with this ending, and never answers.
    pub(crate) hang_after: Option<&'static str>,
    /// Answers the next request to a path with this ending with this error code and status 400.
    pub(crate) refuse: Option<(&'static str, &'static str)>,
}

impl FakeBackbone {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let server = FakeServer::start(move |request| {
            let mut state = shared.lock().unwrap();
            let is_meant = |ending: &str| request.path().ends_with(ending);
            if let Some((_, code)) = state.refuse.take_if(|(ending, _)| is_meant(ending)) {
                return FakeAnswer::error(400, code, "refused on request");
            }
            let answer = state.answer(request);
            if state.hang_after.take_if(|ending| is_meant(ending)).is_some() {
                return FakeAnswer::Hang;
            }
            match state.lose_answer_to.take_if(|ending| is_meant(ending)) {
                Some(_) => FakeAnswer::Close,
                None => answer,
            }
        })
        .await;
        Self { server, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn config(&self) -> BackboneConfig {
        let config = BackboneConfig::new(self.server.url(), "test", Secret::new("test"));
        BackboneConfig { address_hostname: Some(HOST.to_owned()), ..config }
    }

    /// Method, path and query of everything it was asked.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.server.calls()
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.server.requests()
    }
}

impl State {
    /// Adds what another device did.
    pub(crate) fn append(&mut self, device: &str, modification: Value) {
        self.log.push(listed(self.log.len() as u64, device, modification));
    }

    fn answer(&mut self, request: &ReceivedRequest) -> FakeAnswer {
        let path = request.path().replace("/api/v2", "");
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["Challenges"]) => FakeAnswer::result(&json!({
                "id": "CHLabcdefghijklmno12", "expiresAt": "2099-01-01T00:00:00.000Z", "createdBy": null,
                "createdByDevice": null
            })),
            ("POST", ["Identities"]) => self.create_identity(&request.json()),
            ("POST", ["connect", "token"]) => self.log_in(&String::from_utf8_lossy(&request.body)),
            ("PUT", ["Devices", "Self", "Password"]) => self.change_password(request),
            ("GET", ["Datawallet"]) => match self.version {
                Some(version) => FakeAnswer::result(&json!({ "version": version })),
                None => FakeAnswer::error(404, "error.platform.recordNotFound", "Datawallet not found."),
            },
            ("GET", ["Datawallet", "Modifications"]) => self.modifications(request),
            ("POST", ["Datawallet", "Modifications"]) => self.push(request),
            ("POST", ["SyncRuns"]) => self.start_run(&request.json()),
            ("GET", ["SyncRuns", _, "ExternalEvents"]) => FakeAnswer::result(&self.events.clone().into()),
            ("PUT", ["SyncRuns", _, "FinalizeExternalEventSync"]) => self.finalize(request),
            ("PUT", ["SyncRuns", _, "FinalizeDatawalletVersionUpgrade"]) => {
                self.version = request.json()["newDatawalletVersion"].as_u64();
                self.finalize(request)
            }
            ("GET", ["Files", id, "metadata"]) => match self.files.get(*id) {
                Some(metadata) => FakeAnswer::result(metadata),
                None => FakeAnswer::error(404, "error.platform.recordNotFound", "File not found."),
            },
            _ => FakeAnswer::Body(404, Vec::new()),
        }
    }

    fn create_identity(&mut self, body: &Value) -> FakeAnswer {
        let public_key_text = body["identityPublicKey"].as_str().unwrap();
        let public_key: ByteText = serde_json::from_value(body["identityPublicKey"].clone()).unwrap();
        let public_key = SignaturePublicKey::from_bytes(&public_key.0).unwrap();
        let signed = serde_json::from_value(body["signedChallenge"].clone()).unwrap();
        let signed = transport::challenge::ChallengeSigned::try_from(&signed).unwrap();
        public_key.verify(signed.text().as_bytes(), signed.signature()).unwrap();
        if self.identities.iter().any(|known| known == public_key_text) {
            return FakeAnswer::error(400, "error.platform.validation.device.addressAlreadyExists", "taken");
        }
        self.identities.push(public_key_text.to_owned());
        let number = self.identities.len();
        let username = format!("USR{number:017}");
        self.passwords.insert(username.clone(), body["devicePassword"].as_str().unwrap().to_owned());
        let username = if self.wrong_username { "USRfalsefalsefalse12".to_owned() } else { username };
        FakeAnswer::result(&json!({
            "address": derive_address(&public_key, HOST).unwrap(), "createdAt": "2026-01-01T00:00:00.000Z",
            "device": {
                "id": format!("DVC{number:017}"), "username": username, "createdAt": "2026-01-01T00:00:00.000Z"
            }
        }))
    }

    fn log_in(&self, form: &str) -> FakeAnswer {
        let field = |name: &str| {
            let mut fields = url::form_urlencoded::parse(form.as_bytes());
            fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned()).unwrap()
        };
        match self.passwords.get(&field("username")) {
            Some(password) if *password == field("password") => {
                FakeAnswer::access_token(&field("username").replace("USR", "DVC"), 300)
            }
            _ => FakeAnswer::Body(400, br#"{"error":"invalid_grant"}"#.to_vec()),
        }
    }

    fn change_password(&mut self, request: &ReceivedRequest) -> FakeAnswer {
        let (username, body) = (device_of(request).replace("DVC", "USR"), request.json());
        let password = self.passwords.get_mut(&username).unwrap();
        assert_eq!(body["oldPassword"].as_str(), Some(password.as_str()));
        *password = body["newPassword"].as_str().unwrap().to_owned();
        FakeAnswer::Body(204, Vec::new())
    }

    /// The log after an index.
    pub(crate) fn behind(&self, known: i64) -> Vec<Value> {
        self.log.iter().filter(|entry| entry["index"].as_i64() > Some(known)).cloned().collect()
    }

    fn modifications(&self, request: &ReceivedRequest) -> FakeAnswer {
        let known = request.target.split_once("localIndex=").map(|(_, index)| index.parse::<i64>().unwrap());
        let known = known.unwrap_or(-1);
        let mut listed = match &self.lists {
            Some(lists) => lists(self, known),
            None => self.behind(known),
        };
        let page_size = self.page_size.unwrap_or(usize::MAX);
        let pages = listed.len().div_ceil(page_size);
        listed.truncate(page_size);
        if pages <= 1 {
            return FakeAnswer::result(&listed.into());
        }
        let pagination = json!({
            "pageNumber": 1, "pageSize": page_size, "totalPages": pages, "totalRecords": pages * page_size
        });
        FakeAnswer::Body(200, json!({ "result": listed, "pagination": pagination }).to_string().into_bytes())
    }

    fn push(&mut self, request: &ReceivedRequest) -> FakeAnswer {
        let body = request.json();
        if self.drops_pushes || self.refuses {
            self.captured = body["modifications"].as_array().unwrap().clone();
        }
        if self.drops_pushes {
            return dropped(&body);
        }
        if self.refuses || body["localIndex"].as_i64() != Some(self.log.len() as i64 - 1) {
            let code = "error.platform.validation.datawallet.datawalletNotUpToDate";
            return FakeAnswer::error(400, code, "pull first");
        }
        let assigned = self.append_all(request, &body["modifications"]);
        FakeAnswer::result(&json!({ "newIndex": self.log.len() as i64 - 1, "modifications": assigned }))
    }

    fn append_all(&mut self, request: &ReceivedRequest, modifications: &Value) -> Vec<Value> {
        let first = self.log.len();
        for modification in modifications.as_array().unwrap() {
            self.append(&device_of(request), modification.clone());
        }
        let listed = self.log[first..].iter();
        listed
            .map(|entry| {
                let index = entry["index"].as_u64().unwrap() + u64::from(self.wrong_indices);
                json!({ "id": entry["id"], "index": index, "createdAt": entry["createdAt"] })
            })
            .collect()
    }

    fn start_run(&self, body: &Value) -> FakeAnswer {
        let has_events = !self.events.is_empty() || self.endless_events;
        if body["type"] == "ExternalEventSync" && !has_events {
            return FakeAnswer::result(&json!({ "status": "NoNewEvents", "syncRun": null }));
        }
        FakeAnswer::result(&json!({ "status": "Created", "syncRun": {
            "id": "SYRabcdefghijklmno12", "type": body["type"], "expiresAt": "2099-01-01T00:00:00.000Z", "index": 0,
            "createdAt": "2026-01-01T00:00:00.000Z", "createdBy": "did:e:localhost:dids:c5b454f4a8133c3d2cf2ef",
            "createdByDevice": "DVCabcdefghijklmno12", "eventCount": self.events.len()
        }}))
    }

    fn finalize(&mut self, request: &ReceivedRequest) -> FakeAnswer {
        let body = request.json();
        let assigned = self.append_all(request, &body["datawalletModifications"]);
        if let Some(results) = body["externalEventResults"].as_array() {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let reported =
                results.iter().map(|item| (text(&item["externalEventId"]).unwrap(), text(&item["errorCode"])));
            self.results.extend(reported);
            self.events.clear();
        }
        FakeAnswer::result(&json!({
            "newDatawalletModificationIndex": self.log.len().checked_sub(1), "datawalletModifications": assigned,
            "newUnsyncedExternalEventsExist": self.endless_events
        }))
    }
}

/// A modification as lists show it.
pub(crate) fn listed(index: u64, device: &str, modification: Value) -> Value {
    let mut entry = modification;
    entry["id"] = format!("DWM{:017}", index % 100_000_000_000_000_000).into();
    entry["index"] = index.into();
    entry["createdAt"] = "2026-01-01T00:00:00.000Z".into();
    entry["createdByDevice"] = device.into();
    for name in ["payloadCategory", "encryptedPayload"] {
        if entry.get(name).is_none() {
            entry[name] = Value::Null;
        }
    }
    entry
}

/// The answer to a push that was accepted.
fn dropped(body: &Value) -> FakeAnswer {
    let first = body["localIndex"].as_i64().unwrap() + 1;
    let count = body["modifications"].as_array().unwrap().len() as i64;
    let assigned = (first..first + count).map(
        |index| json!({ "id": format!("DWM{index:017}"), "index": index, "createdAt": "2026-01-01T00:00:00.000Z" }),
    );
    let assigned: Vec<_> = assigned.collect();
    FakeAnswer::result(&json!({ "newIndex": first + count - 1, "modifications": assigned }))
}

fn device_of(request: &ReceivedRequest) -> String {
    request.header("authorization").and_then(|text| text.strip_prefix("Bearer ")).unwrap().to_owned()
}
