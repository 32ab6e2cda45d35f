//! Meta's WhatsApp Cloud API: message to request, reply to outcome. What each error code means
//! stands in `codes`; opening connections and waiting are left to others.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::cause::Cause;
use super::meaning::{self, Answer, Class};
use super::templates::{Change, Reading, Step};
use super::{
    Adapter, CallbackSecrets, Credential, Load, Next, Proof, Reply, Request, Scheme, Secret, Upload,
};
use crate::batch::{Content, Filling, Message};
use crate::delivery::receipt::{Callback, Receipt};
use crate::delivery::{AttemptId, Outcome, Reason, Scope, Sender};
pub(super) use receipts::SIGNATURE;

#[cfg(test)]
mod again;
pub(super) mod codes;
#[cfg(test)]
mod golden;
mod media;
mod receipts;
mod takes;
mod templates;
mod wire;

pub use takes::Takes;

/// What the adapter wants to know besides the address and the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The account that owns numbers and templates, the WABA id; empty if not given.
    pub business_account_id: String,
    /// The way that templates for marketing go.
    pub marketing: Marketing,
}

/// The way that templates for marketing go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marketing {
    /// As all messages do.
    #[default]
    Messages,
    /// By the call for marketing messages; where the account is not enrolled for it, the provider
    /// sends them as all messages.
    Fallback,
    /// By that call alone.
    Strict,
}

impl Marketing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Messages, Self::Fallback, Self::Strict];

    /// Its name in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Fallback => "fallback",
            Self::Strict => "strict",
        }
    }

    /// What the call for marketing messages is told about accounts that are not enrolled; `None`
    /// where this message goes as all do.
    fn policy(self, message: &Message) -> Option<&'static str> {
        let Content::Template(Filling {
            marketing: true, ..
        }) = &message.content
        else {
            return None;
        };
        match self {
            Self::Messages => None,
            Self::Fallback => Some("CLOUD_API_FALLBACK"),
            Self::Strict => Some("STRICT"),
        }
    }
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct MetaCloud {
    base_url: String,
    credential: Credential,
    settings: Settings,
}

impl Adapter for MetaCloud {
    fn endpoint(&self) -> &str {
        &self.base_url
    }

    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn pull(&self, _senders: &[Sender]) -> Option<Box<dyn Reading>> {
        Some(Box::new(self.pages()?))
    }

    fn change(
        &self,
        change: &Change,
        _senders: &[Sender],
        replies: &[Reply],
    ) -> Option<Step<Value>> {
        self.next_of_change(change, replies)
    }

    fn next(&self, load: &Load<'_>, replies: &[Reply]) -> Next {
        match replies.last() {
            None => Next::Send(self.request(load.sender, &load.ids[0], load.messages[0])),
            Some(reply) => Next::Done(vec![self.outcome(reply)]),
        }
    }

    fn verify(&self, callback: &Callback, secrets: &CallbackSecrets) -> Proof {
        Self::verified(callback, secrets)
    }

    fn challenge(&self, callback: &Callback, secrets: &CallbackSecrets) -> Option<String> {
        Self::challenged(callback, secrets)
    }

    fn receipts(&self, callback: &Callback) -> Vec<Receipt> {
        self.read_receipts(callback)
    }

    fn upload(&self, sender: &Sender, file: &Upload<'_>) -> Option<Request> {
        let url = self.url(sender, "media");
        Some(media::request(url, file, &self.credential))
    }

    fn uploaded(&self, reply: &Reply) -> Result<(String, Duration), Box<Outcome>> {
        let answer = meaning::answer(reply)?;
        match media::id(&answer) {
            Some(id) => Ok((id, media::KEPT)),
            None => Err(Box::new(match self.answer(&answer) {
                // What its API says of a message, it does not say of a file.
                Outcome::Accepted { .. } => meaning::unreadable(answer.status),
                outcome => outcome,
            })),
        }
    }

    fn has_lost_file(&self, reason: &Reason) -> bool {
        media::is_lost(reason)
    }
}

impl MetaCloud {
    /// An adapter for the API at `base_url`.
    pub fn new(base_url: String, access_token: Secret) -> Self {
        Self {
            base_url,
            credential: Credential::new(Scheme::Bearer, access_token),
            settings: Settings::default(),
        }
    }

    /// The same with what the settings say besides.
    #[must_use]
    pub fn with(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// The address of what belongs to a number.
    fn url(&self, sender: &Sender, what: &str) -> String {
        let number_id = if sender.provider_id.is_empty() {
            sender.number.as_str().trim_start_matches('+')
        } else {
            &sender.provider_id
        };
        format!("{}/{number_id}/{what}", self.base_url)
    }

    /// The request that sends `message`.
    pub(super) fn request(&self, sender: &Sender, id: &AttemptId, message: &Message) -> Request {
        let policy = self.settings.marketing.policy(message);
        let call = policy.map_or("messages", |_| "marketing_messages");
        let url = self.url(sender, call);
        Request::post(url, wire::envelope(id, message, policy), &self.credential)
    }

    /// What `reply` means.
    pub(super) fn outcome(&self, reply: &Reply) -> Outcome {
        match meaning::answer(reply) {
            Ok(answer) => self.answer(&answer),
            Err(outcome) => *outcome,
        }
    }

    fn answer(&self, answer: &Answer<'_>) -> Outcome {
        if answer.is_success() {
            return match accepted_id(answer.body) {
                Some(provider_id) => Outcome::Accepted { provider_id },
                None => meaning::unreadable(answer.status),
            };
        }
        match GraphError::read(answer.body) {
            Some(error) => self.refusal(answer, &error),
            None => meaning::wordless(answer),
        }
    }

    /// An answer in the provider's own words: the message was not taken. The code decides; the
    /// status only where the code is unknown, for it is known to vary.
    fn refusal(&self, answer: &Answer<'_>, error: &GraphError) -> Outcome {
        let known = error
            .code
            .and_then(|code| codes::meaning(code, error.subcode));
        let (class, cause) = match known {
            Some(entry) => (entry.class, entry.cause),
            None => unknown_code(answer.status, error),
        };
        let code = error.code.map_or_else(String::new, |code| code.to_string());
        // The API quotes a malformed token in its message, and the message goes to the tenant.
        let words = self.credential.removed_from(&error.words);
        class.outcome(cause.reason(&words, code), answer.retry_after)
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
    meaning::provider_id(&success.messages.into_iter().next()?.id)
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
        // What is said to people about a template is more precise than the message.
        let message = ["error_user_msg", "message"]
            .iter()
            .find_map(|key| error.get(*key)?.as_str());
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
    use crate::provider::meaning::RETRY_AFTER_MAX;

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
