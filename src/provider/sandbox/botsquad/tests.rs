//! The stand-in against the real adapter and client.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::{Behaviour, Sandbox};
use super::*;
use crate::batch::{BatchId, Message, Moment};
use crate::delivery::{AttemptId, Outcome, Sender};
use crate::provider::botsquad::{Botsquad, Settings};
use crate::provider::http::Client;
use crate::provider::{Adapter as _, Kind, Load, Next, Secret};

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn message(index: u64, ending: &str) -> Message {
    let message = json!({
        "index": index, "line": 1, "to": format!("+3161{index:03}{ending}"),
        "from": "+15550001111", "expiresAt": 1_795_000_000_000_i64,
        "content": { "template": {
            "name": "delivery_window", "language": "nl",
            "body": [{ "text": format!("Ana {index}") }, { "text": "1 May" }],
        } },
    });
    serde_json::from_value(message).expect("a message")
}

/// What becomes of messages to numbers with these endings, and how often they were asked after.
/// The adapter's waits are not waited.
async fn sent_to(endings: &[&str], behaviour: Behaviour) -> (Vec<Outcome>, Vec<Duration>) {
    let sandbox = Sandbox::open(LOOPBACK.into(), Kind::Botsquad, behaviour).await;
    let sandbox = sandbox.expect("opened");
    let settings = Settings {
        bot_id: "b-1".into(),
        ..Settings::default()
    };
    let url = format!("{}/api", sandbox.base_url());
    let adapter = Botsquad::new(url, Secret::new("any"), settings);
    let stop = CancellationToken::new();
    let served = tokio::spawn(sandbox.serve(stop.clone()));
    let client = Client::new(None).expect("the roots are good");
    let messages: Vec<Message> = (0..)
        .zip(endings)
        .map(|(at, end)| message(at, end))
        .collect();
    let id = |message: &Message| AttemptId {
        batch: BatchId::parse("20261121T091502Z-7kq2xm").expect("an id"),
        index: message.index,
        attempt: 1,
    };
    let sender = Sender {
        number: messages[0].from.clone(),
        provider_id: String::new(),
        messages_per_second: 80.0,
    };
    let load = Load {
        sender: &sender,
        ids: &messages.iter().map(id).collect::<Vec<_>>(),
        messages: &messages.iter().collect::<Vec<_>>(),
        at: Moment::from_millis(0),
    };
    let (mut replies, mut waits) = (Vec::new(), Vec::new());
    let outcomes = loop {
        let request = match adapter.next(&load, &replies) {
            Next::Done(outcomes) => break outcomes,
            Next::Send(request) => request,
            Next::Wait(wait, request) => {
                waits.push(wait);
                request
            }
        };
        replies.push(client.send(&request).await);
    };
    stop.cancel();
    served.await.expect("served");
    (outcomes, waits)
}

fn scripted() -> Behaviour {
    Behaviour {
        numbers: Numbers::Scripted,
        ..Behaviour::default()
    }
}

/// Endings of numbers are how people try their own handling of trouble.
#[tokio::test]
async fn numbers_cause_what_the_table_says() {
    let endings = ["1234", "0404", "0410", "0429", "0500"];
    let (outcomes, waits) = sent_to(&endings, scripted()).await;
    let word = |outcome: &Outcome| match outcome {
        Outcome::Accepted { .. } => "accepted".into(),
        Outcome::Refused { reason, .. } => reason.code.clone(),
        other => format!("{other:?}"),
    };
    let words: Vec<String> = outcomes.iter().map(word).collect();
    let refused = ["provider.refused", "provider.recipient_opted_out"];
    let wanted = ["accepted", refused[0], refused[1], "accepted", "accepted"];
    assert_eq!(words, wanted);
    assert_eq!(waits.len(), 2, "pending users are asked after once more");
}

/// A gateway's failure says nothing of the broadcast behind it.
#[tokio::test]
async fn a_gateway_leaves_all_of_a_broadcast_open() {
    let (outcomes, waits) = sent_to(&["1234", "0502"], scripted()).await;
    let is_open = |outcome: &Outcome| matches!(outcome, Outcome::Unclear { .. });
    assert!(outcomes.iter().all(is_open), "{outcomes:?}");
    assert!(waits.is_empty(), "{waits:?}");
}

/// A bot that is held to a rate must be told so as the service would.
#[tokio::test]
async fn a_rate_refuses_the_whole() {
    let behaviour = Behaviour {
        rate: Some(1.0),
        ..Behaviour::default()
    };
    let (outcomes, _) = sent_to(&["1234"; 5], behaviour).await;
    let second = Some(Duration::from_secs(1));
    let is_held = |it: &Outcome| matches!(it, Outcome::Deferred { wait, .. } if *wait == second);
    assert!(outcomes.iter().all(is_held), "{outcomes:?}");
}

/// A value that is filled into the wrong place is read by somebody.
#[test]
fn references_are_filled_for_each_user() {
    let body = json!({
        "template": { "name": "delivery_window", "language": "nl", "components": [
            { "type": "body", "parameters": [
                { "type": "text", "text": "{{ name }}" }, { "type": "text", "text": "{{day}} at 9" },
                { "type": "text", "text": "+31201234567" },
            ] },
            { "type": "button", "sub_type": "url", "index": 0,
              "parameters": [{ "type": "text", "text": "{{ slug }}" }] },
        ] },
        "users": [
            { "phone": "+31612345601", "params": { "name": "Sanne", "day": "1 May", "slug": "s-1" } },
            { "phone": "+31612345602", "params": { "day": "2 May", "slug": "s-2" } },
        ],
        "params": { "name": "Customer" },
    });
    let texts = broadcast::texts(&body["template"]).expect("good");
    let users = body["users"].as_array().expect("users").iter();
    let sent = |user| broadcast::sent(user, &texts, body["params"].as_object());
    let texts: Vec<_> = users
        .filter_map(sent)
        .map(|texts| texts.join("|"))
        .collect();
    let wanted = [
        "Sanne|1 May at 9|+31201234567|s-1",
        "Customer|2 May at 9|+31201234567|s-2",
    ];
    assert_eq!(texts, wanted);
}

/// A malformed broadcast must not pass here and fail at the real service.
#[test]
fn malformed_broadcasts_are_refused() {
    let user = json!({ "phone": "+31612345601", "params": { "p1": "Ana" } });
    let body = |components: Value, users: Value| {
        json!({
            "template": { "name": "a", "language": "nl", "components": components },
            "users": users,
        })
    };
    let text = |text: &str| json!([{ "type": "text", "text": text }]);
    let of = |kind: &str, parameters: Value| json!({ "type": kind, "parameters": parameters });
    let with = |component: Value| body(json!([component]), json!([user]));
    for bad in [
        json!([]),
        json!({ "users": [user] }),
        json!({ "template": { "name": "a" }, "users": [user] }),
        body(json!([]), json!([])),
        body(json!([]), json!([user, user])),
        body(json!([]), json!([{ "phone": "31612345601" }])),
        body(json!([]), json!([{ "phone": "+1" }])),
        with(of("footer", text("a"))),
        with(of("body", json!([]))),
        with(of("body", text(""))),
        with(of("body", text("{{ p2 }}"))),
        with(of("body", text("{{ p1"))),
        with(of(
            "header",
            json!([{ "type": "image", "image": { "id": "88" } }]),
        )),
        with(of("button", text("a"))),
        with(json!({ "type": "button", "sub_type": "flow", "index": 0, "parameters": text("a") })),
        body(
            json!([of("body", text("a")), of("body", text("b"))]),
            json!([user]),
        ),
    ] {
        assert!(
            Broadcast::read(bad.to_string().as_bytes(), &[]).is_err(),
            "{bad:#}"
        );
    }
    let good = with(of("body", text("{{ p1 }}")));
    let sent = good.to_string();
    let template = |text: &str| {
        json!([{ "name": "a", "language": "nl",
            "components": [{ "type": "BODY", "text": text }] }])
    };
    for (known, is_taken) in [
        (template("Hello {{1}}"), true),
        (template("Hello {{1}}, {{2}}"), false),
        (json!([{ "name": "b", "language": "nl" }]), false),
    ] {
        let known = known.as_array().expect("templates");
        assert_eq!(Broadcast::read(sent.as_bytes(), known).is_ok(), is_taken);
    }
    assert!(Broadcast::read(good.to_string().as_bytes(), &[]).is_ok());
}

/// Whoever shows no token gets nothing, by either way to show one.
#[test]
fn only_who_shows_a_token_is_let_in() {
    let mut headers = HeaderMap::new();
    assert!(!is_let_in(&headers, None));
    assert!(!is_let_in(&headers, Some("api_key=")));
    assert!(is_let_in(&headers, Some("a=b&api_key=any")));
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer any"));
    assert!(is_let_in(&headers, None));
}
