//! TLS on every port: a certificate and its key from files, read once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Why the ports cannot speak TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is not there, or is no PEM.
    #[error("cannot read {what} from {}", .file.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// Where it should be.
        file: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// The file holds something else.
    #[error("there is no certificate in {}: it must be PEM, the server's own first, then those that signed it", .0.display())]
    NoCertificate(PathBuf),
    /// They do not belong together, or are of a kind that is not understood.
    #[error("the certificate and its key cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// A certificate and its key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls {
    any: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
}

impl Tls {
    /// Reads both, as PEM; the certificate with those that signed it behind.
    ///
    /// # Errors
    /// Where a file cannot be read, or what is in it cannot be used.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let failed = |what, file: &Path| {
            let file = file.to_owned();
            move |source| TlsError::File { what, file, source }
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(failed("a certificate", certificate))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate(certificate.to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(failed("a private key", key))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let speaking = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self {
            any: speaking(&[b"h2", b"http/1.1"]),
            http2: speaking(&[b"h2"]),
        })
    }

    /// The secured stream of a connection that was accepted.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        http2_only: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = if http2_only { &self.http2 } else { &self.any };
        TlsAcceptor::from(Arc::clone(config)).accept(stream).await
    }
}
