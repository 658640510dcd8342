//! Reads JSON bodies into requests, one violation per answer.
//!
//! The shapes are data: [`Object::read`] walks them in the order that clients were promised (missing properties, then unknown
//! ones, then each property as declared), and the OpenAPI document describes the very same shapes. What a text means is not
//! decided here: the types of the request parse it, once.

mod describe;
mod read;
mod rule;
mod shape;

pub(crate) use shape::{Object, ValueRule, id_pattern};
