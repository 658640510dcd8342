//! The types that a document refers to.

use utoipa::openapi::{Object, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Types by name, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Components(Vec<(String, RefOr<Schema>)>);

impl Components {
    /// With a type and everything it is made of.
    pub(crate) fn with<T: ToSchema + PartialSchema>(mut self) -> Self {
        self.0.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.0);
        self
    }

    /// The same with a type that a face does not answer as it is: `change` describes what it answers.
    pub(crate) fn with_changed<T: ToSchema + PartialSchema>(mut self, change: fn(&mut Object)) -> Self {
        let at = self.0.len();
        self = self.with::<T>();
        if let Some((_, RefOr::T(Schema::Object(object)))) = self.0.get_mut(at) {
            change(object);
        }
        self
    }

    /// The same under another name, beside the type as other faces answer it.
    pub(crate) fn with_renamed<T: ToSchema + PartialSchema>(self, name: &str, change: fn(&mut Object)) -> Self {
        let mut changed = Self::default().with_changed::<T>(change);
        if let Some((own_name, _)) = changed.0.first_mut() {
            name.clone_into(own_name);
        }
        Self(self.0.into_iter().chain(changed.0).collect())
    }

    /// All of them.
    pub(crate) fn into_vec(self) -> Vec<(String, RefOr<Schema>)> {
        self.0
    }
}
