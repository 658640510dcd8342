//! `enlace tokens list`: which tokens it shows, in which order, and how.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use runtime::dto::{AnyToken, ListedToken, Token, TokenDelivery, TokenStatus};
use runtime::facade::{FindTokens, Ownership};
use runtime::{ErrorCode, FileId, Timestamp};
use serde_json::{Value, json};

use super::files::parse_pair;
use crate::access::Access;
use crate::args::NodeOptions;
use crate::code::{Code, Kind};
use crate::failure::Failure;
use crate::time;

/// Which tokens a list shows.
#[derive(Debug, Args)]
pub(super) struct TokenListArgs {
    /// Only tokens that this identity created
    #[arg(long, conflicts_with = "peer")]
    own: bool,
    /// Only tokens loaded from other identities
    #[arg(long)]
    peer: bool,
    /// Only tokens for this file: its ID, or BUCKET:FILE for a file of /v1
    #[arg(long, value_name = "FILE-ID", value_parser = parse_file)]
    file: Option<FileOf>,
    /// Only tokens with this status; can be given several times
    #[arg(long, value_name = "STATUS", value_enum)]
    status: Vec<Status>,
    /// Only tokens that expire before this time
    #[arg(long, value_name = "TIME", value_parser = time::parse_timestamp)]
    expires_before: Option<Timestamp>,
    /// Only tokens that expire after this time, or never
    #[arg(long, value_name = "TIME", value_parser = time::parse_timestamp)]
    expires_after: Option<Timestamp>,
    /// Only tokens whose label contains this text
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Order of the list; a minus sign reverses it
    #[arg(long, value_name = "ORDER", value_enum, allow_hyphen_values = true, default_value = "created")]
    sort: Sort,
    /// Maximum number of tokens
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    limit: Option<u64>,
    /// Only tokens that match, in the filter language of the lists of the REST API; can be given several times
    #[arg(
        long,
        value_name = "KEY=VALUE",
        value_parser = parse_pair,
        conflicts_with_all = ["file", "status", "expires_before", "expires_after", "label", "sort", "limit"]
    )]
    query: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) node: NodeOptions,
}

/// A file as a token names it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FileOf {
    Node(FileId),
    /// The ids of bucket and file.
    Bucket(String),
}

fn parse_file(text: &str) -> Result<FileOf, String> {
    if text.contains(':') {
        return Ok(FileOf::Bucket(text.to_owned()));
    }
    text.parse().map(FileOf::Node).map_err(|error| format!("{text:?} is {error}, nor BUCKET:FILE"))
}

fn parse_limit(text: &str) -> Result<u64, String> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| "must be a whole number from 1 on".to_owned())
}

/// Whether others can load a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    /// Others can load it
    Active,
    /// Not yet
    NotYetValid,
    /// No use of it is left
    Exhausted,
    /// There were too many wrong passwords
    Locked,
    /// Its time is over
    Expired,
    /// It was revoked
    Revoked,
}

impl Status {
    fn known(self) -> TokenStatus {
        match self {
            Self::Active => TokenStatus::Active,
            Self::NotYetValid => TokenStatus::NotYetValid,
            Self::Exhausted => TokenStatus::Exhausted,
            Self::Locked => TokenStatus::Locked,
            Self::Expired => TokenStatus::Expired,
            Self::Revoked => TokenStatus::Revoked,
        }
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The oldest first
    Created,
    /// The newest first
    #[value(name = "-created")]
    CreatedDescending,
    /// Those that expire first; those that never expire are last
    Expires,
    /// Those that never expire first, then the last that expires
    #[value(name = "-expires")]
    ExpiresDescending,
    /// By label
    Label,
    /// By label, in reverse
    #[value(name = "-label")]
    LabelDescending,
    /// Those that were not accessed for longest
    Accessed,
    /// Those that were accessed last
    #[value(name = "-accessed")]
    AccessedDescending,
}

impl Sort {
    /// The parts of the list, one after the other, with their queries. Those that never expire come after all others.
    fn parts(self) -> Vec<Vec<Value>> {
        let order = |method, attribute| query(method, attribute, &[]);
        let expires = |method| query(method, "expiresAt", &[]);
        match self {
            Self::Created => vec![vec![]],
            Self::CreatedDescending => vec![vec![order("orderDesc", "createdAt")]],
            Self::Expires => vec![vec![expires("isNotNull"), expires("orderAsc")], vec![expires("isNull")]],
            Self::ExpiresDescending => vec![vec![expires("isNull")], vec![expires("isNotNull"), expires("orderDesc")]],
            Self::Label => vec![vec![order("orderAsc", "label")]],
            Self::LabelDescending => vec![vec![order("orderDesc", "label")]],
            Self::Accessed => vec![vec![order("orderAsc", "accessedAt")]],
            Self::AccessedDescending => vec![vec![order("orderDesc", "accessedAt")]],
        }
    }
}

/// Tokens of a page, and ids in one query: both below what the node takes.
const PAGE: u64 = 1000;
const IDS: usize = 100;
/// Up to how many tokens are asked for one by one.
const FEW: usize = 50;

impl TokenListArgs {
    /// The tokens in the order of the list.
    ///
    /// # Errors
    /// A failure if the node does not answer, or does not take the filter.
    pub(super) async fn find(&self, access: &Access) -> Result<Vec<ListedToken>, Failure> {
        if !self.query.is_empty() {
            return self.find_by_filter(access).await;
        }
        let (filters, mut found) = (self.filters(), Vec::new());
        for part in self.sort.parts() {
            let queries = [filters.clone(), part].concat();
            let left = self.limit.map(|limit| limit.saturating_sub(found.len() as u64));
            found.extend(all(access, (&queries, self.bucket_file()), left).await?);
        }
        Ok(found)
    }

    /// The same for the filter language of the other lists.
    async fn find_by_filter(&self, access: &Access) -> Result<Vec<ListedToken>, Failure> {
        let ids: Vec<Value> =
            access.tokens(self.ownership(), &self.query).await?.iter().map(|token| json!(token.id)).collect();
        let mut found = Vec::new();
        for ids in ids.chunks(IDS) {
            found.extend(all(access, (&[query("equal", "id", ids)], None), None).await?);
        }
        Ok(found)
    }

    /// What the tokens are as a whole, by id. Some may have been deleted meanwhile.
    ///
    /// # Errors
    /// A failure if the node does not answer.
    pub(super) async fn whole(
        &self,
        access: &Access,
        found: &[ListedToken],
    ) -> Result<HashMap<String, Token>, Failure> {
        let ids: Vec<&str> =
            found.iter().filter(|token| token.delivery == TokenDelivery::E2e).map(|token| token.id.as_str()).collect();
        let mut tokens = Vec::with_capacity(ids.len());
        if ids.len() > FEW {
            tokens = access.tokens(self.ownership(), &[]).await?;
        } else {
            for id in ids {
                match access.token(id).await {
                    Ok(AnyToken::E2e(token)) => tokens.push(*token),
                    Ok(AnyToken::Node(_)) => {}
                    Err(failure) if failure.kind == Kind::NotFound => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        Ok(tokens.into_iter().map(|token| (token.id.to_string(), token)).collect())
    }

    fn ownership(&self) -> Ownership {
        match (self.own, self.peer) {
            (true, _) => Ownership::Own,
            (_, true) => Ownership::Peer,
            _ => Ownership::Any,
        }
    }

    /// The ids of bucket and file, if the list is of a file in a bucket. The node finds its tokens of both kinds.
    fn bucket_file(&self) -> Option<&str> {
        match self.file.as_ref()? {
            FileOf::Node(_) => None,
            FileOf::Bucket(ids) => Some(ids),
        }
    }

    fn filters(&self) -> Vec<Value> {
        let is_own = match self.ownership() {
            Ownership::Any => None,
            Ownership::Own => Some(true),
            Ownership::Peer => Some(false),
        };
        let statuses: Vec<Value> = self.status.iter().map(|status| json!(status.known())).collect();
        let later = |time: &Timestamp| {
            let never = query("isNull", "expiresAt", &[]);
            json!({ "method": "or", "values": [query("greaterThan", "expiresAt", &[json!(time)]), never] })
        };
        let filters = [
            is_own.map(|is_own| query("equal", "isOwn", &[json!(is_own)])),
            self.file.as_ref().and_then(|file| match file {
                FileOf::Node(id) => Some(query("equal", "fileId", &[json!(id)])),
                FileOf::Bucket(_) => None,
            }),
            (!statuses.is_empty()).then(|| query("equal", "status", &statuses)),
            self.expires_before.as_ref().map(|time| query("lessThan", "expiresAt", &[json!(time)])),
            self.expires_after.as_ref().map(later),
            self.label.as_ref().map(|text| query("contains", "label", &[json!(text)])),
        ];
        filters.into_iter().flatten().collect()
    }
}

/// One query in the language of the list.
pub(super) fn query(method: &str, attribute: &str, values: &[Value]) -> Value {
    json!({ "method": method, "attribute": attribute, "values": values })
}

/// All tokens that match queries and are for a file, if one is named; or so many, page by page.
async fn all(
    access: &Access,
    (queries, file): (&[Value], Option<&str>),
    limit: Option<u64>,
) -> Result<Vec<ListedToken>, Failure> {
    let mut pages = Pages { queries, file, limit, found: Vec::new(), is_complete: false, restarts: 0 };
    while let Some(request) = pages.next() {
        pages.take(access.find_tokens(request).await.map(|page| page.tokens))?;
    }
    Ok(pages.found)
}

/// A list that is asked for page by page. A page begins behind the last token of the one before; if that token has been deleted
/// meanwhile, the list begins again.
#[derive(Debug)]
struct Pages<'q> {
    queries: &'q [Value],
    file: Option<&'q str>,
    limit: Option<u64>,
    found: Vec<ListedToken>,
    is_complete: bool,
    restarts: usize,
}

/// How often a list begins again.
const MAX_RESTARTS: usize = 5;

impl Pages<'_> {
    /// How many tokens the next page has at most.
    fn wanted(&self) -> u64 {
        self.limit.map_or(PAGE, |limit| limit.saturating_sub(self.found.len() as u64).min(PAGE))
    }

    /// What asks for the next page; none if there is no further one.
    fn next(&self) -> Option<FindTokens> {
        let wanted = Some(self.wanted()).filter(|wanted| *wanted > 0 && !self.is_complete)?;
        let cursor = self.found.last().map(|last| json!({ "method": "cursorAfter", "values": [last.id] }));
        let page = [json!({ "method": "limit", "values": [wanted] })].into_iter().chain(cursor);
        let queries = self.queries.iter().cloned().chain(page).map(|query| query.to_string()).collect();
        Some(FindTokens { queries, file: self.file.map(str::to_owned), is_counted: false })
    }

    /// The page that was asked for.
    fn take(&mut self, page: Result<Vec<ListedToken>, Failure>) -> Result<(), Failure> {
        match page {
            Ok(page) => {
                self.is_complete = (page.len() as u64) < self.wanted();
                self.found.extend(page);
            }
            // The node took the same queries for the page before, so its cursor is what is wrong.
            Err(failure) if !self.found.is_empty() && self.restarts < MAX_RESTARTS && is_invalid(&failure) => {
                self.restarts += 1;
                self.found.clear();
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}

fn is_invalid(failure: &Failure) -> bool {
    failure.code == Some(Code::Runtime(ErrorCode::InvalidPropertyValue))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        list: TokenListArgs,
    }

    fn filters(words: &[&str]) -> Vec<Value> {
        Line::try_parse_from([&["list"], words].concat()).unwrap().list.filters()
    }

    #[test]
    fn options_become_queries() {
        assert_eq!(filters(&[]), Vec::<Value>::new());
        let given = filters(&[
            "--own",
            "--file",
            "FIL00000000000000001",
            "--status",
            "active",
            "--status",
            "not-yet-valid",
            "--label",
            "Ada",
        ]);
        assert_eq!(
            given,
            [
                query("equal", "isOwn", &[json!(true)]),
                query("equal", "fileId", &[json!("FIL00000000000000001")]),
                query("equal", "status", &[json!("active"), json!("notYetValid")]),
                query("contains", "label", &[json!("Ada")]),
            ]
        );
        let of_bucket = Line::try_parse_from(["list", "--file", "docs:plan"]).unwrap().list;
        assert_eq!((of_bucket.filters(), of_bucket.bucket_file()), (Vec::new(), Some("docs:plan")));
        let times = filters(&["--expires-before", "2030-01-31", "--expires-after", "2030-01-01T00:00:00Z"]);
        assert_eq!(times[0], query("lessThan", "expiresAt", &[json!("2030-01-31T00:00:00.000Z")]));
        assert_eq!(times[1]["values"][0]["values"], json!(["2030-01-01T00:00:00.000Z"]));
    }

    /// Tokens with these numbers, as a node tells of them.
    fn page(numbers: std::ops::Range<u64>) -> Vec<ListedToken> {
        let token = |number: u64| {
            let token = json!({
                "id": format!("TOK{number:017}"), "delivery": "e2e", "status": "active", "isOwn": true, "hasPassword": false,
                "createdAt": "2030-01-01T00:00:00.000Z", "updatedAt": "2030-01-01T00:00:00.000Z", "downloads": 0
            });
            serde_json::from_value(token).unwrap()
        };
        numbers.map(token).collect()
    }

    fn pages(limit: Option<u64>) -> Pages<'static> {
        Pages { queries: &[], file: None, limit, found: Vec::new(), is_complete: false, restarts: 0 }
    }

    fn no_such_cursor() -> Failure {
        Failure::from_rest("error.runtime.validation.invalidPropertyValue", "there is no such token")
    }

    #[test]
    fn a_list_is_asked_for_page_by_page_up_to_its_limit() {
        let mut list = pages(Some(PAGE + 2));
        assert_eq!(list.next().unwrap().queries, [r#"{"method":"limit","values":[1000]}"#]);
        list.take(Ok(page(0..PAGE))).unwrap();
        let cursor = r#"{"method":"cursorAfter","values":["TOK00000000000000999"]}"#;
        assert_eq!(list.next().unwrap().queries, [r#"{"method":"limit","values":[2]}"#, cursor]);
        list.take(Ok(page(PAGE..PAGE + 2))).unwrap();
        assert!(list.next().is_none());
        let mut short = pages(None);
        short.take(Ok(page(0..PAGE - 1))).unwrap();
        assert!(short.next().is_none());
    }

    #[test]
    fn a_list_begins_again_when_the_token_before_a_page_is_deleted_but_not_for_ever() {
        let mut list = pages(None);
        assert!(list.take(Err(no_such_cursor())).is_err(), "the first page has no cursor");
        for _ in 0..MAX_RESTARTS {
            list.take(Ok(page(0..PAGE))).unwrap();
            list.take(Err(no_such_cursor())).unwrap();
            assert_eq!(list.next().unwrap().queries.len(), 1, "without a cursor");
        }
        list.take(Ok(page(0..PAGE))).unwrap();
        assert!(list.take(Err(no_such_cursor())).is_err());
        let mut other = pages(None);
        other.take(Ok(page(0..PAGE))).unwrap();
        assert!(other.take(Err(Failure::new(Kind::Network, "gone"))).is_err());
    }

    #[test]
    fn orders_are_named_with_a_sign_and_unknown_values_are_refused() {
        for (words, sort) in [
            (&[][..], Sort::Created),
            (&["--sort", "-created"], Sort::CreatedDescending),
            (&["--sort=-expires"], Sort::ExpiresDescending),
            (&["--sort", "accessed"], Sort::Accessed),
        ] {
            assert_eq!(Line::try_parse_from([&["list"], words].concat()).unwrap().list.sort, sort);
        }
        for words in [
            &["--sort", "size"][..],
            &["--status", "gone"],
            &["--file", "TOK00000000000000001"],
            &["--limit", "0"],
            &["--query", "isOwn=true", "--limit", "1"],
            &["--query", "isOwn=true", "--sort", "label"],
            &["--own", "--peer"],
        ] {
            assert!(Line::try_parse_from([&["list"], words].concat()).is_err(), "{words:?}");
        }
        Line::command().debug_assert();
    }
}
