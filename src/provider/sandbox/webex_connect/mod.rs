//! Webex Connect's send call. It answers 200 whatever it says: errors are told by their codes.
//!
//! With [`Numbers::Scripted`] the last four digits of the recipient say what happens:
//!
//! | ends in | what happens |
//! |---|---|
//! | `0404` | refused for good: the recipient cannot be reached (7871) |
//! | `0410` | refused for good: the recipient has not consented (9002) |
//! | `0429` | throttled once (7020), then queued |
//! | `0500` | the service fails once in its own words (7006), then queued |
//! | `0502` | a gateway fails without the API's words: the message may have gone out |
//! | `0408` | queued, but the answer comes only after a minute |
//! | `0504` | queued, but a gateway answers in its place |
//! | `0505` | the same, and its receipt says that it failed |
//! | `0526` | queued, and its receipt says that it failed |

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use super::{Desk, LATE, Numbers};
use crate::clock;
use envelope::{Envelope, Refusal};

pub(super) use callbacks::FORM as CALLBACKS;

mod callbacks;
mod content;
mod envelope;
#[cfg(test)]
mod tests;

/// What this stand-in answers to, and how.
pub(super) fn router() -> Router<Arc<Desk>> {
    Router::new().route("/resources/v1/messaging", post(messaging))
}

/// A refusal with this HTTP status.
pub(super) fn refusal(status: StatusCode) -> Response {
    let (code, words) = match status.as_u16() {
        401 | 403 => envelope::NOT_LET_IN,
        429 => envelope::TOO_FAST,
        500 | 503 => envelope::FAILED,
        400..=499 => ("7004", "Invalid parameter value"),
        _ => return gateway(status),
    };
    let refused = told(code, words, "00000000-0000-0000-0000-000000000000");
    super::json(status, json!({ "response": refused }).to_string())
}

async fn messaging(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    desk.ledger.heard();
    let counter = Counter(&desk);
    let mut late = false;
    let answer = match Counter::read(&headers, body) {
        Ok(envelopes) => counter.judge_all(&envelopes, &mut late),
        Err(refusal) => {
            desk.ledger.refused();
            Some(counter.refused(&refusal))
        }
    };
    if late {
        desk.pause(LATE).await;
    }
    desk.take_time().await;
    match answer {
        Some(response) => super::json(StatusCode::OK, json!({ "response": response }).to_string()),
        None => gateway(StatusCode::BAD_GATEWAY),
    }
}

/// What became of a message.
enum Fate {
    Queued {
        late: bool,
    },
    /// It is queued, and a gateway answers in its place.
    Lost,
    Gateway,
}

/// The desk, as this provider has it.
struct Counter<'d>(&'d Desk);

impl Counter<'_> {
    /// The envelopes of a request that is let in: one, or a list of them.
    fn read(
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Vec<Value>, Refusal> {
        let text = |name| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap_or_default())
        };
        let bearer = text(AUTHORIZATION.as_str());
        envelope::let_in(text("key"), bearer, clock::now())?;
        let body = body.map_err(|_| Refusal::not_json())?;
        match serde_json::from_slice(&body) {
            Ok(Value::Array(envelopes)) if !envelopes.is_empty() => Ok(envelopes),
            Ok(envelope @ Value::Object(_)) => Ok(vec![envelope]),
            _ => Err(Refusal::not_json()),
        }
    }

    /// What is answered to these envelopes: an object for a single one that is refused, a list for
    /// others. `None` where a gateway fails before it.
    fn judge_all(&self, envelopes: &[Value], late: &mut bool) -> Option<Value> {
        let mut answers = Vec::new();
        let mut is_refused = false;
        for envelope in envelopes {
            match self.judge(envelope) {
                Ok((_, Fate::Gateway)) => {
                    self.0.ledger.refused();
                    return None;
                }
                Ok((known, Fate::Lost)) => {
                    self.queued(&known);
                    return None;
                }
                Ok((known, Fate::Queued { late: is_late })) => {
                    *late |= is_late;
                    answers.push(self.queued(&known));
                }
                Err(refusal) => {
                    self.0.ledger.refused();
                    is_refused = true;
                    answers.push(self.refused(&refusal));
                }
            }
        }
        match answers.pop() {
            Some(only) if is_refused && answers.is_empty() => Some(only),
            last => {
                answers.extend(last);
                Some(answers.into())
            }
        }
    }

    fn judge<'v>(&self, envelope: &'v Value) -> Result<(Envelope<'v>, Fate), Refusal> {
        let known = Envelope::read(envelope, clock::now())?;
        content::known(envelope, &self.0.behaviour.templates)?;
        if let Some(rate) = self.0.behaviour.rate
            && !self.0.ledger.within(rate, known.app_id, clock::steady())
        {
            return Err(Refusal::new(envelope::TOO_FAST));
        }
        let fate = match self.0.behaviour.numbers {
            Numbers::Plain => Fate::Queued { late: false },
            Numbers::Scripted => self.script_of(&known)?,
        };
        Ok((known, fate))
    }

    /// What the recipient's number causes.
    fn script_of(&self, known: &Envelope<'_>) -> Result<Fate, Refusal> {
        let digits = &known.digits;
        let attempt = known.correlation_id.unwrap_or(digits);
        let ending = digits.get(digits.len().saturating_sub(4)..);
        match ending {
            Some("0404") => Err(Refusal::new(("7871", "(#131026) | Message undeliverable"))),
            Some("0410") => Err(Refusal::new(("9002", "No consent for this channel"))),
            Some("0429") if self.0.ledger.is_first_trouble(attempt) => {
                Err(Refusal::new(envelope::TOO_FAST))
            }
            Some("0500") if self.0.ledger.is_first_trouble(attempt) => {
                Err(Refusal::new(envelope::FAILED))
            }
            Some("0502") => Ok(Fate::Gateway),
            Some("0504" | "0505") => Ok(Fate::Lost),
            ending => Ok(Fate::Queued {
                late: ending == Some("0408"),
            }),
        }
    }

    /// Takes a message; what is answered.
    fn queued(&self, known: &Envelope<'_>) -> Value {
        let ledger = &self.0.ledger;
        ledger.accepted();
        let number = ledger.message_number();
        let transid = super::uuid(&ledger.message_id(number));
        if let Some(speaker) = self.0.speaker.get() {
            let is_scripted = self.0.behaviour.numbers == Numbers::Scripted;
            let fails = ["0505", "0526"]
                .iter()
                .any(|end| known.digits.ends_with(end));
            callbacks::tell(speaker, known, &transid, is_scripted && fails);
        }
        let mut queued = told("1001", "Queued", &transid);
        if let Some(id) = known.correlation_id {
            ledger.remember(id, number, clock::now());
            queued["correlationid"] = json!(id);
        }
        queued
    }

    fn refused(&self, refusal: &Refusal) -> Value {
        told(refusal.code, &refusal.words, &self.transid())
    }

    /// An id that no other answer has, in the form of a UUID.
    fn transid(&self) -> String {
        let number = self.0.ledger.message_number();
        super::uuid(&self.0.ledger.message_id(number))
    }
}

fn told(code: &str, words: &str, transid: &str) -> Value {
    json!({ "code": code, "transid": transid, "description": words })
}

/// What stands between the API and its users has words of its own.
fn gateway(status: StatusCode) -> Response {
    let page = format!("<html><body><h1>{status}</h1></body></html>");
    (status, [(CONTENT_TYPE, "text/html")], page).into_response()
}
