//! The adapter against its golden cases, and against the schemas that its vendor has published.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::batch::terms::{Terms as _, Weight};
use crate::batch::{BatchId, Message};
use crate::provider::golden::{self, Golden};

/// What tokens are signed with in the cases.
const SERVICE_SECRET: &str = "Z29sZGVuLXNlY3JldA==";

const GOLDEN: Golden = Golden {
    folder: "webex-connect",
    adapter: |settings| {
        let url = "https://api.us.webexconnect.io".into();
        let (secret, auth) = match settings["auth"].as_str() {
            Some("jwt") => {
                let service_id = "f00d-1".into();
                (Secret::new(SERVICE_SECRET), Auth::Jwt { service_id })
            }
            _ => (golden::token(), Auth::ServiceKey),
        };
        let number_format = match settings["numberFormat"].as_str() {
            Some("plus") => NumberFormat::Plus,
            _ => NumberFormat::Digits,
        };
        let settings = Settings {
            number_format,
            auth,
        };
        Box::new(WebexConnect::new(url, secret, settings))
    },
    schema: |request| {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        if body.get("message").is_some() {
            return Some("webex-connect/message-template.request");
        }
        match body["channels"]["OTT-Messaging"]["wa"]["type"].as_str() {
            Some("location") => Some("webex-connect/message-location.request"),
            Some("contacts") => Some("webex-connect/message-contacts.request"),
            Some("reply") => Some("webex-connect/message-reply.request"),
            _ => None,
        }
    },
    exceptions: &[],
};

/// The bodies of all requests that the cases hold.
pub(in crate::provider) fn requests() -> Vec<Value> {
    let cases = GOLDEN.cases();
    let body = |case| match GOLDEN.next(case) {
        Next::Send(request) => serde_json::from_slice(&request.body).ok(),
        _ => None,
    };
    cases.iter().filter_map(body).collect()
}

/// A change of what is sent or of what an answer means must be seen by whoever reviews it.
#[test]
fn requests_and_outcomes_are_as_agreed() {
    GOLDEN.hold();
    assert!(GOLDEN.cases().len() >= 40);
}

/// A request that the provider's own description refuses would fail for every tenant.
#[test]
fn requests_keep_to_the_published_schemas() {
    let judged = GOLDEN.judge_requests();
    assert!(judged >= 15, "{judged}");
}

/// An id that is cut off at the provider is an answer, and later a receipt, that finds no message.
/// No file has more rows than the settings can allow.
#[test]
fn the_id_of_an_attempt_always_fits() {
    const CORRELATION_BYTES_MAX: usize = 50;
    const ROWS_MAX: u64 = 1_000_000_000;
    let id = AttemptId {
        batch: BatchId::parse("20261121T091502Z-7kq2xm").expect("an id"),
        index: ROWS_MAX,
        attempt: u32::MAX,
    };
    assert!(id.to_string().len() <= CORRELATION_BYTES_MAX, "{id}");
}

fn adapter(auth: Auth, secret: &str) -> WebexConnect {
    let settings = Settings {
        auth,
        ..Settings::default()
    };
    let url = "https://api.us.webexconnect.io".into();
    WebexConnect::new(url, Secret::new(secret), settings)
}

fn attempt() -> AttemptId {
    AttemptId {
        batch: BatchId::parse("20261121T091502Z-7kq2xm").expect("an id"),
        index: 0,
        attempt: 1,
    }
}

fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer {
        status,
        retry_after: None,
        body: body.into(),
    }
}

/// Neither the key nor a token made with it may reach a tenant's results.
#[test]
fn what_lets_requests_in_is_hidden() {
    let jwt = Auth::Jwt {
        service_id: "f00d-1".into(),
    };
    for auth in [Auth::ServiceKey, jwt] {
        let adapter = adapter(auth, SERVICE_SECRET);
        let (_, shown) = adapter.shown(Moment::from_millis(0)).expect("a secret");
        let quoted = shown.reveal().trim_start_matches("Bearer ");
        let body =
            json!({ "response": { "code": "7001", "description": format!("bad {quoted}") } });
        let outcome = adapter.outcome(&answer(200, &body.to_string()), &attempt(), &shown);
        let Outcome::Deferred { reason, scope, .. } = outcome else {
            panic!("a bad key holds the credential");
        };
        assert_eq!(reason.detail, "bad (secret)");
        assert_eq!(scope, Scope::Credential);
    }
}

/// Whether nothing in it stands for something that is missing.
fn is_full(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter().all(is_full),
        Value::Object(members) => members.values().all(is_full),
        _ => true,
    }
}

proptest! {
    /// A message reported as accepted that the provider never took is a lost message, and a panic
    /// is a stopped daemon.
    #[test]
    fn nothing_is_accepted_without_the_word_for_it(
        status in prop_oneof![Just(200_u16), 0_u16..1000],
        codes in prop::collection::vec(prop_oneof![Just("1001"), Just("7001"), Just("1")], 0..3),
        transid in prop_oneof![Just(""), Just(" "), Just("6f2c0c8e")],
        cut in 0_usize..200,
        whole: bool,
    ) {
        let elements: Vec<Value> = codes
            .iter()
            .map(|code| json!({ "code": code, "transid": transid }))
            .collect();
        let mut body = json!({ "response": elements }).to_string();
        if !whole {
            body.truncate(cut);
        }
        let is_good = codes == ["1001"] && transid == "6f2c0c8e" && (200..300).contains(&status);
        let is_whole = serde_json::from_str::<Value>(&body).is_ok();
        let adapter = adapter(Auth::ServiceKey, "a-service-key");
        let shown = Secret::new("a-service-key");
        let outcome = adapter.outcome(&answer(status, &body), &attempt(), &shown);
        let is_accepted = matches!(outcome, Outcome::Accepted { .. });
        prop_assert_eq!(is_accepted, is_good && is_whole, "{} {}", status, body);
    }

    /// Whatever a tenant writes as the Cloud API wants it is either objected to when its file is
    /// read, or written in full.
    #[test]
    fn content_is_sent_or_objected_to(object in crate::batch::contents()) {
        let message = serde_json::from_value(json!({
            "index": 0, "line": 1, "to": "+31612345678", "from": "+15550001111",
            "expiresAt": 1_795_000_000_000_i64,
            "content": { "text": { "body": "hello", "previewUrl": false } },
        }));
        let message = Message {
            content: crate::batch::whole(&object).expect("it is sound"),
            ..message.expect("a message")
        };
        let objections = Takes::new(&Settings::default()).objections(&message);
        if objections.iter().any(|it| it.weight == Weight::Fault) {
            return Ok(());
        }
        let sender = crate::delivery::Sender {
            number: message.from.clone(),
            provider_id: "a_170000000000000001".into(),
            messages_per_second: 80.0,
        };
        let format = NumberFormat::Digits;
        let body = wire::envelope(&sender, &attempt(), &message, format);
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let wa = &body["channels"]["OTT-Messaging"]["wa"];
        let kind = wa["type"].as_str().expect("a type");
        prop_assert!(wa[kind].is_object() || wa[kind].is_array(), "{}", body);
        prop_assert!(is_full(wa), "{}", body);
    }
}
