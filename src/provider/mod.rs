//! Messages go out to the tenant's provider.
//!
//! In: messages, the sender, the tenant's provider settings. Out: an [`Outcome`] for each message.
//! An adapter is a few pure functions; `http` opens the connections for all of them, and `cause`
//! holds the words for what went wrong. A crash here leaves an attempt that was begun and has no
//! outcome: the store knows it, and nobody guesses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem;

use crate::batch::Message;
use crate::delivery::{AttemptId, Outcome, Sender};

pub mod cause;
pub mod http;
pub mod meta_cloud;
mod proxy;
pub mod sandbox;
pub mod sandbox_bulk;

pub use proxy::{NoProxy, Proxy};

/// What can go wrong when the room is opened; a failing send is a [`Reply`] instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with further root certificates cannot be read.
    #[error("failed to read `{}`", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file with further root certificates is not such a file.
    #[error("failed to read the certificates in `{}`", path.display())]
    CaForm {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// The file with further root certificates has one that cannot be used.
    #[error("failed to use the certificates in `{}`", path.display())]
    CaContent {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: rustls::Error,
    },
    /// The file with further root certificates has none.
    #[error("failed to find a certificate in `{}`", path.display())]
    CaEmpty {
        /// The file.
        path: PathBuf,
    },
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    Tls {
        /// The cause.
        source: rustls::Error,
    },
    /// The stand-in cannot listen.
    #[error("failed to listen on `{address}`")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// How a tenant's messages leave: which provider, where it is, and what it wants to see.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which adapter speaks to it.
    pub kind: Kind,
    /// Where its API begins, without a trailing slash; empty for the sandbox that the daemon starts
    /// on a free port of its own.
    pub base_url: String,
    /// The access token; empty for the sandbox.
    pub access_token: Secret,
    /// The account that owns numbers and templates (Cloud API: the WABA id); empty if not given.
    pub business_account_id: String,
    /// A PEM file with further root certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// The proxy that it is reached through.
    pub proxy: Option<Proxy>,
    /// How many messages the sandbox is handed in one request; 1 uses the call for one.
    pub bulk_max: usize,
}

impl Settings {
    /// The most messages that a request may be set to hold.
    pub const BULK_MAX: usize = sandbox::BULK_MESSAGES_MAX;
}

/// The providers that can be named in a tenant's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Meta's WhatsApp Cloud API.
    MetaCloud,
    /// The stand-in that is built in: a Cloud API on loopback.
    Sandbox,
}

/// A text that must not be shown: tokens, passwords.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who must send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// One HTTP request that an adapter wants sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The whole address.
    pub url: String,
    /// The JSON body of a POST; a clone shares it.
    pub body: Bytes,
    /// The bearer token.
    pub bearer: Secret,
    /// How long the whole exchange may take.
    pub timeout: Duration,
}

/// What came back for a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A whole answer.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The `Retry-After` header as a span of time; `None` when absent or unreadable.
        retry_after: Option<Duration>,
        /// The body, up to a bound.
        body: Vec<u8>,
    },
    /// Not one byte of the request can have been acted on (the address was not found, the
    /// connection or TLS failed, HTTP/2 says that nobody looked at it).
    NeverLeft {
        /// What failed, in a few words without addresses or secrets.
        why: String,
    },
    /// The request or a part of it left, and no whole answer came.
    NoAnswer {
        /// What happened, in a few words without addresses or secrets.
        why: String,
    },
}

/// An adapter: what to send to this provider, and what its answers mean.
#[derive(Clone, Debug)]
pub enum Adapter {
    /// The Cloud API, Meta's or the sandbox's.
    MetaCloud(meta_cloud::MetaCloud),
    /// The sandbox's call for many messages at once.
    SandboxBulk(sandbox_bulk::SandboxBulk),
}

impl Adapter {
    /// The adapter for these settings. `sandbox` is where the daemon's own stand-in listens.
    pub fn new(settings: &Settings, sandbox: Option<SocketAddr>) -> Self {
        let access_token = match settings.kind {
            Kind::Sandbox => Secret::new(sandbox::ACCESS_TOKEN),
            Kind::MetaCloud => settings.access_token.clone(),
        };
        let base_url = match (settings.kind, sandbox) {
            (Kind::Sandbox, Some(address)) if settings.base_url.is_empty() => {
                format!("http://{address}/{}", sandbox::VERSION)
            }
            _ => settings.base_url.clone(),
        };
        let single = meta_cloud::MetaCloud::new(base_url, access_token);
        match (settings.kind, settings.bulk_max) {
            (Kind::Sandbox, most @ 2..) => {
                Self::SandboxBulk(sandbox_bulk::SandboxBulk::new(single, most))
            }
            _ => Self::MetaCloud(single),
        }
    }

    /// Where requests go: what one tenant cannot reach there, none can.
    pub fn endpoint(&self) -> &str {
        match self {
            Self::MetaCloud(adapter) => adapter.base_url(),
            Self::SandboxBulk(adapter) => adapter.base_url(),
        }
    }

    /// How many messages one request holds at most.
    pub fn bulk_max(&self) -> usize {
        match self {
            Self::MetaCloud(_) => 1,
            Self::SandboxBulk(adapter) => adapter.messages_max(),
        }
    }

    /// The request that sends `messages` as the attempts `ids`, of which there are as many.
    pub fn request(&self, sender: &Sender, ids: &[AttemptId], messages: &[&Message]) -> Request {
        match self {
            Self::MetaCloud(adapter) => adapter.request(sender, &ids[0], messages[0]),
            Self::SandboxBulk(adapter) => adapter.request(sender, ids, messages),
        }
    }

    /// What a reply means for each of the attempts that were in the request.
    pub fn outcomes(
        &self,
        reply: &Reply,
        ids: impl ExactSizeIterator<Item = AttemptId>,
    ) -> Vec<Outcome> {
        match self {
            Self::MetaCloud(adapter) => vec![adapter.outcome(reply); ids.len()],
            Self::SandboxBulk(adapter) => adapter.outcomes(reply, &ids.collect::<Vec<_>>()),
        }
    }
}
