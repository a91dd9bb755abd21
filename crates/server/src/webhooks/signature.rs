//! Signatures of Standard Webhooks 1.0: what a receiver checks before it believes a delivery.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `webhook-signature`: one signature for each secret, separated by spaces. Signed are the id, the time
/// in seconds since the epoch, and the body, with dots between them.
pub fn sign(secrets: &[[u8; 32]], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
        })
        .collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl dgst -sha256 -mac HMAC` says.
    #[test]
    fn signs_as_the_standard_says() {
        let signature = sign(&[[7; 32]], "dlv_1", 1_795_348_800, br#"{"a":1}"#);
        assert_eq!(signature, EXPECTED);
        let both = sign(&[[7; 32], [8; 32]], "dlv_1", 1_795_348_800, br#"{"a":1}"#);
        assert!(both.starts_with(&format!("{EXPECTED} v1,")), "{both}");
    }

    const EXPECTED: &str = "v1,T8tUVvYset6WqpLBBptfjZN2moAf3gqnOCMXbTLvVS8=";
}
