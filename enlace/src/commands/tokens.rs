//! `enlace tokens`: create, load, list, show, edit, rotate, revoke, unlock, delete, prune.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use runtime::dto::{
    AnyToken, ChangedAnyToken, ChangedToken, ListedToken, MaxDownloads, Notify, RotatedToken, Token, TokenLabel,
    TokenPath, TokenStatus, TokenTerms, TokenTransports,
};
use runtime::facade::{CreateOwnToken, CreateTokenForFile, FindTokens, NewTerms, UpdateToken};
use runtime::{PassedOn, Timestamp};
use serde_json::{Value, json};

use super::token_list::{TokenListArgs, query};
use super::{Context, shape};
use crate::access::Access;
use crate::args::NodeOptions;
use crate::code::Kind;
use crate::failure::{Failure, reason};
use crate::output::Output;
use crate::passwords::KnownPassword;
use crate::qr;
use crate::receive::Incoming;
use crate::terms::{Terms, TermsOptions, check_future};
use crate::text_file;
use crate::time::{self, Span};

/// Create, load, list, show, edit, rotate, revoke, unlock, delete and prune tokens.
///
/// Uses the REST API of the process that serves this data directory, or starts the node for the duration of the command.
#[derive(Debug, Args)]
pub(crate) struct TokensArgs {
    #[command(subcommand)]
    command: TokensCommand,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// Create a token for an uploaded file, or with a JSON object as content
    #[command(
        after_help = "Examples:\n  enlace tokens create FIL0123456789abcdefg --expires-in 7d\n  enlace tokens create --content data.json --expires-in 1h"
    )]
    Create(CreateArgs),
    /// Load a token by its reference
    #[command(
        after_help = "Examples:\n  enlace tokens load 'http://localhost:4710/r/TOK…#…'\n  enlace tokens load VE9L… --password-file pw.txt"
    )]
    Load(LoadArgs),
    /// List tokens: own and loaded ones, and those of /v1
    #[command(
        after_help = "Examples:\n  enlace tokens list\n  enlace tokens list --status active --expires-before 2030-01-31 --sort expires\n  enlace tokens list --file FIL0123456789abcdefg --json"
    )]
    List(TokenListArgs),
    /// Show a token, with a QR code of its reference if it has one
    #[command(
        after_help = "Examples:\n  enlace tokens show TOK0123456789abcdefg\n  enlace tokens show TOK0123456789abcdefg --json"
    )]
    Show(IdArgs),
    /// Change the terms of an own token: its expiry, its limit of downloads, its beginning, its paths; or its label
    #[command(
        after_help = "Examples:\n  enlace tokens edit TOK0123456789abcdefg --expires-in 7d\n  enlace tokens edit TOK0123456789abcdefg --max-downloads none --label 'for Bob'"
    )]
    Edit(EditArgs),
    /// Replace an own token by one with another reference and the uses that are left, and revoke the old one
    #[command(after_help = "Examples:\n  enlace tokens rotate TOK0123456789abcdefg")]
    Rotate(IdArgs),
    /// Revoke an own token: nobody else gets it any more; it stays in the list
    #[command(
        after_help = "Whoever has loaded the token before can still load its file, until the file is deleted.\n\nExamples:\n  enlace tokens revoke TOK0123456789abcdefg"
    )]
    Revoke(IdArgs),
    /// Unlock an own token that was locked after too many wrong passwords
    #[command(after_help = "Examples:\n  enlace tokens unlock TOK0123456789abcdefg")]
    Unlock(IdArgs),
    /// Delete a token; an own token also at the backbone
    #[command(after_help = "Examples:\n  enlace tokens delete TOK0123456789abcdefg")]
    Delete(IdArgs),
    /// Delete all tokens that have expired or are revoked
    #[command(after_help = "Examples:\n  enlace tokens prune")]
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
struct PruneArgs {
    #[command(flatten)]
    node: NodeOptions,
}

#[derive(Debug, Args)]
struct EditArgs {
    /// ID of the token
    #[arg(value_name = "ID")]
    id: String,
    /// Time from now until the token expires, such as 90s, 15m, 12h, 7d or 2w; or never
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = time::parse_span,
        allow_hyphen_values = true,
        conflicts_with = "expires_at"
    )]
    expires_in: Option<Span>,
    /// ISO 8601 time at which the token expires
    #[arg(long, value_name = "TIME", value_parser = time::parse_timestamp)]
    expires_at: Option<Timestamp>,
    /// How often the token can be used, from 1 to 1000000; or none, for any number
    #[arg(long, value_name = "N", value_parser = or_none::<MaxDownloads>)]
    max_downloads: Option<OrNone<MaxDownloads>>,
    /// ISO 8601 time from which on the token can be used; or none, for at once
    #[arg(long, value_name = "TIME", value_parser = or_none::<Timestamp>)]
    not_before: Option<OrNone<Timestamp>>,
    /// Note for yourself of at most 128 characters; "" for none
    #[arg(long, value_name = "TEXT")]
    label: Option<TokenLabel>,
    /// Of which uses `share --notify` and applications are told: none, first or each
    #[arg(long, value_name = "WHEN")]
    notify: Option<Notify>,
    /// By which paths others may load the token: store, and direct and relay if you like, with commas between them; or all
    #[arg(long, value_name = "PATHS")]
    transports: Option<TokenTransports>,
    #[command(flatten)]
    node: NodeOptions,
}

/// A value, or that there is to be none.
#[derive(Debug, Clone, Copy)]
struct OrNone<T>(Option<T>);

fn or_none<T: FromStr<Err: Display>>(text: &str) -> Result<OrNone<T>, String> {
    if text == "none" {
        Ok(OrNone(None))
    } else {
        text.parse().map(|value| OrNone(Some(value))).map_err(|error: T::Err| error.to_string())
    }
}

impl EditArgs {
    /// # Errors
    /// A failure if nothing is to be changed, or the expiry has passed.
    fn change(&self, now: Timestamp) -> Result<UpdateToken, Failure> {
        let expires_at = match self.expires_in {
            Some(Span::For(span)) => Some(now.saturating_add(span)),
            Some(Span::Never) => Some(Timestamp::NEVER),
            None => self.expires_at,
        };
        if let Some(expires_at) = expires_at {
            check_future(expires_at, now)?;
        }
        let change = UpdateToken {
            expires_at,
            not_before: self.not_before.map(|OrNone(begin)| begin),
            max_downloads: self.max_downloads.map(|OrNone(most)| most),
            label: self.label.clone().map(|label| Some(label).filter(|label| !label.is_empty())),
            notify: self.notify,
            transports: self.transports,
            allow: None,
        };
        match change == UpdateToken::default() {
            true => Err(Failure::usage("no change is given").hint(
                "add --expires-in, --expires-at, --max-downloads, --not-before, --label, --notify or --transports",
            )),
            false => Ok(change),
        }
    }
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// ID of the file that the token refers to
    #[arg(value_name = "FILE-ID", required_unless_present = "content", conflicts_with = "content")]
    file: Option<String>,
    /// File with a JSON object as content (- reads standard input); requires an expiry
    #[arg(long, value_name = "FILE")]
    content: Option<PathBuf>,
    #[command(flatten)]
    terms: TermsOptions,
    /// Of which uses applications of this node are told: none, first or each
    #[arg(long, value_name = "WHEN", help_heading = "Terms")]
    notify: Option<Notify>,
    #[command(flatten)]
    node: NodeOptions,
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// Reference, as URL or truncated; quote it, or use - to read it from standard input
    #[arg(value_name = "REFERENCE")]
    reference: String,
    #[command(flatten)]
    password: KnownPassword,
    /// Do not store the token on this node
    #[arg(long)]
    ephemeral: bool,
    #[command(flatten)]
    node: NodeOptions,
}

#[derive(Debug, Args)]
struct IdArgs {
    /// ID of the token
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    node: NodeOptions,
}

/// Longest JSON content in bytes.
const MAX_CONTENT_SIZE: u64 = 8 * 1024 * 1024;

/// Runs it.
pub(crate) async fn run(mut context: Context, args: TokensArgs) -> Result<(), Failure> {
    let output = context.output;
    match args.command {
        TokensCommand::Create(args) => create(context, args).await,
        TokensCommand::Load(args) => load(context, args).await,
        TokensCommand::List(args) => {
            let list = async |access: &Access| {
                let found = args.find(access).await?;
                let whole = if output.is_json() { args.whole(access, &found).await? } else { HashMap::new() };
                Ok((found, whole))
            };
            let (found, whole) = context.with_access(&args.node, list).await?;
            let value: Vec<_> = found.iter().map(|token| shape::listed_token(token, whole.get(&token.id))).collect();
            output.data(&value, || shape::token_table(&found))
        }
        TokensCommand::Show(args) => {
            let (token, terms) = context.with_access(&args.node, async |access| shown(access, &args.id).await).await?;
            print_any(output, &token, terms.as_ref())
        }
        TokensCommand::Edit(args) => {
            let request = args.change(time::now())?;
            let edit = async |access: &Access| {
                let is_asked = request.changes_terms();
                let changed = access.update_token(&args.id, request).await?;
                // A change that the backbone was not asked for is done, whether it can be reached or not.
                let terms = if is_asked { access.token_terms(&args.id).await.ok() } else { None };
                Ok((changed, terms))
            };
            let (changed, terms) = context.with_access(&args.node, edit).await?;
            let (terms, now) = (terms.as_ref(), time::now());
            output.data(&shape::changed_token(&changed, terms, now), || shape::changed_text(&changed, terms, now))
        }
        TokensCommand::Rotate(args) => {
            let (shown, old) = context.with_access(&args.node, async |access| rotated(access, &args.id).await).await?;
            show_code(output, &shown);
            output.data(&shape::rotated_token(&shown, &old, time::now()), || {
                format!("{}\n{}", shape::token_text(&shown, None), revoked_own(&old))
            })
        }
        TokensCommand::Revoke(args) => {
            let changed = context.with_access(&args.node, async |access| access.revoke_token(&args.id).await).await?;
            output.data(&shape::changed_token(&changed, None, time::now()), || revoked(&changed))
        }
        TokensCommand::Prune(args) => {
            let pruned = context.with_access(&args.node, async |access| prune(access).await).await?;
            output.data(&json!({ "deleted": pruned }), || match &pruned[..] {
                [id] => format!("{id} deleted"),
                ids => format!("{} tokens deleted", ids.len()),
            })
        }
        TokensCommand::Unlock(args) => {
            context.with_access(&args.node, async |access| access.unlock_token(&args.id).await).await?;
            output.data(&json!({ "unlocked": args.id }), || format!("{} unlocked", args.id))
        }
        TokensCommand::Delete(args) => {
            context.with_access(&args.node, async |access| access.delete_token(&args.id).await).await?;
            output.data(&json!({ "deleted": args.id }), || format!("{} deleted", args.id))
        }
    }
}

async fn create(mut context: Context, args: CreateArgs) -> Result<(), Failure> {
    let content = args.content.as_deref().map(read_content).transpose()?;
    let Terms { request, never } = args.terms.read(time::now())?;
    if request.ephemeral && args.notify.is_some_and(|notify| notify != Notify::None) {
        return Err(Failure::usage("nobody asks how an ephemeral token was used").hint("omit --notify or --ephemeral"));
    }
    let request = CreateTokenForFile { terms: NewTerms { notify: args.notify, ..request.terms }, ..request };
    let own = match (content, request.expires_at.or(never.then_some(Timestamp::NEVER))) {
        (Some(content), Some(expires_at)) => Some(own_token(content, expires_at, request.clone())),
        (Some(_), None) => {
            return Err(Failure::usage("a token with a JSON object as content requires an expiry")
                .hint("add --expires-in 7d or --expires-at TIME"));
        }
        (None, _) => None,
    };
    let token = context
        .with_access(&args.node, async |access| {
            let token = match own {
                Some(own) => access.create_own_token(own).await?,
                None => access.create_token_for_file(args.file.as_deref().unwrap_or_default(), request).await?,
            };
            ShownToken::of(token, access).await
        })
        .await?;
    print(context.output, &token)
}

/// The terms of a token for a file, with another content.
fn own_token(content: Value, expires_at: Timestamp, terms: CreateTokenForFile) -> CreateOwnToken {
    CreateOwnToken {
        content,
        expires_at,
        ephemeral: terms.ephemeral,
        for_identity: terms.for_identity,
        password_protection: terms.password_protection,
        terms: terms.terms,
    }
}

async fn load(mut context: Context, args: LoadArgs) -> Result<(), Failure> {
    let incoming = Incoming::from_argument(&args.reference)?;
    let password = args.password.for_reference(incoming.password.as_deref())?;
    let token = context
        .with_access(&args.node, async |access| {
            let token = access.load_peer_token(&incoming.text, password.as_ref(), args.ephemeral).await?;
            ShownToken::of(token, access).await
        })
        .await?;
    print(context.output, &token)
}

/// A token with the reference to pass on.
pub(super) struct ShownToken {
    pub(super) token: Token,
    pub(super) passed_on: PassedOn,
}

impl ShownToken {
    async fn of(token: Token, access: &Access) -> Result<Self, Failure> {
        Ok(Self { passed_on: access.passed_on(&token).await?, token })
    }
}

/// A token of either kind, as it is shown.
pub(super) enum ShownAnyToken {
    /// It has a reference.
    E2e(Box<ShownToken>),
    /// One of `/v1`.
    Node(Box<ListedToken>),
}

/// A token, with its terms if it is an own one and they can be known.
async fn shown(access: &Access, id: &str) -> Result<(ShownAnyToken, Option<TokenTerms>), Failure> {
    let (is_own, token) = match access.token(id).await? {
        AnyToken::E2e(token) => (token.is_own, ShownAnyToken::E2e(Box::new(ShownToken::of(*token, access).await?))),
        AnyToken::Node(token) => (token.is_own, ShownAnyToken::Node(token)),
    };
    let terms = if is_own { access.token_terms(id).await.ok() } else { None };
    Ok((token, terms))
}

/// A token that replaces another one, and the old one.
async fn rotated(access: &Access, id: &str) -> Result<(ShownToken, ChangedToken), Failure> {
    let RotatedToken { token, old } = access.rotate_token(id).await?;
    Ok((ShownToken::of(token, access).await?, old))
}

fn revoked(changed: &ChangedAnyToken) -> String {
    match changed {
        ChangedAnyToken::E2e(changed) => revoked_own(changed),
        ChangedAnyToken::Node(changed) => format!("{} revoked at this node", changed.token.id),
    }
}

fn revoked_own(changed: &ChangedToken) -> String {
    let id = &changed.token.id;
    match changed.peers {
        TokenPath::NotOffered => format!("{id} revoked at the backbone"),
        _ => format!("{id} revoked at the backbone and for peers"),
    }
}

/// Deletes what nobody can load any more; returns the ids.
async fn prune(access: &Access) -> Result<Vec<String>, Failure> {
    let over = [TokenStatus::Expired, TokenStatus::Revoked].map(|status| json!(status));
    let queries = vec![query("equal", "status", &over).to_string()];
    let request = FindTokens { queries, file: None, is_counted: false };
    let (mut pruned, mut gone) = (Vec::new(), HashSet::new());
    loop {
        // What is deleted is not on the next page.
        let page = access.find_tokens(request.clone()).await?.tokens;
        if page.is_empty() {
            return Ok(pruned);
        }
        for token in page {
            match access.delete_token(&token.id).await {
                Ok(()) => pruned.push(token.id),
                // It went meanwhile, so it is not on the next page either.
                Err(failure) if failure.kind == Kind::NotFound && gone.insert(token.id) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}

fn read_content(path: &std::path::Path) -> Result<Value, Failure> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let (name, read) = match path.to_str() {
        Some("-") => {
            ("standard input".to_owned(), std::io::stdin().lock().take(MAX_CONTENT_SIZE + 1).read_to_end(&mut bytes))
        }
        _ => {
            let file = std::fs::File::open(path);
            (path.display().to_string(), file.and_then(|file| file.take(MAX_CONTENT_SIZE + 1).read_to_end(&mut bytes)))
        }
    };
    read.map_err(|error| Failure::local(format!("cannot read {name}: {}", reason(&error))))?;
    if bytes.len() as u64 > MAX_CONTENT_SIZE {
        return Err(Failure::new(Kind::Refused, format!("{name} has more than {MAX_CONTENT_SIZE} bytes")));
    }
    match serde_json::from_str(text_file::decode(&name, &bytes)?) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Failure::usage(format!("{name} is not a JSON object"))),
        Err(error) => Err(Failure::usage(format!("{name} is not JSON: {error}"))),
    }
}

/// Draws the QR code of a reference at a terminal.
fn show_code(output: Output, shown: &ShownToken) {
    if let Some(code) = qr::terminal(&shown.passed_on.reference, shown.passed_on.for_others) {
        output.talk(code);
    }
}

fn print(output: Output, shown: &ShownToken) -> Result<(), Failure> {
    show_code(output, shown);
    output.data(&shape::token_to_pass_on(shown), || shape::token_text(shown, None))?;
    say_for_whom(output, shown);
    Ok(())
}

fn print_any(output: Output, token: &ShownAnyToken, terms: Option<&TokenTerms>) -> Result<(), Failure> {
    if let ShownAnyToken::E2e(shown) = token {
        show_code(output, shown);
    }
    output.data(&shape::any_token(token, terms, time::now()), || shape::any_token_text(token, terms))?;
    if let ShownAnyToken::E2e(shown) = token {
        say_for_whom(output, shown);
    }
    Ok(())
}

/// Says it if others can do nothing with the reference.
fn say_for_whom(output: Output, shown: &ShownToken) {
    if shown.token.is_own && !shown.passed_on.for_others {
        output.talk(format!(
            "other machines cannot use this reference; while `enlace serve` runs, `enlace tokens show {}` may show one for them",
            shown.token.id
        ));
    }
}
