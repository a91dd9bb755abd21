//! `data:` URLs, by which a JSON body carries an image: `data:{mime};base64,{payload}`.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// The standard alphabet, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The longest text before the payload.
const PREFIX_CHARS_MAX: usize = 256;

/// A `data:` URL, split at its comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataUrl<'a> {
    /// Everything before the payload, the comma included.
    pub(super) prefix: &'a str,
    payload: &'a str,
}

/// Whether a URL has the scheme `data`.
pub(super) fn is_data_url(url: &str) -> bool {
    url.get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

impl<'a> DataUrl<'a> {
    /// Splits a URL; the error follows the member's name.
    pub(super) fn parse(url: &'a str) -> Result<DataUrl<'a>, &'static str> {
        const FORM: &str = "is not of the form data:{mime};base64,{payload}";
        let (prefix, payload) = url.split_at(url.find(',').ok_or(FORM)? + 1);
        let printable = prefix.bytes().all(|byte| byte.is_ascii_graphic());
        let base64 = prefix.len().checked_sub(8).and_then(|at| prefix.get(at..));
        if !is_data_url(prefix) || !printable || prefix.len() > PREFIX_CHARS_MAX {
            return Err(FORM);
        }
        match base64 {
            Some(encoding) if encoding.eq_ignore_ascii_case(";base64,") => Ok(DataUrl { prefix, payload }),
            Some(_) | None => Err(FORM),
        }
    }

    /// The most bytes that the payload can stand for; known before anything is decoded.
    pub(super) fn bytes_max(&self) -> u64 {
        (self.payload.trim_end_matches('=').len() as u64) * 3 / 4
    }

    /// The payload's bytes; the error follows the member's name.
    pub(super) fn decode(&self) -> Result<Vec<u8>, &'static str> {
        if self.payload.contains('%') {
            return Err("has a percent-encoded payload; plain base64 is taken");
        }
        BASE64
            .decode(self.payload)
            .map_err(|_| "has a payload that is not base64")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_decodes() {
        let check = |url: &str, expected: Result<(&str, &[u8]), &str>| {
            let found = DataUrl::parse(url)
                .and_then(|url| Ok((url.prefix.to_owned(), url.bytes_max(), url.decode()?)))
                .map(|(prefix, bytes_max, bytes)| {
                    assert_eq!(bytes_max, bytes.len() as u64);
                    (prefix, bytes)
                });
            let expected = expected.map(|(prefix, bytes)| (prefix.to_owned(), bytes.to_vec()));
            match expected {
                Ok(expected) => assert_eq!(found, Ok(expected), "{url}"),
                Err(word) => assert!(
                    found.as_ref().is_err_and(|e| e.contains(word)),
                    "{url}: {found:?}"
                ),
            }
        };
        check(
            "data:image/png;base64,aGVsbG8=",
            Ok(("data:image/png;base64,", b"hello")),
        );
        check(
            "data:image/png;base64,aGVsbG8",
            Ok(("data:image/png;base64,", b"hello")),
        );
        check(
            "DATA:image/png;BASE64,aGVsbG8=",
            Ok(("DATA:image/png;BASE64,", b"hello")),
        );
        check("data:;base64,", Ok(("data:;base64,", b"")));
        check(
            "data:image/png;name=a;base64,AAAA",
            Ok(("data:image/png;name=a;base64,", &[0; 3])),
        );
        check("data:image/png,hello", Err("form"));
        check("data:image/png;base64", Err("form"));
        check("data:image/png;base64;x,AAAA", Err("form"));
        check("data:", Err("form"));
        check("data:,", Err("form"));
        check("data:image/png ;base64,AAAA", Err("form"));
        check(&format!("data:{};base64,AAAA", "m".repeat(300)), Err("form"));
        check("data:image/png;base64,aGVsbG8%3D", Err("percent"));
        check("data:image/png;base64,aGVs bG8=", Err("not base64"));
        check("data:image/png;base64,aGVs\nbG8=", Err("not base64"));
        check("data:image/png;base64,aGVsbG-_", Err("not base64"));
        check("data:image/png;base64,a", Err("not base64"));
        check("data:image/png;base64,aGVsbG8==", Err("not base64"));
        check("data:image/png;base64,é", Err("not base64"));
    }

    #[test]
    fn schemes() {
        let check = |url, expected| assert_eq!(is_data_url(url), expected, "{url}");
        check("data:", true);
        check("Data:x", true);
        check("dat", false);
        check("", false);
        check("https://example.com/data:", false);
        check("datä:x", false);
    }
}
