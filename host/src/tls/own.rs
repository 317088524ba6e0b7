//! The handshake of a command with the relay of its own machine: the certificate is the one in the relay's files.
//!
//! Whoever can read the data folder knows which certificate the relay shows, so nothing else is asked: no authority, no
//! name, no time. A self-signed certificate is as good here as any other.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError as Wrong, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::client::{ClientStream, HandshakeError, configuration, handshake_error};
use super::pair::{self, CertificateError};
use super::provider;
use super::server::{Settings, self_signed_files};

/// Trusts the one certificate that the relay of this machine has.
#[derive(Clone)]
pub struct Own(Arc<ClientConfig>);

impl Own {
    /// Reads the certificate where the relay reads it.
    ///
    /// # Errors
    /// See [`CertificateError`]; where none is configured, no relay has made one yet.
    pub fn read(settings: &Settings) -> Result<Self, CertificateError> {
        let file = match settings {
            Settings::Configured { certificate, .. } => certificate.clone(),
            Settings::SelfSigned { folder, .. } => match self_signed_files(settings) {
                Some((certificate, _)) => certificate,
                None => folder.clone(),
            },
        };
        let chain = pair::chain(&file)?;
        let provider = provider();
        let verifier = OneCertificate {
            known: chain.into_iter().next(),
            provider: Arc::clone(&provider),
        };
        Ok(Self(Arc::new(configuration(&provider, Arc::new(verifier)))))
    }

    /// Makes a handshake with the relay, within a time.
    ///
    /// # Errors
    /// [`HandshakeError`]; [`HandshakeError::NotTrusted`] when it shows another certificate.
    pub async fn handshake<S>(
        &self,
        stream: S,
        within: Duration,
    ) -> Result<ClientStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from("localhost").expect("it is a name");
        let handshake = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream);
        match timeout(within, handshake).await {
            Ok(done) => done.map_err(handshake_error),
            Err(_) => Err(HandshakeError::Failed(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

/// Takes one certificate, and signatures that were made with its key.
#[derive(Debug)]
struct OneCertificate {
    known: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OneCertificate {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.known {
            Some(known) if known == shown => Ok(ServerCertVerified::assertion()),
            _ => Err(Wrong::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::tls::Server;

    const LONG: Duration = Duration::from_secs(20);

    fn of(folder: &Path) -> Settings {
        Settings::SelfSigned {
            hostname: "relay.example".to_owned(),
            folder: folder.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_command_speaks_to_the_relay_of_its_files_and_to_no_other() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let server = Server::new(&of(one.path())).unwrap();
        Server::new(&of(other.path())).unwrap();
        for (folder, is_theirs) in [(one.path(), true), (other.path(), false)] {
            let (ours, theirs) = duplex(4096);
            let server = server.clone();
            let served = tokio::spawn(async move {
                let mut stream = server.acceptor().accept(theirs).await?;
                stream.write_all(b"hello").await?;
                stream.shutdown().await
            });
            let own = Own::read(&of(folder)).unwrap();
            let done = own.handshake(ours, LONG).await;
            assert_eq!(done.is_ok(), is_theirs);
            match done {
                Ok(mut stream) => {
                    let mut said = Vec::new();
                    stream.read_to_end(&mut said).await.unwrap();
                    assert_eq!(said, b"hello");
                }
                Err(error) => assert!(matches!(error, HandshakeError::NotTrusted(_)), "{error}"),
            }
            drop(served.await);
        }
        let none = tempfile::tempdir().unwrap();
        assert!(Own::read(&of(none.path())).is_err());
    }
}
