//! `enlace share FILE`: the whole way from a file to a reference in one command.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use runtime::Timestamp;
use runtime::dto::{File, Token};
use runtime::facade::Ownership;
use serde_json::{Value, json};

use super::Context;
use super::shape;
use super::terms::{Terms, TermsOptions};
use crate::access::{Access, NewFile};
use crate::args::{NodeOptions, ServerOptions};
use crate::config::Settings;
use crate::failure::Failure;
use crate::output::{Output, bytes};
use crate::progress::Progress;
use crate::server::Served;
use crate::source_file::{SourceFile, media_type};
use crate::{qr, time};

/// Encrypt and upload a file, print a reference to it, and serve until Ctrl-C.
///
/// If a process serves the data directory already, it takes the file, and this command ends at once.
///
/// Whoever has the reference can load the file; --for and the password options narrow that down. The same file is
/// uploaded only once. The terms are those of the reference: the file itself stays until it is deleted, or for as long as
/// the backbone keeps files of guests.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace share report.pdf\n  \
    enlace share report.pdf --expires-in 7d --password-file pw.txt\n  \
    enlace share report.pdf --for did:e:localhost:dids:0123456789abcdef012345\n  \
    enlace share report.pdf --json | jq -r .token.reference.url")]
pub(crate) struct ShareArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    terms: TermsOptions,
    /// Do not draw a QR code
    #[arg(long)]
    no_qr: bool,
    #[command(flatten)]
    node: NodeOptions,
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: ShareArgs) -> Result<(), Failure> {
    let configuration = context.configuration(&args.node, &args.server)?;
    let source = SourceFile::open(&args.file, configuration.settings()?.max_file_size)?;
    let terms = args.terms.read(time::now())?;
    source.explain_name(context.output);
    let plan = context.plan(configuration, &args.node)?;
    let settings = plan.settings.clone();
    let output = context.output;
    // A second `share` uses the process that serves the directory; only one can have it.
    let access = context.interrupt.or(Access::open(plan, output)).await?;
    let served = match serve(&access, &settings).await {
        Ok(served) => served,
        Err(failure) => {
            access.close().await?;
            return Err(failure);
        }
    };
    let shared = context.interrupt.or(share(&access, source, terms, output)).await;
    if let Ok((file, token)) = &shared {
        print(&context, &args, file, token, &Interface::new(&access, served.as_ref()));
        if let Some(served) = &served {
            served.warn(output);
            context.interrupt.asked().await;
            output.talk("stopping");
        }
    }
    if let Some(served) = served {
        served.stop().await;
    }
    access.close().await?;
    shared.map(drop)
}

/// Starts the REST interface of a node in this process; one in another process has it already.
async fn serve(access: &Access, settings: &Settings) -> Result<Option<Served>, Failure> {
    match access {
        Access::Here(node) => Served::start(node, settings, json!({})).await.map(Some),
        Access::There { .. } => Ok(None),
    }
}

/// Where the node that serves can be asked.
struct Interface {
    /// `{"url", "listen", "apiKeyFile"}`, or nothing if it is off.
    rest: Value,
    backbone_url: String,
    /// The other process that serves, if one does.
    pid: Option<u32>,
}

impl Interface {
    fn new(access: &Access, served: Option<&Served>) -> Self {
        match access {
            Access::Here(node) => Self {
                rest: served.map_or(Value::Null, Served::json),
                backbone_url: node.backbone_url.clone(),
                pid: None,
            },
            Access::There { running, .. } => {
                Self { rest: running.json(), backbone_url: running.backbone_url.clone(), pid: Some(running.pid) }
            }
        }
    }
}

async fn share(
    access: &Access,
    mut source: SourceFile,
    terms: Terms,
    output: Output,
) -> Result<(File, Token), Failure> {
    let file = match uploaded_before(access, &mut source, terms.expires_at).await? {
        Some(file) => {
            output.talk(format!("the backbone has the file already, as {}", file.id));
            file
        }
        None => {
            let new =
                NewFile { source, mimetype: None, expires_at: None, title: None, description: None, tags: Vec::new() };
            let progress = Progress::new(output);
            let file = access.upload(new, &progress).await;
            progress.finish();
            file?
        }
    };
    let token = access.create_token_for_file(file.id.as_str(), terms).await?;
    Ok((file, token))
}

/// An own file with the same name and the same bytes that lives long enough for a token until `wanted`. A node that cannot
/// tell has none: uploading once more is always right.
///
/// # Errors
/// A failure if the file here cannot be read.
async fn uploaded_before(
    access: &Access,
    source: &mut SourceFile,
    wanted: Option<Timestamp>,
) -> Result<Option<File>, Failure> {
    let now = time::now();
    let mimetype = media_type(&source.name);
    let (name, length) = (source.name.clone(), source.length);
    let fits = |file: &File| {
        file.filename == name
            && file.filesize == length
            && file.mimetype == mimetype
            && lives_long_enough((file.created_at, file.expires_at), wanted, now)
    };
    let find = async |field: &str, value: String| {
        let files = access.files(Ownership::Own, &[(field.to_owned(), value)]).await;
        files.unwrap_or_default().into_iter().rev().find(&fits)
    };
    // Only a file that may be the same is worth reading twice.
    if find("filesize", length.to_string()).await.is_none() {
        return Ok(None);
    }
    Ok(find("plaintextHash", source.plaintext_hash().await?).await)
}

/// Whether a file that was created and expires at these times outlives a token until `wanted`.
///
/// Without a wish the token lasts as long as the file. Then the file must never expire, or the backbone must have shortened
/// its life and at least half of it must be left: a new upload would get no more than twice that.
fn lives_long_enough(
    (created_at, expires_at): (Timestamp, Timestamp),
    wanted: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    match wanted {
        Some(wanted) => expires_at >= wanted,
        None if expires_at >= Timestamp::NEVER => true,
        None => {
            let life = expires_at.saturating_duration_since(created_at);
            is_shortened(life) && expires_at.saturating_duration_since(now) >= life / 2
        }
    }
}

/// Whether a life is one that a backbone gives to guests: whole days from the creation by its own clock. One that somebody
/// chose begins before the upload, so it is not a whole number of days to the millisecond.
fn is_shortened(life: Duration) -> bool {
    !life.is_zero() && life.as_millis().is_multiple_of(MILLISECONDS_PER_DAY)
}

const MILLISECONDS_PER_DAY: u128 = 24 * 60 * 60 * 1000;

fn print(context: &Context, args: &ShareArgs, file: &File, token: &Token, interface: &Interface) {
    let value = json!({
        "token": shape::token(token),
        "file": shape::file(file),
        "rest": interface.rest,
        "backbone": { "url": interface.backbone_url },
    });
    if !args.no_qr
        && let Some(code) = qr::terminal(&token.reference.url)
    {
        context.output.talk(code);
    }
    context.output.data(&value, || {
        let text = |member: &str| interface.rest[member].as_str().map(str::to_owned);
        shape::labelled(&[
            ("Reference", token.reference.url.clone()),
            ("Truncated", token.reference.truncated.clone()),
            ("Expires", time::expiry(token.expires_at)),
            ("File", format!("{} ({})", file.id, bytes(file.filesize))),
            ("REST API", text("url").map_or_else(|| "off".to_owned(), |url| format!("{url}/api/v2"))),
            ("API key", text("apiKeyFile").unwrap_or_default()),
        ])
    });
    context.output.talk(match interface.pid {
        Some(pid) => format!("process {pid} serves it for as long as it runs; to receive it:"),
        None => "serving until Ctrl-C; to receive it in another terminal:".to_owned(),
    });
    context.output.talk(format!("  enlace receive '{}'", token.reference.url));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_shared_again_while_it_outlives_the_token() {
        let day = |number: u32| "2030-01-01".parse::<Timestamp>().unwrap().saturating_add(number * DAY);
        let millisecond = Duration::from_millis(1);
        let guests = (day(0), day(30));
        let chosen = (day(0), day(30).saturating_sub(millisecond));
        let cases = [
            ((day(0), Timestamp::NEVER), None, day(1000), true),
            ((day(0), Timestamp::NEVER), Some(day(50)), day(40), true),
            (guests, Some(day(30)), day(1), true),
            (guests, Some(day(30).saturating_add(millisecond)), day(1), false),
            (guests, None, day(15), true),
            (guests, None, day(15).saturating_add(millisecond), false),
            (guests, None, day(31), false),
            (chosen, Some(day(29)), day(1), true),
            (chosen, None, day(1), false),
            ((day(1), day(1)), None, day(1), false),
        ];
        for (file, wanted, now, expected) in cases {
            assert_eq!(lives_long_enough(file, wanted, now), expected, "{file:?} {wanted:?} {now}");
        }
    }

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
}
