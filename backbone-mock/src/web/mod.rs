//! What all routes share: decoding requests, and answering in the envelope.

pub(crate) mod answer;
mod any_case;
pub(crate) mod body;
pub(crate) mod identified;
pub(crate) mod json;
pub(crate) mod paths;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod session;
pub(crate) mod tus;
pub(crate) mod upload;

use std::sync::Arc;

use crate::core::Core;

/// The state of handlers.
pub(crate) type AppState = Arc<Core>;
