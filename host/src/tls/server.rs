//! The server's side of TLS: the certificate, and what a handshake may agree on.
//!
//! TLS 1.2 and 1.3 with authenticated suites only. Where no certificate is configured, a
//! self-signed one is made at the first start and kept, so that clients that pinned it go on. What the two files
//! hold is `pair`'s business.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::facts::{CertificateFacts, facts};
use super::pair::{self, CertificateError, Examined, Part, content};

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// The operator's own, in PEM.
    Configured {
        /// The certificate chain.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// A self-signed one for this name, kept in this folder.
    SelfSigned {
        /// The name in it.
        hostname: String,
        /// The folder that keeps it.
        folder: PathBuf,
    },
}

/// Looks at a configured certificate, which should be one for that name. A self-signed one is not looked at: it is made at
/// the start.
pub fn examine(settings: &Settings, hostname: &str) -> Examined {
    match settings {
        Settings::Configured { certificate, key } => {
            pair::examine(certificate, key, hostname, UnixTime::now())
        }
        Settings::SelfSigned { .. } => Examined::default(),
    }
}

/// Accepts TLS handshakes with the certificate that is in force.
#[derive(Clone)]
pub struct Server {
    acceptor: TlsAcceptor,
    certificate: Arc<Current>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Server {
    /// Loads or makes the certificate.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn new(settings: &Settings) -> Result<Self, CertificateError> {
        let provider = super::provider();
        let certificate = Arc::new(Current(ArcSwap::from_pointee(load(settings, &provider)?)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13])
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        // One ticket is enough for a mail client's next connection; each costs a write.
        config.send_tls13_tickets = 1;
        if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
            config.ticketer = ticketer;
        }
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
        })
    }

    /// For handshakes.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// What the certificate in force says about itself; none when that cannot be read.
    pub fn certificate(&self) -> Option<CertificateFacts> {
        let current = self.certificate.0.load();
        current.cert.first().and_then(facts)
    }

    /// Serves another certificate from now on; open connections keep theirs. Whether it is another one than
    /// that in force.
    ///
    /// # Errors
    /// See [`CertificateError`]; the certificate in force stays then.
    pub fn replace(&self, settings: &Settings) -> Result<bool, CertificateError> {
        let certificate = load(settings, &super::provider())?;
        let is_another = certificate.cert != self.certificate.0.load().cert;
        self.certificate.0.store(Arc::new(certificate));
        Ok(is_another)
    }
}

fn load(settings: &Settings, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let (certificate, key) = match settings {
        Settings::Configured { certificate, key } => (certificate.clone(), key.clone()),
        Settings::SelfSigned { hostname, folder } => self_signed(hostname, folder)?,
    };
    pair::load(&certificate, &key, provider)
}

/// Where the certificate that is made at the first start and its key are; none where another is
/// configured.
pub fn self_signed_files(settings: &Settings) -> Option<(PathBuf, PathBuf)> {
    match settings {
        Settings::Configured { .. } => None,
        Settings::SelfSigned { folder, .. } => Some(files_in(folder)),
    }
}

fn files_in(folder: &Path) -> (PathBuf, PathBuf) {
    (
        folder.join("self-signed-cert.pem"),
        folder.join("self-signed-key.pem"),
    )
}

/// Makes a certificate where there is none yet; returns where it and its key are.
fn self_signed(hostname: &str, folder: &Path) -> Result<(PathBuf, PathBuf), CertificateError> {
    let (certificate_path, key_path) = files_in(folder);
    // A crash while they were written leaves an empty one.
    let has_content = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0);
    if has_content(&certificate_path) && has_content(&key_path) {
        return Ok((certificate_path, key_path));
    }
    let (certificate, key) = generated(hostname).map_err(|error| {
        content(
            Part::Certificate,
            &certificate_path,
            &format!("cannot be made: {error}"),
        )
    })?;
    // The key first: a crash between the two leaves no certificate, and both are made again.
    write(Part::Key, &key_path, key.as_bytes(), 0o600)?;
    write(
        Part::Certificate,
        &certificate_path,
        certificate.as_bytes(),
        0o644,
    )?;
    Ok((certificate_path, key_path))
}

/// Longest name in the subject (RFC 5280, appendix A: ub-common-name). A longer one stands only where
/// clients look for it, among the alternative names.
const COMMON_NAME_MAX: usize = 64;

/// A certificate for that name and for the machine itself, and its key, in PEM.
fn generated(hostname: &str) -> Result<(String, String), rcgen::Error> {
    let key = rcgen::KeyPair::generate()?;
    let mut parameters = rcgen::CertificateParams::new(vec![
        hostname.to_owned(),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ])?;
    // What clients show to the person who is asked to trust it.
    let subject = if hostname.len() <= COMMON_NAME_MAX {
        hostname
    } else {
        "Outpost"
    };
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, subject);
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn write(part: Part, path: &Path, octets: &[u8], mode: u32) -> Result<(), CertificateError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(octets)?;
        file.sync_all()
    });
    written.map_err(|source| CertificateError::File {
        part,
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::regular;

    fn settings(folder: &Path) -> Settings {
        Settings::SelfSigned {
            hostname: "relay.example".to_owned(),
            folder: folder.to_owned(),
        }
    }

    #[test]
    fn a_self_signed_certificate_is_made_once_and_its_key_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let made = |name| fs::read(folder.path().join(name)).unwrap();
        drop(Server::new(&settings(folder.path())).unwrap());
        let (certificate, key) = (made("self-signed-cert.pem"), made("self-signed-key.pem"));
        drop(Server::new(&settings(folder.path())).unwrap());
        assert_eq!(
            (made("self-signed-cert.pem"), made("self-signed-key.pem")),
            (certificate, key)
        );
        fs::write(folder.path().join("self-signed-cert.pem"), "").unwrap();
        drop(Server::new(&settings(folder.path())).unwrap());
        let mode = fs::metadata(folder.path().join("self-signed-key.pem"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_self_signed_certificate_bears_the_name_of_the_relay() {
        for (hostname, times) in [("relay.example", 3), (&"long.".repeat(20), 1)] {
            let (pem, _) = generated(hostname).unwrap();
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let found = der
                .windows(hostname.len())
                .filter(|part| *part == hostname.as_bytes())
                .count();
            // Issuer, subject, alternative name.
            assert_eq!(found, times, "{hostname}");
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_certificate_is_told_with_the_file_at_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        drop(Server::new(&settings(folder.path())).unwrap());
        fs::write(path("text"), "no PEM").unwrap();
        let (certificate, key) = ("self-signed-cert.pem", "self-signed-key.pem");
        for (files, parts) in [
            ((certificate, key), &[][..]),
            (("none", "none"), &[Part::Certificate, Part::Key]),
            (("text", "text"), &[Part::Certificate, Part::Key]),
            ((certificate, "none"), &[Part::Key]),
            ((key, key), &[Part::Certificate]),
        ] {
            let configured = Settings::Configured {
                certificate: path(files.0),
                key: path(files.1),
            };
            let found: Vec<Part> = examine(&configured, "relay.example")
                .problems
                .iter()
                .map(CertificateError::part)
                .collect();
            assert_eq!(found, parts, "{files:?}");
        }
    }

    #[test]
    fn a_file_that_never_ends_or_never_begins_is_no_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        regular::tests::pipe(&pipe);
        for (path, expected) in [
            (pipe.as_path(), "pipe: it is a pipe, not a regular file"),
            (
                Path::new("/dev/zero"),
                "/dev/zero: it is a device, not a regular file",
            ),
        ] {
            let configured = Settings::Configured {
                certificate: path.to_owned(),
                key: path.to_owned(),
            };
            let found = examine(&configured, "relay.example").problems;
            assert_eq!(found.len(), 2);
            for error in found {
                assert!(error.to_string().ends_with(expected), "{error}");
            }
        }
    }

    #[test]
    fn a_wrong_certificate_is_refused_by_file_and_reason_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let server = Server::new(&settings(folder.path())).unwrap();
        drop(Server::new(&settings(other.path())).unwrap());
        let before = server.certificate.0.load_full();
        let configured =
            |certificate: PathBuf, key: PathBuf| Settings::Configured { certificate, key };
        let path = |folder: &tempfile::TempDir, name: &str| folder.path().join(name);
        let whole = fs::read_to_string(path(&folder, "self-signed-cert.pem")).unwrap();
        let half = &whole[..whole.len() / 2];
        fs::write(path(&folder, "half.pem"), half).unwrap();
        fs::write(path(&folder, "half-chain.pem"), format!("{whole}{half}")).unwrap();
        for (settings, expected) in [
            (
                configured(
                    path(&folder, "half.pem"),
                    path(&folder, "self-signed-key.pem"),
                ),
                "half.pem: no certificate in PEM form",
            ),
            (
                configured(
                    path(&folder, "half-chain.pem"),
                    path(&folder, "self-signed-key.pem"),
                ),
                "half-chain.pem: certificate 2 in it is cut short or damaged",
            ),
            (
                configured(path(&folder, "none.pem"), path(&folder, "none.pem")),
                "none.pem: No such file",
            ),
            (
                configured(
                    path(&folder, "self-signed-key.pem"),
                    path(&folder, "self-signed-key.pem"),
                ),
                "self-signed-key.pem: no certificate in PEM form",
            ),
            (
                configured(
                    path(&folder, "self-signed-cert.pem"),
                    path(&folder, "self-signed-cert.pem"),
                ),
                "self-signed-cert.pem: no private key in PEM form",
            ),
            (
                configured(
                    path(&folder, "self-signed-cert.pem"),
                    path(&other, "self-signed-key.pem"),
                ),
                "the key does not belong to the certificate",
            ),
        ] {
            let error = server.replace(&settings).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Arc::ptr_eq(&before, &server.certificate.0.load_full()));
        assert!(server.replace(&settings(other.path())).unwrap());
        assert!(!server.replace(&settings(other.path())).unwrap());
        assert!(!Arc::ptr_eq(&before, &server.certificate.0.load_full()));
    }
}
