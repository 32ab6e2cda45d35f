//! A connection is made: the name looked up, the addresses tried, a proxy asked for a way, TLS
//! agreed on. Whatever fails here has sent nothing of a message.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::either::Either;
use tower_service::Service;

use super::CONNECT_TIMEOUT;
use super::connection::Connection;
use super::failure::{NotFound, why_not_opened};
use super::trust::HTTP_2;
use super::wire::Wire;

/// Bytes in clear, on this machine only, or within TLS.
pub(super) type Stream = Either<Wire, TlsStream<Wire>>;

/// Makes connections.
#[derive(Clone, Debug)]
pub(super) struct Opener {
    tcp: HttpConnector<Names>,
    tls: Arc<ClientConfig>,
    /// The proxy that all but this machine itself is reached through.
    proxy: Option<Uri>,
}

impl Opener {
    pub(super) fn new(tls: Arc<ClientConfig>, proxy: Option<Uri>) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Names);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shared among the addresses of a name, so that a dead one leaves time for the next.
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Self { tcp, tls, proxy }
    }

    /// A connection to `site` that carries HTTP, or in a few words why there is none.
    pub(super) async fn open(&self, site: &Uri) -> Result<Connection, &'static str> {
        let whole = tokio::time::timeout(CONNECT_TIMEOUT, self.open_in_time(site));
        let opened = whole.await;
        opened.unwrap_or(Err("no connection came about in time"))
    }

    async fn open_in_time(&self, site: &Uri) -> Result<Connection, &'static str> {
        let is_plain = site.scheme_str() == Some("http");
        let opened = match &self.proxy {
            Some(proxy) if !is_plain => {
                let mut tunnel = Tunnel::new(proxy.clone(), self.tcp.clone());
                let opened = tunnel.call(site.clone()).await;
                opened.map_err(|error| why_not_opened(&error))?
            }
            _ => {
                let opened = self.tcp.clone().call(site.clone()).await;
                opened.map_err(|error| why_not_opened(&error))?
            }
        };
        let wire = Wire::new(opened.into_inner());
        let account = wire.account();
        if is_plain {
            return Connection::alone(Either::Left(wire), account).await;
        }
        let host = site.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned());
        let name = name.map_err(|_| "the address holds no name that TLS can check")?;
        let agreed = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, wire)
            .await;
        let stream = agreed.map_err(|error| why_not_opened(&error))?;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            Connection::shared(Either::Right(stream), account).await
        } else {
            Connection::alone(Either::Right(stream), account).await
        }
    }
}

/// Looks names up as the system does, and says so when it finds none.
#[derive(Clone, Debug)]
pub(super) struct Names;

type Found = std::vec::IntoIter<SocketAddr>;

impl Service<Name> for Names {
    type Response = Found;
    type Error = NotFound;
    type Future = Pin<Box<dyn Future<Output = Result<Found, NotFound>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotFound>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found.map_err(NotFound)?.collect();
            Ok(found.into_iter())
        })
    }
}

/// How a proxy fails us.
pub(super) type TunnelError = <Tunnel<HttpConnector<Names>> as Service<Uri>>::Error;

/// What HTTP is spoken over.
pub(super) type Spoken = TokioIo<Stream>;
