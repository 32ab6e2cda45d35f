//! What the Channels API's answers mean. The codes in its refusals are not published, so the HTTP
//! status decides, and the words go to people.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::{Bird, failure};
use crate::delivery::{Outcome, Scope};
use crate::provider::Reply;
use crate::provider::cause::Cause;
use crate::provider::meaning::{self, Answer, Class};

/// How often we look whether a wrong key or address was mended, and whether a channel was.
const CREDENTIAL: Class = Class::later(Scope::Credential, Duration::from_mins(1));
const ACCOUNT: Class = Class::later(Scope::Credential, Duration::from_mins(15));
const SENDER: Class = Class::later(Scope::Sender, Duration::from_mins(5));
const SLOWER: Class = Class::later(Scope::Rate, Duration::from_secs(1));
const RETRY: Class = Class::Later {
    scope: Scope::Message,
    wait: None,
};

impl Bird {
    /// What `reply` to a send call means.
    pub(super) fn outcome(&self, reply: &Reply) -> Outcome {
        let answer = match meaning::answer(reply) {
            Ok(answer) => answer,
            Err(outcome) => return *outcome,
        };
        // The parser itself bounds the nesting, at 128.
        let body: Option<Map<String, Json>> = serde_json::from_slice(answer.body).ok();
        let Some(body) = body else {
            return if answer.is_success() {
                meaning::unreadable(answer.status)
            } else {
                meaning::wordless(&answer)
            };
        };
        if answer.is_success() {
            return self.stored(&answer, &body);
        }
        match Refusal::read(&body) {
            Some(refusal) => self.refused(&answer, &refusal),
            None if is_former(&body) && (400..500).contains(&answer.status) => former(&body),
            None => meaning::wordless(&answer),
        }
    }

    /// A message that was stored, in the state that it is in.
    fn stored(&self, answer: &Answer<'_>, body: &Map<String, Json>) -> Outcome {
        let text = |key: &str| body.get(key).and_then(Json::as_str);
        let provider_id = text("id").and_then(meaning::provider_id);
        let (Some(provider_id), Some(status)) = (provider_id, text("status")) else {
            return meaning::unreadable(answer.status);
        };
        match status {
            "accepted" | "processing" | "scheduled" | "sent" | "delivered" => {
                Outcome::Accepted { provider_id }
            }
            _ => match failure::of(status, body) {
                Some(failed) => {
                    let words = self.credential.removed_from(&failed.words);
                    let reason = failed.cause.reason(&words, failed.code);
                    failed.class.outcome(reason, answer.retry_after)
                }
                // A state that is not known may be any.
                None => meaning::unreadable(answer.status),
            },
        }
    }

    /// An answer in Bird's own words that no message was stored.
    fn refused(&self, answer: &Answer<'_>, refusal: &Refusal) -> Outcome {
        let (class, cause) = match answer.status {
            401 => (CREDENTIAL, Cause::Credentials),
            402 => (ACCOUNT, Cause::Account),
            403 => (CREDENTIAL, Cause::Permission),
            404 => (SENDER, Cause::Sender),
            // With a header against doubles it may say that the first of two requests goes on.
            409 if self.settings.idempotency_header.is_some() => (Class::Open, Cause::Doubtful),
            422 if refusal.is_detailed => (Class::BadRow, Cause::Parameter),
            429 => (SLOWER, Cause::Throttled),
            // By its own name nobody knows what became of the request.
            408 | 504 => (Class::Open, Cause::Doubtful),
            400..=499 => (Class::Never, Cause::Refused),
            // "Safe to try again after a delay", says Bird of all of these.
            500..=599 => (RETRY, Cause::Unavailable),
            _ => return meaning::wordless(answer),
        };
        let words = self.credential.removed_from(&refusal.words);
        class.outcome(
            cause.reason(&words, refusal.code.clone()),
            answer.retry_after,
        )
    }
}

/// A refusal in Bird's own words.
struct Refusal {
    code: String,
    words: String,
    /// Whether it names fields of the message.
    is_detailed: bool,
}

impl Refusal {
    /// Reads it leniently: of some statuses no form is published.
    fn read(body: &Map<String, Json>) -> Option<Self> {
        let code = match body.get("code")? {
            Json::String(code) => code.clone(),
            Json::Number(code) => code.to_string(),
            _ => return None,
        };
        let message = body.get("message").and_then(Json::as_str)?;
        let fields = body.get("details").and_then(Json::as_object);
        let fields: Vec<String> = fields
            .into_iter()
            .flatten()
            .map(|(field, reasons)| format!("{field}: {}", texts(reasons).join(", ")))
            .collect();
        let is_detailed = !fields.is_empty();
        let words = if is_detailed {
            format!("{message} ({})", fields.join("; "))
        } else {
            message.to_owned()
        };
        Some(Self {
            code,
            words,
            is_detailed,
        })
    }
}

fn texts(reasons: &Json) -> Vec<&str> {
    match reasons {
        Json::String(reason) => vec![reason],
        Json::Array(reasons) => reasons.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether another API of the same house answers: the former MessageBird's, with `errors`, or that
/// of the platform beside this one, with `error`. Keys and addresses of one are nothing to others.
fn is_former(body: &Map<String, Json>) -> bool {
    let listed = body.get("errors").and_then(Json::as_array);
    let listed = listed.is_some_and(|errors| errors.iter().any(|error| error["code"].is_number()));
    listed
        || body
            .get("error")
            .is_some_and(|error| error["code"].is_string())
}

fn former(body: &Map<String, Json>) -> Outcome {
    let (words, code) = match body.get("errors") {
        Some(errors) => (
            "this is the former MessageBird API, whose addresses and keys are not those of Bird's \
             Channels API",
            errors[0]["code"].to_string(),
        ),
        None => (
            "this is Bird's other platform, whose addresses and keys are not those of the Channels \
             API",
            String::new(),
        ),
    };
    CREDENTIAL.outcome(Cause::Address.reason(words, code), None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::provider::Secret;
    use crate::provider::bird::Settings;

    fn adapter() -> Bird {
        let token = Secret::new("key-of-the-operator");
        Bird::new("https://api.example".into(), token, Settings::default())
    }

    fn answer(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply::Answer {
            status,
            retry_after: None,
            body: body.into(),
        }
    }

    /// The operator's key must not reach a tenant's results.
    #[test]
    fn a_key_that_is_quoted_is_hidden() {
        let body = json!({ "code": "Unauthorized", "message": "no role for key-of-the-operator" });
        let outcome = adapter().outcome(&answer(401, body.to_string()));
        let Outcome::Deferred { reason, scope, .. } = outcome else {
            panic!("a bad key holds the credential");
        };
        assert_eq!(reason.detail, "no role for (secret)");
        assert_eq!(scope, Scope::Credential);
    }

    /// Deep nesting is a known way to overflow a stack; one answer must not end the daemon.
    #[test]
    fn nesting_is_bounded() {
        for open in [
            "[",
            "{\"a\":",
            "{\"failure\":{\"source\":",
            "{\"details\":[",
        ] {
            for status in [202, 422, 500] {
                let outcome = adapter().outcome(&answer(status, open.repeat(100_000)));
                assert!(
                    matches!(outcome, Outcome::Unclear { .. }),
                    "{open} {status}"
                );
            }
        }
    }

    /// Bodies that resemble Bird's, so that the interesting branches are reached.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let id = prop_oneof![
            Just(""),
            Just(" "),
            Just("0f1c6a3e-5b0e-4a3c-8d5e-0a1b2c3d4e5f")
        ];
        let status = prop_oneof![
            Just("accepted"),
            Just("sent"),
            Just("sending_failed"),
            Just("skipped"),
            Just("odd")
        ];
        let stored = (id, status).prop_map(|(id, status)| json!({ "id": id, "status": status }));
        let refused = Just(json!({ "code": "InvalidPayload", "message": "no" }));
        let whole = prop_oneof![stored, refused].prop_map(|body| body.to_string().into_bytes());
        let cut = (whole.clone(), any::<prop::sample::Index>()).prop_map(|(mut body, at)| {
            body.truncate(at.index(body.len()));
            body
        });
        prop_oneof![prop::collection::vec(any::<u8>(), 0..200), whole, cut]
    }

    proptest! {
        /// A message reported as accepted that Bird never took, or took and dropped, is a lost
        /// message, and a panic is a stopped daemon.
        #[test]
        fn nothing_is_accepted_without_an_id_and_a_good_state(
            status in prop_oneof![Just(200_u16), Just(202), 0_u16..1000],
            body in bodies(),
        ) {
            let read = serde_json::from_slice::<Json>(&body).unwrap_or_default();
            let good = matches!(read["status"].as_str(), Some("accepted" | "sent"))
                && read["id"].as_str().is_some_and(|id| !id.trim().is_empty());
            let accepted = matches!(
                adapter().outcome(&answer(status, body)),
                Outcome::Accepted { .. }
            );
            prop_assert_eq!(accepted, good && (200..300).contains(&status));
        }
    }
}
