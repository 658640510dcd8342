//! The checks, each independent of the others as far as it can be.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use api::FaceCode;
use backbone_mock::{Amounts, Metric};
use durable::private;
use listener::{ListenError, Listener};
use runtime::facade::Health;
use runtime::http_client::{self, Redirects};
use runtime::{Runtime, StoreKey, Timestamp};

use super::connectivity::{self, Since};
use crate::api_key;
use crate::client::{self, GUEST_ID};
use crate::code::{Code, Kind};
use crate::data_dir::{DataDir, Held};
use crate::failure::Failure;
use crate::memory::Memory;
use crate::node::{self, Node, Plan, WhichBackbone};
use crate::output::{Output, bytes};
use crate::reach::{Reached, reach};
use crate::rest_client::{RestClient, ShownPeers};
use crate::running::Running;
use crate::wording::with_sources;
use crate::{port, server, time};

/// Clock differences up to this are harmless.
const TOLERATED_SKEW: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are written to see whether the data directory can be written to.
const WRITTEN: usize = 64 * 1024;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// Not checked, and why.
    Skipped,
    /// Wrong, and what to do.
    Wrong,
}

impl Verdict {
    /// In one word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Skipped => "skipped",
            Self::Wrong => "wrong",
        }
    }
}

/// One line of the report.
#[derive(Debug)]
pub(crate) struct Finding {
    /// What was checked.
    pub(crate) check: &'static str,
    /// What was found.
    pub(crate) verdict: Verdict,
    /// In words, with the next step if something is wrong.
    pub(crate) detail: String,
}

impl Finding {
    pub(super) fn good(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, detail: detail.into() }
    }

    pub(super) fn skipped(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, detail: detail.into() }
    }

    pub(super) fn wrong(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Wrong, detail: detail.into() }
    }

    /// A line for each thing that a failure tells.
    pub(crate) fn failed_all(check: &'static str, failure: &Failure) -> Vec<Self> {
        let first = Self::failed(check, failure);
        std::iter::once(first).chain(failure.others.iter().map(|other| Self::wrong(check, other))).collect()
    }

    fn failed(check: &'static str, failure: &Failure) -> Self {
        let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::wrong(check, format!("{}{hint}", failure.message))
    }
}

/// What has to be corrected before more can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// The permissions of the files.
    Permissions,
    /// Where to log in, or as whom.
    Login,
}

impl First {
    /// A check that waits for it.
    fn skipped(self, check: &'static str) -> Finding {
        Finding::skipped(
            check,
            match self {
                Self::Permissions => "correct the permissions first",
                Self::Login => "correct the backbone or the OAuth client first",
            },
        )
    }
}

/// Does all checks. What one of them finds wrong does not keep the others from being done, and is told once.
pub(super) async fn all(plan: Plan, output: Output) -> Vec<Finding> {
    let permissions = permissions(&plan);
    let is_private = permissions.verdict != Verdict::Wrong;
    let api_keys = api_keys(&plan, is_private);
    let login = login_data(&plan, is_private);
    let first = match login.iter().any(|finding| finding.verdict == Verdict::Wrong) {
        _ if !is_private => Some(First::Permissions),
        true => Some(First::Login),
        false => None,
    };
    let mut findings = vec![configuration(&plan), directory(&plan.dir), permissions, api_keys, content_store(&plan)];
    findings.extend(login);
    match reach(&plan.dir, output).await {
        Ok(Reached::Held(held)) => {
            findings.push(Finding::good("process", "no process serves this data directory; `enlace serve` starts one"));
            findings.extend(stopped(held, plan, first).await);
        }
        Ok(Reached::Served(running)) => findings.extend(serving(&running, &plan).await),
        Err(failure) => {
            findings.push(match is_private {
                true => Finding::failed("process", &failure),
                false => First::Permissions.skipped("process"),
            });
            findings.extend(distant_backbone(&plan, first).await);
        }
    }
    findings
}

/// Where to log in, and as whom: what a start refuses before it asks anybody.
fn login_data(plan: &Plan, is_private: bool) -> Vec<Finding> {
    const CLIENT: &str = "OAuth client";
    let refused = plan.check_backbone().and_then(|()| plan.check_encryption()).err();
    let refused = refused.map(|failure| Finding::failed("backbone", &failure));
    let client = match plan.client() {
        _ if !is_private => First::Permissions.skipped(CLIENT),
        Ok(client) => Finding::good(CLIENT, client.id),
        Err(failure) => Finding::failed(CLIENT, &failure),
    };
    refused.into_iter().chain([client]).collect()
}

/// The backbone, if it is not an embedded one and nothing has to be corrected before it may be asked.
async fn distant_backbone(plan: &Plan, first: Option<First>) -> Vec<Finding> {
    match &plan.backbone {
        WhichBackbone::At(url) if first != Some(First::Login) => backbone(url).await,
        WhichBackbone::At(_) | WhichBackbone::Embedded { .. } => Vec::new(),
    }
}

/// A node that does not run: what it will need, and what a start for the moment tells if nothing has to be corrected first.
async fn stopped(held: Held, plan: Plan, first: Option<First>) -> Vec<Finding> {
    let mut findings = ports(&plan).await;
    let is_blocked = findings.iter().any(|finding| finding.check == BACKBONE_PORT && finding.verdict == Verdict::Wrong);
    let unopened = match (plan.is_first_start(), first) {
        (_, Some(First::Permissions)) => Some(First::Permissions.skipped("store")),
        (Err(failure), _) => Some(Finding::failed("store", &failure)),
        (Ok(_), Some(first)) => Some(first.skipped("store")),
        (Ok(true), None) => Some(Finding::skipped("store", "nothing has been started here yet")),
        (Ok(false), None) if is_blocked => {
            Some(Finding::skipped("store", "the port of the embedded backbone is not available"))
        }
        (Ok(false), None) => None,
    };
    if let Some(finding) = unopened {
        findings.push(finding);
        findings.extend(distant_backbone(&plan, first).await);
        return findings;
    }
    let distant = match &plan.backbone {
        WhichBackbone::At(url) => Some(url.clone()),
        WhichBackbone::Embedded { .. } => None,
    };
    match Node::start_in(held, plan).await {
        Ok(node) => findings.extend(opened(node).await),
        Err(failure) => {
            let backbone = match distant {
                Some(url) => backbone(&url).await,
                None => Vec::new(),
            };
            // A backbone that does not answer is the reason already.
            let is_told = failure.kind == Kind::Network && backbone.iter().any(|it| it.verdict == Verdict::Wrong);
            if !is_told {
                findings.push(Finding::failed("node", &failure));
            }
            findings.extend(backbone);
        }
    }
    findings
}

async fn opened(node: Node) -> Vec<Finding> {
    let mut findings = vec![Finding::good("store", "can be opened and read")];
    findings.extend(health(node.runtime.account().health().await));
    findings.extend(backbone(&node.backbone_url).await);
    findings.extend(quotas(&node).await.unwrap_or_else(|failure| vec![Finding::failed("quota", &failure)]));
    let connectivity = node.runtime.peers().connectivity();
    findings.extend(connectivity::judge(connectivity.as_ref(), Since::Now, time::now()));
    if let Err(failure) = node.stop().await {
        findings.push(Finding::failed("store", &failure));
    }
    findings
}

/// Which file takes part in it; not a process that serves, which read its own when it started.
fn configuration(plan: &Plan) -> Finding {
    let file = plan.configuration_file.as_ref().map(|path| path.display().to_string());
    Finding::good("configuration", file.unwrap_or_else(|| "no file; from options, environment and defaults".to_owned()))
}

fn directory(dir: &DataDir) -> Finding {
    let written = private::NewFile::create(&dir.join("doctor")).and_then(|mut file| {
        file.file().write_all(&[0; WRITTEN])?;
        file.file().sync_all()
    });
    match written {
        Ok(()) => Finding::good("data directory", dir.path().display().to_string()),
        Err(error) => Finding::failed("data directory", &durable::Error::io(dir.path(), &error).into()),
    }
}

fn permissions(plan: &Plan) -> Finding {
    if cfg!(not(unix)) {
        return Finding::skipped("permissions", "not checked on this system");
    }
    let settings = &plan.settings;
    let mut secrets = vec![plan.dir.join(client::FILE)];
    secrets.push(api_key::path(settings.api_key_file.as_deref(), &plan.dir));
    match &settings.store_key {
        StoreKey::File => secrets.push(plan.dir.join("store.key")),
        StoreKey::FileAt(path) => secrets.push(path.clone()),
        StoreKey::Environment(_) => {}
    }
    let mut checks = secrets.iter().filter(|path| path.exists()).map(|path| private::check(path, private::FILE_MODE));
    match private::check_directory(plan.dir.path()).and_then(|()| checks.try_for_each(|outcome| outcome)) {
        Ok(()) => Finding::good("permissions", "only you can read the data directory and the keys"),
        Err(error) => Finding::failed("permissions", &error.into()),
    }
}

/// How much of the content store is used; its files tell, whether or not a process serves.
fn content_store(plan: &Plan) -> Finding {
    const CHECK: &str = "content store";
    let Some(max_size) = plan.settings.content_store.map(|store| store.max_size).filter(|size| *size > 0) else {
        return Finding::skipped(CHECK, "it is switched off");
    };
    let entries = std::fs::read_dir(plan.dir.join(Runtime::CONTENT_DIRECTORY)).into_iter().flatten();
    let used: u64 = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum();
    Finding::good(CHECK, format!("{} of {} used", bytes(used), bytes(max_size)))
}

/// The keys that `serve` will accept, if it can read them; a file that others can read is found by its permissions.
fn api_keys(plan: &Plan, is_private: bool) -> Finding {
    const CHECK: &str = "API keys";
    if !plan.settings.rest_enabled {
        return Finding::skipped(CHECK, "the REST API is switched off");
    }
    if !is_private {
        return First::Permissions.skipped(CHECK);
    }
    match server::check_keys(&plan.settings, &plan.dir) {
        Ok(file) => Finding::good(CHECK, file),
        Err(failure) => Finding::failed(CHECK, &failure),
    }
}

async fn serving(running: &Running, plan: &Plan) -> Vec<Finding> {
    let mut findings = vec![Finding::good("process", format!("process {} serves this data directory", running.pid))];
    let url = &running.rest_url;
    match get(&format!("{url}/health")).await {
        Ok(response) if response.status().is_success() => {
            let listens = running.listen.map(|address| format!("{url}, listens on {address}"));
            findings.push(Finding::good("REST API", listens.as_ref().unwrap_or(url)));
        }
        Ok(response) => findings.push(unhealthy(url, response).await),
        Err(failure) => findings.push(Finding::failed("REST API", &failure)),
    }
    findings.extend(backbone(&running.backbone_url).await);
    findings.push(Finding::skipped("quotas", "only checked while no process serves this data directory"));
    findings.extend(match peers(running, plan).await {
        Ok(peers) => connectivity::judge(peers.this.as_ref(), Since::Earlier, time::now()),
        Err(failure) if failure.code == Some(Code::Face(FaceCode::RouteDoesNotExist)) => {
            vec![Finding::skipped(
                "peers",
                "the running process does not say; enlace.httpApi.enabled must be true there",
            )]
        }
        Err(failure) => vec![Finding::failed("peers", &failure)],
    });
    findings
}

/// What a serving node says of its peers.
async fn peers(running: &Running, plan: &Plan) -> Result<ShownPeers, Failure> {
    let key = api_key::load(plan.settings.api_key_file.as_ref().unwrap_or(&running.api_key_file))?;
    RestClient::new(&running.rest_url, key)?.peers().await
}

/// How much of its quotas is used at the embedded backbone, if there is one: by this node, and by its guests.
async fn quotas(node: &Node) -> Result<Vec<Finding>, Failure> {
    let Some(backbone) = &node.backbone else { return Ok(Vec::new()) };
    let limits = &node.limits;
    let address = node.runtime.account().identity_info().await?.address;
    let own = backbone.admin().usage_of_identity(&address).await?;
    let guests = backbone.admin().usage_of_client(GUEST_ID).await?;
    Ok(vec![
        judge_quota("quota", &limits.client("", "").terms.identity, &own),
        judge_quota("guests", &limits.guest().terms.client, &guests),
    ])
}

/// Nine tenths of a quota are a reason to do something.
fn judge_quota(check: &'static str, quota: &Amounts, used: &Amounts) -> Finding {
    let limited = || Metric::ALL.into_iter().filter(|metric| quota.of(*metric) < u64::MAX);
    let parts = limited().map(|metric| format!("{} of {} {metric}", used.of(metric), quota.of(metric)));
    let detail = parts.collect::<Vec<_>>().join(", ");
    match limited().find(|metric| used.of(*metric) > quota.of(*metric) / 10 * 9) {
        None => Finding::good(check, detail),
        Some(_) => Finding::wrong(check, format!("{detail}; see enlace.backbone.limits")),
    }
}

/// What a serving node says of itself.
async fn unhealthy(url: &str, response: reqwest::Response) -> Finding {
    let status = response.status();
    let health: serde_json::Value = response.json().await.unwrap_or_default();
    match health["databaseFailure"].as_str() {
        Some(reason) => Finding::wrong("store", reason),
        None => Finding::wrong("REST API", format!("{url}/health answers {status}")),
    }
}

/// The ports that `serve` will take.
async fn ports(plan: &Plan) -> Vec<Finding> {
    let memory = match Memory::recall(&plan.dir) {
        Ok(memory) => memory,
        Err(failure) => return vec![Finding::failed("ports", &failure)],
    };
    let rest = Port { check: "REST port", what: "REST API", option: "--listen" };
    let mut findings = vec![match plan.settings.rest_enabled {
        true => rest.look(&port::candidates(plan.settings.listen, memory.rest_port, port::REST)).await,
        false => Finding::skipped(rest.check, "the REST API is switched off"),
    }];
    if let WhichBackbone::Embedded { listen, .. } = &plan.backbone {
        let port = Port { check: BACKBONE_PORT, what: "embedded backbone", option: "--backbone-listen" };
        findings.push(match node::embedded_address(*listen) {
            Ok(listen) => port.look(&port::candidates(listen, memory.backbone_port, port::BACKBONE)).await,
            Err(failure) => Finding::failed(port.check, &failure),
        });
    }
    findings
}

const BACKBONE_PORT: &str = "backbone port";

/// A port that is going to be listened on.
struct Port {
    check: &'static str,
    what: &'static str,
    option: &'static str,
}

impl Port {
    /// Takes the first of these addresses that can be had, as a start will, and lets go of it.
    async fn look(&self, addresses: &[SocketAddr]) -> Finding {
        let mut refusal = None;
        for address in addresses {
            match (Listener::bind(*address).await, &refusal, address.port()) {
                (Ok(_), None, 0) => {
                    return Finding::good(self.check, format!("a free port of {} will be used", address.ip()));
                }
                (Ok(_), Some(ListenError { address: taken, .. }), _) => {
                    return Finding::good(self.check, format!("{taken} is in use, so a free port will be used"));
                }
                (Ok(_), None, _) => return Finding::good(self.check, format!("{address} is free")),
                (Err(error), None, _) => refusal = Some(error),
                (Err(_), Some(_), _) => {}
            }
        }
        match refusal {
            Some(error) => Finding::failed(self.check, &port::unavailable(&error, self.what, self.option)),
            None => Finding::skipped(self.check, "there is no address to listen on"),
        }
    }
}

fn health(health: Health) -> Vec<Finding> {
    let login = match (health.backbone_connection, health.backbone_authentication) {
        (true, true) => Finding::good("login", "the backbone accepts this device"),
        (true, false) => Finding::wrong(
            "login",
            "the backbone refuses this device; check that the identity was created at this backbone",
        ),
        (false, _) => Finding::skipped("login", "the backbone does not answer"),
    };
    match health.database_failure {
        None => vec![login],
        Some(reason) => vec![Finding::wrong("store", reason), login],
    }
}

async fn backbone(url: &str) -> Vec<Finding> {
    match get(url).await {
        Ok(response) => vec![store_of_backbone(url).await, clock(&response)],
        Err(failure) => vec![Finding::failed("backbone", &failure)],
    }
}

/// A backbone that cannot store anything any more says so.
async fn store_of_backbone(url: &str) -> Finding {
    match get(&format!("{}/health", url.trim_end_matches('/'))).await {
        Ok(response) if response.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE => {
            Finding::wrong("backbone", format!("{url} is unhealthy; check its disk and its log, then restart it"))
        }
        // Not every backbone answers this without a login.
        _ => Finding::good("backbone", format!("{url} answers")),
    }
}

/// Compares our clock with the time in an answer.
fn clock(response: &reqwest::Response) -> Finding {
    let date = response.headers().get(reqwest::header::DATE).and_then(|value| value.to_str().ok());
    let Some(theirs) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        return Finding::skipped("clock", "the backbone does not send the time");
    };
    judge_clock(time::now(), theirs.into())
}

fn judge_clock(ours: Timestamp, theirs: Timestamp) -> Finding {
    let skew = ours.saturating_duration_since(theirs).max(theirs.saturating_duration_since(ours));
    let seconds = skew.as_secs();
    match skew <= TOLERATED_SKEW {
        true => Finding::good("clock", format!("within {seconds} s of the backbone's clock")),
        false => {
            Finding::wrong("clock", format!("{seconds} s off the backbone's clock; correct the clock of this machine"))
        }
    }
}

async fn get(url: &str) -> Result<reqwest::Response, Failure> {
    let unusable = |error: &dyn std::error::Error| {
        Failure::general(format!("cannot set up an HTTP client: {}", with_sources(error)))
    };
    // As the node does it: whoever answers elsewhere for this name is not its backbone. A redirect is an answer, too.
    let builder = http_client::builder_for(url, Redirects::Refused).map_err(|error| unusable(&error))?;
    let client = builder.timeout(TIMEOUT).build();
    let response = client.map_err(|error| unusable(&error))?.get(url).send().await;
    response.map_err(|error| Failure::general(with_sources(&error)).hint("is it running, and is the address right?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_of_which_more_than_nine_tenths_are_used_is_wrong() {
        let quota = Amounts { tokens: 100, files: 10, ..Amounts::UNLIMITED };
        let used = |tokens| judge_quota("quota", &quota, &Amounts { tokens, files: 1, ..Amounts::default() });
        assert_eq!((used(90).verdict, used(91).verdict), (Verdict::Good, Verdict::Wrong));
        assert_eq!(used(90).detail, "90 of 100 tokens, 1 of 10 files");
    }

    #[test]
    fn a_clock_off_by_minutes_is_wrong_in_both_directions() {
        let now: Timestamp = "2030-01-01T12:00:00Z".parse().unwrap();
        let minutes = Duration::from_secs(600);
        assert_eq!(judge_clock(now, now).verdict, Verdict::Good);
        assert_eq!(judge_clock(now, now.saturating_add(minutes)).verdict, Verdict::Wrong);
        assert_eq!(judge_clock(now, now.saturating_sub(minutes)).verdict, Verdict::Wrong);
    }
}
