//! `enlace files`: list, upload, download, delete.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use runtime::facade::Ownership;
use runtime::tag::{self, DuplicateTag, Tags};
use runtime::{ErrorCode, MediaType, Timestamp};
use serde_json::json;

use super::{Context, shape};
use crate::access::{Access, NewFile};
use crate::args::{NodeOptions, PeerOptions, ServerOptions};
use crate::failure::Failure;
use crate::format::FormatOptions;
use crate::output::{Output, bytes, printable};
use crate::progress::ProgressOutput;
use crate::receive::{Kept, Saving, announce, fetch, stopped};
use crate::source_file::{SourceFile, parse_media_type, parse_name};
use crate::{terms, time};

/// List, upload, download and delete files.
///
/// Uses the REST API of the process that serves this data directory, or starts the node for the duration of the command.
#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    #[command(subcommand)]
    command: FilesCommand,
}

#[derive(Debug, Subcommand)]
enum FilesCommand {
    /// List files
    #[command(
        after_help = "Examples:\n  enlace files list\n  enlace files list --own --json\n  enlace files list --query 'filename=~report'"
    )]
    List(ListArgs),
    /// Encrypt a file and upload it
    #[command(
        after_help = "Examples:\n  enlace files upload report.pdf\n  enlace files upload report.pdf --title 'Q3' --expires-at 2030-01-31"
    )]
    Upload(UploadArgs),
    /// Download a file, verify it and save it
    #[command(
        after_help = "Examples:\n  enlace files download FIL0123456789abcdefg\n  enlace files download FIL0123456789abcdefg --output ~/Downloads"
    )]
    Download(DownloadArgs),
    /// Delete a file; an own file also at the backbone
    #[command(after_help = "Examples:\n  enlace files delete FIL0123456789abcdefg")]
    Delete(DeleteArgs),
}

/// Which records a list shows.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only records that this identity created
    #[arg(long, conflicts_with = "peer")]
    own: bool,
    /// Only records loaded from other identities
    #[arg(long)]
    peer: bool,
    /// Only records that match, in the REST API's filter language; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    query: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) node: NodeOptions,
}

impl ListArgs {
    /// Own, peers' or both.
    pub(crate) fn ownership(&self) -> Ownership {
        match (self.own, self.peer) {
            (true, _) => Ownership::Own,
            (_, true) => Ownership::Peer,
            _ => Ownership::Any,
        }
    }

    /// The filter.
    pub(crate) fn query(&self) -> &[(String, String)] {
        &self.query
    }
}

#[derive(Debug, Args)]
struct UploadArgs {
    /// File to upload; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File name that receivers see (default: that of the file; stdin for standard input)
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    name: Option<String>,
    /// Title shown to receivers
    #[arg(long)]
    title: Option<String>,
    /// Description shown to receivers
    #[arg(long)]
    description: Option<String>,
    /// A tag such as x:invoice; can be given several times
    #[arg(long, value_parser = parse_tag)]
    tag: Vec<String>,
    /// Media type (default: derived from the file name)
    #[arg(long, value_name = "TYPE", value_parser = parse_media_type)]
    mimetype: Option<MediaType>,
    #[command(flatten)]
    format: FormatOptions,
    /// Time until the file expires, such as 90s, 15m, 12h, 7d or 2w (default: never)
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = time::parse_duration,
        allow_hyphen_values = true,
        conflicts_with = "expires_at"
    )]
    expires_in: Option<Duration>,
    /// ISO 8601 time at which the file expires
    #[arg(long, value_name = "TIME", value_parser = time::parse_timestamp)]
    expires_at: Option<Timestamp>,
    #[command(flatten)]
    node: NodeOptions,
}

#[derive(Debug, Args)]
struct DownloadArgs {
    /// ID of the file
    #[arg(value_name = "ID")]
    id: String,
    /// File or directory to save to (default: the name of the file, in the current directory); - writes to standard output
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Overwrite an existing file, or write to standard output although it is a terminal
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    node: NodeOptions,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    /// ID of the file
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    node: NodeOptions,
}

/// `key=value` on the command line.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| format!("{text:?} must have the form KEY=VALUE"))
}

/// A tag of a kind that every node takes.
fn parse_tag(text: &str) -> Result<String, String> {
    let kinds = tag::KINDS.join(", ");
    let valid = tag::is_valid(text).then(|| text.to_owned());
    valid.ok_or_else(|| format!("a tag must begin with its kind ({kinds}); write a word of your own as x:WORD"))
}

fn tag_twice(_: DuplicateTag) -> Failure {
    Failure::usage("a tag is given twice").hint("give each tag once").code(ErrorCode::InvalidPropertyValue)
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: FilesArgs) -> Result<(), Failure> {
    let output = context.output;
    match args.command {
        FilesCommand::List(args) => {
            let (ownership, query) = (args.ownership(), args.query().to_vec());
            let files = context.with_access(&args.node, async |access| access.files(ownership, &query).await).await?;
            let value: Vec<_> = files.iter().map(shape::file).collect();
            output.data(&value, || shape::file_table(&files))
        }
        FilesCommand::Upload(args) => upload(context, args).await,
        FilesCommand::Download(args) => {
            let kept = Kept::default();
            let downloaded =
                context.with_access(&args.node, async |access| download(access, &args, &kept, output).await).await;
            downloaded.map_err(|failure| stopped(failure, args.output.as_deref(), &kept))
        }
        FilesCommand::Delete(args) => {
            context.with_access(&args.node, async |access| access.delete_file(&args.id).await).await?;
            output.data(&json!({ "deleted": args.id }), || format!("{} deleted", args.id))
        }
    }
}

async fn upload(mut context: Context, args: UploadArgs) -> Result<(), Failure> {
    let limit =
        context.configuration(&args.node, &ServerOptions::default(), &PeerOptions::default())?.settings.max_file_size;
    let format = args.format.with_limit(limit);
    let now = time::now();
    let expires_at = args.expires_at.or_else(|| args.expires_in.map(|span| now.saturating_add(span)));
    expires_at.map_or(Ok(()), |expires_at| terms::check_future(expires_at, now))?;
    let tags = Some(args.tag).filter(|tags| !tags.is_empty()).map(Tags::new).transpose().map_err(tag_twice)?;
    let new = NewFile {
        source: SourceFile::open(&args.file, format.limit())?.named(args.name.as_deref(), context.output),
        format,
        mimetype: args.mimetype,
        expires_at,
        title: args.title,
        description: args.description,
        tags,
    };
    let progress = ProgressOutput::new(context.output);
    let result = context.with_access(&args.node, async |access| access.upload(new, &progress).await).await;
    progress.finish();
    let file = result.map_err(|failure| progress.explain_stopped(failure))?;
    let mut value = json!(shape::file(&file));
    value["resumed"] = progress.resumed().into();
    context.output.data(&value, || {
        shape::labelled(&[
            ("ID", file.id.to_string()),
            ("Name", printable(&file.filename)),
            ("Size", bytes(file.filesize)),
            ("Expires", time::expiry(file.expires_at)),
            ("Reference", file.reference.url.clone()),
        ])
    })
}

async fn download(access: &Access, args: &DownloadArgs, kept: &Kept, output: Output) -> Result<(), Failure> {
    let file = access.file(&args.id).await?;
    announce(&file.filename, file.filesize, u64::MAX, output)?;
    let saving = Saving { output: args.output.as_deref(), overwrite: args.force, ..Saving::default() };
    let progress = ProgressOutput::new(output);
    let saved = fetch(access, &file, saving, kept, &progress, output).await;
    progress.finish();
    let saved = saved?;
    let output = output.beside_file(saved.is_on_standard_output());
    let paths = progress.paths();
    output.data(&shape::saved(&file, &saved, &paths), || shape::labelled(&shape::saved_rows(&saved, &paths)))
}
