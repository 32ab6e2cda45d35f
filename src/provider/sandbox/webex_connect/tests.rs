//! The stand-in against the real adapter and client, and against the shapes that are published.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::{Behaviour, Sandbox, Seen};
use super::*;
use crate::batch::Moment;
use crate::provider::golden::schema;
use crate::provider::http::Client;
use crate::provider::{Credential, Kind, Next, Reply, Request, Scheme, Secret, webex_connect};

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
        let sandbox = Sandbox::open(LOOPBACK.into(), Kind::WebexConnect, behaviour).await;
        let sandbox = sandbox.expect("opened");
        let stop = CancellationToken::new();
        Self {
            url: format!("{}/resources/v1/messaging", sandbox.base_url()),
            client: Client::new(None).expect("the roots are good"),
            served: tokio::spawn(sandbox.serve(stop.clone())),
            stop,
        }
    }

    /// What is answered; each answer has the published shape.
    async fn say(&self, body: &Value) -> Value {
        let credential = Credential::new(Scheme::Key, Secret::new("any-key"));
        self.say_as(Request::post(
            self.url.clone(),
            body.to_string(),
            &credential,
        ))
        .await
    }

    async fn say_as(&self, request: Request) -> Value {
        match self.client.send(&request).await {
            Reply::Answer {
                status: 200, body, ..
            } => {
                let body: Value = serde_json::from_slice(&body).expect("JSON");
                let published = schema("webex-connect/messaging.response");
                assert!(published.is_valid(&body), "{body}");
                body
            }
            Reply::Answer { status, .. } => json!(status),
            other => panic!("no answer: {other:?}"),
        }
    }

    async fn end(self) -> Seen {
        self.stop.cancel();
        self.served.await.expect("served")
    }
}

fn text_to(to: &str, attempt: &str) -> Value {
    json!({
        "deliverychannel": "whatsapp", "appid": "a_170000000000000001",
        "destination": [{ "waid": [to] }],
        "channels": { "OTT-Messaging": { "wa": { "type": "text", "text": { "body": "hello" } } } },
        "correlationid": attempt,
    })
}

fn scripted() -> Behaviour {
    Behaviour {
        numbers: Numbers::Scripted,
        ..Behaviour::default()
    }
}

/// A client that works against the stand-in must work against the real API: both answer alike.
#[tokio::test]
async fn answers_have_the_published_shapes() {
    let world = World::new(Behaviour::default()).await;
    let queued = world.say(&text_to("31612345678", "b-0-1")).await;
    assert_eq!(queued["response"][0]["code"], "1001");
    assert_eq!(queued["response"][0]["correlationid"], "b-0-1");
    assert_eq!(
        queued["response"][0]["transid"].as_str().map(str::len),
        Some(36)
    );
    let refused = world.say(&json!({})).await;
    assert_eq!(refused["response"]["code"], "7003");
    let both = json!([text_to("31612345678", "b-1-1"), {}]);
    let both = world.say(&both).await;
    let codes = [0, 1].map(|at| both["response"][at]["code"].clone());
    assert_eq!(codes, ["1001", "7003"]);
    let seen = world.end().await;
    assert_eq!((seen.requests, seen.accepted, seen.refused), (3, 2, 2));
}

/// Endings of numbers are how people try their own handling of trouble.
#[tokio::test]
async fn numbers_cause_what_the_table_says() {
    let world = World::new(scripted()).await;
    for (ending, codes) in [
        ("0404", ["7871", "7871"]),
        ("0410", ["9002", "9002"]),
        ("0429", ["7020", "1001"]),
        ("0500", ["7006", "1001"]),
        ("1234", ["1001", "1001"]),
    ] {
        for (attempt, code) in [1, 2].into_iter().zip(codes) {
            let id = format!("b-{ending}-{attempt}");
            let answer = world.say(&text_to(&format!("3161234{ending}"), &id)).await;
            let response = &answer["response"];
            let told = response.get("code").unwrap_or(&response[0]["code"]);
            assert_eq!(told, code, "{ending}");
        }
    }
    let gateway = world.say(&text_to("31612340502", "b-7-1")).await;
    assert_eq!(gateway, 502);
    assert_eq!(world.end().await.repeated, 1);
}

/// A tenant whose key is missing, empty or a token of yesterday must learn it here.
#[test]
fn only_who_shows_something_is_let_in() {
    let now = Moment::parse("2026-11-21T09:15:03Z").expect("a moment");
    let code = |key: Option<&str>, bearer: Option<&str>| {
        let refused = envelope::let_in(key, bearer, now).err();
        refused.map(|refusal| refusal.code)
    };
    assert_eq!(code(Some("any"), None), None);
    assert_eq!(code(Some(""), None), Some("7001"));
    assert_eq!(code(None, None), Some("7002"));
    assert_eq!(code(Some("any"), Some("Bearer nonsense")), Some("7001"));
    let made = |at: Moment| {
        let settings = webex_connect::Settings {
            auth: webex_connect::Auth::Jwt {
                service_id: "f00d-1".into(),
            },
            ..Default::default()
        };
        let secret = Secret::new("c2VjcmV0");
        let adapter = webex_connect::WebexConnect::new(String::new(), secret, settings);
        match first(&adapter, at) {
            Next::Send(request) => request.headers[0].1.reveal().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code(None, Some(&made(now))), None);
    let early = made(now.plus_ms(-3_601_000));
    assert_eq!(code(None, Some(&early)), Some("7001"));
}

/// The first request for a plain text.
fn first(adapter: &dyn crate::provider::Adapter, at: Moment) -> Next {
    let message = serde_json::from_value(json!({
        "index": 0, "line": 1, "to": "+31612345678", "from": "+15550001111",
        "expiresAt": 1_795_000_000_000_i64,
        "content": { "text": { "body": "hello", "previewUrl": false } },
    }));
    let message: crate::batch::Message = message.expect("a message");
    let sender = crate::delivery::Sender {
        number: message.from.clone(),
        provider_id: "a_1".into(),
        messages_per_second: 80.0,
    };
    let id = crate::delivery::AttemptId {
        batch: crate::batch::BatchId::parse("20261121T091502Z-7kq2xm").expect("an id"),
        index: 0,
        attempt: 1,
    };
    let load = crate::provider::Load {
        sender: &sender,
        ids: &[id],
        messages: &[&message],
        at,
    };
    adapter.next(&load, &[])
}

/// Every request that the adapter can write must pass here, or the stand-in refuses what is right.
#[test]
fn what_the_adapter_writes_is_taken() {
    let mut taken = 0;
    for body in webex_connect::golden::requests() {
        let read = Envelope::read(&body, Moment::from_millis(0));
        assert!(read.is_ok(), "{read:?}\n{body:#}");
        taken += 1;
    }
    assert!(taken >= 30, "{taken}");
}

/// A malformed request must not pass here and fail at the real provider.
#[test]
fn malformed_requests_are_refused_as_the_api_would() {
    let now = Moment::parse("2026-11-21T09:15:03Z").expect("a moment");
    let changed = |key: &str, value: Value| {
        let mut body = text_to("31612345678", "b-0-1");
        body[key] = value;
        body
    };
    let wa = |wa: Value| changed("channels", json!({ "OTT-Messaging": { "wa": wa } }));
    let template = |template: &str, parameters: Value| {
        let mut body = text_to("31612345678", "b-0-1");
        body.as_object_mut().expect("an object").remove("channels");
        body["message"] = json!({ "template": template, "parameters": parameters });
        body
    };
    let replies = json!([1, 2, 3, 4].map(|_| json!({ "button_text": "a", "payload": "b" })));
    let many = vec![json!({ "waid": ["31612345678"] }); 1001];
    for (code, body) in [
        ("7000", json!(7)),
        ("7003", json!({})),
        ("7004", changed("deliverychannel", json!("sms"))),
        ("7004", changed("appID", json!("a_1"))),
        ("7104", changed("appid", json!("b"))),
        ("7004", changed("destination", json!([]))),
        ("7004", changed("destination", json!([{ "waid": [] }]))),
        ("7004", changed("destination", json!([{ "waid": ["0"] }]))),
        ("7009", changed("destination", json!(many))),
        ("7004", changed("correlationid", json!("b".repeat(51)))),
        ("7004", changed("expiry", json!("tomorrow"))),
        ("7005", changed("expiry", json!("2026-11-21T09:15:02Z"))),
        ("7003", changed("channels", json!({}))),
        (
            "7003",
            changed("options", json!({ "shortenLinks": "true" })),
        ),
        ("7003", wa(json!({ "type": "text" }))),
        (
            "7004",
            wa(json!({ "type": "text", "text": { "body": "a".repeat(4097) } })),
        ),
        (
            "7003",
            wa(json!({ "type": "image", "image": { "url": "https://a/b.png" } })),
        ),
        ("7004", wa(json!({ "type": "reaction", "reaction": {} }))),
        (
            "7004",
            wa(json!({ "type": "location",
            "location": { "longitude": "181", "latitude": "0" } })),
        ),
        ("7108", template("spring", json!({}))),
        ("7003", template("1", json!({ "image": {} }))),
        ("7004", template("1", json!({ "quickReply": replies }))),
        (
            "7004",
            template(
                "1",
                json!({ "otp": { "type": "otp", "value": "1234567890123456" } }),
            ),
        ),
        ("7004", template("1", json!({ "name": "two\nlines" }))),
        (
            "7004",
            template("1", json!({ "name": { "type": "colour" } })),
        ),
    ] {
        let refused = Envelope::read(&body, now).expect_err("malformed");
        assert_eq!(refused.code, code, "{body:#}");
    }
}

/// Refusals by chance are met as the provider words them.
#[tokio::test]
async fn refusals_by_status_have_the_published_shape() {
    let published = schema("webex-connect/messaging.response");
    for (status, code) in [(400, "7004"), (401, "7001"), (429, "7020"), (500, "7006")] {
        let answer = refusal(StatusCode::from_u16(status).expect("a status"));
        assert_eq!(answer.status(), status);
        let body = axum::body::to_bytes(answer.into_body(), 4096)
            .await
            .expect("read");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(published.is_valid(&body), "{body}");
        assert_eq!(body["response"]["code"], code);
    }
}
