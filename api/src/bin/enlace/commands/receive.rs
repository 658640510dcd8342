//! `enlace receive REFERENCE`: load, verify, write.

use std::path::PathBuf;

use clap::Args;
use runtime::Secret;
use runtime::dto::File;
use serde_json::json;

use super::{Context, shape};
use crate::access::Access;
use crate::args::{ClientOptions, Global, NodeOptions, ServerOptions};
use crate::data_dir::DataDir;
use crate::failure::{Failure, Kind};
use crate::memory::Memory;
use crate::node::{Plan, WhichBackbone, configuration};
use crate::output::{bytes, printable};
use crate::passwords::KnownPassword;
use crate::platform::Purpose;
use crate::progress::Progress;
use crate::receive::{Destination, Incoming, Saved, announce};

/// Largest file that is fetched without --max-size.
const DEFAULT_MAX_SIZE: u64 = 1024 * 1024 * 1024;

/// Load a file by its reference, verify it, and write it here.
///
/// The first use creates an identity of its own at the backbone that the reference names. The name is the sender's,
/// made safe. Nothing is overwritten unless --force says so, and a file that does not arrive whole leaves nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace receive 'http://localhost:4710/r/TOK…#…'\n  \
    enlace receive 'http://localhost:4710/r/TOK…#…' --output ~/Downloads\n  \
    enlace receive VE9L… --backbone http://localhost:4710 --password-file pw.txt\n  \
    enlace receive 'http://localhost:4710/r/TOK…#…' --json | jq -r .sha256")]
pub(crate) struct ReceiveArgs {
    /// The reference, in URL form or truncated; quote it, or write - to give it on standard input
    #[arg(value_name = "REFERENCE")]
    reference: String,
    /// File or directory to write (default: the sender's name, here)
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Largest file to fetch, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_SIZE)]
    max_size: u64,
    #[command(flatten)]
    password: KnownPassword,
    /// Backbone to ask, if the reference does not name one
    #[arg(long, value_name = "URL", env = "ENLACE_BACKBONE", help_heading = "Node")]
    backbone: Option<String>,
    #[command(flatten)]
    client: ClientOptions,
    /// Allow http to a backbone on another machine
    #[arg(long, help_heading = "Node")]
    allow_plain_http: bool,
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: ReceiveArgs) -> Result<(), Failure> {
    let incoming = Incoming::from_argument(&args.reference)?;
    if let Some(output) = args.output.as_deref().filter(|path| !path.is_dir()) {
        // Before anybody is asked anything; the name does not matter here.
        Destination::choose(Some(output), "", args.force)?;
    }
    let plan = plan(&context.global, &args, &incoming)?;
    let password = args.password.for_reference(incoming.password.as_deref())?;
    let dir = plan.dir.clone();
    let access = context.interrupt.or(open(plan, context.output)).await?;
    let progress = Progress::new(context.output);
    let result =
        context.interrupt.or(receive(&access, &dir, &args, &incoming, password, &progress, context.output)).await;
    let result = result.map_err(|failure| match failure.kind {
        Kind::Interrupted => failure.hint("nothing was kept; the same command starts again"),
        _ => failure,
    });
    progress.finish();
    access.close().await?;
    let (file, saved) = result?;
    print(&context, &file, &saved);
    Ok(())
}

/// A process that serves the directory is asked, unless it has another backbone than the one that is asked for.
async fn open(plan: Plan, output: crate::output::Output) -> Result<Access, Failure> {
    let (dir, backbone) = (plan.dir.clone(), plan.backbone.clone());
    let access = Access::open(plan, output).await?;
    match backbone {
        WhichBackbone::At(url) if url != access.backbone_url() => {
            let home = access.backbone_url().to_owned();
            access.close().await?;
            Err(Failure::new(Kind::Refused, format!("the reference is for the backbone {url}, not for yours"))
                .hint(home_hint(&dir, &home)))
        }
        _ => Ok(access),
    }
}

/// The receiver's own plan: no configuration file, the backbone of the reference.
fn plan(global: &Global, args: &ReceiveArgs, incoming: &Incoming) -> Result<Plan, Failure> {
    let mut node = NodeOptions {
        backbone: args.backbone.clone(),
        client: ClientOptions { client: args.client.client.clone(), client_file: args.client.client_file.clone() },
        allow_plain_http: args.allow_plain_http,
        ..NodeOptions::default()
    };
    let settings = |global: &Global, node: &NodeOptions| {
        Ok::<_, Failure>(configuration(global, node, &ServerOptions::default(), &[], false)?.settings()?)
    };
    // What the user says of the backbone, in the environment too, comes before what the sender says.
    node.backbone = settings(global, &node)?.backbone_url;
    let chosen_by_sender = node.backbone.is_none();
    node.backbone = node.backbone.or_else(|| incoming.backbone_url.clone());
    let global = receiver_global(global, node.backbone.as_deref())?;
    let plan = Plan::new(settings(&global, &node)?, Purpose::Receiver)?;
    match &plan.backbone {
        WhichBackbone::At(url) if chosen_by_sender => stay_at_home(&plan, url).map(|()| plan),
        WhichBackbone::At(_) => Ok(plan),
        WhichBackbone::Embedded { .. } => Err(Failure::usage("the reference does not say which backbone to ask")
            .hint("use its URL form, or say which with --backbone URL")),
    }
}

/// A login shows the device's secrets to the backbone, so a sender must not be able to lead an identity to another one
/// than its own.
fn stay_at_home(plan: &Plan, url: &str) -> Result<(), Failure> {
    match Memory::recall(&plan.dir)?.home() {
        Some(home) if home != url => {
            Err(Failure::new(Kind::Refused, format!("the reference is for the backbone {url}, not for yours")).hint(
                format!(
                    "{}; if you know that both are one backbone, add --backbone {url}",
                    home_hint(&plan.dir, &home)
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// Without a data directory of its own choice, the receiver has one identity for each backbone.
pub(crate) fn receiver_global(global: &Global, backbone: Option<&str>) -> Result<Global, Failure> {
    let data_dir = match (&global.data_dir, backbone) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(url)) => Some(crate::platform::default_data_dir(Purpose::Receiver)?.join(directory_name(url))),
        (None, None) => None,
    };
    Ok(Global { data_dir, ..*global })
}

/// `http://localhost:4710/x` → `localhost_4710_x`.
fn directory_name(url: &str) -> String {
    const MAX_LENGTH: usize = 100;
    let plain = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    plain.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(MAX_LENGTH).collect()
}

async fn receive(
    access: &Access,
    dir: &DataDir,
    args: &ReceiveArgs,
    incoming: &Incoming,
    password: Option<Secret>,
    progress: &Progress,
    output: crate::output::Output,
) -> Result<(File, Saved), Failure> {
    let file = match access.load_file(&incoming.text, password.as_ref()).await {
        Ok(file) => file,
        Err(failure) => return Err(explain(failure, incoming, access, dir).await),
    };
    announce(&file.filename, file.filesize, args.max_size, output)?;
    let destination = Destination::choose(args.output.as_deref(), &file.filename, args.force)?;
    destination.explain(output);
    let content = access.download(file.id.as_str(), progress).await?;
    let saved = destination.write(content.reader, content.length, progress).await?;
    Ok((file, saved))
}

/// The backbone says "not found" for a wrong password and for the wrong identity, too; here we know what was asked for.
async fn explain(failure: Failure, incoming: &Incoming, access: &Access, dir: &DataDir) -> Failure {
    if failure.code.as_deref() == Some("error.transport.request.noAuthGrant") {
        let home = Memory::recall(dir).ok().and_then(|memory| memory.home());
        return failure.hint(home_hint(dir, home.as_deref().unwrap_or("another backbone")));
    }
    let ours = match access.who().await {
        Ok(who) => who.identity.address.to_string(),
        Err(_) => "unknown".to_owned(),
    };
    let not_for_us = failure.code.as_deref() == Some("error.transport.general.notIntendedForYou");
    match failure.kind {
        Kind::Refused if not_for_us => {
            failure.hint(format!("you are {ours}; the sender can share again with --for {ours}"))
        }
        Kind::NotFound if incoming.password.is_some() => Failure {
            kind: Kind::Refused,
            message: "the password is wrong, or the reference has expired or been deleted".to_owned(),
            ..failure
        }
        .hint("check the password; too many wrong ones lock the reference"),
        Kind::NotFound if incoming.for_identity.is_some() => Failure {
            kind: Kind::Refused,
            message: "the reference is for another identity, or has expired or been deleted".to_owned(),
            ..failure
        }
        .hint(format!("you are {ours}")),
        _ => failure,
    }
}

/// An identity lives at one backbone; another one does not know it.
fn home_hint(dir: &DataDir, home: &str) -> String {
    let dir = dir.path().display();
    format!("the identity in {dir} lives at {home}; use another directory with --data-dir DIR for this backbone")
}

fn print(context: &Context, file: &File, saved: &Saved) {
    let value = json!({
        "file": shape::file(file),
        "savedTo": saved.path.to_string_lossy(),
        "bytes": saved.bytes,
        "sha256": saved.sha256,
    });
    context.output.data(&value, || {
        shape::labelled(&[
            ("Saved to", printable(&saved.path.display().to_string())),
            ("Size", bytes(saved.bytes)),
            ("SHA-256", saved.sha256.clone()),
            ("From", file.created_by.to_string()),
        ])
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_backbone_has_its_own_directory() {
        assert_eq!(directory_name("http://localhost:4710"), "localhost_4710");
        assert_eq!(directory_name("https://b.example.org/x/"), "b_example_org_x");
        assert_eq!(directory_name("http://../../x"), "______x");
    }
}
