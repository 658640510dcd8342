//! Checks JSON bodies against declared shapes, one violation per answer.
//!
//! The shapes are data: [`Object::check`] walks them in the order that clients were promised (missing properties, then
//! unknown ones, then each property as declared), and the OpenAPI document describes the very same shapes.

mod check;
mod describe;
mod shape;

pub(crate) use shape::{Object, Rule, id_pattern};
