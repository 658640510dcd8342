//! What a WebP image says about its size before it is decoded.
//!
//! A lossy picture inside of the container has a size of its own, for which the decoder allocates before it compares it with the size
//! of the container. Container: <https://developers.google.com/speed/webp/docs/riff_container>; size of a picture:
//! [RFC 6386, section 9.1](https://www.rfc-editor.org/rfc/rfc6386#section-9.1).

/// `RIFF`, a length, `WEBP`.
const CONTAINER_HEADER: usize = 12;
/// Position, size, duration and flags of a frame, in front of its chunks.
const FRAME_HEADER: usize = 16;

/// Whether each lossy picture has the size of the container or of its frame.
pub(crate) fn sizes_agree(bytes: &[u8]) -> bool {
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

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let payload = &rest[..length.min(rest.len())];
        self.0 = rest.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some((name, payload))
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

    #[test]
    fn a_length_beyond_the_end_is_not_followed() {
        assert!(sizes_agree(b"RIFF\0\0\0\0WEBPVP8 \xff\xff\xff\xff"));
        assert!(sizes_agree(b"RIFF"));
        assert!(sizes_agree(b""));
    }
}
