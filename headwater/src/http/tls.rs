//! TLS: certificate and key from files, taken up anew when they change, without losing a connection.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_util::sync::CancellationToken;

/// Time between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Name of HTTP/2 in the handshake.
pub(super) const HTTP2: &[u8] = b"h2";

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or holds no such thing.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// They do not fit together, or are of a kind that is not supported.
    #[error("certificate and key cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// A certificate with its key, and where they come from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls {
    acceptor: TlsAcceptorDebug,
    current: Arc<Current>,
    files: [PathBuf; 2],
}

#[derive(Clone)]
struct TlsAcceptorDebug(TlsAcceptor);

impl std::fmt::Debug for TlsAcceptorDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// Reads a chain of certificates and its key, both in PEM's form.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let files = [certificate.to_owned(), key.to_owned()];
        let current = Arc::new(Current(RwLock::new(Arc::new(read(&files, &provider)?))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Self { acceptor: TlsAcceptorDebug(TlsAcceptor::from(Arc::new(config))), current, files })
    }

    /// Takes connections over.
    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor.0
    }

    /// Takes up what the files hold when they change. What cannot be used leaves what is in use.
    pub async fn watch(self, soft: CancellationToken) {
        let provider = aws_lc_rs::default_provider();
        let (mut seen, mut refused) = (changed(&self.files), None);
        // Ends with the soft signal.
        while soft.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            let now = changed(&self.files);
            if now == seen {
                continue;
            }
            match read(&self.files, &provider) {
                Ok(key) => {
                    seen = now;
                    *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                    tracing::info!(file = %self.files[0].display(), "certificate taken up");
                }
                // Looked at again and again, and told once: the files may be readable later without another change.
                Err(_) if refused == Some(now) => {}
                Err(error) => {
                    refused = Some(now);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "certificate not taken up; the one before stays"
                    );
                }
            }
        }
    }
}

fn read(files: &[PathBuf; 2], provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let [certificate, key] = files;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(failed(certificate))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(failed(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

/// When the files were changed last. Links are followed: some replace a link to replace both files at once.
fn changed(files: &[PathBuf; 2]) -> [Option<SystemTime>; 2] {
    let of = |file: &PathBuf| std::fs::metadata(file).and_then(|meta| meta.modified()).ok();
    [of(&files[0]), of(&files[1])]
}

#[cfg(test)]
mod tests;
