//! Stand-ins for the providers, to try dropcast and to test against: an HTTP server on loopback
//! that speaks as one of them does.
//!
//! In: requests, checked in shape as the real API does. Out: its answers, callbacks if they are
//! wanted, and at the end what was seen. Nothing is delivered anywhere and nothing outlives the
//! process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Error, Kind};
use crate::clock;
use crate::listener::HttpListener;
use callbacks::{Form, Speaker};
use ledger::Ledger;

pub use callbacks::Callbacks;
pub use ledger::Seen;
pub use meta_cloud::BULK_MESSAGES_MAX;
pub use misbehaviour::{Ending, Errors, Misbehaviour, Share};
pub use record::Record;

mod bird;
mod botsquad;
mod callbacks;
pub mod infobip;
mod ledger;
mod meta_cloud;
mod misbehaviour;
mod record;
#[cfg(test)]
mod tests;
mod webex_connect;

/// The version of the API in the addresses that the daemon uses.
pub const VERSION: &str = "v25.0";

/// The token that the daemon shows; any other is taken too.
pub const ACCESS_TOKEN: &str = "sandbox";

/// Connections served at one time.
pub const CONNECTIONS_MAX: usize = 2048;

/// The largest request that is read, in bytes.
pub const REQUEST_BYTES_MAX: usize = 256 << 10;

/// How late the answer for numbers that end in `0408` is: later than any client waits.
pub const LATE: Duration = Duration::from_mins(1);

/// How the stand-in behaves. By default it accepts everything at once.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// How long every answer takes.
    pub latency: Duration,
    /// How many messages a second each phone number id may send before it is throttled; `None`
    /// means any number.
    pub rate: Option<f64>,
    /// What recipients' numbers do.
    pub numbers: Numbers,
    /// What goes wrong by chance.
    pub misbehaviour: Misbehaviour,
    /// The definitions of the account's templates, in the Cloud API's form. If there are none, any
    /// template is taken.
    pub templates: Arc<[Value]>,
    /// Where requests are written down; `None` for nowhere.
    pub record: Option<Record>,
    /// What the stand-in for Infobip does where it is not known what Infobip does.
    pub infobip: infobip::Modes,
    /// Which files messages may name by their ids.
    pub media_ids: MediaIds,
}

/// Which files messages may name by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MediaIds {
    /// Any.
    #[default]
    Any,
    /// Only those that were uploaded to this stand-in.
    Uploaded,
}

/// What recipients' numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Numbers {
    /// All are alike.
    #[default]
    Plain,
    /// Some endings cause trouble, as the table of this room says.
    Scripted,
}

/// The stand-in, listening.
#[derive(Debug)]
pub struct Sandbox {
    provider: Kind,
    listener: HttpListener,
    state: Arc<Desk>,
}

impl Sandbox {
    /// Listens on `listen` as `provider` does; port 0 takes a free one.
    pub async fn open(
        listen: SocketAddr,
        provider: Kind,
        behaviour: Behaviour,
    ) -> Result<Self, Error> {
        let listener = HttpListener::open(listen, CONNECTIONS_MAX).await;
        let listener = listener.map_err(|source| Error::Listen {
            address: listen,
            source,
        })?;
        let state = Arc::new(Desk {
            chance: Mutex::new(fastrand::Rng::with_seed(behaviour.misbehaviour.seed)),
            templates: Mutex::new(meta_cloud::Templates::of(&behaviour.templates)),
            behaviour,
            ledger: Ledger::new(fastrand::u64(..), clock::now()),
            speaker: OnceLock::new(),
            stop: CancellationToken::new(),
        });
        Ok(Self {
            provider,
            listener,
            state,
        })
    }

    /// The same, which says later what became of messages.
    pub fn calling_back(self, callbacks: Callbacks) -> Self {
        let form = match self.provider {
            Kind::Sandbox | Kind::MetaCloud => meta_cloud::CALLBACKS,
            Kind::Infobip => infobip::CALLBACKS,
            Kind::Bird => bird::CALLBACKS,
            Kind::WebexConnect => webex_connect::CALLBACKS,
            Kind::Botsquad => Form::PLAIN,
        };
        let speaker = callbacks.begin(form, &self.state.stop);
        // It is handed over before anybody can have asked for anything.
        let _ = self.state.speaker.set(speaker);
        self
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// What `base_url` is to be for those who send to it.
    pub fn base_url(&self) -> String {
        let address = self.listener.address();
        match self.provider {
            Kind::Sandbox | Kind::MetaCloud => format!("http://{address}/{VERSION}"),
            _ => format!("http://{address}"),
        }
    }

    /// Answers until `stop`, lets answers under way finish, and tells what was seen.
    pub async fn serve(self, stop: CancellationToken) -> Seen {
        let desk = Arc::clone(&self.state);
        let router = match self.provider {
            Kind::Sandbox | Kind::MetaCloud => meta_cloud::router(),
            Kind::Infobip => infobip::router(),
            Kind::Bird => bird::router(&desk.behaviour.templates),
            Kind::WebexConnect => webex_connect::router(),
            Kind::Botsquad => botsquad::router(),
        };
        let refusal: misbehaviour::Refusal = match self.provider {
            Kind::Sandbox | Kind::MetaCloud => meta_cloud::refusal,
            Kind::Infobip => infobip::refusal,
            Kind::Bird => bird::refusal,
            Kind::WebexConnect => webex_connect::refusal,
            Kind::Botsquad => botsquad::refusal,
        };
        let met = (Arc::clone(&desk), refusal);
        let router = router
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .layer(middleware::from_fn_with_state(met, misbehaviour::meet));
        let router = match &desk.behaviour.record {
            Some(record) => {
                router.layer(middleware::from_fn_with_state(record.clone(), record::keep))
            }
            None => router,
        };
        let router = router.with_state(self.state);
        let stopped = {
            let desk = Arc::clone(&desk);
            async move {
                stop.cancelled().await;
                desk.stop.cancel();
            }
        };
        // Accepting never ends with an error: the door keeps its own failures to itself.
        let _ = axum::serve(self.listener, router)
            .with_graceful_shutdown(stopped)
            .await;
        let (told, untold) = desk.speaker.get().map_or((0, 0), Speaker::told);
        Seen {
            told,
            untold,
            ..desk.ledger.seen()
        }
    }
}

#[derive(Debug)]
struct Desk {
    behaviour: Behaviour,
    chance: Mutex<fastrand::Rng>,
    templates: Mutex<meta_cloud::Templates>,
    ledger: Ledger,
    speaker: OnceLock<Speaker>,
    stop: CancellationToken,
}

impl Desk {
    /// Lets an answer take as long as all of them do.
    async fn take_time(&self) {
        if !self.behaviour.latency.is_zero() {
            self.pause(self.behaviour.latency).await;
        }
    }

    fn templates(&self) -> MutexGuard<'_, meta_cloud::Templates> {
        self.templates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn chance(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pause(&self, length: Duration) {
        tokio::select! {
            () = tokio::time::sleep(length) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// An id of the ledger's in the form of a UUID: its digits at the end of it.
fn uuid(message_id: &str) -> String {
    let digits = message_id.rsplit('.').next().unwrap_or_default();
    let padded = format!("{digits:0>32}").to_lowercase();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts
        .map(|part| padded.get(part).unwrap_or_default())
        .join("-")
}
