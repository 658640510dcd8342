//! What a WebP image says about its sizes before it is decoded.
//!
//! The decoder allocates the length that a chunk of metadata declares, whatever is left of the input. A lossy picture inside of the container has a size of its own, for which the decoder allocates before it compares it with the size
//! of the container. Container: <https://developers.google.com/speed/webp/docs/riff_container>; size of a picture:
//! [RFC 6386, section 9.1](https://www.rfc-editor.org/rfc/rfc6386#section-9.1).

/// `RIFF`, a length, `WEBP`.
const CONTAINER_HEADER: usize = 12;
/// Position, size, duration and flags of a frame, in front of its chunks.
const FRAME_HEADER: usize = 16;

/// Checks that each chunk ends within the image or frame that contains it, that none of metadata is longer than `metadata_bytes`, and
/// that each lossy picture has the size of the container or of its frame.
///
/// # Errors
/// What is wrong, as it stands behind "the image cannot be decoded:".
pub(crate) fn check(bytes: &[u8], metadata_bytes: u64) -> Result<(), &'static str> {
    check_lengths(bytes.get(CONTAINER_HEADER..).unwrap_or_default(), metadata_bytes)?;
    if sizes_agree(bytes) { Ok(()) } else { Err("a picture in it has another size") }
}

fn check_lengths(bytes: &[u8], metadata_bytes: u64) -> Result<(), &'static str> {
    let mut chunks = Chunks(bytes);
    while let Some(Chunk { name, length, payload }) = chunks.read() {
        if length > payload.len() as u64 {
            return Err("a part of it is longer than the image");
        }
        match name {
            b"EXIF" | b"ICCP" | b"XMP " if length > metadata_bytes => return Err("its metadata are too long"),
            b"ANMF" => check_lengths(payload.get(FRAME_HEADER..).unwrap_or_default(), metadata_bytes)?,
            _ => {}
        }
    }
    Ok(())
}

fn sizes_agree(bytes: &[u8]) -> bool {
    let mut canvas = None;
    for (name, payload) in Chunks(bytes.get(CONTAINER_HEADER..).unwrap_or_default()) {
        let agrees = match name {
            b"VP8X" => {
                // The first one counts.
                canvas = canvas.or_else(|| two_sizes(payload, 4));
                true
            }
            b"VP8 " => canvas.is_none() || lossy_size(payload).is_none_or(|size| Some(size) == canvas),
            b"ANMF" => frame_agrees(payload),
            _ => true,
        };
        if !agrees {
            return false;
        }
    }
    true
}

/// The decoder takes whatever follows alpha for a lossy picture, so nothing else may be there.
fn frame_agrees(payload: &[u8]) -> bool {
    let size = two_sizes(payload, 6);
    let lossy = |picture: &[u8]| lossy_size(picture).is_some_and(|own| Some(own) == size);
    let mut chunks = Chunks(payload.get(FRAME_HEADER..).unwrap_or_default());
    match chunks.next() {
        Some((b"VP8L", _)) => true,
        Some((b"VP8 ", picture)) => lossy(picture),
        Some((b"ALPH", _)) => matches!(chunks.next(), Some((b"VP8 ", picture)) if lossy(picture)),
        _ => false,
    }
}

/// Width and height, each as 24 bits of the value less one.
fn two_sizes(payload: &[u8], at: usize) -> Option<(u32, u32)> {
    let bytes: &[u8; 6] = payload.get(at..)?.first_chunk()?;
    let [a, b, c, d, e, f] = *bytes;
    Some((u32::from_le_bytes([a, b, c, 0]) + 1, u32::from_le_bytes([d, e, f, 0]) + 1))
}

/// A frame tag of three bytes, a start code of three, then 14 bits of each side.
fn lossy_size(payload: &[u8]) -> Option<(u32, u32)> {
    let bytes: &[u8; 4] = payload.get(6..)?.first_chunk()?;
    let [a, b, c, d] = *bytes;
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Some((side(a, b), side(c, d)))
}

/// The chunks of a container: a name, a length, and a payload that is padded to an even length. A cut payload is the last one.
struct Chunks<'a>(&'a [u8]);

struct Chunk<'a> {
    name: &'a [u8; 4],
    /// As it is declared.
    length: u64,
    /// What there is of it.
    payload: &'a [u8],
}

impl<'a> Chunks<'a> {
    fn read(&mut self) -> Option<Chunk<'a>> {
        let (name, rest) = self.0.split_first_chunk::<4>()?;
        let (declared, rest) = rest.split_first_chunk::<4>()?;
        let declared = u32::from_le_bytes(*declared);
        let length = usize::try_from(declared).ok()?;
        let payload = &rest[..length.min(rest.len())];
        self.0 = rest.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some(Chunk { name, length: declared.into(), payload })
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.read().map(|chunk| (chunk.name, chunk.payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let padding = vec![0; payload.len() % 2];
        [name.as_slice(), &length, payload, &padding].concat()
    }

    fn container(chunks: &[Vec<u8>]) -> Vec<u8> {
        [b"RIFF\0\0\0\0WEBP".as_slice(), &chunks.concat()].concat()
    }

    fn canvas(width: u8, height: u8) -> Vec<u8> {
        chunk(b"VP8X", &[0, 0, 0, 0, width - 1, 0, 0, height - 1, 0, 0])
    }

    fn picture(width: u16, height: u16) -> Vec<u8> {
        let [a, b] = width.to_le_bytes();
        let [c, d] = height.to_le_bytes();
        chunk(b"VP8 ", &[0, 0, 0, 0x9d, 1, 0x2a, a, b, c, d, 0])
    }

    fn frame(width: u8, height: u8, picture: &[u8]) -> Vec<u8> {
        let head = [0, 0, 0, 0, 0, 0, width - 1, 0, 0, height - 1, 0, 0, 0, 0, 0, 0];
        chunk(b"ANMF", &[head.as_slice(), picture].concat())
    }

    #[test]
    fn a_picture_has_the_size_of_its_container_or_frame() {
        for (chunks, expected) in [
            (vec![picture(16_383, 16_383)], true),
            (vec![canvas(20, 10), picture(20, 10)], true),
            (vec![canvas(20, 10), picture(16_383, 16_383)], false),
            (vec![canvas(20, 10), chunk(b"ICCP", b"odd"), picture(20, 11)], false),
            (vec![canvas(20, 10), frame(5, 6, &picture(5, 6))], true),
            (vec![canvas(20, 10), frame(5, 6, &picture(20, 10))], false),
            (vec![canvas(20, 10), frame(5, 6, &[chunk(b"ALPH", b"x"), picture(5, 7)].concat())], false),
            (vec![canvas(20, 10), frame(5, 6, &[chunk(b"ALPH", b"x"), picture(5, 6)].concat())], true),
            (vec![canvas(20, 10), frame(5, 6, &[chunk(b"ALPH", b"x"), chunk(b"WP8 ", &[0; 10])].concat())], false),
            (vec![canvas(20, 10), frame(5, 6, &[chunk(b"ALPH", b"x"), chunk(b"VP8L", &[0; 10])].concat())], false),
            (vec![canvas(20, 10), frame(5, 6, &chunk(b"VP8L", &[0; 10]))], true),
            (vec![canvas(20, 10), canvas(5, 6), picture(5, 6)], false),
            (vec![canvas(20, 10), frame(5, 6, b"")], false),
        ] {
            assert_eq!(sizes_agree(&container(&chunks)), expected, "{chunks:?}");
        }
    }

    /// A chunk that ends `beyond` bytes after what there is of it.
    fn cut(name: &[u8; 4], beyond: u32) -> Vec<u8> {
        [name.as_slice(), &(2 + beyond).to_le_bytes(), &[0, 0]].concat()
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        let lossless = || chunk(b"VP8L", &[0; 10]);
        for beyond in [1, u32::MAX - 2] {
            for name in [b"EXIF", b"ICCP", b"XMP ", b"VP8 ", b"ALPH", b"ANIM", b"ANMF", b"JUNK", b"VP8X"] {
                let metadata = || cut(name, beyond);
                let after = container(&[canvas(1, 1), picture(1, 1), metadata()]);
                let inside =
                    container(&[canvas(20, 10), frame(5, 6, &[lossless(), metadata()].concat()), picture(20, 10)]);
                for bytes in [container(&[metadata()]), after, inside] {
                    assert!(check(&bytes, 100).is_err(), "{name:?} {beyond}");
                }
            }
        }
        assert_eq!(check(&container(&[canvas(1, 1), picture(1, 1), cut(b"EXIF", 0)]), 100), Ok(()));
        assert_eq!(
            check(&container(&[canvas(20, 10), frame(5, 6, &[lossless(), cut(b"EXIF", 0)].concat())]), 100),
            Ok(())
        );
        assert_eq!((check(b"RIFF", 100), check(b"", 100)), (Ok(()), Ok(())));
    }

    #[test]
    fn metadata_of_the_greatest_length_are_taken_and_longer_ones_are_not() {
        for name in [b"EXIF", b"ICCP", b"XMP "] {
            let metadata = |length| chunk(name, &vec![0; length]);
            let after = |length| container(&[canvas(1, 1), picture(1, 1), metadata(length)]);
            let inside = |length| container(&[frame(5, 6, &[chunk(b"VP8L", &[0; 10]), metadata(length)].concat())]);
            for bytes in [after(100), inside(100)] {
                assert_eq!(check(&bytes, 100), Ok(()), "{name:?}");
            }
            for bytes in [after(101), inside(101)] {
                assert!(check(&bytes, 100).is_err(), "{name:?}");
            }
        }
    }
}
