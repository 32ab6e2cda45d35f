//! The stand-in against the real adapter and client, and against the shapes that are published.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::{Behaviour, Numbers, Sandbox, Seen};
use super::*;
use crate::provider::http::Client;
use crate::provider::{Adapter as _, Credential, Kind, Method, Reply, Request, Scheme, Secret};

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
        let sandbox = Sandbox::open(LOOPBACK.into(), Kind::Infobip, behaviour)
            .await
            .expect("opened");
        let stop = CancellationToken::new();
        Self {
            url: sandbox.base_url(),
            client: Client::new(None).expect("the roots are good"),
            served: tokio::spawn(sandbox.serve(stop.clone())),
            stop,
        }
    }

    async fn with(modes: Modes) -> Self {
        Self::new(Behaviour {
            numbers: Numbers::Scripted,
            infobip: modes,
            ..Behaviour::default()
        })
        .await
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let credential = Credential::new(Scheme::App, Secret::new("a-key"));
        let url = format!("{}{path}", self.url);
        let request = match method {
            Method::Get | Method::Delete => Request::get(url, &credential),
            _ => Request::post(url, body.to_string(), &credential),
        };
        self.say(Request { method, ..request }).await
    }

    async fn say(&self, request: Request) -> (u16, Value) {
        match self.client.send(&request).await {
            Reply::Answer { status, body, .. } => {
                (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
            }
            other => panic!("no answer: {other:?}"),
        }
    }

    async fn post(&self, call: &str, body: &Value) -> (u16, Value) {
        let path = format!("/whatsapp/1/message/{call}");
        self.ask(Method::Post, &path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::Get, path, &Value::Null).await;
        assert_eq!(status, 200, "{path}");
        body
    }

    async fn end(self) -> Seen {
        self.stop.cancel();
        self.served.await.expect("served")
    }
}

fn judge(schema: &str, body: &Value) {
    let schema = crate::provider::golden::schema(&format!("infobip/{schema}"));
    let errors: Vec<String> = schema.iter_errors(body).map(|it| it.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}\n{body}");
}

fn template(to: &str, id: &str) -> Value {
    json!({ "from": "15550001111", "to": to, "messageId": id, "content": {
        "templateName": "order_ready", "language": "en",
        "templateData": { "body": { "placeholders": ["Ana"] } } } })
}

fn bulk(messages: &[Value]) -> Value {
    json!({ "bulkId": "b-1", "messages": messages })
}

fn text(to: &str, id: &str) -> Value {
    json!({ "from": "15550001111", "to": to, "messageId": id, "content": { "text": "hello" } })
}

/// What the adapter writes for the golden cases is taken here as it is by the API.
#[test]
fn every_golden_request_is_taken() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder.join("tests/golden/provider/infobip");
    let mut taken = 0;
    for entry in std::fs::read_dir(folder).expect("listed") {
        let case = std::fs::read(entry.expect("listed").path()).expect("read");
        let case: Value = serde_json::from_slice(&case).expect("JSON");
        let expected = &case["expected"];
        let Some((_, call)) = expected["url"]
            .as_str()
            .and_then(|it| it.split_once("message/"))
        else {
            continue;
        };
        let mut errors = Errors::new();
        let body = &expected["body"];
        let alone = [body.clone()];
        let messages = body["messages"]
            .as_array()
            .map_or(&alone[..], Vec::as_slice);
        for message in messages {
            let shape = calls::message(call).expect("a call");
            shape.check(message, "", &mut errors);
        }
        assert!(errors.is_empty(), "{errors:?}\n{body}");
        taken += 1;
    }
    assert!(taken >= 65, "{taken}");
}

fn content(content: &Value) -> Value {
    json!({ "from": "1555", "to": "316", "content": content })
}

/// A message of this call is refused because of what stands at `path`.
fn refused(call: &str, message: &Value, (path, what): (&str, &str)) {
    let mut errors = Errors::new();
    calls::message(call)
        .expect("a call")
        .check(message, "", &mut errors);
    let said = errors.get(path);
    let is_said = said.is_some_and(|said| said.iter().any(|it| it == what));
    assert!(is_said, "{path}: {errors:?}\n{message}");
}

/// A malformed request must not pass here and fail at the real provider.
#[test]
fn malformed_requests_are_refused_as_the_api_would() {
    for (call, message, path, what) in [
        ("text", json!({}), "from", "must not be blank"),
        (
            "text",
            content(&json!({})),
            "content.text",
            "must not be blank",
        ),
        (
            "text",
            content(&json!({ "text": " " })),
            "content.text",
            "must not be blank",
        ),
        (
            "text",
            content(&json!({ "text": "x".repeat(4097) })),
            "content.text",
            "size must be between 1 and 4096",
        ),
        (
            "text",
            content(&json!({ "text": 7 })),
            "content.text",
            "has the wrong type",
        ),
        (
            "text",
            content(&json!({ "text": "a", "colour": 1 })),
            "content.colour",
            "is not known",
        ),
        (
            "text",
            content(&json!({ "text": null })),
            "content.text",
            "must not be null",
        ),
        (
            "image",
            content(&json!({ "mediaUrl": "a" })),
            "content.mediaUrl",
            "is not a valid url",
        ),
        (
            "location",
            content(&json!({ "latitude": -91, "longitude": 0 })),
            "content.latitude",
            "must be greater than or equal to -90",
        ),
        (
            "location",
            content(&json!({ "latitude": 0, "longitude": 180.5 })),
            "content.longitude",
            "must be less than or equal to 180",
        ),
        (
            "interactive/buttons",
            content(&json!({ "body": { "text": "a" }, "action": { "buttons": [] } })),
            "content.action.buttons",
            "must not be empty",
        ),
    ] {
        refused(call, &message, (path, what));
    }
    assert!(calls::message("fax").is_none());
}

/// The same for templates, whose faults Infobip would tell only after it took the message.
#[test]
fn malformed_templates_are_refused_as_the_api_would() {
    let data = |data: Value| {
        content(&json!({ "templateName": "a", "language": "en", "templateData": data }))
    };
    let body = json!({ "placeholders": [] });
    for (message, path, what) in [
        (
            data(json!({})),
            "content.templateData.body",
            "must not be null",
        ),
        (
            data(json!({ "body": { "placeholders": [""] } })),
            "content.templateData.body.placeholders[0]",
            "must not be blank",
        ),
        (
            data(json!({ "body": body, "header": { "type": "TEXT", "placeholder": "a\nb" } })),
            "content.templateData.header.placeholder",
            "cannot have new-line/tab characters or more than 4 consecutive spaces",
        ),
        (
            data(json!({ "body": body, "buttons": [{ "type": "MPM" }] })),
            "content.templateData.buttons[0].type",
            "is not one of the known types",
        ),
        (
            data(json!({ "body": body,
                "buttons": [{ "type": "COPY_CODE", "parameter": "x".repeat(16) }] })),
            "content.templateData.buttons[0].parameter",
            "size must be between 1 and 15",
        ),
    ] {
        refused(calls::TEMPLATE, &message, (path, what));
    }
}

/// A client that works against the stand-in must work against the real API: both answer alike.
#[tokio::test]
async fn answers_have_the_published_shapes() {
    let world = World::with(Modes::default()).await;
    let (status, body) = world
        .post("template", &bulk(&[template("31612345678", "b-0-1")]))
        .await;
    assert_eq!(status, 200);
    judge("message-template.response", &body);
    assert_eq!(body["messages"][0]["messageId"], "b-0-1");
    assert_eq!(body["bulkId"], "b-1");
    let (status, body) = world.post("text", &text("31612345678", "b-1-1")).await;
    assert_eq!(status, 200);
    judge("message-single.response", &body);
    let (status, body) = world.post("text", &bulk(&[])).await;
    assert_eq!(status, 400);
    judge("error-api-exception.response", &body);
    let throttled = world.post("text", &text("31612340429", "b-2-1")).await;
    assert_eq!(throttled.0, 429);
    judge("error-api-error.response", &throttled.1);
    assert_eq!(world.post("fax", &json!({})).await.0, 404);
    let nobody = Request {
        headers: Vec::new(),
        ..Request::get(
            format!("{}/messages-api/1/reports", world.url),
            &Credential::new(Scheme::App, Secret::default()),
        )
    };
    let (status, body) = world.say(nobody).await;
    assert_eq!(status, 401);
    judge("error-api-error.response", &body);
    let reports = world.get("/messages-api/1/reports").await;
    judge("messages-api-reports.response", &reports);
    assert_eq!(reports["results"].as_array().map(Vec::len), Some(2));
    let seen = world.end().await;
    assert_eq!((seen.accepted, seen.refused), (2, 3));
}

/// The manual says which number causes what, and each must have its form.
#[tokio::test]
async fn endings_of_numbers_cause_what_the_table_says() {
    let world = World::with(Modes::default()).await;
    for (to, attempt, http, id) in [
        ("31612340400", "b-0-1", 400, Value::Null),
        ("31612340404", "b-1-1", 200, json!(52)),
        ("31612340410", "b-2-1", 200, json!(14)),
        ("31612340429", "b-3-1", 429, Value::Null),
        ("31612340429", "b-3-2", 200, json!(7)),
        ("31612340500", "b-4-1", 200, json!(21)),
        ("31612340500", "b-4-2", 200, json!(7)),
        ("31612340502", "b-5-1", 502, Value::Null),
        ("31612340504", "b-9-1", 504, Value::Null),
        ("31612340702", "b-6-1", 200, json!(7)),
        ("31612340715", "b-7-1", 200, json!(7)),
        ("31612340700", "b-8-1", 200, json!(7)),
    ] {
        let (status, body) = world
            .post("template", &bulk(&[template(to, attempt)]))
            .await;
        let found = (status, &body["messages"][0]["status"]["id"]);
        assert_eq!(found, (http, &id), "{to} {attempt}");
    }
    let reports = world.get("/messages-api/1/reports?messageId=b-6-1").await;
    assert_eq!(reports["results"][0]["error"]["id"], 7002);
    let reports = world.get("/messages-api/1/reports?messageId=b-8-1").await;
    assert_eq!(reports["results"], json!([]));
    let logs = world
        .get("/whatsapp/2/logs?messageId=b-8-1&messageId=b-9-9")
        .await;
    assert_eq!(logs["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(logs["results"][0]["status"]["id"], 5);
    world.end().await;
}

/// A number that ends in 0408 must not keep a stopping demo waiting for a minute.
#[tokio::test]
async fn a_late_answer_ends_with_the_server() {
    let world = World::with(Modes::default()).await;
    let credential = Credential::new(Scheme::App, Secret::new("a-key"));
    let url = format!("{}/whatsapp/1/message/text", world.url);
    let hasty = Request {
        timeout: Duration::from_millis(200),
        ..Request::post(url, text("31612340408", "b-0-1").to_string(), &credential)
    };
    let reply = world.client.send(&hasty).await;
    assert!(matches!(reply, Reply::NoAnswer { .. }), "{reply:?}");
    let ended = tokio::time::timeout(Duration::from_secs(20), world.end());
    assert_eq!(ended.await.expect("at once").accepted, 1);
}

/// What a report hands out once must be gone then, and what is looked up must stay.
#[tokio::test]
async fn reports_are_handed_out_once() {
    let world = World::with(Modes::default()).await;
    let three = ["b-0-1", "b-1-1", "b-2-1"].map(|id| template("31612345678", id));
    world.post("template", &bulk(&three)).await;
    let first = world
        .get("/messages-api/1/reports?limit=2&channel=WHATSAPP")
        .await;
    assert_eq!(first["results"].as_array().map(Vec::len), Some(2));
    let other = world.get("/messages-api/1/reports?channel=SMS").await;
    assert_eq!(other["results"], json!([]));
    let rest = world.get("/messages-api/1/reports?bulkId=b-1").await;
    assert_eq!(rest["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["results"][0]["messageId"], "b-2-1");
    let logs = world
        .get("/whatsapp/2/logs?messageId=b-0-1&messageId=b-2-1")
        .await;
    assert_eq!(logs["results"].as_array().map(Vec::len), Some(2));
    world.end().await;
}

/// A client must come through whatever the API does with an id that comes again.
#[tokio::test]
async fn an_id_that_comes_again_does_what_is_set() {
    for (repeats, id, repeated) in [
        (Repeats::Accept, 7, 1),
        (Repeats::Reject, 23, 0),
        (Repeats::Dedupe, 7, 0),
    ] {
        let world = World::with(Modes {
            repeats,
            ..Modes::default()
        })
        .await;
        let request = bulk(&[template("31612345678", "b-0-1")]);
        world.post("template", &request).await;
        let (_, body) = world.post("template", &request).await;
        assert_eq!(body["messages"][0]["status"]["id"], id, "{repeats:?}");
        assert_eq!(world.end().await.repeated, repeated, "{repeats:?}");
    }
}

/// Templates that were made must hold, be listed as published, and be gone when removed.
#[tokio::test]
async fn templates_are_made_listed_and_removed() {
    const PATH: &str = "/whatsapp/2/senders/15550001111/templates";
    let world = World::with(Modes::default()).await;
    let definition = json!({ "name": "order_ready", "language": "en", "category": "UTILITY",
        "structure": { "body": { "text": "Hello {{1}}", "examples": ["Ana"] },
            "buttons": [{ "type": "QUICK_REPLY", "text": "Stop" }] } });
    let (status, made) = world.ask(Method::Post, PATH, &definition).await;
    assert_eq!((status, &made["status"]), (201, &json!("PENDING")));
    let (status, refused) = world.ask(Method::Post, PATH, &definition).await;
    assert_eq!(status, 400, "a second of that name: {refused}");
    let code = json!({ "name": "code", "language": "en", "category": "AUTHENTICATION",
        "structure": { "body": { "addSecurityRecommendation": true },
            "buttons": [{ "otpType": "COPY_CODE", "text": "Copy" }] } });
    assert_eq!(world.ask(Method::Post, PATH, &code).await.0, 201);
    let list = world.get(PATH).await;
    judge("templates-v2-list.response", &list);
    assert_eq!(list["templates"].as_array().map(Vec::len), Some(2));
    // The button that it now has is not given, and another name is not known.
    let other = json!({ "from": "15550001111", "to": "31612345678", "messageId": "b-1-1",
        "content": { "templateName": "other", "language": "en",
            "templateData": { "body": { "placeholders": [] } } } });
    world
        .post(
            "template",
            &bulk(&[template("31612345678", "b-0-1"), other]),
        )
        .await;
    let reports = world.get("/messages-api/1/reports").await;
    let errors = [0, 1].map(|at| reports["results"][at]["error"]["id"].clone());
    assert_eq!(errors, [json!(7008), json!(7009)]);
    let id = made["id"].as_str().expect("an id");
    let change = json!({ "structure": { "body": { "text": "Bye" } } });
    let (status, changed) = world
        .ask(Method::Patch, &format!("{PATH}/{id}"), &change)
        .await;
    assert_eq!(
        (status, &changed["structure"]["body"]["text"]),
        (200, &json!("Bye"))
    );
    let gone = format!("{PATH}/order_ready");
    assert_eq!(world.ask(Method::Delete, &gone, &Value::Null).await.0, 204);
    assert_eq!(world.ask(Method::Delete, &gone, &Value::Null).await.0, 404);
    world.end().await;
}

/// Whoever is told at once that a template is wrong must find the message that it is about.
#[tokio::test]
async fn wrong_templates_can_be_told_at_once() {
    let world = World::with(Modes {
        wrongs: Wrongs::AtOnce,
        paths: Paths::Placed,
        messages_max: Some(2),
        ..Modes::default()
    })
    .await;
    let path = "/whatsapp/2/senders/15550001111/templates";
    let definition = json!({ "name": "other", "language": "en", "category": "UTILITY",
        "structure": { "body": { "text": "Hello" } } });
    assert_eq!(world.ask(Method::Post, path, &definition).await.0, 201);
    let two = ["b-0-1", "b-1-1"].map(|id| template("31612345678", id));
    let (status, body) = world.post("template", &bulk(&two)).await;
    let errors = &body["requestError"]["serviceException"]["validationErrors"];
    assert_eq!(status, 400);
    assert!(
        errors["messages[1].content.templateName"].is_array(),
        "{body}"
    );
    let three = ["a", "b", "c"].map(|id| template("31612345678", id));
    let (status, body) = world.post("template", &bulk(&three)).await;
    let errors = &body["requestError"]["serviceException"]["validationErrors"];
    assert_eq!((status, errors["messages"].is_array()), (400, true));
    world.end().await;
}

/// A token that is asked for rightly must be given, and no other.
#[tokio::test]
async fn tokens_are_given_to_clients() {
    use crate::provider::infobip::{Auth, Infobip, Settings};
    let world = World::with(Modes::default()).await;
    let auth = Auth::OAuth2 {
        client_id: "shop".into(),
    };
    let settings = Settings {
        auth,
        ..Settings::default()
    };
    let adapter = Infobip::new(world.url.clone(), Secret::default(), settings);
    let request = adapter.token_request(&Secret::new("s")).expect("it asks");
    let reply = world.client.send(&request).await;
    let token = adapter.token(&reply).expect("a token");
    assert_eq!(token.lives, Duration::from_secs(TOKEN_LIVES));
    let empty = adapter.token_request(&Secret::default()).expect("it asks");
    assert!(adapter.token(&world.client.send(&empty).await).is_err());
    world.end().await;
}

/// The rate is each number's own, and what is above it is throttled.
#[tokio::test]
async fn a_rate_throttles() {
    let world = World::new(Behaviour {
        rate: Some(0.001),
        ..Behaviour::default()
    })
    .await;
    assert_eq!(
        world.post("text", &text("31612345678", "b-0-1")).await.0,
        200
    );
    assert_eq!(
        world.post("text", &text("31612345678", "b-1-1")).await.0,
        429
    );
    world.end().await;
}

/// What the stand-in says later must be what Infobip's own description says.
#[test]
fn callbacks_have_the_published_shapes() {
    let report = tray::Report {
        message_id: "b-0-1".into(),
        bulk_id: "b-1".into(),
        from: "15550001111".into(),
        to: "31612345678".into(),
        at: crate::batch::Moment::from_millis(1_795_000_000_000),
        status: words::DELIVERED,
        mishap: words::NONE,
    };
    let [delivery, seen] = <[Value; 2]>::try_from(report.callbacks()).expect("two");
    judge("delivery-report.webhook", &json!({ "results": [delivery] }));
    judge("seen-report.webhook", &json!({ "results": [seen] }));
    let failed = tray::Report {
        status: words::UNDELIVERABLE,
        mishap: words::UNKNOWN_USER,
        ..report
    };
    assert_eq!(failed.callbacks().len(), 1);
}
