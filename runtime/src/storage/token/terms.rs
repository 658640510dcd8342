//! What a file token allows: what its owner asks for, and the checks of it.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use transport::wire::Timestamp;

use crate::storage::{ContentUse, StorageError, StorageResult};

/// Most characters of a label.
pub const MAX_LABEL: usize = 128;
/// Most uses that a token can be limited to.
pub const MAX_DOWNLOADS: u32 = 1_000_000;
/// Said of every date that is not usable as an expiry; clients know the words.
const NOT_IN_FUTURE: &str = "Value must be valid date in the future";

/// What a content may be asked for by a token. At least one use is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    view: bool,
    preview: bool,
    download: bool,
}

/// When the owner is told of a use, by [`Event::FileTokenUsed`](crate::Event::FileTokenUsed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notify {
    /// Never.
    #[default]
    None,
    /// The first time.
    First,
    /// Each time.
    Each,
}

/// What a new token is to allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTokenRequest {
    /// Until when it is valid, this millisecond included; for ever if absent. In the future.
    pub expire: Option<Timestamp>,
    /// From when on it is valid; at once if absent. Before the expiry.
    pub not_before: Option<Timestamp>,
    /// A note of the owner, at most [`MAX_LABEL`] characters.
    pub label: String,
    /// How often it can be used, from 1 to [`MAX_DOWNLOADS`]; without a limit if absent.
    pub max_downloads: Option<u64>,
    /// What for.
    pub allow: Endpoints,
    /// When the owner is told.
    pub notify: Notify,
}

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays.
    #[default]
    Keep,
    /// It becomes this.
    To(T),
}

/// What an update of a token replaces. See [`FileTokenRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the members are those of the request")]
pub struct FileTokenChange {
    pub expire: Change<Option<Timestamp>>,
    pub not_before: Change<Option<Timestamp>>,
    pub label: Change<String>,
    pub max_downloads: Change<Option<u64>>,
    pub allow: Change<Endpoints>,
    pub notify: Change<Notify>,
}

/// The terms of a stored token, which were checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) expire: Option<Timestamp>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) label: String,
    pub(crate) max_downloads: Option<NonZeroU32>,
    pub(crate) allow: Endpoints,
    pub(crate) notify: Notify,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self::ALL
    }
}

impl Endpoints {
    /// All of them.
    pub const ALL: Self = Self { view: true, preview: true, download: true };

    /// Reads a list of `view`, `preview` and `download`.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`] for another text, and for an empty list.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> StorageResult<Self> {
        let refused = || StorageError::argument("allow", "Value must be one or more of (view, preview, download)");
        let mut read = Self { view: false, preview: false, download: false };
        for text in texts {
            match text.as_ref() {
                "view" => read.view = true,
                "preview" => read.preview = true,
                "download" => read.download = true,
                _ => return Err(refused()),
            }
        }
        if texts.is_empty() { Err(refused()) } else { Ok(read) }
    }

    /// Whether one is among them.
    #[must_use]
    pub fn contain(self, endpoint: ContentUse) -> bool {
        match endpoint {
            ContentUse::View => self.view,
            ContentUse::Preview => self.preview,
            ContentUse::Download => self.download,
        }
    }

    /// Their names.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let all = [ContentUse::View, ContentUse::Preview, ContentUse::Download];
        all.into_iter().filter(|endpoint| self.contain(*endpoint)).map(ContentUse::as_str).collect()
    }
}

impl Notify {
    /// `none`, `first` or `each`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::First => "first",
            Self::Each => "each",
        }
    }

    /// Reads its name.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`] for another text.
    pub fn parse(text: &str) -> StorageResult<Self> {
        let found = [Self::None, Self::First, Self::Each].into_iter().find(|notify| notify.as_str() == text);
        found.ok_or_else(|| StorageError::argument("notify", "Value must be one of (none, first, each)"))
    }
}

impl<T> Change<T> {
    /// The same with another value.
    pub fn map<U>(self, read: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::To(new) => Change::To(read(new)),
        }
    }

    /// The value of something new.
    pub fn or_default(self) -> T
    where
        T: Default,
    {
        self.apply(T::default())
    }

    fn apply(self, before: T) -> T {
        match self {
            Self::Keep => before,
            Self::To(new) => new,
        }
    }

    fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Keep => None,
            Self::To(new) => Some(new),
        }
    }
}

impl FileTokenRequest {
    /// Checks everything.
    pub(crate) fn check(self, now: Timestamp) -> StorageResult<Terms> {
        check_expiry(self.expire, now)?;
        check_label(&self.label)?;
        let terms = Terms {
            expire: self.expire,
            not_before: self.not_before,
            label: self.label,
            max_downloads: limit(self.max_downloads)?,
            allow: self.allow,
            notify: self.notify,
        };
        terms.check_order()
    }
}

impl FileTokenChange {
    /// Changes the expiry only.
    #[must_use]
    pub fn of_expiry(expire: Option<Timestamp>) -> Self {
        Self { expire: Change::To(expire), ..Self::default() }
    }

    /// Checks what can be checked without the token.
    pub(crate) fn check(&self, now: Timestamp) -> StorageResult<()> {
        check_expiry(self.expire.as_ref().copied().flatten(), now)?;
        check_label(self.label.as_ref().map_or("", String::as_str))?;
        limit(self.max_downloads.as_ref().copied().flatten()).map(drop)
    }

    /// The terms with these changes.
    pub(crate) fn apply(self, before: Terms) -> StorageResult<Terms> {
        let max_downloads = match self.max_downloads {
            Change::Keep => before.max_downloads,
            Change::To(most) => limit(most)?,
        };
        let terms = Terms {
            expire: self.expire.apply(before.expire),
            not_before: self.not_before.apply(before.not_before),
            label: self.label.apply(before.label),
            max_downloads,
            allow: self.allow.apply(before.allow),
            notify: self.notify.apply(before.notify),
        };
        terms.check_order()
    }
}

impl Terms {
    fn check_order(self) -> StorageResult<Self> {
        match (self.not_before, self.expire) {
            (Some(begin), Some(end)) if begin > end => {
                Err(StorageError::argument("notBefore", "Value must be a date before the expiry"))
            }
            _ => Ok(self),
        }
    }
}

fn check_expiry(expire: Option<Timestamp>, now: Timestamp) -> StorageResult<()> {
    if expire.is_some_and(|expire| expire < now) { Err(past_expiry()) } else { Ok(()) }
}

/// An expiry that is over, or is not a date at all.
pub(crate) fn past_expiry() -> StorageError {
    StorageError::argument("expire", NOT_IN_FUTURE)
}

fn check_label(label: &str) -> StorageResult<()> {
    match label.chars().take(MAX_LABEL + 1).count() <= MAX_LABEL {
        true => Ok(()),
        false => Err(StorageError::argument("label", format!("a label has at most {MAX_LABEL} characters"))),
    }
}

fn limit(most: Option<u64>) -> StorageResult<Option<NonZeroU32>> {
    let Some(most) = most else { return Ok(None) };
    let limit = u32::try_from(most).ok().filter(|most| *most <= MAX_DOWNLOADS).and_then(NonZeroU32::new);
    let refused = || StorageError::argument("maxDownloads", format!("Value must be from 1 to {MAX_DOWNLOADS}"));
    limit.map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_unix_milliseconds(1_000_000)
    }

    fn refused<T: std::fmt::Debug>(outcome: StorageResult<T>) -> &'static str {
        match outcome.unwrap_err() {
            StorageError::InvalidArgument { name, .. } => name,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn values_are_taken_at_their_bounds_and_refused_beyond_them() {
        let later = now().saturating_add(Duration::from_millis(1));
        let earlier = now().saturating_sub(Duration::from_millis(1));
        let request = FileTokenRequest::default;
        for fits in [
            request(),
            FileTokenRequest { expire: Some(now()), not_before: Some(now()), ..request() },
            FileTokenRequest { expire: Some(later), not_before: Some(earlier), ..request() },
            FileTokenRequest { label: "ä".repeat(MAX_LABEL), ..request() },
            FileTokenRequest { max_downloads: Some(1), ..request() },
            FileTokenRequest { max_downloads: Some(MAX_DOWNLOADS.into()), ..request() },
        ] {
            fits.check(now()).unwrap();
        }
        for (name, request) in [
            ("expire", FileTokenRequest { expire: Some(earlier), ..request() }),
            ("notBefore", FileTokenRequest { expire: Some(now()), not_before: Some(later), ..request() }),
            ("label", FileTokenRequest { label: "a".repeat(MAX_LABEL + 1), ..request() }),
            ("maxDownloads", FileTokenRequest { max_downloads: Some(0), ..request() }),
            ("maxDownloads", FileTokenRequest { max_downloads: Some(u64::from(MAX_DOWNLOADS) + 1), ..request() }),
        ] {
            assert_eq!(refused(request.check(now())), name);
        }
        assert!(past_expiry().to_string().contains("valid date in the future"));
    }

    #[test]
    fn an_update_keeps_what_it_does_not_name() {
        let before = FileTokenRequest { label: "a".to_owned(), max_downloads: Some(3), ..FileTokenRequest::default() };
        let before = before.check(now()).unwrap();
        assert_eq!(FileTokenChange::default().apply(before.clone()).unwrap(), before);
        let change = FileTokenChange {
            label: Change::To("b".to_owned()),
            max_downloads: Change::To(None),
            allow: Change::To(Endpoints::parse(&["view"]).unwrap()),
            ..FileTokenChange::of_expiry(Some(now()))
        };
        change.check(now()).unwrap();
        let after = change.apply(before.clone()).unwrap();
        assert_eq!((after.expire, after.label.as_str(), after.max_downloads), (Some(now()), "b", None));
        assert_eq!(after.allow.names(), ["view"]);
        let past = FileTokenChange::of_expiry(Some(now().saturating_sub(Duration::from_millis(1))));
        assert_eq!(refused(past.check(now())), "expire");
        let many = FileTokenChange { max_downloads: Change::To(Some(0)), ..FileTokenChange::default() };
        assert_eq!(refused(many.check(now())), "maxDownloads");
    }

    #[test]
    fn endpoints_are_a_set_that_is_not_empty() {
        assert_eq!(Endpoints::parse(&["download", "view", "view"]).unwrap().names(), ["view", "download"]);
        assert_eq!(Endpoints::default().names(), ["view", "preview", "download"]);
        for texts in [&[][..], &["View"], &["view", ""]] {
            assert_eq!(refused(Endpoints::parse(texts)), "allow");
        }
        assert_eq!(Notify::parse("each").unwrap(), Notify::Each);
        assert_eq!(refused(Notify::parse("Each")), "notify");
    }
}
