//! What kind of medium bytes are, by how they begin: for the clients that read a blob from the bucket itself.
//!
//! A few kinds are told, all harmless, and anything else is just bytes: what a user has uploaded is never shown as a page.

/// The content type of bytes that begin like this.
pub(super) fn content_type(first: &[u8]) -> &'static str {
    let at = |place: usize, magic: &[u8]| first.get(place..).is_some_and(|rest| rest.starts_with(magic));
    let checks = [
        (at(0, b"\xff\xd8\xff"), "image/jpeg"),
        (at(0, b"\x89PNG\r\n\x1a\n"), "image/png"),
        (at(0, b"RIFF") && at(8, b"WEBP"), "image/webp"),
        (at(0, b"RIFF") && at(8, b"WAVE"), "audio/wav"),
        (at(4, b"ftypqt"), "video/quicktime"),
        (at(4, b"ftyp"), "video/mp4"),
        (
            at(0, b"ID3")
                || [b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"]
                    .iter()
                    .any(|magic| at(0, *magic)),
            "audio/mpeg",
        ),
    ];
    checks
        .into_iter()
        .find_map(|(is, kind)| is.then_some(kind))
        .unwrap_or("application/octet-stream")
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn kinds() {
        let check = |first: &[u8], expected| assert_eq!(content_type(first), expected, "{first:?}");
        check(b"", "application/octet-stream");
        check(b"<html>", "application/octet-stream");
        check(b"\xff\xd8\xff\xe0rest", "image/jpeg");
        check(b"\x89PNG\r\n\x1a\n", "image/png");
        check(b"RIFF\0\0\0\0WEBP", "image/webp");
        check(b"RIFF\0\0\0\0WAVE", "audio/wav");
        check(b"\0\0\0\x20ftypisom", "video/mp4");
        check(b"\0\0\0\x14ftypqt  ", "video/quicktime");
        check(b"ID3\x04", "audio/mpeg");
        check(b"\xff\xfb\x90", "audio/mpeg");
    }
}
