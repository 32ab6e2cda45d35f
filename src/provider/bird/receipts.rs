//! Callbacks of Bird: who signed one, and the message in it in the state that it has come to.
//! Messages of recipients, and what they tap and open, come the same way and are passed over.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{Bird, failure};
use crate::batch::Moment;
use crate::delivery::AttemptId;
use crate::delivery::receipt::{Callback, Receipt, Says};
use crate::provider::meaning::{self, Class};
use crate::provider::{CallbackSecrets, Proof, Secret, signature};

/// The headers with the signature, and with the seconds since 1970 at which it was made.
pub(in crate::provider) const SIGNATURE: &str = "messagebird-signature";
pub(in crate::provider) const SIGNED_AT: &str = "messagebird-request-timestamp";

/// What Bird signs: when, for which address, and what.
pub(in crate::provider) fn signed_bytes(seconds: &str, url: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{seconds}\n{url}\n").into_bytes();
    bytes.extend_from_slice(digest(&SHA256, body).as_ref());
    bytes
}

#[derive(Deserialize)]
struct News {
    service: String,
    event: String,
    payload: Map<String, Json>,
}

impl Bird {
    /// What a callback that came in at `now` shows of where it comes from.
    pub(super) fn verified(
        &self,
        callback: &Callback,
        secrets: &CallbackSecrets,
        now: Moment,
    ) -> Proof {
        if secrets.app_secret.reveal().is_empty() {
            return Proof::Unsigned;
        }
        match self.is_signed(callback, &secrets.app_secret, now) {
            Some(true) => Proof::Signed,
            _ => Proof::Wrong,
        }
    }

    fn is_signed(&self, callback: &Callback, key: &Secret, now: Moment) -> Option<bool> {
        let seconds = callback.header(SIGNED_AT)?;
        let tag = BASE64_STANDARD.decode(callback.header(SIGNATURE)?).ok()?;
        let signed_at: i64 = seconds.parse().ok()?;
        let apart = now.as_millis().abs_diff(signed_at.checked_mul(1_000)?);
        let bytes = signed_bytes(seconds, &self.settings.callback_url, &callback.body);
        let is_fresh = Duration::from_millis(apart) <= self.settings.callback_age_max;
        Some(is_fresh && signature::is_tag(key, &bytes, &tag))
    }

    /// The receipt in a callback.
    pub(super) fn read_receipts(&self, callback: &Callback) -> Vec<Receipt> {
        // The parser itself bounds the nesting, at 128.
        let Ok(news) = serde_json::from_slice::<News>(&callback.body) else {
            return Vec::new();
        };
        if news.service != "channels" || !news.event.ends_with(".outbound") {
            return Vec::new();
        }
        self.receipt(&news.payload).into_iter().collect()
    }

    /// What a stored message says of itself.
    fn receipt(&self, message: &Map<String, Json>) -> Option<Receipt> {
        let text = |key: &str| message.get(key).and_then(Json::as_str);
        let says = match text("status")? {
            "accepted" | "processing" | "scheduled" | "sent" => Says::Accepted,
            "delivered" => Says::Delivered,
            status => {
                let failed = failure::of(status, message)?;
                let words = self.credential.removed_from(&failed.words);
                Says::Failed {
                    reason: failed.cause.reason(&words, failed.code),
                    in_row: failed.class == Class::BadRow,
                }
            }
        };
        Some(Receipt {
            attempt: text("reference").and_then(AttemptId::parse),
            provider_id: text("id").and_then(meaning::provider_id)?,
            says,
            at: text("lastStatusAt").and_then(Moment::parse)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::Adapter as _;
    use crate::provider::bird::Settings;

    const URL: &str = "https://hooks.example.net/receipts/bird";
    const KEY: &str = "choose-a-secret";
    const ATTEMPT: &str = "20261121T091502Z-7kq2xm-4-1";

    fn adapter() -> Bird {
        let settings = Settings {
            callback_url: URL.into(),
            ..Settings::default()
        };
        Bird::new(
            "https://api.example".into(),
            Secret::new("a-token-of-ours"),
            settings,
        )
    }

    fn callback(body: &[u8], headers: &[(&str, &str)]) -> Callback {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Callback {
            target: "/receipts/bird".into(),
            headers: headers.iter().map(owned).collect(),
            body: body.to_vec(),
        }
    }

    fn secrets(key: &str) -> CallbackSecrets {
        CallbackSecrets {
            app_secret: Secret::new(key),
            ..CallbackSecrets::default()
        }
    }

    /// A stranger who can settle messages hides that they never went out; Bird's own callbacks must
    /// not be taken for a stranger's. The right signature was made by another program.
    #[test]
    fn only_what_bird_signed_lately_is_taken() {
        let body = br#"{"service":"channels"}"#;
        let right = "53xl9BCvAA1wysrJVYxfj5K438LH1IchMS5ZgxdGJ4s=";
        let at = "1795252502";
        let now = Moment::from_millis(1_795_252_502_000);
        let held = |key: &str, headers: &[(&str, &str)], body: &[u8], now: Moment| {
            adapter().verified(&callback(body, headers), &secrets(key), now)
        };
        let headers = [
            ("Messagebird-Signature", right),
            ("Messagebird-Request-Timestamp", at),
        ];
        assert_eq!(held(KEY, &headers, body, now), Proof::Signed);
        assert_eq!(
            held(KEY, &headers, body, now.plus_ms(300_000)),
            Proof::Signed
        );
        assert_eq!(held("", &headers, body, now), Proof::Unsigned);
        for (key, headers, body, now) in [
            (KEY, &headers[..], &body[..], now.plus_ms(301_000)),
            (KEY, &headers, body, now.plus_ms(-301_000)),
            (KEY, &headers, b"{}", now),
            ("another", &headers, body, now),
            (KEY, &headers[..1], body, now),
            (KEY, &headers[1..], body, now),
            (KEY, &[headers[0], (SIGNED_AT, "1795252503")], body, now),
            (
                KEY,
                &[headers[0], (SIGNED_AT, "9223372036854775807")],
                body,
                now,
            ),
            (KEY, &[(SIGNATURE, "!"), headers[1]], body, now),
            (KEY, &[(SIGNATURE, ""), headers[1]], body, now),
        ] {
            assert_eq!(held(key, headers, body, now), Proof::Wrong, "{headers:?}");
        }
        let mut elsewhere = adapter();
        elsewhere.settings.callback_url = format!("{URL}/");
        let found = elsewhere.verified(&callback(body, &headers), &secrets(KEY), now);
        assert_eq!(found, Proof::Wrong, "it was signed for another address");
    }

    fn outbound(status: &str, more: &Json) -> Json {
        let mut message = json!({
            "id": "0f1c6a3e-5b0e-4a3c-8d5e-0a1b2c3d4e5f", "reference": ATTEMPT, "status": status,
            "direction": "outgoing", "lastStatusAt": "2026-11-21T09:15:03.250Z",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            message[key] = value.clone();
        }
        json!({ "service": "channels", "event": "whatsapp.outbound", "payload": message })
    }

    /// A state that is misread settles a message wrongly, or not at all.
    #[test]
    fn a_message_is_read_in_the_state_that_it_has_come_to() {
        let read = |body: &Json| adapter().receipts(&callback(body.to_string().as_bytes(), &[]));
        for (status, says) in [
            ("accepted", "accepted"),
            ("processing", "accepted"),
            ("scheduled", "accepted"),
            ("sent", "accepted"),
            ("delivered", "delivered"),
            ("rejected", "failed"),
            ("sending_failed", "failed"),
            ("delivery_failed", "failed"),
            ("skipped", "failed"),
            ("deleted", "failed"),
        ] {
            let found = read(&outbound(status, &json!({})));
            let [receipt] = found.as_slice() else {
                panic!("{status}: {found:?}");
            };
            assert_eq!(receipt.says.as_str(), says, "{status}");
            assert_eq!(receipt.attempt, AttemptId::parse(ATTEMPT));
            assert_eq!(receipt.provider_id, "0f1c6a3e-5b0e-4a3c-8d5e-0a1b2c3d4e5f");
            assert_eq!(receipt.at.to_string(), "2026-11-21T09:15:03.250Z");
        }
        let failure = json!({ "code": 15_000, "description": "not on\nWhatsApp",
            "source": { "name": "whatsapp", "code": "131026" } });
        let found = read(&outbound("delivery_failed", &json!({ "failure": failure })));
        let Says::Failed { reason, in_row } = &found[0].says else {
            panic!("it failed");
        };
        assert_eq!((&*reason.code, *in_row), ("provider.recipient", true));
        assert_eq!(
            (&*reason.provider_code, &*reason.detail),
            ("15000/whatsapp/131026", "not on WhatsApp")
        );
    }

    /// What is none of ours must settle nothing, and what cannot be read must stop nobody.
    #[test]
    fn other_news_are_passed_over() {
        let mut inbound = outbound("delivered", &json!({}));
        inbound["event"] = json!("whatsapp.inbound");
        let mut other = outbound("delivered", &json!({}));
        other["service"] = json!("conversations");
        for body in [
            inbound,
            other,
            outbound("dreaming", &json!({})),
            outbound("delivered", &json!({ "id": "" })),
            outbound("delivered", &json!({ "lastStatusAt": "yesterday" })),
            outbound("delivered", &json!({ "status": 7 })),
            json!({ "service": "channels", "event": "whatsapp.outbound", "payload": [] }),
            json!([]),
        ] {
            let found = adapter().receipts(&callback(body.to_string().as_bytes(), &[]));
            assert_eq!(found, [], "{body}");
        }
        let deep = "{\"payload\":".repeat(100_000);
        assert_eq!(adapter().receipts(&callback(deep.as_bytes(), &[])), []);
    }
}
