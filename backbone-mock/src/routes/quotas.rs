//! `/Quotas`.

use axum::extract::State;
use serde::Serialize;

use crate::domain::account::{self, QuotaUse};
use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use crate::web::session::LoggedIn;

/// The quotas of one thing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metric {
    metric_key: &'static str,
    quotas: Vec<Quota>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Quota {
    source: &'static str,
    metric_key: &'static str,
    max: u64,
    usage: u64,
    period: &'static str,
}

/// `GET /Quotas`: what the caller's identity may store, and how much of it is used.
pub(super) async fn list(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
) -> Result<Answer<Vec<Metric>>, Problem> {
    let quotas = account::quotas(&core, &caller.address).await?;
    Ok(Answer::ok(quotas.into_iter().map(to_wire).collect()))
}

fn to_wire(QuotaUse { metric, max, usage, is_shared }: QuotaUse) -> Metric {
    let metric_key = metric.key();
    // What all identities of a client share is what the vendor calls a tier.
    let source = if is_shared { "Tier" } else { "Individual" };
    Metric { metric_key, quotas: vec![Quota { source, metric_key, max, usage, period: "Total" }] }
}
