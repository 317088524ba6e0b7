//! TLS: certificates and what a handshake may agree on, for both sides.
//!
//! Which connection uses TLS, and whether it must, is decided by reception and delivery.

pub mod client;
mod facts;
mod own;
mod pair;
mod server;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{CommonState, ProtocolVersion};

use crate::message::TlsParameters;

pub use facts::CertificateFacts;
pub use own::Own;
pub use pair::{CertificateError, Examined, Part};
pub use server::{Server, Settings, examine, self_signed_files};
pub use tokio_rustls::server::TlsStream as ServerStream;

/// The cryptography for both sides.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// What a finished handshake agreed on; none before that.
pub fn parameters(connection: &CommonState) -> Option<TlsParameters> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = connection.negotiated_cipher_suite()?.suite();
    let cipher = cipher.as_str().unwrap_or("unknown").to_owned();
    Some(TlsParameters { version, cipher })
}
