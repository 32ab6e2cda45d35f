//! The stand-in against the real adapter and client, and against the shapes that are published.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::{ACCESS_TOKEN, Behaviour, Callbacks, MediaIds, Sandbox, Seen, VERSION};
use super::*;
use crate::batch::Phone;
use crate::delivery::receipt::Callback;
use crate::delivery::{AttemptId, Outcome, Sender};
use crate::provider::http::Client;
use crate::provider::meta_cloud::MetaCloud;
use crate::provider::sandbox_bulk::SandboxBulk;
use crate::provider::{
    Adapter, CallbackSecrets, Credential, Kind, Proof, Reply, Request, Scheme, Secret, Upload,
    golden,
};

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
        let sandbox = Sandbox::open(LOOPBACK.into(), Kind::Sandbox, behaviour).await;
        Self::around(sandbox.expect("opened"))
    }

    fn around(sandbox: Sandbox) -> Self {
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
        let request = post(url, body);
        match self.client.send(&request).await {
            Reply::Answer { status, body, .. } => {
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                if !url.ends_with("/bulk") && !body.is_null() {
                    assert_published(status, &body);
                }
                (status, body)
            }
            other => panic!("no answer: {other:?}"),
        }
    }

    async fn end(self) -> Seen {
        self.stop.cancel();
        self.served.await.expect("served")
    }
}

/// A client that works against the sandbox must work against the real API: both answer alike.
fn assert_published(status: u16, body: &Value) {
    static VALIDATORS: LazyLock<[jsonschema::Validator; 2]> =
        LazyLock::new(|| ["messages.response", "error.response"].map(validator));
    let validator = &VALIDATORS[usize::from(status != 200)];
    assert!(validator.is_valid(body), "{status} {body}");
}

fn text_to(to: &str, attempt: &str) -> Value {
    json!({"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "hello"},
        "biz_opaque_callback_data": attempt})
}

fn validator(name: &str) -> jsonschema::Validator {
    golden::schema(&format!("meta-cloud/{name}"))
}

/// A client that works against the sandbox must work against the real API: both answer alike.
#[tokio::test]
async fn answers_have_the_published_shapes() {
    let world = World::new(Behaviour::default()).await;
    let (status, body) = world.say(&text_to("+31 6 1234-5678", "b-0-1")).await;
    assert_eq!(status, 200);
    assert_eq!(body["contacts"][0]["input"], "+31 6 1234-5678");
    assert_eq!(body["contacts"][0]["wa_id"], "31612345678");

    let (status, body) = world.say(&json!({})).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!(100)));

    let elsewhere = world.url.replace("/messages", "/calls");
    let (status, body) = world.say_to(&elsewhere, &json!({})).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!(2500)));
    for status in 400..=599 {
        if let Some(refusal) = Refusal::of(status) {
            assert_published(
                status,
                &serde_json::from_str(&refusal.body()).expect("JSON"),
            );
        }
    }

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
        let judged = Envelope::read(text.as_bytes()).and_then(|it| it.check(Call::Messages));
        let refusal = judged.expect_err(&text);
        let answer: Value = serde_json::from_str(&refusal.body()).expect("JSON");
        assert_published(refusal.status, &answer);
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

fn post(url: &str, body: &Value) -> Request {
    let credential = Credential::new(Scheme::Bearer, Secret::new(ACCESS_TOKEN));
    Request::post(url.into(), body.to_string(), &credential)
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
        timeout: Duration::from_millis(200),
        ..post(&world.url, &body)
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
        let judged = Envelope::read(text.as_bytes()).and_then(|it| it.check(Call::Messages));
        let refusal = judged.expect_err(&text);
        let answer: Value = serde_json::from_str(&refusal.body()).expect("JSON");
        assert_published(refusal.status, &answer);
        assert_eq!(answer["error"]["code"], code, "{text}");
    }
}

/// Marketing that is tried here must not fail at the call that takes nothing else.
#[tokio::test]
async fn the_call_for_marketing_takes_templates_alone() {
    let world = World::new(Behaviour::default()).await;
    let marketing = world.url.replace("/messages", "/marketing_messages");
    let mut template = json!({"messaging_product": "whatsapp", "to": "+31612345678",
        "type": "template", "template": {"name": "sale", "language": {"code": "nl"}},
        "product_policy": "STRICT"});
    assert_eq!(world.say_to(&marketing, &template).await.0, 200);
    assert_eq!(world.say(&template).await.1["error"]["code"], 100);
    template["product_policy"] = json!("LAX");
    let (_, body) = world.say_to(&marketing, &template).await;
    assert_eq!(body["error"]["code"], 131_009);
    let text = text_to("+31612345678", "b-0-1");
    let (_, body) = world.say_to(&marketing, &text).await;
    assert_eq!(body["error"]["code"], 131_055);
    assert_eq!(world.end().await.accepted, 1);
}

/// A program that reads the list here must be able to read the provider's.
#[test]
fn the_list_of_templates_has_the_published_shape() {
    let definition = |name: &str, body: &str| {
        json!({"name": name, "language": "nl", "category": "UTILITY", "status": "APPROVED",
            "components": [{"type": "BODY", "text": body}]})
    };
    let mut kept =
        Templates::of(&[json!({"data": [definition("one", "Hello {{1}}, all is well.")]})]);
    assert!(kept.create(&definition("two_rejected", "Hello.")).is_ok());
    let asked = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()));
        pairs.collect()
    };
    let first = kept.list(&asked(&[("limit", "1")]), "http://a/list");
    let second = kept.list(&asked(&[("limit", "1"), ("after", "1")]), "http://a/list");
    for page in [&first, &second] {
        let validator = validator("message-templates-list.response");
        assert!(validator.is_valid(page), "{page}");
    }
    assert_eq!(first["data"][0]["name"], "one");
    assert!(first["paging"]["next"].is_string() && second["paging"].get("next").is_none());
    assert_eq!(second["data"][0]["status"], "REJECTED");
    for (definition, code) in [
        (json!([]), 100),
        (definition("Two", "Hello."), 100),
        (definition("two_rejected", "Hello."), 100),
        (definition("three", "{{1}} begins."), 100),
        (
            json!({"name": "a", "language": "nl", "category": "UTILITY"}),
            131_008,
        ),
        (
            json!({"name": "a", "language": "nl", "category": "NEWS"}),
            100,
        ),
    ] {
        let refusal = kept.create(&definition).expect_err("refused");
        let answer: Value = serde_json::from_str(&refusal.body()).expect("JSON");
        assert_published(refusal.status, &answer);
        assert_eq!(answer["error"]["code"], code, "{definition}");
    }
    let id = first["data"][0]["id"].as_str().expect("an id").to_owned();
    for (called, code) in [
        (("one", "nl", 1), None),
        (("one", "nl", 2), Some(132_000)),
        (("one", "en", 1), Some(132_001)),
    ] {
        let found = kept.take(&called).err().map(|refusal| refusal.body());
        let code = code.map(|code| format!("\"code\":{code}"));
        let is_told = found.as_deref().zip(code.as_deref());
        assert_eq!(found.is_some(), code.is_some());
        assert!(
            is_told.is_none_or(|(body, code)| body.contains(code)),
            "{called:?}"
        );
    }
    for (status, code) in [
        ("PAUSED", "132015"),
        ("DISABLED", "132016"),
        ("PENDING", "132001"),
    ] {
        kept.set_status(&id, &json!({"status": status}))
            .expect("set");
        let refusal = kept.take(&("one", "nl", 1)).expect_err("refused");
        assert!(refusal.body().contains(code), "{status}");
    }
    assert!(kept.edit(&id, &json!({"category": "MARKETING"})).is_err());
    assert!(
        kept.delete(&asked(&[("name", "one"), ("hsm_id", "0")]))
            .is_err()
    );
    assert!(kept.delete(&asked(&[("name", "one")])).is_ok());
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
        let Some(url) = case["expected"]["url"].as_str() else {
            continue;
        };
        let call = match url.rsplit_once('/') {
            Some((_, "marketing_messages")) => Call::MarketingMessages,
            _ => Call::Messages,
        };
        let text = body.to_string();
        let judged = Envelope::read(text.as_bytes()).and_then(|it| it.check(call));
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

/// What was asked about is found by our own ids, and nothing is claimed of what never came.
#[tokio::test]
async fn what_was_taken_is_told_when_it_is_asked() {
    let world = World::new(Behaviour {
        numbers: Numbers::Scripted,
        ..Behaviour::default()
    })
    .await;
    let batch = "20261121T091502Z-7kq2xm";
    let ids: Vec<AttemptId> = (0..4)
        .map(|index| AttemptId::parse(&format!("{batch}-{index}-1")).expect("an id"))
        .collect();
    let (_, first) = world
        .say(&text_to("+31612345678", &ids[0].to_string()))
        .await;
    // Taken although the answer does not say so, and not taken.
    let lost = world
        .say(&text_to("+31612340504", &ids[1].to_string()))
        .await;
    assert_eq!(lost.0, 502);
    world
        .say(&text_to("+31612340502", &ids[2].to_string()))
        .await;
    let base_url = world.url.trim_end_matches("/106540352242922/messages");
    let single = MetaCloud::new(base_url.into(), Secret::new(ACCESS_TOKEN));
    let adapter = SandboxBulk::new(single, 1);
    let request = adapter.ask(&ids).expect("it can be asked");
    let told = adapter.told(&world.client.send(&request).await);
    let found: Vec<_> = told
        .iter()
        .map(|receipt| (receipt.attempt.clone(), receipt.says.as_str()))
        .collect();
    let taken = |at: usize| (Some(ids[at].clone()), "accepted");
    assert_eq!(found, [taken(0), taken(1)]);
    assert_eq!(told[0].provider_id, first["messages"][0]["id"]);
    let silence = Reply::NoAnswer { why: "cut".into() };
    assert_eq!(adapter.told(&silence), []);
    world.end().await;
}

/// A server that is called back: it writes bodies and signatures down, and fails at first.
async fn called_back() -> (SocketAddr, Arc<Mutex<Vec<(String, String)>>>) {
    let heard = Arc::<Mutex<Vec<(String, String)>>>::default();
    let hear = async |State(heard): State<Arc<Mutex<Vec<_>>>>, headers: HeaderMap, body: String| {
        let signature = headers["x-hub-signature-256"].to_str().expect("text");
        let mut heard = heard.lock().expect("sound");
        heard.push((body, signature.to_owned()));
        match heard.len() {
            1 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        }
    };
    let router = Router::new().route("/receipts/sandbox", axum::routing::post(hear));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("bound");
    let address = listener.local_addr().expect("bound");
    let router = router.with_state(Arc::clone(&heard));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, heard)
}

/// Whoever tries callbacks out here relies on what Meta sends: its form, its signature, and that
/// what was not answered comes again.
#[tokio::test]
async fn callbacks_are_as_the_real_ones() {
    let (address, heard) = called_back().await;
    let url = format!("http://{address}/receipts/sandbox");
    let callbacks = Callbacks::new(url, "the-secret").expect("it may go there");
    let sandbox = Sandbox::open(
        LOOPBACK.into(),
        Kind::Sandbox,
        Behaviour {
            numbers: Numbers::Scripted,
            ..Behaviour::default()
        },
    );
    let sandbox = sandbox.await.expect("opened").calling_back(callbacks);
    let world = World::around(sandbox);
    let id = "20261121T091502Z-7kq2xm-0-1";
    world.say(&text_to("+31612345678", id)).await;
    world.say(&text_to("+31612340526", "row-17")).await;
    world.say(&text_to("+31612340404", "row-18")).await;
    let schema = validator("status.webhook");
    let single = MetaCloud::new(String::new(), Secret::new(ACCESS_TOKEN));
    let secrets = CallbackSecrets {
        app_secret: Secret::new("the-secret"),
        ..CallbackSecrets::default()
    };
    let mut words = Vec::new();
    while words.len() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        // The first was not answered, and all of it comes again.
        let known = heard.lock().expect("sound").clone();
        words.clear();
        for (body, signature) in known.iter().skip(1) {
            let value: Value = serde_json::from_str(body).expect("JSON");
            assert!(schema.is_valid(&value), "{value:#}");
            let callback = Callback {
                headers: vec![("x-hub-signature-256".into(), signature.clone())],
                body: body.clone().into(),
                ..Callback::default()
            };
            assert_eq!(single.verify(&callback, &secrets), Proof::Signed);
            let receipts = single.receipts(&callback).into_iter();
            words.extend(receipts.map(|receipt| (receipt.attempt, receipt.says.as_str())));
        }
    }
    words.sort_by_key(|(attempt, word)| (attempt.is_none(), *word));
    let ours = AttemptId::parse(id);
    let expected = ["accepted", "delivered", "read"].map(|word| (ours.clone(), word));
    assert_eq!(words[..3], expected);
    assert_eq!(words[3], (None, "failed"));
    let seen = world.end().await;
    assert_eq!(seen.untold, 0);
    assert!(Callbacks::new("http://example.com/".into(), "s").is_err());
}
/// A developer who tries files against the stand-in must see what the API would say: an id for one
/// that it takes, a refusal of what it does not, and of ids that nobody was given.
#[tokio::test]
async fn files_are_taken_and_known_by_their_ids() {
    let world = World::new(Behaviour {
        media_ids: MediaIds::Uploaded,
        ..Behaviour::default()
    })
    .await;
    let base_url = world.url.replace("/106540352242922/messages", "");
    let adapter = MetaCloud::new(base_url, Secret::new(ACCESS_TOKEN));
    let sender = Sender {
        number: Phone::from_e164("+15550001111").expect("a number"),
        provider_id: "106540352242922".into(),
        messages_per_second: 1.0,
    };
    let upload = async |mime_type: &str, content: &[u8]| {
        let file = Upload {
            sha256: "5e5e5e5e",
            mime_type,
            name: "shoe \"1\".jpg",
            content,
        };
        let request = adapter.upload(&sender, &file).expect("it takes files");
        adapter.uploaded(&world.client.send(&request).await)
    };
    let (id, kept) = upload("image/jpeg", b"\xff\xd8\xff").await.expect("taken");
    assert_eq!(kept, Duration::from_hours(30 * 24));
    for (mime_type, size) in [
        ("image/gif", 1),
        ("image/jpeg", (5 << 20) + 1),
        ("image/png", 0),
    ] {
        let outcome = upload(mime_type, &vec![0; size])
            .await
            .expect_err("refused");
        assert!(
            matches!(*outcome, Outcome::Refused { .. }),
            "{mime_type}: {outcome:?}"
        );
    }
    let message = |id: &str| {
        json!({"messaging_product": "whatsapp", "to": "+31612345001", "type": "image",
            "image": {"id": id}})
    };
    assert_eq!(world.say(&message(&id)).await.0, 200);
    let request = post(&world.url, &message("1"));
    let outcome = adapter.outcome(&world.client.send(&request).await);
    let Outcome::Refused { reason, .. } = outcome else {
        panic!("an unknown id: {outcome:?}");
    };
    assert!(adapter.has_lost_file(&reason), "{reason:?}");
    world.end().await;
}
