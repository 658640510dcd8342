//! The media type of a file by its content, and which types a browser may show.
//!
//! What a sender says about a file is not believed: published clients send `application/octet-stream`, nothing, or a wrong type. The name of a file decides
//! only between types that look the same: kinds of text, and kinds of documents in the same container.

/// Bytes of the beginning of a content that are looked at; more are ignored, so it is not worth reading more.
pub const SNIFFED_BYTES: usize = 8192;

/// What is nothing else.
const BINARY: &str = "application/octet-stream";
const TEXT: &str = "text/plain";

/// Types that are shown as what they are. All others are shown as text, so that no content of somebody else runs as a page of this origin.
const INLINE: [&str; 58] = [
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/webp",
    "image/heic",
    "image/heic-sequence",
    "image/avif",
    "video/mp4",
    "video/x-flv",
    "video/webm",
    "application/x-mpegurl",
    "application/vnd.apple.mpegurl",
    "video/mp2t",
    "video/3gpp",
    "video/quicktime",
    "video/x-msvideo",
    "video/x-ms-wmv",
    "audio/basic",
    "audio/mid",
    "audio/midi",
    "audio/x-midi",
    "audio/mpeg",
    "audio/mp4",
    "audio/aiff",
    "audio/x-aiff",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "audio/vnd.rn-realaudio",
    "audio/x-pn-realaudio",
    "audio/x-realaudio",
    "audio/ogg",
    "audio/opus",
    "audio/vorbis",
    "audio/wav",
    "audio/wave",
    "audio/x-wav",
    "audio/vnd.wav",
    "audio/vnd.wave",
    "audio/aac",
    "audio/x-aac",
    "audio/x-hx-aac-adts",
    "application/msword",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
    "application/vnd.ms-word.document.macroenabled.12",
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
    "application/vnd.ms-excel.sheet.macroenabled.12",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
    "application/vnd.openxmlformats-officedocument.presentationml.template",
    "application/vnd.ms-powerpoint.presentation.macroenabled.12",
    "application/vnd.ms-access",
    "application/msaccess",
    "application/x-msaccess",
    "application/pdf",
];

/// Types of text by the extension of the name.
const TEXTS: [(&str, &str); 18] = [
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("tsv", "text/tab-separated-values"),
    ("md", "text/markdown"),
    ("ics", "text/calendar"),
    ("vcf", "text/vcard"),
    ("js", "text/javascript"),
    ("mjs", "text/javascript"),
    ("json", "application/json"),
    ("xml", "text/xml"),
    ("svg", "image/svg+xml"),
    ("xhtml", "application/xhtml+xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("m3u", "audio/x-mpegurl"),
    ("m3u8", "application/x-mpegurl"),
];

/// Documents in the container of old office programs, by the extension of the name.
const COMPOUND: [(&str, &str); 7] = [
    ("xls", "application/vnd.ms-excel"),
    ("xlt", "application/vnd.ms-excel"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pps", "application/vnd.ms-powerpoint"),
    ("pot", "application/vnd.ms-powerpoint"),
    ("msi", "application/x-msi"),
    ("msg", "application/vnd.ms-outlook"),
];

/// Documents that are archives with entries in any order, by the extension of the name.
const ZIPPED: [(&str, &str); 7] = [
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("epub", "application/epub+zip"),
];

/// Beginnings that the crate for all others does not know.
const SIGNATURES: [(&[u8], &str); 6] = [
    (b".snd", "audio/basic"),
    (b".ra\xfd", "audio/vnd.rn-realaudio"),
    (b"\0\x01\0\0Standard Jet DB", "application/vnd.ms-access"),
    (b"\0\x01\0\0Standard ACE DB", "application/vnd.ms-access"),
    (b"#EXTM3U", "application/x-mpegurl"),
    (b"FORM\0\0\0\0AIFC", "audio/x-aiff"),
];

/// Brands of the ISO base media file format, behind `ftyp`.
const BRANDS: [(&[u8; 4], &str); 16] = [
    (b"heic", "image/heic"),
    (b"heix", "image/heic"),
    (b"heim", "image/heic"),
    (b"heis", "image/heic"),
    (b"mif1", "image/heic"),
    (b"hevc", "image/heic-sequence"),
    (b"hevx", "image/heic-sequence"),
    (b"msf1", "image/heic-sequence"),
    (b"avif", "image/avif"),
    (b"avis", "image/avif"),
    (b"qt  ", "video/quicktime"),
    (b"M4A ", "audio/mp4"),
    (b"M4B ", "audio/mp4"),
    (b"M4V ", "video/mp4"),
    (b"crx ", "image/x-canon-cr3"),
    (b"jpx ", "image/jpx"),
];

/// The length of a packet of a transport stream (ITU-T H.222.0), and what each begins with.
const PACKET: usize = 188;
const PACKET_SYNC: u8 = 0x47;

/// The media type of a file, by its first bytes ([`SNIFFED_BYTES`] of them are enough) and its name.
pub fn sniff(beginning: &[u8], name: &str) -> &'static str {
    let beginning = &beginning[..beginning.len().min(SNIFFED_BYTES)];
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    let by_name = |table: &[(&'static str, &'static str)]| {
        table.iter().find(|(known, _)| *known == extension).map(|(_, media_type)| *media_type)
    };
    if let Some(found) = by_brand(beginning).or_else(|| by_signature(beginning)) {
        return found;
    }
    match infer::get(beginning).map(|found| found.mime_type()) {
        // What it cannot tell apart without reading the whole container.
        Some("application/msword") => by_name(&COMPOUND).unwrap_or("application/msword"),
        Some("application/zip") => by_name(&ZIPPED).unwrap_or("application/zip"),
        Some("audio/m4a") => "audio/mp4",
        Some(found) if !found.starts_with("text/") => found,
        // A page is a page by its content, whatever its name says.
        Some("text/html") if is_text(beginning) => "text/html",
        Some("text/xml") if is_text(beginning) => by_name(&TEXTS).unwrap_or("text/xml"),
        _ if is_text(beginning) => by_name(&TEXTS).unwrap_or(TEXT),
        _ => BINARY,
    }
}

/// The type with which a browser may show a file: its own if that is harmless, else that of text.
pub fn inline_type(media_type: &str) -> &str {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if INLINE.iter().any(|known| known.eq_ignore_ascii_case(essence)) { media_type } else { TEXT }
}

fn by_signature(beginning: &[u8]) -> Option<&'static str> {
    if is_transport_stream(beginning) {
        return Some("video/mp2t");
    }
    // A form is `FORM`, a length, and its kind.
    if let Some((b"FORM", rest)) = beginning.split_first_chunk()
        && matches!(rest.get(4..8), Some(b"AIFF" | b"AIFC"))
    {
        return Some("audio/x-aiff");
    }
    SIGNATURES.iter().find(|(signature, _)| beginning.starts_with(signature)).map(|(_, media_type)| *media_type)
}

fn by_brand(beginning: &[u8]) -> Option<&'static str> {
    if beginning.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let brand: &[u8; 4] = beginning.get(8..12)?.first_chunk()?;
    // What images and films have in common is their main brand; the compatible ones tell it.
    let compatible = beginning.get(16..).unwrap_or_default().chunks_exact(4).take(8);
    if matches!(brand, b"mif1" | b"msf1") && compatible.clone().any(|other| matches!(other, b"avif" | b"avis")) {
        return Some("image/avif");
    }
    if brand.starts_with(b"3g") {
        return Some("video/3gpp");
    }
    Some(BRANDS.iter().find(|(known, _)| *known == brand).map_or("video/mp4", |(_, media_type)| media_type))
}

/// At least three packets, so that a text that begins with `G` is none.
fn is_transport_stream(beginning: &[u8]) -> bool {
    let mut starts = beginning.iter().step_by(PACKET);
    beginning.len() > 2 * PACKET && starts.all(|byte| *byte == PACKET_SYNC)
}

/// No control characters but those of texts, or the mark of UTF-16
/// (as in [MIME Sniffing, section 7.2](https://mimesniff.spec.whatwg.org/#rules-for-text-or-binary)).
fn is_text(beginning: &[u8]) -> bool {
    beginning.starts_with(b"\xfe\xff")
        || beginning.starts_with(b"\xff\xfe")
        || !beginning.iter().any(|byte| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn contents_are_recognized_whatever_their_name_says() {
        let transport_stream = [[PACKET_SYNC].as_slice(), &[0; PACKET - 1]].concat().repeat(3);
        let cases: &[(&[u8], &str)] = &[
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0isom", "video/mp4"),
            (b"\0\0\0\x18ftypisom\0\0\0\0avc1", "video/mp4"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "image/heic"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0heic", "image/heic"),
            (b"\0\0\0\x18ftyphevc\0\0\0\0msf1", "image/heic-sequence"),
            (b"\0\0\0\x18ftypavif\0\0\0\0mif1", "image/avif"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0miafavif", "image/avif"),
            (b"\0\0\0\x14ftyp3gp5\0\0\0\0", "video/3gpp"),
            (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime"),
            (b"\0\0\0\x14ftypM4A \0\0\0\0", "audio/mp4"),
            (b"ID3\x03\0\0\0\0\0\0", "audio/mpeg"),
            (b"OggS\0\x02", "audio/ogg"),
            (b"RIFF\0\0\0\0WAVEfmt ", "audio/x-wav"),
            (b"FORM\0\0\0\x10AIFFCOMM", "audio/x-aiff"),
            (b"FORM\0\0\0\x10AIFCCOMM", "audio/x-aiff"),
            (b"MThd\0\0\0\x06", "audio/midi"),
            (b".snd\0\0\0\x18", "audio/basic"),
            (b".ra\xfd\0\x04", "audio/vnd.rn-realaudio"),
            (b"FLV\x01\x05", "video/x-flv"),
            (&transport_stream, "video/mp2t"),
            (b"#EXTM3U\n#EXT-X-VERSION:3\n", "application/x-mpegurl"),
            (b"\0\x01\0\0Standard ACE DB\0", "application/vnd.ms-access"),
            (b"PK\x03\x04\x14\0\0\0\0\0", "application/zip"),
            (b"\x1f\x8b\x08\0\0\0", "application/gzip"),
            (b"<!DOCTYPE html><html>", "text/html"),
            (b"\0\0\0\0\x01\x02\x03", "application/octet-stream"),
        ];
        for (beginning, expected) in cases {
            for name in ["", "a", "a.txt", "a.jxl", "a.json"] {
                assert_eq!(sniff(beginning, name), *expected, "{name}");
            }
        }
    }

    #[test]
    fn the_name_decides_between_texts_and_between_documents_only() {
        let compound = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
        for (beginning, name, expected) in [
            (&b"hello"[..], "a.txt", "text/plain"),
            (b"hello", "a", "text/plain"),
            (b"", "a", "text/plain"),
            ("grüße".as_bytes(), "a.png", "text/plain"),
            (b"a,b\n", "A.CSV", "text/csv"),
            (b"{}", "a.json", "application/json"),
            (b"p{}", "a.css", "text/css"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg", "image/svg+xml"),
            (b"<?xml version='1.0'?><svg/>", "a.svg", "image/svg+xml"),
            (b"<?xml version='1.0'?><a/>", "a", "text/xml"),
            (b"\xff\xfeh\0i\0", "a.txt", "text/plain"),
            (b"\0\x01{}", "a.json", "application/octet-stream"),
            (compound, "a.doc", "application/msword"),
            (compound, "a.xls", "application/vnd.ms-excel"),
            (compound, "a.ppt", "application/vnd.ms-powerpoint"),
            (
                b"PK\x03\x04mimetype",
                "a.docx",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
        ] {
            assert_eq!(sniff(beginning, name), expected, "{name}");
        }
    }

    #[test]
    fn only_harmless_types_are_shown_as_what_they_are() {
        for media_type in INLINE {
            assert_eq!(inline_type(media_type), media_type);
        }
        assert_eq!(inline_type("Application/X-MpegURL"), "Application/X-MpegURL");
        assert_eq!(inline_type("video/mp4; codecs=avc1"), "video/mp4; codecs=avc1");
        for media_type in [
            "text/html",
            "text/html; charset=utf-8",
            "image/svg+xml",
            "application/json",
            "text/plain",
            "text/javascript",
            "application/xhtml+xml",
            "text/xml",
            "application/octet-stream",
            "image/pngx",
            "",
        ] {
            assert_eq!(inline_type(media_type), "text/plain", "{media_type}");
        }
    }

    #[test]
    fn everything_that_is_recognized_as_a_shown_type_is_in_the_list() {
        for (_, media_type) in
            BRANDS.iter().filter(|(_, media_type)| !media_type.starts_with("image/x-") && *media_type != "image/jpx")
        {
            assert_eq!(inline_type(media_type), *media_type);
        }
        for (_, media_type) in SIGNATURES {
            assert_eq!(inline_type(media_type), media_type);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_name_have_a_type(beginning in proptest::collection::vec(any::<u8>(), 0..400), name in ".{0,20}") {
            prop_assert!(sniff(&beginning, &name).contains('/'));
        }

        #[test]
        fn beginnings_of_archives_that_go_on_with_anything_have_a_type(rest in proptest::collection::vec(any::<u8>(), 0..400)) {
            for start in [&b"PK\x03\x04"[..], b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\0\0\0\x18ftyp", b"RIFF"] {
                prop_assert!(sniff(&[start, &rest].concat(), "").contains('/'));
            }
        }
    }
}
