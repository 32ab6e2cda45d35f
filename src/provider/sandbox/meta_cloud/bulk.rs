//! The call that takes many messages at once: it answers each as the call for one would have.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::envelope::{Call, Refusal};
use super::{Desk, LATE, Taken, Trouble, accepted, json};

/// The most messages of one request.
pub const BULK_MESSAGES_MAX: usize = 100;

/// The largest request that is read, in bytes: as many of the largest messages.
pub(super) const BULK_BYTES_MAX: usize = BULK_MESSAGES_MAX * super::REQUEST_BYTES_MAX;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bulk<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    id: Option<String>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// What the answer to this message alone would hold; left out where that is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

/// Answers one request.
pub(super) async fn messages(
    State(desk): State<Arc<Desk>>,
    Path((version, phone_number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    desk.ledger.heard();
    let admitted = Desk::admit(&version, &phone_number_id, &headers, body);
    let read = admitted.and_then(|body| desk.judge_all(&phone_number_id, &body));
    let answer = match read {
        Ok((answers, is_late)) => {
            if is_late {
                desk.pause(LATE).await;
            }
            let body = serde_json::json!({ "messages": answers }).to_string();
            json(StatusCode::OK, body)
        }
        Err(refusal) => {
            desk.ledger.refused();
            refusal.into_response()
        }
    };
    desk.take_time().await;
    answer
}

impl Desk {
    /// Checks each message by itself. One whose answer is late makes all of them late.
    fn judge_all(
        &self,
        phone_number_id: &str,
        body: &[u8],
    ) -> Result<(Vec<Answer>, bool), Refusal> {
        let bulk: Bulk<'_> = serde_json::from_slice(body)
            .map_err(|_| Refusal::parameter("the body is no list of messages"))?;
        if bulk.messages.is_empty() {
            return Err(Refusal::missing("messages is empty"));
        }
        if bulk.messages.len() > BULK_MESSAGES_MAX {
            return Err(Refusal::parameter("messages holds more than 100"));
        }
        let mut is_late = false;
        let answers = bulk.messages.iter().map(|message| {
            let (id, judged) =
                self.judge_one(phone_number_id, Call::Messages, message.get().as_bytes());
            is_late |= judged.as_ref().is_ok_and(|taken| taken.late);
            answer(id, &judged)
        });
        Ok((answers.collect(), is_late))
    }
}

fn answer(id: Option<String>, judged: &Result<Taken, Trouble>) -> Answer {
    let (status, retry_after, body) = match judged {
        Ok(taken) => (200, None, Some(accepted(taken))),
        Err(Trouble::Refusal(refusal)) => {
            let body = Some(refusal.body());
            (refusal.status, refusal.retry_after_secs, body)
        }
        Err(Trouble::Gateway) => (502, None, None),
    };
    let body = body.map(|body| RawValue::from_string(body).expect("answers are JSON"));
    Answer {
        id,
        status,
        retry_after,
        body,
    }
}
