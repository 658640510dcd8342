//! Shapes as OpenAPI schemas.

use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};

use super::shape::{ADDRESS_PATTERN, Object, ValueRule, id_pattern};

impl Object {
    /// The schema of this shape.
    pub(crate) fn describe(&self) -> Schema {
        let mut object = ObjectBuilder::new().schema_type(Type::Object);
        for property in &self.properties {
            object = object.property(property.name, describe_rule(&property.rule, property.description));
            if property.required {
                object = object.required(property.name);
            }
        }
        if !self.ignores_unknown {
            object = object.additional_properties(Some(AdditionalProperties::FreeForm(false)));
        }
        object.into()
    }
}

fn describe_rule(rule: &ValueRule, description: &str) -> Schema {
    let object = |kind: Type| {
        ObjectBuilder::new().schema_type(kind).description((!description.is_empty()).then_some(description))
    };
    let text = || object(Type::String);
    match rule {
        ValueRule::Any => object(Type::Object).schema_type(SchemaType::AnyValue).into(),
        ValueRule::AnyObject => object(Type::Object).into(),
        ValueRule::Text(0) => text().into(),
        ValueRule::Text(minimum) => text().min_length(Some(*minimum)).into(),
        ValueRule::Pattern(pattern) => text().pattern(Some(*pattern)).into(),
        ValueRule::Choice(choices) => text().enum_values(Some(choices.iter().copied())).into(),
        ValueRule::Flag | ValueRule::NullableFlag => object(Type::Boolean).into(),
        ValueRule::OnlyTrue => object(Type::Boolean).enum_values(Some([true])).into(),
        ValueRule::DateTime => {
            let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
            text().format(Some(format)).examples([DATE_TIME]).into()
        }
        ValueRule::Address => text().pattern(Some(anchored(ADDRESS_PATTERN))).into(),
        ValueRule::Id(prefix) => text().pattern(Some(anchored(&id_pattern(prefix)))).into(),
        ValueRule::Number => object(Type::Integer).minimum(Some(0)).into(),
        ValueRule::Texts => ArrayBuilder::new()
            .items(ObjectBuilder::new().schema_type(Type::String))
            .description(Some(description))
            .into(),
        ValueRule::Tags => ArrayBuilder::new()
            .items(ObjectBuilder::new().schema_type(Type::String))
            .unique_items(true)
            .description(Some(description))
            .into(),
        ValueRule::Reference(_) => text().into(),
        ValueRule::Nullable(rule) => match describe_rule(rule, description) {
            Schema::Object(mut inner) => {
                if let SchemaType::Type(kind) = inner.schema_type {
                    inner.schema_type = SchemaType::from_iter([kind, Type::Null]);
                }
                Schema::Object(inner)
            }
            other => other,
        },
        ValueRule::Object(shape) => match shape.describe() {
            Schema::Object(mut inner) => {
                inner.description = (!description.is_empty()).then(|| description.to_owned());
                Schema::Object(inner)
            }
            other => other,
        },
    }
}

/// Where a time is asked for, it has to be a later one.
const DATE_TIME: &str = "2099-01-31T12:00:00.000Z";

fn anchored(pattern: &str) -> String {
    format!("^({pattern})$")
}
