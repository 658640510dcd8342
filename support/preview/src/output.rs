//! The formats that are encoded, and which one a file gets by its name.

/// A format that this build encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// JPEG; without transparency.
    Jpeg,
    /// PNG; lossless.
    Png,
    /// WebP; always lossless, since no encoder in Rust is lossy.
    Webp,
    /// GIF; one frame, 256 colours, pixels are transparent or opaque.
    Gif,
}

/// The value of the parameter `output`.
pub(crate) enum Named {
    Encoded(Output),
    /// A format that is known, but has no encoder in this build.
    NotEncoded(&'static str),
    Unknown,
}

impl Output {
    /// The media type of what is encoded.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// The format for a preview of a file if nobody asks for one.
    ///
    /// The extension of the name decides if it is that of an output format. Any other extension is JPEG, and the media type counts
    /// for names without an extension only. A file whose own format is not encoded by this build, such as HEIC, gets JPEG.
    pub fn for_file(name: &str, media_type: &str) -> Self {
        match name.rsplit_once('.') {
            Some((_, extension)) => match Self::named(&extension.to_ascii_lowercase()) {
                Named::Encoded(output) => output,
                Named::NotEncoded(_) | Named::Unknown => Self::Jpeg,
            },
            None => [Self::Png, Self::Webp, Self::Gif]
                .into_iter()
                .find(|output| output.media_type().eq_ignore_ascii_case(media_type))
                .unwrap_or(Self::Jpeg),
        }
    }

    pub(crate) fn named(name: &str) -> Named {
        match name {
            "jpg" | "jpeg" => Named::Encoded(Self::Jpeg),
            "png" => Named::Encoded(Self::Png),
            "webp" => Named::Encoded(Self::Webp),
            "gif" => Named::Encoded(Self::Gif),
            "heic" => Named::NotEncoded("heic"),
            "avif" => Named::NotEncoded("avif"),
            _ => Named::Unknown,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
        }
    }

    /// Whether pixels can be partly transparent or at least absent.
    pub(crate) fn has_alpha(self) -> bool {
        self != Self::Jpeg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_and_the_media_type_only_without_one() {
        for (name, media_type, expected) in [
            ("a.png", "image/jpeg", Output::Png),
            ("a.JPEG", "image/png", Output::Jpeg),
            ("a.b.webp", "", Output::Webp),
            ("x.jfif", "image/png", Output::Jpeg),
            ("x.pdf", "application/pdf", Output::Jpeg),
            ("x.", "image/gif", Output::Jpeg),
            ("x.heic", "image/heic", Output::Jpeg),
            ("photo", "image/gif", Output::Gif),
            ("photo", "image/png", Output::Png),
            ("photo", "image/heic", Output::Jpeg),
            ("", "", Output::Jpeg),
        ] {
            assert_eq!(Output::for_file(name, media_type), expected, "{name} {media_type}");
        }
    }
}
