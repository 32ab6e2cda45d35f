//! The Cloud API's send call, a call of the stand-in's own that takes many messages at once, and
//! one that says what was taken (`GET /v25.0/taken?id=<attempt>`, up to 50 of them).
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
//! | `0504` | accepted, but a gateway fails in place of the answer |
//! | `0505` | the same, and callbacks say that it failed: it cannot be delivered (131026) |
//! | `0526` | accepted, and callbacks say that it failed |
//!
//! Callbacks say of any other message that was accepted that it is sent, delivered and read.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::{Desk, LATE, Numbers, REQUEST_BYTES_MAX, json};
use crate::clock;
use callbacks::Fate;
use envelope::{Call, Envelope, Refusal};

pub use bulk::BULK_MESSAGES_MAX;
pub(super) use callbacks::FORM as CALLBACKS;
pub(super) use templates::Templates;

mod asking;
mod bulk;
mod callbacks;
mod content;
mod envelope;
mod keeping;
mod media;
mod template;
mod templates;
#[cfg(test)]
mod tests;

/// What it answers to, and how.
pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/{version}/{phone_number_id}/messages", post(messages))
        .route("/{version}/taken", get(asking::taken))
        .route(
            "/{version}/{phone_number_id}/media",
            post(media::upload).layer(DefaultBodyLimit::max(media::UPLOAD_BYTES_MAX)),
        )
        .route(
            "/{version}/{phone_number_id}/marketing_messages",
            post(marketing_messages),
        )
        .route(
            "/{version}/{phone_number_id}/messages/bulk",
            post(bulk::messages).layer(DefaultBodyLimit::max(bulk::BULK_BYTES_MAX)),
        )
        .route(
            "/{version}/{account_id}/message_templates",
            get(keeping::list)
                .post(keeping::create)
                .delete(keeping::delete),
        )
        .route("/{version}/{template_id}", post(keeping::edit))
        .route("/{version}/{template_id}/status", post(keeping::set_status))
        .fallback(elsewhere)
        .method_not_allowed_fallback(elsewhere)
}

/// A refusal with this HTTP status.
pub(super) fn refusal(status: StatusCode) -> Response {
    match Refusal::of(status.as_u16()) {
        Some(refusal) => refusal.into_response(),
        None => gateway(status),
    }
}

async fn messages(
    State(desk): State<Arc<Desk>>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let admitted = Desk::admit(&path.0, &path.1, &headers, body);
    desk.answer(&path.1, Call::Messages, admitted).await
}

async fn marketing_messages(
    State(desk): State<Arc<Desk>>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let admitted = Desk::admit(&path.0, &path.1, &headers, body);
    desk.answer(&path.1, Call::MarketingMessages, admitted)
        .await
}

async fn elsewhere(uri: Uri) -> Response {
    Refusal::path(uri.path()).into_response()
}

/// What happens to a message that is taken.
struct Course {
    /// Whether its answer comes only when nobody waits for it any more.
    is_late: bool,
    /// Whether another answer comes in its place.
    is_lost: bool,
    fate: Fate,
}

impl Course {
    const PLAIN: Self = Self {
        is_late: false,
        is_lost: false,
        fate: Fate::Read,
    };
}

/// A message that was taken.
struct Taken {
    input: String,
    id: String,
    late: bool,
}

impl Desk {
    /// Answers a request that holds one message.
    async fn answer(
        &self,
        phone_number_id: &str,
        call: Call,
        admitted: Result<Bytes, Refusal>,
    ) -> Response {
        self.ledger.heard();
        let judged = match admitted {
            Ok(body) => self.judge_one(phone_number_id, call, &body).1,
            Err(refusal) => {
                self.ledger.refused();
                Err(refusal.into())
            }
        };
        let answer = match judged {
            Ok(taken) => {
                if taken.late {
                    self.pause(LATE).await;
                }
                json(StatusCode::OK, accepted(&taken))
            }
            Err(trouble) => trouble.into_response(),
        };
        self.take_time().await;
        answer
    }

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
        call: Call,
        message: &[u8],
    ) -> (Option<String>, Result<Taken, Trouble>) {
        let (id, judged) = match Envelope::read(message) {
            Ok(mut envelope) => {
                let id = envelope.biz_opaque_callback_data.clone();
                let known = self.knows_files(message).map_err(Trouble::from);
                let read = known.and_then(|()| envelope.check(call).map_err(Trouble::from));
                let judged = read
                    .and_then(|digits| self.judge_read(phone_number_id, &digits, &mut envelope));
                (id, judged)
            }
            Err(refusal) => (None, Err(refusal.into())),
        };
        match &judged {
            Ok(_) => self.ledger.accepted(),
            Err(_) => self.ledger.refused(),
        }
        (id, judged)
    }

    fn judge_read(
        &self,
        phone_number_id: &str,
        digits: &str,
        envelope: &mut Envelope,
    ) -> Result<Taken, Trouble> {
        let attempt = envelope.biz_opaque_callback_data.as_deref();
        if let Some(rate) = self.behaviour.rate
            && !self.ledger.within(rate, phone_number_id, clock::steady())
        {
            return Err(Refusal::throttled().into());
        }
        if let Some(template) = envelope.template() {
            self.templates().take(&template.called())?;
        }
        let course = match self.behaviour.numbers {
            Numbers::Plain => Course::PLAIN,
            Numbers::Scripted => self.script(digits, attempt.unwrap_or(digits))?,
        };
        let number = self.ledger.message_number();
        let id = self.ledger.message_id(number);
        if let Some(attempt) = attempt {
            self.ledger.remember(attempt, number, clock::now());
        }
        if let Some(speaker) = self.speaker.get() {
            let told = (id.as_str(), digits, attempt);
            callbacks::tell(speaker, phone_number_id, told, course.fate);
        }
        if course.is_lost {
            return Err(Trouble::Gateway);
        }
        Ok(Taken {
            input: envelope.to.take().unwrap_or_default(),
            id,
            late: course.is_late,
        })
    }

    /// What the recipient's number causes: trouble, or what happens to a message that is taken.
    fn script(&self, digits: &str, attempt: &str) -> Result<Course, Trouble> {
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
            ending => Ok(Course {
                is_late: ending == Some("0408"),
                is_lost: matches!(ending, Some("0504" | "0505")),
                fate: match ending {
                    Some("0505" | "0526") => Fate::Failed,
                    _ => Fate::Read,
                },
            }),
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
            Self::Gateway => gateway(StatusCode::BAD_GATEWAY),
        }
    }
}

/// What stands between the API and its users has words of its own.
pub(super) fn gateway(status: StatusCode) -> Response {
    let page = format!("<html><body><h1>{status}</h1></body></html>");
    (status, [(CONTENT_TYPE, "text/html")], page).into_response()
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
