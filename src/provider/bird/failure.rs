//! What became of a message that Bird stored and did not hand over, or that did not arrive: its
//! state, and the `failure` that tells why. Failures of WhatsApp carry the Cloud API's own codes.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::delivery::Scope;
use crate::provider::cause::Cause;
use crate::provider::meaning::Class;
use crate::provider::meta_cloud::codes;

/// Somebody has to do something first; the waits are how often we look whether they did.
const ACCOUNT: Class = Class::later(Scope::Credential, Duration::from_mins(15));
const CHANNEL: Class = Class::later(Scope::Sender, Duration::from_mins(5));
// The same message may pass in a moment.
const RETRY: Class = Class::Later {
    scope: Scope::Message,
    wait: None,
};

/// A message that failed.
#[derive(Debug)]
pub(super) struct Failed {
    /// What follows from it.
    pub(super) class: Class,
    /// What it is for people.
    pub(super) cause: Cause,
    /// Bird's own explanation.
    pub(super) words: String,
    /// Bird's code, or its state where there is none, and behind a stroke where it broke: `12003`,
    /// `15005/whatsapp/131047`.
    pub(super) code: String,
}

/// How a message failed that is in this state; `None` where the state is not known to be a failure.
pub(super) fn of(status: &str, message: &Map<String, Json>) -> Option<Failed> {
    let failure = message.get("failure").unwrap_or(&Json::Null);
    let source = &failure["source"];
    let name = source["name"].as_str().unwrap_or_default();
    let own = failure["code"].as_i64();
    let source_code = match &source["code"] {
        Json::String(code) => code.clone(),
        Json::Number(code) => code.to_string(),
        _ => String::new(),
    };
    let (class, cause) = match status {
        "rejected" | "sending_failed" | "delivery_failed" => {
            of_source(name, source_code.parse().ok()).unwrap_or_else(|| of_code(own, name))
        }
        // On purpose: the recipient had enough, wanted none, or is of a group that gets nothing.
        "skipped" => (Class::Never, Cause::RecipientLimited),
        "deleted" => (Class::Never, Cause::Refused),
        _ => return None,
    };
    let mut code = own.map_or_else(|| status.to_owned(), |code| code.to_string());
    for part in [name, &source_code] {
        if !part.is_empty() {
            code.push('/');
            code.push_str(part);
        }
    }
    let told = [
        failure["description"].as_str(),
        message.get("reason").and_then(Json::as_str),
        message.get("details").and_then(Json::as_str),
    ];
    let words = told.into_iter().flatten().find(|it| !it.trim().is_empty());
    Some(Failed {
        class,
        cause,
        words: words.unwrap_or_default().to_owned(),
        code,
    })
}

/// What follows from where it broke, where that alone tells.
fn of_source(name: &str, code: Option<i64>) -> Option<(Class, Cause)> {
    match name {
        "accounting" => Some((ACCOUNT, Cause::Account)),
        "whatsapp" => {
            let entry = codes::meaning(code?, None)?;
            Some(match entry.class {
                // Meta's credentials and accounts are those of the channel, which is Bird's.
                Class::Later {
                    scope: Scope::Credential,
                    wait,
                } => {
                    let scope = Scope::Sender;
                    (Class::Later { scope, wait }, Cause::Sender)
                }
                class => (class, entry.cause),
            })
        }
        _ => None,
    }
}

/// What follows from Bird's own code, as far as the codes are published, or else from where it
/// broke.
fn of_code(code: Option<i64>, source: &str) -> (Class, Cause) {
    match (code, source) {
        (Some(11_001), _) => (CHANNEL, Cause::Sender),
        (Some(11_002), _) => (Class::BadRow, Cause::Parameter),
        (Some(12_001), _) => (RETRY, Cause::Unavailable),
        (Some(12_002), _) => (Class::BadRow, Cause::MessageType),
        (Some(12_003 | 15_005), _) | (_, "contact") => (Class::BadRow, Cause::Recipient),
        (_, "touchpoint") => (Class::Never, Cause::TemplateRefused),
        _ => (Class::Never, Cause::Refused),
    }
}
