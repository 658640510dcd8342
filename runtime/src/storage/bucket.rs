//! Buckets: named groups of files of this node, with their rules.

use serde::{Deserialize, Serialize};
use transport::wire::Timestamp;

use super::{Caller, Permissions, PermissionsOf, StorageError, StorageId, StorageResult};
use crate::dto;

/// Most characters of a name that a caller chooses.
pub const MAX_NAME: usize = 128;
/// Extensions that a bucket can name.
pub const MAX_EXTENSIONS: usize = 100;
/// Most characters of an extension.
pub const MAX_EXTENSION: usize = 64;
/// Buckets of a node.
pub const MAX_BUCKETS: u64 = 10_000;
/// Files of one bucket, unfinished ones included.
pub const MAX_FILES_OF_BUCKET: u64 = 1_000_000;

/// What a bucket is to be. What is absent has its default, permissions of an existing bucket excepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BucketRequest {
    /// 1 to [`MAX_NAME`] characters.
    pub name: String,
    /// See [`Permissions`]. None for a new bucket, or those that it has.
    pub permissions: Option<Vec<String>>,
    /// Whether files have permissions of their own beside those of the bucket. Off.
    pub file_security: Option<bool>,
    /// Whether those who have no key see it. On.
    pub enabled: Option<bool>,
    /// Most bytes of a file, at most [`StorageConfig::max_file_size`](crate::StorageConfig::max_file_size), which is the default.
    pub maximum_file_size: Option<u64>,
    /// Which extensions its files may have, without the period; all if there are none.
    pub allowed_file_extensions: Option<Vec<String>>,
    /// What clients ask for. Contents are stored as they are, whatever it says.
    pub compression: Option<Compression>,
    /// What clients ask for: contents are always encrypted. On.
    pub encryption: Option<bool>,
    /// What clients ask for: contents are not scanned. On.
    pub antivirus: Option<bool>,
    /// Whether those who have no key get previews. On.
    pub transformations: Option<bool>,
}

/// How a client asks for contents to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not.
    #[default]
    None,
    /// By gzip.
    Gzip,
    /// By Zstandard.
    Zstd,
}

impl Compression {
    /// `none`, `gzip` or `zstd`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// A bucket as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketRecord {
    pub(crate) id: String,
    /// Unique among all buckets and files that this node ever had, and larger than those of earlier ones.
    pub(crate) number: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) permissions: Permissions,
    pub(crate) settings: BucketSettings,
}

/// What an update replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the interface has them")]
pub(crate) struct BucketSettings {
    pub(crate) name: String,
    pub(crate) file_security: bool,
    pub(crate) enabled: bool,
    pub(crate) maximum_file_size: u64,
    pub(crate) allowed_file_extensions: Vec<String>,
    pub(crate) compression: Compression,
    pub(crate) encryption: bool,
    pub(crate) antivirus: bool,
    pub(crate) transformations: bool,
}

impl BucketRequest {
    /// A bucket about which nothing else is said.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Checks everything. The permissions are absent if they are not given.
    pub(crate) fn check(self, limit: u64) -> StorageResult<(BucketSettings, Option<Permissions>)> {
        check_name("name", &self.name)?;
        let permissions =
            self.permissions.map(|texts| Permissions::parse(&texts, PermissionsOf::Bucket)).transpose()?;
        let maximum_file_size = self.maximum_file_size.unwrap_or(limit);
        if !(1..=limit).contains(&maximum_file_size) {
            let reason = format!("the most bytes of a file have to be between 1 and {limit}");
            return Err(StorageError::argument("maximumFileSize", reason));
        }
        let allowed_file_extensions = self.allowed_file_extensions.unwrap_or_default();
        check_extensions(&allowed_file_extensions)?;
        let settings = BucketSettings {
            name: self.name,
            file_security: self.file_security.unwrap_or(false),
            enabled: self.enabled.unwrap_or(true),
            maximum_file_size,
            allowed_file_extensions,
            compression: self.compression.unwrap_or_default(),
            encryption: self.encryption.unwrap_or(true),
            antivirus: self.antivirus.unwrap_or(true),
            transformations: self.transformations.unwrap_or(true),
        };
        Ok((settings, permissions))
    }
}

/// A name of 1 to [`MAX_NAME`] characters.
pub(crate) fn check_name(argument: &'static str, name: &str) -> StorageResult<()> {
    match name.chars().take(MAX_NAME + 1).count() {
        1..=MAX_NAME => Ok(()),
        _ => Err(StorageError::argument(argument, format!("a name has 1 to {MAX_NAME} characters"))),
    }
}

fn check_extensions(extensions: &[String]) -> StorageResult<()> {
    let refused = |reason| Err(StorageError::argument("allowedFileExtensions", reason));
    if extensions.len() > MAX_EXTENSIONS {
        return refused(format!("at most {MAX_EXTENSIONS} extensions can be named"));
    }
    let fits = |extension: &String| (1..=MAX_EXTENSION).contains(&extension.chars().take(MAX_EXTENSION + 1).count());
    if extensions.iter().all(fits) {
        return Ok(());
    }
    refused(format!("an extension has 1 to {MAX_EXTENSION} characters"))
}

impl BucketRecord {
    /// Whether somebody sees it.
    pub(crate) fn is_visible_to(&self, caller: Caller) -> bool {
        self.settings.enabled || caller.is_key()
    }

    /// Whether it takes files with this name.
    pub(crate) fn takes_name(&self, name: &str) -> bool {
        let allowed = &self.settings.allowed_file_extensions;
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_lowercase();
        allowed.is_empty() || allowed.iter().any(|allowed| allowed.to_lowercase() == extension)
    }

    /// As users see it.
    pub(crate) fn to_dto(&self, total_size: u64) -> dto::Bucket {
        let settings = self.settings.clone();
        dto::Bucket {
            id: StorageId::stored(&self.id),
            sequence: self.number,
            created_at: self.created_at,
            updated_at: self.updated_at,
            permissions: self.permissions.to_texts(),
            file_security: settings.file_security,
            name: settings.name,
            enabled: settings.enabled,
            maximum_file_size: settings.maximum_file_size,
            allowed_file_extensions: settings.allowed_file_extensions,
            compression: settings.compression,
            encryption: settings.encryption,
            antivirus: settings.antivirus,
            transformations: settings.transformations,
            total_size,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const LIMIT: u64 = 1000;

    pub(crate) fn settings(request: BucketRequest) -> BucketSettings {
        request.check(LIMIT).unwrap().0
    }

    fn refused(request: BucketRequest) -> &'static str {
        match request.check(LIMIT).unwrap_err() {
            StorageError::InvalidArgument { name, .. } => name,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let (settings, permissions) = BucketRequest::named("a").check(LIMIT).unwrap();
        assert_eq!(permissions, None);
        assert!(settings.enabled && settings.encryption && settings.antivirus && settings.transformations);
        assert!(!settings.file_security && settings.allowed_file_extensions.is_empty());
        assert_eq!((settings.maximum_file_size, settings.compression.as_str()), (LIMIT, "none"));
    }

    #[test]
    fn values_are_taken_at_their_bounds_and_refused_beyond_them() {
        for name in ["a".to_owned(), "ä".repeat(MAX_NAME)] {
            BucketRequest::named(name).check(LIMIT).unwrap();
        }
        for name in [String::new(), "a".repeat(MAX_NAME + 1)] {
            assert_eq!(refused(BucketRequest::named(name)), "name");
        }
        let sized = |size| BucketRequest { maximum_file_size: Some(size), ..BucketRequest::named("a") };
        for size in [1, LIMIT] {
            assert_eq!(sized(size).check(LIMIT).unwrap().0.maximum_file_size, size);
        }
        for size in [0, LIMIT + 1] {
            assert_eq!(refused(sized(size)), "maximumFileSize");
        }
        let with = |extensions: Vec<String>| BucketRequest {
            allowed_file_extensions: Some(extensions),
            ..BucketRequest::named("a")
        };
        with(vec!["e".repeat(MAX_EXTENSION); MAX_EXTENSIONS]).check(LIMIT).unwrap();
        for extensions in
            [vec!["e".to_owned(); MAX_EXTENSIONS + 1], vec!["e".repeat(MAX_EXTENSION + 1)], vec![String::new()]]
        {
            assert_eq!(refused(with(extensions)), "allowedFileExtensions");
        }
        let permitted = BucketRequest { permissions: Some(vec!["read".to_owned()]), ..BucketRequest::named("a") };
        assert_eq!(refused(permitted), "permissions");
    }

    #[test]
    fn extensions_are_compared_in_lower_case() {
        let request = BucketRequest {
            allowed_file_extensions: Some(vec!["PNG".into(), "txt".into()]),
            ..BucketRequest::named("a")
        };
        let bucket = BucketRecord {
            id: "a".to_owned(),
            number: 0,
            created_at: Timestamp::NEVER,
            updated_at: Timestamp::NEVER,
            permissions: Permissions::default(),
            settings: settings(request),
        };
        for (name, is_taken) in
            [("a.png", true), ("a.PnG", true), ("a.b.TXT", true), ("png", false), ("a.", false), ("a.png.exe", false)]
        {
            assert_eq!(bucket.takes_name(name), is_taken, "{name}");
        }
    }
}
