//! The stand-in against the real adapter and client, and against the shapes that are published.

use serde_json::{Value, json};

use super::*;
use crate::provider::http::Client;
use crate::provider::{Reply, Request, Secret};

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// A stand-in that is running.
struct World {
    url: String,
    client: Client,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<Seen>,
}

impl World {
    async fn new(behaviour: Behaviour) -> Self {
        let sandbox = Sandbox::open(LOOPBACK.into(), behaviour)
            .await
            .expect("opened");
        let stop = CancellationToken::new();
        Self {
            url: format!(
                "http://{}/{VERSION}/106540352242922/messages",
                sandbox.address()
            ),
            client: Client::new(None).expect("the roots are good"),
            served: tokio::spawn(sandbox.serve(stop.clone())),
            stop,
        }
    }

    async fn say(&self, body: &Value) -> (u16, Value) {
        self.say_to(&self.url, body).await
    }

    async fn say_to(&self, url: &str, body: &Value) -> (u16, Value) {
        let request = Request {
            url: url.into(),
            body: body.to_string().into(),
            bearer: Secret::new(ACCESS_TOKEN),
            timeout: Duration::from_secs(20),
        };
        match self.client.send(&request).await {
            Reply::Answer { status, body, .. } => {
                (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
            }
            other => panic!("no answer: {other:?}"),
        }
    }

    async fn end(self) -> Seen {
        self.stop.cancel();
        self.served.await.expect("served")
    }
}

fn text_to(to: &str, attempt: &str) -> Value {
    json!({"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "hello"},
        "biz_opaque_callback_data": attempt})
}

fn validator(name: &str) -> jsonschema::Validator {
    let path = format!("tests/golden/provider/specs/{name}.schema.json");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let schema = std::fs::read(path).expect("read");
    let schema = serde_json::from_slice(&schema).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

/// A client that works against the sandbox must work against the real API: both answer alike.
#[tokio::test]
async fn answers_have_the_published_shapes() {
    let world = World::new(Behaviour::default()).await;
    let (status, body) = world.say(&text_to("+31 6 1234-5678", "b-0-1")).await;
    assert_eq!(status, 200);
    assert!(validator("messages.response").is_valid(&body), "{body}");
    assert_eq!(body["contacts"][0]["input"], "+31 6 1234-5678");
    assert_eq!(body["contacts"][0]["wa_id"], "31612345678");

    let (status, body) = world.say(&json!({})).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!(100)));
    assert!(validator("error.response").is_valid(&body), "{body}");

    let elsewhere = world.url.replace("/messages", "/media");
    let (status, body) = world.say_to(&elsewhere, &json!({})).await;
    assert_eq!(status, 404);
    assert!(validator("error.response").is_valid(&body), "{body}");

    let seen = world.end().await;
    assert_eq!((seen.requests, seen.accepted, seen.refused), (2, 1, 1));
}

/// A malformed request must not pass here and fail at the real provider.
#[test]
fn malformed_requests_are_refused_as_the_api_would() {
    let template = |template: Value| {
        json!({"messaging_product": "whatsapp", "to": "+31612345678", "type": "template",
            "template": template})
    };
    let with = |component: Value| {
        template(json!({"name": "a", "language": {"code": "nl"}, "components": [component]}))
    };
    let button = |sub_type: &str, index: &Value, parameter: &Value| json!({"type": "button", "sub_type": sub_type, "index": index, "parameters": [parameter]});
    let payload = json!({"type": "payload", "payload": "a"});
    let changed = |key: &str, value: Value| {
        let mut body = text_to("+31612345678", "b-0-1");
        body[key] = value;
        body
    };
    for (code, body) in [
        (100, json!([])),
        (100, json!({"messaging_product": "sms"})),
        (100, changed("to", Value::Null)),
        (100, changed("to", json!(31_612_345_678_u64))),
        (100, changed("to", json!("+31x612345678"))),
        (100, changed("to", json!("+316"))),
        (100, changed("colour", json!("red"))),
        (100, changed("recipient_type", json!("group"))),
        (
            100,
            changed("biz_opaque_callback_data", json!("x".repeat(513))),
        ),
        (100, changed("text", json!({"body": "x".repeat(4097)}))),
        (131_008, changed("type", Value::Null)),
        (131_008, changed("type", json!("template"))),
        (131_009, changed("type", json!("fax"))),
        (131_008, changed("text", json!({"body": ""}))),
        (131_008, template(json!({"language": {"code": "nl"}}))),
        (131_008, template(json!({"name": "a"}))),
        (100, template(json!({"name": "a", "language": "nl"}))),
        (131_009, with(json!({"type": "footer"}))),
        (131_008, with(json!({"type": "button", "parameters": []}))),
        (
            131_008,
            with(json!({"type": "body", "parameters": [{"text": "a"}]})),
        ),
        (
            131_008,
            with(json!({"type": "body", "parameters": [{"type": "text"}]})),
        ),
        (
            131_008,
            with(json!({"type": "body", "parameters": [{"type": "text", "text": ""}]})),
        ),
        (
            131_009,
            with(json!({"type": "body", "parameters": [{"type": "text", "text": 1}]})),
        ),
        (131_009, with(button("url", &json!(10), &payload))),
        (131_009, with(button("url", &json!("a"), &payload))),
        (131_009, with(button("url", &json!(0), &payload))),
        (131_009, with(button("call", &json!(0), &payload))),
        (131_009, with(json!({"type": "header", "parameters": []}))),
        (
            131_008,
            with(json!({"type": "header", "parameters": [{"type": "image", "image": {}}]})),
        ),
        (
            131_009,
            with(json!({"type": "body", "parameters": [payload]})),
        ),
        (131_009, with(json!({"type": "carousel", "cards": [{}]}))),
    ] {
        let text = body.to_string();
        let judged = Envelope::read(text.as_bytes()).and_then(|envelope| envelope.check());
        let refusal = judged.expect_err(&text);
        let answer: Value = serde_json::from_str(&refusal.body()).expect("JSON");
        assert_eq!(answer["error"]["code"], code, "{text}");
    }
    assert_eq!(envelope::bearer(None).expect_err("no token").status, 401);
    assert!(envelope::bearer(Some(b"Bearer ")).is_err());
    assert!(envelope::path("25.0", "1").is_err());
    assert!(envelope::path("v25.0", "me").is_err());
}

/// A demo shows each kind of ending, and the manual says which number causes which.
#[tokio::test]
async fn endings_of_numbers_cause_what_the_table_says() {
    let world = World::new(Behaviour {
        numbers: Numbers::Scripted,
        ..Behaviour::default()
    })
    .await;
    for (to, attempt, status, code) in [
        ("+31612340404", "b-0-1", 400, json!(131_026)),
        ("+31612340404", "b-0-2", 400, json!(131_026)),
        ("+31612340410", "b-1-1", 400, json!(131_050)),
        ("+31612340429", "b-2-1", 429, json!(130_429)),
        ("+31612340429", "b-2-2", 200, Value::Null),
        ("+31612340429", "b-3-1", 429, json!(130_429)),
        ("+31612340500", "b-4-1", 500, json!(131_000)),
        ("+31612340500", "b-4-2", 200, Value::Null),
        ("+31612340502", "b-5-1", 502, Value::Null),
        ("+31612345678", "b-6-1", 200, Value::Null),
    ] {
        let (found, body) = world.say(&text_to(to, attempt)).await;
        assert_eq!(
            (found, &body["error"]["code"]),
            (status, &code),
            "{to} {attempt}"
        );
    }
    let seen = world.end().await;
    assert_eq!((seen.accepted, seen.refused, seen.attempts), (3, 7, 3));
}

/// A number that ends in 0408 must not keep a stopping demo waiting for a minute.
#[tokio::test]
async fn a_late_answer_ends_with_the_server() {
    let world = World::new(Behaviour {
        numbers: Numbers::Scripted,
        ..Behaviour::default()
    })
    .await;
    let body = text_to("+31612340408", "b-0-1");
    let hasty = Request {
        url: world.url.clone(),
        body: body.to_string().into(),
        bearer: Secret::new(ACCESS_TOKEN),
        timeout: Duration::from_millis(200),
    };
    let reply = world.client.send(&hasty).await;
    assert!(matches!(reply, Reply::NoAnswer { .. }), "{reply:?}");
    let ended = tokio::time::timeout(Duration::from_secs(20), world.end());
    assert_eq!(ended.await.expect("at once").accepted, 1);
}

/// The rate is each number's own, and what is above it is throttled.
#[tokio::test]
async fn a_rate_throttles() {
    let world = World::new(Behaviour {
        rate: Some(0.001),
        ..Behaviour::default()
    })
    .await;
    let other = world.url.replace("106540352242922", "7");
    let body = text_to("+31612345678", "b-0-1");
    assert_eq!(world.say(&body).await.0, 200);
    assert_eq!(world.say(&body).await.0, 429);
    assert_eq!(world.say_to(&other, &body).await.0, 200);
    assert_eq!(world.end().await.repeated, 1);
}

/// A file without a source, a list without rows: what the API refuses must not pass here.
#[test]
fn malformed_contents_are_refused_as_the_api_would() {
    let tapped =
        |kind: &str, action: Value| json!({"type": kind, "body": {"text": "a"}, "action": action});
    let reply = |id: &str| json!({"type": "reply", "reply": {"id": id, "title": id}});
    let row = |id: &str| json!({"id": id, "title": "a"});
    for (code, kind, content) in [
        (131_008, "image", json!({})),
        (131_008, "image", json!({"caption": "a"})),
        (
            100,
            "image",
            json!({"id": "1", "link": "https://a.example/b.png"}),
        ),
        (131_009, "image", json!({"link": "a.png"})),
        (100, "image", json!({"id": 1})),
        (100, "image", json!({"id": "1", "filename": "a"})),
        (100, "audio", json!({"id": "1", "caption": "a"})),
        (
            131_009,
            "video",
            json!({"id": "1", "caption": "x".repeat(1025)}),
        ),
        (100, "sticker", json!(["1"])),
        (131_008, "location", json!({"latitude": 1})),
        (131_009, "location", json!({"latitude": 91, "longitude": 0})),
        (131_009, "contacts", json!([])),
        (100, "contacts", json!({})),
        (
            131_008,
            "contacts",
            json!([{"name": {"formatted_name": "a"}}]),
        ),
        (100, "contacts", json!([{"nickname": "a"}])),
        (131_008, "reaction", json!({"emoji": "👍"})),
        (131_009, "interactive", tapped("poll", json!({}))),
        (
            131_008,
            "interactive",
            json!({"type": "button", "action": {"buttons": [reply("a")]}}),
        ),
        (
            131_009,
            "interactive",
            tapped("button", json!({"buttons": []})),
        ),
        (
            131_009,
            "interactive",
            tapped("button", json!({"buttons": [reply("a"), reply("a")]})),
        ),
        (
            131_009,
            "interactive",
            tapped("button", json!({"buttons": [reply(&"a".repeat(21))]})),
        ),
        (
            131_009,
            "interactive",
            tapped("list", json!({"button": "a", "sections": [{"rows": []}]})),
        ),
        (
            131_009,
            "interactive",
            tapped(
                "list",
                json!({"button": "a", "sections": [{"rows": [row("1"), row("1")]}]}),
            ),
        ),
        (
            131_009,
            "interactive",
            tapped(
                "cta_url",
                json!({"parameters": {"display_text": "a", "url": "a"}}),
            ),
        ),
        (
            131_008,
            "interactive",
            tapped(
                "flow",
                json!({"parameters": {"flow_message_version": "3", "flow_cta": "a"}}),
            ),
        ),
    ] {
        let body = json!({"messaging_product": "whatsapp", "to": "+31612345678", "type": kind,
            kind: content});
        let text = body.to_string();
        let judged = Envelope::read(text.as_bytes()).and_then(|envelope| envelope.check());
        let refusal = judged.expect_err(&text);
        let answer: Value = serde_json::from_str(&refusal.body()).expect("JSON");
        assert_eq!(answer["error"]["code"], code, "{text}");
    }
}

/// What the adapter writes for the golden cases is taken here as it is by the API.
#[test]
fn every_golden_request_is_taken() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder.join("tests/golden/provider/meta-cloud");
    let mut taken = 0;
    for entry in std::fs::read_dir(folder).expect("listed") {
        let case = std::fs::read(entry.expect("listed").path()).expect("read");
        let case: Value = serde_json::from_slice(&case).expect("JSON");
        let body = &case["expected"]["body"];
        if body.is_null() {
            continue;
        }
        let text = body.to_string();
        let judged = Envelope::read(text.as_bytes()).and_then(|envelope| envelope.check());
        assert!(judged.is_ok(), "{text}");
        taken += 1;
    }
    assert!(taken >= 40, "{taken}");
}

/// A bulk request is many messages: each is judged by itself, and each is counted once.
#[tokio::test]
async fn a_bulk_request_is_answered_message_by_message() {
    let behaviour = Behaviour {
        numbers: Numbers::Scripted,
        ..Behaviour::default()
    };
    let world = World::new(behaviour).await;
    let bulk = format!("{}/bulk", world.url);
    let body = json!({"messages": [
        text_to("+31612340001", "b-0-1"), text_to("+31612340404", "b-1-1"),
        text_to("+31612340502", "b-2-1"), {"messaging_product": 7}]});
    let (status, answer) = world.say_to(&bulk, &body).await;
    assert_eq!(status, 200);
    let answers = answer["messages"].as_array().expect("answers");
    let told: Vec<_> = answers
        .iter()
        .map(|answer| (answer["id"].as_str(), answer["status"].as_u64()))
        .collect();
    assert_eq!(
        told,
        [
            (Some("b-0-1"), Some(200)),
            (Some("b-1-1"), Some(400)),
            (Some("b-2-1"), Some(502)),
            (None, Some(400))
        ]
    );
    let alone = &answers[0]["body"];
    assert!(validator("messages.response").is_valid(alone), "{alone}");
    assert_eq!(answers[1]["body"]["error"]["code"], 131_026);
    assert_eq!(answers[2].get("body"), None);
    let none = json!({"messages": []});
    assert_eq!(world.say_to(&bulk, &none).await.0, 400);
    let one = text_to("+31612340001", "b-9-1");
    let many = json!({"messages": vec![one; BULK_MESSAGES_MAX + 1]});
    assert_eq!(world.say_to(&bulk, &many).await.0, 400);
    let seen = world.end().await;
    assert_eq!((seen.requests, seen.accepted, seen.refused), (3, 1, 5));
    assert_eq!((seen.attempts, seen.repeated), (1, 0));
}
