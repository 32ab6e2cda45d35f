//! What the stand-in checks in a send call as a whole, and what it stores of it.

use serde_json::{Map, Value as Json, json};

use super::body;
use super::refusal::Refusal;
use super::registry::Registry;
use super::shape::Findings;
use crate::batch::Moment;

/// Every member that a request can have; the first must be there.
const MEMBERS: [&str; 16] = [
    "receiver",
    "sender",
    "reference",
    "template",
    "body",
    "replyTo",
    "meta",
    "notification",
    "capFrequency",
    "enableLinkTracking",
    "ignoreQuietHours",
    "ignoreGlobalHoldout",
    "tags",
    "shortLinks",
    "scheduledFor",
    "validity",
];

const TAGS_MAX: usize = 10;
const TAG_CHARS_MAX: usize = 50;
/// How far ahead a message may be scheduled, and from where on it waits at all, in milliseconds.
const AHEAD_MS_MAX: i64 = 35 * 24 * 3_600_000;
const AHEAD_MS_MIN: i64 = 10 * 60_000;

/// A send call.
#[derive(Debug)]
pub(super) struct Envelope(Json);

impl Envelope {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(body) {
            Ok(json @ Json::Object(_)) => Ok(Self(json)),
            _ => Err(Refusal::unreadable("the body is not a JSON object")),
        }
    }

    /// Checks it; gives whether it waits for its moment.
    pub(super) fn check(&self, registry: &Registry, now: Moment) -> Result<bool, Refusal> {
        let mut findings = Findings::default();
        let request = &self.0;
        findings.closed("", request, (&MEMBERS, 1));
        receiver(&request["receiver"], &mut findings);
        match (&request["body"], &request["template"]) {
            (Json::Null, Json::Null) => findings.add("body", "neither body nor template"),
            (Json::Null, template) => registry.check(template, &mut findings),
            (said, Json::Null) => body::check(said, &mut findings),
            _ => findings.add("body", "both body and template"),
        }
        self.options(&mut findings);
        let waits = self.schedule(now, &mut findings);
        if findings.0.is_empty() {
            Ok(waits)
        } else {
            Err(Refusal::invalid(findings.0))
        }
    }

    fn options(&self, findings: &mut Findings) {
        let request = &self.0;
        findings.text("reference", &request["reference"], (0, usize::MAX));
        for flag in [
            "capFrequency",
            "enableLinkTracking",
            "ignoreQuietHours",
            "ignoreGlobalHoldout",
        ] {
            findings.flag(flag, &request[flag]);
        }
        let use_case = &request["meta"]["extraInformation"]["useCase"];
        if request["capFrequency"] == true && use_case != "marketing" {
            findings.add("capFrequency", "only for marketing");
        }
        let tags = findings.items("tags", &request["tags"]);
        if tags.len() > TAGS_MAX {
            findings.add("tags", "more than 10");
        }
        for (at, tag) in tags.iter().enumerate() {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ' ');
            let text = tag.as_str().unwrap_or_default();
            if text.is_empty() || text.len() > TAG_CHARS_MAX || !text.chars().all(good) {
                findings.add(format!("tags[{at}]"), "not such a tag");
            }
        }
        let reply_to = &request["replyTo"];
        if !reply_to.is_null() {
            findings.closed("replyTo", reply_to, (&["id", "type", "order"], 2));
            let kind = reply_to["type"].as_str().unwrap_or_default();
            if !matches!(kind, "message" | "click" | "referrals") {
                findings.add("replyTo.type", "not one of message, click, referrals");
            }
        }
        if !request["validity"].is_null() && request["validity"].as_u64().is_none() {
            findings.add("validity", "not a whole number of seconds");
        }
    }

    fn schedule(&self, now: Moment, findings: &mut Findings) -> bool {
        let Some(text) = self.0.get("scheduledFor") else {
            return false;
        };
        let Some(at) = text.as_str().and_then(Moment::parse) else {
            findings.add("scheduledFor", "not a date and time");
            return false;
        };
        let ahead = at.as_millis() - now.as_millis();
        if ahead > AHEAD_MS_MAX {
            findings.add("scheduledFor", "more than 35 days ahead");
        }
        ahead >= AHEAD_MS_MIN
    }

    /// The caller's own id.
    pub(super) fn reference(&self) -> Option<&str> {
        self.0["reference"].as_str()
    }

    /// The recipient's number; empty where it is called by another id.
    pub(super) fn to(&self) -> &str {
        let contact = &self.0["receiver"]["contacts"][0];
        contact["identifierValue"].as_str().unwrap_or_default()
    }

    pub(super) fn is_template(&self) -> bool {
        self.0["template"].is_object()
    }

    /// Whether WhatsApp has no like of it.
    pub(super) fn unsupported(&self) -> bool {
        body::is_unsupported(&self.0["body"])
    }

    /// The message as it is kept and given back.
    pub(super) fn stored(&self, (channel, id): (&str, &str), now: Moment) -> Json {
        let mut stored = Map::new();
        let mut put = |key: &str, value: Json| {
            stored.insert(key.to_owned(), value);
        };
        put("id", json!(as_uuid(id)));
        put("channelId", json!(channel));
        put("sender", json!({ "connector": { "id": channel } }));
        put("receiver", self.0["receiver"].clone());
        let kept = [
            "template",
            "body",
            "reference",
            "replyTo",
            "meta",
            "tags",
            "scheduledFor",
        ];
        for key in kept {
            if let Some(value) = self.0.get(key).filter(|value| !value.is_null()) {
                put(key, value.clone());
            }
        }
        put("direction", json!("outgoing"));
        for key in ["lastStatusAt", "createdAt", "updatedAt"] {
            put(key, json!(now.to_string()));
        }
        Json::Object(stored)
    }
}

fn receiver(receiver: &Json, findings: &mut Findings) {
    if !findings.closed("receiver", receiver, (&["contacts"], 1)) {
        return;
    }
    let contacts = findings.items("receiver.contacts", &receiver["contacts"]);
    if contacts.is_empty() {
        findings.add("receiver.contacts", "empty");
    }
    for (at, contact) in contacts.iter().enumerate() {
        let path = format!("receiver.contacts[{at}]");
        let members = [
            "identifierKey",
            "identifierValue",
            "id",
            "type",
            "identifiers",
            "platformAddress",
            "platformAddressSelector",
        ];
        findings.closed(&path, contact, (&members, 0));
        let number = contact["identifierValue"].as_str().unwrap_or_default();
        let digits = number.strip_prefix('+').unwrap_or_default();
        let is_number =
            (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if contact["id"].is_null() && !is_number {
            findings.add(format!("{path}.identifierValue"), "not a phone number");
        }
    }
}

/// The ledger's id of a message, in the form of Bird's.
fn as_uuid(id: &str) -> String {
    let digits = id.bytes().filter(u8::is_ascii_hexdigit).map(char::from);
    let digits: Vec<char> = digits.collect();
    let kept = digits.len().saturating_sub(24);
    let hex: String = digits[kept..].iter().collect();
    let hex = format!("{hex:0>24}").to_lowercase();
    format!(
        "{}-{}-4{}-8{}-{}000000",
        &hex[..8],
        &hex[8..12],
        &hex[12..15],
        &hex[15..18],
        &hex[18..]
    )
}
