//! Delivery receipts as Webex Connect has them, signed where there is a secret.

use serde_json::json;

use super::super::callbacks::{Form, Speaker, Status};
use super::envelope::Envelope;
use crate::clock;
use crate::provider::webex_connect::SIGNATURE;
use crate::provider::{Secret, signature};

pub(in crate::provider::sandbox) const FORM: Form = Form {
    bodies: Form::PLAIN.bodies,
    headers: |secret, _, body| {
        let signature = signature::sign(secret, body.as_bytes());
        vec![(SIGNATURE, Secret::new(signature))]
    },
};

/// Has said what happens to a message that was queued as `transid`.
pub(super) fn tell(speaker: &Speaker, known: &Envelope<'_>, transid: &str, fails: bool) {
    let words: &[(&str, &str, &str)] = if fails {
        &[("Failed", "7871", "(#131026)  | Message undeliverable")]
    } else {
        &[
            ("Submitted", "7501", ""),
            ("Delivered", "7500", ""),
            ("Read", "7502", ""),
        ]
    };
    for (status, code, more) in words {
        let info = json!({
            "timeStamp": clock::now().to_string(), "waid": known.digits, "bsuid": "",
            "destination": known.digits, "destinationType": "waid", "waidNormalized": "false",
            "deliveryChannel": "whatsapp", "deliveryStatus": status, "code": code,
            "Description": status, "additionalInfo": more, "identityKeyHash": "",
        });
        speaker.tell(Status {
            about: known.app_id.to_owned(),
            content: json!({ "deliveryInfoNotification": {
                "deliveryInfo": info, "subtid": "", "transid": format!("{transid}_0"),
                "callbackData": known.callback_data,
                "correlationid": known.correlation_id.unwrap_or_default(),
            } }),
        });
    }
}
