//! Callbacks of the Cloud API: who signed one, and the statuses in it. Other news that come the
//! same way, such as messages of recipients, are passed over.

use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded;

use super::MetaCloud;
use super::codes;
use crate::batch::Moment;
use crate::delivery::AttemptId;
use crate::delivery::receipt::{Callback, Receipt, Says};
use crate::provider::cause::Cause;
use crate::provider::meaning::{Class, PROVIDER_ID_BYTES_MAX};
use crate::provider::{CallbackSecrets, Proof, signature};

/// The header with the signature.
pub(in crate::provider) const SIGNATURE: &str = "x-hub-signature-256";

/// The longest text that is given back to a provider that asks whether somebody listens.
const CHALLENGE_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
struct News {
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    field: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Status {
    id: String,
    #[serde(rename = "status")]
    word: String,
    /// Seconds since 1970, as text.
    timestamp: String,
    biz_opaque_callback_data: Option<String>,
    #[serde(default)]
    errors: Vec<Value>,
}

impl MetaCloud {
    /// What a callback shows of where it comes from.
    pub(super) fn verified(callback: &Callback, secrets: &CallbackSecrets) -> Proof {
        if secrets.app_secret.reveal().is_empty() {
            return Proof::Unsigned;
        }
        let signed = callback.header(SIGNATURE).is_some_and(|signature| {
            signature::is_signed(&secrets.app_secret, &callback.body, signature)
        });
        if signed { Proof::Signed } else { Proof::Wrong }
    }

    /// The answer to the question that is asked when the address of callbacks is set up.
    pub(super) fn challenged(callback: &Callback, secrets: &CallbackSecrets) -> Option<String> {
        let (mut mode, mut token, mut challenge) = (None, None, None);
        for (name, value) in form_urlencoded::parse(callback.query().as_bytes()) {
            match &*name {
                "hub.mode" => mode = Some(value),
                "hub.verify_token" => token = Some(value),
                "hub.challenge" => challenge = Some(value),
                _ => {}
            }
        }
        let is_asked = mode? == "subscribe" && secrets.verify_token.is(&token?);
        let is_plain = |text: &str| {
            text.len() <= CHALLENGE_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let challenge = challenge?.into_owned();
        (is_asked && is_plain(&challenge)).then_some(challenge)
    }

    /// The receipts in a callback.
    pub(super) fn read_receipts(&self, callback: &Callback) -> Vec<Receipt> {
        // The parser itself bounds the nesting, at 128.
        let Ok(news) = serde_json::from_slice::<News>(&callback.body) else {
            return Vec::new();
        };
        let mut receipts = Vec::new();
        let changes = news.entry.into_iter().flat_map(|entry| entry.changes);
        for mut change in changes.filter(|change| change.field == "messages") {
            let Value::Array(statuses) = change.value["statuses"].take() else {
                continue;
            };
            let statuses = statuses.into_iter();
            receipts.extend(statuses.filter_map(|status| self.receipt(status)));
        }
        receipts
    }

    fn receipt(&self, status: Value) -> Option<Receipt> {
        let status: Status = serde_json::from_value(status).ok()?;
        let says = match status.word.as_str() {
            "sent" => Says::Accepted,
            "delivered" => Says::Delivered,
            "read" | "played" => Says::Read,
            "failed" => self.failed(status.errors.first()),
            _ => return None,
        };
        let seconds: i64 = status.timestamp.parse().ok()?;
        let id = Some(status.id).filter(|id| id.len() <= PROVIDER_ID_BYTES_MAX);
        Some(Receipt {
            attempt: status
                .biz_opaque_callback_data
                .and_then(|text| AttemptId::parse(&text)),
            provider_id: id.filter(|id| !id.chars().any(char::is_control))?,
            says,
            at: Moment::from_millis(seconds.saturating_mul(1_000)),
        })
    }

    fn failed(&self, error: Option<&Value>) -> Says {
        let text = |pointer: &str| error?.pointer(pointer)?.as_str();
        let code = error.and_then(|error| super::integer(&error["code"]));
        let entry = code.and_then(|code| codes::meaning(code, None));
        let words = ["/error_data/details", "/message", "/title"];
        let words = words.iter().find_map(|pointer| text(pointer));
        let cause = entry.map_or(Cause::Refused, |entry| entry.cause);
        let code = code.map_or_else(String::new, |code| code.to_string());
        Says::Failed {
            reason: cause.reason(
                &self.credential.removed_from(words.unwrap_or_default()),
                code,
            ),
            in_row: entry.is_some_and(|entry| entry.class == Class::BadRow),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::Adapter as _;
    use crate::provider::Secret;

    fn adapter() -> MetaCloud {
        MetaCloud::new("https://graph.example/v25.0".into(), Secret::new("a-token"))
    }

    fn secrets() -> CallbackSecrets {
        CallbackSecrets {
            app_secret: Secret::new("the-app-secret"),
            verify_token: Secret::new("the-token"),
            ..CallbackSecrets::default()
        }
    }

    fn callback(body: &Value) -> Callback {
        Callback {
            target: "/receipts/meta-cloud".into(),
            headers: Vec::new(),
            body: body.to_string().into(),
        }
    }

    fn statuses(statuses: &Value) -> Callback {
        callback(
            &json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [
            {"field": "message_template_status_update", "value": {"event": "PAUSED"}},
            {"field": "messages", "value": {"messages": [{"id": "wamid.in", "type": "text"}]}},
            {"field": "messages", "value": {"messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "1", "phone_number_id": "2"},
                "statuses": statuses}}]}]}),
        )
    }

    /// A status that is misread settles a message wrongly, or not at all.
    #[test]
    fn statuses_are_read_as_documented() {
        let attempt = "20261121T091502Z-7kq2xm-4-1";
        let error = json!({"code": 131_026, "title": "Message undeliverable", "message": "m",
            "error_data": {"details": "not\non WhatsApp"}, "href": "https://…"});
        let found = adapter().receipts(&statuses(&json!([
            {"id": "wamid.1", "status": "sent", "timestamp": "1750030073", "recipient_id": "316",
                "biz_opaque_callback_data": attempt, "pricing": {"billable": true}},
            {"id": "wamid.2", "status": "delivered", "timestamp": "1750030074",
                "biz_opaque_callback_data": "row-17"},
            {"id": "wamid.3", "status": "played", "timestamp": "1750030075"},
            {"id": "wamid.4", "status": "failed", "timestamp": "1750030076", "errors": [error]},
            {"id": "wamid.5", "status": "failed", "timestamp": "1750030076"},
            {"id": "wamid.6", "status": "deleted", "timestamp": "1750030076"},
            {"id": "wamid.7", "status": "sent", "timestamp": 7},
            {"id": 8, "status": "sent", "timestamp": "1750030076"},
            "sent"
        ])));
        let words: Vec<_> = found
            .iter()
            .map(|receipt| (&*receipt.provider_id, receipt.says.as_str()))
            .collect();
        let expected = [
            ("wamid.1", "accepted"),
            ("wamid.2", "delivered"),
            ("wamid.3", "read"),
            ("wamid.4", "failed"),
            ("wamid.5", "failed"),
        ];
        assert_eq!(words, expected);
        assert_eq!(found[0].attempt, AttemptId::parse(attempt));
        assert_eq!(found[0].at.to_string(), "2025-06-15T23:27:53.000Z");
        assert_eq!(found[1].attempt, None);
        let Says::Failed { reason, in_row } = &found[3].says else {
            panic!("it failed");
        };
        assert_eq!((&*reason.code, *in_row), ("provider.recipient", true));
        assert_eq!(
            (&*reason.provider_code, &*reason.detail),
            ("131026", "not on WhatsApp")
        );
        let Says::Failed { reason, in_row } = &found[4].says else {
            panic!("it failed");
        };
        assert_eq!((&*reason.code, *in_row), ("provider.refused", false));
    }

    /// What a stranger can send must neither be believed nor stop the service.
    #[test]
    fn what_is_no_callback_holds_no_receipts() {
        let deep = "[".repeat(100_000);
        for body in [
            json!(null),
            json!([]),
            json!({"entry": 1}),
            json!({"entry": [{"changes":
            [{"field": "messages", "value": {"statuses": {}}}]}]}),
            json!("x"),
        ] {
            assert_eq!(adapter().receipts(&callback(&body)), []);
        }
        let deep = Callback {
            body: deep.into(),
            ..Callback::default()
        };
        assert_eq!(adapter().receipts(&deep), []);
    }

    /// The body counts as it was sent: the provider escapes characters in its own way.
    #[test]
    fn a_callback_is_taken_from_who_knows_the_secret() {
        let body = br#"{"entry":[ {"name":"\u00e9"} ]}"#;
        let signed = |signature: String| Callback {
            headers: vec![("X-Hub-Signature-256".into(), signature)],
            body: body.to_vec(),
            ..Callback::default()
        };
        let right = signature::sign(&secrets().app_secret, body);
        assert_eq!(adapter().verify(&signed(right), &secrets()), Proof::Signed);
        let wrong = signature::sign(&Secret::new("another"), body);
        assert_eq!(adapter().verify(&signed(wrong), &secrets()), Proof::Wrong);
        assert_eq!(
            adapter().verify(&Callback::default(), &secrets()),
            Proof::Wrong
        );
        let none = CallbackSecrets::default();
        assert_eq!(
            adapter().verify(&Callback::default(), &none),
            Proof::Unsigned
        );
    }

    /// The address of callbacks cannot be set up at Meta without this answer, and nobody else is to
    /// have it.
    #[test]
    fn the_challenge_is_answered_to_who_knows_the_token() {
        let asked = |query: &str| {
            let callback = Callback {
                target: format!("/receipts/meta-cloud?{query}"),
                ..Callback::default()
            };
            adapter().challenge(&callback, &secrets())
        };
        let right = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=the-token";
        assert_eq!(asked(right).as_deref(), Some("1158201444"));
        for wrong in [
            "",
            "hub.mode=subscribe&hub.challenge=1&hub.verify_token=the-tokem",
            "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
            "hub.mode=subscribe&hub.challenge=1",
            "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=the-token",
            "hub.mode=subscribe&hub.challenge=%3Cb%3E+x&hub.verify_token=the-token",
        ] {
            assert_eq!(asked(wrong), None, "{wrong}");
        }
        let callback = Callback {
            target: format!("/receipts/meta-cloud?{}", right.replace("the-token", "")),
            ..Callback::default()
        };
        let none = CallbackSecrets::default();
        assert_eq!(adapter().challenge(&callback, &none), None);
    }
}
