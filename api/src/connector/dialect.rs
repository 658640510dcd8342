//! The two dialects of the interface, and everything in which they differ.
//!
//! Handlers serve both, and the [own face](crate::enlace) too, which has a row of its own. Whoever needs to know what differs
//! reads this file: the table, and what a dialect makes of the facades' answers where these are not what it shows.

use runtime::dto::{File, FileFormat, SyncInfo, Token};
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};

/// A dialect of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `/api/v2`, as in generation 6 of the published connectors.
    V2,
    /// `/api/core/v1`, as in generation 7.
    CoreV1,
}

/// What a dialect, or the own face, does in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Begins operation ids.
    pub(crate) name: &'static str,
    /// First segments of every path.
    pub(crate) prefix: &'static [&'static str],
    /// Files and tokens repeat the truncated reference at their top level.
    pub(crate) truncated_reference: bool,
    /// A file without a title has an empty one.
    pub(crate) title_always: bool,
    /// Tags of uploads must be of a known kind.
    pub(crate) tags_checked: bool,
    /// Tokens can be deleted.
    pub(crate) delete_tokens: bool,
    /// Tokens can be unlocked: not an operation of the published connectors.
    pub(crate) unlock_tokens: bool,
    /// Tokens say whether they are revoked, and their terms can be changed: not known to the published connectors.
    pub(crate) token_terms: bool,
    /// Tokens say which reference other machines need, if it is another one: not known to the published connectors.
    pub(crate) direct_references: bool,
    /// QR codes hold `nmshd://tr#<truncated>` unless the client asks for the URL.
    pub(crate) truncated_qr_codes: bool,
    /// Files say how they are sealed, and uploads choose it and are streamed. Clients of the published connectors know one
    /// format only, and send fields after the file.
    pub(crate) formats: bool,
}

impl Dialect {
    /// Both, in the order in which paths are tried.
    pub(crate) const ALL: [Self; 2] = [Self::V2, Self::CoreV1];

    /// The table.
    pub(crate) const fn differences(self) -> Differences {
        match self {
            Self::V2 => Differences {
                name: "v2",
                prefix: &["api", "v2"],
                truncated_reference: true,
                title_always: true,
                tags_checked: false,
                delete_tokens: false,
                unlock_tokens: false,
                token_terms: false,
                direct_references: false,
                truncated_qr_codes: true,
                formats: false,
            },
            Self::CoreV1 => Differences {
                name: "coreV1",
                prefix: &["api", "core", "v1"],
                truncated_reference: false,
                title_always: false,
                tags_checked: true,
                delete_tokens: true,
                unlock_tokens: true,
                token_terms: false,
                direct_references: false,
                truncated_qr_codes: false,
                formats: false,
            },
        }
    }

    /// A file as this dialect shows it.
    pub fn file(self, file: &File) -> impl Serialize + use<> {
        self.differences().file(file.clone())
    }

    /// A token as this dialect shows it.
    pub fn token(self, token: &Token) -> impl Serialize + use<> {
        self.differences().token(token.clone())
    }

    /// `/api/v2` or `/api/core/v1`.
    #[must_use]
    pub fn path_prefix(self) -> String {
        self.differences().prefix.iter().flat_map(|segment| ["/", segment]).collect()
    }
}

/// An answer of a facade, with what a dialect adds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown<T> {
    #[serde(flatten)]
    answer: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated_reference: Option<String>,
    /// Of tokens only.
    #[serde(skip_serializing_if = "Option::is_none")]
    direct_reference: Option<String>,
    /// Of files only.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<FileFormat>,
}

impl Shown<Token> {
    /// The same with the reference that other machines need.
    pub(crate) fn with_direct_reference(self, direct_reference: Option<String>) -> Self {
        Self { direct_reference, ..self }
    }
}

impl Differences {
    pub(crate) fn file(self, mut file: File) -> Shown<File> {
        if self.title_always {
            file.title.get_or_insert_default();
        }
        Shown {
            truncated_reference: self.repeated(&file.reference.truncated),
            direct_reference: None,
            format: self.formats.then_some(file.format),
            answer: file,
        }
    }

    pub(crate) fn token(self, token: Token) -> Shown<Token> {
        let token = Token { revoked_at: token.revoked_at.filter(|_| self.token_terms), ..token };
        Shown {
            truncated_reference: self.repeated(&token.reference.truncated),
            direct_reference: None,
            format: None,
            answer: token,
        }
    }

    fn repeated(self, truncated: &str) -> Option<String> {
        self.truncated_reference.then(|| truncated.to_owned())
    }
}

/// What both dialects show of synchronization. When the datawallet was synchronized is left out: the published clients' types
/// forbid it.
pub(crate) fn sync_info(info: SyncInfo) -> SyncInfo {
    SyncInfo { last_datawallet_sync: None, ..info }
}

/// Describes what [`Shown`] adds to files and tokens, and what dialects leave out.
pub(super) fn describe_shown(schema: &mut Object) {
    schema.properties.shift_remove("revokedAt");
    let truncated = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("`/api/v2` only: the same as in `reference`."));
    schema.properties.insert("truncatedReference".to_owned(), truncated.into());
    if let Some(RefOr::T(Schema::Object(title))) = schema.properties.get_mut("title") {
        title.description = title.description.take().map(|text| format!("{text} Always present in `/api/v2`."));
    }
}

/// Describes what [`sync_info`] leaves out.
pub(super) fn describe_sync_info(schema: &mut Object) {
    schema.properties.shift_remove("lastDatawalletSync");
}
