//! Admin tokens: how their secrets are made, kept and recognised.
//!
//! A secret is 256 random bits; of it, only a keyed hash is kept. Nothing slower is needed: there is
//! no word list of such secrets.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::ordered::Named;
use super::record;
use super::state::{Edit, State, TOKENS_MAX, full, unknown};
use super::{DirectoryError, Kind};
use crate::account::{Scope, Token};

/// What a secret starts with, so that one in the wrong place can be recognised for what it is.
const PREFIX: &str = "outpost_";

/// Octets of a secret behind [`PREFIX`]: 256 bits, six in each.
const ENCODED_OCTETS: usize = 43;

/// Longest secret that is looked at; ours have 51 octets.
const SECRET_OCTETS_MAX: usize = 256;

/// Whether a text has a secret in it, one that is known or not: whoever logs or keeps it asks before.
pub fn holds_secret(text: &str) -> bool {
    let is_encoded = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_".contains(octet);
    text.match_indices(PREFIX).any(|(at, _)| {
        let encoded = text.as_bytes()[at + PREFIX.len()..].iter();
        encoded.take_while(|octet| is_encoded(octet)).count() >= ENCODED_OCTETS
    })
}

/// A token as it was just made.
pub struct IssuedToken {
    /// The token.
    pub token: Arc<Token>,
    /// Its secret, to be shown once.
    pub secret: Zeroizing<String>,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// A token as it is kept.
pub(super) struct KeptToken {
    pub(super) token: Arc<Token>,
    pub(super) hash: [u8; 32],
}

impl Named for KeptToken {
    fn name(&self) -> &str {
        &self.token.name
    }
}

impl State {
    pub(super) fn check_token(&self, secret: &str) -> Option<Arc<Token>> {
        if secret.len() > SECRET_OCTETS_MAX {
            return None;
        }
        let hash = keyed_hash(&self.secrets.token_key, secret);
        // All are compared, whichever matches.
        let mut found = None;
        for kept in self.tokens.iter() {
            if bool::from(kept.hash.ct_eq(&hash)) {
                found = Some(Arc::clone(&kept.token));
            }
        }
        found
    }
}

impl Edit {
    pub(super) fn create_token(&mut self, token: Token) -> Result<IssuedToken, DirectoryError> {
        if self.state.tokens.len() >= TOKENS_MAX {
            return Err(full("tokens", TOKENS_MAX));
        }
        if let Some(kept) = self.state.tokens.get(&token.name) {
            return Err(DirectoryError::Exists {
                what: "token",
                name: kept.token.name.clone(),
            });
        }
        self.replace_token(token)
    }

    pub(super) fn replace_token(&mut self, token: Token) -> Result<IssuedToken, DirectoryError> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(random.as_mut()).map_err(|e| DirectoryError::Unavailable(e.into()))?;
        let encoded = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(random.as_slice()));
        let secret = Zeroizing::new(format!("{PREFIX}{}", encoded.as_str()));
        let kept = KeptToken {
            token: Arc::new(token),
            hash: keyed_hash(&self.state.secrets.token_key, &secret),
        };
        let token = Arc::clone(&kept.token);
        self.put_row(Kind::Token, &token.name, record::of_token(&kept));
        self.state.tokens.put(Arc::new(kept));
        Ok(IssuedToken { token, secret })
    }

    pub(super) fn delete_token(&mut self, name: &str) -> Result<Arc<Token>, DirectoryError> {
        let tokens = &self.state.tokens;
        let token = tokens.get(name).map(|kept| Arc::clone(&kept.token));
        let token = token.ok_or_else(|| unknown("token", name))?;
        let is_administrator = |kept: &&Arc<KeptToken>| kept.token.scope == Scope::Admin;
        if token.scope == Scope::Admin && tokens.iter().filter(is_administrator).count() == 1 {
            return Err(DirectoryError::LastAdmin(token.name.clone()));
        }
        self.state.tokens.remove(name);
        self.remove_row(Kind::Token, name);
        Ok(token)
    }
}

fn keyed_hash(key: &[u8; 32], secret: &str) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    hmac.update(secret.as_bytes());
    hmac.finalize().into_bytes().into()
}
