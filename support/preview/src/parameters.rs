//! What somebody asks a preview to be.

use std::fmt;

use crate::output::{Named, Output};

/// The largest `width` and `height`, in pixels.
pub const SIZE: u32 = 4000;
/// The largest `quality`.
pub const QUALITY: u32 = 100;
/// The largest `borderWidth`, in pixels.
pub const BORDER_WIDTH: u32 = 100;
/// The largest `borderRadius`, in pixels.
pub const BORDER_RADIUS: u32 = 4000;
/// The largest `rotation` in both directions, in degrees.
pub const ROTATION: i64 = 360;
/// The values of `gravity`.
pub const GRAVITIES: [&str; 9] =
    ["center", "top-left", "top", "top-right", "left", "right", "bottom-left", "bottom", "bottom-right"];
/// The values of `output` that this build encodes.
pub const OUTPUTS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "gif"];

/// What a preview is to look like. The default is the image as it is.
///
/// | Name | Values | Default |
/// |---|---|---|
/// | `width`, `height` | 0 to 4000 pixels; both: scaled to cover and cropped; one: the other follows | 0: not given |
/// | `gravity` | `center`, `top-left`, `top`, `top-right`, `left`, `right`, `bottom-left`, `bottom`, `bottom-right`: what remains of a crop | `center` |
/// | `quality` | 0 to 100 for JPEG, which is the only lossy output; -1: that of the source | -1 |
/// | `borderWidth` | 0 to 100 pixels, outside of the size | 0 |
/// | `borderColor` | six hexadecimal digits without `#` | black |
/// | `borderRadius` | 0 to 4000 pixels | 0 |
/// | `opacity` | 0 to 1, in outputs with transparency | 1 |
/// | `rotation` | -360 to 360 degrees clockwise | 0 |
/// | `background` | six hexadecimal digits without `#`: what is behind transparent pixels | none |
/// | `output` | `jpg`, `jpeg`, `png`, `webp`, `gif` | that of the file, see [`Output::for_file`] |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) gravity: Gravity,
    /// `None` keeps that of the source.
    pub(crate) quality: Option<u8>,
    pub(crate) border_width: u32,
    pub(crate) border_color: Color,
    pub(crate) border_radius: u32,
    /// 255 is opaque.
    pub(crate) opacity: u8,
    /// Degrees clockwise, less than 360.
    pub(crate) rotation: u32,
    pub(crate) background: Option<Color>,
    pub(crate) output: Option<Output>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            width: 0,
            height: 0,
            gravity: Gravity::default(),
            quality: None,
            border_width: 0,
            border_color: Color::BLACK,
            border_radius: 0,
            opacity: u8::MAX,
            rotation: 0,
            background: None,
            output: None,
        }
    }
}

impl Parameters {
    /// Reads parameters from the names and values of a query. Other names are ignored, an empty value is the default, and of a
    /// name that is given twice the last value counts.
    ///
    /// # Errors
    /// [`ParameterError`] names the parameter and what it may be.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        for (name, value) in pairs {
            parameters.set(name, value)?;
        }
        Ok(parameters)
    }

    /// These parameters with the output format of a file, if they name none.
    #[must_use]
    pub fn for_file(mut self, name: &str, media_type: &str) -> Self {
        self.output.get_or_insert_with(|| Output::for_file(name, media_type));
        self
    }

    /// The output format, if one is given.
    pub fn output(&self) -> Option<Output> {
        self.output
    }

    /// A text that is the same for all parameters with the same result. It is ASCII without spaces, and short.
    pub fn canonical(&self) -> String {
        let Self { width, height, quality, border_width, border_radius, opacity, rotation, .. } = self;
        let lossy = self.output.is_none_or(|output| output == Output::Jpeg);
        let parts = [
            part("w", *width != 0, width),
            part("h", *height != 0, height),
            part("g", *width != 0 && *height != 0 && self.gravity != Gravity::default(), self.gravity.name()),
            part("q", lossy && quality.is_some(), quality.unwrap_or_default().max(crate::encode::LEAST_QUALITY)),
            part("b", *border_width != 0, format_args!("{border_width}.{}", self.border_color)),
            part("r", *border_radius != 0, border_radius),
            part("o", self.visible_opacity() != u8::MAX, opacity),
            part("t", *rotation != 0, rotation),
            self.background.map(|color| format!("c{color}")),
            self.output.map(|output| output.name().to_owned()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("-")
    }

    /// An output without transparency shows it on a background only.
    pub(crate) fn visible_opacity(&self) -> u8 {
        let visible = self.background.is_some() || self.output.is_none_or(Output::has_alpha);
        if visible { self.opacity } else { u8::MAX }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ParameterError> {
        let default = Self::default();
        match name {
            "width" => self.width = number("width", value, 0, SIZE)?.unwrap_or(default.width),
            "height" => self.height = number("height", value, 0, SIZE)?.unwrap_or(default.height),
            "gravity" => self.gravity = gravity(value)?,
            "quality" => self.quality = quality(value)?,
            "borderWidth" => self.border_width = number("borderWidth", value, 0, BORDER_WIDTH)?.unwrap_or_default(),
            "borderColor" => self.border_color = color("borderColor", value)?.unwrap_or(default.border_color),
            "borderRadius" => self.border_radius = number("borderRadius", value, 0, BORDER_RADIUS)?.unwrap_or_default(),
            "opacity" => self.opacity = opacity(value)?,
            "rotation" => self.rotation = rotation(value)?,
            "background" => self.background = color("background", value)?,
            "output" => self.output = output(value)?,
            _ => {}
        }
        Ok(())
    }
}

/// Which part of an image remains when it is cropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gravity {
    /// -1 is left, 1 is right.
    horizontal: i8,
    /// -1 is top, 1 is bottom.
    vertical: i8,
}

impl Gravity {
    const NAMES: [(&'static str, i8, i8); 9] = [
        ("center", 0, 0),
        ("top-left", -1, -1),
        ("top", 0, -1),
        ("top-right", 1, -1),
        ("left", -1, 0),
        ("right", 1, 0),
        ("bottom-left", -1, 1),
        ("bottom", 0, 1),
        ("bottom-right", 1, 1),
    ];

    /// How much of what is cut off is cut off on the left and at the top, from 0 to 1.
    pub(crate) fn shares(self) -> (f64, f64) {
        (f64::from(self.horizontal + 1) / 2.0, f64::from(self.vertical + 1) / 2.0)
    }

    fn named(name: &str) -> Option<Self> {
        let (_, horizontal, vertical) = Self::NAMES.into_iter().find(|(known, ..)| *known == name)?;
        Some(Self { horizontal, vertical })
    }

    fn name(self) -> &'static str {
        let known = Self::NAMES.into_iter().find(|(_, x, y)| (*x, *y) == (self.horizontal, self.vertical));
        known.map_or("center", |(name, ..)| name)
    }
}

/// Red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Color(pub(crate) [u8; 3]);

impl Color {
    pub(crate) const BLACK: Self = Self([0; 3]);
    pub(crate) const WHITE: Self = Self([255; 3]);
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "{red:02x}{green:02x}{blue:02x}")
    }
}

/// A value that a parameter cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid parameter `{parameter}`: {reason}")]
pub struct ParameterError {
    parameter: &'static str,
    reason: ParameterReason,
}

/// What is wrong with the value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterReason {
    /// Not an integer, or out of range.
    #[error("the value must be an integer from {minimum} to {maximum}")]
    Integer {
        /// The least value.
        minimum: i64,
        /// The greatest value.
        maximum: i64,
    },
    /// Not a number from 0 to 1.
    #[error("the value must be a number from 0 to 1")]
    Fraction,
    /// Not a colour.
    #[error("the value must be a colour of six hexadecimal digits without `#`")]
    Color,
    /// Not one of the names.
    #[error("the value must be one of: {allowed}")]
    Name {
        /// The names, with commas.
        allowed: &'static str,
    },
    /// An output format for which this build has no encoder.
    #[error("this build cannot encode {format}; ask for jpg, jpeg, png, webp or gif")]
    NotEncoded {
        /// The name of the format.
        format: &'static str,
    },
}

impl ParameterError {
    /// The name of the parameter.
    pub fn parameter(&self) -> &'static str {
        self.parameter
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &ParameterReason {
        &self.reason
    }
}

fn part(name: &str, given: bool, value: impl fmt::Display) -> Option<String> {
    given.then(|| format!("{name}{value}"))
}

fn integer(parameter: &'static str, value: &str, minimum: i64, maximum: i64) -> Result<Option<i64>, ParameterError> {
    if value.is_empty() {
        return Ok(None);
    }
    match value.parse::<i64>() {
        Ok(number) if (minimum..=maximum).contains(&number) => Ok(Some(number)),
        _ => Err(ParameterError { parameter, reason: ParameterReason::Integer { minimum, maximum } }),
    }
}

fn number(parameter: &'static str, value: &str, minimum: i64, maximum: u32) -> Result<Option<u32>, ParameterError> {
    Ok(integer(parameter, value, minimum, i64::from(maximum))?.and_then(|number| u32::try_from(number).ok()))
}

/// -1 becomes `None`, which is the default.
fn quality(value: &str) -> Result<Option<u8>, ParameterError> {
    Ok(number("quality", value, -1, QUALITY)?.and_then(|number| u8::try_from(number).ok()))
}

fn rotation(value: &str) -> Result<u32, ParameterError> {
    let degrees = integer("rotation", value, -ROTATION, ROTATION)?.unwrap_or_default();
    Ok(u32::try_from(degrees.rem_euclid(360)).unwrap_or_default())
}

fn opacity(value: &str) -> Result<u8, ParameterError> {
    if value.is_empty() {
        return Ok(u8::MAX);
    }
    match value.parse::<f64>() {
        // The cast keeps what is in the range.
        Ok(number) if (0.0..=1.0).contains(&number) => Ok((number * 255.0).round() as u8),
        _ => Err(ParameterError { parameter: "opacity", reason: ParameterReason::Fraction }),
    }
}

fn color(parameter: &'static str, value: &str) -> Result<Option<Color>, ParameterError> {
    if value.is_empty() {
        return Ok(None);
    }
    let invalid = ParameterError { parameter, reason: ParameterReason::Color };
    // A number may have a sign, a colour not.
    if value.len() != 6 || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(invalid);
    }
    let number = u32::from_str_radix(value, 16).map_err(|_| invalid)?;
    let [_, red, green, blue] = number.to_be_bytes();
    Ok(Some(Color([red, green, blue])))
}

fn gravity(value: &str) -> Result<Gravity, ParameterError> {
    if value.is_empty() {
        return Ok(Gravity::default());
    }
    let allowed = "center, top-left, top, top-right, left, right, bottom-left, bottom, bottom-right";
    Gravity::named(value).ok_or(ParameterError { parameter: "gravity", reason: ParameterReason::Name { allowed } })
}

fn output(value: &str) -> Result<Option<Output>, ParameterError> {
    if value.is_empty() {
        return Ok(None);
    }
    let reason = match Output::named(value) {
        Named::Encoded(output) => return Ok(Some(output)),
        Named::NotEncoded(format) => ParameterReason::NotEncoded { format },
        Named::Unknown => ParameterReason::Name { allowed: "jpg, jpeg, png, webp, gif" },
    };
    Err(ParameterError { parameter: "output", reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn one(name: &str, value: &str) -> Result<Parameters, ParameterError> {
        Parameters::parse([(name, value)])
    }

    fn key(pairs: Pairs<'_>) -> String {
        Parameters::parse(pairs.iter().copied()).unwrap().canonical()
    }

    #[test]
    fn each_number_is_taken_at_its_bounds_and_refused_beyond() {
        for (name, minimum, maximum) in [
            ("width", 0, 4000),
            ("height", 0, 4000),
            ("quality", -1, 100),
            ("borderWidth", 0, 100),
            ("borderRadius", 0, 4000),
            ("rotation", -360, 360),
        ] {
            for value in [minimum, maximum] {
                assert!(one(name, &value.to_string()).is_ok(), "{name} {value}");
            }
            for value in [
                (minimum - 1).to_string(),
                (maximum + 1).to_string(),
                "1.5".into(),
                "x".into(),
                " 1".into(),
                "9".repeat(40),
            ] {
                let error = one(name, &value).unwrap_err();
                assert_eq!(error.parameter(), name);
                assert_eq!(error.reason(), &ParameterReason::Integer { minimum, maximum }, "{value}");
            }
        }
    }

    #[test]
    fn opacity_is_taken_at_its_bounds_and_refused_beyond() {
        for (value, expected) in [("0", 0), ("0.0", 0), ("0.5", 128), ("1", 255), ("1.0", 255), ("", 255)] {
            assert_eq!(one("opacity", value).unwrap().opacity, expected, "{value}");
        }
        for value in ["-0.01", "1.01", "NaN", "inf", "half"] {
            assert_eq!(one("opacity", value).unwrap_err().reason(), &ParameterReason::Fraction, "{value}");
        }
    }

    #[test]
    fn colors_are_six_digits() {
        assert_eq!(one("background", "eceFF1").unwrap().background, Some(Color([0xec, 0xef, 0xf1])));
        for value in ["#eceff1", "eceff", "eceff1a", "eceffg", "+ceff1", "éééé"] {
            for name in ["background", "borderColor"] {
                let error = one(name, value).unwrap_err();
                assert_eq!((error.parameter(), error.reason()), (name, &ParameterReason::Color), "{value}");
            }
        }
    }

    #[test]
    fn every_gravity_and_output_is_known_and_others_are_refused_with_the_names() {
        assert_eq!(Gravity::NAMES.map(|(name, ..)| name), GRAVITIES);
        for name in GRAVITIES {
            assert_eq!(one("gravity", name).unwrap().gravity.name(), name);
        }
        for name in ["auto", "Center", "bottom right"] {
            assert!(one("gravity", name).unwrap_err().to_string().contains("bottom-right"), "{name}");
        }
        for name in OUTPUTS {
            assert!(one("output", name).unwrap().output.is_some(), "{name}");
        }
        assert!(one("output", "bmp").unwrap_err().to_string().contains("webp"));
    }

    #[test]
    fn outputs_without_an_encoder_are_named() {
        for format in ["heic", "avif"] {
            let error = one("output", format).unwrap_err();
            assert_eq!(error.reason(), &ParameterReason::NotEncoded { format });
            assert!(error.to_string().contains("cannot encode"), "{error}");
        }
    }

    #[test]
    fn unknown_names_are_ignored_and_the_last_value_counts() {
        let parameters = Parameters::parse([("token", "x"), ("width", "1"), ("Width", "2"), ("width", "3")]).unwrap();
        assert_eq!(parameters, one("width", "3").unwrap());
        assert_eq!(one("width", "").unwrap(), Parameters::default());
    }

    #[test]
    fn the_same_result_has_the_same_key() {
        let same: &[(Pairs, Pairs)] = &[
            (&[("rotation", "45")], &[("rotation", "-315")]),
            (&[("rotation", "360")], &[]),
            (&[("output", "jpg")], &[("output", "jpeg")]),
            (&[("output", "png"), ("quality", "10")], &[("output", "png"), ("quality", "90")]),
            (&[("quality", "0")], &[("quality", "1")]),
            (&[("gravity", "top")], &[]),
            (&[("gravity", "top"), ("width", "5")], &[("width", "5")]),
            (&[("borderColor", "ff0000")], &[]),
            (&[("borderWidth", "1")], &[("borderColor", "000000"), ("borderWidth", "1")]),
            (&[("opacity", "0.5"), ("output", "jpg")], &[("output", "jpg")]),
            (&[("background", "ABCDEF")], &[("background", "abcdef")]),
        ];
        for (one, other) in same {
            assert_eq!(key(one), key(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn another_result_has_another_key() {
        let all = [
            ("width", "11"),
            ("height", "1"),
            ("quality", "11"),
            ("borderWidth", "1"),
            ("borderRadius", "1"),
            ("opacity", "0.5"),
            ("rotation", "1"),
            ("background", "000000"),
            ("output", "png"),
        ];
        let mut keys: Vec<_> = all.iter().map(|pair| key(&[*pair])).collect();
        keys.push(key(&[]));
        keys.push(key(&[("width", "1"), ("height", "1")]));
        keys.push(key(&[("width", "1"), ("height", "1"), ("gravity", "top")]));
        keys.push(key(&[("borderWidth", "1"), ("borderColor", "000001")]));
        keys.push(key(&[("opacity", "0.5"), ("background", "000000"), ("output", "jpg")]));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
