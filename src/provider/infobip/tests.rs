//! What holds for every message and for every course of an exchange.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::batch::terms::{Part, Weight};
use crate::batch::{BatchId, Content, Moment, Phone};
use crate::delivery::{AttemptId, Outcome, Scope, Sender};
use crate::provider::golden;

const URL: &str = "https://abc123.api.infobip.com";

fn adapter() -> Infobip {
    Infobip::new(URL.into(), golden::token(), Settings::default())
}

fn oauth() -> Infobip {
    let client_id = "shop & co".into();
    let auth = Auth::OAuth2 { client_id };
    let settings = Settings {
        auth,
        ..Settings::default()
    };
    Infobip::new(URL.into(), Secret::new("client secret"), settings)
}

fn message(index: u64, content: Content) -> Message {
    let message = serde_json::from_value(json!({
        "index": index, "line": index + 1, "to": "+31612345678", "from": "+15550001111",
        "expiresAt": 1_795_000_000_000_i64,
        "content": { "template": { "name": "a", "language": "en", "body": [] } },
    }));
    Message {
        content,
        ..message.expect("a message")
    }
}

fn template() -> Content {
    let filling = json!({ "template": { "name": "a", "language": "en", "body": [] } });
    serde_json::from_value(filling).expect("a content")
}

fn ids(count: u64) -> Vec<AttemptId> {
    let batch = BatchId::parse("20261121T091502Z-7kq2xm").expect("an id");
    let id = |index| AttemptId {
        batch: batch.clone(),
        index,
        attempt: 1,
    };
    (0..count).map(id).collect()
}

fn sender() -> Sender {
    Sender {
        number: Phone::from_e164("+15550001111").expect("a number"),
        provider_id: "15550001111".into(),
        messages_per_second: 80.0,
    }
}

fn load<'a>((sender, ids): (&'a Sender, &'a [AttemptId]), messages: &'a [&'a Message]) -> Load<'a> {
    Load {
        sender,
        ids,
        messages,
        at: Moment::from_millis(0),
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::Answer {
        status,
        retry_after: None,
        body: body.to_string().into(),
    }
}

/// What the provider of a test does with a request.
#[derive(Clone, Debug)]
enum Deed {
    /// Takes it, or refuses all of it if one of these messages is in it.
    Judges,
    /// The same, and names the messages that are not good.
    Names,
    Throttles,
    Fails,
    Silent,
    /// Answers with a message less.
    Forgets,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => Just(Deed::Judges),
        2 => Just(Deed::Names),
        1 => Just(Deed::Throttles),
        1 => Just(Deed::Fails),
        1 => Just(Deed::Silent),
        1 => Just(Deed::Forgets),
    ];
    prop::collection::vec(deed, 1..40)
}

/// What a provider that does `deed` answers, with a count of what it took.
fn answered(deed: &Deed, sent: &[String], bad: &[u64], took: &mut BTreeMap<String, u32>) -> Reply {
    let is_bad = |id: &String| bad.iter().any(|bad| id.ends_with(&format!("-{bad}-1")));
    let exception = |errors: Value| {
        json!({ "requestError": { "serviceException": {
        "messageId": "BAD_REQUEST", "text": "Bad request", "validationErrors": errors } } })
    };
    let pending = json!({ "groupId": 1, "groupName": "PENDING", "id": 7 });
    match deed {
        Deed::Throttles => reply(429, &json!({ "errorCode": "E429" })),
        Deed::Fails => reply(500, &json!({ "errorCode": "E500" })),
        Deed::Silent => Reply::NoAnswer { why: "cut".into() },
        Deed::Judges if sent.iter().any(is_bad) => reply(
            400,
            &exception(json!({ "content.language": ["must not be blank"] })),
        ),
        Deed::Names if sent.iter().any(is_bad) => {
            let places = sent.iter().enumerate().filter(|(_, id)| is_bad(id));
            let errors: serde_json::Map<String, Value> = places
                .map(|(at, _)| (format!("messages[{at}].content.language"), json!(["no"])))
                .collect();
            reply(400, &exception(errors.into()))
        }
        Deed::Judges | Deed::Names | Deed::Forgets => {
            for id in sent {
                *took.entry(id.clone()).or_default() += 1;
            }
            let told = sent.iter().skip(usize::from(matches!(deed, Deed::Forgets)));
            let entries: Vec<Value> = told
                .map(|id| json!({ "messageId": id, "status": pending }))
                .collect();
            reply(200, &json!({ "messages": entries }))
        }
    }
}

/// The ids of the messages of a request.
fn sent(request: &Request) -> Vec<String> {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let alone = [body.clone()];
    let messages = body["messages"]
        .as_array()
        .map_or(&alone[..], Vec::as_slice);
    let id = |message: &Value| message["messageId"].as_str().expect("an id").to_owned();
    messages.iter().map(id).collect()
}

proptest! {
    /// A bad message must not sink its neighbours, none may go twice after it was taken, and what
    /// was never handed over must not be told as lost.
    #[test]
    fn every_message_of_an_exchange_ends_as_it_was_dealt_with(
        count in 1_u64..40,
        bad in prop::collection::vec(0_u64..40, 0..4),
        deeds in deeds(),
    ) {
        let infobip = adapter();
        let messages: Vec<Message> = (0..count).map(|at| message(at, template())).collect();
        let messages: Vec<&Message> = messages.iter().collect();
        let (ids, sender) = (ids(count), sender());
        let load = load((&sender, &ids), &messages);
        let (mut replies, mut took, mut tried) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let outcomes = loop {
            match infobip.next(&load, &replies) {
                Next::Done(outcomes) => break outcomes,
                Next::Send(request) | Next::Wait(_, request) => {
                    let sent = sent(&request);
                    for id in &sent {
                        *tried.entry(id.clone()).or_insert(0) += 1;
                    }
                    let deed = &deeds[replies.len() % deeds.len()];
                    replies.push(answered(deed, &sent, &bad, &mut took));
                }
            }
        };
        prop_assert!(replies.len() <= 64);
        prop_assert_eq!(outcomes.len(), messages.len());
        for (id, outcome) in ids.iter().zip(&outcomes) {
            let text = id.to_string();
            let was_taken = took.get(&text).copied().unwrap_or_default();
            prop_assert!(was_taken <= 1, "{} was taken {} times", text, was_taken);
            match outcome {
                Outcome::Accepted { provider_id } => {
                    prop_assert_eq!((provider_id, was_taken), (&text, 1));
                }
                Outcome::Refused { .. } => {
                    prop_assert!(bad.contains(&id.index) && was_taken == 0, "{}", text);
                }
                Outcome::Deferred { .. } => prop_assert_eq!(was_taken, 0, "{}", text),
                Outcome::Unclear { .. } => prop_assert!(tried.contains_key(&text), "{}", text),
            }
        }
    }

    /// What passes the check and is sent must be what the provider's own description takes.
    #[test]
    fn what_is_not_objected_to_keeps_to_the_published_schemas(object in crate::batch::contents()) {
        let content = crate::batch::whole(&object).expect("it is sound");
        let message = message(0, content);
        let said = Said::of(&message);
        if said.fault().is_none() {
            let (ids, sender) = (ids(1), sender());
            let messages = [&message];
            let load = load((&sender, &ids), &messages);
            let Next::Send(request) = adapter().next(&load, &[]) else {
                panic!("it can be sent");
            };
            let schema = super::golden::schema_of(&request).expect("every call has one");
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let errors: Vec<String> = golden::schema(schema)
                .iter_errors(&body)
                .map(|it| it.to_string())
                .collect();
            prop_assert!(errors.is_empty(), "{:?}\n{}", errors, body);
        }
    }

    /// A panic is a stopped daemon, and a message told as accepted that was never taken is lost.
    #[test]
    fn nothing_is_accepted_without_its_own_id(
        status in prop_oneof![Just(200_u16), Just(400), 0_u16..1000],
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (ids, sender) = (ids(1), sender());
        let message = message(0, template());
        let messages = [&message];
        let load = load((&sender, &ids), &messages);
        let reply = Reply::Answer { status, retry_after: None, body };
        let Next::Done(outcomes) = adapter().next(&load, &[reply]) else {
            panic!("one message is not divided");
        };
        let is_taken = matches!(outcomes[0], Outcome::Accepted { .. });
        prop_assert!(!is_taken);
    }
}

/// Deep nesting is a known way to overflow a stack; one answer must not end the daemon.
#[test]
fn nesting_is_bounded() {
    let (ids, sender) = (ids(1), sender());
    let message = message(0, template());
    let messages = [&message];
    let load = load((&sender, &ids), &messages);
    for open in ["[", "{\"messages\":[", "{\"requestError\":"] {
        for status in [200, 400, 500] {
            let reply = Reply::Answer {
                status,
                retry_after: None,
                body: open.repeat(100_000).into(),
            };
            let next = adapter().next(&load, &[reply]);
            let Next::Done(outcomes) = next else {
                panic!("one message is not divided");
            };
            assert!(
                matches!(outcomes[0], Outcome::Unclear { .. }),
                "{open} {status}"
            );
        }
    }
}

/// Hundreds of bad messages in one load must not keep the good ones, and a stopping daemon, for as
/// many requests.
#[test]
fn an_exchange_is_bounded() {
    let infobip = adapter();
    let all: Vec<Message> = (0..500).map(|at| message(at, template())).collect();
    let messages: Vec<&Message> = all.iter().collect();
    let (ids, sender) = (ids(500), sender());
    let load = load((&sender, &ids), &messages);
    let bad: Vec<u64> = (0..500).collect();
    let mut replies = Vec::new();
    let outcomes = loop {
        match infobip.next(&load, &replies) {
            Next::Done(outcomes) => break outcomes,
            Next::Send(request) | Next::Wait(_, request) => {
                let sent = sent(&request);
                replies.push(answered(&Deed::Judges, &sent, &bad, &mut BTreeMap::new()));
            }
        }
    };
    assert_eq!(replies.len(), 64);
    let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|it| wanted(it)).count();
    let refused = count(|it| matches!(it, Outcome::Refused { .. }));
    let waiting = count(|it| {
        let scope = Scope::Message;
        matches!(it, Outcome::Deferred { scope: found, .. } if *found == scope)
    });
    assert!(refused > 10, "{refused}");
    assert_eq!(refused + waiting, 500);
}

/// What one tenant's row cannot have must be told when the file is checked, at the right place.
#[test]
fn what_is_not_taken_is_objected_to() {
    let objections = |content: Value, options: Value| {
        let content: Content = serde_json::from_value(content).expect("a content");
        let options = serde_json::from_value(options).expect("options");
        let message = Message {
            options,
            ..message(0, content)
        };
        let told = Takes.objections(&message);
        let told = told
            .into_iter()
            .map(|it| (it.part, it.code.as_str(), it.weight));
        told.collect::<Vec<_>>()
    };
    let text = json!({ "text": { "body": "hello", "previewUrl": false } });
    assert_eq!(objections(text.clone(), json!({})), []);
    let sms = json!({ "smsFailover": { "from": "a", "text": "b" } });
    assert_eq!(
        objections(text, sms.clone()),
        [(
            Part::Asked(Asked::SmsFailover),
            "batch.unsupported_key",
            Weight::Fault
        )]
    );
    let filling = |more: Value| {
        let mut filling = json!({ "name": "a", "language": "en", "body": [] });
        for (key, value) in more.as_object().into_iter().flatten() {
            filling[key] = value.clone();
        }
        json!({ "template": filling })
    };
    assert_eq!(objections(filling(json!({})), sms), []);
    let place = json!({ "location": { "latitude": 1.5, "longitude": 2.5, "name": "Shop" } });
    assert_eq!(
        objections(
            filling(json!({ "header": place })),
            json!({ "replyTo": "x" })
        ),
        [
            (Part::Header, "batch.unsupported_key", Weight::Warning),
            (
                Part::Asked(Asked::ReplyTo),
                "batch.unsupported_key",
                Weight::Warning
            )
        ]
    );
    let bare = json!({ "location": { "latitude": 1.5, "longitude": 2.5, "name": "1.5, 2.5" } });
    assert_eq!(
        objections(filling(json!({ "header": bare })), json!({})),
        []
    );
    let long = json!([{ "index": 0, "value": { "quickReply": "x".repeat(129) } }]);
    assert_eq!(
        objections(filling(json!({ "buttons": long })), json!({})),
        [(Part::Buttons, "parameter.too_long", Weight::Fault)]
    );
}

/// A wrong form of this request would leave a tenant without any token, and every message waiting.
#[test]
fn a_token_is_asked_for_and_read() {
    assert_eq!(adapter().token_request(&Secret::new("x")), None);
    let request = oauth().token_request(&Secret::new("s=cret\n"));
    let request = request.expect("this one asks for tokens");
    assert_eq!(request.url, format!("{URL}/auth/1/oauth2/token"));
    assert_eq!(request.content_type, "application/x-www-form-urlencoded");
    assert_eq!(request.headers, []);
    assert_eq!(
        request.body,
        "client_id=shop+%26+co&client_secret=s%3Dcret&grant_type=client_credentials"
    );
    let good = json!({ "access_token": "t-1", "expires_in": 3600, "token_type": "Bearer" });
    let token = oauth().token(&reply(200, &good)).expect("a token");
    assert_eq!(token.secret, Secret::new("t-1"));
    assert_eq!(token.lives, Duration::from_hours(1));
    for (status, body, code) in [
        (401, json!({ "errorCode": "E401" }), "provider.credentials"),
        (
            400,
            json!({ "error": "invalid_client" }),
            "provider.credentials",
        ),
        (404, json!({}), "provider.address"),
        (429, json!({}), "provider.throttled"),
        (503, json!({}), "provider.unavailable"),
        (
            200,
            json!({ "access_token": "" , "expires_in": 1 }),
            "provider.unreadable_answer",
        ),
        (
            200,
            json!({ "access_token": "t" }),
            "provider.unreadable_answer",
        ),
    ] {
        let reason = oauth().token(&reply(status, &body)).expect_err("no token");
        assert_eq!(reason.code, code, "{status} {body}");
    }
}

/// A wrong path would remove another template than was meant, or none.
#[test]
fn templates_are_asked_for_made_and_removed() {
    let number = Phone::from_e164("+15550001111").expect("a number");
    let shown = |request: &Request| format!("{:?} {}", request.method, request.url);
    let infobip = adapter();
    let templates = format!("{URL}/whatsapp/2/senders/15550001111/templates");
    assert_eq!(shown(&infobip.list(&number)), format!("Get {templates}"));
    let definition = json!({ "name": "a" });
    let create = infobip.create(&number, &definition);
    assert_eq!(shown(&create), format!("Post {templates}"));
    assert_eq!(create.body, definition.to_string());
    let edit = infobip.edit(&number, "17", &definition);
    assert_eq!(shown(&edit), format!("Patch {templates}/17"));
    assert_eq!(edit.body, definition.to_string());
    let delete = infobip.delete(&number, "a/../b");
    assert_eq!(shown(&delete), format!("Delete {templates}/a%2F..%2Fb"));
    assert!(delete.body.is_empty());
}

/// An operator whose list or change failed must read why in the provider's own words.
#[test]
fn what_is_said_of_templates_is_told() {
    let infobip = adapter();
    let list = json!({ "templates": [{ "name": "a" }, { "name": "b" }] });
    let listed = infobip.listed(&reply(200, &list)).expect("a list");
    assert_eq!(listed.len(), 2);
    assert!(infobip.listed(&reply(200, &json!({}))).is_err());
    assert_eq!(infobip.verdict(&reply(201, &list)), Ok(list));
    let gone = Reply::Answer {
        status: 204,
        retry_after: None,
        body: Vec::new(),
    };
    assert_eq!(infobip.verdict(&gone), Ok(Value::Null));
    let refused = json!({ "requestError": { "serviceException": {
        "messageId": "BAD_REQUEST", "text": "Bad request",
        "validationErrors": { "structure.body.text": ["must not be blank"] } } } });
    let reason = infobip.verdict(&reply(400, &refused)).expect_err("refused");
    assert_eq!(
        reason.detail,
        "Bad request; structure.body.text: must not be blank"
    );
    for (status, code) in [
        (401, "provider.credentials"),
        (403, "provider.permission"),
        (404, "provider.template_missing"),
        (429, "provider.throttled"),
        (500, "provider.unavailable"),
    ] {
        let reason = infobip
            .verdict(&reply(status, &refused))
            .expect_err("refused");
        assert_eq!(reason.code, code, "{status}");
    }
}
