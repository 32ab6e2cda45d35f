//! The stand-in against the real adapter and client, and against the shapes that are published.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::{Behaviour, Numbers, Sandbox, Seen};
use super::*;
use crate::batch::template::Templates;
use crate::delivery::receipt::Callback;
use crate::provider::bird::{Bird, Settings};
use crate::provider::http::Client;
use crate::provider::templates::Step;
use crate::provider::{
    Adapter as _, CallbackSecrets, Credential, Kind, Proof, Reply, Request, Scheme, Secret,
};

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const WORKSPACE: &str = "7c2f8f0a-41d5-4d0c-9a56-3b1f2f7e9d10";
const CHANNEL: &str = "5b1c0c1e-3c44-4f0a-8a55-1f2e3d4c5b6a";
const ORDERS: &str = "0d4b1f3c-2d0e-4c6a-9a77-0f5a8f2b9e10";

fn definitions() -> Vec<Value> {
    let path = "tests/golden/provider/sandbox/bird-templates.json";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    serde_json::from_slice(&std::fs::read(path).expect("read")).expect("an array")
}

/// A stand-in that is running.
struct World {
    base_url: String,
    client: Client,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<Seen>,
}

impl World {
    async fn new(behaviour: Behaviour) -> Self {
        let sandbox = Sandbox::open(LOOPBACK.into(), Kind::Bird, behaviour)
            .await
            .expect("opened");
        let stop = CancellationToken::new();
        Self {
            base_url: format!("http://{}", sandbox.address()),
            client: Client::new(None).expect("the roots are good"),
            served: tokio::spawn(sandbox.serve(stop.clone())),
            stop,
        }
    }

    async fn scripted() -> Self {
        Self::new(Behaviour {
            numbers: Numbers::Scripted,
            ..Behaviour::default()
        })
        .await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/workspaces/{WORKSPACE}{path}", self.base_url)
    }

    async fn send(&self, request: &Request) -> (u16, Value) {
        match self.client.send(request).await {
            Reply::Answer { status, body, .. } => {
                (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
            }
            other => panic!("no answer: {other:?}"),
        }
    }

    /// Sends a message.
    async fn say(&self, body: &Value) -> (u16, Value) {
        let url = self.url(&format!("/channels/{CHANNEL}/messages"));
        self.send(&Request::post(url, body.to_string(), &key()))
            .await
    }

    async fn ask(&self, path: &str) -> (u16, Value) {
        self.send(&Request::get(self.url(path), &key())).await
    }

    async fn end(self) -> Seen {
        self.stop.cancel();
        self.served.await.expect("served")
    }
}

fn key() -> Credential {
    Credential::new(Scheme::AccessKey, Secret::new("a-key"))
}

fn text_to(to: &str, attempt: &str) -> Value {
    json!({
        "receiver": { "contacts": [{ "identifierKey": "phonenumber", "identifierValue": to }] },
        "reference": attempt,
        "body": { "type": "text", "text": { "text": "hello" } },
    })
}

fn template_to(to: &str, template: &Value) -> Value {
    let mut message = text_to(to, "b-0-1");
    message.as_object_mut().expect("an object").remove("body");
    message["template"] = template.clone();
    message
}

fn order() -> Value {
    let value = |key: &str| json!({ "type": "string", "key": key, "value": "x" });
    let values = ["first_name", "order", "track"].map(value);
    json!({ "projectId": ORDERS, "version": "latest", "locale": "en", "parameters": values })
}

fn validator(name: &str) -> jsonschema::Validator {
    let path = format!("tests/golden/provider/specs/bird/{name}.schema.json");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let schema = std::fs::read(path).expect("read");
    let schema = serde_json::from_slice(&schema).expect("JSON");
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema).expect("a schema")
}

fn assert_keeps_to(name: &str, body: &Value) {
    let validator = validator(name);
    let errors: Vec<String> = validator
        .iter_errors(body)
        .map(|it| it.to_string())
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:?}\n{body:#}");
}

/// A client that works against the sandbox must work against the real API: both answer alike.
#[tokio::test]
async fn answers_have_the_published_shapes() {
    let world = World::scripted().await;
    for to in ["+31612345678", "+31612340404", "+31612340410"] {
        let (status, body) = world.say(&text_to(to, "b-0-1")).await;
        assert_eq!(status, 202);
        assert_keeps_to("message", &body);
        let path = format!(
            "/channels/{CHANNEL}/messages/{}",
            body["id"].as_str().expect("an id")
        );
        assert_eq!(world.ask(&path).await, (200, body));
    }
    let (status, body) = world.say(&template_to("+31612345678", &order())).await;
    assert_eq!(status, 202, "{body}");
    assert_keeps_to("message", &body);

    for (status, path) in [
        (404, "/channels/ws_1/messages"),
        (404, "/elsewhere"),
        (422, "/projects?limit=200"),
    ] {
        let (found, body) = world.ask(path).await;
        assert_eq!(found, status, "{path}");
        assert_keeps_to("error.response", &body);
    }
    for (to, is_open) in [("31612345678", true), ("31612340470", false)] {
        let query = format!("contactIdentifierValue=%2B{to}");
        let path = format!("/channels/{CHANNEL}/contacts/{ORDERS}?{query}");
        let (_, body) = world.ask(&path).await;
        assert_keeps_to("contact-service-window.response", &body);
        assert_eq!(body["serviceWindowExpireAt"].is_string(), is_open);
    }
    for status in [400, 401, 402, 403, 404, 409, 422, 429, 500, 503] {
        let body = Refusal::of(status).expect("it has words").body();
        assert_keeps_to(
            "error.response",
            &serde_json::from_str(&body).expect("JSON"),
        );
    }
    let seen = world.end().await;
    assert_eq!((seen.requests, seen.accepted, seen.refused), (4, 4, 0));
}

/// A request without a key must not pass here and fail at the real provider.
#[tokio::test]
async fn only_those_with_a_key_are_let_in() {
    let world = World::new(Behaviour::default()).await;
    let url = world.url(&format!("/channels/{CHANNEL}/messages"));
    let bearer = Credential::new(Scheme::Bearer, Secret::new("a-key"));
    let body = text_to("+31612345678", "b-0-1").to_string();
    let (status, body) = world.send(&Request::post(url, body, &bearer)).await;
    assert_eq!(status, 401);
    assert_keeps_to("error.response", &body);
    assert_eq!(world.end().await.refused, 1);
}

/// Puts a value into a message; `null` removes it.
fn changed(path: &str, value: Value) -> Value {
    let mut body = text_to("+31612345678", "b-0-1");
    let mut at = &mut body;
    for key in path.split('.') {
        at = match key.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[key],
        };
    }
    *at = value;
    body
}

fn refused_with(body: &Value) -> (u16, Vec<String>) {
    let registry = Registry::of(&definitions());
    let judged = Envelope::read(body.to_string().as_bytes())
        .and_then(|envelope| envelope.check(&registry, clock::now()));
    let refusal = judged.expect_err(&body.to_string());
    let answer: Value = serde_json::from_str(&refusal.body()).expect("JSON");
    let fields = answer["details"].as_object().into_iter().flatten();
    (
        refusal.status,
        fields.map(|(field, _)| field.clone()).collect(),
    )
}

/// A malformed request must not pass here and fail at the real provider.
#[test]
fn malformed_requests_are_refused_as_the_api_would() {
    let contact = "receiver.contacts.0.identifierValue";
    let far = clock::now().plus_ms(36 * 24 * 3_600_000).to_string();
    let said = |kind: &str, said: Value| changed("body", json!({ "type": kind, kind: said }));
    let action = |title: &str| json!({ "type": "postback", "postback": { "text": title } });
    for (field, body) in [
        ("colour", changed("colour", json!("red"))),
        ("receiver", changed("receiver", Value::Null)),
        ("receiver.contacts", changed("receiver.contacts", json!([]))),
        (
            "receiver.contacts[0].identifierValue",
            changed(contact, json!("0612345678")),
        ),
        (
            "receiver.contacts[0].name",
            changed("receiver.contacts.0.name", json!("Ana")),
        ),
        ("body", changed("body", Value::Null)),
        ("body", changed("template", order())),
        ("body.type", changed("body.type", json!("fax"))),
        ("body.type", changed("body.type", Value::Null)),
        ("body.text.text", changed("body.text.text", json!(""))),
        (
            "body.text.text",
            changed("body.text.text", json!("x".repeat(4097))),
        ),
        (
            "body.text.colour",
            changed("body.text.colour", json!("red")),
        ),
        (
            "body.text.actions",
            changed("body.text.actions", json!(["a", "b", "c", "d"].map(action))),
        ),
        (
            "body.text.actions[0].postback.text",
            changed("body.text.actions", json!([action(&"x".repeat(21))])),
        ),
        (
            "body.text.actions[0].type",
            changed("body.text.actions", json!([{ "type": "" }])),
        ),
        ("body.image.images", said("image", json!({ "images": [] }))),
        (
            "body.image.images[0].mediaUrl",
            said("image", json!({ "images": [{ "mediaUrl": "a" }] })),
        ),
        (
            "body.file.files[0].contentType",
            said(
                "file",
                json!({ "files": [{ "mediaUrl": "https://a.example/b.pdf" }] }),
            ),
        ),
        (
            "body.location.coordinates.latitude",
            said(
                "location",
                json!({ "coordinates": { "latitude": 91, "longitude": 0 } }),
            ),
        ),
        (
            "body.list",
            said("list", json!({ "text": "a", "items": [] })),
        ),
        ("tags", changed("tags", json!(vec!["a"; 11]))),
        ("tags[0]", changed("tags", json!(["é"]))),
        ("validity", changed("validity", json!(-1))),
        ("capFrequency", changed("capFrequency", json!(true))),
        ("capFrequency", changed("capFrequency", json!("yes"))),
        ("scheduledFor", changed("scheduledFor", json!(far))),
        (
            "replyTo.type",
            changed("replyTo", json!({ "id": ORDERS, "type": "letter" })),
        ),
    ] {
        let (status, fields) = refused_with(&body);
        assert_eq!(status, 422, "{body}");
        assert!(
            fields.iter().any(|found| found == field),
            "{field}: {fields:?}"
        );
    }
    for text in ["", "[", "[]", "null"] {
        let refusal = Envelope::read(text.as_bytes()).expect_err(text);
        assert_eq!(refusal.status, 400, "{text}");
    }
}

/// A template that the workspace does not have, or a value that it has no place for, must be seen
/// before the real provider sees it.
#[test]
fn templates_are_held_against_the_registry() {
    let with = |key: &str, value: Value| {
        let mut template = order();
        template[key] = value;
        template_to("+31612345678", &template)
    };
    let value = |key: &str| json!({ "type": "string", "key": key, "value": "x" });
    let few = json!([value("first_name"), value("order")]);
    let odd = json!(["first_name", "order", "track", "colour"].map(value));
    let sale = "9b8a7c6d-5e4f-4a3b-9c2d-1e0f9a8b7c6d";
    let mut pending = order();
    pending["projectId"] = json!(sale);
    for (field, body) in [
        (
            "template.projectId",
            with("projectId", json!("802400000000001")),
        ),
        ("template.version", with("version", json!(WORKSPACE))),
        ("template.version", with("version", Value::Null)),
        ("template.locale", with("locale", json!("nl"))),
        ("template.locale", template_to("+31612345678", &pending)),
        ("template.parameters.track", with("parameters", few)),
        ("template.parameters.colour", with("parameters", odd)),
        (
            "template.variables",
            with("variables", json!({ "order": "x" })),
        ),
        ("template.colour", with("colour", json!("red"))),
    ] {
        let (status, fields) = refused_with(&body);
        assert_eq!(status, 422, "{body}");
        assert!(
            fields.iter().any(|found| found == field),
            "{field}: {fields:?}"
        );
    }
}

/// A demo shows each kind of ending, and the manual says which number causes which.
#[tokio::test]
async fn endings_of_numbers_cause_what_the_table_says() {
    let world = World::scripted().await;
    for (to, attempt, status, state) in [
        ("+31612340404", "b-0-1", 202, "sending_failed"),
        ("+31612340410", "b-1-1", 202, "skipped"),
        ("+31612340429", "b-2-1", 429, ""),
        ("+31612340429", "b-2-2", 202, "accepted"),
        ("+31612340500", "b-3-1", 500, ""),
        ("+31612340500", "b-3-2", 202, "accepted"),
        ("+31612340502", "b-4-1", 502, ""),
        ("+31612340470", "b-5-1", 202, "accepted"),
        ("+31612340504", "b-7-1", 502, ""),
    ] {
        let (found, body) = world.say(&text_to(to, attempt)).await;
        assert_eq!(found, status, "{to} {attempt}");
        assert_eq!(body["status"].as_str().unwrap_or_default(), state, "{to}");
    }
    let path = format!("/channels/{CHANNEL}/messages?limit=2&status=delivery_failed");
    let (_, page) = world.ask(&path).await;
    assert_eq!(page["results"].as_array().map(Vec::len), Some(1), "{page}");
    assert_eq!(page["results"][0]["reference"], "b-5-1");
    assert_keeps_to("message", &page["results"][0]);
    let html = json!({ "type": "html", "html": { "text": "hello" } });
    let (_, body) = world.say(&changed("body", html)).await;
    assert_eq!(body["failure"]["code"], 12_002);
    let at = clock::now().plus_ms(3_600_000).to_string();
    let (_, body) = world.say(&changed("scheduledFor", json!(at))).await;
    assert_eq!(body["status"], "scheduled");
    let body = text_to("+31612340408", "b-6-1");
    let late = tokio::time::timeout(Duration::from_millis(200), world.say(&body));
    assert!(late.await.is_err(), "it comes only after a minute");
    let seen = world.end().await;
    assert_eq!((seen.accepted, seen.refused, seen.attempts), (8, 4, 7));
}

/// What the adapter writes for the golden cases is taken here as it is by the API, but for
/// templates that are not here.
#[test]
fn every_golden_request_is_taken() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder.join("tests/golden/provider/bird");
    let mut taken = 0;
    for entry in std::fs::read_dir(folder).expect("listed") {
        let case = std::fs::read(entry.expect("listed").path()).expect("read");
        let case: Value = serde_json::from_slice(&case).expect("JSON");
        let body = &case["expected"]["body"];
        if body["body"].is_null() {
            continue;
        }
        let judged = Envelope::read(body.to_string().as_bytes())
            .and_then(|envelope| envelope.check(&Registry::default(), clock::now()));
        assert!(judged.is_ok(), "{body:#}\n{judged:?}");
        taken += 1;
    }
    assert!(taken >= 25, "{taken}");
}

/// What is pulled from here is what can be sent here: each place by the name that it has.
#[tokio::test]
async fn templates_are_listed_as_they_are_sent() {
    let world = World::new(Behaviour {
        templates: definitions().into(),
        ..Behaviour::default()
    })
    .await;
    let settings = Settings {
        workspace_id: WORKSPACE.into(),
        ..Settings::default()
    };
    let bird = Bird::new(world.base_url.clone(), Secret::new("a-key"), settings);
    let mut pull = bird.pull(&[]).expect("it has a list");
    let mut reply = None;
    let definitions = loop {
        match pull.next(reply.as_ref()) {
            Step::Ask(request) => reply = Some(world.client.send(&request).await),
            Step::Done(definitions) => break definitions,
            Step::Failed(reason) => panic!("{reason:?}"),
        }
    };
    let file = ("pulled.json".into(), json!(definitions).to_string().into());
    let (templates, problems) = Templates::parse(&[file]);
    assert_eq!(problems, []);
    let order = templates
        .get("order_update", "pt_BR")
        .expect("pulled")
        .handle();
    assert_eq!(order.id, ORDERS);
    assert_eq!(order.body, ["first_name", "order"]);
    assert_eq!(order.buttons, [(0, "track".to_owned())]);
    let photo = templates
        .get("parcel_photo", "en")
        .expect("pulled")
        .handle();
    assert_eq!(photo.header.as_deref(), Some("photo"));
    let sale = templates.get("winter_sale", "en").expect("pulled");
    assert!(!sale.is_usable());
    world.end().await;
}

/// What the stand-in says later is what the adapter believes of Bird, and in the published shape.
#[test]
fn callbacks_are_signed_and_read_as_birds_are() {
    const URL: &str = "https://hooks.example/receipts/bird";
    let text = text_to("+31612345678", "20261121T091502Z-7kq2xm-4-1");
    let envelope = Envelope::read(text.to_string().as_bytes()).expect("read");
    let stored = envelope.stored((CHANNEL, "wamid.00000000000000070000000A"), clock::now());
    let settings = Settings {
        callback_url: URL.into(),
        ..Settings::default()
    };
    let bird = Bird::new("https://api.example".into(), Secret::new("a-key"), settings);
    let secrets = CallbackSecrets {
        app_secret: Secret::new("a-signing-key"),
        ..CallbackSecrets::default()
    };
    for (state, failure, says) in [
        ("sent", None, "accepted"),
        ("delivered", None, "delivered"),
        ("delivery_failed", Some(Failure::UNDELIVERED), "failed"),
    ] {
        let body = callbacks::told(&stored, state, failure);
        assert_keeps_to("message", &body["payload"]);
        let body = body.to_string();
        let headers = (CALLBACKS.headers)(&secrets.app_secret, URL, &body);
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| ((*name).into(), value.reveal().into()));
        let callback = Callback {
            target: "/receipts/bird".into(),
            headers: headers.collect(),
            body: body.into(),
        };
        assert_eq!(bird.verify(&callback, &secrets), Proof::Signed);
        let receipts = bird.receipts(&callback);
        assert_eq!(receipts[0].says.as_str(), says);
        assert_eq!(receipts[0].attempt.as_ref().map(|it| it.index), Some(4));
    }
}

/// The rate is each channel's own, and what is above it is throttled.
#[tokio::test]
async fn a_rate_throttles() {
    let world = World::new(Behaviour {
        rate: Some(0.001),
        ..Behaviour::default()
    })
    .await;
    let body = text_to("+31612345678", "b-0-1");
    assert_eq!(world.say(&body).await.0, 202);
    assert_eq!(world.say(&body).await.0, 429);
    world.end().await;
}
