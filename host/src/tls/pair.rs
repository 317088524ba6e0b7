//! A certificate chain and its key in two files: whether they can be served, and what is wrong with them in words.
//!
//! Which files these are and when they are read is said elsewhere.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{CertificateError as Invalid, RootCertStore};

use crate::message::Timestamp;
use crate::regular;

/// Why there is no certificate to serve.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// What it should hold.
        part: Part,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {problem}")]
    Content {
        /// What it should hold.
        part: Part,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate chain.
    Certificate,
    /// The private key.
    Key,
}

impl CertificateError {
    /// Which of the two files is at fault.
    pub fn part(&self) -> Part {
        match self {
            CertificateError::File { part, .. } | CertificateError::Content { part, .. } => *part,
        }
    }
}

/// What was found out about the two files.
#[derive(Debug, Default)]
pub struct Examined {
    /// Everything that keeps them from being served.
    pub problems: Vec<CertificateError>,
    /// What keeps clients from believing the certificate.
    pub notes: Vec<String>,
}

/// Looks at both files; the certificate should be one for that name, now.
pub(super) fn examine(certificate: &Path, key: &Path, name: &str, now: UnixTime) -> Examined {
    match (chain(certificate), signer(key, &super::provider())) {
        (Ok(chain), Ok(signer)) => match certified(chain, signer, certificate, key) {
            Ok(certified) => Examined {
                problems: Vec::new(),
                notes: notes(&certified.cert, name, now)
                    .into_iter()
                    .map(|note| format!("{}: {note}", certificate.display()))
                    .collect(),
            },
            Err(problem) => Examined {
                problems: vec![problem],
                notes: Vec::new(),
            },
        },
        (chain, signer) => Examined {
            problems: chain.err().into_iter().chain(signer.err()).collect(),
            notes: Vec::new(),
        },
    }
}

/// Reads both, when they belong together.
pub(super) fn load(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let (chain, signer) = (chain(certificate)?, signer(key, provider)?);
    certified(chain, signer, certificate, key)
}

pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let pem = read(Part::Certificate, path)?;
    let wrong = |problem: &str| content(Part::Certificate, path, problem);
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        match certificate {
            Ok(certificate) => chain.push(certificate),
            Err(_) if chain.is_empty() => break,
            // As it is while it is being written.
            Err(_) => {
                let number = chain.len() + 1;
                return Err(wrong(&format!(
                    "certificate {number} in it is cut short or damaged"
                )));
            }
        }
    }
    if chain.is_empty() {
        return Err(wrong("no certificate in PEM form"));
    }
    Ok(chain)
}

fn signer(path: &Path, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, CertificateError> {
    let pem = read(Part::Key, path)?;
    let wrong = |problem: &str| content(Part::Key, path, problem);
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        if is_encrypted(&pem) {
            wrong(
                "the private key is encrypted, and nobody is here to type its passphrase: `openssl pkey -in KEY -out \
                 PLAIN` writes it without one",
            )
        } else {
            wrong("no private key in PEM form")
        }
    })?;
    let signer = provider.key_provider.load_private_key(der);
    signer.map_err(|_| {
        wrong(
            "not a private key that can be used: RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, and Ed25519 can",
        )
    })
}

/// PKCS #8 (RFC 5958 §3), or the older form (RFC 1421 §4.6.1.1), which goes on in use.
fn is_encrypted(pem: &[u8]) -> bool {
    let pem = String::from_utf8_lossy(pem);
    pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || pem.contains("Proc-Type: 4,ENCRYPTED")
}

/// The two as one, when they belong together.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    signer: Arc<dyn SigningKey>,
    certificate: &Path,
    key: &Path,
) -> Result<CertifiedKey, CertificateError> {
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(certified)
        }
        Err(rustls::Error::InconsistentKeys(_)) => Err(match whose(&certified) {
            Some(number) => content(
                Part::Certificate,
                certificate,
                &format!(
                    "the key belongs to certificate {number} in it: the relay's own stands first, then those that it was \
                     signed by"
                ),
            ),
            None => content(
                Part::Key,
                key,
                &format!(
                    "the key does not belong to the certificate in {}",
                    certificate.display()
                ),
            ),
        }),
        Err(_) => Err(content(
            Part::Certificate,
            certificate,
            "not a certificate that can be used",
        )),
    }
}

/// The number of the certificate that the key belongs to, if there is one.
fn whose(certified: &CertifiedKey) -> Option<usize> {
    let mut chain = certified.cert.iter();
    let found = chain.position(|certificate| {
        let alone = vec![certificate.clone()];
        CertifiedKey::new(alone, Arc::clone(&certified.key))
            .keys_match()
            .is_ok()
    });
    found.map(|index| index + 1)
}

/// What clients that look will not like about it.
fn notes(chain: &[CertificateDer<'_>], name: &str, now: UnixTime) -> Vec<String> {
    let mut notes = Vec::new();
    for (index, certificate) in chain.iter().enumerate() {
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else {
            continue;
        };
        let which = match index {
            0 => "the certificate".to_owned(),
            _ => format!("certificate {} in it", index + 1),
        };
        if let Some(wrong) = untimely(&parsed, now) {
            notes.push(format!(
                "{which} {wrong}: clients that look at it refuse it"
            ));
        }
        let wanted = ServerName::try_from(name);
        if index == 0 && wanted.is_ok_and(|wanted| verify_server_name(&parsed, &wanted).is_err()) {
            notes.push(format!(
                "the certificate is not one for `{name}`, the hostname: clients that connect by that name refuse it"
            ));
        }
    }
    notes
}

/// What is wrong with the time of a certificate, if anything. Before it looks who signed, the library looks at the
/// time; that nobody is trusted here is not asked about.
fn untimely(certificate: &ParsedCertificate<'_>, now: UnixTime) -> Option<String> {
    let nobody = RootCertStore::empty();
    let algorithms = super::provider().signature_verification_algorithms.all;
    let checked =
        verify_server_cert_signed_by_trust_anchor(certificate, &nobody, &[], now, algorithms);
    let date = |time: UnixTime| {
        let milliseconds = time.as_secs().saturating_mul(1000);
        let time = Timestamp::from_unix_milliseconds(milliseconds).to_string();
        time.get(..10).unwrap_or_default().to_owned()
    };
    match checked {
        Err(rustls::Error::InvalidCertificate(Invalid::ExpiredContext { not_after, .. })) => {
            Some(format!("expired on {}", date(not_after)))
        }
        Err(rustls::Error::InvalidCertificate(Invalid::NotValidYetContext {
            not_before, ..
        })) => Some(format!("is not valid before {}", date(not_before))),
        _ => None,
    }
}

/// Largest file that is read: a chain of ten certificates with their texts has a tenth of it.
const FILE_OCTETS_MAX: u64 = 1 << 20;

/// Some editors write it at the beginning, and the first line would not be one of PEM.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

fn read(part: Part, path: &Path) -> Result<Vec<u8>, CertificateError> {
    let octets = regular::read(path, FILE_OCTETS_MAX);
    let mut octets = octets.map_err(|error| CertificateError::File {
        part,
        path: path.to_owned(),
        source: error.into(),
    })?;
    if octets.starts_with(BYTE_ORDER_MARK) {
        octets.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(octets)
}

pub(super) fn content(part: Part, path: &Path, problem: &str) -> CertificateError {
    CertificateError::Content {
        part,
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests;
