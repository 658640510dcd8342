//! On which terms something is shared: for whom, from when on and until when, how often, with which password.

use std::time::Duration;

use clap::Args;
use runtime::dto::{MaxDownloads, TokenLabel, TokenTransports};
use runtime::facade::{CreateTokenForFile, NewTerms};
use runtime::{Address, ErrorCode, Timestamp, check_address};

use crate::code::Code;
use crate::failure::Failure;
use crate::passwords::NewPassword;
use crate::time::{self, Span};

/// Reads an address as `enlace identity` prints it.
fn parse_address(text: &str) -> Result<Address, String> {
    let address: Address = text.parse().map_err(|error| format!("{error}; `enlace identity` prints addresses"))?;
    match check_address(&address) {
        Ok(()) => Ok(address),
        Err(_) => Err("its checksum is wrong, so it was mistyped; `enlace identity` prints addresses".to_owned()),
    }
}

/// Options of commands that create a token.
#[derive(Debug, Args)]
#[command(next_help_heading = "Terms")]
pub(crate) struct TermsOptions {
    /// Only the identity with this address can load the token
    #[arg(long = "for", value_name = "ADDRESS", value_parser = parse_address)]
    pub(crate) for_identity: Option<Address>,
    /// Time until the token expires, such as 90s, 15m, 12h, 7d or 2w; never: not before the file (default: 7d for `share`,
    /// otherwise never)
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = time::parse_span,
        allow_hyphen_values = true,
        conflicts_with = "expires_at"
    )]
    pub(crate) expires_in: Option<Span>,
    /// ISO 8601 time at which the token expires
    #[arg(long, value_name = "TIME", value_parser = time::parse_timestamp)]
    pub(crate) expires_at: Option<Timestamp>,
    /// Which password loading takes
    #[command(flatten)]
    pub(crate) password: NewPassword,
    /// How often the token can be used, from 1 to 1000000; a backbone with terms counts
    #[arg(long, value_name = "N")]
    pub(crate) max_downloads: Option<MaxDownloads>,
    /// ISO 8601 time from which on the token can be used
    #[arg(long, value_name = "TIME", value_parser = time::parse_timestamp)]
    pub(crate) not_before: Option<Timestamp>,
    /// By which paths others may load the token: some of direct, relay and store, with commas between them (default: all)
    ///
    /// This node gives the token and its file to peers over a direct connection only with direct, and through a relay only with relay. A token at a
    /// backbone must have store; `share --direct-only` does without.
    #[arg(long, value_name = "PATHS")]
    pub(crate) transports: Option<TokenTransports>,
    /// Note for yourself of at most 128 characters; this node keeps it with the token
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<TokenLabel>,
    /// Do not store the token on this node; it cannot be listed, changed or deleted afterwards, and has no label
    #[arg(long)]
    pub(crate) ephemeral: bool,
}

/// Options, with passwords read and spans turned into times.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The terms as a request for a file.
    pub(crate) request: CreateTokenForFile,
    /// Whether the options say that the token lasts as long as the file.
    pub(crate) never: bool,
}

impl TermsOptions {
    /// Reads files, asks at prompts, checks times and PINs: everything that can be wrong before something is sent.
    ///
    /// # Errors
    /// A failure for an unreadable password, an invalid PIN or a time that has passed.
    pub(crate) fn read(&self, now: Timestamp) -> Result<Terms, Failure> {
        let (expires_at, never) = match self.expires_in {
            Some(Span::For(span)) => (Some(now.saturating_add(span)), false),
            Some(Span::Never) => (None, true),
            None => (self.expires_at, false),
        };
        if let Some(expires_at) = expires_at {
            check_future(expires_at, now)?;
        }
        if let (Some(begin), Some(end)) = (self.not_before, expires_at)
            && begin >= end
        {
            return Err(
                Failure::usage("the token would expire before it can be used").hint("use an earlier --not-before")
            );
        }
        let password_protection = self.password.protection()?;
        let (for_identity, ephemeral) = (self.for_identity.clone(), self.ephemeral);
        let request = CreateTokenForFile {
            expires_at,
            ephemeral,
            for_identity,
            password_protection,
            terms: NewTerms {
                label: self.label.clone(),
                not_before: self.not_before,
                max_downloads: self.max_downloads,
                transports: self.transports,
                ..NewTerms::default()
            },
        };
        Ok(Terms { request, never })
    }
}

/// A failure to create a token, in the words of the command line if the backbone does not offer its terms.
pub(crate) fn explain(failure: Failure, terms: &NewTerms) -> Failure {
    if failure.code != Some(Code::Runtime(ErrorCode::NotSupported)) {
        return failure;
    }
    let limits = [terms.max_downloads.map(|_| "--max-downloads"), terms.not_before.map(|_| "--not-before")];
    let limits: Vec<_> = limits.into_iter().flatten().collect();
    match limits.is_empty() {
        false => Failure { message: NO_LIMITS.to_owned(), ..failure }.hint(format!(
            "omit {}, use a backbone that has terms of tokens, or share the file with `enlace share --direct-only`",
            limits.join(" and ")
        )),
        true if terms.notify.is_some() => failure.hint("omit --notify, or use a backbone that has terms of tokens"),
        true => failure,
    }
}

const NO_LIMITS: &str = "the backbone cannot limit how often a token is used, nor from when on";

/// Refuses a time of expiry that has passed.
///
/// # Errors
/// A failure that names the options.
pub(crate) fn check_future(expires_at: Timestamp, now: Timestamp) -> Result<(), Failure> {
    if expires_at > now {
        return Ok(());
    }
    Err(Failure::usage("the expiry has already passed")
        .hint("use a later --expires-at, or a time span such as --expires-in 7d")
        .code(ErrorCode::InvalidPropertyValue))
}

/// Refuses a time of expiry that is later than the backbone allows, for which `lifetime` stands, before anything is sent.
///
/// # Errors
/// A failure that names the latest one.
pub(crate) fn check_lifetime(expires_at: Timestamp, now: Timestamp, lifetime: Option<Duration>) -> Result<(), Failure> {
    match lifetime {
        Some(lifetime) if expires_at > now.saturating_add(lifetime) => {
            let longest = time::span(lifetime);
            Err(Failure::usage(format!("the backbone allows an expiry of at most {longest} from now"))
                .hint(format!("use --expires-in {}, or an earlier --expires-at", time::short_span(lifetime)))
                .code(ErrorCode::InvalidPropertyValue))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_may_be_as_late_as_the_backbone_allows_and_no_later() {
        let now = time::now();
        let day = Duration::from_secs(24 * 60 * 60);
        let latest = now.saturating_add(day);
        let check = |expires_at, lifetime| check_lifetime(expires_at, now, lifetime);
        assert!(check(latest, Some(day)).is_ok() && check(Timestamp::NEVER, None).is_ok());
        let refused = check(latest.saturating_add(Duration::from_millis(1)), Some(day)).unwrap_err();
        assert_eq!(refused.kind, crate::code::Kind::Usage);
        assert_eq!(refused.message, "the backbone allows an expiry of at most 1 day from now");
        assert!(refused.hint.unwrap().contains("--expires-in 1d"));
    }

    #[test]
    fn terms_that_a_backbone_does_not_offer_are_named_as_options() {
        let refused = || Failure::from(runtime::Error::NotSupported("The backbone cannot do it.".to_owned()));
        let counted = NewTerms { max_downloads: "1".parse().ok(), ..NewTerms::default() };
        let explained = explain(refused(), &counted);
        assert_eq!((explained.message.as_str(), explained.code.clone()), (NO_LIMITS, refused().code));
        assert!(
            explained.hint.as_ref().is_some_and(|hint| hint.starts_with("omit --max-downloads, ")),
            "{explained:?}"
        );
        let both = explain(refused(), &NewTerms { not_before: Some(time::now()), ..counted });
        assert!(both.hint.is_some_and(|hint| hint.starts_with("omit --max-downloads and --not-before, ")));
        let plain = explain(refused(), &NewTerms::default());
        assert_eq!((plain.message, plain.hint), (refused().message, refused().hint));
    }

    #[test]
    fn a_time_that_is_now_has_passed() {
        let now = time::now();
        let later = now.saturating_add(Duration::from_millis(1));
        assert!(check_future(later, now).is_ok() && check_future(now, now).is_err());
    }
}
