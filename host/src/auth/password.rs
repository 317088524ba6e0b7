//! How passwords are made.

use zeroize::Zeroizing;

use super::AuthError;

/// Small letters and digits without l, o, 0 and 1: nothing to mistake for another, nothing that a
/// shell, a URL, a configuration file or a printer's keypad treats specially, no case to get wrong.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Groups of five characters, so that a password can be read out and typed.
const GROUPS: usize = 5;
const GROUP_CHARACTERS: usize = 5;

/// A password of 25 random characters in groups of five: 125 bits, `3kxqm-…`.
///
/// # Errors
/// [`AuthError::Unavailable`] when the machine has no randomness.
pub fn generate_password() -> Result<Zeroizing<String>, AuthError> {
    let mut random = Zeroizing::new([0_u8; GROUPS * GROUP_CHARACTERS]);
    getrandom::fill(random.as_mut()).map_err(|e| AuthError::Unavailable(e.to_string()))?;
    // Room for all of it, so that no copy of a half is left behind in memory.
    let mut password = Zeroizing::new(String::with_capacity(GROUPS * (GROUP_CHARACTERS + 1)));
    for (index, octet) in random.iter().enumerate() {
        if index > 0 && index % GROUP_CHARACTERS == 0 {
            password.push('-');
        }
        // 32 divides 256: every character is as likely as any other.
        password.push(char::from(ALPHABET[usize::from(octet % 32)]));
    }
    Ok(password)
}
