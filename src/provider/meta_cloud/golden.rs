//! The adapter against its golden cases, and against the schema that its vendor has published.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::batch::BatchId;
use crate::provider::golden::{self, Golden};

const GOLDEN: Golden = Golden {
    folder: "meta-cloud",
    adapter: |settings| {
        let url = "https://graph.facebook.com/v25.0".into();
        let word = settings["marketing"].as_str().unwrap_or("messages");
        let named = |marketing: &Marketing| marketing.as_str() == word;
        let marketing = Marketing::ALL.into_iter().find(named);
        Box::new(MetaCloud::new(url, golden::token()).with(Settings {
            marketing: marketing.expect("a way"),
            ..Settings::default()
        }))
    },
    schema: |request| {
        if request.url.ends_with("/marketing_messages") {
            return Some("meta-cloud/marketing-messages.request");
        }
        Some("meta-cloud/messages.request")
    },
    exceptions: &[(
        "4.1-where",
        "the provider documents this type, and its file does not have it",
    )],
};

/// A change of what is sent or of what an answer means must be seen by whoever reviews it.
#[test]
fn requests_and_outcomes_are_as_agreed() {
    GOLDEN.hold();
}

/// The manual lists every cause; each must have an answer of the provider that shows it.
#[test]
fn every_cause_has_a_case() {
    let shown: BTreeSet<String> = golden::causes(&GOLDEN).into_iter().collect();
    for cause in Cause::ALL {
        assert!(shown.contains(cause.as_str()), "{}", cause.as_str());
    }
}

/// A request that the provider's own description refuses would fail for every tenant.
#[test]
fn requests_keep_to_the_published_schema() {
    let judged = GOLDEN.judge_requests();
    assert!(judged >= 45, "{judged}");
}

/// Replies that are unlike the provider's own, each with the reason.
const ODD_REPLIES: &[&str] = &[
    // Cut off, or with members missing or of other types, as an adapter must bear them.
    "2.2-accepted-with-unknown-members",
    "2.2-success-",
    "8.1-cut-off-error-500",
    "8.1-error-",
    // From whatever stands between the provider and its users.
    "8.1-gateway-",
    "8.1-redirect-",
];

/// A case against a reply that the provider never gives would hold nothing.
#[test]
fn replies_keep_to_the_published_schemas() {
    let schema = |status: u16| match status {
        200..=299 => "meta-cloud/messages.response",
        _ => "meta-cloud/error.response",
    };
    let judged = GOLDEN.judge_replies(schema, ODD_REPLIES);
    assert!(judged >= 80, "{judged}");
}

/// A code of the provider's that no case shows may have been given another meaning unseen.
#[test]
fn every_documented_code_has_a_case() {
    let cases = GOLDEN.cases();
    let shown = |code: i64| {
        let begins = format!("8.3-code-{code}-");
        cases.iter().any(|case| case.name.starts_with(&begins))
    };
    for entry in codes::TABLE {
        assert!((entry.first..=entry.last).any(shown), "{}", entry.first);
    }
}

/// A message to be sent with this content.
fn message_of(content: crate::batch::Content) -> Message {
    let message = serde_json::from_value(json!({
        "index": 14, "line": 16, "to": "+31612345678", "from": "+15550001111",
        "expiresAt": 1_795_000_000_000_i64,
        "content": { "text": { "body": "hello", "previewUrl": false } },
    }));
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
        let body = wire::envelope(&id, &message_of(content), None);
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let kind = body["type"].as_str().expect("a type");
        prop_assert_eq!(json!({ kind: body[kind] }), in_full(object));
    }
}
