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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_password_is_25_characters_of_five_bits_in_groups() {
        let password = generate_password().unwrap();
        let groups: Vec<&str> = password.split('-').collect();
        assert_eq!(
            groups.iter().map(|group| group.len()).collect::<Vec<_>>(),
            [5; 5]
        );
        assert!(
            groups
                .concat()
                .bytes()
                .all(|octet| ALPHABET.contains(&octet))
        );
        assert_eq!(ALPHABET.iter().collect::<HashSet<_>>().len(), 32);
    }

    #[test]
    fn no_two_passwords_are_the_same_and_every_character_occurs() {
        let passwords: HashSet<String> = (0..1_000)
            .map(|_| generate_password().unwrap().to_string())
            .collect();
        assert_eq!(passwords.len(), 1_000);
        let used: HashSet<char> = passwords
            .iter()
            .flat_map(|password| password.chars())
            .collect();
        assert_eq!(used.len(), 33);
    }
}
