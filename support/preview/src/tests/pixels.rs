use image::{DynamicImage, ImageFormat, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;

use super::{ANIMATED, BLUE, GREEN, OTHERS, RED, encoded, png, rendered, thirds};
use crate::stop::Stop;
use crate::{Limits, Parameters, PreviewError, render};

fn source() -> Vec<u8> {
    encoded(thirds(300, 100), ImageFormat::Png)
}

fn near(pixel: &Rgba<u8>, expected: [u8; 4], tolerance: u8) {
    let far = pixel.0.iter().zip(expected).any(|(value, expected)| value.abs_diff(expected) > tolerance);
    assert!(!far, "{pixel:?}, expected {expected:?}");
}

fn media_type(source: &[u8], pairs: &[(&str, &str)]) -> &'static str {
    render(source, &Parameters::parse(pairs.iter().copied()).unwrap(), &Limits::default()).unwrap().media_type
}

#[test]
fn without_parameters_the_picture_stays_as_it_is() {
    assert_eq!(rendered(&source(), &[]).unwrap(), thirds(300, 100));
}

#[test]
fn sizes_are_exact_also_when_enlarged() {
    for (pairs, expected) in [
        (&[("width", "30")][..], (30, 10)),
        (&[("height", "50")], (150, 50)),
        (&[("width", "600")], (600, 200)),
        (&[("width", "1")], (1, 1)),
        (&[("width", "40"), ("height", "40")], (40, 40)),
        (&[("width", "1"), ("height", "400")], (1, 400)),
        (&[("width", "400"), ("height", "1")], (400, 1)),
        (&[("width", "4000"), ("height", "3")], (4000, 3)),
    ] {
        assert_eq!(rendered(&source(), pairs).unwrap().dimensions(), expected, "{pairs:?}");
    }
}

#[test]
fn gravity_keeps_the_part_that_it_names() {
    let square = |gravity| rendered(&source(), &[("width", "30"), ("height", "30"), ("gravity", gravity)]).unwrap();
    for (gravity, expected) in [
        ("left", RED),
        ("top-left", RED),
        ("bottom-left", RED),
        ("center", GREEN),
        ("top", GREEN),
        ("bottom", GREEN),
        ("right", BLUE),
        ("top-right", BLUE),
        ("bottom-right", BLUE),
    ] {
        near(square(gravity).get_pixel(15, 15), expected, 0);
    }
}

#[test]
fn opacity_is_the_alpha_of_the_whole_picture() {
    let picture = rendered(&source(), &[("opacity", "0.5")]).unwrap();
    assert!(picture.pixels().all(|pixel| pixel[3] == 128));
    near(picture.get_pixel(10, 10), [255, 0, 0, 128], 0);
    assert!(rendered(&source(), &[("opacity", "0")]).unwrap().pixels().all(|pixel| pixel[3] == 0));
    near(rendered(&source(), &[("opacity", "0.5"), ("output", "jpg")]).unwrap().get_pixel(10, 50), RED, 8);
}

#[test]
fn a_background_is_behind_transparent_pixels_and_what_opacity_leaves() {
    let picture = rendered(&source(), &[("opacity", "0.5"), ("background", "ffffff")]).unwrap();
    near(picture.get_pixel(10, 10), [255, 127, 127, 255], 1);
    let clear = encoded(RgbaImage::new(4, 4), ImageFormat::Png);
    near(rendered(&clear, &[("background", "102030")]).unwrap().get_pixel(0, 0), [0x10, 0x20, 0x30, 255], 0);
    near(rendered(&clear, &[("output", "jpg"), ("background", "00ff00")]).unwrap().get_pixel(0, 0), GREEN, 4);
    near(rendered(&clear, &[("output", "jpg")]).unwrap().get_pixel(0, 0), [255; 4], 0);
}

#[test]
fn a_border_is_outside_of_the_size() {
    let pairs = [("width", "200"), ("height", "80"), ("borderWidth", "5"), ("borderColor", "123456")];
    let picture = rendered(&source(), &pairs).unwrap();
    assert_eq!(picture.dimensions(), (210, 90));
    for (x, y) in [(0, 0), (4, 40), (205, 40), (100, 4), (100, 85), (209, 89)] {
        near(picture.get_pixel(x, y), [0x12, 0x34, 0x56, 255], 0);
    }
    near(picture.get_pixel(5, 5), RED, 0);
    near(picture.get_pixel(204, 84), BLUE, 0);
    let widest = rendered(&source(), &[("borderWidth", "100")]).unwrap();
    assert_eq!(widest.dimensions(), (500, 300));
    near(widest.get_pixel(99, 99), [0, 0, 0, 255], 0);
}

#[test]
fn a_radius_makes_corners_transparent_and_nothing_else() {
    let picture = rendered(&source(), &[("borderRadius", "20")]).unwrap();
    for (x, y) in [(0, 0), (299, 0), (0, 99), (299, 99), (4, 4), (295, 95)] {
        assert_eq!(picture.get_pixel(x, y)[3], 0, "{x} {y}");
    }
    for (x, y) in [(20, 0), (0, 20), (279, 99), (299, 79), (8, 8), (291, 91), (150, 50)] {
        assert_eq!(picture.get_pixel(x, y)[3], 255, "{x} {y}");
    }
    let edges = picture.pixels().filter(|pixel| !matches!(pixel[3], 0 | 255)).count();
    assert!((40..400).contains(&edges), "{edges}");
}

#[test]
fn a_radius_beyond_half_of_a_side_is_half_of_it() {
    let largest = rendered(&source(), &[("borderRadius", "4000")]).unwrap();
    assert_eq!(largest, rendered(&source(), &[("borderRadius", "50")]).unwrap());
    assert_eq!(largest.get_pixel(150, 0)[3], 255);
    assert_eq!(largest.get_pixel(12, 12)[3], 0);
    let odd = rendered(&png(7, 5), &[("borderRadius", "100")]).unwrap();
    assert!(odd.get_pixel(0, 0)[3] < 64);
    assert_eq!(odd.get_pixel(3, 2)[3], 255);
}

#[test]
fn a_rotation_is_clockwise_and_transparent_outside() {
    let picture = rendered(&source(), &[("rotation", "45")]).unwrap();
    assert_eq!(picture.dimensions(), (284, 284));
    near(picture.get_pixel(70, 70), RED, 0);
    near(picture.get_pixel(142, 142), GREEN, 0);
    near(picture.get_pixel(213, 213), BLUE, 0);
    for (x, y) in [(0, 0), (283, 0), (0, 283), (283, 283)] {
        assert_eq!(picture.get_pixel(x, y)[3], 0);
    }
    assert_eq!(picture, rendered(&source(), &[("rotation", "-315")]).unwrap());
    assert_eq!(rendered(&source(), &[("rotation", "-90")]).unwrap().get_pixel(50, 299).0, RED);
    assert_eq!(rendered(&source(), &[("rotation", "180")]).unwrap().get_pixel(0, 0).0, BLUE);
    assert_eq!(rendered(&source(), &[("rotation", "-360")]).unwrap(), thirds(300, 100));
}

/// Check 3 of the conformance list.
#[test]
fn all_parameters_together_have_the_size_and_format_of_the_reference() {
    let large = encoded(thirds(1200, 800), ImageFormat::Jpeg);
    for rotation in ["45", "-315"] {
        let pairs = [
            ("width", "300"),
            ("height", "100"),
            ("borderRadius", "50"),
            ("opacity", "0.5"),
            ("rotation", rotation),
            ("output", "png"),
        ];
        let picture = rendered(&large, &pairs).unwrap();
        assert_eq!(picture.dimensions(), (284, 284));
        assert_eq!(picture.get_pixel(142, 142)[3], 128);
        assert_eq!(picture.get_pixel(0, 0)[3], 0);
        // The end of the picture is round: it is transparent where the corner was.
        assert_eq!(picture.get_pixel(3, 71)[3], 0);
        assert_eq!(media_type(&large, &pairs), "image/png");
    }
}

#[test]
fn the_border_comes_before_the_radius_and_the_rotation_after_it() {
    let pairs = [("borderWidth", "10"), ("borderColor", "ffffff"), ("borderRadius", "30"), ("rotation", "90")];
    let picture = rendered(&source(), &pairs).unwrap();
    assert_eq!(picture.dimensions(), (120, 320));
    assert_eq!(picture.get_pixel(0, 0)[3], 0);
    near(picture.get_pixel(60, 0), [255; 4], 0);
    near(picture.get_pixel(60, 20), RED, 0);
}

#[test]
fn every_input_format_becomes_every_output_format() {
    for input in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let picture = DynamicImage::from(thirds(60, 20));
        let picture = if input == ImageFormat::Jpeg { picture.into_rgb8().into() } else { picture };
        let source = encoded(picture, input);
        assert_eq!(media_type(&source, &[]), input.to_mime_type());
        for output in ["jpg", "jpeg", "png", "webp", "gif"] {
            let preview = rendered(&source, &[("output", output), ("width", "30")]).unwrap();
            assert_eq!(preview.dimensions(), (30, 10));
            near(preview.get_pixel(4, 5), RED, 40);
            near(preview.get_pixel(25, 5), BLUE, 40);
            assert_eq!(media_type(&source, &[("output", output)]), format!("image/{}", output.replace("jpg", "jpeg")));
        }
    }
}

#[test]
fn images_of_other_encoders_are_rendered() {
    for source in OTHERS {
        let picture = rendered(source, &[("background", "ffffff"), ("output", "png")]).unwrap();
        assert_eq!(picture.dimensions(), (24, 16));
        let (left, right) = (picture.get_pixel(1, 1).0, picture.get_pixel(22, 1).0);
        assert!(left[0] > 180 && left[2] < 90 && right[0] < 90 && right[2] > 180, "{left:?} {right:?}");
        assert_eq!(rendered(source, &[("width", "12"), ("output", "png")]).unwrap().dimensions(), (12, 8));
    }
}

#[test]
fn of_an_animation_the_first_frame_is_rendered() {
    for source in ANIMATED {
        let picture = rendered(source, &[]).unwrap();
        assert_eq!(picture.dimensions(), (24, 16));
        near(picture.get_pixel(12, 8), RED, 2);
    }
}

#[test]
fn other_depths_and_grey_are_rendered() {
    let grey = DynamicImage::from(thirds(30, 30));
    for picture in [
        DynamicImage::from(grey.to_luma8()),
        grey.to_luma_alpha8().into(),
        grey.to_luma16().into(),
        grey.to_luma_alpha16().into(),
        grey.to_rgb16().into(),
        grey.to_rgba16().into(),
    ] {
        let source = encoded(picture.clone(), ImageFormat::Png);
        let expected = picture.into_rgba8();
        near(rendered(&source, &[("width", "15")]).unwrap().get_pixel(0, 0), expected.get_pixel(0, 0).0, 2);
        assert_eq!(rendered(&source, &[]).unwrap(), expected);
    }
    let grey = encoded(grey.to_luma8(), ImageFormat::Jpeg);
    assert_eq!(rendered(&grey, &[("width", "3")]).unwrap().dimensions(), (3, 3));
}

#[test]
fn gif_keeps_what_is_transparent() {
    let picture = rendered(&source(), &[("output", "gif"), ("borderRadius", "20")]).unwrap();
    assert_eq!(picture.get_pixel(0, 0)[3], 0);
    assert_eq!(picture.get_pixel(150, 50)[3], 255);
}

#[test]
fn quality_sets_that_of_jpeg_and_is_else_that_of_the_source() {
    let noise =
        RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, (x ^ y) as u8 * 3]));
    let mut poor = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut poor, 20).encode_image(&noise).unwrap();
    let size = |source: &[u8], pairs: &[(&str, &str)]| {
        render(source, &Parameters::parse(pairs.iter().copied()).unwrap(), &Limits::default()).unwrap().bytes.len()
    };
    let quality = |value| [("quality", value), ("output", "jpg")];
    let sizes = ["0", "20", "60", "100"].map(|value| size(&poor, &quality(value)));
    assert!(sizes.is_sorted() && sizes[0] < sizes[3], "{sizes:?}");
    assert_eq!(size(&poor, &quality("-1")), sizes[1]);
    assert_eq!(size(&poor, &[]), sizes[1]);
    let lossless = encoded(noise, ImageFormat::Png);
    assert_eq!(size(&lossless, &[("output", "jpg")]), size(&lossless, &quality("90")));
    assert_eq!(size(&lossless, &[("quality", "1")]), size(&lossless, &[]));
}

/// A JPEG image with a note of how the camera was held.
fn turned(orientation: u8) -> Vec<u8> {
    let mut plain = Vec::new();
    let picture = DynamicImage::from(thirds(96, 32)).into_rgb8();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut plain, 100).encode_image(&picture).unwrap();
    // An APP1 segment: one directory with one entry, tag 0x0112, type SHORT, count 1.
    let exif =
        [b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation], b"\0\0\0\0\0\0"]
            .concat();
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&plain[..2], b"\xff\xe1", &length, &exif, &plain[2..]].concat()
}

#[test]
fn orientations_that_are_turns_are_applied_and_mirror_images_are_not() {
    for (orientation, size, red, blue) in [
        (1, (96, 32), (8, 16), (88, 16)),
        (2, (96, 32), (8, 16), (88, 16)),
        (3, (96, 32), (88, 16), (8, 16)),
        (4, (96, 32), (8, 16), (88, 16)),
        (5, (96, 32), (8, 16), (88, 16)),
        (6, (32, 96), (16, 8), (16, 88)),
        (7, (96, 32), (8, 16), (88, 16)),
        (8, (32, 96), (16, 88), (16, 8)),
        (9, (96, 32), (8, 16), (88, 16)),
    ] {
        let picture = rendered(&turned(orientation), &[]).unwrap();
        assert_eq!(picture.dimensions(), size, "{orientation}");
        near(picture.get_pixel(red.0, red.1), RED, 10);
        near(picture.get_pixel(blue.0, blue.1), BLUE, 10);
    }
}

#[test]
fn size_and_gravity_refer_to_the_picture_before_its_orientation() {
    let pairs = [("width", "30"), ("height", "20"), ("gravity", "left"), ("output", "png")];
    let picture = rendered(&turned(6), &pairs).unwrap();
    assert_eq!(picture.dimensions(), (20, 30));
    near(picture.get_pixel(10, 2), RED, 10);
    near(picture.get_pixel(10, 27), GREEN, 10);
}

#[test]
fn metadata_of_the_source_are_left_out() {
    let preview = render(&turned(6), &Parameters::default(), &Limits::default()).unwrap();
    assert!(!preview.bytes.windows(4).any(|window| window == b"Exif"));
}

#[test]
fn nothing_is_rendered_when_nobody_waits() {
    let stop = Stop::default();
    drop(stop.on_drop());
    let result = crate::render::render_until(&source(), &Parameters::default(), &Limits::default(), &stop);
    assert!(matches!(result, Err(PreviewError::Cancelled)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_parameters_render_within_the_planned_size(
        source in (1_u32..40, 1_u32..40),
        (width, height) in (0_u32..60, 0_u32..60),
        (border, radius, rotation) in (0_u32..10, 0_u32..100, -360_i32..=360),
        opacity in 0.0..=1.0_f64,
        output in prop::sample::select(vec!["jpg", "png", "webp", "gif"]),
    ) {
        let source = encoded(thirds(source.0, source.1), ImageFormat::Png);
        let values = [
            ("width", width.to_string()),
            ("height", height.to_string()),
            ("borderWidth", border.to_string()),
            ("borderRadius", radius.to_string()),
            ("rotation", rotation.to_string()),
            ("opacity", opacity.to_string()),
            ("output", output.to_owned()),
        ];
        let pairs: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let picture = rendered(&source, &pairs);
        prop_assert!(picture.is_ok(), "{:?}", picture.err());
        if width > 0 && height > 0 && rotation % 360 == 0 {
            prop_assert_eq!(picture.unwrap().dimensions(), (width + 2 * border, height + 2 * border));
        }
    }
}
