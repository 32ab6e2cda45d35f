//! The call that says what the stand-in took, by the ids of attempts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use url::form_urlencoded;

use super::envelope::{self, Refusal};
use super::{Desk, json as answer};
use crate::provider::ASKED_MAX;

/// Answers one question.
pub(super) async fn taken(
    State(desk): State<Arc<Desk>>,
    Path(version): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let bearer = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    // Of the path only the version is in question.
    let admitted = envelope::bearer(bearer).and_then(|()| envelope::path(&version, "1"));
    let response = match admitted.and_then(|()| desk.told(uri.query().unwrap_or_default())) {
        Ok(body) => answer(StatusCode::OK, body),
        Err(refusal) => refusal.into_response(),
    };
    desk.take_time().await;
    response
}

impl Desk {
    fn told(&self, query: &str) -> Result<String, Refusal> {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let ids = pairs.filter(|(name, _)| name == "id");
        let ids: Vec<_> = ids.map(|(_, id)| id).take(ASKED_MAX + 1).collect();
        if ids.len() > ASKED_MAX {
            return Err(Refusal::parameter("more than 50 ids"));
        }
        let messages: Vec<_> = ids
            .iter()
            .filter_map(|id| {
                let (message_id, at) = self.ledger.taken(id)?;
                Some(json!({"id": id, "messageId": message_id, "takenAtMs": at.as_millis()}))
            })
            .collect();
        Ok(json!({ "messages": messages }).to_string())
    }
}
