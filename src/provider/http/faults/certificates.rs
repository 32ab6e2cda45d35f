//! Certificates of scripted providers: a good one, and those that must not be believed.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::script::Peer;

/// The servers of all kinds of peers.
pub(super) struct Servers {
    good: Arc<ServerConfig>,
    http_2: Arc<ServerConfig>,
    unknown: Arc<ServerConfig>,
    misnamed: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
}

impl Servers {
    /// How this peer does TLS; `None` when it does not.
    pub(super) fn of(&self, peer: Peer) -> Option<Arc<ServerConfig>> {
        let server = match peer {
            Peer::Tls => &self.good,
            Peer::Proxy(answer) if answer.starts_with("HTTP/1.1 200") => &self.good,
            Peer::Plain | Peer::NoTls | Peer::Elsewhere(_) | Peer::Proxy(_) => return None,
            Peer::Http2 => &self.http_2,
            Peer::Unknown => &self.unknown,
            Peer::Misnamed => &self.misnamed,
            Peer::Expired => &self.expired,
        };
        Some(Arc::clone(server))
    }
}

/// The servers, and the root in PEM that all but one are to be trusted by.
pub(super) fn made() -> (Servers, String) {
    let root = Root::new();
    let other = Root::new();
    let good = || params(&["127.0.0.1", "provider.example"]);
    let mut expired = good();
    expired.not_after = date_time_ymd(2020, 1, 1);
    let servers = Servers {
        good: root.server(&good(), b"http/1.1"),
        http_2: root.server(&good(), b"h2"),
        unknown: other.server(&good(), b"http/1.1"),
        misnamed: root.server(&params(&["elsewhere.example"]), b"http/1.1"),
        expired: root.server(&expired, b"http/1.1"),
    };
    (servers, root.pem)
}

struct Root {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Root {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("signed").pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    fn server(&self, params: &CertificateParams, speaks: &[u8]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let chain = vec![CertificateDer::from(signed.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate");
        server.alpn_protocols = vec![speaks.to_vec()];
        Arc::new(server)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).expect("names")
}
