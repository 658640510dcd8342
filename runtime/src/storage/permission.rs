//! Permissions: which roles may do what with a bucket, or with a file in one. Their texts are those of Appwrite: `read("any")`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::is_id;
use super::{StorageError, StorageResult};

/// Permissions of one bucket or file, as they are given: `write` counts once.
pub const MAX_PERMISSIONS: usize = 100;
/// Most characters of a label.
const MAX_LABEL: usize = 36;
/// What the argument is called.
const ARGUMENT: &str = "permissions";

/// What a permission allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To read a bucket's files or a file.
    Read,
    /// To create files in a bucket.
    Create,
    /// To change files.
    Update,
    /// To delete files.
    Delete,
}

/// What permissions are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionsOf {
    /// A bucket: `write` means create, update and delete.
    Bucket,
    /// A file: `write` means update and delete, and there is no `create`.
    File,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Caller {
    /// Somebody with a key of the node: may do everything that the scopes of the key allow, sees disabled buckets, and may give
    /// permissions to any role.
    Key,
    /// Anybody else, with the roles `any` and `guests`.
    Guest,
}

/// One permission.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Permission {
    action: Action,
    role: String,
}

/// Permissions of a bucket or file: each of them once, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Permissions(Vec<Permission>);

impl Action {
    /// As in permissions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// What the first word of a permission allows; nothing if it is not one.
    fn named(word: &str, of: PermissionsOf) -> &'static [Self] {
        match (word, of) {
            ("read", _) => &[Self::Read],
            ("create", PermissionsOf::Bucket) => &[Self::Create],
            ("update", _) => &[Self::Update],
            ("delete", _) => &[Self::Delete],
            ("write", PermissionsOf::Bucket) => &[Self::Create, Self::Update, Self::Delete],
            ("write", PermissionsOf::File) => &[Self::Update, Self::Delete],
            _ => &[],
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PermissionsOf {
    const fn words(self) -> &'static str {
        match self {
            Self::Bucket => "read, create, update, delete and write",
            Self::File => "read, update, delete and write",
        }
    }
}

impl Caller {
    /// Its roles by name.
    #[must_use]
    pub const fn role_names(self) -> &'static [&'static str] {
        match self {
            Self::Key => &[],
            Self::Guest => &["any", "guests"],
        }
    }

    /// Whether it may do everything.
    #[must_use]
    pub const fn is_key(self) -> bool {
        matches!(self, Self::Key)
    }
}

impl Permissions {
    /// Reads permissions, and expands `write`.
    ///
    /// # Errors
    /// [`StorageError::InvalidArgument`] for more than [`MAX_PERMISSIONS`], and for the first one that cannot be read.
    pub fn parse(texts: &[String], of: PermissionsOf) -> StorageResult<Self> {
        if texts.len() > MAX_PERMISSIONS {
            return Err(invalid(format!("at most {MAX_PERMISSIONS} permissions can be given")));
        }
        let mut permissions: Vec<Permission> = Vec::with_capacity(texts.len());
        for text in texts {
            for permission in Permission::read(text, of)? {
                if !permissions.contains(&permission) {
                    permissions.push(permission);
                }
            }
        }
        Ok(Self(permissions))
    }

    /// The same for a caller, who may give permissions to its own roles only, unless it has a key.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); [`StorageError::ForeignRoles`].
    pub fn parse_by(caller: Caller, texts: &[String], of: PermissionsOf) -> StorageResult<Self> {
        Self::parse(texts, of)?.held_by(caller)
    }

    /// These permissions, if the caller may give them.
    ///
    /// # Errors
    /// [`StorageError::ForeignRoles`].
    pub fn held_by(self, caller: Caller) -> StorageResult<Self> {
        let holds = |permission: &Permission| caller.role_names().contains(&permission.role.as_str());
        match caller.is_key() || self.0.iter().all(holds) {
            true => Ok(self),
            false => Err(StorageError::ForeignRoles(caller)),
        }
    }

    /// Whether a caller has one for this.
    #[must_use]
    pub fn allow(&self, action: Action, caller: Caller) -> bool {
        let fits = |permission: &Permission| {
            permission.action == action && caller.role_names().contains(&permission.role.as_str())
        };
        caller.is_key() || self.0.iter().any(fits)
    }

    /// Their texts.
    #[must_use]
    pub fn to_texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl From<Permissions> for Vec<String> {
    fn from(permissions: Permissions) -> Self {
        permissions.to_texts()
    }
}

/// Reads what was stored: `write` is expanded there already.
impl TryFrom<Vec<String>> for Permissions {
    type Error = StorageError;

    fn try_from(texts: Vec<String>) -> StorageResult<Self> {
        let read = |text: &String| Permission::read(text, PermissionsOf::Bucket);
        let permissions: Vec<_> = texts.iter().map(read).collect::<StorageResult<_>>()?;
        Ok(Self(permissions.into_iter().flatten().collect()))
    }
}

impl Permission {
    fn read(text: &str, of: PermissionsOf) -> StorageResult<impl Iterator<Item = Self> + use<>> {
        let parts = text.split_once("(\"").and_then(|(word, rest)| Some((word, rest.strip_suffix("\")")?)));
        let (word, role) =
            parts.ok_or_else(|| invalid(format!("{} is not a permission such as read(\"any\")", quoted(text))))?;
        let actions = Action::named(word, of);
        if actions.is_empty() {
            return Err(invalid(format!("{} is not one of the actions {}", quoted(word), of.words())));
        }
        check_role(role).map_err(invalid)?;
        let role = role.to_owned();
        Ok(actions.iter().map(move |action| Self { action: *action, role: role.clone() }))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(\"{}\")", self.action, self.role)
    }
}

/// `any`, `guests`, `users[/verified]`, `user:ID[/status]`, `team:ID[/role]`, `member:ID`, `label:NAME`.
fn check_role(role: &str) -> Result<(), String> {
    let (name, dimension) = match role.split_once('/') {
        Some((name, dimension)) => (name, Some(dimension)),
        None => (role, None),
    };
    let (kind, id) = match name.split_once(':') {
        Some((kind, id)) => (kind, Some(id)),
        None => (name, None),
    };
    let is_status = |text: &str| matches!(text, "verified" | "unverified");
    let is_label =
        |text: &str| (1..=MAX_LABEL).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let fits = match (kind, id, dimension) {
        ("any" | "guests", None, None) => true,
        ("users", None, dimension) => dimension.is_none_or(is_status),
        ("user", Some(id), dimension) => is_id(id) && dimension.is_none_or(is_status),
        ("team", Some(id), dimension) => is_id(id) && dimension.is_none_or(is_id),
        ("member", Some(id), None) => is_id(id),
        ("label", Some(label), None) => is_label(label),
        _ => false,
    };
    match fits {
        true => Ok(()),
        false => Err(format!(
            "{} is not a role; roles are any, guests, users, users/verified, user:ID, user:ID/verified, team:ID, team:ID/ROLE, \
             member:ID and label:NAME",
            quoted(role)
        )),
    }
}

/// A given text as a part of a message: not longer than a role can be.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let shown: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    format!("'{shown}'")
}

fn invalid(reason: String) -> StorageError {
    StorageError::argument(ARGUMENT, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(texts: &[&str], of: PermissionsOf) -> StorageResult<Vec<String>> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Permissions::parse(&texts, of).map(|permissions| permissions.to_texts())
    }

    #[test]
    fn write_is_expanded_to_what_buckets_and_files_know() {
        use PermissionsOf::{Bucket, File};
        for (of, given, kept) in [
            (Bucket, &["read(\"any\")"][..], &["read(\"any\")"][..]),
            (Bucket, &["write(\"any\")"], &["create(\"any\")", "update(\"any\")", "delete(\"any\")"]),
            (File, &["write(\"any\")"], &["update(\"any\")", "delete(\"any\")"]),
            (
                File,
                &["delete(\"guests\")", "write(\"guests\")", "read(\"any\")"],
                &["delete(\"guests\")", "update(\"guests\")", "read(\"any\")"],
            ),
            (Bucket, &["read(\"any\")", "read(\"any\")"], &["read(\"any\")"]),
            (Bucket, &[], &[]),
        ] {
            assert_eq!(parse(given, of).unwrap(), kept);
        }
    }

    #[test]
    fn every_kind_of_role_is_read_and_written_back() {
        for role in [
            "any",
            "guests",
            "users",
            "users/verified",
            "users/unverified",
            "user:u1",
            "user:u1/verified",
            "team:t1",
            "team:t1/owner",
            "member:m.1",
            "label:Vip9",
        ] {
            let text = format!("read(\"{role}\")");
            assert_eq!(parse(&[&text], PermissionsOf::File).unwrap(), [text]);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        use PermissionsOf::{Bucket, File};
        for (of, text, part) in [
            (Bucket, "", "'' is not a permission"),
            (Bucket, "read", "'read' is not a permission"),
            (Bucket, "read(any)", "is not a permission such as"),
            (Bucket, "read(\"any\"", "is not a permission such as"),
            (Bucket, "read(\"any\") ", "is not a permission such as"),
            (Bucket, "rEad(\"any\")", "'rEad' is not one of the actions read, create"),
            (Bucket, "execute(\"any\")", "'execute' is not one of"),
            (File, "create(\"any\")", "'create' is not one of the actions read, update, delete and write"),
            (Bucket, "read(\"all\")", "'all' is not a role"),
            (Bucket, "read(\"any/verified\")", "is not a role"),
            (Bucket, "read(\"user\")", "'user' is not a role"),
            (Bucket, "read(\"user:\")", "is not a role"),
            (Bucket, "read(\"user:_a\")", "is not a role"),
            (Bucket, "read(\"user:a/b\")", "is not a role"),
            (Bucket, "read(\"users/other\")", "is not a role"),
            (Bucket, "read(\"team:a/\")", "is not a role"),
            (Bucket, "read(\"member:a/b\")", "is not a role"),
            (Bucket, "read(\"label:a-b\")", "is not a role"),
            (Bucket, "read(\"any\")\")", "is not a role"),
        ] {
            let StorageError::InvalidArgument { name: "permissions", reason } = parse(&[text], of).unwrap_err() else {
                panic!("{text}")
            };
            assert!(reason.contains(part), "{text}: {reason}");
        }
        let long = format!("{}(\"any\")", "\n\u{1b}x".repeat(5000));
        let StorageError::InvalidArgument { reason, .. } = parse(&[&long], Bucket).unwrap_err() else { panic!() };
        assert!(reason.len() < 200 && !reason.contains('\u{1b}'));
    }

    #[test]
    fn a_hundred_permissions_are_taken_and_one_more_is_not() {
        let given = |count: usize| (0..count).map(|number| format!("write(\"user:{number}\")")).collect::<Vec<_>>();
        let most = Permissions::parse(&given(MAX_PERMISSIONS), PermissionsOf::Bucket).unwrap();
        assert_eq!(most.to_texts().len(), 3 * MAX_PERMISSIONS);
        assert!(Permissions::parse(&given(MAX_PERMISSIONS + 1), PermissionsOf::Bucket).is_err());
        // What is stored is read whole.
        assert_eq!(Permissions::try_from(most.to_texts()).unwrap(), most);
    }

    #[test]
    fn guests_give_permissions_to_their_own_roles_only() {
        let texts = |role: &str| vec![format!("read(\"{role}\")")];
        for role in ["any", "guests"] {
            Permissions::parse_by(Caller::Guest, &texts(role), PermissionsOf::File).unwrap();
        }
        let refused = Permissions::parse_by(Caller::Guest, &texts("user:u1"), PermissionsOf::File).unwrap_err();
        assert_eq!(refused.to_string(), "Permissions must be one of: (any, guests)");
        Permissions::parse_by(Caller::Key, &texts("user:u1"), PermissionsOf::File).unwrap();
    }

    #[test]
    fn permissions_are_for_those_who_have_the_role() {
        let of = |text: &str| Permissions::parse(&[text.to_owned()], PermissionsOf::Bucket).unwrap();
        for (text, action, guest) in [
            ("read(\"any\")", Action::Read, true),
            ("read(\"guests\")", Action::Read, true),
            ("read(\"users\")", Action::Read, false),
            ("read(\"user:any\")", Action::Read, false),
            ("read(\"any\")", Action::Update, false),
            ("write(\"any\")", Action::Create, true),
            ("write(\"any\")", Action::Read, false),
        ] {
            assert_eq!(of(text).allow(action, Caller::Guest), guest, "{text} {action}");
            assert!(of(text).allow(action, Caller::Key));
        }
        assert!(!Permissions::default().allow(Action::Read, Caller::Guest));
        assert!(Permissions::default().allow(Action::Delete, Caller::Key));
    }

    fn any_role() -> impl Strategy<Value = String> {
        let id = "[A-Za-z0-9][A-Za-z0-9._-]{0,35}";
        prop_oneof![
            Just("any".to_owned()),
            Just("guests".to_owned()),
            Just("users/verified".to_owned()),
            id.prop_map(|id| format!("user:{id}")),
            (id, id).prop_map(|(id, role)| format!("team:{id}/{role}")),
            "[A-Za-z0-9]{1,36}".prop_map(|label| format!("label:{label}")),
        ]
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), role in any::<String>()) {
            for text in [text, format!("read(\"{role}\")")] {
                if let Ok(read) = Permissions::parse(std::slice::from_ref(&text), PermissionsOf::Bucket) {
                    prop_assert_eq!(Permissions::try_from(read.to_texts()).unwrap(), read);
                }
            }
        }

        #[test]
        fn what_is_read_is_written_back(roles in prop::collection::vec(any_role(), 0..20)) {
            let mut texts: Vec<String> = roles.iter().map(|role| format!("read(\"{role}\")")).collect();
            let read = Permissions::parse(&texts, PermissionsOf::File).unwrap();
            let mut seen = std::collections::HashSet::new();
            texts.retain(|text| seen.insert(text.clone()));
            prop_assert_eq!(read.to_texts(), texts);
        }
    }
}
