//! What a certificate says about itself, for whoever has to renew it.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use crate::message::Timestamp;

/// Names of a certificate that are told; one for a whole farm has hundreds.
const NAMES_MAX: usize = 50;

/// What a certificate says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The names that it is for, of hosts (RFC 5280 §4.2.1.6).
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// It is not valid before then.
    pub not_before: Timestamp,
    /// It is not valid after then.
    pub not_after: Timestamp,
}

/// What a certificate says; none when it cannot be read.
pub(super) fn facts(certificate: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map(|names| names.value.general_names.as_slice());
    let names = alternatives
        .unwrap_or_default()
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(octets) => address(octets),
            _ => None,
        });
    let validity = parsed.validity();
    Some(CertificateFacts {
        names: names.take(NAMES_MAX).collect(),
        issuer: parsed.issuer().to_string(),
        not_before: time(validity.not_before),
        not_after: time(validity.not_after),
    })
}

fn address(octets: &[u8]) -> Option<String> {
    match <[u8; 4]>::try_from(octets) {
        Ok(four) => Some(std::net::Ipv4Addr::from(four).to_string()),
        Err(_) => {
            let sixteen = <[u8; 16]>::try_from(octets).ok()?;
            Some(std::net::Ipv6Addr::from(sixteen).to_string())
        }
    }
}

fn time(time: ASN1Time) -> Timestamp {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    Timestamp::from_unix_milliseconds(seconds.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_says_for_whom_it_is_and_until_when() {
        let names = [
            "relay.example".to_owned(),
            "192.0.2.1".to_owned(),
            "::1".to_owned(),
        ];
        let mut parameters = CertificateParams::new(names.clone()).unwrap();
        parameters.not_before = date_time_ymd(2026, 1, 2);
        parameters.not_after = date_time_ymd(2027, 3, 4);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let facts = facts(certificate.der()).unwrap();
        assert_eq!(facts.names, names);
        assert_eq!(facts.not_before.to_string(), "2026-01-02T00:00:00.000Z");
        assert_eq!(facts.not_after.to_string(), "2027-03-04T00:00:00.000Z");
        assert!(facts.issuer.contains("CN="), "{}", facts.issuer);
    }

    #[test]
    fn of_what_is_no_certificate_nothing_is_known() {
        assert_eq!(facts(&CertificateDer::from(vec![0x30, 1, 0])), None);
    }
}
