use std::time::{Duration, Instant};

use image::ImageFormat;
use proptest::prelude::*;

use super::{ANIMATED, OTHERS, encoded, png, thirds};
use crate::limits::{PIXELS, SIDE};
use crate::{Icon, Limits, Parameters, Preview, PreviewError, render, render_icon};

fn plain(bytes: &[u8]) -> Result<Preview, PreviewError> {
    render(bytes, &Parameters::default(), &Limits::default())
}

/// The head of a PNG image of this size, and no pixels.
fn png_head(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(1, 1);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// As PNG counts it (polynomial 0xedb88320, reflected).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

/// The head of a JPEG image of this size: start of image, frame header, start of scan.
fn jpeg_head(width: u16, height: u16) -> Vec<u8> {
    let ([h0, h1], [w0, w1]) = (height.to_be_bytes(), width.to_be_bytes());
    let frame = [0xff, 0xc0, 0, 17, 8, h0, h1, w0, w1, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    let scan = [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0];
    [b"\xff\xd8".as_slice(), &frame, &scan, b"\xff\xd9"].concat()
}

/// A GIF image of this size, and the beginning of a frame of that size.
fn gif_head(width: u16, height: u16) -> Vec<u8> {
    [&gif_screen(width, height), b"\x2c\0\0\0\0".as_slice(), &width.to_le_bytes(), &height.to_le_bytes(), b"\0\x02"]
        .concat()
}

fn gif_screen(width: u16, height: u16) -> Vec<u8> {
    [b"GIF89a".as_slice(), &width.to_le_bytes(), &height.to_le_bytes(), b"\0\0\0"].concat()
}

/// The container of a WebP image of this size, and a picture with another one.
fn webp(canvas: u32, picture: u16) -> Vec<u8> {
    let side = (canvas - 1).to_le_bytes();
    let container = [b"VP8X\x0a\0\0\0\0\0\0\0".as_slice(), &side[..3], &side[..3]].concat();
    let side = picture.to_le_bytes();
    let picture = [b"VP8 \x0c\0\0\0\x10\0\0\x9d\x01\x2a".as_slice(), &side, &side, &[0, 0]].concat();
    let length = u32::try_from(4 + container.len() + picture.len()).unwrap().to_le_bytes();
    [b"RIFF".as_slice(), &length, b"WEBP", &container, &picture].concat()
}

fn refused_by_its_size(bytes: &[u8], size: (u32, u32)) {
    let began = Instant::now();
    match plain(bytes) {
        Err(PreviewError::ResolutionExceeded { width, height }) => assert_eq!((width, height), size),
        other => panic!("{other:?}"),
    }
    // Allocating and clearing so much memory takes longer.
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn sizes_beyond_the_limits_are_refused_from_the_head_alone() {
    refused_by_its_size(&png_head(60_000, 1), (60_000, 1));
    refused_by_its_size(&png_head(1, 60_000), (1, 60_000));
    refused_by_its_size(&png_head(SIDE, SIDE), (SIDE, SIDE));
    refused_by_its_size(&png_head(0x7fff_ffff, 0x7fff_ffff), (0x7fff_ffff, 0x7fff_ffff));
    refused_by_its_size(&jpeg_head(65_500, 65_500), (65_500, 65_500));
    refused_by_its_size(&gif_head(65_535, 65_535), (65_535, 65_535));
    refused_by_its_size(&webp(20_000, 16), (20_000, 20_000));
    let message = plain(&png_head(60_000, 1)).unwrap_err().to_string();
    assert!(message.contains("60000x1"), "{message}");
}

#[test]
fn the_longest_side_is_taken_and_one_more_pixel_is_not() {
    let parameters = Parameters::parse([("width", "1"), ("height", "1")]).unwrap();
    assert!(render(&png(SIDE, 1), &parameters, &Limits::default()).is_ok());
    let parameters = Parameters::parse([("width", "1"), ("height", "4000")]).unwrap();
    assert!(render(&png(SIDE, 1), &parameters, &Limits::default()).is_ok());
    refused_by_its_size(&png(SIDE + 1, 1), (SIDE + 1, 1));
}

#[test]
fn the_most_pixels_pass_the_head_and_one_more_does_not() {
    let limits = Limits { pixels: 12, ..Limits::default() };
    assert!(render(&png(4, 3), &Parameters::default(), &limits).is_ok());
    let more = render(&png(13, 1), &Parameters::default(), &limits);
    assert!(matches!(more, Err(PreviewError::ResolutionExceeded { width: 13, height: 1 })), "{more:?}");
    let side = 10_000;
    let rows = u32::try_from(PIXELS / u64::from(side)).unwrap();
    refused_by_its_size(&png_head(side, rows + 1), (side, rows + 1));
}

#[test]
fn the_most_bytes_are_taken_and_one_more_is_not() {
    let source = png(4, 3);
    let length = source.len() as u64;
    let limits = |input_bytes| Limits { input_bytes, ..Limits::default() };
    assert!(render(&source, &Parameters::default(), &limits(length)).is_ok());
    let more = render(&source, &Parameters::default(), &limits(length - 1));
    assert!(
        matches!(more, Err(PreviewError::InputTooLarge { bytes, limit }) if bytes == length && limit == length - 1)
    );
}

#[test]
fn the_most_bytes_of_a_preview_are_made_and_one_more_is_not() {
    let source = encoded(thirds(64, 48), ImageFormat::Png);
    for output in ["jpg", "png", "webp", "gif"] {
        let parameters = Parameters::parse([("output", output), ("width", "40")]).unwrap();
        let limits = |output_bytes| Limits { output_bytes, ..Limits::default() };
        let length = render(&source, &parameters, &Limits::default()).unwrap().bytes.len() as u64;
        let at = render(&source, &parameters, &limits(length)).unwrap();
        assert_eq!(at.bytes.len() as u64, length);
        let more = render(&source, &parameters, &limits(length - 1));
        assert!(
            matches!(more, Err(PreviewError::OutputTooLarge { limit }) if limit == length - 1),
            "{output}: {more:?}"
        );
    }
    let limits = Limits { output_bytes: 100, ..Limits::default() };
    let icon = render_icon(Icon::File, &Parameters::default(), &limits);
    assert!(matches!(icon, Err(PreviewError::OutputTooLarge { limit: 100 })), "{icon:?}");
}

#[test]
fn a_large_image_without_its_pixels_is_damaged() {
    for bytes in [png_head(4000, 4000), gif_head(4000, 4000), webp(16, 16)] {
        let result = plain(&bytes);
        assert!(matches!(result, Err(PreviewError::Undecodable { .. })), "{result:?}");
    }
}

#[test]
fn a_picture_that_is_larger_than_its_container_is_refused() {
    let result = plain(&webp(16, 16_383));
    assert!(
        matches!(&result, Err(PreviewError::Undecodable { reason }) if reason.contains("another size")),
        "{result:?}"
    );
}

/// Metadata of four gibibytes in an image of 56 bytes, for which the decoder would allocate them.
#[test]
fn metadata_that_are_longer_than_the_image_are_refused() {
    let flagged = |flags, name: &[u8; 4]| {
        let container = [b"VP8X\x0a\0\0\0".as_slice(), &[flags, 0, 0, 0], &[0; 6]].concat();
        let picture = b"VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\x01\0\x01\0";
        [b"RIFF\xff\xff\xff\x7fWEBP", container.as_slice(), picture, name, b"\xff\xff\xff\xff"].concat()
    };
    for bytes in [flagged(0x08, b"EXIF"), flagged(0x20, b"ICCP"), flagged(0x04, b"XMP ")] {
        assert_eq!(bytes.len(), 56);
        let result = plain(&bytes);
        assert!(
            matches!(&result, Err(PreviewError::Undecodable { reason }) if reason.contains("longer than the image")),
            "{result:?}"
        );
    }
    for name in [b"EXIF", b"ICCP"] {
        // Behind the picture of a frame, where the decoder looks for alpha.
        let frame = [[0; 16].as_slice(), b"VP8L\x06\0\0\0\x2f\0\0\0\0\0", name, b"\xff\xff\xff\xff"].concat();
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        let container = b"VP8X\x0a\0\0\0\x2a\0\0\0\0\0\0\0\0\0ANIM\x06\0\0\0\0\0\0\0\0\0ANMF";
        let bytes = [b"RIFF\xff\xff\0\0WEBP", container.as_slice(), &length, &frame].concat();
        let result = plain(&bytes);
        assert!(matches!(&result, Err(PreviewError::Undecodable { .. })), "{result:?}");
    }
}

/// A compressed text or profile that becomes a thousand times larger.
#[test]
fn metadata_that_grow_are_not_unpacked_beyond_their_bound() {
    let packed = packed_zeros(16 << 20);
    for (kind, head) in [(b"iCCP", &b"a\0\0"[..]), (b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\x01\0\0\0")] {
        let source = png(2, 2);
        let chunk = [kind.as_slice(), head, &packed].concat();
        let length = u32::try_from(chunk.len() - 4).unwrap().to_be_bytes();
        let sum = crc32(&chunk).to_be_bytes();
        let bytes = [&source[..33], &length, &chunk, &sum, &source[33..]].concat();
        let began = Instant::now();
        // Either is fine: left out, or the image is refused.
        let _ = plain(&bytes);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

/// Zeros as a stream of zlib, taken from a PNG image of that many bytes in one row.
fn packed_zeros(bytes: usize) -> Vec<u8> {
    let side = 8192;
    let rows = u32::try_from(bytes).unwrap() / side;
    let source = encoded(image::GrayImage::new(side, rows), ImageFormat::Png);
    let start = source.windows(4).position(|window| window == b"IDAT").unwrap() + 4;
    source[start..].to_vec()
}

#[test]
fn of_many_frames_the_first_one_is_decoded() {
    let mut bytes = Vec::new();
    {
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        let first = image::Frame::new(thirds(30, 10));
        encoder.encode_frame(first).unwrap();
        for _ in 0..2000 {
            encoder.encode_frame(image::Frame::new(image::RgbaImage::new(30, 10))).unwrap();
        }
    }
    let picture = image::load_from_memory(&plain(&bytes).unwrap().bytes).unwrap().into_rgba8();
    assert_eq!(picture.get_pixel(1, 1).0, super::RED);
}

#[test]
fn a_frame_that_is_larger_than_its_image_is_refused() {
    let frame = b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0\x3b";
    let result = plain(&[gif_screen(10, 10).as_slice(), frame].concat());
    assert!(
        matches!(result, Err(PreviewError::ResolutionExceeded { .. } | PreviewError::Undecodable { .. })),
        "{result:?}"
    );
}

#[test]
fn what_is_no_image_is_refused_as_such() {
    for bytes in [&b""[..], b"x", b"%PDF-1.7", b"<svg/>", b"BM\0\0", b"\0\0\0\x18ftypheic"] {
        assert!(matches!(plain(bytes), Err(PreviewError::UnknownFormat)), "{bytes:?}");
    }
}

fn sources() -> Vec<Vec<u8>> {
    let picture = image::DynamicImage::from(thirds(24, 9));
    let opaque = image::DynamicImage::from(picture.to_rgb8());
    let mut sources = vec![encoded(opaque, ImageFormat::Jpeg)];
    sources
        .extend([ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif].map(|format| encoded(picture.clone(), format)));
    sources.extend(OTHERS.iter().chain(&ANIMATED).map(|source| source.to_vec()));
    sources
}

#[test]
fn an_image_that_is_cut_anywhere_is_a_result_and_never_a_panic() {
    for source in sources() {
        for length in 0..source.len() {
            let _ = plain(&source[..length]);
        }
    }
}

proptest! {
    #[test]
    fn changed_images_are_a_result_and_never_a_panic(
        source in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut sources = sources();
        let mut bytes = sources.swap_remove(source.index(sources.len()));
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let limits = Limits { pixels: 1 << 20, ..Limits::default() };
        let _ = render(&bytes, &Parameters::default(), &limits);
    }

    #[test]
    fn any_bytes_behind_a_signature_are_a_result_and_never_a_panic(
        format in 0_usize..4,
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let start: [&[u8]; 4] = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBP", b"GIF89a"];
        let limits = Limits { pixels: 1 << 20, ..Limits::default() };
        let _ = render(&[start[format], &rest].concat(), &Parameters::default(), &limits);
    }
}
