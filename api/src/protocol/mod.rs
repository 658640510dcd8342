//! The parts of HTTP that the interface treats in its own way. Everything here reads what strangers send.

mod accept;
mod admission;
mod body;
mod bounds;
mod disposition;
mod encoding;
mod path;
mod query;

pub(crate) use accept::{Media, negotiate};
pub(crate) use admission::Admission;
pub(crate) use body::{Body, append, read as read_body};
pub(crate) use bounds::BodyBounds;
pub(crate) use disposition::{Disposition, attachment, disposition, part_names};
pub(crate) use path::{match_pattern, segments};
pub(crate) use query::{is_element, parse as parse_query};
