//! Who may do what with a bucket and its files: pure decisions, each in the order in which the interface refuses.
//!
//! A caller with a key may do everything; its scopes are checked before. In a bucket whose files have permissions of their own
//! (`fileSecurity`), a permission of the bucket or of the file is enough.

use super::bucket::BucketRecord;
use super::entry::FileEntry;
use super::{Action, Caller, StorageError, StorageResult, TokenRefusal};

/// Which files of a bucket somebody gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    All,
    /// Those that they may read by the permissions of the file.
    Readable,
}

/// A token that comes with a request for a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Presented {
    /// The number of the file that it is for; none for one that is expired or is none at all.
    pub(crate) file: Option<u64>,
    /// Whether it helps.
    pub(crate) judged: Result<(), TokenRefusal>,
}

/// A file whose content somebody gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) file: FileEntry,
    /// Whether that takes the token: permissions are not enough.
    pub(crate) takes_token: bool,
}

/// What the content of a file is asked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentUse {
    /// To be shown as it is.
    View,
    /// To make a preview of it.
    Preview,
    /// To be saved as it is.
    Download,
}

impl ContentUse {
    /// `view`, `preview` or `download`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Preview => "preview",
            Self::Download => "download",
        }
    }
}

/// The bucket, if there is one that the caller sees.
pub(crate) fn visible(caller: Caller, bucket: Option<BucketRecord>) -> StorageResult<BucketRecord> {
    bucket.filter(|bucket| bucket.is_visible_to(caller)).ok_or(StorageError::BucketNotFound)
}

/// Whether a file may be created in a bucket.
pub(crate) fn create_file(caller: Caller, bucket: &BucketRecord) -> StorageResult<()> {
    match bucket.permissions.allow(Action::Create, caller) {
        true => Ok(()),
        false => Err(StorageError::NotPermitted(Action::Create)),
    }
}

/// Which files are listed.
pub(crate) fn list_files(caller: Caller, bucket: &BucketRecord) -> StorageResult<Listed> {
    match (bucket.permissions.allow(Action::Read, caller), bucket.settings.file_security) {
        (true, _) => Ok(Listed::All),
        (false, true) => Ok(Listed::Readable),
        (false, false) => Err(StorageError::NotPermitted(Action::Read)),
    }
}

/// The file, if there is one that the caller may see.
pub(crate) fn read_file(caller: Caller, bucket: &BucketRecord, file: Option<FileEntry>) -> StorageResult<FileEntry> {
    let listed = list_files(caller, bucket)?;
    let is_seen = |file: &FileEntry| listed == Listed::All || file.permissions.allow(Action::Read, caller);
    file.filter(is_seen).ok_or(StorageError::FileNotFound)
}

/// The file, if the caller may change or delete it, which does not take the permission to read it.
pub(crate) fn change_file(
    action: Action,
    caller: Caller,
    bucket: &BucketRecord,
    file: Option<FileEntry>,
) -> StorageResult<FileEntry> {
    let by_bucket = bucket.permissions.allow(action, caller);
    if !by_bucket && !bucket.settings.file_security {
        return Err(StorageError::NotPermitted(action));
    }
    let file = file.ok_or(StorageError::FileNotFound)?;
    match by_bucket || file.permissions.allow(action, caller) {
        true => Ok(file),
        false => Err(StorageError::NotPermitted(action)),
    }
}

/// The file, if the caller gets its content, by permissions or by a valid token. A token that does not help is the reason of the
/// refusal if nothing else permits it; one that is for another file is refused before everything else that it is or is not good for.
pub(crate) fn content(
    caller: Caller,
    bucket: &BucketRecord,
    file: Option<FileEntry>,
    token: Option<Presented>,
    used_as: ContentUse,
) -> StorageResult<Granted> {
    if used_as == ContentUse::Preview && !bucket.settings.transformations && !caller.is_key() {
        return Err(StorageError::TransformationsDisabled);
    }
    let of_token = token.and_then(|token| token.file);
    if of_token.is_some_and(|number| file.as_ref().is_none_or(|file| file.number != number)) {
        return Err(StorageError::TokenOfOtherFile);
    }
    let refusal = token.and_then(|token| token.judged.err());
    let denied = |reason: StorageError| refusal.map_or(reason, StorageError::Token);
    let by_token = token.is_some_and(|token| token.judged.is_ok());
    let by_bucket = bucket.permissions.allow(Action::Read, caller);
    let file_security = bucket.settings.file_security;
    if !file_security && !by_bucket && !by_token {
        return Err(denied(StorageError::NotPermitted(Action::Read)));
    }
    let by_file = file_security && file.as_ref().is_some_and(|file| file.permissions.allow(Action::Read, caller));
    let is_permitted = by_bucket || by_file;
    if !is_permitted && !by_token {
        return Err(denied(StorageError::FileNotFound));
    }
    let file = file.filter(|file| file.content.is_some()).ok_or(StorageError::FileNotFound)?;
    Ok(Granted { file, takes_token: !is_permitted })
}

/// The file, if the caller may list its tokens, or with [`Action::Update`] create some.
pub(crate) fn tokens(
    action: Action,
    caller: Caller,
    bucket: &BucketRecord,
    file: Option<FileEntry>,
) -> StorageResult<FileEntry> {
    if !bucket.permissions.allow(Action::Read, caller) {
        return Err(StorageError::NotPermitted(Action::Read));
    }
    let file = file.ok_or(StorageError::FileNotFound)?;
    let allowed = match bucket.settings.file_security {
        true => file.permissions.allow(action, caller) || bucket.permissions.allow(action, caller),
        false => bucket.permissions.allow(action, caller),
    };
    match action == Action::Read || allowed {
        true => Ok(file),
        false => Err(StorageError::NotPermitted(action)),
    }
}

#[cfg(test)]
mod tests {
    use transport::wire::Timestamp;

    use super::super::bucket::tests::settings;
    use super::super::entry::EntryContent;
    use super::super::{BucketRequest, Permissions, PermissionsOf};
    use super::*;

    fn permissions(texts: &str, of: PermissionsOf) -> Permissions {
        let texts: Vec<String> = texts.split_whitespace().map(|text| format!("{text}(\"any\")")).collect();
        Permissions::parse(&texts, of).unwrap()
    }

    fn bucket(permitted: &str, file_security: bool) -> BucketRecord {
        let request = BucketRequest { file_security: Some(file_security), ..BucketRequest::named("b") };
        BucketRecord {
            id: "b".to_owned(),
            number: 1,
            created_at: Timestamp::NEVER,
            updated_at: Timestamp::NEVER,
            permissions: permissions(permitted, PermissionsOf::Bucket),
            settings: settings(request),
        }
    }

    fn file(permitted: &str) -> Option<FileEntry> {
        let content = EntryContent {
            file: "FIL00000000000000001".parse().unwrap(),
            signature: String::new(),
            mime_type: String::new(),
            parts: 1,
        };
        Some(FileEntry {
            id: "f".to_owned(),
            number: 2,
            bucket: 1,
            created_at: Timestamp::NEVER,
            updated_at: Timestamp::NEVER,
            permissions: permissions(permitted, PermissionsOf::File),
            name: "f".to_owned(),
            folder: String::new(),
            size: 1,
            content: Some(content),
        })
    }

    fn said<T>(outcome: StorageResult<T>) -> &'static str {
        match outcome {
            Ok(_) => "ok",
            Err(StorageError::BucketNotFound) => "no bucket",
            Err(StorageError::FileNotFound) => "no file",
            Err(StorageError::NotPermitted(action)) => action.as_str(),
            Err(StorageError::TransformationsDisabled) => "no previews",
            Err(StorageError::TokenOfOtherFile) => "other token",
            Err(StorageError::Token(TokenRefusal::Expired)) => "expired",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn disabled_buckets_are_seen_with_a_key_only() {
        let mut disabled = bucket("read", false);
        disabled.settings.enabled = false;
        for (caller, bucket, expected) in [
            (Caller::Guest, Some(bucket("", false)), "ok"),
            (Caller::Guest, Some(disabled.clone()), "no bucket"),
            (Caller::Key, Some(disabled), "ok"),
            (Caller::Guest, None, "no bucket"),
            (Caller::Key, None, "no bucket"),
        ] {
            assert_eq!(said(visible(caller, bucket)), expected);
        }
    }

    /// Permissions of bucket, file security, permissions of the file (`-`: there is none), and what guests are told when they read,
    /// update and delete the file, and list files.
    const GUESTS: &[(&str, bool, &str, [&str; 4])] = &[
        ("", false, "", ["read", "update", "delete", "read"]),
        ("", false, "-", ["read", "update", "delete", "read"]),
        ("", false, "read write", ["read", "update", "delete", "read"]),
        ("read", false, "", ["ok", "update", "delete", "ok"]),
        ("read", false, "-", ["no file", "update", "delete", "ok"]),
        ("update", false, "", ["read", "ok", "delete", "read"]),
        ("update", false, "-", ["read", "no file", "delete", "read"]),
        ("write", false, "", ["read", "ok", "ok", "read"]),
        ("", true, "", ["no file", "update", "delete", "ok"]),
        ("", true, "-", ["no file", "no file", "no file", "ok"]),
        ("", true, "read", ["ok", "update", "delete", "ok"]),
        ("", true, "update", ["no file", "ok", "delete", "ok"]),
        ("", true, "delete", ["no file", "update", "ok", "ok"]),
        ("read", true, "", ["ok", "update", "delete", "ok"]),
        ("write", true, "", ["no file", "ok", "ok", "ok"]),
    ];

    #[test]
    fn permissions_of_bucket_and_file_decide_for_guests() {
        for (of_bucket, file_security, of_file, expected) in GUESTS {
            let bucket = bucket(of_bucket, *file_security);
            let file = || if *of_file == "-" { None } else { file(of_file) };
            let told = |caller| {
                [
                    said(read_file(caller, &bucket, file())),
                    said(change_file(Action::Update, caller, &bucket, file())),
                    said(change_file(Action::Delete, caller, &bucket, file())),
                    said(list_files(caller, &bucket)),
                ]
            };
            assert_eq!(told(Caller::Guest), *expected, "{of_bucket} {file_security} {of_file}");
            let with_key = if *of_file == "-" { "no file" } else { "ok" };
            assert_eq!(told(Caller::Key), [with_key, with_key, with_key, "ok"]);
        }
    }

    #[test]
    fn only_readable_files_are_listed_if_the_bucket_does_not_permit_it() {
        assert_eq!(list_files(Caller::Guest, &bucket("read", true)).unwrap(), Listed::All);
        assert_eq!(list_files(Caller::Guest, &bucket("", true)).unwrap(), Listed::Readable);
        assert_eq!(list_files(Caller::Key, &bucket("", true)).unwrap(), Listed::All);
    }

    #[test]
    fn creating_takes_a_permission_of_the_bucket() {
        for (permitted, expected) in [("create", "ok"), ("write", "ok"), ("read update delete", "create")] {
            assert_eq!(said(create_file(Caller::Guest, &bucket(permitted, true))), expected);
            assert_eq!(said(create_file(Caller::Key, &bucket(permitted, true))), "ok");
        }
    }

    const TOKEN: Option<u64> = Some(2);
    const OF_OTHER_FILE: Option<u64> = Some(3);

    fn valid(file: u64) -> Presented {
        Presented { file: Some(file), judged: Ok(()) }
    }

    /// Permissions of the bucket, file security, permissions of the file, token, and what guests are told.
    const CONTENT: &[(&str, bool, &str, Option<u64>, &str)] = &[
        ("", false, "read", None, "read"),
        ("read", false, "", None, "ok"),
        ("read", false, "-", None, "no file"),
        ("", true, "", None, "no file"),
        ("", true, "read", None, "ok"),
        ("", true, "-", None, "no file"),
        // A token opens its file, whatever the permissions are.
        ("", false, "", TOKEN, "ok"),
        ("", true, "", TOKEN, "ok"),
        ("read", false, "", TOKEN, "ok"),
        // A token of another file is refused even if permissions would do.
        ("", false, "", OF_OTHER_FILE, "other token"),
        ("read", false, "", OF_OTHER_FILE, "other token"),
        ("", true, "read", OF_OTHER_FILE, "other token"),
        ("", false, "-", OF_OTHER_FILE, "other token"),
        ("", false, "-", TOKEN, "other token"),
        ("", true, "", OF_OTHER_FILE, "other token"),
        ("", true, "-", OF_OTHER_FILE, "other token"),
    ];

    #[test]
    fn a_token_opens_exactly_one_file() {
        for (of_bucket, file_security, of_file, token, expected) in CONTENT {
            let bucket = bucket(of_bucket, *file_security);
            let file = if *of_file == "-" { None } else { file(of_file) };
            let told = said(content(Caller::Guest, &bucket, file.clone(), token.map(valid), ContentUse::View));
            assert_eq!(told, *expected, "{of_bucket} {file_security} {of_file} {token:?}");
            let told = said(content(Caller::Key, &bucket, file.clone(), token.map(valid), ContentUse::Download));
            let is_other = token.is_some_and(|token| file.as_ref().is_none_or(|file| file.number != token));
            assert_eq!(
                told,
                if is_other {
                    "other token"
                } else if file.is_none() {
                    "no file"
                } else {
                    "ok"
                }
            );
        }
    }

    #[test]
    fn a_token_is_taken_only_where_permissions_are_not_enough() {
        for (caller, of_bucket, file_security, of_file, expected) in [
            (Caller::Guest, "", false, "", true),
            // Permissions of files mean nothing in such a bucket.
            (Caller::Guest, "", false, "read", true),
            (Caller::Guest, "", true, "", true),
            (Caller::Guest, "", true, "read", false),
            (Caller::Guest, "read", true, "", false),
            (Caller::Key, "", false, "", false),
        ] {
            let bucket = bucket(of_bucket, file_security);
            let granted = content(caller, &bucket, file(of_file), TOKEN.map(valid), ContentUse::View).unwrap();
            assert_eq!(granted.takes_token, expected, "{caller:?} {of_bucket} {file_security} {of_file}");
        }
    }

    #[test]
    fn a_token_of_another_file_is_refused_whatever_else_is_wrong_with_it() {
        for refusal in [TokenRefusal::ClaimRequired, TokenRefusal::Exhausted, TokenRefusal::NotAllowed] {
            let other = Some(Presented { file: OF_OTHER_FILE, judged: Err(refusal) });
            for (of_bucket, file_security) in [("", false), ("read", false), ("", true)] {
                for caller in [Caller::Guest, Caller::Key] {
                    let bucket = bucket(of_bucket, file_security);
                    assert_eq!(said(content(caller, &bucket, file(""), other, ContentUse::View)), "other token");
                    assert_eq!(said(content(caller, &bucket, None, other, ContentUse::View)), "other token");
                }
            }
        }
    }

    #[test]
    fn a_token_that_does_not_help_is_told_only_to_those_whom_nothing_else_permits() {
        let expired = Some(Presented { file: None, judged: Err(TokenRefusal::Expired) });
        for (of_bucket, file_security, of_file, for_guests, for_keys) in [
            ("", false, "", "expired", "ok"),
            ("", false, "-", "expired", "no file"),
            ("read", false, "", "ok", "ok"),
            ("read", false, "-", "no file", "no file"),
            ("", true, "", "expired", "ok"),
            ("", true, "-", "expired", "no file"),
            ("", true, "read", "ok", "ok"),
        ] {
            let bucket = bucket(of_bucket, file_security);
            let file = || if of_file == "-" { None } else { file(of_file) };
            let told = |caller| said(content(caller, &bucket, file(), expired, ContentUse::View));
            assert_eq!((told(Caller::Guest), told(Caller::Key)), (for_guests, for_keys), "{of_bucket} {of_file}");
        }
    }

    #[test]
    fn previews_may_be_off_and_unfinished_files_have_no_content() {
        let mut off = bucket("", false);
        off.settings.transformations = false;
        for (caller, used_as, expected) in [
            (Caller::Guest, ContentUse::Preview, "no previews"),
            (Caller::Guest, ContentUse::View, "read"),
            (Caller::Key, ContentUse::Preview, "ok"),
        ] {
            assert_eq!(said(content(caller, &off, file(""), None, used_as)), expected);
        }
        let mut unfinished = file("");
        unfinished.as_mut().unwrap().content = None;
        let bucket = bucket("", false);
        assert_eq!(said(content(Caller::Key, &bucket, unfinished.clone(), None, ContentUse::View)), "no file");
        assert_eq!(said(read_file(Caller::Key, &bucket, unfinished)), "ok");
    }

    #[test]
    fn tokens_take_the_permission_to_read_the_bucket_and_to_update() {
        for (of_bucket, file_security, of_file, expected) in [
            ("", false, "read update", ["read", "read"]),
            ("read", false, "", ["ok", "update"]),
            ("read", false, "update", ["ok", "update"]),
            ("read update", false, "", ["ok", "ok"]),
            ("read", true, "update", ["ok", "ok"]),
            ("read", true, "", ["ok", "update"]),
            ("read", true, "-", ["no file", "no file"]),
            ("", true, "-", ["read", "read"]),
        ] {
            let bucket = bucket(of_bucket, file_security);
            let file = || if of_file == "-" { None } else { file(of_file) };
            let told =
                |caller| [Action::Read, Action::Update].map(|action| said(tokens(action, caller, &bucket, file())));
            assert_eq!(told(Caller::Guest), expected, "{of_bucket} {file_security} {of_file}");
            let with_key = if of_file == "-" { "no file" } else { "ok" };
            assert_eq!(told(Caller::Key), [with_key; 2]);
        }
    }
}
