//! File tokens and their uses.

use http::{HeaderValue, StatusCode, header};
use runtime::Timestamp;
use runtime::dto;
use runtime::facade::{FindFileTokens, FoundFileTokens, StorageFacade};
use runtime::storage::{
    ContentUse, Endpoints, FileTokenChange, FileTokenRequest, Notify, PresentedToken, TokenClaim, TokenClaimId,
};

use super::arguments::{Arguments, invalid};
use super::model::{Claim, DeletedTokens, Token, TokenList};
use super::table::WRITE_TOKENS;
use super::{PROJECT, caller, list, page, parameter, presented, preview};
use crate::call::Call;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::rest::qr_code;
use crate::validation::{Object, ValueRule};

/// What would restrict a token, and this node cannot hold. A token without the restriction that was asked for would be worse than none.
const UNKNOWN_RESTRICTIONS: [&str; 4] = ["forIdentity", "passwordProtection", "transports", "receipts"];
/// Whether a use is to count as soon as it is begun. No use of these tokens does.
const STRICT_USES: &str = "strictUses";
/// By which protocol a proxy was asked.
const FORWARDED_PROTOCOL: &str = "x-forwarded-proto";
/// The node serves the content itself.
const DELIVERY: &str = "node";

/// The members of a creation and of an update.
pub(super) fn shape() -> Object {
    Object::new()
        .optional("expire", ValueRule::Text(0), "A date and time in the future; for ever if absent, null or empty.")
        .optional("notBefore", ValueRule::Text(0), "A date and time before the expiry.")
        .optional("label", ValueRule::Text(0), "A note, at most 128 characters.")
        .optional(
            "maxDownloads",
            ValueRule::Number,
            "How often it can be used: 1 to 1000000, without a limit if absent. One that is set later counts the uses from before.",
        )
        .optional("allow", ValueRule::Texts, "Some of view, preview and download. Default: all.")
        .optional(
            "notify",
            ValueRule::Choice(&["none", "first", "each"]),
            "When its owner is told of a use. Default: none.",
        )
        .optional(
            "delivery",
            ValueRule::Choice(&[DELIVERY]),
            "The node serves the content itself; there is no other way.",
        )
        .ignoring_unknown()
}

/// The members of a claim.
pub(super) fn claim_shape() -> Object {
    Object::new()
        .optional("token", ValueRule::Text(0), "The secret, unless X-File-Token or Authorization has it.")
        .optional(
            "then",
            ValueRule::Choice(&["view", "preview", "download"]),
            "For forms of browsers: the content that follows, which the answer 303 leads to. With preview, its parameters are further \
             members, as texts.",
        )
        .ignoring_unknown()
}

/// `POST tokens/buckets/{bucketId}/files/{fileId}`
pub(super) async fn create(mut call: Call<()>) -> Result<Reply, Problem> {
    let given = change(&mut Arguments::of(&mut call)?)?;
    let request = FileTokenRequest {
        expire: given.expire.or_default(),
        not_before: given.not_before.or_default(),
        label: given.label.or_default(),
        max_downloads: given.max_downloads.or_default(),
        allow: given.allow.or_default(),
        notify: given.notify.or_default(),
    };
    let (storage, caller) = (call.runtime().storage(), caller(&call));
    let token = storage.create_file_token(caller, parameter(&call, 0), parameter(&call, 1), request).await?;
    Ok(Reply::created(&shown(&call, token)))
}

/// `GET tokens/buckets/{bucketId}/files/{fileId}`
pub(super) async fn list_of_file(call: Call<()>) -> Result<Reply, Problem> {
    let find = list::file_tokens(&call)?;
    let (bucket, file) = (parameter(&call, 0), parameter(&call, 1));
    let found = storage(&call).find_file_tokens_of(caller(&call), bucket, file, find).await?;
    Ok(Reply::ok(&shown_list(&call, found)))
}

/// `GET tokens`
pub(super) async fn list(call: Call<()>) -> Result<Reply, Problem> {
    let found = storage(&call).find_file_tokens(list::file_tokens(&call)?).await?;
    Ok(Reply::ok(&shown_list(&call, found)))
}

/// `DELETE tokens`
pub(super) async fn delete_some(call: Call<()>) -> Result<Reply, Problem> {
    list::filters_only(&call)?;
    let find = list::file_tokens(&call)?;
    let find = FindFileTokens { queries: find.queries.for_deletion(), ..find };
    let storage = storage(&call);
    let mut total = 0;
    loop {
        let found = storage.find_file_tokens(find.clone()).await?;
        if found.tokens.is_empty() {
            return Ok(Reply::ok(&DeletedTokens { total }));
        }
        let ids: Vec<_> = found.tokens.into_iter().map(|token| token.id).collect();
        total += storage.delete_file_tokens(&ids).await?;
    }
}

/// `GET tokens/{tokenId}`
pub(super) async fn get(call: Call<()>) -> Result<Reply, Problem> {
    let token = call.runtime().storage().file_token(parameter(&call, 0))?;
    Ok(Reply::ok(&shown(&call, token)))
}

/// `PATCH tokens/{tokenId}`
pub(super) async fn update(mut call: Call<()>) -> Result<Reply, Problem> {
    let mut arguments = Arguments::of(&mut call)?;
    // Clients that can send no null clear the expiry by an update of nothing.
    let is_of_nothing = arguments.is_empty();
    let given = change(&mut arguments)?;
    let change = if is_of_nothing { FileTokenChange::of_expiry(None) } else { given };
    let token = storage(&call).update_file_token(parameter(&call, 0), change).await?;
    Ok(Reply::ok(&shown(&call, token)))
}

/// `DELETE tokens/{tokenId}`
pub(super) async fn delete(call: Call<()>) -> Result<Reply, Problem> {
    storage(&call).delete_file_token(parameter(&call, 0)).await?;
    Ok(Reply::no_content())
}

/// `POST tokens/{tokenId}/rotate`
pub(super) async fn rotate(call: Call<()>) -> Result<Reply, Problem> {
    let token = storage(&call).rotate_file_token(parameter(&call, 0)).await?;
    Ok(Reply::ok(&shown(&call, token)))
}

/// `POST tokens/{tokenId}/revoke`
pub(super) async fn revoke(call: Call<()>) -> Result<Reply, Problem> {
    let token = storage(&call).revoke_file_token(parameter(&call, 0)).await?;
    Ok(Reply::ok(&shown(&call, token)))
}

/// `GET tokens/{tokenId}/qr`
pub(super) async fn qr_code(call: Call<()>) -> Result<Reply, Problem> {
    let token = storage(&call).file_token(parameter(&call, 0))?;
    let picture = qr_code::of_text(&url(&call, &token)?)?;
    let reply = Reply::png(StatusCode::OK, &format!("{}.png", token.id), picture);
    Ok(reply.with(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")))
}

/// The URL with which a token is used, at the host that the request has reached.
fn url(call: &Call<()>, token: &dto::FileToken) -> Result<String, Problem> {
    let header = |name| call.headers.get(name).and_then(|value| value.to_str().ok());
    let host = header(header::HOST.as_str()).ok_or_else(|| invalid("Host", "The header must name this node"))?;
    // A proxy in front of the node has the certificate.
    let scheme = header(FORWARDED_PROTOCOL).filter(|protocol| protocol.eq_ignore_ascii_case("https"));
    let scheme = scheme.map_or("http", |_| "https");
    let project = page::encoded(header(PROJECT).or_else(|| call.query_value("project")).unwrap_or_default());
    // What people can look at comes first.
    let all = [ContentUse::View, ContentUse::Download, ContentUse::Preview];
    let allowed = all.into_iter().find(|used_as| token.allow.contain(*used_as)).unwrap_or(ContentUse::View);
    let dto::FileToken { bucket_id, file_id, .. } = token;
    Ok(format!(
        "{scheme}://{host}/v1/storage/buckets/{bucket_id}/files/{file_id}/{}?project={project}&token={}",
        allowed.as_str(),
        page::encoded(token.secret.expose()),
    ))
}

/// `POST tokens/claims`
pub(super) async fn claim(mut call: Call<()>) -> Result<Reply, Problem> {
    let mut arguments = Arguments::of(&mut call)?;
    let secret = arguments.text("token")?.filter(|text| !text.is_empty());
    let secret = secret.or_else(|| presented::secret(&call).map(str::to_owned)).unwrap_or_default();
    let then = arguments.text("then")?.map(|then| Target::read(&then, &mut arguments)).transpose()?;
    let claim = storage(&call).claim_file_token(&PresentedToken::read(&secret)).await?;
    match then {
        None => Ok(Reply::created(&Claim::from(claim))),
        Some(then) => then.lead(&call, &claim, &secret),
    }
}

/// `PUT tokens/claims/{claimId}/commit`
pub(super) async fn commit(call: Call<()>) -> Result<Reply, Problem> {
    let claim: TokenClaimId = parameter(&call, 0).parse()?;
    storage(&call).commit_token_claim(&claim).await?;
    Ok(Reply::no_content())
}

fn storage(call: &Call<()>) -> StorageFacade {
    call.runtime().storage()
}

/// What a browser has claimed a use for.
struct Target {
    endpoint: ContentUse,
    /// Of a preview; they were checked, so the use is not spent on what is refused.
    parameters: Vec<(&'static str, String)>,
}

impl Target {
    fn read(name: &str, arguments: &mut Arguments) -> Result<Self, Problem> {
        let all = [ContentUse::View, ContentUse::Preview, ContentUse::Download];
        let endpoint = all.into_iter().find(|known| known.as_str() == name);
        let endpoint = endpoint.ok_or_else(|| invalid("then", "Value must be one of (view, preview, download)"))?;
        let parameters = match endpoint {
            ContentUse::Preview => preview::taken(arguments)?,
            ContentUse::View | ContentUse::Download => Vec::new(),
        };
        Ok(Self { endpoint, parameters })
    }

    /// Leads a browser to the content that it has claimed.
    fn lead(&self, call: &Call<()>, claim: &TokenClaim, secret: &str) -> Result<Reply, Problem> {
        let project =
            call.query_value("project").map_or(String::new(), |project| format!("project={}&", page::encoded(project)));
        let (then, secret, id) = (self.endpoint.as_str(), page::encoded(secret), claim.id.to_string());
        let TokenClaim { bucket, file, .. } = claim;
        let mut target = format!(
            "/v1/storage/buckets/{bucket}/files/{file}/{then}?{project}token={secret}&claim={}",
            page::encoded(&id)
        );
        for (name, value) in &self.parameters {
            target.extend(["&", *name, "="]);
            target.extend(page::encoded(value));
        }
        let location = HeaderValue::from_str(&target).map_err(|_| Problem::unexpected())?;
        let reply = Reply::no_content().with(header::LOCATION, location);
        let reply = reply.with(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        Ok(Reply { status: StatusCode::SEE_OTHER, ..reply })
    }
}

/// Secrets are for keys that could create a token themselves.
fn shown(call: &Call<()>, token: dto::FileToken) -> Token {
    Token::new(token, call.roles.satisfy(WRITE_TOKENS))
}

fn shown_list(call: &Call<()>, found: FoundFileTokens) -> TokenList {
    TokenList { total: found.total, tokens: found.tokens.into_iter().map(|token| shown(call, token)).collect() }
}

/// The members that a body has; null returns to the default.
fn change(arguments: &mut Arguments) -> Result<FileTokenChange, Problem> {
    let unknown = UNKNOWN_RESTRICTIONS.into_iter().find(|name| arguments.has(name));
    let is_strict = arguments.flag(STRICT_USES)? == Some(true);
    if let Some(name) = unknown.or(is_strict.then_some(STRICT_USES)) {
        return Err(invalid(name, "This node cannot restrict a file token in this way"));
    }
    if arguments.text("delivery")?.is_some_and(|delivery| delivery != DELIVERY) {
        return Err(invalid("delivery", "Value must be node"));
    }
    let endpoints = |arguments: &mut Arguments, name: &str| match arguments.texts(name)? {
        Some(names) => Ok(Some(Endpoints::parse(&names)?)),
        None => Ok(None),
    };
    let notify = |arguments: &mut Arguments, name: &str| match arguments.text(name)? {
        Some(text) => Ok(Some(Notify::parse(&text)?)),
        None => Ok(None),
    };
    Ok(FileTokenChange {
        expire: arguments.change("expire", |arguments, name| time(arguments, name, "valid date in the future"))?,
        not_before: arguments.change("notBefore", |arguments, name| time(arguments, name, "a valid date"))?,
        label: arguments.change("label", Arguments::text)?.map(Option::unwrap_or_default),
        max_downloads: arguments.change("maxDownloads", Arguments::number)?,
        allow: arguments.change("allow", endpoints)?.map(Option::unwrap_or_default),
        notify: arguments.change("notify", notify)?.map(Option::unwrap_or_default),
    })
}

/// A date or date-time. Published samples send an empty text for none.
fn time(arguments: &mut Arguments, name: &str, what: &str) -> Result<Option<Timestamp>, Problem> {
    let refused = || invalid(name, format!("Value must be {what}"));
    match arguments.text(name).map_err(|_| refused())? {
        Some(text) if !text.is_empty() => text.parse().map(Some).map_err(|_| refused()),
        _ => Ok(None),
    }
}
