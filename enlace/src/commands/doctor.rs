//! `enlace doctor`: checks what a node needs, and says what to do about what is wrong.

mod checks;
mod connectivity;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::args::{NodeOptions, PeerOptions, ServerOptions};
use crate::code::Kind;
use crate::config::Configuration;
use crate::data_dir::Purpose;
use crate::failure::Failure;
use crate::node::Plan;
use crate::output::{Output, printable, table};
pub(crate) use checks::{Finding, Verdict};

/// Check the setup of a node, from its configuration to its backbone.
///
/// Checks configuration, data directory, permissions, API keys, OAuth client, ports, store, backbone, quotas, clock, and how
/// peers reach the node.
///
/// Ends with exit code 1 if a check fails.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace doctor\n  \
    enlace doctor --data-dir ./node --json")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    node: NodeOptions,
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    peers: PeerOptions,
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: DoctorArgs) -> Result<(), Failure> {
    let findings = match context.configuration(&args.node, &args.server, &args.peers) {
        Err(failure) => Finding::failed_all("configuration", &failure),
        Ok(configuration) => match plan(configuration, args.node.change_backbone, context.output) {
            Ok(plan) => context.interrupt.or(async { Ok(checks::all(plan, context.output).await) }).await?,
            // Which directory, and so everything else, is not known.
            Err(failure) => Finding::failed_all("data directory", &failure),
        },
    };
    let value: Vec<_> = findings.iter().map(finding_json).collect();
    context.output.data(&value, || table(&findings.iter().map(row).collect::<Vec<_>>()))?;
    match findings.iter().filter(|finding| finding.verdict == Verdict::Wrong).count() {
        0 => Ok(()),
        count => Err(Failure::new(Kind::General, format!("{count} of {} checks failed", findings.len()))),
    }
}

/// What the other commands would do. Another backbone than that of the identity is one of the findings.
fn plan(configuration: Configuration, change_backbone: bool, output: Output) -> Result<Plan, Failure> {
    if let Some(file) = &configuration.file {
        output.configuration_file(file);
    }
    match change_backbone {
        true => Plan::new(configuration, Purpose::Node, true),
        false => Plan::without_consent(configuration, Purpose::Node),
    }
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({ "check": finding.check, "verdict": finding.verdict.name(), "detail": finding.detail })
}

fn row(finding: &Finding) -> Vec<String> {
    vec![finding.verdict.name().to_owned(), finding.check.to_owned(), printable(&finding.detail)]
}
