//! Files that are uploaded to the stand-in: it looks whether the API would take them, gives each an
//! id, and forgets their content.

use std::sync::Arc;

use axum::extract::multipart::{Field, Multipart, MultipartRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::{Desk, MediaIds};
use super::envelope::{self, Refusal};
use super::json;

/// The largest upload that is read: the largest file, and the form around it.
pub(super) const UPLOAD_BYTES_MAX: usize = (100 << 20) + (64 << 10);

const MB: usize = 1 << 20;

/// The types that are taken, by how they begin, and how large each may be.
const TYPES: [(&str, usize); 15] = [
    ("audio/aac", 16 * MB),
    ("audio/amr", 16 * MB),
    ("audio/mpeg", 16 * MB),
    ("audio/mp4", 16 * MB),
    ("audio/ogg", 16 * MB),
    ("image/jpeg", 5 * MB),
    ("image/png", 5 * MB),
    ("image/webp", 500 << 10),
    ("video/mp4", 16 * MB),
    ("video/3gpp", 16 * MB),
    ("text/plain", 100 * MB),
    ("application/pdf", 100 * MB),
    ("application/msword", 100 * MB),
    ("application/vnd.ms-", 100 * MB),
    ("application/vnd.openxmlformats-officedocument.", 100 * MB),
];

/// The members of a message that are files.
const KINDS: [&str; 6] = ["image", "video", "gif", "document", "audio", "sticker"];

pub(super) async fn upload(
    State(desk): State<Arc<Desk>>,
    Path((version, phone_number_id)): Path<(String, String)>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    let judged = match admit(&version, &phone_number_id, &headers) {
        Ok(()) => judge(form).await,
        Err(refusal) => Err(refusal),
    };
    let answer = match judged {
        Ok(()) => json(
            StatusCode::OK,
            json!({ "id": desk.ledger.media_id() }).to_string(),
        ),
        Err(refusal) => {
            desk.ledger.refused();
            refusal.into_response()
        }
    };
    desk.take_time().await;
    answer
}

fn admit(version: &str, phone_number_id: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let bearer = headers.get(AUTHORIZATION);
    envelope::bearer(bearer.map(HeaderValue::as_bytes))?;
    envelope::path(version, phone_number_id)
}

/// Reads a form and says whether its file is taken.
async fn judge(form: Result<Multipart, MultipartRejection>) -> Result<(), Refusal> {
    let unreadable = || Refusal::unreadable("the form is too large, cut off or none");
    let mut form = form.map_err(|_| unreadable())?;
    let (mut product, mut kind, mut file) = (None, None, None);
    while let Some(field) = form.next_field().await.map_err(|_| unreadable())? {
        let slot = match field.name() {
            Some("messaging_product") => &mut product,
            Some("type") => &mut kind,
            Some("file") => {
                file = Some(read_file(field).await.ok_or_else(unreadable)?);
                continue;
            }
            _ => return Err(Refusal::parameter("the form has an unknown field")),
        };
        *slot = Some(field.text().await.map_err(|_| unreadable())?);
    }
    if product.as_deref() != Some("whatsapp") {
        return Err(Refusal::parameter("messaging_product must be whatsapp"));
    }
    let (Some(kind), Some((of_file, size))) = (kind, file) else {
        return Err(Refusal::missing("the form lacks type or file"));
    };
    is_taken(&kind, &of_file, size)
}

/// The type and the size of the file in a form; `None` if it is cut off.
async fn read_file(mut field: Field<'_>) -> Option<(String, usize)> {
    let kind = field.content_type().unwrap_or_default().to_owned();
    field.file_name()?;
    let mut size = 0;
    while let Some(chunk) = field.chunk().await.ok()? {
        size += chunk.len();
    }
    Some((kind, size))
}

fn is_taken(kind: &str, of_file: &str, size: usize) -> Result<(), Refusal> {
    if kind != of_file {
        return Err(Refusal::parameter("type is not the type of the file"));
    }
    let limit = TYPES.iter().find(|(start, _)| kind.starts_with(start));
    match limit {
        Some((_, most)) if (1..=*most).contains(&size) => Ok(()),
        Some(_) => Err(Refusal::parameter("the file is empty or too large")),
        None => Err(Refusal::parameter("files of this type are not taken")),
    }
}

impl Desk {
    /// Whether each file that a message names by an id was uploaded here, if that is looked at.
    pub(super) fn knows_files(&self, message: &[u8]) -> Result<(), Refusal> {
        if self.behaviour.media_ids == MediaIds::Any {
            return Ok(());
        }
        let message = serde_json::from_slice(message).unwrap_or(Value::Null);
        let mut ids = Vec::new();
        find_ids(&message, &mut ids);
        if ids.into_iter().all(|id| self.ledger.has_media(id)) {
            return Ok(());
        }
        Err(Refusal::parameter(
            "Param is not a valid whatsapp business account media attachment ID",
        ))
    }
}

/// The ids of the files in a message.
fn find_ids<'v>(value: &'v Value, ids: &mut Vec<&'v str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| find_ids(item, ids)),
        Value::Object(members) => {
            for (key, member) in members {
                if KINDS.contains(&key.as_str()) {
                    ids.extend(member["id"].as_str());
                }
                find_ids(member, ids);
            }
        }
        _ => {}
    }
}
