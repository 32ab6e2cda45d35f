//! What goes wrong by chance, met with the client that sends for all adapters.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock;
use crate::provider::http::Client;
use crate::provider::{Credential, Reply, Request, Scheme, Secret};

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// What came of this many messages, sent one after the other to a stand-in that behaves so.
async fn send(count: usize, misbehaviour: Misbehaviour) -> (Vec<Reply>, Seen) {
    let behaviour = Behaviour {
        misbehaviour,
        ..Behaviour::default()
    };
    let sandbox = Sandbox::open(LOOPBACK.into(), Kind::MetaCloud, behaviour).await;
    let sandbox = sandbox.expect("opened");
    let url = format!("{}/106540352242922/messages", sandbox.base_url());
    let stop = CancellationToken::new();
    let served = tokio::spawn(sandbox.serve(stop.clone()));
    let client = Client::new(None).expect("the roots are good");
    let credential = Credential::new(Scheme::Bearer, Secret::new(ACCESS_TOKEN));
    let mut replies = Vec::new();
    for index in 0..count {
        let body = json!({"messaging_product": "whatsapp", "to": "+31612345678", "type": "text",
            "text": {"body": "hello"}, "biz_opaque_callback_data": format!("b-{index}-1")});
        let request = Request::post(url.clone(), body.to_string(), &credential);
        replies.push(client.send(&request).await);
    }
    stop.cancel();
    (replies, served.await.expect("served"))
}

fn share(text: &str) -> Share {
    text.parse().expect("a share")
}

/// A client that was tried against refusals must have met them as the provider words them.
#[tokio::test]
async fn refusals_come_in_the_providers_words() {
    let misbehaviour = Misbehaviour {
        errors: "429=0.4,503=0.3,502=0.3".parse().expect("shares"),
        seed: 7,
        ..Misbehaviour::default()
    };
    let (replies, seen) = send(30, misbehaviour).await;
    let mut met = BTreeMap::new();
    for reply in replies {
        let Reply::Answer { status, body, .. } = reply else {
            panic!("no answer: {reply:?}");
        };
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        met.insert(status, body["error"]["code"].as_u64());
    }
    let wanted = [(429, Some(130_429)), (502, None), (503, Some(131_016))];
    assert_eq!(met, BTreeMap::from(wanted));
    assert_eq!((seen.requests, seen.accepted, seen.refused), (30, 0, 30));
    assert_eq!(seen.endings.values().sum::<u64>(), 30);
    let throttled = seen.endings[&Ending::Whole(StatusCode::TOO_MANY_REQUESTS)];
    assert!(
        seen.to_string()
            .contains(&format!("\n  {throttled} answered with 429"))
    );
}

/// Whether a message was taken must be as open to the client as it is on a broken line.
#[tokio::test]
async fn a_cut_connection_tells_nothing_of_what_was_taken() {
    let misbehaviour = Misbehaviour {
        cut: share("1"),
        seed: 7,
        ..Misbehaviour::default()
    };
    let (replies, seen) = send(30, misbehaviour).await;
    let is_silent = |reply: &Reply| matches!(reply, Reply::NoAnswer { .. });
    assert!(replies.iter().all(is_silent), "{replies:?}");
    let (before, after) = (
        seen.endings[&Ending::CutBefore],
        seen.endings[&Ending::CutAfter],
    );
    assert!(before >= 5 && after >= 5, "{seen}");
    assert_eq!((seen.requests, before + after), (30, 30));
    assert_eq!((seen.refused, seen.accepted), (before, after));
    assert_eq!(seen.repeated, 0, "the client hands nothing over twice");
}

/// Half an answer must never count as one, though the message was taken.
#[tokio::test]
async fn half_an_answer_is_none() {
    let misbehaviour = Misbehaviour {
        halved: share("1"),
        ..Misbehaviour::default()
    };
    let (replies, seen) = send(3, misbehaviour).await;
    for reply in replies {
        assert!(matches!(reply, Reply::NoAnswer { .. }), "{reply:?}");
    }
    assert_eq!((seen.accepted, seen.endings[&Ending::Halved]), (3, 3));
}

/// A fault that was seen with a seed is looked for with that seed.
#[tokio::test]
async fn a_seed_brings_the_same_answers() {
    let misbehaviour = Misbehaviour {
        errors: "500=0.3".parse().expect("shares"),
        cut: share("0.2"),
        halved: share("0.1"),
        seed: 11,
        ..Misbehaviour::default()
    };
    let word = |reply: &Reply| match reply {
        Reply::Answer { status, .. } => *status,
        _ => 0,
    };
    let (one, _) = send(20, misbehaviour.clone()).await;
    let (other, _) = send(20, misbehaviour).await;
    let words = |replies: &[Reply]| replies.iter().map(word).collect::<Vec<_>>();
    assert_eq!(words(&one), words(&other));
}

/// Latency that does not come makes a slow provider look like a fast one.
#[tokio::test]
async fn answers_take_their_time() {
    let misbehaviour = Misbehaviour {
        spread: Duration::from_millis(60),
        seed: 7,
        ..Misbehaviour::default()
    };
    let begun = clock::steady();
    send(10, misbehaviour).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(120), "{took:?}");
}
