//! Bird's Channels API, its list of templates, and the service window of a contact.
//!
//! With [`Numbers::Scripted`] the last four digits of the recipient say what happens:
//!
//! | ends in | what happens |
//! |---|---|
//! | `0404` | stored as `sending_failed`: WhatsApp cannot deliver it (131026) |
//! | `0410` | stored as `skipped`: the recipient gets nothing more |
//! | `0429` | throttled once (`Retry-After: 1`), then accepted |
//! | `0470` | accepted; without a template it fails later: its window is closed (131047) |
//! | `0500` | the service fails once in its own words, then accepted |
//! | `0502` | a gateway fails without Bird's words: the message may have gone out |
//! | `0408` | accepted, but the answer comes only after a minute |
//! | `0504` | accepted, but a gateway answers in place of Bird |
//! | `0505` | the same, and it fails later |
//! | `0526` | accepted, and it fails later |
//!
//! Where it calls back, the states `sent` and `delivered` follow, or that in which one failed.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value as Json, json};

use super::meta_cloud::gateway;
use super::{Desk, LATE, Numbers, json as answer};
use crate::clock;
use crate::provider::bird::is_uuid;
use envelope::Envelope;
use refusal::Refusal;
use registry::Registry;
use shelf::{Failure, Shelf};

pub(super) use callbacks::FORM as CALLBACKS;

mod body;
mod callbacks;
mod envelope;
mod refusal;
mod registry;
mod shape;
mod shelf;
#[cfg(test)]
mod tests;

/// What follows a `?`.
type Asked = HashMap<String, String>;

fn asked(uri: &Uri) -> Asked {
    let query = uri.query().unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).into_owned().collect()
}

/// What it answers to, and how. It has these templates; without any it takes any.
pub(super) fn router(templates: &[Json]) -> Router<Arc<Desk>> {
    let shelf = Arc::new(Shelf::new(Registry::of(templates)));
    let channel = "/workspaces/{workspace}/channels/{channel}";
    Router::new()
        .route(
            &format!("{channel}/messages"),
            post(send).get(list_messages),
        )
        .route(&format!("{channel}/messages/{{message}}"), get(message))
        .route(&format!("{channel}/contacts/{{contact}}"), get(window))
        .route("/workspaces/{workspace}/projects", get(projects))
        .route(
            "/workspaces/{workspace}/projects/{project}/channel-templates",
            get(channel_templates),
        )
        .fallback(elsewhere)
        .method_not_allowed_fallback(elsewhere)
        .layer(Extension(shelf))
}

/// A refusal with this HTTP status.
pub(super) fn refusal(status: StatusCode) -> Response {
    match Refusal::of(status.as_u16()) {
        Some(refusal) => refusal.into_response(),
        None => gateway(status),
    }
}

async fn send(
    State(desk): State<Arc<Desk>>,
    Extension(shelf): Extension<Arc<Shelf>>,
    Path((workspace, channel)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    desk.ledger.heard();
    let body = admitted(&headers, &[&workspace, &channel])
        .and_then(|()| body.map_err(|_| Refusal::unreadable("the request is cut off")));
    let judged = match body {
        Ok(body) => judge(&desk, &shelf, &channel, &body),
        Err(refusal) => Err(refusal.into()),
    };
    let reply = match judged {
        Ok(taken) => {
            desk.ledger.accepted();
            if taken.late {
                desk.pause(LATE).await;
            }
            answer(StatusCode::ACCEPTED, taken.stored.to_string())
        }
        Err(trouble) => {
            desk.ledger.refused();
            trouble.into_response()
        }
    };
    desk.take_time().await;
    reply
}

async fn message(
    Extension(shelf): Extension<Arc<Shelf>>,
    Path((workspace, channel, message)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    said(admitted(&headers, &[&workspace, &channel]).and_then(|()| {
        let found = shelf.message(&channel, &message);
        found.ok_or_else(|| Refusal::missing("message not found"))
    }))
}

async fn list_messages(
    Extension(shelf): Extension<Arc<Shelf>>,
    Path((workspace, channel)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    said(admitted(&headers, &[&workspace, &channel]).and_then(|()| {
        let asked = asked(&uri);
        let page = Page::of(&asked, 1000)?;
        let wanted = |message: &Json| {
            ["status", "direction"]
                .iter()
                .all(|key| asked.get(*key).is_none_or(|it| message[key] == it.as_str()))
        };
        Ok(page.of_list(shelf.messages(&channel).into_iter().filter(wanted)))
    }))
}

async fn window(
    Path((workspace, channel, contact)): Path<(String, String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    said(admitted(&headers, &[&workspace, &channel]).map(|()| {
        let asked = asked(&uri);
        let number = asked.get("contactIdentifierValue").unwrap_or(&contact);
        let ends = (!is_closed(number)).then(|| shelf::in_a_day(clock::now()));
        json!({ "serviceWindowExpireAt": ends, "isPermanentSession": false })
    }))
}

async fn projects(
    Extension(shelf): Extension<Arc<Shelf>>,
    Path(workspace): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    said(admitted(&headers, &[&workspace]).and_then(|()| {
        let page = Page::of(&asked(&uri), 100)?;
        Ok(page.of_list(shelf.registry.projects(&workspace).into_iter()))
    }))
}

async fn channel_templates(
    Extension(shelf): Extension<Arc<Shelf>>,
    Path((workspace, project)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    said(admitted(&headers, &[&workspace, &project]).and_then(|()| {
        let page = Page::of(&asked(&uri), 100)?;
        let found = shelf.registry.templates(&project);
        let found = found.ok_or_else(|| Refusal::missing("project not found"))?;
        Ok(page.of_list(found.into_iter()))
    }))
}

async fn elsewhere(uri: Uri) -> Response {
    let shown: String = uri.path().chars().take(200).collect();
    Refusal::missing(format!("no such path: {shown}")).into_response()
}

fn said(found: Result<Json, Refusal>) -> Response {
    match found {
        Ok(found) => answer(StatusCode::OK, found.to_string()),
        Err(refusal) => refusal.into_response(),
    }
}

/// Whether a request is let in: it shows a key, and the ids in its path are ids. Any will do.
fn admitted(headers: &HeaderMap, ids: &[&String]) -> Result<(), Refusal> {
    let key = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let key = key.and_then(|value| value.strip_prefix(b"AccessKey "));
    if key.is_none_or(<[u8]>::is_empty) {
        return Err(Refusal::unauthorized());
    }
    if !ids.iter().all(|id| is_uuid(id)) {
        return Err(Refusal::missing("workspace, channel or project not found"));
    }
    Ok(())
}

/// Which part of a list is asked for.
struct Page {
    from: usize,
    limit: usize,
}

impl Page {
    fn of(asked: &Asked, limit_max: usize) -> Result<Self, Refusal> {
        let number = |key: &str, default: usize| match asked.get(key) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| key.to_owned()),
        };
        let limit = number("limit", 10).and_then(|limit| {
            let good = (1..=limit_max).contains(&limit);
            good.then_some(limit).ok_or_else(|| "limit".to_owned())
        });
        let from = number("pageToken", 0);
        match (from, limit) {
            (Ok(from), Ok(limit)) => Ok(Self { from, limit }),
            (Err(key), _) | (_, Err(key)) => Err(Refusal::invalid([(key, "not taken")])),
        }
    }

    fn of_list(&self, all: impl Iterator<Item = Json>) -> Json {
        let mut rest = all.skip(self.from);
        let results: Vec<Json> = rest.by_ref().take(self.limit).collect();
        let next = rest.next().is_some();
        let next = next.then(|| (self.from + self.limit).to_string());
        json!({ "results": results, "nextPageToken": next })
    }
}

/// A message that was stored.
struct Taken {
    stored: Json,
    late: bool,
}

/// What happens to a message that is stored.
#[derive(Default)]
struct Course {
    /// Whether its answer comes only when nobody waits for it any more.
    is_late: bool,
    /// Whether another answer comes in its place.
    is_lost: bool,
    /// Why it goes no further, as its answer says.
    fails: Option<Failure>,
    /// Why it goes no further, as is known only later.
    fails_later: Option<Failure>,
}

/// Checks a message in the order in which the real API is thought to.
fn judge(desk: &Desk, shelf: &Shelf, channel: &str, body: &[u8]) -> Result<Taken, Trouble> {
    if let Some(rate) = desk.behaviour.rate
        && !desk.ledger.within(rate, channel, clock::steady())
    {
        return Err(Refusal::throttled().into());
    }
    let envelope = Envelope::read(body)?;
    let now = clock::now();
    let scheduled = envelope.check(&shelf.registry, now)?;
    let attempt = envelope.reference().unwrap_or(envelope.to());
    let mut course = match desk.behaviour.numbers {
        Numbers::Plain => Course::default(),
        Numbers::Scripted => script(desk, &envelope, attempt)?,
    };
    if envelope.unsupported() {
        course.fails = Some(Failure::UNSUPPORTED);
    }
    let status = match (&course.fails, scheduled) {
        (Some(failure), _) => failure.status,
        (None, true) => "scheduled",
        (None, false) => "accepted",
    };
    let number = desk.ledger.message_number();
    let mut stored = envelope.stored((channel, &desk.ledger.message_id(number)), now);
    shelf::put(&mut stored, status, course.fails);
    desk.ledger.remember(attempt, number, now);
    let mut kept = stored.clone();
    if let Some(failure) = course.fails_later {
        shelf::put(&mut kept, failure.status, course.fails_later);
    }
    shelf.keep(kept);
    if let Some(speaker) = desk.speaker.get() {
        let failure = course.fails.or(course.fails_later);
        callbacks::tell(speaker, channel, &stored, failure);
    }
    if course.is_lost {
        return Err(Trouble::Gateway);
    }
    Ok(Taken {
        stored,
        late: course.is_late,
    })
}

fn script(desk: &Desk, envelope: &Envelope, attempt: &str) -> Result<Course, Trouble> {
    let to = envelope.to();
    let ending = to.get(to.len().saturating_sub(4)..).unwrap_or_default();
    match ending {
        "0429" if desk.ledger.is_first_trouble(attempt) => Err(Refusal::throttled().into()),
        "0500" if desk.ledger.is_first_trouble(attempt) => Err(Refusal::failed().into()),
        "0502" => Err(Trouble::Gateway),
        ending => Ok(Course {
            is_late: ending == "0408",
            is_lost: matches!(ending, "0504" | "0505"),
            fails: match ending {
                "0404" => Some(Failure::UNDELIVERABLE),
                "0410" => Some(Failure::SKIPPED),
                _ => None,
            },
            fails_later: match ending {
                "0505" | "0526" => Some(Failure::UNDELIVERED),
                _ if is_closed(to) && !envelope.is_template() => Some(Failure::WINDOW_CLOSED),
                _ => None,
            },
        }),
    }
}

/// Whether the recipient wrote nothing for a day.
fn is_closed(number: &str) -> bool {
    number.ends_with("0470")
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

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = answer(status, self.body());
        if let Some(seconds) = self.retry_after_secs {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
