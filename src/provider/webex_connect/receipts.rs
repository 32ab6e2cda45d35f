//! Delivery receipts of Webex Connect: who signed one, and what it says. Each callback holds one;
//! what recipients write comes another way, and is passed over.

use aws_lc_rs::hmac::{HMAC_SHA256, HMAC_SHA512};
use serde_json::Value;

use super::codes;
use crate::batch::Moment;
use crate::delivery::AttemptId;
use crate::delivery::receipt::{Callback, Receipt, Says};
use crate::provider::cause::Cause;
use crate::provider::meaning::{self, Class};
use crate::provider::{CallbackSecrets, Credential, Proof, signature};

/// The header with the signature.
pub(in crate::provider) const SIGNATURE: &str = "x-hub-signature";

/// How many digits a signature with SHA-512 has.
const LONG_DIGITS: usize = 128;

/// The code for whatever has none of its own, and Meta's for a recipient who has had enough.
const OTHER: &str = "7200";
const ENOUGH: &str = "131049";

/// What a callback shows of where it comes from. What stands before the digits of a signature is
/// not documented, so both hashes are taken, with their names or without.
pub(super) fn verified(callback: &Callback, secrets: &CallbackSecrets) -> Proof {
    let secret = &secrets.app_secret;
    if secret.reveal().is_empty() {
        return Proof::Unsigned;
    }
    let shown = callback.header(SIGNATURE).unwrap_or_default();
    let digits = shown.rsplit('=').next().unwrap_or_default();
    let algorithm = match digits.len() {
        LONG_DIGITS => HMAC_SHA512,
        _ => HMAC_SHA256,
    };
    if signature::has_tag(algorithm, secret, &callback.body, digits) {
        Proof::Signed
    } else {
        Proof::Wrong
    }
}

/// The receipt in a callback, if it is one.
pub(super) fn read(callback: &Callback, credential: &Credential) -> Option<Receipt> {
    // The parser itself bounds the nesting, at 128.
    let body: Value = serde_json::from_slice(&callback.body).ok()?;
    let note = body.get("deliveryInfoNotification")?;
    let info = note.get("deliveryInfo")?;
    let text = |of: &Value, key: &str| of[key].as_str().map(str::to_owned);
    let status = text(info, "deliveryStatus")?;
    let says = match status.to_lowercase().as_str() {
        "submitted" => Says::Accepted,
        "delivered" => Says::Delivered,
        "read" => Says::Read,
        "failed" => failed(info, credential),
        _ => return None,
    };
    // A receipt has one more part behind the id than the answer had.
    let transid = text(note, "transid").unwrap_or_default();
    let transid = match transid.rsplit_once('_') {
        Some((id, part)) if part.bytes().all(|byte| byte.is_ascii_digit()) => id,
        _ => &transid,
    };
    let attempt = text(note, "correlationid").and_then(|text| AttemptId::parse(&text));
    let provider_id = meaning::provider_id(transid);
    if attempt.is_none() && provider_id.is_none() {
        return None;
    }
    Some(Receipt {
        attempt,
        provider_id: provider_id.unwrap_or_default(),
        says,
        at: Moment::parse(info["timeStamp"].as_str()?)?,
    })
}

fn failed(info: &Value, credential: &Credential) -> Says {
    let text = |key: &str| info[key].as_str().unwrap_or_default();
    let (code, more) = (text("code"), text("additionalInfo"));
    let (class, cause) = match codes::meaning(code) {
        Some(entry) if code != OTHER => (entry.class, entry.cause),
        _ if more.contains(ENOUGH) => (Class::Never, Cause::RecipientLimited),
        _ => (Class::Never, Cause::Refused),
    };
    let words = [text("Description"), more].map(str::trim);
    let words: Vec<&str> = words.into_iter().filter(|it| !it.is_empty()).collect();
    let words = credential.removed_from(&words.join(": "));
    Says::Failed {
        reason: cause.reason(&words, code.to_owned()),
        in_row: class == Class::BadRow,
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac::{self, Algorithm, Key};
    use serde_json::json;

    use super::*;
    use crate::disk;
    use crate::provider::webex_connect::{Settings, WebexConnect};
    use crate::provider::{Adapter as _, Secret};

    fn adapter() -> WebexConnect {
        let url = "https://api.us.webexconnect.io".into();
        WebexConnect::new(url, Secret::new("a-service-key"), Settings::default())
    }

    fn callback(body: &Value) -> Callback {
        Callback {
            body: body.to_string().into(),
            ..Callback::default()
        }
    }

    fn note(status: &str, code: &str, more: &str) -> Value {
        json!({ "deliveryInfoNotification": {
            "deliveryInfo": {
                "timeStamp": "2027-02-03T09:15:00.120+02:00", "waid": "358401112233",
                "destination": "358401112233", "destinationType": "waid",
                "deliveryChannel": "whatsapp", "deliveryStatus": status, "code": code,
                "Description": status, "additionalInfo": more,
            },
            "subtid": "", "transid": "6f2c0c8e-3a51-4a0e-9a9c-0c7b2a1d5e44_0",
            "callbackData": "", "correlationid": "20261121T091502Z-7kq2xm-4-1",
        } })
    }

    fn receipt(body: &Value) -> Option<Receipt> {
        adapter().receipts(&callback(body)).pop()
    }

    /// A receipt that is misread settles a message wrongly, or not at all.
    #[test]
    fn receipts_are_read_as_documented() {
        for (status, says) in [
            ("Submitted", "accepted"),
            ("Delivered", "delivered"),
            ("Read", "read"),
            ("Failed", "failed"),
        ] {
            let found = receipt(&note(status, "7871", "")).expect("a receipt");
            assert_eq!(found.says.as_str(), says);
            assert_eq!(found.provider_id, "6f2c0c8e-3a51-4a0e-9a9c-0c7b2a1d5e44");
            let attempt = AttemptId::parse("20261121T091502Z-7kq2xm-4-1");
            assert_eq!(found.attempt, attempt);
            assert_eq!(found.at.to_string(), "2027-02-03T07:15:00.120Z");
        }
        let mut bare = note("Read", "7502", "");
        bare["deliveryInfoNotification"]["transid"] = json!("abc");
        bare["deliveryInfoNotification"]["correlationid"] = json!("row-17");
        let found = receipt(&bare).expect("a receipt");
        assert_eq!((found.attempt, found.provider_id), (None, "abc".into()));
        assert_eq!(receipt(&note("Clicked", "7503", "")), None);
    }

    /// Whoever reads why a message failed acts on it.
    #[test]
    fn failures_say_why() {
        let enough = "(#131049)  | not delivered to keep the ecosystem healthy";
        for (code, more, cause, in_row) in [
            ("7871", "(#131026)  | x", "provider.recipient", true),
            ("7710", "", "provider.session", false),
            ("7200", enough, "provider.recipient_limited", false),
            ("7200", "", "provider.refused", false),
            ("7999", "", "provider.refused", false),
        ] {
            let found = receipt(&note("Failed", code, more)).expect("a receipt");
            let Says::Failed {
                reason,
                in_row: its,
            } = found.says
            else {
                panic!("it failed");
            };
            assert_eq!((&*reason.code, its), (cause, in_row), "{code}");
            assert_eq!(reason.provider_code, code);
        }
    }

    /// What a stranger can send must neither be believed nor stop the service.
    #[test]
    fn what_is_no_callback_holds_no_receipts() {
        for body in [
            json!(null),
            json!({ "deliveryInfoNotification": 1 }),
            json!({ "event": "MO", "waid": "358401112233" }),
            json!({ "deliveryInfoNotification": { "deliveryInfo": { "deliveryStatus": "Read" } } }),
        ] {
            assert_eq!(receipt(&body), None);
        }
        let deep = Callback {
            body: "[".repeat(100_000).into(),
            ..Callback::default()
        };
        assert_eq!(adapter().receipts(&deep), []);
    }

    /// The portal offers two hashes and says nothing of what stands before them.
    #[test]
    fn a_callback_is_taken_from_who_knows_the_secret() {
        let secrets = CallbackSecrets {
            app_secret: Secret::new("the-secret"),
            ..CallbackSecrets::default()
        };
        let body = br#"{"a": 1}"#;
        let signed = |algorithm: Algorithm, secret: &str, before: &str| {
            let tag = hmac::sign(&Key::new(algorithm, secret.as_bytes()), body);
            let shown = format!("{before}{}", disk::hexadecimal(tag.as_ref()));
            let callback = Callback {
                headers: vec![("X-Hub-Signature".into(), shown)],
                body: body.to_vec(),
                ..Callback::default()
            };
            adapter().verify(&callback, &secrets)
        };
        assert_eq!(signed(HMAC_SHA256, "the-secret", ""), Proof::Signed);
        assert_eq!(signed(HMAC_SHA256, "the-secret", "sha256="), Proof::Signed);
        assert_eq!(signed(HMAC_SHA512, "the-secret", "sha512="), Proof::Signed);
        assert_eq!(signed(HMAC_SHA512, "another", "sha512="), Proof::Wrong);
        let bare = Callback::default();
        assert_eq!(adapter().verify(&bare, &secrets), Proof::Wrong);
        let none = CallbackSecrets::default();
        assert_eq!(adapter().verify(&bare, &none), Proof::Unsigned);
    }
}
