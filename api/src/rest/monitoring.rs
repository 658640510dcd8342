//! Whether the node works, what it is, and what it was asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared};
use http::{Method, StatusCode};
use runtime::facade::Health as Found;
use runtime::{Runtime, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::auth::{Need, Roles};
use crate::problem::Problem;
use crate::reply::Reply;

const VERSION: Need = Need("monitoring:version");
const REQUESTS: Need = Need("monitoring:requests");
const SUPPORT: Need = Need("monitoring:support");

const DATABASE_FAILURE: &str =
    "the store cannot be read, or a write to it failed; check the disk and the log, then restart the node";

/// What works and what does not.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    /// Whether all of it works.
    is_healthy: bool,
    services: Services,
    /// What is wrong with the database, if something is, and the next step.
    #[serde(skip_serializing_if = "Option::is_none")]
    database_failure: Option<&'static str>,
}

/// Each `healthy` or `unhealthy`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Services {
    database: &'static str,
    backbone_connection: &'static str,
    backbone_authentication: &'static str,
}

/// Lets simultaneous questions share one check: anybody may ask, and every check asks the backbone.
#[derive(Default)]
struct HealthCheck(Mutex<Option<WeakShared<BoxFuture<'static, Found>>>>);

impl HealthCheck {
    async fn check(&self, runtime: &Runtime) -> Found {
        let check = {
            let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // A check that has ended cannot be upgraded once no caller waits for it.
            let shared = running.as_ref().and_then(WeakShared::upgrade).unwrap_or_else(|| {
                let account = runtime.account();
                async move { account.health().await }.boxed().shared()
            });
            *running = shared.downgrade();
            shared
        };
        check.await
    }
}

/// What the answers are made of.
pub(crate) struct Monitoring {
    runtime: Runtime,
    shown_configuration: Value,
    counters: Counters,
    health: HealthCheck,
}

impl Monitoring {
    pub(crate) fn new(runtime: Runtime, shown_configuration: Value) -> Self {
        let (counters, health) = (Counters::new(runtime.clock().now()), HealthCheck::default());
        Self { runtime, shown_configuration, counters, health }
    }

    /// Notes that something was answered.
    pub(crate) fn count(&self, status: StatusCode) {
        self.counters.count(status);
    }

    /// `GET /health`, for everybody.
    pub(crate) async fn health(&self) -> Reply {
        let health = self.check().await;
        let status = if health.is_healthy { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        Reply::json(status, &health)
    }

    /// `GET /Monitoring/…`; `None` for everything else, other methods included.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        segments: &[&str],
        roles: &Roles,
    ) -> Option<Result<Reply, Problem>> {
        let [area, page] = segments else { return None };
        if !area.eq_ignore_ascii_case("Monitoring") || !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let json = |value: Value| Reply::json(StatusCode::OK, &value);
        match page.to_ascii_lowercase().as_str() {
            "version" => Some(allowed(roles, VERSION).map(|()| json(version()))),
            "requests" => Some(allowed(roles, REQUESTS).map(|()| json(self.counters.snapshot()))),
            "support" => Some(match allowed(roles, SUPPORT) {
                Ok(()) => self.support().await,
                Err(problem) => Err(problem),
            }),
            _ => None,
        }
    }

    async fn check(&self) -> Health {
        let found = self.health.check(&self.runtime).await;
        let word = |works: bool| if works { "healthy" } else { "unhealthy" };
        Health {
            is_healthy: found.database && found.backbone_connection && found.backbone_authentication,
            services: Services {
                database: word(found.database),
                backbone_connection: word(found.backbone_connection),
                backbone_authentication: word(found.backbone_authentication),
            },
            // Everybody may ask; what the failure says of this machine is for the log.
            database_failure: (!found.database).then_some(DATABASE_FAILURE),
        }
    }

    /// For people who help: nothing in it is secret. The environment of the process is not part of it.
    async fn support(&self) -> Result<Reply, Problem> {
        let identity = self.runtime.account().identity_info().await?;
        let (health, configuration) = (self.check().await, &self.shown_configuration);
        let report =
            json!({"version": version(), "health": health, "configuration": configuration, "identityInfo": identity});
        Ok(Reply::json(StatusCode::OK, &report))
    }
}

/// Answers counted since the start.
#[derive(Debug)]
struct Counters {
    since: Timestamp,
    by_status: Mutex<BTreeMap<u16, u64>>,
}

impl Counters {
    fn new(since: Timestamp) -> Self {
        Self { since, by_status: Mutex::new(BTreeMap::new()) }
    }

    fn count(&self, status: StatusCode) {
        let mut by_status = self.by_status.lock().unwrap_or_else(PoisonError::into_inner);
        *by_status.entry(status.as_u16()).or_default() += 1;
    }

    fn snapshot(&self) -> Value {
        let by_status = self.by_status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let total: u64 = by_status.values().sum();
        let by_status: BTreeMap<String, u64> =
            by_status.into_iter().map(|(status, count)| (status.to_string(), count)).collect();
        json!({"since": self.since.to_string(), "requestCount": total, "requestCountByStatus": by_status})
    }
}

fn allowed(roles: &Roles, need: Need) -> Result<(), Problem> {
    if roles.satisfy(need) { Ok(()) } else { Err(Problem::forbidden()) }
}

/// The members are those that clients know; what we do not have is empty.
fn version() -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({"version": version, "build": "", "date": "", "commit": "", "runtimeVersion": version, "modules": {}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_status() {
        let counters = Counters::new("2030-01-01".parse().unwrap());
        for status in [StatusCode::OK, StatusCode::OK, StatusCode::NOT_FOUND] {
            counters.count(status);
        }
        let expected = json!({
            "since": "2030-01-01T00:00:00.000Z",
            "requestCount": 3,
            "requestCountByStatus": {"200": 2, "404": 1}
        });
        assert_eq!(counters.snapshot(), expected);
    }
}
