//! Callbacks as Bird has them: one for each state that a message comes to, signed.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value as Json, json};

use super::super::callbacks::{Form, Speaker, Status};
use super::shelf::{self, Failure};
use crate::clock;
use crate::provider::bird::receipts::{SIGNATURE, SIGNED_AT, signed_bytes};
use crate::provider::{Secret, signature};

pub(in crate::provider::sandbox) const FORM: Form = Form {
    bodies: |statuses| {
        let bodies = statuses.iter().map(|status| status.content.to_string());
        bodies.collect()
    },
    headers: |secret, url, body| {
        let seconds = (clock::now().as_millis() / 1_000).to_string();
        let tag = signature::tag(secret, &signed_bytes(&seconds, url, body.as_bytes()));
        vec![
            (SIGNED_AT, Secret::new(seconds)),
            (SIGNATURE, Secret::new(BASE64_STANDARD.encode(tag))),
        ]
    },
};

/// Has said what becomes of a message that was stored; with a `failure`, that it comes to nothing.
pub(super) fn tell(speaker: &Speaker, channel: &str, stored: &Json, failure: Option<Failure>) {
    let states: &[&str] = match &failure {
        Some(failure) => &[failure.status],
        None => &["sent", "delivered"],
    };
    for state in states {
        speaker.tell(Status {
            about: channel.to_owned(),
            content: told(stored, state, failure),
        });
    }
}

/// The callback for a message in this state.
pub(super) fn told(stored: &Json, state: &str, failure: Option<Failure>) -> Json {
    let mut message = stored.clone();
    shelf::put(&mut message, state, failure);
    let now = json!(clock::now().to_string());
    message["lastStatusAt"] = now.clone();
    message["updatedAt"] = now;
    json!({ "service": "channels", "event": "whatsapp.outbound", "payload": message })
}
