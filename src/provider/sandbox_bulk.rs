//! The stand-in: many messages in one request and an answer to each, or one message as the Cloud
//! API takes it. A message and its answer are as that has them, so what an answer means is for
//! `meta_cloud` to say. And it can be asked what it took.
//!
//! Answers are found by the id of their attempt, never by their place: one that is missing, there
//! twice or not to be read leaves its own message unclear, and no other.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::meta_cloud::MetaCloud;
use super::{
    Adapter, CallbackSecrets, Credential, Load, Next, Proof, Reply, Request, Upload, meaning,
    sandbox,
};
use crate::batch::Moment;
use crate::delivery::receipt::{Callback, Receipt, Says};
use crate::delivery::{AttemptId, Outcome, Reason, Sender};

/// The most messages that a request may be set to hold.
pub const BULK_MAX: usize = sandbox::BULK_MESSAGES_MAX;

/// What the adapter wants to know besides the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many messages the sandbox is handed in one request; 1 uses the call for one.
    pub bulk_max: usize,
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct SandboxBulk {
    single: MetaCloud,
    messages_max: usize,
}

impl Adapter for SandboxBulk {
    fn endpoint(&self) -> &str {
        self.single.endpoint()
    }

    fn bulk_max(&self) -> usize {
        self.messages_max
    }

    fn credential(&self) -> &Credential {
        self.single.credential()
    }

    fn upload(&self, sender: &Sender, file: &Upload<'_>) -> Option<Request> {
        self.single.upload(sender, file)
    }

    fn uploaded(&self, reply: &Reply) -> Result<(String, Duration), Box<Outcome>> {
        self.single.uploaded(reply)
    }

    fn has_lost_file(&self, reason: &Reason) -> bool {
        self.single.has_lost_file(reason)
    }

    fn next(&self, load: &Load<'_>, replies: &[Reply]) -> Next {
        if self.messages_max == 1 {
            return self.single.next(load, replies);
        }
        match replies.last() {
            None => Next::Send(self.request(load)),
            Some(reply) => Next::Done(self.outcomes(reply, load.ids)),
        }
    }

    fn verify(&self, callback: &Callback, secrets: &CallbackSecrets) -> Proof {
        self.single.verify(callback, secrets)
    }

    fn challenge(&self, callback: &Callback, secrets: &CallbackSecrets) -> Option<String> {
        self.single.challenge(callback, secrets)
    }

    fn receipts(&self, callback: &Callback) -> Vec<Receipt> {
        self.single.receipts(callback)
    }

    fn can_be_asked(&self) -> bool {
        true
    }

    fn ask(&self, ids: &[AttemptId]) -> Option<Request> {
        let ids = ids.iter().map(|id| format!("id={id}"));
        let query = ids.collect::<Vec<_>>().join("&");
        let url = format!("{}/taken?{query}", self.single.endpoint());
        Some(Request::get(url, self.credential()))
    }

    fn told(&self, reply: &Reply) -> Vec<Receipt> {
        let Reply::Answer {
            status: 200, body, ..
        } = reply
        else {
            return Vec::new();
        };
        let Ok(told) = serde_json::from_slice::<Told>(body) else {
            return Vec::new();
        };
        let receipt = |taken: Taken| {
            Some(Receipt {
                attempt: Some(AttemptId::parse(&taken.id)?),
                provider_id: taken.message_id,
                says: Says::Accepted,
                at: Moment::from_millis(taken.at_ms),
            })
        };
        told.messages.into_iter().filter_map(receipt).collect()
    }
}

impl SandboxBulk {
    /// An adapter that puts up to `messages_max` messages into what `single` sends one by one.
    pub fn new(single: MetaCloud, messages_max: usize) -> Self {
        Self {
            single,
            messages_max,
        }
    }

    fn request(&self, load: &Load<'_>) -> Request {
        let mut first = None;
        let mut body = br#"{"messages":["#.to_vec();
        for (id, message) in load.each() {
            let single = self.single.request(load.sender, id, message);
            if first.is_some() {
                body.push(b',');
            }
            body.extend_from_slice(&single.body);
            first.get_or_insert(single);
        }
        body.extend_from_slice(b"]}");
        let first = first.expect("a load has a message");
        Request {
            url: format!("{}/bulk", first.url),
            body: body.into(),
            ..first
        }
    }

    /// What `reply` means for each of the attempts `ids`.
    fn outcomes(&self, reply: &Reply, ids: &[AttemptId]) -> Vec<Outcome> {
        let Reply::Answer { status, body, .. } = reply else {
            return vec![self.single.outcome(reply); ids.len()];
        };
        if !(200..300).contains(status) {
            return vec![self.single.outcome(reply); ids.len()];
        }
        let answers = answers(body);
        let outcome = |id: &AttemptId| match answers.get(&id.to_string()) {
            Some(Some(answer)) => self.single.outcome(answer),
            Some(None) | None => meaning::unreadable(*status),
        };
        ids.iter().map(outcome).collect()
    }
}

/// What it took of what it was asked about.
#[derive(Deserialize)]
struct Told {
    messages: Vec<Taken>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Taken {
    id: String,
    message_id: String,
    #[serde(rename = "takenAtMs")]
    at_ms: i64,
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
    use crate::batch::{BatchId, Message, Moment, Phone};
    use crate::delivery::Sender;
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
        let load = Load {
            sender: &sender,
            ids: &ids,
            messages: &[&message, &message],
            at: Moment::from_millis(0),
        };
        let request = adapter().request(&load);
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
