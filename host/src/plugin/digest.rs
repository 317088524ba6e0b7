//! SHA-256 as the relay names components by: in lower-case hexadecimal.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

/// The SHA-256 of some octets.
pub fn of_octets(octets: &[u8]) -> String {
    hexadecimal(&Sha256::digest(octets))
}

/// The SHA-256 of what a value feeds to a [`Hasher`]: the same in every build of the relay, unlike
/// the standard library's hasher.
pub fn of_value(value: &impl Hash) -> String {
    struct Feed(Sha256);
    impl Hasher for Feed {
        fn write(&mut self, octets: &[u8]) {
            self.0.update(octets);
        }
        fn finish(&self) -> u64 {
            // Only the full digest is used.
            0
        }
    }
    let mut feed = Feed(Sha256::new());
    value.hash(&mut feed);
    hexadecimal(&feed.0.finalize())
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").expect("writing to a string does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_digest_that_sha256sum_prints() {
        assert_eq!(
            of_octets(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_ne!(of_value(&1_u32), of_value(&2_u32));
    }
}
