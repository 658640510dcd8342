//! The checks, each independent of the others as far as it can be.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use runtime::Timestamp;
use runtime::facade::Health;
use rustls_platform_verifier::BuilderVerifierExt;

use crate::data_dir::DataDir;
use crate::failure::{Failure, with_sources};
use crate::memory::Memory;
use crate::node::{Node, Plan, WhichBackbone};
use crate::running::Running;
use crate::{port, time};

/// Clock differences up to this are harmless.
const TOLERATED_SKEW: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// Not looked at, and why.
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
    /// What was looked at.
    pub(crate) check: &'static str,
    /// What was found.
    pub(crate) verdict: Verdict,
    /// In words, with the next step if something is wrong.
    pub(crate) detail: String,
}

impl Finding {
    fn good(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, detail: detail.into() }
    }

    fn skipped(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, detail: detail.into() }
    }

    fn wrong(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Wrong, detail: detail.into() }
    }

    fn failed(check: &'static str, failure: &Failure) -> Self {
        let hint = failure.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::wrong(check, format!("{}{hint}", failure.message))
    }
}

/// Does all checks.
pub(super) async fn all(plan: Plan) -> Result<Vec<Finding>, Failure> {
    let mut findings = vec![directory(&plan.dir), permissions(&plan.dir)];
    let Some(held) = plan.dir.try_hold()? else {
        findings.extend(running(&plan.dir).await);
        return Ok(findings);
    };
    findings.extend(ports(&plan)?);
    let first_start = !plan.dir.join("store").exists();
    if first_start {
        findings.push(Finding::skipped("store", "nothing was started here yet"));
        if let WhichBackbone::At(url) = &plan.backbone {
            findings.extend(backbone(url).await);
        }
        return Ok(findings);
    }
    match Node::start_in(held, plan).await {
        Ok(node) => {
            findings.push(Finding::good("store", "can be opened and read"));
            findings.extend(health(node.runtime.account().health().await));
            findings.extend(backbone(&node.backbone_url).await);
            node.stop().await?;
        }
        Err(failure) => findings.push(Finding::failed("node", &failure)),
    }
    Ok(findings)
}

fn directory(dir: &DataDir) -> Finding {
    match tempfile::NamedTempFile::new_in(dir.path()) {
        Ok(_) => Finding::good("data directory", dir.path().display().to_string()),
        Err(error) => Finding::wrong("data directory", format!("cannot write in {}: {error}", dir.path().display())),
    }
}

#[cfg(unix)]
fn permissions(dir: &DataDir) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let open = |path: &Path| std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    let secrets = ["api-key", "backbone-client", "store.key"].map(|name| dir.join(name));
    match std::iter::once(dir.path()).chain(secrets.iter().map(std::path::PathBuf::as_path)).find(|path| open(path)) {
        None => Finding::good("permissions", "only you can read it"),
        Some(path) => {
            Finding::wrong("permissions", format!("others can read {}; chmod go= {}", path.display(), path.display()))
        }
    }
}

#[cfg(not(unix))]
fn permissions(_: &DataDir) -> Finding {
    Finding::skipped("permissions", "not checked on this system")
}

async fn running(dir: &DataDir) -> Vec<Finding> {
    let Some(running) = Running::read(dir) else {
        return vec![Finding::wrong("process", "another process holds the data directory and does not say which one")];
    };
    let mut findings = vec![Finding::good("process", format!("process {} serves this data directory", running.pid))];
    if let Some(url) = &running.rest_url {
        findings.push(match get(&format!("{url}/health")).await {
            Ok(response) if response.status().is_success() => Finding::good("REST API", url.clone()),
            Ok(response) => Finding::wrong("REST API", format!("{url}/health says {}", response.status())),
            Err(failure) => Finding::failed("REST API", &failure),
        });
    }
    if let Some(url) = &running.backbone_url {
        findings.extend(backbone(url).await);
    }
    findings
}

fn ports(plan: &Plan) -> Result<Vec<Finding>, Failure> {
    let memory = Memory::recall(&plan.dir)?;
    let mut wanted = vec![("REST port", plan.settings.listen, memory.rest_port, port::REST, "--listen")];
    if let WhichBackbone::Embedded { listen, .. } = &plan.backbone {
        wanted.push(("backbone port", *listen, memory.backbone_port, port::BACKBONE, "--backbone-listen"));
    }
    Ok(wanted
        .into_iter()
        .map(|(check, asked, remembered, usual, option)| {
            let addresses = port::candidates(asked, remembered, usual);
            match addresses.iter().find(|address| port::is_free(**address)) {
                Some(address) => Finding::good(check, format!("{address} is free")),
                None => {
                    Finding::wrong(check, format!("{} is taken; stop that program or use {option} ADDR", addresses[0]))
                }
            }
        })
        .collect())
}

fn health(health: Health) -> Vec<Finding> {
    let login = match (health.backbone_connection, health.backbone_authentication) {
        (true, true) => Finding::good("login", "the backbone knows this device"),
        (true, false) => {
            Finding::wrong("login", "the backbone refuses this device; is it the backbone of its first start?")
        }
        (false, _) => Finding::skipped("login", "the backbone does not answer"),
    };
    match health.database {
        true => vec![login],
        false => vec![Finding::wrong("store", "does not answer"), login],
    }
}

async fn backbone(url: &str) -> Vec<Finding> {
    match get(url).await {
        Ok(response) => vec![Finding::good("backbone", format!("{url} answers")), clock(&response)],
        Err(failure) => vec![Finding::failed("backbone", &failure)],
    }
}

/// Compares our clock with the time in an answer.
fn clock(response: &reqwest::Response) -> Finding {
    let date = response.headers().get(reqwest::header::DATE).and_then(|value| value.to_str().ok());
    let Some(theirs) = date.and_then(parse_http_date) else {
        return Finding::skipped("clock", "the backbone does not say what time it is");
    };
    judge_clock(time::now(), theirs)
}

fn judge_clock(ours: Timestamp, theirs: Timestamp) -> Finding {
    let skew = ours.saturating_duration_since(theirs).max(theirs.saturating_duration_since(ours));
    let seconds = skew.as_secs();
    match skew <= TOLERATED_SKEW {
        true => Finding::good("clock", format!("within {seconds} s of the backbone's")),
        false => Finding::wrong("clock", format!("{seconds} s off the backbone's; set this machine's clock")),
    }
}

/// `Sat, 21 Nov 2026 21:04:03 GMT`, the only form that servers write today.
fn parse_http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let (day, month, year, clock) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day}T{clock}Z").parse().ok()
}

async fn get(url: &str) -> Result<reqwest::Response, Failure> {
    let unusable = |error: &dyn std::error::Error| Failure::general(format!("no HTTP client: {}", with_sources(error)));
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_platform_verifier()
        .map_err(|error| unusable(&error))?
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(TIMEOUT).build();
    let response = client.map_err(|error| unusable(&error))?.get(url).send().await;
    response.map_err(|error| Failure::general(with_sources(&error)).hint("is it running, and is the address right?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read() {
        let read = |text| parse_http_date(text).map(|time| time.to_string());
        assert_eq!(read("Sat, 21 Nov 2026 21:04:03 GMT").as_deref(), Some("2026-11-21T21:04:03.000Z"));
        assert_eq!(read("yesterday"), None);
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
