//! Messages go out to the tenant's provider.
//!
//! In: messages, the sender, the tenant's provider settings. Out: an [`Outcome`] for each message.
//! An adapter is a few pure functions, with [`Terms`] that say what its provider takes; `http`
//! opens the connections for all of them, `meaning` and `cause` hold what they have in common. A
//! crash here leaves an attempt that was begun and has no outcome: the store knows it, and nobody
//! guesses.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value as Json;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem;

use crate::batch::terms::{Common, Terms};
use crate::batch::{Message, Moment};
use crate::delivery::receipt::{Callback, Receipt};
use crate::delivery::{AttemptId, Outcome, Reason, Sender};
use cause::Cause;
use templates::{Change, Reading, Step};

pub mod bird;
pub mod botsquad;
pub mod cause;
pub mod credential;
#[cfg(test)]
mod golden;
pub mod http;
pub mod infobip;
#[cfg(test)]
mod manual;
pub mod meaning;
pub mod meta_cloud;
mod proxy;
mod receiving;
pub mod sandbox;
pub mod sandbox_bulk;
mod signature;
pub mod templates;
pub mod webex_connect;

pub use credential::{Credential, Scheme, Token};
pub use proxy::{NoProxy, Proxy};
pub use receiving::{ASKED_MAX, CallbackSecrets, Proof};

/// How long the whole exchange for one request may take. Giving up early makes a message's fate
/// unknown, so this is far beyond the slowest answer seen.
pub const TIMEOUT: Duration = Duration::from_secs(30);

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
    /// The stand-in cannot call back there.
    #[error("failed to call back: {why}")]
    Callbacks {
        /// What is wrong with the address.
        why: &'static str,
    },
    /// What the stand-in is asked cannot be written down.
    #[error("failed to write to `{}`", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
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
    /// Where its API begins, without a trailing slash; empty for the sandbox that the daemon starts
    /// on a free port of its own.
    pub base_url: String,
    /// What lets requests in: the provider's access token, API key or service key. Empty for the
    /// sandbox.
    pub access_token: Secret,
    /// The file that it was read from; `None` for the sandbox.
    pub access_token_file: Option<PathBuf>,
    /// A PEM file with further root certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// The proxy that it is reached through.
    pub proxy: Option<Proxy>,
    /// How callbacks show that they are its own.
    pub callbacks: CallbackSecrets,
    /// Which adapter speaks to it, and what that one wants to know besides.
    pub account: Account,
}

impl Settings {
    /// Which provider it is.
    pub fn kind(&self) -> Kind {
        match &self.account {
            Account::MetaCloud(_) => Kind::MetaCloud,
            Account::Infobip(_) => Kind::Infobip,
            Account::Bird(_) => Kind::Bird,
            Account::WebexConnect(_) => Kind::WebexConnect,
            Account::Botsquad(_) => Kind::Botsquad,
            Account::Sandbox(_) => Kind::Sandbox,
        }
    }

    /// What the provider takes of what a file says.
    pub fn terms(&self) -> Arc<dyn Terms> {
        match &self.account {
            Account::MetaCloud(account) => Arc::new(meta_cloud::Takes::new(account)),
            Account::Infobip(account) => Arc::new(infobip::Takes::new(account)),
            Account::Bird(account) => Arc::new(bird::Takes::new(account)),
            Account::WebexConnect(account) => Arc::new(webex_connect::Takes::new(account)),
            Account::Botsquad(account) => Arc::new(botsquad::Takes::new(account)),
            Account::Sandbox(_) => Arc::new(Common),
        }
    }
}

/// What one provider's adapter wants to know besides the address and the token.
#[derive(Clone, Debug, PartialEq)]
pub enum Account {
    /// Meta's WhatsApp Cloud API.
    MetaCloud(meta_cloud::Settings),
    /// Infobip.
    Infobip(infobip::Settings),
    /// Bird.
    Bird(bird::Settings),
    /// Webex Connect.
    WebexConnect(webex_connect::Settings),
    /// Botsquad.
    Botsquad(Box<botsquad::Settings>),
    /// The stand-in that is built in: a Cloud API on loopback.
    Sandbox(sandbox_bulk::Settings),
}

/// The providers that can be named in a tenant's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Meta's WhatsApp Cloud API.
    MetaCloud,
    /// Infobip.
    Infobip,
    /// Bird, which was MessageBird.
    Bird,
    /// Cisco's Webex Connect, which was imiconnect.
    WebexConnect,
    /// Botsquad, which is DialoX.
    Botsquad,
    /// The stand-in that is built in: a Cloud API on loopback.
    Sandbox,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::MetaCloud,
        Self::Infobip,
        Self::Bird,
        Self::WebexConnect,
        Self::Botsquad,
        Self::Sandbox,
    ];

    /// What it takes of what a file says, as long as nothing else is set.
    pub fn terms(self) -> Arc<dyn Terms> {
        match self {
            Self::MetaCloud => Arc::new(meta_cloud::Takes::new(&meta_cloud::Settings::default())),
            Self::Infobip => Arc::new(infobip::Takes::new(&infobip::Settings::default())),
            Self::Bird => Arc::new(bird::Takes::new(&bird::Settings::default())),
            Self::WebexConnect => Arc::new(webex_connect::Takes::new(
                &webex_connect::Settings::default(),
            )),
            Self::Botsquad => Arc::new(botsquad::Takes::new(&botsquad::Settings::default())),
            Self::Sandbox => Arc::new(Common),
        }
    }

    /// The provider of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Its name in settings, in commands and in the addresses of callbacks.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetaCloud => "meta-cloud",
            Self::Infobip => "infobip",
            Self::Bird => "bird",
            Self::WebexConnect => "webex-connect",
            Self::Botsquad => "botsquad",
            Self::Sandbox => "sandbox",
        }
    }
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

/// What a request does at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Asks.
    Get,
    /// Sends, or makes something.
    Post,
    /// Changes something.
    Patch,
    /// Removes something.
    Delete,
}

/// One HTTP request that an adapter wants sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What it does there.
    pub method: Method,
    /// The whole address.
    pub url: String,
    /// Headers besides those of every request: above all the one that lets it in.
    pub headers: Vec<(&'static str, Secret)>,
    /// The kind of body; empty if there is none.
    pub content_type: Cow<'static, str>,
    /// The body; a clone shares it.
    pub body: Bytes,
    /// How long the whole exchange may take.
    pub timeout: Duration,
}

impl Request {
    /// A POST of a JSON body.
    pub fn post(url: String, body: impl Into<Bytes>, credential: &Credential) -> Self {
        Self {
            method: Method::Post,
            url,
            headers: vec![credential.header()],
            content_type: Cow::Borrowed("application/json"),
            body: body.into(),
            timeout: TIMEOUT,
        }
    }

    /// A GET.
    pub fn get(url: String, credential: &Credential) -> Self {
        Self {
            method: Method::Get,
            content_type: Cow::Borrowed(""),
            ..Self::post(url, Bytes::new(), credential)
        }
    }
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

/// Messages that are handed over together.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// From which number.
    pub sender: &'a Sender,
    /// The names of the attempts, of which there are as many as messages.
    pub ids: &'a [AttemptId],
    /// The messages, of one template and language or of none; never none at all.
    pub messages: &'a [&'a Message],
    /// When they leave.
    pub at: Moment,
}

impl<'a> Load<'a> {
    /// Each message with its attempt.
    pub fn each(&self) -> impl ExactSizeIterator<Item = (&'a AttemptId, &'a Message)> {
        let messages = self.messages.iter().copied();
        self.ids.iter().zip(messages)
    }
}

/// What comes next in handing messages over.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This request, at once.
    Send(Request),
    /// This request, after a while.
    Wait(Duration, Request),
    /// Nothing: this became of each message.
    Done(Vec<Outcome>),
}

/// The most requests that one load is handed over with.
pub const REQUESTS_MAX: usize = 256;

/// An adapter: what to send to this provider, and what its answers mean. All of it is pure.
pub trait Adapter: fmt::Debug + Send + Sync {
    /// Where requests go: what one tenant cannot reach there, none can.
    fn endpoint(&self) -> &str;

    /// How many messages a load holds at most.
    fn bulk_max(&self) -> usize {
        1
    }

    /// The same of messages without a template.
    fn session_bulk_max(&self) -> usize {
        self.bulk_max()
    }

    /// What lets its requests in.
    fn credential(&self) -> &Credential;

    /// The request for a token, where the `secret` that the operator keeps is not shown itself.
    fn token_request(&self, _secret: &Secret) -> Option<Request> {
        None
    }

    /// The token in the reply to that request, or why there is none.
    fn token(&self, _reply: &Reply) -> Result<Token, Reason> {
        Err(Cause::Credentials.reason("", String::new()))
    }

    /// Begins to read the definitions of the account's templates; `None` where they cannot be read.
    fn pull(&self, _senders: &[Sender]) -> Option<Box<dyn Reading>> {
        None
    }

    /// What comes next in changing a template, after these `replies`; `None` where they cannot be
    /// changed.
    fn change(
        &self,
        _change: &Change,
        _senders: &[Sender],
        _replies: &[Reply],
    ) -> Option<Step<Json>> {
        None
    }

    /// What comes next, after these `replies` to the requests so far; with none, the first request.
    fn next(&self, load: &Load<'_>, replies: &[Reply]) -> Next;

    /// What a callback shows of where it comes from.
    fn verify(&self, _callback: &Callback, _secrets: &CallbackSecrets) -> Proof {
        Proof::Unsigned
    }

    /// The answer to a provider that asks whether somebody listens here; `None` if it does not, or
    /// shows another token.
    fn challenge(&self, _callback: &Callback, _secrets: &CallbackSecrets) -> Option<String> {
        None
    }

    /// The receipts in a callback; what is none, or cannot be read, is left out.
    fn receipts(&self, _callback: &Callback) -> Vec<Receipt> {
        Vec::new()
    }

    /// Whether the provider can be asked about messages whose answer never came.
    fn can_be_asked(&self) -> bool {
        false
    }

    /// The request that asks what became of these attempts, at most [`ASKED_MAX`]; `None` where the
    /// provider cannot be asked.
    fn ask(&self, _ids: &[AttemptId]) -> Option<Request> {
        None
    }

    /// What the answer to that says; an attempt of which it says nothing stays open.
    fn told(&self, _reply: &Reply) -> Vec<Receipt> {
        Vec::new()
    }

    /// The request that uploads a file for messages of `sender`; `None` if this provider takes no
    /// files.
    fn upload(&self, sender: &Sender, file: &Upload<'_>) -> Option<Request> {
        let _ = (sender, file);
        None
    }

    /// What a reply to an upload means: the id by which messages name the file, and for how long
    /// they may. An [`Outcome`] is never `Accepted`.
    fn uploaded(&self, reply: &Reply) -> Result<(String, Duration), Box<Outcome>> {
        let _ = reply;
        Err(Box::new(Outcome::Refused {
            reason: Cause::Media.reason("it takes no files", String::new()),
            in_row: false,
        }))
    }

    /// Whether a message was refused for this reason because the provider does not know the file
    /// any more that it names.
    fn has_lost_file(&self, reason: &Reason) -> bool {
        let _ = reason;
        false
    }
}

/// A file that is to be uploaded.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: &'a str,
    /// What it is.
    pub mime_type: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its content.
    pub content: &'a [u8],
}

/// The adapter for these settings. `sandbox` is where the daemon's own stand-in listens.
pub fn adapter(settings: &Settings, sandbox: Option<SocketAddr>) -> Arc<dyn Adapter> {
    let base_url = settings.base_url.clone();
    let token = settings.access_token.clone();
    match &settings.account {
        Account::MetaCloud(own) => {
            Arc::new(meta_cloud::MetaCloud::new(base_url, token).with(own.clone()))
        }
        Account::Infobip(own) => Arc::new(infobip::Infobip::new(base_url, token, own.clone())),
        Account::Bird(own) => Arc::new(bird::Bird::new(base_url, token, own.clone())),
        Account::WebexConnect(own) => Arc::new(webex_connect::WebexConnect::new(
            base_url,
            token,
            own.clone(),
        )),
        Account::Botsquad(own) => {
            Arc::new(botsquad::Botsquad::new(base_url, token, (**own).clone()))
        }
        Account::Sandbox(own) => {
            let base_url = match sandbox {
                Some(address) if base_url.is_empty() => {
                    format!("http://{address}/{}", sandbox::VERSION)
                }
                _ => base_url,
            };
            let token = Secret::new(sandbox::ACCESS_TOKEN);
            let single = meta_cloud::MetaCloud::new(base_url, token);
            Arc::new(sandbox_bulk::SandboxBulk::new(single, own.bulk_max))
        }
    }
}
