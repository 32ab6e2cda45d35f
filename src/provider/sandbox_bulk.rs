//! The stand-in's bulk call: many messages in one request, and an answer to each. A message and its
//! answer are as the Cloud API has them, so what an answer means is for `meta_cloud` to say.
//!
//! Answers are found by the id of their attempt, never by their place: one that is missing, there
//! twice or not to be read leaves its own message unclear, and no other.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::meta_cloud::{self, MetaCloud};
use super::{Reply, Request};
use crate::batch::Message;
use crate::delivery::{AttemptId, Outcome, Sender};

/// The adapter.
#[derive(Clone, Debug)]
pub struct SandboxBulk {
    single: MetaCloud,
    messages_max: usize,
}

impl SandboxBulk {
    /// An adapter that puts up to `messages_max` messages into what `single` sends one by one.
    pub fn new(single: MetaCloud, messages_max: usize) -> Self {
        Self {
            single,
            messages_max,
        }
    }

    /// Where the API begins.
    pub fn base_url(&self) -> &str {
        self.single.base_url()
    }

    /// How many messages one request holds at most.
    pub fn messages_max(&self) -> usize {
        self.messages_max
    }

    /// The request that sends `messages` as the attempts `ids`, of which there are as many.
    pub fn request(&self, sender: &Sender, ids: &[AttemptId], messages: &[&Message]) -> Request {
        let mut first = None;
        let mut body = br#"{"messages":["#.to_vec();
        for (id, message) in ids.iter().zip(messages) {
            let single = self.single.request(sender, id, message);
            if first.is_some() {
                body.push(b',');
            }
            body.extend_from_slice(&single.body);
            first.get_or_insert(single);
        }
        body.extend_from_slice(b"]}");
        let first = first.expect("a request has a message");
        Request {
            url: format!("{}/bulk", first.url),
            body: body.into(),
            ..first
        }
    }

    /// What `reply` means for each of the attempts `ids`.
    pub fn outcomes(&self, reply: &Reply, ids: &[AttemptId]) -> Vec<Outcome> {
        let Reply::Answer { status, body, .. } = reply else {
            return vec![self.single.outcome(reply); ids.len()];
        };
        if !(200..300).contains(status) {
            return vec![self.single.outcome(reply); ids.len()];
        }
        let answers = answers(body);
        let outcome = |id: &AttemptId| match answers.get(&id.to_string()) {
            Some(Some(answer)) => self.single.outcome(answer),
            Some(None) | None => meta_cloud::unreadable(*status),
        };
        ids.iter().map(outcome).collect()
    }
}

/// An answer of many.
#[derive(Deserialize)]
struct Answers<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

/// An answer to one message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    id: String,
    status: u16,
    retry_after: Option<u64>,
    /// What the answer to this message alone would hold; left out where that is no JSON.
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// The answers in a body by the ids of their attempts; `None` for an attempt that has several.
fn answers(body: &[u8]) -> HashMap<String, Option<Reply>> {
    let mut found = HashMap::new();
    let Ok(answers) = serde_json::from_slice::<Answers<'_>>(body) else {
        return found;
    };
    for answer in answers.messages {
        let Ok(answer) = serde_json::from_str::<Answer<'_>>(answer.get()) else {
            continue;
        };
        let body = answer.body.map_or("", RawValue::get);
        let reply = Reply::Answer {
            status: answer.status,
            retry_after: answer.retry_after.map(Duration::from_secs),
            body: body.into(),
        };
        found
            .entry(answer.id)
            .and_modify(|known| *known = None)
            .or_insert(Some(reply));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::{BatchId, Phone};
    use crate::provider::Secret;

    fn adapter() -> SandboxBulk {
        let single = MetaCloud::new("http://127.0.0.1:1/v25.0".into(), Secret::new("a-token"));
        SandboxBulk::new(single, 100)
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

    fn reply(status: u16, body: &Value) -> Reply {
        Reply::Answer {
            status,
            retry_after: None,
            body: body.to_string().into(),
        }
    }

    fn taken(id: &AttemptId) -> Value {
        json!({"id": id.to_string(), "status": 200,
            "body": {"messages": [{"id": format!("wamid.{}", id.index)}]}})
    }

    fn words(outcomes: &[Outcome]) -> Vec<String> {
        let word = |outcome: &Outcome| match outcome {
            Outcome::Accepted { provider_id } => format!("accepted {provider_id}"),
            Outcome::Refused { reason, .. } => format!("refused {}", reason.provider_code),
            Outcome::Deferred { wait, scope, .. } => format!("deferred {wait:?} {scope:?}"),
            Outcome::Unclear { .. } => "unclear".into(),
        };
        outcomes.iter().map(word).collect()
    }

    /// Each message must arrive as it would alone, with the id by which its answer is found.
    #[test]
    fn a_request_holds_each_message_as_the_cloud_api_has_it() {
        let message: Message = serde_json::from_value(json!({
            "index": 0, "line": 1, "to": "+31612345678", "from": "+15550001111",
            "expiresAt": 1_795_000_000_000_i64,
            "content": {"text": {"body": "hello", "previewUrl": false}}}))
        .expect("a message");
        let sender = Sender {
            number: Phone::from_e164("+15550001111").expect("a number"),
            provider_id: "106540352242922".into(),
            messages_per_second: 80.0,
        };
        let ids = ids(2);
        let request = adapter().request(&sender, &ids, &[&message, &message]);
        assert_eq!(
            request.url,
            "http://127.0.0.1:1/v25.0/106540352242922/messages/bulk"
        );
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let single = adapter().single;
        for (at, id) in ids.iter().enumerate() {
            let alone = single.request(&sender, id, &message).body;
            let alone: Value = serde_json::from_slice(&alone).expect("JSON");
            assert_eq!(body["messages"][at], alone);
        }
        assert_eq!(body["messages"].as_array().map(Vec::len), Some(2));
    }

    /// One refused message must not take the others with it, in whatever order answers stand.
    #[test]
    fn each_message_has_the_outcome_of_its_own_answer() {
        let ids = ids(3);
        let refused = json!({"id": ids[1].to_string(), "status": 400,
            "body": {"error": {"message": "(#131026)", "code": 131_026}}});
        let throttled = json!({"id": ids[2].to_string(), "status": 429, "retryAfter": 7,
            "body": {"error": {"message": "(#130429)", "code": 130_429}}});
        let body = json!({"messages": [throttled, refused, taken(&ids[0])]});
        let found = adapter().outcomes(&reply(200, &body), &ids);
        assert_eq!(
            words(&found),
            [
                "accepted wamid.0",
                "refused 131026",
                "deferred Some(7s) Rate"
            ]
        );
    }

    /// A message whose answer is missing, doubled or odd may have gone out: calling it accepted, or
    /// sending it again, would be a guess.
    #[test]
    fn an_answer_that_is_no_answer_leaves_its_own_message_unclear() {
        let ids = ids(5);
        let odd = json!({"id": ids[3].to_string(), "status": "200"});
        let gateway = json!({"id": ids[4].to_string(), "status": 502});
        let twice = taken(&ids[2]);
        let body = json!({"messages": [twice, taken(&ids[0]), odd, twice, gateway]});
        let found = adapter().outcomes(&reply(200, &body), &ids);
        assert_eq!(
            words(&found),
            [
                "accepted wamid.0",
                "unclear",
                "unclear",
                "unclear",
                "unclear"
            ]
        );
        for body in [
            json!({}),
            json!([]),
            json!("<html>"),
            json!({"messages": {}}),
        ] {
            let found = adapter().outcomes(&reply(200, &body), &ids);
            assert_eq!(words(&found), ["unclear"; 5], "{body}");
        }
    }

    /// What befalls a whole request befalls every message of it.
    #[test]
    fn a_reply_to_the_whole_request_is_for_all() {
        let ids = ids(2);
        let never = Reply::NeverLeft { why: "gone".into() };
        let found = adapter().outcomes(&never, &ids);
        assert_eq!(words(&found), ["deferred None Endpoint"; 2]);
        let silence = Reply::NoAnswer { why: "cut".into() };
        assert_eq!(words(&adapter().outcomes(&silence, &ids)), ["unclear"; 2]);
        let busy = json!({"error": {"message": "(#130429)", "code": 130_429}});
        let found = adapter().outcomes(&reply(429, &busy), &ids);
        assert_eq!(words(&found), ["deferred Some(1s) Rate"; 2]);
    }
}
