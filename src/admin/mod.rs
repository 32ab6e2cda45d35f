//! What the operator's machines ask: is it alive, is it ready, what are the figures; and the socket
//! through which the operator's commands come.
//!
//! In: the figures that `daemon` keeps up to date. Out: `/livez`, `/readyz` and `/metrics` over
//! HTTP, and a socket for commands. Figures begin at nought with each start: nothing here outlives
//! the process.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::listener::HttpListener;

mod figures;
pub mod socket;

pub use figures::{Figures, Readiness};

/// Connections served at one time.
pub const CONNECTIONS_MAX: usize = 64;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What this room needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("failed to listen on `{address}`; set `admin.listen` to a free address")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The socket for commands cannot be opened.
    #[error("failed to listen on `{}`; nothing else may lie under that name", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The operator's door, listening.
#[derive(Debug)]
pub struct Admin {
    listener: HttpListener,
}

impl Admin {
    /// Listens.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        let address = settings.listen;
        let listener = HttpListener::open(address, CONNECTIONS_MAX).await;
        let listener = listener.map_err(|source| Error::Listen { address, source })?;
        Ok(Self { listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Answers until `stop`.
    pub async fn serve(self, figures: Arc<Figures>, stop: CancellationToken) {
        let router = Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(figures);
        // Accepting never ends with an error: the door keeps its own failures to itself.
        let _ = axum::serve(self.listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
    }
}

async fn readyz(State(figures): State<Arc<Figures>>) -> Response {
    let readiness = figures.readiness();
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Starting | Readiness::Full | Readiness::Draining => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    (status, format!("{}\n", readiness.as_str())).into_response()
}

async fn metrics(State(figures): State<Arc<Figures>>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], figures.written()).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        answer
    }

    /// A load balancer must not send to a daemon that is starting or draining, and a supervisor
    /// must not kill one that is.
    #[tokio::test]
    async fn life_and_readiness_are_told_apart() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let admin = Admin::open(&Settings { listen }).await.expect("opened");
        let (address, figures) = (admin.address(), Arc::new(Figures::new()));
        let stop = CancellationToken::new();
        let served = tokio::spawn(admin.serve(Arc::clone(&figures), stop.clone()));
        for (readiness, status) in [
            (Readiness::Starting, "503"),
            (Readiness::Ready, "200"),
            (Readiness::Draining, "503"),
        ] {
            figures.ready(readiness);
            let answer = ask(address, "/readyz").await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200 "));
        }
        figures.ready(Readiness::Ready);
        figures.has_room(false);
        let answer = ask(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("the disk is full\n"), "{answer}");
        figures.has_room(true);
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
        let answer = ask(address, "/metrics").await;
        assert!(
            answer.contains("content-type: application/openmetrics-text"),
            "{answer}"
        );
        assert!(answer.ends_with("# EOF\n"), "{answer}");
        assert!(ask(address, "/").await.starts_with("HTTP/1.1 404 "));
        stop.cancel();
        served.await.expect("served");
    }
}
