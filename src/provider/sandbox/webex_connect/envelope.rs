//! What the stand-in checks in a request, and the codes with which it refuses one. Pure: rates,
//! memory and answers are the server's.

use std::borrow::Cow;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::Value;

use super::content;
use crate::batch::Moment;

/// The most recipients of an envelope.
const RECIPIENTS_MAX: usize = 1000;
/// The longest reference of the caller, in bytes, and the longest data to be echoed, in characters.
const CORRELATION_BYTES_MAX: usize = 50;
const CALLBACK_CHARS_MAX: usize = 2000;
/// How long a token is good, and how far it may be ahead.
const TOKEN_MS_MAX: i64 = 60 * 60 * 1_000;
const AHEAD_MS_MAX: i64 = 5 * 60 * 1_000;

type Words = (&'static str, &'static str);

pub(super) const NOT_LET_IN: Words = ("7001", "Authentication failed");
pub(super) const FAILED: Words = ("7006", "Internal error");
pub(super) const TOO_FAST: Words = ("7020", "Transaction limit reached");

/// A refusal in the API's form.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) words: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new((code, words): Words) -> Self {
        let words = words.into();
        Self { code, words }
    }

    pub(super) fn not_json() -> Self {
        Self::new(("7000", "Invalid JSON"))
    }

    /// Something that must be there is missing.
    pub(super) fn missing(what: &str) -> Self {
        let words = format!("Mandatory parameter missing: {what}").into();
        Self {
            code: "7003",
            words,
        }
    }

    /// A value is not one that is taken.
    pub(super) fn value(what: &str) -> Self {
        let words = format!("Invalid parameter value: {what}").into();
        Self {
            code: "7004",
            words,
        }
    }
}

/// Whether a key or a token is there; any key will do. With both, the token counts.
pub(super) fn let_in(
    key: Option<&str>,
    authorization: Option<&str>,
    now: Moment,
) -> Result<(), Refusal> {
    match (key, authorization) {
        (None, None) => Err(Refusal::new(("7002", "Service key missing"))),
        (_, Some(bearer)) => {
            let token = bearer.strip_prefix("Bearer ").unwrap_or_default();
            match is_token(token, now) {
                Some(true) => Ok(()),
                _ => Err(Refusal::new(NOT_LET_IN)),
            }
        }
        (Some(""), None) => Err(Refusal::new(NOT_LET_IN)),
        (Some(_), None) => Ok(()),
    }
}

/// Whether a text is a token that is good at this moment; its signature may be any.
fn is_token(token: &str, now: Moment) -> Option<bool> {
    let parts: Vec<Vec<u8>> = token
        .split('.')
        .map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok())
        .collect::<Option<_>>()?;
    let [head, claims, signature] = parts.as_slice() else {
        return None;
    };
    let head: Value = serde_json::from_slice(head).ok()?;
    let claims: Value = serde_json::from_slice(claims).ok()?;
    let age_ms = now.as_millis() - claims["iat"].as_i64()?.checked_mul(1_000)?;
    let is_signed = head["alg"] == "HS256" && head["typ"] == "JWT" && signature.len() == 32;
    let is_fresh = (-AHEAD_MS_MAX..TOKEN_MS_MAX).contains(&age_ms);
    Some(is_signed && is_fresh && claims["iss"].as_str().is_some_and(|iss| !iss.is_empty()))
}

/// An envelope with one recipient, as far as it is used.
#[derive(Debug)]
pub(super) struct Envelope<'v> {
    pub(super) app_id: &'v str,
    /// The digits of the first recipient.
    pub(super) digits: String,
    /// The caller's reference: the recipient's own before that of the whole.
    pub(super) correlation_id: Option<&'v str>,
    /// What else is echoed; empty for nothing.
    pub(super) callback_data: &'v str,
}

const KNOWN: [&str; 11] = [
    "deliverychannel",
    "appid",
    "destination",
    "channels",
    "message",
    "options",
    "correlationid",
    "callbackData",
    "notifyurl",
    "notifyurlAuthId",
    "expiry",
];

impl<'v> Envelope<'v> {
    /// Reads and checks one.
    pub(super) fn read(envelope: &'v Value, now: Moment) -> Result<Self, Refusal> {
        let members = envelope.as_object().ok_or_else(Refusal::not_json)?;
        // The service lets unknown members pass; nothing of ours may lean on that.
        if let Some(other) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(Refusal::value(other));
        }
        if text(envelope, "deliverychannel")? != "whatsapp" {
            return Err(Refusal::value("deliverychannel"));
        }
        let app_id = text(envelope, "appid")?;
        let number = app_id.strip_prefix("a_").unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::new(("7104", "Invalid app id")));
        }
        let (digits, own_id) = recipient(envelope)?;
        for (key, most) in [
            ("correlationid", CORRELATION_BYTES_MAX),
            ("callbackData", CALLBACK_CHARS_MAX),
        ] {
            let length = envelope[key].as_str().map_or(0, str::len);
            if envelope.get(key).is_some_and(|it| !it.is_string()) || length > most {
                return Err(Refusal::value(key));
            }
        }
        expiry(envelope, now)?;
        content::check(envelope)?;
        Ok(Self {
            app_id,
            digits,
            correlation_id: own_id.or(envelope["correlationid"].as_str()),
            callback_data: envelope["callbackData"].as_str().unwrap_or_default(),
        })
    }
}

/// A text that must be there.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, Refusal> {
    match value.get(key) {
        None => Err(Refusal::missing(key)),
        Some(Value::String(text)) if text.is_empty() => Err(Refusal::missing(key)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::value(key)),
    }
}

/// The first recipient's digits and own reference; every recipient is looked at.
fn recipient(envelope: &Value) -> Result<(String, Option<&str>), Refusal> {
    let recipients = match envelope.get("destination") {
        None => return Err(Refusal::missing("destination")),
        Some(Value::Array(recipients)) if !recipients.is_empty() => recipients,
        Some(_) => return Err(Refusal::value("destination")),
    };
    if recipients.len() > RECIPIENTS_MAX {
        return Err(Refusal::new(("7009", "More than 1000 destinations")));
    }
    let mut first = None;
    for recipient in recipients {
        let known = |key| recipient.get(key).and_then(Value::as_array);
        let ids = known("waid")
            .or_else(|| known("bsuid"))
            .ok_or_else(|| Refusal::value("waid"))?;
        let id = ids
            .first()
            .and_then(Value::as_str)
            .ok_or_else(|| Refusal::value("waid"))?;
        let digits = id.strip_prefix('+').unwrap_or(id);
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || !(7..=15).contains(&digits.len()) {
            return Err(Refusal::value("waid"));
        }
        let own_id = recipient["correlationid"].as_str();
        if own_id.is_some_and(|id| id.len() > CORRELATION_BYTES_MAX) {
            return Err(Refusal::value("correlationid"));
        }
        first.get_or_insert((digits.to_owned(), own_id));
    }
    first.ok_or_else(|| Refusal::missing("destination"))
}

fn expiry(envelope: &Value, now: Moment) -> Result<(), Refusal> {
    let Some(expiry) = envelope.get("expiry") else {
        return Ok(());
    };
    let moment = expiry.as_str().and_then(Moment::parse);
    match moment {
        None => Err(Refusal::value("expiry")),
        Some(moment) if moment <= now => Err(Refusal::new(("7005", "Request expired"))),
        Some(_) => Ok(()),
    }
}
