//! A stand-in for a provider, to try dropcast and to test against: an HTTP server on loopback that
//! speaks the send call of the Cloud API, and a call of its own that takes many messages at once.
//!
//! In: requests, checked in shape as the real API does. Out: its answers, and at the end what was
//! seen. Nothing is delivered anywhere and nothing outlives the process.
//!
//! With [`Numbers::Scripted`] the last four digits of the recipient say what happens:
//!
//! | ends in | what happens |
//! |---|---|
//! | `0404` | refused for good: the recipient cannot be reached (131026) |
//! | `0410` | refused for good: the recipient does not want these messages (131050) |
//! | `0429` | throttled once (130429, `Retry-After: 1`), then accepted |
//! | `0500` | the service fails once in its own words (131000), then accepted |
//! | `0502` | a gateway fails without the API's words: the message may have gone out |
//! | `0408` | accepted, but the answer comes only after a minute |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::clock;
use crate::listener::HttpListener;
use envelope::{Envelope, Refusal};
use ledger::Ledger;

pub use bulk::BULK_MESSAGES_MAX;
pub use ledger::Seen;

mod bulk;
mod content;
mod envelope;
mod ledger;
mod template;
#[cfg(test)]
mod tests;

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
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Behaviour {
    /// How long every answer takes.
    pub latency: Duration,
    /// How many messages a second each phone number id may send before it is throttled; `None`
    /// means any number.
    pub rate: Option<f64>,
    /// What recipients' numbers do.
    pub numbers: Numbers,
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
    listener: HttpListener,
    state: Arc<Desk>,
}

impl Sandbox {
    /// Listens on `listen`; port 0 takes a free one.
    pub async fn open(listen: SocketAddr, behaviour: Behaviour) -> Result<Self, Error> {
        let listener = HttpListener::open(listen, CONNECTIONS_MAX).await;
        let listener = listener.map_err(|source| Error::Listen {
            address: listen,
            source,
        })?;
        let state = Arc::new(Desk {
            behaviour,
            ledger: Ledger::new(fastrand::u64(..)),
            stop: CancellationToken::new(),
        });
        Ok(Self { listener, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Answers until `stop`, lets answers under way finish, and tells what was seen.
    pub async fn serve(self, stop: CancellationToken) -> Seen {
        let desk = Arc::clone(&self.state);
        let router = Router::new()
            .route("/{version}/{phone_number_id}/messages", post(messages))
            .route(
                "/{version}/{phone_number_id}/messages/bulk",
                post(bulk::messages).layer(DefaultBodyLimit::max(bulk::BULK_BYTES_MAX)),
            )
            .fallback(elsewhere)
            .method_not_allowed_fallback(elsewhere)
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(self.state);
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
        desk.ledger.seen()
    }
}

#[derive(Debug)]
struct Desk {
    behaviour: Behaviour,
    ledger: Ledger,
    stop: CancellationToken,
}

async fn messages(
    State(desk): State<Arc<Desk>>,
    Path((version, phone_number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    desk.ledger.heard();
    let judged = match Desk::admit(&version, &phone_number_id, &headers, body) {
        Ok(body) => desk.judge_one(&phone_number_id, &body).1,
        Err(refusal) => {
            desk.ledger.refused();
            Err(refusal.into())
        }
    };
    let answer = match judged {
        Ok(taken) => {
            if taken.late {
                desk.pause(LATE).await;
            }
            json(StatusCode::OK, accepted(&taken))
        }
        Err(trouble) => trouble.into_response(),
    };
    desk.take_time().await;
    answer
}

async fn elsewhere(uri: Uri) -> Response {
    Refusal::path(uri.path()).into_response()
}

/// A message that was taken.
struct Taken {
    input: String,
    id: String,
    late: bool,
}

impl Desk {
    /// Checks what a request has besides its messages, and gives its body.
    fn admit(
        version: &str,
        phone_number_id: &str,
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Bytes, Refusal> {
        let bearer = headers.get(AUTHORIZATION);
        envelope::bearer(bearer.map(HeaderValue::as_bytes))?;
        envelope::path(version, phone_number_id)?;
        body.map_err(|_| Refusal::unreadable("the request is too large or cut off"))
    }

    /// Checks a message in the order in which the real API is thought to; gives the id of its
    /// attempt as well, if that can be read.
    fn judge_one(
        &self,
        phone_number_id: &str,
        message: &[u8],
    ) -> (Option<String>, Result<Taken, Trouble>) {
        let (id, judged) = match Envelope::read(message) {
            Ok(mut envelope) => {
                let id = envelope.biz_opaque_callback_data.clone();
                (id, self.judge_read(phone_number_id, &mut envelope))
            }
            Err(refusal) => (None, Err(refusal.into())),
        };
        match &judged {
            Ok(_) => self.ledger.accepted(),
            Err(_) => self.ledger.refused(),
        }
        (id, judged)
    }

    fn judge_read(&self, phone_number_id: &str, envelope: &mut Envelope) -> Result<Taken, Trouble> {
        let digits = envelope.check()?;
        let attempt = envelope.biz_opaque_callback_data.as_deref();
        if let Some(rate) = self.behaviour.rate
            && !self.ledger.within(rate, phone_number_id, clock::steady())
        {
            return Err(Refusal::throttled().into());
        }
        let late = match self.behaviour.numbers {
            Numbers::Plain => false,
            Numbers::Scripted => self.script(&digits, attempt.unwrap_or(&digits))?,
        };
        if let Some(attempt) = attempt {
            self.ledger.remember(attempt);
        }
        Ok(Taken {
            input: envelope.to.take().unwrap_or_default(),
            id: self.ledger.message_id(),
            late,
        })
    }

    /// What the recipient's number causes: trouble, a late answer (`true`), or nothing.
    fn script(&self, digits: &str, attempt: &str) -> Result<bool, Trouble> {
        let ending = digits.get(digits.len().saturating_sub(4)..);
        match ending {
            Some("0404") => Err(Refusal::undeliverable().into()),
            Some("0410") => Err(Refusal::opted_out().into()),
            Some("0429") if self.ledger.is_first_trouble(attempt) => {
                Err(Refusal::throttled().into())
            }
            Some("0500") if self.ledger.is_first_trouble(attempt) => {
                Err(Refusal::service_failed().into())
            }
            Some("0502") => Err(Trouble::Gateway),
            ending => Ok(ending == Some("0408")),
        }
    }

    /// Lets an answer take as long as all of them do.
    async fn take_time(&self) {
        if !self.behaviour.latency.is_zero() {
            self.pause(self.behaviour.latency).await;
        }
    }

    async fn pause(&self, length: Duration) {
        tokio::select! {
            () = tokio::time::sleep(length) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// The body of the answer for a message that was taken.
fn accepted(taken: &Taken) -> String {
    let Taken { input, id, .. } = taken;
    let digits = envelope::digits(input);
    // None of the three holds a character that JSON would want escaped.
    format!(
        r#"{{"messaging_product":"whatsapp","contacts":[{{"input":"{input}","wa_id":"{digits}"}}],"messages":[{{"id":"{id}","message_status":"accepted"}}]}}"#
    )
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Why a message was not taken, or does not look so.
enum Trouble {
    Refusal(Refusal),
    Gateway,
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        match self {
            Self::Refusal(refusal) => refusal.into_response(),
            Self::Gateway => {
                let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
                (StatusCode::BAD_GATEWAY, [(CONTENT_TYPE, "text/html")], page).into_response()
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = json(status, self.body());
        if let Some(seconds) = self.retry_after_secs {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
