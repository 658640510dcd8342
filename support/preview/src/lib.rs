//! Previews of files in little memory, and what a file is by its content.
//!
//! The content of a file comes from anybody, so everything here is bounded before it is decoded: [`Limits`] for one image, [`Pool`]
//! for all that are rendered at the same time. The crate knows bytes, pixels and media types, but no HTTP, no record of a file and no store.
//!
//! | Module | Is |
//! |---|---|
//! | [`parameters`] | what somebody asks for: size, gravity, border, … as texts of a query |
//! | [`output`] | the formats that are encoded, and which one a file gets by its name |
//! | [`limits`] | the bounds of one image |
//! | [`render`](mod@render) | from the bytes of an image to the bytes of its preview |
//! | [`icon`] | what stands in for files that are not images, drawn by this crate |
//! | [`pool`] | many renders: places, waiting, time, memory, and the bytes of results |
//! | [`sniff`](mod@sniff) | the media type of a file, and which types a browser may show |
//!
//! ```
//! use preview::{Limits, Parameters};
//!
//! # let mut photo = std::io::Cursor::new(Vec::new());
//! # image::RgbImage::new(640, 480).write_to(&mut photo, image::ImageFormat::Png)?;
//! # let photo = photo.into_inner();
//! let parameters = Parameters::parse([("width", "300"), ("height", "100"), ("output", "jpg")])?;
//! let preview = preview::render(&photo, &parameters, &Limits::default())?;
//! assert_eq!(preview.media_type, "image/jpeg");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod budget;
mod cache;
mod canvas;
mod encode;
mod error;
pub mod icon;
mod jpeg;
pub mod limits;
pub mod output;
pub mod parameters;
mod plan;
pub mod pool;
pub mod render;
mod rotate;
pub mod sniff;
mod source;
mod stop;
#[cfg(test)]
mod tests;
mod webp;

pub use error::PreviewError;
pub use icon::{Icon, render_icon};
pub use limits::Limits;
pub use output::Output;
pub use parameters::{ParameterError, Parameters};
pub use pool::{Answer, ContentHash, Pool};
pub use render::{Preview, render};
pub use sniff::{inline_type, sniff};

/// Any error, as what loads a content reports it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
