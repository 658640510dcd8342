//! `enlace receive REFERENCE`: load, verify, write.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use runtime::dto::File;
use runtime::facade::{Followed, GrowingFile};
use runtime::{ErrorCode, Fingerprint, Secret, leads_to_this_machine};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::next_steps::shell_word;
use super::peer_servers::{servers_of, with_servers_of};
use super::{Context, receive_direct, shape};
use crate::access::Access;
use crate::args::{ClientOptions, Global, NodeOptions, PeerOptions, ServerOptions};
use crate::code::{Code, Kind};
use crate::config::{Configuration, Settings, backbone_url};
use crate::data_dir::{DataDir, Purpose, default_data_dir};
use crate::failure::Failure;
use crate::home::{Home, place_of, same};
use crate::node::{Plan, WhichBackbone, configuration};
use crate::passwords::{self, KnownPassword, ask_again};
use crate::paths::Paths;
use crate::progress::ProgressOutput;
use crate::receive::{
    Destination, Incoming, Kept, Listed, Saved, Saving, announce, code, fetch, follow, hex, list, place, stopped,
    with_attempts,
};
use crate::size;

/// Names the backbone of references that do not.
const BACKBONE_VARIABLE: &str = "ENLACE_BACKBONE";
/// Largest file that is fetched without --max-size.
const DEFAULT_MAX_SIZE: &str = "1G";

/// Download a file by its reference, verify it and save it.
///
/// The file comes directly from the sender's machine if that can be reached, and from the backbone else; the result says by which
/// path. A code in place of a reference is the one that `share --code` prints: the sender is looked for in the local network, and with
/// --backbone at the rendezvous server of that backbone, which the sender has to use, too.
///
/// The first use creates a separate identity at the backbone that the reference names. It logs in there as the public client,
/// unless --backbone or ENLACE_BACKBONE names the same backbone. If the backbone is on the sender's machine, nobody is logged in
/// to, and the file comes from the sender alone. The file is saved under the name that the sender gave it,
/// without what is unsafe in a name, unless --output names it. Existing files are overwritten only with --force.
///
/// A download that is interrupted continues if you run the same command again. Until it is complete, what arrived is beside the
/// destination in a hidden file or folder, .NAME.….part, which you can remove. Files in format v1, single files of several
/// (--only) and standard output start anew. A file that is still being uploaded is received at the same time; several files can be
/// received when their upload has ended.
///
/// Several files are saved in a new folder that has the sender's name, or the one that --output names. It gets this name when all
/// files are complete. Nothing in it is executable, unless --keep-modes is given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace receive 'http://localhost:4710/r/TOK…#…'\n  \
    enlace receive 'http://localhost:4710/r/TOK…#…' --output ~/Downloads\n  \
    enlace receive 'http://localhost:4710/r/TOK…#…' --list\n  \
    enlace receive 7-amber-violin\n  \
    enlace receive 7-amber-violin --backbone https://backbone.example.org\n  \
    enlace receive VE9L… --backbone http://localhost:4710 --password-file pw.txt\n  \
    enlace receive 'https://backbone.example.org/r/TOK…#…' --backbone https://backbone.example.org --client-file client.txt\n  \
    enlace receive 'http://localhost:4710/r/TOK…#…' --json | jq -r .sha256")]
pub(crate) struct ReceiveArgs {
    /// Reference, as URL or truncated, or the code of the sender; quote it, or use - to read it from standard input
    #[arg(value_name = "REFERENCE|CODE")]
    reference: String,
    /// File or directory to save to (default: the sender's file name, in the current directory); - writes to standard output
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Save one of several files: its path as --list shows it
    #[arg(long, value_name = "PATH")]
    only: Option<String>,
    /// Show which files the reference is to, and fetch none of them
    #[arg(long, conflicts_with_all = ["only", "output", "force", "keep_modes"])]
    list: bool,
    /// Give several files the permissions that they had at the sender, as far as the umask allows
    #[arg(long, conflicts_with = "only")]
    keep_modes: bool,
    /// Overwrite an existing file, or write to standard output although it is a terminal
    #[arg(long)]
    force: bool,
    /// Maximum size of what is fetched: bytes, or a size such as 10M or 2G
    #[arg(long, value_name = "SIZE", default_value = DEFAULT_MAX_SIZE, value_parser = size::parse)]
    max_size: u64,
    #[command(flatten)]
    password: KnownPassword,
    /// URL of the backbone to use instead of the one in the reference, and to look for the sender of a code; ENLACE_BACKBONE is used
    /// if the reference names none
    #[arg(long, value_name = "URL", help_heading = "Node")]
    backbone: Option<String>,
    #[command(flatten)]
    client: ClientOptions,
    /// Allow http to a backbone on another machine
    #[arg(long, help_heading = "Node")]
    allow_plain_http: bool,
    /// Connect to an address of this machine or of a private network that only the reference names
    ///
    /// Not needed for a backbone on this machine.
    #[arg(long, help_heading = "Node")]
    allow_private: bool,
    /// Log in at the given backbone although the identity was created at another one, and use it from now on
    #[arg(long, help_heading = "Node")]
    change_backbone: bool,
    #[command(flatten)]
    peers: PeerOptions,
    /// Ask for a code at this address, too, as multiaddr with /p2p/ and the peer ID of the sender; can be given several times
    ///
    /// For networks in which the sender is not found: `share --json` prints the ID and the addresses.
    #[arg(
        long,
        value_name = "MULTIADDR",
        value_parser = parse_peer_address,
        conflicts_with = "no_direct",
        help_heading = "Peers"
    )]
    peer_address: Vec<String>,
}

/// The address of a sender. Only its peer ID, which ends it, says that the right one answers.
fn parse_peer_address(text: &str) -> Result<String, String> {
    match text.rsplit_once("/p2p/") {
        Some((_, id)) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Ok(text.to_owned()),
        _ => Err("does not end in /p2p/ and the peer ID of the sender; `share --json` prints it as peer.id".to_owned()),
    }
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: ReceiveArgs) -> Result<(), Failure> {
    let word = word(&args.reference)?;
    if let Some(output) = args.output.as_deref().filter(|path| !path.is_dir()) {
        // Before anybody is asked anything; the name does not matter here.
        Destination::choose(Some(output), "", args.force)?;
    }
    let configuration = configuration_of(&context.global, &args)?;
    let (incoming, fingerprint) = match code::is_code(&word) {
        true => {
            let (incoming, fingerprint) = ask_by_code(&mut context, &args, &word, &configuration.settings).await?;
            (incoming, Some(fingerprint))
        }
        false if !args.peer_address.is_empty() => {
            return Err(Failure::usage("--peer-address is for codes only")
                .hint("omit it: a reference says where the sender is"));
        }
        false => (Incoming::parse(&word)?, None),
    };
    let configuration = received(configuration);
    let is_alone = receive_direct::is_only_way(&context.global, &incoming, &configuration).await?;
    let plan = match is_alone {
        true => receive_direct::plan(&context.global, configuration.clone())?,
        false => plan(&context.global, &args, &incoming, configuration.clone())?,
    };
    if let WhichBackbone::At(url) = &plan.backbone
        && !is_alone
        && !plan.backbone_is_configured
        && !Home::of(&plan.dir)?.is_some_and(|home| home.is(url))
    {
        place::check(url, args.allow_private).await?;
    }
    plan.warn_of_unused_client(context.output)?;
    let password = args.password.for_reference(incoming.password.as_deref())?;
    let (access, dir) = open(&mut context, plan, &incoming, &configuration).await?;
    let progress = ProgressOutput::new(context.output);
    let kept = match fingerprint {
        // The code is used up.
        Some(_) => Kept::with_command(by_reference(std::env::args_os(), &args.reference, &incoming.text)),
        None => Kept::default(),
    };
    let receiver =
        Receiver { access: &access, dir: &dir, args: &args, incoming: &incoming, kept: &kept, progress: &progress };
    let receiving = progress.watching(receiver.receive(password, context.output));
    let result = context.interrupt.or(receiving).await;
    let result = result.map_err(|failure| stopped(failure, args.output.as_deref(), &kept));
    progress.finish();
    // A backbone in this process has nothing of the sender, and ends now.
    let is_at_backbone = !(incoming.is_direct && access.has_embedded_backbone());
    access.close().await?;
    match result? {
        (file, Received::Saved(saved)) => {
            let value = shown(shape::saved(&file, &saved, &progress.paths()), is_at_backbone);
            print(&context, value, (&file, &saved), &progress.paths(), fingerprint)
        }
        (file, Received::Listed(listed)) => {
            let value = shown(shape::listed(&file, &listed), is_at_backbone);
            context.output.data(&value, || shape::listed_table(&listed))
        }
    }
}

/// What came of it.
enum Received {
    Saved(Saved),
    Listed(Listed),
}

/// Everything that one run needs.
struct Receiver<'a> {
    access: &'a Access,
    dir: &'a DataDir,
    args: &'a ReceiveArgs,
    incoming: &'a Incoming,
    kept: &'a Kept,
    progress: &'a ProgressOutput,
}

/// The word on the command line; `-` stands for the first line of standard input.
fn word(argument: &str) -> Result<String, Failure> {
    match argument {
        "-" => Ok(passwords::read(Path::new("-"))?.expose().to_owned()),
        word => Ok(word.to_owned()),
    }
}

/// Gets a reference from the sender of a code.
async fn ask_by_code(
    context: &mut Context,
    args: &ReceiveArgs,
    code: &str,
    settings: &Settings,
) -> Result<(Incoming, Fingerprint), Failure> {
    let Some(peers) = &settings.peers else {
        return Err(Failure::usage("a code needs peers, and they are switched off")
            .hint("omit --no-direct, and set enlace.peers.enabled to true; or ask the sender for the reference"));
    };
    let output = context.output;
    code::check(code)?;
    let asking = async {
        output.talk("looking for the sender");
        let config = match (&settings.backbone_url, &args.backbone) {
            // Whoever names it expects to find the sender there.
            (Some(url), Some(_)) => servers_of(url, peers.for_code(), settings).await?,
            (Some(url), None) => with_servers_of(url, peers.for_code(), settings).await,
            (None, _) => peers.for_code(),
        };
        code::ask(config, code, &args.peer_address, output).await
    };
    context.interrupt.or(asking).await
}

/// The command of this process with the reference in the place of the code, which is used up, and without what is for codes only or is secret. The
/// sender of the code has written the reference.
fn by_reference(arguments: impl Iterator<Item = OsString>, code: &str, reference: &str) -> String {
    let mut words: Vec<OsString> = arguments.skip(1).collect();
    if let Some(word) = words.iter_mut().rev().find(|word| word.as_os_str() == code) {
        *word = reference.into();
    }
    let (mut line, mut words) = ("enlace".to_owned(), words.into_iter());
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        match text.split_once('=').map_or(&*text, |(option, _)| option) {
            "--peer-address" if !text.contains('=') => drop(words.next()),
            "--peer-address" => {}
            "--client" => {
                if !text.contains('=') {
                    words.next();
                }
                line.push_str(" --client ID:SECRET");
            }
            _ => {
                line.push(' ');
                line.push_str(&shell_word(Path::new(&word)));
            }
        }
    }
    line
}

/// Starts the node; at a data directory for the node that shares alone if the backbone does not let the receiver in.
async fn open(
    context: &mut Context,
    plan: Plan,
    incoming: &Incoming,
    configuration: &Configuration,
) -> Result<(Access, DataDir), Failure> {
    let (dir, backbone) = (plan.dir.clone(), plan.backbone.clone());
    match context.interrupt.or(Access::open(plan, context.output)).await {
        Ok(access) => Ok((access, dir)),
        Err(failure)
            if matches!(backbone, WhichBackbone::At(_))
                && receive_direct::is_way_after(&failure, incoming, configuration) =>
        {
            context.output.talk(format!("{failure}; asking the sender alone"));
            let plan = receive_direct::plan(&context.global, configuration.clone())?;
            let dir = plan.dir.clone();
            Ok((context.interrupt.or(Access::open(plan, context.output)).await?, dir))
        }
        Err(failure) => Err(without_guests(of_another_machine(failure, &backbone, incoming), &backbone)),
    }
}

/// A reference to a backbone on the machine of whoever opens it, without addresses, is of no use elsewhere. Whether the sender's machine is
/// another one is not known here, so this is the hint only.
fn of_another_machine(failure: Failure, backbone: &WhichBackbone, incoming: &Incoming) -> Failure {
    let named = incoming.backbone_url.as_deref().filter(|url| leads_to_this_machine(url) && !incoming.is_direct);
    match (backbone, named) {
        (WhichBackbone::At(url), Some(named)) if failure.kind == Kind::Network && same(url, named) => failure.hint(
            "this reference works on the sender's machine only, while its backbone runs; for another machine, ask the sender for the \
             reference that `enlace share` or, while it serves, `enlace tokens show ID` prints",
        ),
        _ => failure,
    }
}

/// The receiver's own configuration: no file.
///
/// Environment and options may hold an OAuth client that was made for a certain backbone. Only a backbone that the user names
/// gets it: the reference is the sender's, who would collect clients otherwise.
fn configuration_of(global: &Global, args: &ReceiveArgs) -> Result<Configuration, Failure> {
    let node = NodeOptions {
        backbone: args.backbone.clone().or_else(|| std::env::var(BACKBONE_VARIABLE).ok().filter(|url| !url.is_empty())),
        client: ClientOptions {
            client: args.client.client.clone(),
            client_file: args.client.client_file.clone(),
            ..ClientOptions::default()
        },
        allow_plain_http: args.allow_plain_http,
        ..NodeOptions::default()
    };
    let mut configuration = configuration(global, &node, &ServerOptions::default(), &args.peers, &[])?;
    let settings = &mut configuration.settings;
    // Whoever allows more with the option need not know the setting. A list, or one file of it, is all that is fetched.
    let max_size = if args.list || args.only.is_some() { u64::MAX } else { args.max_size };
    settings.max_received_file_size = settings.max_received_file_size.max(max_size);
    // What is received goes where the user wants it, once. What a node here has kept stays.
    settings.content_store = None;
    Ok(configuration)
}

/// The same for a node that loads what a reference names.
fn received(mut configuration: Configuration) -> Configuration {
    if let Some(peers) = &mut configuration.settings.peers {
        peers.receives();
    }
    configuration
}

/// The receiver's own plan: the backbone of the reference, unless an option names another one.
fn plan(
    global: &Global,
    args: &ReceiveArgs,
    incoming: &Incoming,
    mut configuration: Configuration,
) -> Result<Plan, Failure> {
    let settings = &mut configuration.settings;
    let configured = settings.backbone_url.clone();
    if let (None, Some(url)) = (&args.backbone, &incoming.backbone_url) {
        let unusable = |reason| Failure::usage(format!("the reference does not lead to a backbone: {reason}"));
        settings.backbone_url = Some(backbone_url(url).map_err(unusable)?);
    }
    let is_known = settings.backbone_url.is_some();
    if let Some(directory) = receiver_global(global, settings.backbone_url.as_deref())?.data_dir {
        settings.data_dir = Some(directory);
    }
    let mut plan = Plan::new(configuration, Purpose::Receiver, args.change_backbone)?;
    match &plan.backbone {
        WhichBackbone::At(url) => {
            plan.backbone_is_configured = configured.is_some_and(|configured| same(&configured, url));
            Ok(plan)
        }
        WhichBackbone::Embedded { .. } if is_known => Ok(plan),
        WhichBackbone::Embedded { .. } => Err(Failure::usage("the reference does not say which backbone to ask")
            .hint("use its URL form, or say which with --backbone URL")),
    }
}

/// A backbone that only the reference names is asked as the public client, which not every backbone knows.
fn without_guests(failure: Failure, backbone: &WhichBackbone) -> Failure {
    match backbone {
        WhichBackbone::At(url) if failure.code == Some(Code::Runtime(ErrorCode::PlatformClientInvalid)) => {
            let message = format!("{url} does not know the OAuth client, or does not take guests");
            Failure { message, ..failure }.hint(format!(
                "ask whoever runs that backbone for an OAuth client, and add --client-file FILE --backbone {url}"
            ))
        }
        _ => failure,
    }
}

/// Without a data directory of its own choice, the receiver has one identity for each backbone.
pub(crate) fn receiver_global(global: &Global, backbone: Option<&str>) -> Result<Global, Failure> {
    let data_dir = match (&global.data_dir, backbone) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(url)) => Some(receiver_directory(&default_data_dir(Purpose::Receiver)?, url)),
        (None, None) => None,
    };
    Ok(Global { data_dir, ..*global })
}

/// The directory of the receiver at a backbone. One that an earlier version created for it is still used.
fn receiver_directory(parent: &Path, url: &str) -> PathBuf {
    let former = parent.join(readable_name(url));
    let is_its_own = || {
        let home = DataDir::open(former.clone()).ok().and_then(|dir| Home::of(&dir).ok().flatten());
        home.is_some_and(|home| home.is(url))
    };
    if former.is_dir() && is_its_own() { former } else { parent.join(directory_name(url)) }
}

/// `http://localhost:4710/x` → `localhost_4710_x-` and a hash of the address, because several addresses have one readable name.
fn directory_name(url: &str) -> String {
    /// Bytes of the hash: enough that no second address can be found for the same name.
    const HASH_LENGTH: usize = 16;
    let hash = Sha256::digest(place_of(url).as_bytes());
    format!("{}-{}", readable_name(url), hex(&hash[..HASH_LENGTH]))
}

/// `http://localhost:4710/x` → `localhost_4710_x`.
fn readable_name(url: &str) -> String {
    const MAX_LENGTH: usize = 100;
    let plain = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    plain.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(MAX_LENGTH).collect()
}

impl Receiver<'_> {
    async fn receive(
        &self,
        password: Option<Secret>,
        output: crate::output::Output,
    ) -> Result<(File, Received), Failure> {
        let Self { access, args, .. } = *self;
        let file = match self.find(password, output).await? {
            Followed::Complete(file) => *file,
            Followed::Growing(file) => return self.follow(*file, output).await,
        };
        if args.list {
            let listed = list(access, &file).await?;
            return Ok((file, Received::Listed(listed)));
        }
        if args.only.is_none() {
            announce(&file.filename, file.filesize, args.max_size, output)?;
        }
        let saving = Saving {
            output: args.output.as_deref(),
            overwrite: args.force,
            keep_modes: args.keep_modes,
            only: args.only.as_deref(),
            max_size: args.max_size,
        };
        let saved = fetch(access, &file, saving, self.kept, self.progress, output).await?;
        Ok((file, Received::Saved(saved)))
    }

    async fn follow(&self, file: GrowingFile, output: crate::output::Output) -> Result<(File, Received), Failure> {
        let Self { access, args, .. } = *self;
        follow::check(file.manifest_length, args.only.as_deref(), args.list)?;
        let place = follow::Place { output: args.output.as_deref(), force: args.force, max_size: args.max_size };
        let (file, saved) = follow::save(access, file, place, self.kept, self.progress, output).await?;
        Ok((file, Received::Saved(saved)))
    }

    async fn find(&self, password: Option<Secret>, output: crate::output::Output) -> Result<Followed, Failure> {
        let Self { access, dir, args, incoming, .. } = *self;
        with_attempts(
            password,
            async |password| match follow::find(access, &incoming.text, password).await {
                Ok(found) => Ok(found),
                Err(failure) => Err(explain(failure, incoming, access, dir).await),
            },
            async |failure| {
                let what =
                    incoming.password.clone().filter(|_| args.password.is_asked_for() && is_wrong_password(failure))?;
                output.talk(format!("{failure}; try again"));
                Some(ask_again(what).await)
            },
        )
        .await
    }
}

/// Says it in the receiver's words. The backbone answers "not found" to a wrong password and to the wrong identity, too; here
/// it is known what was asked for.
async fn explain(failure: Failure, incoming: &Incoming, access: &Access, dir: &DataDir) -> Failure {
    let ours = async || match access.identity().await {
        Ok(who) => who.identity.address.to_string(),
        Err(_) => "not known".to_owned(),
    };
    let code = failure.code.clone();
    let refused = |message: &str| Failure { code: code.clone(), ..Failure::new(Kind::Refused, message) };
    match (failure.code.as_ref(), failure.kind) {
        (Some(Code::Runtime(ErrorCode::NoAuthGrant)), _) => {
            let home = Home::of(dir).ok().flatten().map_or_else(|| "another backbone".to_owned(), |home| home.url());
            failure.hint(home_hint(dir, &home))
        }
        (Some(Code::Runtime(ErrorCode::NotIntendedForYou)), _) => {
            let ours = ours().await;
            refused("the sender shared this with another identity")
                .hint(format!("your address is {ours}; ask the sender to share it again with --for {ours}"))
        }
        (Some(Code::Runtime(ErrorCode::TokenLocked)), _) => {
            refused("the reference is locked after too many wrong passwords")
                .hint("ask the sender to unlock it with `enlace tokens unlock ID`")
        }
        (Some(Code::Runtime(ErrorCode::TokenExhausted)), _) => refused(
            "the reference has been used as often as the sender allowed",
        )
        .hint("ask the sender to share it again, or to raise the limit with `enlace tokens edit ID --max-downloads N`"),
        (Some(Code::Runtime(ErrorCode::MaxFileSizeExceeded)), _) => {
            failure.hint("allow it with --max-size SIZE, for example --max-size 20G")
        }
        // Whether a password or an identity fits is not known then.
        (_, Kind::NotFound) if incoming.is_direct && failure.is_sender_reached => {
            let message = "the sender was reached but did not deliver, and the backbone does not have the reference";
            Failure { message: message.to_owned(), ..failure }
                .hint("try again in a moment; the reference may have expired or been deleted, too")
        }
        (_, Kind::NotFound) if incoming.password.is_some() => {
            refused("the password is wrong, or the sender has deleted the reference, or it has expired")
                .hint("check the password: too many wrong ones lock the reference")
        }
        (_, Kind::NotFound) if incoming.for_identity.is_some() => {
            refused("the sender shared this with another identity, or has deleted the reference, or it has expired")
                .hint(format!("your address is {}", ours().await))
        }
        (_, Kind::NotFound) if incoming.is_direct => {
            Failure { message: "neither the sender nor a backbone has the reference".to_owned(), ..failure }
                .hint(format!("{SENDER_RUNS}; the reference may have expired or been deleted, too"))
        }
        (_, Kind::NotFound) => Failure {
            message: "the reference has expired, or the sender has deleted it or the file".to_owned(),
            ..failure
        }
        .hint("ask the sender for a new reference"),
        _ => failure,
    }
}

const SENDER_RUNS: &str =
    "check that the sender's command is still running and that both machines are in the same network";

/// Whether another password may help.
fn is_wrong_password(failure: &Failure) -> bool {
    let is_not_found =
        matches!(failure.code, Some(Code::Runtime(ErrorCode::RecordNotFound | ErrorCode::TransportRecordNotFound)));
    failure.kind == Kind::Refused && is_not_found
}

/// An identity belongs to one backbone; another one does not know it.
fn home_hint(dir: &DataDir, home: &str) -> String {
    let dir = dir.path().display();
    format!(
        "the backbone of the identity in {dir} is {home}; use another directory with --data-dir DIR for this backbone"
    )
}

/// A result for scripts, without a reference to the file that leads to a backbone that has it not.
fn shown(mut value: Value, is_at_backbone: bool) -> Value {
    if let Some(file) = value["file"].as_object_mut().filter(|_| !is_at_backbone) {
        file.retain(|name, _| name != "reference" && name != "truncatedReference");
    }
    value
}

fn print(
    context: &Context,
    mut value: Value,
    (file, saved): (&File, &Saved),
    paths: &Paths,
    fingerprint: Option<Fingerprint>,
) -> Result<(), Failure> {
    if let Some(fingerprint) = fingerprint {
        value["fingerprint"] = fingerprint.to_string().into();
    }
    context.output.beside_file(saved.is_on_standard_output()).data(&value, || {
        let sender = ("Sender", file.created_by.to_string());
        shape::labelled(&[&shape::saved_rows(saved, paths)[..], &[sender]].concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn a_command_with_a_code_goes_on_with_the_reference_and_all_its_options() {
        let command = |words: &[&str], reference: &str| {
            let arguments = ["/usr/bin/enlace", "receive"].into_iter().chain(words.iter().copied());
            by_reference(arguments.map(OsString::from), "7-amber-violin", reference)
        };
        let words = ["7-amber-violin", "--max-size", "20G", "--output", "to there"];
        assert_eq!(
            command(&words, "http://localhost:1/r/TOK?a=b#c"),
            "enlace receive 'http://localhost:1/r/TOK?a=b#c' --max-size 20G --output 'to there'"
        );
        let omitted = [
            "--peer-address",
            "/ip4/192.0.2.1/tcp/1/p2p/X",
            "7-amber-violin",
            "--peer-address=/ip4/192.0.2.1/tcp/2/p2p/X",
        ];
        assert_eq!(
            command(&omitted, "http://localhost:1/r/TOK"),
            "enlace receive http://localhost:1/r/TOK",
            "for codes only"
        );
        for secret in [&["7-amber-violin", "--client", "me:hidden"][..], &["--client=me:hidden", "7-amber-violin"]] {
            let command = command(secret, "http://localhost:1/r/TOK");
            assert!(command.contains(" --client ID:SECRET") && !command.contains("hidden"), "{command}");
        }
        // The sender writes it.
        let hostile = command(&["--force", "7-amber-violin"], "http://localhost:1/r/TOK?x=';rm -r .;'#c");
        assert_eq!(hostile, r"enlace receive --force 'http://localhost:1/r/TOK?x='\'';rm -r .;'\''#c'");
    }

    #[test]
    fn each_backbone_has_its_own_directory() {
        assert_eq!(readable_name("http://localhost:4710"), "localhost_4710");
        assert_eq!(readable_name("https://b.example.org/x/"), "b_example_org_x");
        assert_eq!(readable_name("http://../../x"), "______x");
        assert!(directory_name("http://localhost:4710").starts_with("localhost_4710-"));
        let one = directory_name("https://b.example.org/x");
        for same in ["https://B.example.org:443/x/", "https://b.example.org/x"] {
            assert_eq!(directory_name(same).rsplit_once('-').unwrap().1, one.rsplit_once('-').unwrap().1, "{same}");
        }
        for other in [
            "http://b.example.org/x",
            "https://b.example.org:444/x",
            "https://b_example.org/x",
            "https://b.example.org.x",
        ] {
            assert_ne!(directory_name(other), one, "{other}");
        }
    }

    #[test]
    fn a_directory_of_an_earlier_version_is_used_by_its_own_backbone_only() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().canonicalize().unwrap();
        let former = DataDir::open(parent.join("b_example_org_x")).unwrap();
        let memory = Memory { backbone_url: Some("https://b.example.org/x".to_owned()), ..Memory::default() };
        memory.keep(&former).unwrap();
        assert_eq!(receiver_directory(&parent, "https://b.example.org/x/"), former.path());
        for other in ["http://b.example.org/x", "https://b.example.org:x", "https://b_example.org/x"] {
            assert_eq!(receiver_directory(&parent, other), parent.join(directory_name(other)), "{other}");
        }
    }
}
