//! Meta's WhatsApp Cloud API: message to request, reply to outcome. What each error code means
//! stands in `codes`; opening connections and waiting are left to others.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::cause::Cause;
use super::{Reply, Request, Secret};
use crate::batch::Message;
use crate::delivery::{AttemptId, Outcome, Reason, Scope, Sender};
use codes::Class;

#[cfg(test)]
mod again;
mod codes;
#[cfg(test)]
mod golden;
mod wire;

/// How long the whole exchange for one message may take. Giving up early makes a message's fate
/// unknown, so this is far beyond the slowest answer seen.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest `Retry-After` that is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// The longest id of a message that is kept, in bytes; those seen have fewer than a hundred.
pub const PROVIDER_ID_BYTES_MAX: usize = 1024;

/// A token shorter than this is not looked for in texts: it would match by chance.
const TOKEN_BYTES_MIN: usize = 8;

/// The adapter.
#[derive(Clone, Debug)]
pub struct MetaCloud {
    base_url: String,
    access_token: Secret,
}

impl MetaCloud {
    /// An adapter for the API at `base_url`.
    pub fn new(base_url: String, access_token: Secret) -> Self {
        Self {
            base_url,
            access_token,
        }
    }

    /// Where the API begins.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The request that sends `message`.
    pub fn request(&self, sender: &Sender, id: &AttemptId, message: &Message) -> Request {
        let number_id = if sender.provider_id.is_empty() {
            sender.number.as_str().trim_start_matches('+')
        } else {
            &sender.provider_id
        };
        Request {
            url: format!("{}/{number_id}/messages", self.base_url),
            body: wire::envelope(id, message).into(),
            bearer: self.access_token.clone(),
            timeout: TIMEOUT,
        }
    }

    /// What `reply` means.
    pub fn outcome(&self, reply: &Reply) -> Outcome {
        match reply {
            Reply::Answer {
                status,
                retry_after,
                body,
            } => {
                let wait = retry_after.map(|wait| wait.min(RETRY_AFTER_MAX));
                self.answer(*status, wait, body)
            }
            Reply::NeverLeft { why } => Outcome::Deferred {
                reason: Cause::Unreachable.reason(why, String::new()),
                wait: None,
                // Whoever cannot be reached with one message cannot be with the next.
                scope: Scope::Endpoint,
            },
            Reply::NoAnswer { why } => Outcome::Unclear {
                reason: Cause::NoAnswer.reason(why, String::new()),
            },
        }
    }

    fn answer(&self, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Outcome {
        if (200..300).contains(&status) {
            return match accepted_id(body) {
                Some(provider_id) => Outcome::Accepted { provider_id },
                None => unreadable(status),
            };
        }
        match GraphError::read(body) {
            Some(error) => self.refusal(status, retry_after, &error),
            None => wordless(status, retry_after),
        }
    }

    /// An answer in the provider's own words: the message was not taken. The code decides; the
    /// status only where the code is unknown, for it is known to vary.
    fn refusal(&self, status: u16, retry_after: Option<Duration>, error: &GraphError) -> Outcome {
        let known = error
            .code
            .and_then(|code| codes::meaning(code, error.subcode));
        let (class, cause) = match known {
            Some(entry) => (entry.class, entry.cause),
            None => unknown_code(status, error),
        };
        let code = error.code.map_or_else(String::new, |code| code.to_string());
        let reason = cause.reason(&self.without_token(&error.words), code);
        match class {
            Class::Later { scope, wait } => Outcome::Deferred {
                reason,
                wait: retry_after.or(wait),
                scope,
            },
            Class::BadRow => refused(reason, InRow::Yes),
            Class::Never => refused(reason, InRow::No),
            Class::Open => Outcome::Unclear { reason },
        }
    }

    /// The API quotes a malformed token in its message, and the message goes to the tenant.
    fn without_token(&self, text: &str) -> String {
        let token = self.access_token.reveal();
        if token.len() < TOKEN_BYTES_MIN {
            return text.to_owned();
        }
        text.replace(token, "(secret)")
    }
}

#[derive(Clone, Copy)]
enum InRow {
    Yes,
    No,
}

fn refused(reason: Reason, in_row: InRow) -> Outcome {
    Outcome::Refused {
        reason,
        in_row: matches!(in_row, InRow::Yes),
    }
}

/// The rule for codes that are not in the table.
fn unknown_code(status: u16, error: &GraphError) -> (Class, Cause) {
    let later = |scope| Class::Later { scope, wait: None };
    match status {
        429 => (later(Scope::Rate), Cause::Throttled),
        _ if error.is_transient => (later(Scope::Message), Cause::Unavailable),
        401 => (codes::CREDENTIAL, Cause::Credentials),
        403 => (codes::CREDENTIAL, Cause::Permission),
        400..=499 => (Class::Never, Cause::Refused),
        _ => (Class::Open, Cause::Doubtful),
    }
}

/// An answer without the provider's words: from whatever stands between here and its API, or from
/// something else altogether. A status that says that the request was not let in, or that there is
/// no such API, holds everything that goes the same way: failing a whole batch because of a wrong
/// address helps nobody. Of any other status nobody can say what became of the message, 4xx
/// included, for those who stand between write them too after having passed a request on.
fn wordless(status: u16, retry_after: Option<Duration>) -> Outcome {
    let (scope, wait, cause) = match status {
        429 => (Scope::Rate, None, Cause::Throttled),
        401 | 403 | 407 => (Scope::Credential, ADDRESS_WAIT, Cause::Credentials),
        300..=399 | 404 | 405 | 410 => (Scope::Credential, ADDRESS_WAIT, Cause::Address),
        _ => return unreadable(status),
    };
    Outcome::Deferred {
        reason: cause.reason(&format!("HTTP {status}"), String::new()),
        wait: retry_after.or(wait),
        scope,
    }
}

/// How often we look whether a wrong address or token was mended.
const ADDRESS_WAIT: Option<Duration> = Some(Duration::from_mins(1));

/// What an answer means that cannot be read, or is not there, in a reply with this status.
pub(super) fn unreadable(status: u16) -> Outcome {
    Outcome::Unclear {
        reason: Cause::UnreadableAnswer.reason(&format!("HTTP {status}"), String::new()),
    }
}

/// The id in a success body; `None` when it is not one. A message that is held for a check of its
/// template's quality has been taken too.
fn accepted_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Success {
        messages: Vec<Taken>,
    }
    #[derive(Deserialize)]
    struct Taken {
        id: String,
    }
    let success: Success = serde_json::from_slice(body).ok()?;
    let id = success.messages.into_iter().next()?.id;
    let good = !id.trim().is_empty()
        && id.len() <= PROVIDER_ID_BYTES_MAX
        && !id.chars().any(char::is_control);
    good.then_some(id)
}

/// The `error` member of an answer, as far as it has the documented form.
struct GraphError {
    code: Option<i64>,
    subcode: Option<i64>,
    is_transient: bool,
    /// The most precise explanation given.
    words: String,
}

impl GraphError {
    /// Reads it leniently: documentation and observation disagree about all members but `code`.
    fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Failure {
            error: serde_json::Map<String, Value>,
        }
        // The parser itself bounds the nesting, at 128.
        let Failure { error } = serde_json::from_slice(body).ok()?;
        let words = match error.get("error_data") {
            Some(Value::String(text)) => text.as_str(),
            Some(data) => data["details"].as_str().unwrap_or_default(),
            None => "",
        };
        let message = error.get("message").and_then(Value::as_str);
        let words = if words.trim().is_empty() {
            message.unwrap_or_default()
        } else {
            words
        };
        Some(Self {
            code: error.get("code").and_then(integer),
            subcode: error.get("error_subcode").and_then(integer),
            is_transient: error.get("is_transient") == Some(&Value::Bool(true)),
            words: words.to_owned(),
        })
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn adapter() -> MetaCloud {
        let token = Secret::new("EAAtoken-of-the-operator");
        MetaCloud::new("https://graph.example/v25.0".into(), token)
    }

    fn answer(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply::Answer {
            status,
            retry_after: None,
            body: body.into(),
        }
    }

    /// The operator's token must not reach a tenant's results.
    #[test]
    fn a_token_that_the_provider_quotes_is_hidden() {
        let body = br#"{"error":{"message":"Malformed access token EAAtoken-of-the-operator",
            "type":"OAuthException","code":190}}"#;
        let Outcome::Deferred { reason, scope, .. } = adapter().outcome(&answer(401, body)) else {
            panic!("a bad token holds the credential");
        };
        assert_eq!(reason.detail, "Malformed access token (secret)");
        assert_eq!(scope, Scope::Credential);
    }

    /// A provider's bug must neither stop a sender for a year nor lose the wait it asked for.
    #[test]
    fn a_wait_is_honoured_up_to_a_bound() {
        let asked = |seconds| Reply::Answer {
            status: 429,
            retry_after: Some(Duration::from_secs(seconds)),
            body: br#"{"error":{"code":130429}}"#.to_vec(),
        };
        for (seconds, waited) in [(7, Duration::from_secs(7)), (u64::MAX, RETRY_AFTER_MAX)] {
            let outcome = adapter().outcome(&asked(seconds));
            assert!(matches!(outcome, Outcome::Deferred { wait: Some(w), .. } if w == waited));
        }
    }

    /// Deep nesting is a known way to overflow a stack; one answer must not end the daemon.
    #[test]
    fn nesting_is_bounded() {
        for open in [
            "[",
            "{\"a\":",
            "{\"error\":{\"error_data\":",
            "{\"messages\":[",
        ] {
            for status in [200, 400, 500] {
                let outcome = adapter().outcome(&answer(status, open.repeat(100_000)));
                assert!(
                    matches!(outcome, Outcome::Unclear { .. }),
                    "{open} {status}"
                );
            }
        }
    }

    /// Bodies that resemble the provider's, so that the interesting branches are reached.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let id = prop_oneof![
            Just(String::new()),
            Just(" ".into()),
            "wamid\\.[A-Za-z0-9=]{1,40}"
        ];
        let success = id.prop_map(|id| format!(r#"{{"messages":[{{"id":"{id}"}}]}}"#));
        let failure = (-9_i64..140_000, any::<bool>()).prop_map(|(code, transient)| {
            format!(r#"{{"error":{{"code":{code},"is_transient":{transient}}}}}"#)
        });
        let whole = prop_oneof![success, failure].prop_map(String::into_bytes);
        let cut = (whole.clone(), any::<prop::sample::Index>()).prop_map(|(mut body, at)| {
            body.truncate(at.index(body.len()));
            body
        });
        prop_oneof![prop::collection::vec(any::<u8>(), 0..200), whole, cut]
    }

    proptest! {
        /// A message reported as accepted that the provider never took is a lost message, and a
        /// panic is a stopped daemon.
        #[test]
        fn nothing_is_accepted_without_a_message_id(
            status in prop_oneof![Just(200_u16), Just(202), 0_u16..1000],
            body in bodies(),
        ) {
            let given = serde_json::from_slice::<Value>(&body)
                .ok()
                .and_then(|body| body["messages"][0]["id"].as_str().map(str::to_owned))
                .filter(|id| !id.trim().is_empty());
            match adapter().outcome(&answer(status, body)) {
                Outcome::Accepted { provider_id } => {
                    prop_assert!((200..300).contains(&status));
                    prop_assert_eq!(Some(provider_id), given);
                }
                _ => prop_assert!(given.is_none() || !(200..300).contains(&status)),
            }
        }
    }
}
