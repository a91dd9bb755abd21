//! Names of things: a prefix that tells what it is, and 128 bits that sort by age.
//!
//! The 128 bits are a ULID: 48 bits of milliseconds, then 80 random bits, written in Crockford's base 32.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::time::Timestamp;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not an id of the form {prefix}… with 26 characters of base 32")]
pub struct ParseIdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
    /// The text as given, cut to a printable length.
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What every such id starts with.
            pub const PREFIX: &'static str = $prefix;

            /// An id made at `now`; of `entropy` the low 80 bits are used.
            pub fn new(now: Timestamp, entropy: u128) -> $name {
                $name(ulid(now, entropy))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                write_base32(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<$name, ParseIdError> {
                text.strip_prefix($prefix).and_then(parse_base32).map($name).ok_or_else(|| ParseIdError {
                    prefix: $prefix,
                    text: text.chars().take(40).collect(),
                })
            }
        }
    )*};
}

ids! {
    /// One generation.
    GenerationId = "gen_";
    /// One account, which the wire calls a workspace.
    AccountId = "acc_";
    /// One API key (its name, not its secret).
    KeyId = "key_";
    /// One ledger entry.
    EntryId = "ent_";
    /// One grant of credits.
    GrantId = "grn_";
    /// One worker process.
    WorkerId = "wrk_";
    /// One webhook endpoint.
    EndpointId = "whe_";
    /// One delivery of an event to an endpoint.
    DeliveryId = "dlv_";
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn ulid(now: Timestamp, entropy: u128) -> u128 {
    let ms = u128::try_from(now.0).unwrap_or(0) & ((1 << 48) - 1);
    (ms << 80) | (entropy & ((1 << 80) - 1))
}

fn write_base32(value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digits: [u8; 26] =
        std::array::from_fn(|i| ALPHABET[usize::try_from((value >> (125 - 5 * i)) & 31).unwrap_or(0)]);
    f.write_str(std::str::from_utf8(&digits).expect("the alphabet is ASCII"))
}

fn parse_base32(text: &str) -> Option<u128> {
    let digits = text.as_bytes();
    // The first digit holds the top 3 of 128 bits, so that anything above 7 would overflow.
    if digits.len() != 26 || digits[0] > b'7' {
        return None;
    }
    digits.iter().try_fold(0u128, |value, digit| {
        let index = ALPHABET.iter().position(|letter| letter == digit)?;
        Some((value << 5) | index as u128)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for (ms, entropy) in [
            (0, 0),
            (1_795_376_411_120, u128::MAX),
            (281_474_976_710_655, 12345),
        ] {
            let id = GenerationId::new(Timestamp(ms), entropy);
            let text = id.to_string();
            assert_eq!(text.len(), 30);
            assert_eq!(text.parse::<GenerationId>(), Ok(id));
        }
    }

    #[test]
    fn refuses_what_is_no_id() {
        // Long enough an entropy for letters, which only count in upper case.
        let valid = GenerationId::new(Timestamp(1), 0xABCDE).to_string();
        for text in [
            "",
            "gen_",
            "gen_0",
            "key_00000000000000000000000000",
            &valid.replacen('0', "l", 1),
            &valid.to_lowercase(),
            "gen_Z0000000000000000000000000",
            "gen_0000000000000000000000000é",
            &format!("{valid}0"),
        ] {
            assert!(text.parse::<GenerationId>().is_err(), "{text}");
        }
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        assert!(GenerationId::new(Timestamp(2), 0) > GenerationId::new(Timestamp(1), u128::MAX));
    }
}
