//! `enlace share PATH…`: the whole way from files to a reference in one command.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use runtime::Timestamp;
use runtime::dto::{File, Notify, Token};
use runtime::facade::{CreateTokenForFile, Ownership, StartedUpload};
use serde_json::json;

use super::next_steps::options_of;
use super::peer_servers::wait_for_relay;
use super::share_code::Offer;
use super::share_direct::{DirectShare, Loss};
use super::share_notify::{INTERVAL, Watch};
use super::share_result::{Interface, Shared, SharedFile, files_of, print};
use super::{Context, share_code, share_direct, share_early};
use crate::access::{Access, NewFile};
use crate::args::{NodeOptions, PeerOptions, ServerOptions};
use crate::code::Kind;
use crate::config::Settings;
use crate::exclude::{Exclude, Pattern};
use crate::failure::Failure;
use crate::format::{Format, FormatOptions};
use crate::output::Output;
use crate::progress::ProgressOutput;
use crate::running::Running;
use crate::server::Served;
use crate::source_file::{SourceFile, parse_name};
use crate::source_tree::SourceTree;
use crate::terms::{Terms, TermsOptions, check_lifetime};
use crate::time;

/// Encrypt and upload files, print a reference to it, and serve until Ctrl-C.
///
/// If another process already serves the data directory, that process uploads a file and this command ends at once; with --code it
/// stays until the code has ended, with --direct-only until Ctrl-C, and with --notify until nobody else can use the reference.
///
/// By default, anyone who has the reference can load the file for 7 days; --expires-in, --for and the password options
/// change that. They apply to the reference: the file itself stays at the backbone until it is deleted, or for as long as
/// the backbone keeps files of guests. A file in format v1 that has been uploaded before is not uploaded again.
///
/// A folder, or several files and folders, are shared with one reference, which only enlace can read. Hidden files are
/// included. Symbolic links that are named are followed; those inside of a folder are left out and reported, as are
/// sockets, pipes, devices, names that other systems do not accept, and data directories of enlace.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace share report.pdf\n  \
    enlace share report.pdf --expires-in never\n  \
    enlace share report.pdf --expires-in 12h --password-file pw.txt\n  \
    enlace share photos --exclude '*.tmp' --exclude /raw/\n  \
    enlace share report.pdf photos notes.txt --name minutes\n  \
    enlace share report.pdf --code\n  \
    enlace share report.pdf --max-downloads 1 --notify\n  \
    enlace share video.mp4 --direct-only\n  \
    tar c photos | enlace share - --name photos.tar\n  \
    enlace share --text --name note.txt\n  \
    enlace share report.pdf --for did:e:localhost:dids:0123456789abcdef012357\n  \
    enlace share report.pdf --json | jq -r .reference")]
pub(crate) struct ShareArgs {
    /// Files and folders to share; - alone reads standard input
    #[arg(value_name = "PATH", required_unless_present = "text")]
    paths: Vec<PathBuf>,
    /// Share a text instead of a file: the one on standard input, or one that is typed at a terminal
    ///
    /// It is not an argument, because other users of this machine can see those and shells keep them.
    #[arg(long, conflicts_with_all = ["paths", "exclude"])]
    text: bool,
    /// File name that receivers see (default: that of the file or folder, "files" for several, text.txt for a text, stdin
    /// for standard input)
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    name: Option<String>,
    /// Leave out files and folders that match; can be given several times
    ///
    /// As in a .gitignore file, a pattern without a slash matches a name at any depth: *.tmp. With a slash at its start or
    /// inside it matches the path below the shared folder, or, if several paths are named, the path that begins with the last
    /// name of one of them: /build, docs/*.pdf, docs/**/*.pdf. With a slash at its end it matches folders only: cache/. A
    /// folder that matches is left out with everything in it. There are *, ?, [abc], [!abc] and **; upper and lower case
    /// differ. A file or folder that is the only one named is always shared.
    #[allow(rustdoc::broken_intra_doc_links, reason = "the help shows the text as it is")]
    #[arg(long, value_name = "GLOB", value_parser = Pattern::parse)]
    exclude: Vec<Pattern>,
    /// Print the reference as soon as the upload begins, so that receivers follow it; implies --format v2
    ///
    /// With --json, a line with only the token and the reference comes first.
    #[arg(long)]
    early: bool,
    /// Say when somebody uses the reference, and end when nobody else can: after the last of --max-downloads, or at the expiry
    ///
    /// Transfers that have begun end first. A program that does not tell when it has the file gets a minute to ask for it.
    /// What is sent directly is told as well, with the address of the receiver if it has proven it, but not by a process that
    /// serves the data directory already. With --json these are lines on standard error. It takes a backbone that counts uses, and a
    /// token that is stored.
    #[arg(long, conflicts_with = "ephemeral", help_heading = "Terms")]
    notify: bool,
    /// Do not draw a QR code
    #[arg(long)]
    no_qr: bool,
    #[command(flatten)]
    format: FormatOptions,
    #[command(flatten)]
    terms: TermsOptions,
    #[command(flatten)]
    node: NodeOptions,
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    peers: PeerOptions,
    /// Let peers connect from this machine only
    ///
    /// Other machines cannot reach this one, and nobody tells them of it: there is no multicast DNS, no relay and no distributed
    /// hash table.
    #[arg(long, conflicts_with = "peer_listen", help_heading = "Peers")]
    local: bool,
    /// Pass the reference on by a short code, too, which the receiver types: enlace receive 7-amber-violin
    ///
    /// The receiver finds this node in the local network, or at a rendezvous server that both use. The first try ends the code,
    /// right or wrong, and so do 10 minutes. Both sides then show a fingerprint, which has to be the same.
    #[arg(long, conflicts_with_all = ["local", "no_direct"], help_heading = "Peers")]
    code: bool,
    /// Share without a backbone: nothing is uploaded, and receivers load the file from this machine while the command runs
    ///
    /// A running process that serves the data directory gets a sealed copy, which is removed at the end of this command. Its content
    /// store needs room for it.
    #[arg(long, conflicts_with_all = ["no_direct", "early", "text"], help_heading = "Peers")]
    direct_only: bool,
}

impl ShareArgs {
    /// What is shared. Says what that is if there may be several files.
    fn source(&self, format: Format, output: Output) -> Result<SourceFile, Failure> {
        match self.paths.as_slice() {
            [] => SourceFile::text(format.limit()),
            [path] if !path.is_dir() => SourceFile::open(path, format.limit()),
            several => {
                format.check_several()?;
                let tree = SourceTree::open(several, &Exclude::from(self.exclude.clone()))?;
                tree.describe(output);
                Ok(SourceFile::tree(tree))
            }
        }
    }
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: ShareArgs) -> Result<(), Failure> {
    let mut configuration = context.configuration(&args.node, &args.server, &args.peers)?;
    if let Some(peers) = &mut configuration.settings.peers
        && args.local
    {
        peers.stays_local();
    }
    let format = args.format.with_limit(configuration.settings.max_file_size);
    let source = args.source(format, context.output)?;
    if args.direct_only {
        share_direct::check(&source, format)?;
    }
    let mut terms = args.terms.read(time::now())?;
    terms.request.terms.notify = args.notify.then_some(Notify::Each);
    let source = source.named(args.name.as_deref(), context.output);
    let files = source.manifest().map(files_of);
    let mut plan = context.plan(configuration, &args.node)?;
    if let Some(store) = &mut plan.settings.content_store {
        // The shared files themselves are read again; nothing is copied.
        (store.keep_uploads, store.keep_downloads) = (false, false);
    }
    let settings = plan.settings.clone();
    let output = context.output;
    check_peers(&args, &settings)?;
    // A second `share` uses the process that serves the directory; only one can have it.
    let access = context.interrupt.or(Access::open(plan, output)).await?;
    let checked = check_running(&args, &access).await;
    let served = match checked {
        Ok(()) => serve(&access, &settings).await,
        Err(failure) => Err(failure),
    };
    let served = match served {
        Ok(served) => served,
        Err(failure) => {
            access.close().await?;
            return Err(failure);
        }
    };
    let progress = ProgressOutput::new(output);
    let sharing = async {
        if let Access::Here(node) = &access {
            wait_for_relay(node, &settings).await;
        }
        if args.code {
            share_code::check(&access, output).await?;
        }
        carry_out(&args, &access, source, (format, terms), (output, &progress)).await
    };
    let shared = context.interrupt.or(sharing).await;
    progress.finish();
    let interface = Interface::of(&access, served.as_ref()).await.alone(args.direct_only);
    let (shared, mut alone) = match shared {
        Ok((file, token, alone)) => (Ok(Shared { file, token, files, resumed: progress.resumed() }), alone),
        Err(failure) => (Err(progress.explain_stopped(failure)), None),
    };
    let token = shared.as_ref().ok().map(|shared| shared.token.clone()).filter(|_| args.notify);
    let watch = token.map(|token| Watch::new(&access, token));
    let loss = shared.as_ref().ok().filter(|_| alone.is_some()).map(|shared| Loss::of(&access, &shared.file));
    let loss = async {
        match loss {
            Some(loss) => loss.warn(output).await,
            None => std::future::pending().await,
        }
    };
    let told = async {
        let shared = shared?;
        let passed_on = interface.passed_on(&shared.token);
        let code = match args.code {
            true => Some(share_code::offer(&access, &passed_on.reference).await?),
            false => None,
        };
        let options = (args.no_qr, options_of(&context, &args.node));
        print(&shared, &interface, (&passed_on, code.as_ref()), options, output)?;
        Ok(code)
    };
    let told = match (told.await, &served) {
        (Ok(code), Some(served)) => {
            served.warn(output);
            tokio::select! {
                outcome = serve_until_asked(&mut context, code, watch) => outcome,
                never = loss => match never {},
            }
        }
        (Ok(code), None) => stay(&mut context, code, alone.as_mut(), watch).await,
        (Err(failure), _) => Err(failure),
    };
    if let Some(share) = alone {
        share.stop(&access).await;
    }
    if let Some(served) = served {
        served.stop().await;
    }
    access.close().await?;
    told
}

/// Shares in the way that the options ask for.
async fn carry_out(
    args: &ShareArgs,
    access: &Access,
    source: SourceFile,
    (format, terms): (Format, Terms),
    (output, progress): (Output, &ProgressOutput),
) -> Result<(SharedFile, Token, Option<DirectShare>), Failure> {
    if args.direct_only {
        let expires_at = Wanted::new(&terms, time::now()).of_token(Timestamp::NEVER);
        let terms = CreateTokenForFile { expires_at, ..terms.request };
        let (file, token, share) = share_direct::share(access, source, format, terms, progress).await?;
        return Ok((file, token, Some(share)));
    }
    let (file, token) = match args.early {
        true => share_while_uploading(access, source, format, terms, (output, progress)).await?,
        false => share(access, source, format, terms, (output, progress)).await?,
    };
    Ok((SharedFile::from(&file), token, None))
}

/// What the options ask for that needs peers.
fn needs_peers(args: &ShareArgs) -> Option<&'static str> {
    match (args.direct_only, args.code) {
        (true, _) => Some("share a file without a backbone"),
        (false, true) => Some("offer a code"),
        (false, false) => None,
    }
}

/// Refuses what peers are needed for if there are none.
fn check_peers(args: &ShareArgs, settings: &Settings) -> Result<(), Failure> {
    match needs_peers(args) {
        Some(what) if settings.peers.is_none() => {
            Err(Failure::usage(format!("cannot {what}, because peers are switched off"))
                .hint("set enlace.peers.enabled to true"))
        }
        _ => Ok(()),
    }
}

/// The same if another process has started the node, before it is sent a file. Options that say how peers connect are refused, too:
/// that process would go on as it is.
async fn check_running(args: &ShareArgs, access: &Access) -> Result<(), Failure> {
    let Access::There { client, running } = access else { return Ok(()) };
    check_options(args, running)?;
    let Some(what) = needs_peers(args) else { return Ok(()) };
    match client.peers().await?.this {
        Some(_) => Ok(()),
        None => {
            let pid = running.pid;
            let told = format!("cannot {what}, because peers are switched off in the running process {pid}");
            Err(Failure::new(Kind::Refused, told)
                .hint(format!("stop process {pid}, which serves this data directory, and run the same command")))
        }
    }
}

fn check_options(args: &ShareArgs, running: &Running) -> Result<(), Failure> {
    let option = args.local.then_some("--local");
    match option.or_else(|| args.peers.settings().first().map(|(_, _, option)| *option)) {
        None => Ok(()),
        Some(option) => {
            Err(Failure::new(Kind::Refused, format!("{option} has no effect on the running process {}", running.pid))
                .hint("stop that process and run the same command, or omit the option"))
        }
    }
}

/// Waits for Ctrl-C, and says meanwhile what has become of the code and the token; or until nobody else can use the token.
async fn serve_until_asked(
    context: &mut Context,
    code: Option<Offer>,
    watch: Option<Watch<'_>>,
) -> Result<(), Failure> {
    let output = context.output;
    let of_code = async {
        if let Some(code) = code {
            share_code::follow(code, output).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = of_code => {}
        outcome = uses(watch, output) => return outcome,
        () = context.interrupt.asked() => {}
    }
    output.talk("stopping");
    Ok(())
}

/// Says what has become of the token, until nobody else can use it.
async fn uses(watch: Option<Watch<'_>>, output: Output) -> Result<(), Failure> {
    match watch {
        Some(watch) => watch.follow(INTERVAL, output).await,
        None => std::future::pending().await,
    }
}

/// Stays while a running process does something for this command: until the code has ended, until nobody else can use a token that is
/// watched, or until Ctrl-C if only this command shares the file.
async fn stay(
    context: &mut Context,
    code: Option<Offer>,
    share: Option<&mut DirectShare>,
    watch: Option<Watch<'_>>,
) -> Result<(), Failure> {
    let output = context.output;
    let stays = share.is_some() || watch.is_some();
    let of_code = async {
        if let Some(code) = code {
            share_code::follow(code, output).await;
        }
        if stays { std::future::pending().await } else { Ok(()) }
    };
    let of_share = async {
        match share {
            Some(share) => share.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        outcome = of_code => outcome,
        outcome = of_share => outcome,
        outcome = uses(watch, output) => outcome,
        () = context.interrupt.asked() => {
            output.talk("stopping");
            Ok(())
        }
    }
}

/// Starts the REST interface of a node in this process; one in another process has it already.
async fn serve(access: &Access, settings: &Settings) -> Result<Option<Served>, Failure> {
    match access {
        Access::Here(node) => Served::start(node, settings, json!({})).await.map(Some),
        Access::There { .. } => Ok(None),
    }
}

async fn share(
    access: &Access,
    source: SourceFile,
    format: Format,
    terms: Terms,
    (output, progress): (Output, &ProgressOutput),
) -> Result<(File, Token), Failure> {
    let wanted = Wanted::of(&terms, access).await?;
    access.check_terms(&terms.request).await?;
    let earlier = match format.accepts_v1() && source.manifest().is_none() {
        true => uploaded_before(access, &source, wanted).await?,
        false => None,
    };
    let file = match earlier {
        Some(file) => {
            output.talk(format!("the file has been uploaded before, as {}", file.id));
            file
        }
        None => {
            let file = access.upload(NewFile::new(source, format), progress).await;
            progress.finish();
            file?
        }
    };
    let request = CreateTokenForFile { expires_at: wanted.of_token(file.expires_at), ..terms.request };
    let token = access.create_token_for_file(file.id.as_str(), request).await?;
    Ok((file, token))
}

/// The same with a reference that is printed when the upload begins.
async fn share_while_uploading(
    access: &Access,
    source: SourceFile,
    format: Format,
    terms: Terms,
    (output, progress): (Output, &ProgressOutput),
) -> Result<(File, Token), Failure> {
    let wanted = Wanted::of(&terms, access).await?;
    access.check_terms(&terms.request).await?;
    let request = |expires_at| CreateTokenForFile { expires_at: wanted.of_token(expires_at), ..terms.request.clone() };
    let new = NewFile::new(source, format.in_chunks()?);
    let of_upload = |upload: &StartedUpload| request(upload.expires_at());
    let (file, token) = share_early::share(access, new, of_upload, (output, progress)).await?;
    let token = match token {
        Some(token) => token,
        None => access.create_token_for_file(file.id.as_str(), request(file.expires_at)).await?,
    };
    Ok((file, token))
}

/// An own file with the same name and the same bytes that lives long enough for the token. A node that cannot
/// tell has none: uploading once more is always right.
///
/// # Errors
/// A failure if the file here cannot be read.
async fn uploaded_before(access: &Access, source: &SourceFile, wanted: Wanted) -> Result<Option<File>, Failure> {
    if source.is_stream() {
        return Ok(None);
    }
    let now = time::now();
    let mimetype = source.media_type();
    let (name, length) = (source.name.clone(), source.length);
    let fits = |file: &File| {
        file.filename == name
            && file.filesize == length
            && file.mimetype == mimetype.as_str()
            && wanted.is_met_by((file.created_at, file.expires_at), now)
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

/// Until when a reference can be used.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// Until then.
    At(Timestamp),
    /// Until then, or as long as the file if that is shorter.
    AtMost(Timestamp),
    /// As long as the file.
    AsFile,
}

impl Wanted {
    /// # Errors
    /// A failure if the node's backbone keeps nothing for so long.
    async fn of(terms: &Terms, access: &Access) -> Result<Self, Failure> {
        let now = time::now();
        if let Some(expires_at) = terms.request.expires_at {
            check_lifetime(expires_at, now, access.max_lifetime().await)?;
        }
        Ok(Self::new(terms, now))
    }

    fn new(terms: &Terms, now: Timestamp) -> Self {
        match (terms.request.expires_at, terms.never) {
            (Some(time), _) => Self::At(time),
            (None, true) => Self::AsFile,
            (None, false) => Self::AtMost(now.saturating_add(DEFAULT_LIFE)),
        }
    }

    /// When the token of a file expires that expires then; with the file if nothing is said.
    fn of_token(self, file_expires_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(time),
            Self::AtMost(time) => Some(time.min(file_expires_at)),
            Self::AsFile => None,
        }
    }

    /// Whether a file that was created and expires at these times lives long enough.
    ///
    /// A token that lasts as long as the file needs one that never expires, or one whose life the backbone has shortened and
    /// of which at least half is left: a new upload would get no more than twice that.
    fn is_met_by(self, (created_at, expires_at): (Timestamp, Timestamp), now: Timestamp) -> bool {
        let life = expires_at.saturating_duration_since(created_at);
        let is_longest = expires_at >= Timestamp::NEVER
            || is_shortened(life) && expires_at.saturating_duration_since(now) >= life / 2;
        match self {
            Self::At(time) => expires_at >= time,
            Self::AtMost(time) => expires_at >= time || is_longest,
            Self::AsFile => is_longest,
        }
    }
}

/// Whether a life is one that a backbone gives to guests: whole days from the creation by its own clock. One that somebody
/// chose begins before the upload, so it is not a whole number of days to the millisecond.
fn is_shortened(life: Duration) -> bool {
    !life.is_zero() && life.as_millis().is_multiple_of(MILLISECONDS_PER_DAY)
}

/// How long a reference can be used if nothing is said.
const DEFAULT_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MILLISECONDS_PER_DAY: u128 = 24 * 60 * 60 * 1000;

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
            ((day(0), Timestamp::NEVER), Wanted::AsFile, day(1000), true),
            ((day(0), Timestamp::NEVER), Wanted::At(day(50)), day(40), true),
            (guests, Wanted::At(day(30)), day(1), true),
            (guests, Wanted::At(day(30).saturating_add(millisecond)), day(1), false),
            (guests, Wanted::AsFile, day(15), true),
            (guests, Wanted::AsFile, day(15).saturating_add(millisecond), false),
            (guests, Wanted::AsFile, day(31), false),
            (guests, Wanted::AtMost(day(30)), day(23), true),
            (guests, Wanted::AtMost(day(31)), day(24), false),
            (guests, Wanted::AtMost(day(31)), day(15), true),
            (chosen, Wanted::At(day(29)), day(1), true),
            (chosen, Wanted::AsFile, day(1), false),
            (chosen, Wanted::AtMost(day(30)), day(23), false),
            ((day(1), day(1)), Wanted::AsFile, day(1), false),
        ];
        for (file, wanted, now, expected) in cases {
            assert_eq!(wanted.is_met_by(file, now), expected, "{file:?} {wanted:?} {now}");
        }
    }

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
}
