//! The calls by which templates are listed, made, changed and removed.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use url::form_urlencoded;

use super::envelope::Refusal;
use super::{Desk, json};

/// Lists templates.
pub(super) async fn list(
    State(desk): State<Arc<Desk>>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let admitted = Desk::admit(&path.0, &path.1, &headers, Ok(Bytes::new()));
    let asked = asked(&uri);
    let done = admitted.map(|_| desk.templates().list(&asked, uri.path()));
    answer(&desk, done).await
}

/// Takes a template.
pub(super) async fn create(
    State(desk): State<Arc<Desk>>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let admitted = Desk::admit(&path.0, &path.1, &headers, Ok(body));
    let done = admitted.and_then(|body| desk.templates().create(&read(&body)?));
    answer(&desk, done).await
}

/// Changes a template.
pub(super) async fn edit(
    State(desk): State<Arc<Desk>>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let admitted = Desk::admit(&path.0, &path.1, &headers, Ok(body));
    let done = admitted.and_then(|body| desk.templates().edit(&path.1, &read(&body)?));
    answer(&desk, done).await
}

/// Gives a template a status.
pub(super) async fn set_status(
    State(desk): State<Arc<Desk>>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let admitted = Desk::admit(&path.0, &path.1, &headers, Ok(body));
    let done = admitted.and_then(|body| desk.templates().set_status(&path.1, &read(&body)?));
    answer(&desk, done).await
}

/// Removes templates.
pub(super) async fn delete(
    State(desk): State<Arc<Desk>>,
    Path(path): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let admitted = Desk::admit(&path.0, &path.1, &headers, Ok(Bytes::new()));
    let done = admitted.and_then(|_| desk.templates().delete(&asked(&uri)));
    answer(&desk, done).await
}

fn asked(uri: &Uri) -> HashMap<String, String> {
    let query = uri.query().unwrap_or_default().as_bytes();
    form_urlencoded::parse(query).into_owned().collect()
}

fn read(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::parameter("the body is not JSON"))
}

async fn answer(desk: &Desk, done: Result<Value, Refusal>) -> Response {
    desk.take_time().await;
    match done {
        Ok(body) => json(StatusCode::OK, body.to_string()),
        Err(refusal) => refusal.into_response(),
    }
}
