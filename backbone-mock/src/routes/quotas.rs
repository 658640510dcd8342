//! `/Quotas`.

use axum::extract::State;
use transport::wire::backbone::quotas::{LIFETIME, MetricQuotas, Quota};

use crate::domain::account::{self, QuotaUse, Quotas};
use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use crate::web::session::LoggedIn;

/// `GET /Quotas`: what the caller's identity may store, how much of it is used, and how long it may last.
pub(super) async fn list(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
) -> Result<Answer<Vec<MetricQuotas>>, Problem> {
    let Quotas { uses, max_lifetime } = account::quotas(&core, &caller.address).await?;
    let lifetime = max_lifetime.map(|lifetime| to_wire(LIFETIME, false, (lifetime.as_secs(), 0)));
    Ok(Answer::ok(uses.into_iter().map(use_to_wire).chain(lifetime).collect()))
}

fn use_to_wire(QuotaUse { metric, max, usage, is_shared }: QuotaUse) -> MetricQuotas {
    to_wire(metric.key(), is_shared, (max, usage))
}

fn to_wire(metric_key: &str, is_shared: bool, (max, usage): (u64, u64)) -> MetricQuotas {
    // What all identities of a client share is what the vendor calls a tier.
    let source = if is_shared { "Tier" } else { "Individual" }.to_owned();
    let metric_key = metric_key.to_owned();
    let quota = Quota { source, metric_key: metric_key.clone(), max, usage, period: "Total".to_owned() };
    MetricQuotas { metric_key, quotas: vec![quota] }
}
