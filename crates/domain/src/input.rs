//! A user's medium as a request names it: somewhere to fetch it from, or bytes already kept.

use std::{fmt, str::FromStr};

/// The SHA-256 of some bytes, by which they are kept and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash(pub [u8; 32]);

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for BlobHash {
    type Err = ();

    fn from_str(text: &str) -> Result<BlobHash, ()> {
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(());
        }
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| ())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ())?;
        }
        Ok(BlobHash(hash))
    }
}

/// Where a user's medium comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// To be fetched by the worker.
    Url(String),
    /// Already here, measured, and kept as a blob.
    Stored(StoredInput),
}

impl Source {
    /// How long the medium plays, where that is known already.
    pub fn duration_ms(&self) -> Option<u64> {
        match self {
            Source::Url(_) => None,
            Source::Stored(stored) => stored.duration_ms,
        }
    }
}

/// Bytes that came with the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInput {
    /// By what they are found.
    pub blob: BlobHash,
    /// How they came, for the echo.
    pub origin: Origin,
    /// How long the medium plays; `None` for images.
    pub duration_ms: Option<u64>,
}

/// How stored bytes came with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A part of a multipart body.
    Upload {
        /// The name the client gave the file; never used as a path.
        file_name: String,
    },
    /// A `data:` URL.
    Data {
        /// Everything of the URL before its payload: `data:image/png;base64,`.
        prefix: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back() {
        let hash = BlobHash(std::array::from_fn(|i| (i * 7) as u8));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for text in ["", "00", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65)] {
            assert!(text.parse::<BlobHash>().is_err(), "{text}");
        }
    }
}
