//! What is told about certificates and keys that do not fit, or that nobody will believe.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

/// A certificate for that name, of the years 2001 to 2030, and its key, in PEM.
fn made(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    parameters.not_before = date_time_ymd(2001, 1, 1);
    parameters.not_after = date_time_ymd(2030, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// What is found about these two at the beginning of a year.
fn examined(certificate: &str, key: &str, year: u64) -> Examined {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("cert.pem"), certificate).unwrap();
    fs::write(at("key.pem"), key).unwrap();
    let seconds = (year - 1970) * 31_557_600;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    examine(&at("cert.pem"), &at("key.pem"), "relay.example", now)
}

#[track_caller]
fn check_problem(certificate: &str, key: &str, part: Part, expected: &str) {
    let found = examined(certificate, key, 2020).problems;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].part(), part);
    let said = found[0].to_string();
    assert!(said.contains(expected), "{said}");
}

/// Ed448, which nobody serves with.
const OF_ANOTHER_KIND: &str = "-----BEGIN PRIVATE KEY-----
MEcCAQAwBQYDK2VxBDsEOWPyjY72avHEGstSM88vpdjs9xxXhYYZGsfQQnhDPvuN
8baqcncXRjjbYwG2ZzATx67pYeazbnV6+g==
-----END PRIVATE KEY-----
";

#[test]
fn a_key_that_cannot_be_used_is_told_with_what_can() {
    let (certificate, key) = made("relay.example");
    let pkcs8 = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let older = key.replace(
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n",
    );
    for encrypted in [pkcs8, older] {
        let expected = "key.pem: the private key is encrypted, and ";
        check_problem(&certificate, &encrypted, Part::Key, expected);
    }
    check_problem(
        &certificate,
        OF_ANOTHER_KIND,
        Part::Key,
        "key.pem: not a private key that can be used: RSA of 2048 bits or more, ",
    );
}

#[test]
fn a_chain_in_the_wrong_order_is_told_as_such() {
    let (own, key) = made("relay.example");
    let (other, _) = made("authority.example");
    check_problem(
        &format!("{other}{own}"),
        &key,
        Part::Certificate,
        "cert.pem: the key belongs to certificate 2 in it: the relay's own stands first, ",
    );
    check_problem(
        &format!("{other}{other}"),
        &key,
        Part::Key,
        "key.pem: the key does not belong to the certificate in ",
    );
}

#[test]
fn a_byte_order_mark_hides_no_certificate_and_no_key() {
    let (certificate, key) = made("relay.example");
    let marked = |text: &str| format!("\u{FEFF}{text}");
    let Examined { problems, notes } = examined(&marked(&certificate), &marked(&key), 2020);
    assert!(
        problems.is_empty() && notes.is_empty(),
        "{problems:?} {notes:?}"
    );
}

#[test]
fn what_clients_will_not_believe_is_noted() {
    let (own, key) = made("relay.example");
    let (other, other_key) = made("other.example");
    let chain = format!("{own}{other}");
    for (certificate, key, year, expected) in [
        (&own, &key, 2020, &[][..]),
        (
            &own,
            &key,
            2000,
            &["the certificate is not valid before 2001-01-01: "][..],
        ),
        (
            &own,
            &key,
            2031,
            &["the certificate expired on 2030-01-01: "],
        ),
        (
            &chain,
            &key,
            2031,
            &[
                "the certificate expired on 2030-01-01: ",
                "certificate 2 in it expired on 2030-01-01: ",
            ],
        ),
        (
            &other,
            &other_key,
            2020,
            &["the certificate is not one for `relay.example`, the hostname: "],
        ),
    ] {
        let Examined { problems, notes } = examined(certificate, key, year);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(notes.len(), expected.len(), "{notes:?}");
        for (note, expected) in notes.iter().zip(expected) {
            assert!(note.contains(&format!("cert.pem: {expected}")), "{note}");
        }
    }
}
