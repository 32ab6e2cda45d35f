//! The adapter against golden cases in `tests/golden/provider/meta-cloud`: a message and the
//! request that sends it, or a reply and its outcome. `UPDATE_EXPECT=1` rewrites what is expected.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::batch::Message;
use crate::batch::{BatchId, Phone};
use crate::provider::{Adapter, Kind, Settings};

/// Golden requests that the published schema does not take, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[(
    "request-interactive-where",
    "the provider documents this type, and its file does not have it",
)];

/// One file.
struct Case {
    name: String,
    path: PathBuf,
    content: Map<String, Value>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/provider")
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder().join("meta-cloud")).expect("listed") {
        let path = entry.expect("listed").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into();
        let content = std::fs::read(&path).expect("read");
        let content = serde_json::from_slice(&content).expect("a JSON object");
        cases.push(Case {
            name,
            path,
            content,
        });
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

fn adapter() -> Adapter {
    Adapter::new(
        &Settings {
            kind: Kind::MetaCloud,
            base_url: "https://graph.facebook.com/v25.0".into(),
            access_token: Secret::new("EAAgoldentoken"),
            business_account_id: String::new(),
            ca_file: None,
            proxy: None,
            bulk_max: 1,
        },
        None,
    )
}

/// The attempt that a reply is to; this adapter's replies do not say.
fn id() -> AttemptId {
    AttemptId {
        batch: BatchId::parse("20261121T091502Z-7kq2xm").expect("an id"),
        index: 0,
        attempt: 1,
    }
}

fn phone(value: &Value) -> Phone {
    serde_json::from_value(value.clone()).expect("a number")
}

fn request_of(given: &Value) -> Request {
    let sender = Sender {
        number: phone(&given["sender"]["number"]),
        provider_id: given["sender"]["providerId"].as_str().expect("text").into(),
        messages_per_second: 80.0,
    };
    let id = AttemptId {
        batch: BatchId::parse(given["batch"].as_str().expect("text")).expect("an id"),
        index: given["message"]["index"].as_u64().expect("a number"),
        attempt: 1,
    };
    let message: Message = serde_json::from_value(given["message"].clone()).expect("a message");
    adapter().request(&sender, &[id], &[&message])
}

fn reply_of(given: &Value) -> Reply {
    let why = |why: &Value| why.as_str().expect("text").to_owned();
    if let Some(text) = given.get("neverLeft") {
        return Reply::NeverLeft { why: why(text) };
    }
    if let Some(text) = given.get("noAnswer") {
        return Reply::NoAnswer { why: why(text) };
    }
    let body = match given.get("text") {
        Some(text) => why(text),
        None => given["json"].to_string(),
    };
    Reply::Answer {
        status: u16::try_from(given["status"].as_u64().expect("a status")).expect("small"),
        retry_after: given["retryAfter"].as_u64().map(Duration::from_secs),
        body: body.into(),
    }
}

fn written_request(request: &Request) -> Value {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(body.to_string().as_bytes(), request.body, "no spare bytes");
    assert_eq!(request.timeout, TIMEOUT);
    assert_eq!(request.bearer.reveal(), "EAAgoldentoken");
    json!({"url": request.url, "body": body})
}

fn written_outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Accepted { provider_id } => json!({"accepted": provider_id}),
        Outcome::Refused { reason, in_row } => json!({"refused": reason, "inRow": in_row}),
        Outcome::Deferred {
            reason,
            wait,
            scope,
        } => json!({"deferred": reason, "wait": wait.map(|wait| wait.as_secs()),
            "scope": format!("{scope:?}")}),
        Outcome::Unclear { reason } => json!({"unclear": reason}),
    }
}

fn found(case: &Case) -> Value {
    match (case.content.get("given"), case.content.get("reply")) {
        (Some(given), None) => written_request(&request_of(given)),
        (None, Some(reply)) => {
            written_outcome(&adapter().outcomes(&reply_of(reply), [id()].into_iter())[0])
        }
        _ => panic!("{}: either `given` or `reply`", case.name),
    }
}

/// A change of what is sent or of what an answer means must be seen by whoever reviews it.
#[test]
fn requests_and_outcomes_are_as_agreed() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    for mut case in cases() {
        let found = found(&case);
        if update {
            case.content.insert("expected".into(), found);
            let mut text = serde_json::to_string_pretty(&case.content).expect("JSON");
            text.push('\n');
            std::fs::write(&case.path, text).expect("written");
            continue;
        }
        // Compared as text: the order of members is part of the agreement.
        let wanted = case.content.get("expected").unwrap_or(&Value::Null);
        assert_eq!(found.to_string(), wanted.to_string(), "{}", case.name);
    }
}

/// The manual lists every cause; each must have an answer of the provider that shows it.
#[test]
fn every_cause_has_a_case() {
    let mut shown = BTreeSet::new();
    for case in cases() {
        let found = found(&case);
        for class in ["refused", "deferred", "unclear"] {
            shown.extend(found[class]["code"].as_str().map(str::to_owned));
        }
    }
    for cause in Cause::ALL {
        assert!(shown.contains(cause.as_str()), "{}", cause.as_str());
    }
}

/// A request that the provider's own description refuses would fail for every tenant.
#[test]
fn requests_keep_to_the_published_schema() {
    let schema = folder().join("specs/messages.request.schema.json");
    let schema = std::fs::read(schema).expect("read");
    let schema = serde_json::from_slice(&schema).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let mut checked = 0;
    for case in cases() {
        let Some(given) = case.content.get("given") else {
            continue;
        };
        let body = serde_json::from_slice(&request_of(given).body).expect("JSON");
        let excepted = EXCEPTIONS.iter().any(|(name, _)| *name == case.name);
        assert_eq!(schema.is_valid(&body), !excepted, "{}: {body}", case.name);
        checked += 1;
    }
    assert!(checked >= 45, "{checked}");
}

/// A message to be sent with this content.
fn message_of(content: crate::batch::Content) -> Message {
    let case = std::fs::read(folder().join("meta-cloud/request-text-with-preview.json"));
    let case: Value = serde_json::from_slice(&case.expect("read")).expect("JSON");
    let message = serde_json::from_value(case["given"]["message"].clone());
    Message {
        content,
        ..message.expect("a message")
    }
}

/// Texts say whether links are shown, also where nothing was said of it.
fn in_full(mut object: Value) -> Value {
    if let Some(text) = object.get_mut("text").and_then(Value::as_object_mut) {
        text.entry("preview_url").or_insert(json!(false));
    }
    object
}

proptest! {
    /// What a tenant writes as the Cloud API wants it must reach the Cloud API as it was written.
    #[test]
    fn content_that_is_given_whole_is_sent_as_it_was(object in crate::batch::contents()) {
        let content = crate::batch::whole(&object).expect("it is sound");
        let id = AttemptId {
            batch: BatchId::parse("20261121T091502Z-7kq2xm").expect("an id"),
            index: 14,
            attempt: 1,
        };
        let body = wire::envelope(&id, &message_of(content));
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let kind = body["type"].as_str().expect("a type");
        prop_assert_eq!(json!({ kind: body[kind] }), in_full(object));
    }
}
