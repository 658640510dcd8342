//! Which member of an object belongs to which part of it. Changes are pushed part by part.

use transport::datawallet::PayloadCategory;
use transport::wire::backbone::datawallet::ModificationType;

use super::collection;
use super::object::{LocalModification, Object, Properties};

/// Members of one category in the order in which updates list them. `@type` is technical everywhere.
type Members = &'static [&'static str];

/// Members of a collection's objects in the order in which categories are pushed.
type Table = &'static [(PayloadCategory, Members)];

const METADATA: (PayloadCategory, Members) = (PayloadCategory::Metadata, &["metadata", "metadataModifiedAt"]);

const FILES: Table = &[
    (
        PayloadCategory::TechnicalData,
        &[
            "secretKey",
            "isOwn",
            "ownershipToken",
            "ownershipIsLocked",
            "filesize",
            "filemodified",
            "mimetype",
            "cipherHash",
            "createdAt",
            "expiresAt",
            "cipherKey",
            "owner",
            "ownerSignature",
            "plaintextHash",
            "createdBy",
            "createdByDevice",
            "deletedAt",
            "deletedBy",
            "deletedByDevice",
        ],
    ),
    (PayloadCategory::Content, &["title", "description", "filename", "tags"]),
    METADATA,
];

const TOKENS: Table = &[
    (
        PayloadCategory::TechnicalData,
        &["secretKey", "isOwn", "createdBy", "createdAt", "expiresAt", "createdByDevice", "forIdentity"],
    ),
    (PayloadCategory::Content, &["content"]),
    METADATA,
    (PayloadCategory::Userdata, &["passwordProtection"]),
];

const DEVICES: Table = &[
    (
        PayloadCategory::TechnicalData,
        &[
            "isAdmin",
            "publicKey",
            "operatingSystem",
            "type",
            "createdAt",
            "createdByDevice",
            "lastLoginAt",
            "username",
            "initialPassword",
            "datawalletVersion",
            "isOffboarded",
            "isBackupDevice",
        ],
    ),
    (PayloadCategory::Userdata, &["name", "description"]),
];

const IDENTITY_METADATA: Table =
    &[(PayloadCategory::TechnicalData, &["reference", "key"]), (PayloadCategory::Userdata, &["value"])];

fn table(collection: &str) -> Option<Table> {
    match collection {
        collection::FILES => Some(FILES),
        collection::TOKENS => Some(TOKENS),
        collection::DEVICES => Some(DEVICES),
        collection::IDENTITY_METADATA => Some(IDENTITY_METADATA),
        _ => None,
    }
}

/// What a new object is in the datawallet: one modification per category that has members, sorted by name.
pub(super) fn creation(object: &Object) -> Vec<LocalModification> {
    modifications(object, ModificationType::Create, |_, members| {
        let mut sorted: Vec<_> = members.iter().collect();
        sorted.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
        let payload: Properties = sorted.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        (!payload.is_empty()).then_some(payload)
    })
}

/// What a changed object is in the datawallet: all members of each category in which something changed.
pub(super) fn update(before: &Properties, object: &Object) -> Vec<LocalModification> {
    modifications(object, ModificationType::Update, |names, members| {
        let changed = names.iter().any(|name| before.get(*name) != object.properties.get(*name));
        changed.then(|| members.clone())
    })
}

/// What a deleted object is in the datawallet.
pub(super) fn deletion(collection: &str, id: &str) -> Vec<LocalModification> {
    if table(collection).is_none() {
        return Vec::new();
    }
    vec![LocalModification {
        kind: ModificationType::Delete,
        collection: collection.to_owned(),
        object_id: id.to_owned(),
        category: None,
        payload: None,
    }]
}

fn modifications(
    object: &Object,
    kind: ModificationType,
    payload: impl Fn(&[&str], &Properties) -> Option<Properties>,
) -> Vec<LocalModification> {
    let Some(table) = table(&object.collection) else { return Vec::new() };
    let parts = table.iter().filter_map(|(category, names)| {
        let names: Vec<&str> = type_member(*category).into_iter().chain(names.iter().copied()).collect();
        let members = select(&object.properties, &names);
        payload(&names, &members).map(|payload| (*category, payload))
    });
    parts
        .map(|(category, payload)| LocalModification {
            kind,
            collection: object.collection.clone(),
            object_id: object.id.clone(),
            category: Some(category),
            payload: Some(payload),
        })
        .collect()
}

fn type_member(category: PayloadCategory) -> Option<&'static str> {
    (category == PayloadCategory::TechnicalData).then_some("@type")
}

fn select(properties: &Properties, names: &[&str]) -> Properties {
    let present = names.iter().filter_map(|name| Some(((*name).to_owned(), properties.get(*name)?.clone())));
    present.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(properties: serde_json::Value) -> Object {
        let serde_json::Value::Object(properties) = properties else { panic!("an object") };
        Object::new(collection::TOKENS, "TOKabcdefghijklmno12", properties)
    }

    fn names(modification: &LocalModification) -> Vec<&str> {
        modification.payload.as_ref().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn creation_splits_by_category_and_sorts_members() {
        let object = token(json!({
            "@type": "Token", "secretKey": {}, "isOwn": true, "content": {"a": 1}, "passwordProtection": {"password": "x"}
        }));
        let parts = creation(&object);
        let categories: Vec<_> = parts.iter().map(|part| part.category.unwrap().as_str()).collect();
        assert_eq!(categories, ["TechnicalData", "Content", "Userdata"]);
        assert_eq!(names(&parts[0]), ["@type", "isOwn", "secretKey"]);
        assert_eq!(names(&parts[1]), ["content"]);
    }

    #[test]
    fn an_update_sends_all_members_of_the_changed_categories_only() {
        let before = token(json!({"@type": "Token", "isOwn": true, "secretKey": {}, "content": {}}));
        let after = token(json!({"@type": "Token", "isOwn": false, "secretKey": {}, "content": {}}));
        let parts = update(&before.properties, &after);
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].kind, ModificationType::Update);
        assert_eq!(names(&parts[0]), ["@type", "secretKey", "isOwn"]);
        assert!(update(&after.properties, &after).is_empty());
    }

    #[test]
    fn collections_of_other_layers_are_not_recorded() {
        assert!(deletion("Something", "x").is_empty());
        assert_eq!(deletion(collection::FILES, "x")[0].kind, ModificationType::Delete);
    }
}
