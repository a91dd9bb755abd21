//! How a file is proven to be the Hub's: the hash by which the Hub itself names it.
//!
//! Large files are named by the SHA-256 of their bytes, as Git LFS does; small ones by what git calls a blob: the SHA-1 of a head with
//! their length, and their bytes.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What the bytes of a file must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Digest {
    /// Of the bytes, in hexadecimal digits.
    Sha256(String),
    /// Of git's head and the bytes.
    GitBlob(String),
}

/// A hash on its way.
pub(crate) enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Digest {
    /// What a name by which the Hub calls a file's content says of it; `None` where that is no hash.
    pub(crate) fn of_name(name: &str) -> Option<Digest> {
        let is_hex = name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match (is_hex, name.len()) {
            (true, 64) => Some(Digest::Sha256(name.to_owned())),
            (true, 40) => Some(Digest::GitBlob(name.to_owned())),
            _ => None,
        }
    }

    /// The hash as digits.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Digest::Sha256(digits) | Digest::GitBlob(digits) => digits,
        }
    }

    /// A hash of a file of so many bytes, of which none has been seen.
    pub(crate) fn begin(&self, bytes: u64) -> Hasher {
        match self {
            Digest::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Digest::GitBlob(_) => Hasher::GitBlob(Sha1::new().chain_update(format!("blob {bytes}\0"))),
        }
    }
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::GitBlob(hash) => hash.update(bytes),
        }
    }

    /// The digits of what was seen.
    pub(crate) fn finish(self) -> String {
        match self {
            Hasher::Sha256(hash) => hex::encode(hash.finalize()),
            Hasher::GitBlob(hash) => hex::encode(hash.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `sha256sum` and `git hash-object`.
    #[test]
    fn the_same_as_others_compute() {
        let check = |name: &str| {
            let digest = Digest::of_name(name).unwrap();
            let mut hash = digest.begin(6);
            hash.update(b"hel");
            hash.update(b"lo\n");
            assert_eq!(hash.finish(), name);
        };
        check("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        check("ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(Digest::of_name("W-ce013625030ba8dba906f756967f9e9ca3944"), None);
        assert_eq!(Digest::of_name("ce01"), None);
    }
}
