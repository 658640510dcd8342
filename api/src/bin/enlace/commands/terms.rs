//! On which terms something is shared: for whom, until when, with which password.

use std::time::Duration;

use clap::Args;
use runtime::dto::PasswordProtection;
use runtime::{Address, Timestamp};

use crate::failure::Failure;
use crate::passwords::NewPassword;
use crate::time;

/// Options of commands that create a token.
#[derive(Debug, Args)]
#[command(next_help_heading = "Terms")]
pub(crate) struct TermsOptions {
    /// Only the identity with this address can load the token
    #[arg(long = "for", value_name = "ADDRESS")]
    pub(crate) for_identity: Option<Address>,
    /// Time until the token expires: 90s, 15m, 12h, 7d, 2w (default: as long as the file)
    #[arg(long, value_name = "SPAN", value_parser = time::parse_duration, conflicts_with = "expires_at")]
    pub(crate) expires_in: Option<Duration>,
    /// ISO 8601 time at which the token expires
    #[arg(long, value_name = "TIME", value_parser = time::parse_timestamp)]
    pub(crate) expires_at: Option<Timestamp>,
    /// Which password loading takes
    #[command(flatten)]
    pub(crate) password: NewPassword,
    /// Do not store the token on this node; it cannot be listed or deleted afterwards
    #[arg(long)]
    pub(crate) ephemeral: bool,
}

/// Options, with passwords read and spans turned into times.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// Until when.
    pub(crate) expires_at: Option<Timestamp>,
    /// For whom.
    pub(crate) for_identity: Option<Address>,
    /// With which password.
    pub(crate) password_protection: Option<PasswordProtection>,
    /// Whether the node forgets it.
    pub(crate) ephemeral: bool,
}

impl TermsOptions {
    /// Reads files, asks at prompts, checks times.
    ///
    /// # Errors
    /// A failure for an unreadable password or a time that has passed.
    pub(crate) fn read(&self, now: Timestamp) -> Result<Terms, Failure> {
        let expires_at = self.expires_at.or_else(|| self.expires_in.map(|span| now.saturating_add(span)));
        if expires_at.is_some_and(|time| time <= now) {
            return Err(Failure::usage("the expiry has passed already")
                .hint("give a later one with --expires-at, or a span with --expires-in 7d")
                .code("error.runtime.validation.invalidPropertyValue"));
        }
        Ok(Terms {
            expires_at,
            for_identity: self.for_identity.clone(),
            password_protection: self.password.protection()?,
            ephemeral: self.ephemeral,
        })
    }
}
