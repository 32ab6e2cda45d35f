//! Botsquad's broadcasts, as the client's settings propose them while nobody has seen real ones.
//!
//! A broadcast is taken as a whole, or refused as a whole. What became of its users is told when it
//! is asked for; with [`Numbers::Scripted`] the last four digits of a number say what that is:
//!
//! | ends in | what happens |
//! |---|---|
//! | `0404` | its message fails: the recipient cannot be reached |
//! | `0410` | its message fails: the recipient opted out |
//! | `0429` | pending when it is asked for the first time, then sent |
//! | `0500` | the platform's first try fails (`retrying`), then sent |
//! | `0502` | a gateway fails after the broadcast was taken: all of it may have gone out |
//! | `0408` | taken, but the answer comes only after a minute |

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::json;

use super::{Desk, LATE, Numbers};
use crate::clock;
use book::Book;
use broadcast::{Broadcast, Refusal};

mod book;
mod broadcast;
#[cfg(test)]
mod tests;

/// The broadcasts that were made.
type Shelf = Arc<Mutex<Book>>;

/// What this stand-in answers to, and how; with and without the service's own `/api` before it.
pub(super) fn router() -> Router<Arc<Desk>> {
    let bare = Router::new()
        .route("/bot/{bot_id}/whatsapp/broadcast", post(create))
        .route("/bot/{bot_id}/whatsapp/broadcast/{id}", get(state));
    bare.clone()
        .nest("/api", bare)
        .layer(Extension(Shelf::default()))
}

/// A refusal with this HTTP status.
pub(super) fn refusal(status: StatusCode) -> Response {
    let word = match status.as_u16() {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        429 => "too_many_requests",
        500 => "internal_server_error",
        503 => "service_unavailable",
        400..=499 => "invalid_request",
        _ => {
            let page = format!("<html><body><h1>{status}</h1></body></html>");
            return (status, [(CONTENT_TYPE, "text/html")], page).into_response();
        }
    };
    let mut answer = super::json(status, json!({ "error": word }).to_string());
    if status == StatusCode::TOO_MANY_REQUESTS {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

async fn create(
    State(desk): State<Arc<Desk>>,
    Extension(shelf): Extension<Shelf>,
    Path(bot_id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    desk.ledger.heard();
    let body = body.unwrap_or_default();
    let read = if is_let_in(&headers, query.as_deref()) {
        Broadcast::read(&body, &desk.behaviour.templates)
    } else {
        Err(Refusal::not_let_in())
    };
    let in_time = |broadcast: &Broadcast| Counter(&desk).is_in_time(&bot_id, broadcast);
    let answer = match read {
        Ok(broadcast) if !in_time(&broadcast) => {
            desk.ledger.refused();
            Refusal::too_fast().into_response()
        }
        Ok(broadcast) => Counter(&desk).made(broadcast, &shelf).await,
        Err(refused) => {
            desk.ledger.refused();
            refused.into_response()
        }
    };
    desk.take_time().await;
    answer
}

async fn state(
    State(desk): State<Arc<Desk>>,
    Extension(shelf): Extension<Shelf>,
    Path((_, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    desk.take_time().await;
    if !is_let_in(&headers, query.as_deref()) {
        return Refusal::not_let_in().into_response();
    }
    let told = shelf
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .asked(&id);
    match told {
        Some(told) => super::json(StatusCode::OK, told.to_string()),
        None => refusal(StatusCode::NOT_FOUND),
    }
}

/// Whether a token is there, in the header or in the address; any will do.
fn is_let_in(headers: &HeaderMap, query: Option<&str>) -> bool {
    let header = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let bearer = header.and_then(|value| value.strip_prefix(b"Bearer "));
    let keys = query.unwrap_or_default().split('&');
    let mut keys = keys.filter_map(|pair| pair.strip_prefix("api_key="));
    bearer.is_some_and(|token| !token.is_empty()) || keys.any(|key| !key.is_empty())
}

/// The desk, as this provider has it.
struct Counter<'d>(&'d Desk);

impl Counter<'_> {
    /// Whether the bot may send to so many users now.
    fn is_in_time(&self, bot_id: &str, broadcast: &Broadcast) -> bool {
        let Some(rate) = self.0.behaviour.rate else {
            return true;
        };
        let now = clock::steady();
        let users = broadcast.users.iter();
        // Each of them counts, also behind one that is too many.
        let late = users.filter(|_| !self.0.ledger.within(rate, bot_id, now));
        late.count() == 0
    }

    /// Takes a broadcast, and says so.
    async fn made(&self, broadcast: Broadcast, all: &Shelf) -> Response {
        let number = self.0.ledger.message_number();
        let id = super::uuid(&self.0.ledger.message_id(number));
        let is_scripted = self.0.behaviour.numbers == Numbers::Scripted;
        let any = |ending: &str| {
            let mut all = broadcast.users.iter().map(|user| &user.digits);
            is_scripted && all.any(|digits| digits.ends_with(ending))
        };
        let (is_late, is_lost) = (any("0408"), any("0502"));
        for user in &broadcast.users {
            self.0.ledger.accepted();
            self.0
                .ledger
                .remember(&format!("{id}/{}", user.digits), number, clock::now());
        }
        let told = {
            let mut book = all.lock().unwrap_or_else(PoisonError::into_inner);
            book.put(id, broadcast, is_scripted)
        };
        if is_late {
            self.0.pause(LATE).await;
        }
        if is_lost {
            return refusal(StatusCode::BAD_GATEWAY);
        }
        super::json(StatusCode::OK, told.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Status(status) => refusal(status),
            Self::Template { component, message } => {
                let details = [json!({ "component": component, "message": message })];
                let body = json!({ "error": "invalid_template", "details": details });
                super::json(StatusCode::BAD_REQUEST, body.to_string())
            }
        }
    }
}
