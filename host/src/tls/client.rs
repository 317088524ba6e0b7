//! The connecting side of TLS: handshakes with other hosts, with and without asking who they are.
//!
//! Two ways to trust, each with its own session cache, so that a session that was resumed never
//! stands for a check that was not made. What follows from a failed handshake (another host,
//! clear text, a deferral) is the caller's decision.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{parameters, provider};
use crate::message::TlsParameters;

/// A protected connection over any stream.
pub type ClientStream<S> = tokio_rustls::client::TlsStream<S>;

/// Whom to believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Anybody: protects against those who only listen (RFC 7435).
    Anybody,
    /// Only a host whose certificate is valid for its name, by the roots of this machine.
    Verified,
}

/// Why there is no protected connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The certificate is not valid for the host, or there is nothing to check it with.
    #[error("the certificate cannot be trusted: {0}")]
    NotTrusted(String),
    /// The handshake broke, was refused or took too long.
    #[error("the handshake failed: {0}")]
    Failed(#[source] io::Error),
}

/// Makes handshakes. Share one, so that sessions are resumed.
pub struct Connector {
    provider: Arc<CryptoProvider>,
    anybody: Arc<ClientConfig>,
    extra_roots: Vec<CertificateDer<'static>>,
    // Made at the first need: many relays never need the machine's roots, and some have none.
    verified: Mutex<Option<Arc<ClientConfig>>>,
}

impl Connector {
    /// A connector that trusts the machine's roots and `extra_roots` (DER).
    pub fn new(extra_roots: Vec<Vec<u8>>) -> Self {
        let provider = provider();
        let anybody = configuration(&provider, Arc::new(AnyCertificate(Arc::clone(&provider))));
        Self {
            provider,
            anybody: Arc::new(anybody),
            extra_roots: extra_roots.into_iter().map(CertificateDer::from).collect(),
            verified: Mutex::new(None),
        }
    }

    /// Makes a handshake with `host`, a name or an IP address, within a time.
    ///
    /// # Errors
    /// [`HandshakeError`]; the stream is gone then, and with it the connection.
    pub async fn handshake<S>(
        &self,
        stream: S,
        host: &str,
        trust: Trust,
        within: Duration,
    ) -> Result<(ClientStream<S>, TlsParameters), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let configuration = match trust {
            Trust::Anybody => Arc::clone(&self.anybody),
            Trust::Verified => self.verified()?,
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| HandshakeError::Failed(io::Error::other(error)))?;
        let handshake = TlsConnector::from(configuration).connect(name, stream);
        let stream = match timeout(within, handshake).await {
            Ok(done) => done.map_err(handshake_error)?,
            Err(_) => return Err(HandshakeError::Failed(io::ErrorKind::TimedOut.into())),
        };
        let parameters = parameters(stream.get_ref().1);
        Ok((stream, parameters.expect("the handshake is done")))
    }

    /// Reads the roots of the machine anew when they are needed next: they may be others now. Sessions that were
    /// verified by those of before are not resumed.
    pub fn forget_roots(&self) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        *verified = None;
    }

    fn verified(&self) -> Result<Arc<ClientConfig>, HandshakeError> {
        // A poisoned lock guards nothing half-done here: the value is set whole or not at all.
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(configuration) = &*verified {
            return Ok(Arc::clone(configuration));
        }
        let roots = self.extra_roots.iter().cloned();
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&self.provider))
            .map_err(|error| HandshakeError::NotTrusted(error.to_string()))?;
        let configuration = Arc::new(configuration(&self.provider, Arc::new(verifier)));
        *verified = Some(Arc::clone(&configuration));
        Ok(configuration)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

pub(super) fn configuration(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has cipher suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth()
}

pub(super) fn handshake_error(error: io::Error) -> HandshakeError {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(cause @ rustls::Error::InvalidCertificate(_)) => {
            HandshakeError::NotTrusted(cause.to_string())
        }
        _ => HandshakeError::Failed(error),
    }
}

/// Takes every certificate, and every signature made with it: whoever could forge one could as
/// well show a certificate of their own. Old servers with odd certificates get encryption too.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{CertificateParams, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// A server for `mail.example` that echoes what it gets, and its certificate.
    fn server() -> (TlsAcceptor, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["mail.example".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let configuration = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        (
            TlsAcceptor::from(Arc::new(configuration)),
            certificate.der().to_vec(),
        )
    }

    async fn handshake(
        trust: Trust,
        host: &str,
        known: bool,
    ) -> Result<TlsParameters, HandshakeError> {
        let (acceptor, root) = server();
        let (ours, theirs) = duplex(64 * 1024);
        let echo = tokio::spawn(async move {
            if let Ok(mut stream) = acceptor.accept(theirs).await {
                let mut octets = [0; 5];
                stream.read_exact(&mut octets).await.unwrap();
                stream.write_all(&octets).await.unwrap();
                stream.flush().await.unwrap();
            }
        });
        let connector = Connector::new(if known { vec![root] } else { vec![] });
        let (mut stream, parameters) = connector.handshake(ours, host, trust, LONG).await?;
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        let mut echoed = [0; 5];
        stream.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, b"hello");
        echo.await.unwrap();
        Ok(parameters)
    }

    #[tokio::test]
    async fn anybody_is_believed_when_nobody_is_asked_for() {
        for host in ["mail.example", "other.example", "192.0.2.1", "2001:db8::1"] {
            let parameters = handshake(Trust::Anybody, host, false).await.unwrap();
            assert_eq!(parameters.version, "TLSv1.3");
            assert!(
                parameters.cipher.starts_with("TLS13_"),
                "{}",
                parameters.cipher
            );
        }
    }

    #[tokio::test]
    async fn a_known_certificate_is_verified_for_its_name_only() {
        handshake(Trust::Verified, "mail.example", true)
            .await
            .unwrap();
        for (host, known) in [
            ("other.example", true),
            ("192.0.2.1", true),
            ("mail.example", false),
        ] {
            let error = handshake(Trust::Verified, host, known).await.unwrap_err();
            assert!(
                matches!(error, HandshakeError::NotTrusted(_)),
                "{host}: {error}"
            );
        }
    }

    #[test]
    fn the_roots_are_read_once_until_they_are_to_be_read_anew() {
        let (_, root) = server();
        let connector = Connector::new(vec![root]);
        let first = connector.verified().unwrap();
        assert!(Arc::ptr_eq(&first, &connector.verified().unwrap()));
        connector.forget_roots();
        assert!(!Arc::ptr_eq(&first, &connector.verified().unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up_in_time() {
        let (ours, _theirs) = duplex(64 * 1024);
        let error = Connector::new(vec![])
            .handshake(ours, "mail.example", Trust::Anybody, LONG)
            .await
            .unwrap_err();
        assert!(matches!(error, HandshakeError::Failed(e) if e.kind() == io::ErrorKind::TimedOut));
    }

    #[tokio::test]
    async fn clear_text_instead_of_a_handshake_is_a_failure() {
        let (ours, mut theirs) = duplex(64 * 1024);
        theirs.write_all(b"554 no TLS today\r\n").await.unwrap();
        let error = Connector::new(vec![])
            .handshake(ours, "mail.example", Trust::Anybody, LONG)
            .await
            .unwrap_err();
        assert!(matches!(error, HandshakeError::Failed(_)), "{error}");
    }
}
