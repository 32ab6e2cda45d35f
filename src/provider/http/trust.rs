//! Whom we believe to be who they say they are: the roots that come with the binary, and the
//! operator's own.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::super::Error;
use super::CA_FILE_BYTES_MAX;

/// TLS that trusts the roots of the binary and those in `ca_file`, and offers HTTP/2 and HTTP/1.1.
pub(super) fn tls(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let added = roots.add(root.clone());
        added.map_err(|source| Error::Tls { source })?;
    }
    if let Some(path) = ca_file {
        for root in certificates(path)? {
            roots.add(root).map_err(|source| Error::CaContent {
                path: path.into(),
                source,
            })?;
        }
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS);
    let mut config = versions
        .map_err(|source| Error::Tls { source })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// HTTP/2's name in TLS.
pub(super) const HTTP_2: &[u8] = b"h2";

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |source| Error::CaFile {
        path: path.into(),
        source,
    };
    let mut pem = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    let mut bounded = file.take(CA_FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut pem).map_err(unreadable)?;
    if pem.len() as u64 > CA_FILE_BYTES_MAX {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()));
    }
    let mut found = Vec::new();
    for one in CertificateDer::pem_slice_iter(&pem) {
        found.push(one.map_err(|source| Error::CaForm {
            path: path.into(),
            source,
        })?);
    }
    if found.is_empty() {
        return Err(Error::CaEmpty { path: path.into() });
    }
    Ok(found)
}
