//! What documents are signed with.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What a secret begins with that stands in base64, as Standard Webhooks has it.
const PREFIX: &str = "whsec_";
/// Octets of a key: fewer can be guessed, more are of no use to HMAC-SHA-256 (RFC 2104 §3).
const OCTETS_MIN: usize = 16;
const OCTETS_MAX: usize = 64;

/// A secret that both sides know.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Reads `whsec_` and base64, or any text, which is taken as it is.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not tell it.
    pub fn read(text: &str) -> Result<Self, String> {
        let key = match text.strip_prefix(PREFIX) {
            None => text.as_bytes().to_vec(),
            Some(encoded) => STANDARD
                .decode(encoded)
                .map_err(|_| format!("what follows `{PREFIX}` is not base64"))?,
        };
        let key = Zeroizing::new(key);
        if (OCTETS_MIN..=OCTETS_MAX).contains(&key.len()) {
            Ok(Self(key))
        } else {
            Err(format!(
                "a secret has {OCTETS_MIN} to {OCTETS_MAX} octets, not {}",
                key.len()
            ))
        }
    }

    /// The header field's value for a document of that id and time (seconds since 1970).
    pub(super) fn signature(&self, id: &str, seconds: &str, document: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", document] {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Tells nothing of it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_signs_as_standard_webhooks_does() {
        // The example of the specification's own libraries.
        let secret = Secret::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.signature(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_too_short_too_long_or_no_base64_is_refused_and_not_told() {
        for text in [
            "short",
            &"x".repeat(65),
            "whsec_c2hvcnQ=",
            "whsec_***notbase64***xyz",
        ] {
            let refused = Secret::read(text).unwrap_err();
            assert!(!refused.contains(text), "{refused}");
        }
        assert!(Secret::read(&"x".repeat(16)).is_ok());
        assert_eq!(
            format!("{:?}", Secret::read(&"x".repeat(16)).unwrap()),
            "Secret"
        );
    }
}
