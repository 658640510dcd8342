//! What all routes share: reading requests the way clients write them, and answering in the envelope.

pub(crate) mod answer;
mod any_case;
pub(crate) mod body;
pub(crate) mod budget;
pub(crate) mod identified;
pub(crate) mod json;
pub(crate) mod lenient;
pub(crate) mod paths;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod session;
pub(crate) mod tus;
pub(crate) mod upload;

use std::sync::Arc;

use crate::core::Core;

/// What handlers are given.
pub(crate) type AppState = Arc<Core>;
