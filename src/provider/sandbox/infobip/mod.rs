//! Infobip's calls: messages by template and by kind, templates, reports, logs and tokens.
//!
//! While a number has no templates here, it may send any; once some were made, a message must fit
//! one of them. With [`Numbers::Scripted`] the last four digits of the recipient say what happens:
//!
//! | ends in | what happens |
//! |---|---|
//! | `0400` | the whole request is refused as one that is not good (400) |
//! | `0404` | refused in a good answer: no such destination (52) |
//! | `0410` | refused in a good answer: on the blocklist (14) |
//! | `0429` | the whole request is throttled once (429, `Retry-After: 1`), then accepted |
//! | `0500` | refused once because of a system error (21), then accepted |
//! | `0502` | a gateway fails without the API's words; nothing was taken |
//! | `0504` | the whole request is accepted, and a gateway answers that it knows of nothing |
//! | `0408` | accepted, but the answer comes only after a minute |
//! | `0700` | accepted, and nothing is ever reported |
//! | `0702` | accepted, and reported as undeliverable: no such user (7002) |
//! | `0715` | accepted, and reported as expired |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Desk, json as answer};
use crate::clock;
use shape::Errors;

pub use sending::{Modes, Paths, Repeats, Wrongs};
pub(super) use tray::CALLBACKS;
pub(super) use words::refusal;

mod calls;
mod sending;
mod shape;
mod shelf;
#[cfg(test)]
mod tests;
mod tray;
mod words;

/// The largest request for templates that is read, in bytes.
const BULK_BYTES_MAX: usize = 16 << 20;

/// For how many seconds a token holds.
const TOKEN_LIVES: u64 = 3600;

/// What this stand-in remembers.
#[derive(Debug, Default)]
struct Memory {
    shelf: shelf::Shelf,
    tray: tray::Tray,
}

type Own = Extension<Arc<Mutex<Memory>>>;

/// Nothing is left half-done under this lock, so a panic elsewhere takes nothing from it.
fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What it answers to, and how.
pub(super) fn router() -> Router<Arc<Desk>> {
    let own: Arc<Mutex<Memory>> = Arc::default();
    Router::new()
        .route(
            "/whatsapp/1/message/{*call}",
            post(sending::messages).layer(DefaultBodyLimit::max(BULK_BYTES_MAX)),
        )
        .route(
            "/whatsapp/2/senders/{sender}/templates",
            get(list).post(make),
        )
        .route(
            "/whatsapp/2/senders/{sender}/templates/{template}",
            get(one).patch(change).delete(remove),
        )
        .route("/whatsapp/2/logs", get(logs))
        .route("/messages-api/1/reports", get(reports))
        .route("/auth/1/oauth2/token", post(token))
        .fallback(elsewhere)
        .method_not_allowed_fallback(elsewhere)
        .layer(Extension(own))
}

async fn elsewhere() -> Response {
    words::exception(StatusCode::NOT_FOUND, &Errors::new())
}

/// Whether something lets the request in; whatever it is will do.
fn is_let_in(headers: &HeaderMap) -> bool {
    let shown = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let (scheme, secret) = shown.and_then(|it| it.split_once(' ')).unwrap_or_default();
    matches!(scheme, "App" | "Basic" | "Bearer" | "IBSSO") && !secret.trim().is_empty()
}

/// The JSON of a request that is let in.
fn admit(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Value, Box<Response>> {
    let refused = |status| Box::new(words::exception(status, &Errors::new()));
    if !is_let_in(headers) {
        return Err(refused(StatusCode::UNAUTHORIZED));
    }
    let body = body.map_err(|_| refused(StatusCode::PAYLOAD_TOO_LARGE))?;
    serde_json::from_slice(&body).map_err(|_| refused(StatusCode::BAD_REQUEST))
}

async fn list(Extension(own): Own, Path(sender): Path<String>, headers: HeaderMap) -> Response {
    if !is_let_in(&headers) {
        return words::exception(StatusCode::UNAUTHORIZED, &Errors::new());
    }
    let templates = lock(&own).shelf.of(&sender).to_vec();
    answer(
        StatusCode::OK,
        json!({ "templates": templates }).to_string(),
    )
}

async fn one(
    Extension(own): Own,
    Path((sender, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !is_let_in(&headers) {
        return words::exception(StatusCode::UNAUTHORIZED, &Errors::new());
    }
    match lock(&own).shelf.one(&sender, &id) {
        Some(template) => answer(StatusCode::OK, template.to_string()),
        None => words::exception(StatusCode::NOT_FOUND, &Errors::new()),
    }
}

async fn make(
    Extension(own): Own,
    Path(sender): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match admit(&headers, body) {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    match lock(&own).shelf.make(&sender, &body, clock::now()) {
        Ok(template) => answer(StatusCode::CREATED, template.to_string()),
        Err(errors) => words::exception(StatusCode::BAD_REQUEST, &errors),
    }
}

async fn change(
    Extension(own): Own,
    Path((sender, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match admit(&headers, body) {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    match lock(&own).shelf.change(&sender, &id, &body) {
        Some(template) => answer(StatusCode::OK, template.to_string()),
        None => words::exception(StatusCode::NOT_FOUND, &Errors::new()),
    }
}

async fn remove(
    Extension(own): Own,
    Path((_, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !is_let_in(&headers) {
        return words::exception(StatusCode::UNAUTHORIZED, &Errors::new());
    }
    if lock(&own).shelf.remove(&name) {
        return StatusCode::NO_CONTENT.into_response();
    }
    words::exception(StatusCode::NOT_FOUND, &Errors::new())
}

async fn reports(Extension(own): Own, uri: Uri, headers: HeaderMap) -> Response {
    if !is_let_in(&headers) {
        return words::error(StatusCode::UNAUTHORIZED, None);
    }
    let found = lock(&own).tray.reports(uri.query().unwrap_or_default());
    answer(StatusCode::OK, found.to_string())
}

async fn logs(Extension(own): Own, uri: Uri, headers: HeaderMap) -> Response {
    if !is_let_in(&headers) {
        return words::exception(StatusCode::UNAUTHORIZED, &Errors::new());
    }
    let found = lock(&own).tray.logs(uri.query().unwrap_or_default());
    answer(StatusCode::OK, found.to_string())
}

/// Gives a token to every client that has a secret.
async fn token(State(desk): State<Arc<Desk>>, body: Bytes) -> Response {
    let has = |key: &str| {
        let mut pairs = form_urlencoded::parse(&body);
        pairs.any(|(name, value)| name == key && !value.is_empty())
    };
    let grant = form_urlencoded::parse(&body).find(|(name, _)| name == "grant_type");
    let is_known = grant.is_some_and(|(_, grant)| grant == "client_credentials");
    if !is_known || !has("client_id") || !has("client_secret") {
        return words::exception(StatusCode::BAD_REQUEST, &Errors::new());
    }
    let token = desk.ledger.digits();
    let body = json!({
        "access_token": token, "expires_in": TOKEN_LIVES, "token_type": "Bearer",
    });
    answer(StatusCode::OK, body.to_string())
}
