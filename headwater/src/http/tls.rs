//! TLS: certificate, key and the authorities of clients from files, taken up anew when they change, without losing a
//! connection.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
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
    /// A file holds no authority that could vouch for anybody.
    #[error("{} holds no certificate of an authority", path.display())]
    Clients {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
    /// They do not fit together, or are of a kind that is not supported.
    #[error("certificate and key cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// What connections are taken over with, and where it comes from. Cheap to clone; clones see the same.
#[derive(Clone, Debug)]
pub struct Tls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
    files: Arc<Files>,
}

/// The files, all in PEM's form.
#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// Authorities of clients; `None` if clients show nothing.
    clients: Option<PathBuf>,
}

impl Tls {
    /// Reads a chain of certificates and its key, and the certificates of the authorities that have to vouch for
    /// clients, all in PEM's form. Without authorities clients show no certificate.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(certificate: &Path, key: &Path, clients: Option<&Path>) -> Result<Self, TlsError> {
        let clients = clients.map(Path::to_owned);
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned(), clients };
        let current = Arc::new(RwLock::new(Arc::new(read(&files)?)));
        Ok(Self { current, files: Arc::new(files) })
    }

    /// Takes connections over.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Takes up what the files hold when they change. What cannot be used leaves what is in use.
    pub async fn watch(self, soft: CancellationToken) {
        let (mut seen, mut refused) = (changed(&self.files), None);
        // Ends with the soft signal.
        while soft.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            let now = changed(&self.files);
            if now == seen {
                continue;
            }
            match read(&self.files) {
                Ok(config) => {
                    seen = now;
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                    tracing::info!(file = %self.files.certificate.display(), "certificate taken up");
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

fn read(files: &Files) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| failed(&files.key, source))?;
    let certified = CertifiedKey::from_der(certificates(&files.certificate)?, key, &provider)?;
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match &files.clients {
        None => config.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority)?;
            }
            let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            config
                .with_client_cert_verifier(clients.map_err(|source| TlsError::Clients { path: path.clone(), source })?)
        }
    };
    let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    // New with every change: whoever comes back with a ticket is not asked for a certificate again.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_file_iter(path).map_err(|source| failed(path, source))?;
    chain.collect::<Result<_, _>>().map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: pem::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), source }
}

/// When the files were changed last. Links are followed: some replace a link to replace all files at once.
fn changed(files: &Files) -> [Option<SystemTime>; 3] {
    let of = |file: &PathBuf| std::fs::metadata(file).and_then(|meta| meta.modified()).ok();
    [of(&files.certificate), of(&files.key), files.clients.as_ref().and_then(of)]
}

#[cfg(test)]
mod tests;
