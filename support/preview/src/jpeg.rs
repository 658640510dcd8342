//! What the head of a JPEG image says beside its size: the quality that it was encoded with, and how many components it has.
//!
//! Segments and tables: [ITU-T T.81, annex B](https://www.w3.org/Graphics/JPEG/itu-t81.pdf).

/// Luminance, as in table K.1 of T.81, from which encoders scale their tables by quality.
const LUMINANCE: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];

/// The most components that the decoder knows.
const COMPONENTS: u8 = 4;

/// What is known of an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// From 1 to 100, if there is a table for luminance.
    pub(crate) quality: Option<u8>,
    /// Components of a pixel; the most possible if the head does not say it.
    pub(crate) components: u8,
}

/// Reads the segments up to the first scan, as far as they can be read.
pub(crate) fn head(bytes: &[u8]) -> Head {
    let mut head = Head { quality: None, components: COMPONENTS };
    for (marker, payload) in Segments(bytes.get(2..).unwrap_or_default()) {
        match marker {
            // Quantization tables
            0xdb => head.quality = luminance_sum(payload).map(quality_of).or(head.quality),
            // Frame headers; the other three of this range are tables and an extension.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                head.components = payload.get(5).copied().unwrap_or(COMPONENTS).min(COMPONENTS);
            }
            // The first scan
            0xda => break,
            _ => {}
        }
    }
    head
}

/// The sum of table 0. The order of its entries does not matter for it.
fn luminance_sum(mut payload: &[u8]) -> Option<u64> {
    while let Some((kind, rest)) = payload.split_first() {
        let width = if kind >> 4 == 0 { 1 } else { 2 };
        let table = rest.get(..64 * width)?;
        if kind & 0x0f == 0 {
            return Some(
                table.chunks(width).map(|entry| entry.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))).sum(),
            );
        }
        payload = &rest[64 * width..];
    }
    None
}

/// The quality whose table has the nearest sum, by the scale that libjpeg introduced and others use.
fn quality_of(sum: u64) -> u8 {
    let scaled_sum = |quality: u8| -> u64 {
        let quality = u32::from(quality);
        let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
        LUMINANCE.iter().map(|entry| u64::from((u32::from(*entry) * percent + 50) / 100).clamp(1, 255)).sum()
    };
    (1..=100).min_by_key(|quality| scaled_sum(*quality).abs_diff(sum)).unwrap_or(100)
}

/// Segments behind the start of the image: a marker, a length that counts itself, and a payload.
struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (0xff, mut rest) = self.0.split_first()? else { return None };
        while let Some((0xff, more)) = rest.split_first() {
            rest = more;
        }
        let (marker, rest) = rest.split_first()?;
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let payload = rest.get(2..length)?;
        self.0 = &rest[length..];
        Some((*marker, payload))
    }
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, RgbImage};

    use super::*;

    #[test]
    fn the_quality_of_an_image_is_found() {
        for quality in [1, 10, 30, 50, 75, 90, 92, 100] {
            let mut bytes = Vec::new();
            JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&RgbImage::new(8, 8)).unwrap();
            let found = head(&bytes).quality.unwrap();
            assert!(found.abs_diff(quality) <= 1, "{quality}: {found}");
        }
    }

    #[test]
    fn the_components_of_an_image_are_found() {
        let mut bytes = Vec::new();
        JpegEncoder::new(&mut bytes).encode_image(&GrayImage::new(8, 8)).unwrap();
        assert_eq!(head(&bytes).components, 1);
        bytes.clear();
        JpegEncoder::new(&mut bytes).encode_image(&RgbImage::new(8, 8)).unwrap();
        assert_eq!(head(&bytes).components, 3);
    }

    #[test]
    fn a_head_that_cannot_be_read_counts_as_the_largest() {
        for bytes in [
            &b""[..],
            b"\xff\xd8",
            b"\xff\xd8\xff",
            b"\xff\xd8\xff\xdb\0",
            b"\xff\xd8\xff\xdb\0\0",
            b"\xff\xd8\xff\xdb\xff\xff\0",
        ] {
            assert_eq!(head(bytes), Head { quality: None, components: COMPONENTS }, "{bytes:?}");
        }
    }
}
