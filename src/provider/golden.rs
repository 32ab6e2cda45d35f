//! Every adapter against golden cases in `tests/golden/provider/<kind>`: messages and what is sent
//! for them, or replies and what follows. `UPDATE_EXPECT=1` rewrites what is expected. The vendors'
//! own descriptions of their APIs, in `tests/golden/provider/specs`, judge each request and reply.
//!
//! A case has `given` (`sender`, `batch`, `message` or `messages`, and `at`), without which a plain
//! text stands; `settings` where the adapter's differ from those of the other cases; and `reply` or
//! `replies`, after which it says what comes next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Adapter, Load, Method, Next, Reply, Request, Secret};
use crate::batch::{BatchId, Message, Moment, Phone};
use crate::delivery::{AttemptId, Outcome, Sender};

/// The secret of every golden adapter.
pub(super) const TOKEN: &str = "golden-token-of-the-operator";

/// What the cases of one provider are held against.
pub(super) struct Golden {
    /// The folder of the cases.
    pub(super) folder: &'static str,
    /// The adapter for a case's `settings`, `null` for most.
    pub(super) adapter: fn(&Value) -> Box<dyn Adapter>,
    /// The vendor's description of the request with this method and address; `None` where there is
    /// none.
    pub(super) schema: fn(&Request) -> Option<&'static str>,
    /// Cases whose request the description does not take, each with the reason.
    pub(super) exceptions: &'static [(&'static str, &'static str)],
}

/// One file.
pub(super) struct Case {
    /// The file's name without its ending.
    pub(super) name: String,
    path: PathBuf,
    content: Map<String, Value>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/provider")
}

/// The description of that name, as a validator.
pub(super) fn schema(name: &str) -> jsonschema::Validator {
    let path = folder().join("specs").join(format!("{name}.schema.json"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let schema = serde_json::from_slice(&bytes).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

impl Golden {
    /// All cases, by name.
    pub(super) fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for entry in std::fs::read_dir(folder().join(self.folder)).expect("listed") {
            let path = entry.expect("listed").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into();
            let content = std::fs::read(&path).expect("read");
            let content = serde_json::from_slice(&content)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            cases.push(Case {
                name,
                path,
                content,
            });
        }
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        cases
    }

    /// What comes next in a case.
    pub(super) fn next(&self, case: &Case) -> Next {
        let null = Value::Null;
        let adapter = (self.adapter)(case.content.get("settings").unwrap_or(&null));
        let given = Given::of(case.content.get("given").unwrap_or(&null));
        let replies: Vec<Reply> = match (case.content.get("reply"), case.content.get("replies")) {
            (Some(reply), _) => vec![reply_of(reply)],
            (None, Some(replies)) => replies
                .as_array()
                .into_iter()
                .flatten()
                .map(reply_of)
                .collect(),
            (None, None) => Vec::new(),
        };
        let messages: Vec<&Message> = given.messages.iter().collect();
        let load = Load {
            sender: &given.sender,
            ids: &given.ids,
            messages: &messages,
            at: given.at,
        };
        adapter.next(&load, &replies)
    }

    /// A change of what is sent or of what an answer means must be seen by whoever reviews it.
    pub(super) fn hold(&self) {
        let update = std::env::var_os("UPDATE_EXPECT").is_some();
        for mut case in self.cases() {
            let found = written(&self.next(&case));
            if update {
                case.content.insert("expected".into(), found);
                let mut text = serde_json::to_string_pretty(&case.content).expect("JSON");
                text.push('\n');
                std::fs::write(&case.path, text).expect("written");
                continue;
            }
            // Compared as text: the order of members is part of the agreement.
            let wanted = case.content.get("expected").unwrap_or(&Value::Null);
            assert_eq!(found.to_string(), wanted.to_string(), "{}", case.name);
        }
    }

    /// A request that the provider's own description refuses would fail for every tenant. Gives how
    /// many were judged.
    pub(super) fn judge_requests(&self) -> usize {
        let mut schemas = BTreeMap::new();
        let mut judged = 0;
        for case in self.cases() {
            let (Next::Send(request) | Next::Wait(_, request)) = self.next(&case) else {
                continue;
            };
            let Some(name) = (self.schema)(&request) else {
                continue;
            };
            let schema = schemas.entry(name).or_insert_with(|| schema(name));
            let body = serde_json::from_slice(&request.body).expect("JSON");
            let excepted = self.exceptions.iter().any(|(name, _)| *name == case.name);
            let errors: Vec<String> = schema.iter_errors(&body).map(|it| it.to_string()).collect();
            assert_eq!(
                errors.is_empty(),
                !excepted,
                "{}: {errors:?}\n{body}",
                case.name
            );
            judged += 1;
        }
        judged
    }
}

impl Golden {
    /// A case whose reply the provider never gives would hold nothing. `schema` is its description
    /// of answers with this status; cases whose names begin with one of `odd` are about replies
    /// that it does not describe. Gives how many were judged.
    pub(super) fn judge_replies(&self, schema: fn(u16) -> &'static str, odd: &[&str]) -> usize {
        let mut judged = 0;
        for case in self.cases() {
            let one = case.content.get("reply").into_iter();
            let several = case.content.get("replies").and_then(Value::as_array);
            for reply in one.chain(several.into_iter().flatten()) {
                let Some(status) = reply["status"].as_u64() else {
                    continue;
                };
                if odd.iter().any(|odd| case.name.starts_with(odd)) {
                    continue;
                }
                let schema = self::schema(schema(u16::try_from(status).expect("small")));
                let errors: Vec<String> = schema
                    .iter_errors(&reply["json"])
                    .map(|it| it.to_string())
                    .collect();
                assert_eq!(errors, Vec::<String>::new(), "{}", case.name);
                judged += 1;
            }
        }
        judged
    }
}

/// The load of a case.
struct Given {
    sender: Sender,
    ids: Vec<AttemptId>,
    messages: Vec<Message>,
    at: Moment,
}

impl Given {
    fn of(given: &Value) -> Self {
        let plain = json!({
            "index": 0, "line": 1, "to": "+31612345678", "from": "+15550001111",
            "expiresAt": 1_795_000_000_000_i64,
            "content": { "text": { "body": "hello", "previewUrl": false } },
        });
        let messages: Vec<Message> = match (&given["message"], &given["messages"]) {
            (Value::Null, Value::Array(messages)) => messages.iter().map(read).collect(),
            (Value::Null, _) => vec![read(&plain)],
            (message, _) => vec![read(message)],
        };
        let batch = given["batch"].as_str().unwrap_or("20261121T091502Z-7kq2xm");
        let id = |message: &Message| AttemptId {
            batch: BatchId::parse(batch).expect("an id"),
            index: message.index,
            attempt: 1,
        };
        let number = given["sender"]["number"].as_str().unwrap_or("+15550001111");
        let provider_id = given["sender"]["providerId"].as_str();
        let at = given["at"].as_str().unwrap_or("2026-11-21T09:15:03.000Z");
        Self {
            sender: Sender {
                number: Phone::from_e164(number).expect("a number"),
                provider_id: provider_id.unwrap_or("106540352242922").into(),
                messages_per_second: 80.0,
            },
            ids: messages.iter().map(id).collect(),
            messages,
            at: Moment::parse(at).expect("a moment"),
        }
    }
}

fn read(message: &Value) -> Message {
    serde_json::from_value(message.clone())
        .unwrap_or_else(|error| panic!("a message: {error}\n{message:#}"))
}

fn reply_of(given: &Value) -> Reply {
    let why = |why: &Value| why.as_str().expect("text").to_owned();
    if let Some(text) = given.get("neverLeft") {
        return Reply::NeverLeft { why: why(text) };
    }
    if let Some(text) = given.get("noAnswer") {
        return Reply::NoAnswer { why: why(text) };
    }
    let body = match given.get("text") {
        Some(text) => why(text),
        None => given["json"].to_string(),
    };
    Reply::Answer {
        status: u16::try_from(given["status"].as_u64().expect("a status")).expect("small"),
        retry_after: given["retryAfter"].as_u64().map(Duration::from_secs),
        body: body.into(),
    }
}

fn written(next: &Next) -> Value {
    match next {
        Next::Send(request) => written_request(request),
        Next::Wait(wait, request) => {
            json!({ "waitMs": wait.as_millis() as u64, "send": written_request(request) })
        }
        Next::Done(outcomes) => match outcomes.as_slice() {
            [outcome] => written_outcome(outcome),
            several => several.iter().map(written_outcome).collect(),
        },
    }
}

fn written_request(request: &Request) -> Value {
    let mut written = json!({});
    if request.method != Method::Post {
        written["method"] = json!(format!("{:?}", request.method).to_uppercase());
    }
    written["url"] = json!(request.url);
    for (name, value) in &request.headers {
        let shown = value.reveal().replace(TOKEN, "(secret)");
        written["headers"][name] = json!(shown);
    }
    if !request.body.is_empty() {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(body.to_string().as_bytes(), request.body, "no spare bytes");
        written["body"] = body;
    }
    written
}

fn written_outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Accepted { provider_id } => json!({ "accepted": provider_id }),
        Outcome::Refused { reason, in_row } => json!({ "refused": reason, "inRow": in_row }),
        Outcome::Deferred {
            reason,
            wait,
            scope,
        } => json!({ "deferred": reason, "wait": wait.map(|wait| wait.as_secs()),
            "scope": format!("{scope:?}") }),
        Outcome::Unclear { reason } => json!({ "unclear": reason }),
    }
}

/// The codes of the causes that the cases of an adapter end in.
pub(super) fn causes(golden: &Golden) -> Vec<String> {
    let mut causes = Vec::new();
    for case in golden.cases() {
        let Next::Done(outcomes) = golden.next(&case) else {
            continue;
        };
        for outcome in outcomes {
            let found = written_outcome(&outcome);
            for class in ["refused", "deferred", "unclear"] {
                causes.extend(found[class]["code"].as_str().map(str::to_owned));
            }
        }
    }
    causes
}

/// The token that golden adapters show.
pub(super) fn token() -> Secret {
    Secret::new(TOKEN)
}
