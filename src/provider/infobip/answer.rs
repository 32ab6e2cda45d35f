//! What Infobip's answers mean: the statuses of messages in a good one, and the two forms in which
//! it words a bad one.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;

use super::statuses::{self, Meaning, SENDER};
use crate::delivery::{AttemptId, Outcome, Scope};
use crate::provider::Credential;
use crate::provider::cause::Cause;
use crate::provider::meaning::{self, Answer, Class};

/// How often we look whether a wrong credential was mended.
const CREDENTIAL: Class = Class::later(Scope::Credential, Duration::from_mins(1));

/// The most words of the provider that are put together, in bytes; results hold fewer.
const WORDS_BYTES_MAX: usize = 4096;

/// What an answer says of messages that were handed over together.
#[derive(Debug)]
pub(super) enum Heard {
    /// Something of each of them.
    Each(Vec<Outcome>),
    /// The same of all of them, for a reason that is not in one of them.
    All(Outcome),
    /// None was taken, because one of them is not good: this would hold if it were alone. By their
    /// places those that are named, each with what is said of it.
    OneIsBad(Outcome, BTreeMap<usize, Outcome>),
}

/// What the answer to a request with these attempts says. `speaks` tells whether one of them
/// speaks of an entity or an application.
pub(super) fn heard(
    answer: &Answer<'_>,
    ids: &[&AttemptId],
    speaks: bool,
    credential: &Credential,
) -> Heard {
    if answer.is_success() {
        return match entries(answer.body) {
            Some(entries) => Heard::Each(each(&entries, ids, answer.status)),
            None => Heard::All(meaning::unreadable(answer.status)),
        };
    }
    let refusal = Refusal::read(answer.body);
    match (&refusal, answer.status) {
        // That it has not taken it up is what 503 with a time to come back means, whoever says so;
        // and 413 that it has not read it.
        (_, 503) if answer.retry_after.is_some() => {
            let class = Class::Later {
                scope: Scope::Endpoint,
                wait: None,
            };
            Heard::All(told(answer, class, Cause::Unavailable, refusal.as_ref()))
        }
        (_, 413) => {
            let outcome = told(answer, Class::Never, Cause::Refused, refusal.as_ref());
            Heard::OneIsBad(outcome, BTreeMap::new())
        }
        (None, _) => Heard::All(meaning::wordless(answer)),
        (Some(refusal), _) => refusal.heard(answer, ids.len(), speaks, credential),
    }
}

fn told(answer: &Answer<'_>, class: Class, cause: Cause, refusal: Option<&Refusal>) -> Outcome {
    let code = refusal.map_or_else(String::new, |it| it.code.clone());
    let words = format!("HTTP {}", answer.status);
    class.outcome(cause.reason(&words, code), answer.retry_after)
}

/// A message of an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    message_id: Option<String>,
    status: Option<Json>,
}

/// The messages of a good answer: those in its list, or the one that it is.
fn entries(body: &[u8]) -> Option<Vec<Entry>> {
    #[derive(Deserialize)]
    struct Taken {
        messages: Option<Vec<Json>>,
        #[serde(flatten)]
        alone: serde_json::Map<String, Json>,
    }
    let taken: Taken = serde_json::from_slice(body).ok()?;
    let list = taken
        .messages
        .unwrap_or_else(|| vec![Json::Object(taken.alone)]);
    // One that cannot be read says nothing of itself, and nothing against the others.
    let entries = list
        .into_iter()
        .filter_map(|it| Entry::deserialize(it).ok());
    Some(entries.collect())
}

/// Answers are found by the id of their attempt, never by their place: one that is missing, there
/// twice or not understood leaves its own message unclear, and no other.
fn each(entries: &[Entry], ids: &[&AttemptId], http_status: u16) -> Vec<Outcome> {
    let mut found: HashMap<&str, Option<&Json>> = HashMap::with_capacity(entries.len());
    for entry in entries {
        if let Some(id) = entry.message_id.as_deref() {
            found
                .entry(id)
                .and_modify(|known| *known = None)
                .or_insert(entry.status.as_ref());
        }
    }
    let outcome = |id: &&AttemptId| {
        let id = id.to_string();
        let status = found.get(id.as_str()).copied().flatten();
        status
            .and_then(|status| of_status(status, &id))
            .unwrap_or_else(|| meaning::unreadable(http_status))
    };
    ids.iter().map(outcome).collect()
}

/// What the status of a message says; `None` if it cannot be understood.
fn of_status(status: &Json, message_id: &str) -> Option<Outcome> {
    let id = status["id"].as_i64();
    match statuses::meaning(status["groupId"].as_i64()?, id.unwrap_or_default())? {
        Meaning::Taken => {
            let provider_id = meaning::provider_id(message_id)?;
            Some(Outcome::Accepted { provider_id })
        }
        Meaning::Not(class, cause) => {
            let words: Vec<&str> = ["name", "description", "action"]
                .iter()
                .filter_map(|key| status[key].as_str())
                .collect();
            let code = id.map_or_else(String::new, |id| id.to_string());
            Some(class.outcome(cause.reason(&words.join(": "), code), None))
        }
    }
}

/// A bad answer in the provider's own words, in either of its forms.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    /// The provider's code, as `BAD_REQUEST` or `E400`.
    pub(super) code: String,
    /// What it says as a whole.
    text: String,
    /// Which members are not good, and why.
    faults: Vec<(String, String)>,
}

impl Refusal {
    /// Reads it; `None` if it is in neither form.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        // The parser itself bounds the nesting, at 128.
        let body: Json = serde_json::from_slice(body).ok()?;
        let exception = &body["requestError"]["serviceException"];
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        if exception.is_object() {
            let faults = exception["validationErrors"].as_object();
            let faults = faults.into_iter().flatten().map(|(path, said)| {
                let said: Vec<&str> = said
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Json::as_str)
                    .collect();
                (path.clone(), said.join(", "))
            });
            return Some(Self {
                code: text(&exception["messageId"]),
                text: text(&exception["text"]),
                faults: faults.collect(),
            });
        }
        let code = body["errorCode"].as_str()?.to_owned();
        let violations = body["violations"].as_array().into_iter().flatten();
        Some(Self {
            code,
            text: text(&body["description"]),
            faults: violations
                .map(|it| (text(&it["property"]), text(&it["violation"])))
                .collect(),
        })
    }

    fn heard(
        &self,
        answer: &Answer<'_>,
        count: usize,
        speaks: bool,
        credential: &Credential,
    ) -> Heard {
        let all: Vec<&(String, String)> = self.faults.iter().collect();
        let (class, cause) = self.meaning(answer.status, speaks, &all);
        let outcome = |faults: &[&(String, String)], class: Class, cause: Cause| {
            let words = credential.removed_from(&self.words(faults));
            let reason = cause.reason(&words, self.code.clone());
            class.outcome(reason, answer.retry_after)
        };
        if class != Class::BadRow {
            return Heard::All(outcome(&all, class, cause));
        }
        let mut named = BTreeMap::new();
        for (place, faults) in self.by_place(count) {
            let (class, cause) = self.meaning(answer.status, speaks, &faults);
            named.insert(place, outcome(&faults, class, cause));
        }
        Heard::OneIsBad(outcome(&all, class, cause), named)
    }

    /// What follows for a message of which this is said.
    fn meaning(&self, status: u16, speaks: bool, faults: &[&(String, String)]) -> (Class, Cause) {
        let later = |scope| Class::Later { scope, wait: None };
        let ends_in = |key: &str| {
            let of_key = |(path, _): &&(String, String)| path.rsplit('.').next() == Some(key);
            !faults.is_empty() && faults.iter().all(of_key)
        };
        let text = self.text.to_ascii_lowercase();
        match status {
            400 if ends_in("from") => (SENDER, Cause::Sender),
            400 if ends_in("to") => (Class::BadRow, Cause::Recipient),
            400 if ends_in("mediaUrl") => (Class::BadRow, Cause::Media),
            // All messages of a request have the same template.
            400 if text.contains("template not found") => (Class::Never, Cause::TemplateMissing),
            400 | 422 => (Class::BadRow, Cause::Parameter),
            401 => (CREDENTIAL, Cause::Credentials),
            403 if speaks && (text.contains("entity") || text.contains("application")) => {
                (Class::BadRow, Cause::Parameter)
            }
            403 => (CREDENTIAL, Cause::Permission),
            300..=399 | 404 | 405 | 410 => (CREDENTIAL, Cause::Address),
            408 => (Class::Open, Cause::Doubtful),
            429 => (later(Scope::Rate), Cause::Throttled),
            status if (400..500).contains(&status) => (Class::Never, Cause::Refused),
            _ => (Class::Open, Cause::Doubtful),
        }
    }

    /// What is said of single messages, if all that is said is said of single ones.
    fn by_place(&self, count: usize) -> BTreeMap<usize, Vec<&(String, String)>> {
        let mut places: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for fault in &self.faults {
            match place(&fault.0).filter(|place| *place < count) {
                Some(place) => places.entry(place).or_default().push(fault),
                None => return BTreeMap::new(),
            }
        }
        places
    }

    /// All that it says.
    pub(super) fn all_words(&self) -> String {
        self.words(&self.faults.iter().collect::<Vec<_>>())
    }

    fn words(&self, faults: &[&(String, String)]) -> String {
        let mut words = self.text.clone();
        for (path, said) in faults {
            if words.len() > WORDS_BYTES_MAX {
                break;
            }
            words.push_str("; ");
            words.push_str(path);
            words.push_str(": ");
            words.push_str(said);
        }
        words
    }
}

/// The message that a path begins with, as in `messages[3].to`.
fn place(path: &str) -> Option<usize> {
    let (place, _) = path.strip_prefix("messages[")?.split_once(']')?;
    place.parse().ok()
}
