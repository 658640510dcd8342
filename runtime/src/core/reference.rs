//! References as users see them: at the backbone of this node.

use transport::wire::reference::{BaseUrl, Referable};

use crate::dto;
use crate::error::ConfigError;
use crate::{Error, Result};

impl dto::Reference {
    /// Both forms of a reference, at a backbone.
    pub(crate) fn of<I: Referable>(reference: &transport::wire::Reference<I>, place: &BaseUrl) -> Self {
        let (truncated, url) = reference.forms_at(place);
        Self { truncated, url }
    }
}

/// The backbone that references lead to.
///
/// # Errors
/// [`Error::Config`] if the URL cannot stand in references.
pub(crate) fn place(base_url: &str) -> Result<BaseUrl> {
    BaseUrl::parse(base_url).map_err(|error| Error::Config(ConfigError::BaseUrl(error)))
}
