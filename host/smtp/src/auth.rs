//! Logging in: mechanisms, credentials and their codings (RFC 4954, RFC 4616 for PLAIN).
//!
//! Both sides use this file; the exchange itself is in `server` and `client`. Whether credentials are
//! right is decided by the relay.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Never standardised and used everywhere: name and password, each on its own line.
    Login,
}

impl Mechanism {
    /// Parses the name of a mechanism, in any case.
    pub fn parse(name: &str) -> Option<Mechanism> {
        if name.eq_ignore_ascii_case("PLAIN") {
            Some(Mechanism::Plain)
        } else if name.eq_ignore_ascii_case("LOGIN") {
            Some(Mechanism::Login)
        } else {
            None
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        })
    }
}

/// So many octets in a row of a secret give it away.
const TELLING_OCTETS: usize = 8;

/// Who wants to log in and the proof. Wiped when dropped; the password is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// On whose behalf (PLAIN's authzid), if it was given.
    pub authorization_identity: Option<String>,
    /// The login name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl Credentials {
    /// A name and a password.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials {
            authorization_identity: None,
            name: name.into(),
            password: password.into(),
        }
    }

    /// Reads PLAIN's message: `[authzid] NUL authcid NUL passwd` and not one NUL more. An appended
    /// NUL has logged in at servers that read C strings.
    pub(crate) fn parse_plain(mut message: String) -> Option<Credentials> {
        let mut parts = message.split('\0');
        let credentials = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(identity), Some(name), Some(password), None) => Some(Credentials {
                authorization_identity: (!identity.is_empty()).then(|| identity.to_owned()),
                name: name.to_owned(),
                password: password.to_owned(),
            }),
            _ => None,
        };
        wipe(&mut message);
        credentials
    }

    /// The two responses of LOGIN; neither may have a NUL.
    pub(crate) fn parse_login(name: String, mut password: String) -> Option<Credentials> {
        if name.contains('\0') || password.contains('\0') {
            wipe(&mut password);
            return None;
        }
        Some(Credentials::new(name, password))
    }

    /// PLAIN's message in base64.
    pub(crate) fn encode_plain(&self) -> String {
        let identity = self.authorization_identity.as_deref().unwrap_or("");
        let mut message = format!("{identity}\0{}\0{}", self.name, self.password);
        let encoded = encode(&message);
        wipe(&mut message);
        encoded
    }

    /// Whether a part of the proof stands in what a peer has said, as it is or as it was sent: some repeat what they
    /// do not like.
    pub(crate) fn are_repeated_in(&self, octets: &[u8]) -> bool {
        let mut forms = [
            self.password.clone(),
            encode(&self.password),
            self.encode_plain(),
        ];
        let is_repeated = forms.iter().any(|form| {
            let form = form.as_bytes();
            let telling = form.len().min(TELLING_OCTETS);
            telling > 0
                && form
                    .windows(telling)
                    .any(|part| octets.windows(telling).any(|said| said == part))
        });
        forms.iter_mut().for_each(wipe);
        is_repeated
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("authorization_identity", &self.authorization_identity)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        wipe(&mut self.password);
    }
}

/// Encodes a client's response.
pub(crate) fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// Decodes a client's response: strict base64 (RFC 4954 §4) of UTF-8.
pub(crate) fn decode(response: &str) -> Option<String> {
    let octets = STANDARD.decode(response).ok()?;
    match String::from_utf8(octets) {
        Ok(text) => Some(text),
        Err(error) => {
            error.into_bytes().fill(0);
            None
        }
    }
}

/// Overwrites a secret before its memory is given back. `black_box` keeps the optimiser from
/// dropping writes that nobody reads.
pub(crate) fn wipe(secret: &mut String) {
    let mut octets = std::mem::take(secret).into_bytes();
    octets.fill(0);
    std::hint::black_box(&octets);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_proof_is_found_in_whatever_form_it_is_repeated() {
        let credentials = Credentials::new("user", "correct horse");
        let has = |said: &str| credentials.are_repeated_in(said.as_bytes());
        assert!(has("535 your password correct horse is wrong"));
        assert!(has("501 cannot decode AHVzZXIAY29y"), "a part");
        assert!(has("501 Y29ycmVjdCBob3JzZQ== is no password"));
        assert!(!has("535 5.7.8 user: authentication credentials invalid"));
        assert!(!has("501 cannot decode Y29ycmV"), "too little to tell");
        let short = Credentials::new("user", "abc");
        assert!(short.are_repeated_in(b"535 abc"));
        assert!(!Credentials::new("u", "").are_repeated_in(b"535 no"));
    }

    #[test]
    fn plain_has_exactly_three_parts() {
        let credentials = Credentials::parse_plain("\0user\0pass word".into()).unwrap();
        assert_eq!(
            (credentials.name.as_str(), credentials.password.as_str()),
            ("user", "pass word")
        );
        assert_eq!(credentials.authorization_identity, None);
        let credentials = Credentials::parse_plain("other\0user\0p".into()).unwrap();
        assert_eq!(credentials.authorization_identity.as_deref(), Some("other"));
        for message in [
            "",
            "user",
            "user\0pass",
            "\0user\0pass\0",
            "\0user\0pa\0ss",
            "\0\0user\0pass",
        ] {
            assert_eq!(
                Credentials::parse_plain(message.into()),
                None,
                "{message:?}"
            );
        }
    }

    #[test]
    fn plain_round_trips() {
        let mut credentials = Credentials::new("jos\u{e9}", "p=ss");
        credentials.authorization_identity = Some("other".into());
        let message = decode(&credentials.encode_plain()).unwrap();
        assert_eq!(Credentials::parse_plain(message).unwrap(), credentials);
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(decode("").as_deref(), Some(""));
        assert_eq!(decode("dXNlcg==").as_deref(), Some("user"));
        for text in [
            "dXNlcg",
            "dXNlcg=",
            "dXNlcg===",
            "dXNl cg==",
            "dXNlch==",
            "=",
            "*",
            "dXNl\tcg==",
            "/w==",
            "dXN-",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn the_password_is_never_printed() {
        let printed = format!("{:?}", Credentials::new("user", "hunter2"));
        assert!(
            printed.contains("user") && !printed.contains("hunter2"),
            "{printed}"
        );
    }
}
