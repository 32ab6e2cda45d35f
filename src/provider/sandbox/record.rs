//! What a stand-in was asked, written down: one line of JSON for each request, with its method,
//! path, query and body, and none of its headers, which hold secrets.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::super::Error;

/// The largest body that is written down, in bytes; a larger one is refused as too large.
const BODY_BYTES_MAX: usize = 128 << 20;

/// A file that requests are written to.
#[derive(Clone, Debug)]
pub struct Record {
    file: Arc<Mutex<File>>,
}

impl Record {
    /// Writes to a file that is made, or emptied.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(|source| Error::Record {
            path: path.into(),
            source,
        })?;
        let file = Arc::new(Mutex::new(file));
        Ok(Self { file })
    }

    fn write(&self, line: &Value) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not make the stand-in answer otherwise than it would.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

/// Writes a request down before it is answered.
pub(super) async fn keep(State(record): State<Record>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    record.write(&json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "body": readable(&body),
    }));
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// A body as JSON where it is JSON, as text where it is text, otherwise its length.
fn readable(body: &[u8]) -> Value {
    match (serde_json::from_slice(body), std::str::from_utf8(body)) {
        (Ok(value), _) => value,
        (Err(_), Ok("")) => Value::Null,
        (Err(_), Ok(text)) => text.into(),
        (Err(_), Err(_)) => json!({ "bytes": body.len() }),
    }
}
