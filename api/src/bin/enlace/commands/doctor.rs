//! `enlace doctor`: looks for what is wrong, and says what to do about it.

mod checks;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::args::{NodeOptions, ServerOptions};
use crate::failure::{Failure, Kind};
use crate::output::{printable, table};
pub(crate) use checks::{Finding, Verdict};

/// Look for what is wrong: configuration, data directory, permissions, store, backbone, clock, ports.
///
/// Ends with exit code 1 if something is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace doctor\n  \
    enlace doctor --data-dir ./node --json")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    node: NodeOptions,
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: DoctorArgs) -> Result<(), Failure> {
    let plan = context.plan(context.configuration(&args.node, &args.server)?, &args.node)?;
    let findings = context.interrupt.or(checks::all(plan, context.output)).await?;
    let value: Vec<_> = findings.iter().map(finding_json).collect();
    context.output.data(&value, || table(&findings.iter().map(row).collect::<Vec<_>>()))?;
    match findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count() {
        0 => Ok(()),
        count => {
            Err(Failure::new(Kind::General, format!("{count} of {} checks found something wrong", findings.len())))
        }
    }
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({ "check": finding.check, "verdict": finding.verdict.name(), "detail": finding.detail })
}

fn row(finding: &Finding) -> Vec<String> {
    vec![finding.verdict.name().to_owned(), finding.check.to_owned(), printable(&finding.detail)]
}
