//! A multipart form: texts and files, as one body.

use std::io::Write;

/// Parts so far.
#[derive(Debug, Default)]
pub(super) struct Form {
    body: Vec<u8>,
}

/// Between the parts. No text or file of ours contains it by accident: it is longer than chance allows.
const BOUNDARY: &str = "kinora-7f3d9b1c5a8e4260-part-c41e82d09b7f6a35";

impl Form {
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.head(&format!("Content-Disposition: form-data; name=\"{name}\"\r\n"));
        self.tail(value.as_bytes());
    }

    pub(super) fn file(&mut self, name: &str, file_name: &str, media_type: &str, bytes: &[u8]) {
        self.head(&format!(
            "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\nContent-Type: {media_type}\r\n"
        ));
        self.tail(bytes);
    }

    /// The content type and the body.
    pub(super) fn finish(mut self) -> (String, Vec<u8>) {
        self.write(format!("--{BOUNDARY}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={BOUNDARY}"), self.body)
    }

    fn head(&mut self, headers: &str) {
        self.write(format!("--{BOUNDARY}\r\n{headers}\r\n").as_bytes());
    }

    fn tail(&mut self, bytes: &[u8]) {
        self.write(bytes);
        self.write(b"\r\n");
    }

    fn write(&mut self, bytes: &[u8]) {
        self.body.write_all(bytes).expect("memory takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other() {
        let mut form = Form::default();
        form.text("prompt", "a \"cat\"\r\nünïcode");
        form.file("input_reference", "first.jpg", "image/jpeg", &[0xff, 0xd8]);
        let (content_type, body) = form.finish();
        assert_eq!(content_type, format!("multipart/form-data; boundary={BOUNDARY}"));
        let expected = [
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na \"cat\"\r\nünïcode\r\n")
                .as_bytes(),
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"input_reference\"; filename=\"first.jpg\"\r\n\
                 Content-Type: image/jpeg\r\n\r\n"
            )
            .as_bytes(),
            &[0xff, 0xd8],
            format!("\r\n--{BOUNDARY}--\r\n").as_bytes(),
        ]
        .concat();
        assert_eq!(body, expected);
    }
}
