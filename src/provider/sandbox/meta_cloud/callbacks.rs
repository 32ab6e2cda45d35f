//! Callbacks as the Cloud API has them, signed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::callbacks::{Form, Speaker, Status};
use crate::clock;
use crate::provider::meta_cloud::SIGNATURE;
use crate::provider::{Secret, signature};

pub(in crate::provider::sandbox) const FORM: Form = Form {
    bodies: |statuses| vec![body(statuses)],
    headers: |secret, _, body| {
        let signature = signature::sign(secret, body.as_bytes());
        vec![(SIGNATURE, Secret::new(signature))]
    },
};

/// What happens to a message after it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is sent, delivered and read.
    Read,
    /// It is reported as undeliverable.
    Failed,
}

/// Has said what happens to a message of this number, with this id, to these digits. `echoed` is
/// the sender's own name of it.
pub(super) fn tell(
    speaker: &Speaker,
    phone_number_id: &str,
    (id, digits, echoed): (&str, &str, Option<&str>),
    fate: Fate,
) {
    let words: &[&str] = match fate {
        Fate::Read => &["sent", "delivered", "read"],
        Fate::Failed => &["failed"],
    };
    for word in words {
        let mut content = json!({"id": id, "status": word, "recipient_id": digits,
            "timestamp": (clock::now().as_millis() / 1_000).to_string()});
        if let Some(echoed) = echoed {
            content["biz_opaque_callback_data"] = echoed.into();
        }
        if fate == Fate::Failed {
            let title = "Message undeliverable";
            content["errors"] = json!([{"code": 131_026, "title": title, "message": title,
                "error_data": {"details": "Message Undeliverable."}}]);
        }
        speaker.tell(Status {
            about: phone_number_id.to_owned(),
            content,
        });
    }
}

/// The callback that holds these statuses.
fn body(statuses: &[Status]) -> String {
    let mut by_number: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for status in statuses {
        let of_number = by_number.entry(&status.about).or_default();
        of_number.push(&status.content);
    }
    let change = |(number, statuses): (&str, Vec<&Value>)| {
        json!({"field": "messages", "value": {"messaging_product": "whatsapp",
            "metadata": {"display_phone_number": number, "phone_number_id": number},
            "statuses": statuses}})
    };
    let changes: Vec<Value> = by_number.into_iter().map(change).collect();
    json!({"object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": changes}]})
    .to_string()
}
