//! `/Quotas`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Metric of enlace's backbones: the most seconds from now at which something new may expire. It is not used up.
pub const LIFETIME: &str = "LifetimeInSeconds";

/// The quotas of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricQuotas {
    /// What is counted.
    pub metric_key: String,
    /// How much of it is allowed, and used.
    pub quotas: Vec<Quota>,
}

/// One quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// `Individual` or `Tier`.
    pub source: String,
    /// What is counted, again.
    pub metric_key: String,
    /// How much is allowed.
    pub max: u64,
    /// How much is used.
    pub usage: u64,
    /// The time for which it is allowed.
    pub period: String,
}

/// How long something new may last, if the quotas of an identity say so.
#[must_use]
pub fn lifetime(quotas: &[MetricQuotas]) -> Option<Duration> {
    let of_lifetime = quotas.iter().filter(|metric| metric.metric_key == LIFETIME);
    of_lifetime.flat_map(|metric| &metric.quotas).map(|quota| Duration::from_secs(quota.max)).min()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_shortest_lifetime_counts_and_other_metrics_do_not() {
        let read = |quotas| lifetime(&serde_json::from_value::<Vec<MetricQuotas>>(quotas).unwrap());
        let quota = |max: u64| json!({"source": "Tier", "metricKey": "x", "max": max, "usage": 0, "period": "Total"});
        let of = |key: &str, all: &[u64]| {
            let quotas: Vec<_> = all.iter().map(|max| quota(*max)).collect();
            json!({ "metricKey": key, "quotas": quotas })
        };
        assert_eq!(read(json!([of("NumberOfTokens", &[1]), of(LIFETIME, &[9, 5])])), Some(Duration::from_secs(5)));
        assert_eq!(read(json!([of("NumberOfTokens", &[1])])), None);
    }
}
