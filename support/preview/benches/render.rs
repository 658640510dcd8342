//! What previews of a photo cost: `cargo bench -p enlace-preview`.

#![allow(missing_docs, reason = "a program")]

use std::hint::black_box;

use divan::counter::BytesCount;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use preview::{Icon, Limits, Parameters, render, render_icon};

/// As cameras with 12 megapixels make them.
const WIDTH: u32 = 4000;
const HEIGHT: u32 = 3000;

fn main() {
    divan::main();
}

/// Soft shapes with grain, so that it compresses about as a photo does.
fn photo() -> Vec<u8> {
    let mut grain = 1_u32;
    let picture = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (grain >> 29) as f32;
        let (x, y) = (x as f32 / WIDTH as f32, y as f32 / HEIGHT as f32);
        let wave = |frequency: f32, shift: f32| {
            100.0 + 70.0 * (frequency * (x * x + y) + shift).sin() + 40.0 * (9.0 * frequency * x * y).cos()
        };
        Rgb([wave(5.0, 0.0), wave(7.0, 1.0), wave(11.0, 2.0)].map(|value| (value + noise) as u8))
    });
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90)
        .encode_image(&picture)
        .expect("a JPEG image of this size is possible");
    bytes
}

#[divan::bench(args = ["jpg", "webp", "png"])]
fn photo_of_12_megapixels_to_400x300(bencher: divan::Bencher<'_, '_>, output: &str) {
    let photo = photo();
    let parameters =
        Parameters::parse([("width", "400"), ("height", "300"), ("output", output)]).expect("they are valid");
    bencher
        .counter(BytesCount::of_slice(&photo))
        .bench_local(|| render(black_box(&photo), &parameters, &Limits::default()).expect("it is an image"));
}

#[divan::bench]
fn decode_alone(bencher: divan::Bencher<'_, '_>) {
    let photo = photo();
    bencher
        .counter(BytesCount::of_slice(&photo))
        .bench_local(|| image::load_from_memory(black_box(&photo)).expect("it is an image"));
}

#[divan::bench]
fn all_parameters(bencher: divan::Bencher<'_, '_>) {
    let photo = photo();
    let parameters = Parameters::parse([
        ("width", "300"),
        ("height", "100"),
        ("borderWidth", "2"),
        ("borderRadius", "50"),
        ("opacity", "0.5"),
        ("rotation", "45"),
        ("output", "png"),
    ])
    .expect("they are valid");
    bencher.bench_local(|| render(black_box(&photo), &parameters, &Limits::default()).expect("it is an image"));
}

#[divan::bench]
fn icon(bencher: divan::Bencher<'_, '_>) {
    bencher.bench_local(|| render_icon(Icon::File, &Parameters::default(), &Limits::default()).expect("it is drawn"));
}
