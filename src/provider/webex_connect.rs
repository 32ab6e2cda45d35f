//! Cisco's Webex Connect, which was imiconnect, by version 1 of its Messaging API: message to
//! request, reply to outcome. What it takes stands in `terms`, what is written in `wire` and
//! `parameters`, what each code means in `codes`; opening connections and waiting are left to
//! others.

use serde_json::Value;

use super::cause::Cause;
use super::meaning::{self, Answer, Class};
use super::{Adapter, CallbackSecrets, Credential, Load, Next, Proof};
use super::{Reply, Request, Scheme, Secret};
use crate::batch::Moment;
use crate::delivery::receipt::{Callback, Receipt};
use crate::delivery::{AttemptId, Outcome, Scope};

mod codes;
#[cfg(test)]
pub(in crate::provider) mod golden;
mod parameters;
mod receipts;
mod terms;
mod token;
mod wire;

pub(in crate::provider) use receipts::SIGNATURE;
pub use terms::Takes;
pub use token::is_secret;

/// What the adapter wants to know besides the address and the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How recipients are written.
    pub number_format: NumberFormat,
    /// How requests are let in.
    pub auth: Auth,
}

/// How recipients are written: an account may be set to ask for the `+`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberFormat {
    /// Digits alone.
    #[default]
    Digits,
    /// With the `+`.
    Plus,
}

/// How requests are let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// By the service key itself.
    #[default]
    ServiceKey,
    /// By a token made for each request and signed with the service secret, which is base64.
    Jwt {
        /// Whose secret it is.
        service_id: String,
    },
}

/// The code of what was taken.
const QUEUED: &str = "1001";

/// The adapter.
#[derive(Clone, Debug)]
pub struct WebexConnect {
    base_url: String,
    credential: Credential,
    settings: Settings,
}

impl Adapter for WebexConnect {
    fn endpoint(&self) -> &str {
        &self.base_url
    }

    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn next(&self, load: &Load<'_>, replies: &[Reply]) -> Next {
        let (id, message) = (&load.ids[0], load.messages[0]);
        if let Some(refused) = meaning::not_taken(&Takes::new(&self.settings), message) {
            return Next::Done(vec![refused]);
        }
        let Some(shown) = self.shown(load.at) else {
            return Next::Done(vec![no_secret()]);
        };
        match replies.last() {
            None => {
                let body = wire::envelope(load.sender, id, message, self.settings.number_format);
                let url = format!("{}/resources/v1/messaging", self.base_url);
                let request = Request::post(url, body, &self.credential);
                let headers = vec![shown];
                Next::Send(Request { headers, ..request })
            }
            Some(reply) => Next::Done(vec![self.outcome(reply, id, &shown.1)]),
        }
    }

    fn verify(&self, callback: &Callback, secrets: &CallbackSecrets) -> Proof {
        receipts::verified(callback, secrets)
    }

    fn receipts(&self, callback: &Callback) -> Vec<Receipt> {
        let receipt = receipts::read(callback, &self.credential);
        receipt.into_iter().collect()
    }
}

impl WebexConnect {
    /// An adapter for the API at `base_url`. `access_token` is the service key, or the service
    /// secret where tokens are made of it.
    pub fn new(base_url: String, access_token: Secret, settings: Settings) -> Self {
        Self {
            base_url,
            credential: Credential::new(Scheme::Key, access_token),
            settings,
        }
    }

    /// The header that lets a request in; `None` when the secret is not one to sign with.
    fn shown(&self, at: Moment) -> Option<(&'static str, Secret)> {
        match &self.settings.auth {
            Auth::ServiceKey => Some(self.credential.header()),
            Auth::Jwt { service_id } => {
                let token = token::mint(service_id, &self.credential.secret(), at)?;
                let bearer = format!("Bearer {}", token.reveal());
                Some(("authorization", Secret::new(bearer)))
            }
        }
    }

    /// What `reply` to the attempt `id` means, to which `shown` was shown.
    fn outcome(&self, reply: &Reply, id: &AttemptId, shown: &Secret) -> Outcome {
        let answer = match meaning::answer(reply) {
            Ok(answer) => answer,
            Err(outcome) => return *outcome,
        };
        let Some(elements) = elements(answer.body) else {
            return meaning::wordless(&answer);
        };
        match own(&elements, &id.to_string()) {
            None => meaning::unreadable(answer.status),
            Some(element) if element.code == QUEUED => taken(&answer, element),
            Some(element) => self.refusal(&answer, element, shown),
        }
    }

    /// An answer in the provider's own words. The code decides; the status only where the code is
    /// unknown, for errors come with 200 too.
    fn refusal(&self, answer: &Answer<'_>, element: &Element, shown: &Secret) -> Outcome {
        let (class, cause) = match codes::meaning(&element.code) {
            Some(entry) => (entry.class, entry.cause),
            None => unknown_code(answer.status),
        };
        // Words go to the tenant, and must not hold what let the request in.
        let shown = shown.reveal();
        let shown = shown.strip_prefix("Bearer ").unwrap_or(shown);
        let words = element.description.replace(shown, "(secret)");
        let words = self.credential.removed_from(&words);
        let code = element.code.clone();
        class.outcome(cause.reason(&words, code), answer.retry_after)
    }
}

/// A message was queued, if the whole answer says so.
fn taken(answer: &Answer<'_>, element: &Element) -> Outcome {
    match meaning::provider_id(&element.transid) {
        Some(provider_id) if answer.is_success() => Outcome::Accepted { provider_id },
        _ => meaning::unreadable(answer.status),
    }
}

/// The rule for codes that are not in the table. With a status of success nobody can say whether
/// an unknown code is an error.
fn unknown_code(status: u16) -> (Class, Cause) {
    match status {
        429 => (codes::SLOWER, Cause::Throttled),
        401 => (codes::CREDENTIAL, Cause::Credentials),
        403 => (codes::CREDENTIAL, Cause::Permission),
        400..=499 => (Class::Never, Cause::Refused),
        _ => (Class::Open, Cause::Doubtful),
    }
}

/// The secret was replaced by one that cannot be signed with.
fn no_secret() -> Outcome {
    let class = Class::Later {
        scope: Scope::Credential,
        wait: None,
    };
    let why = "the service secret is not base64, so no token can be made of it";
    class.outcome(Cause::Credentials.reason(why, String::new()), None)
}

/// What is said about one message.
struct Element {
    code: String,
    transid: String,
    description: String,
    correlation_id: String,
}

/// What an answer says; `None` when it has not the provider's form. `response` is a list of what
/// was taken and an object for an error.
fn elements(body: &[u8]) -> Option<Vec<Element>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    match body.get("response")? {
        Value::Array(elements) => elements.iter().map(element).collect(),
        other => Some(vec![element(other)?]),
    }
}

fn element(value: &Value) -> Option<Element> {
    let text = |key: &str| match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        // Codes are texts; a number that says the same is understood.
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let code = text("code");
    (!code.is_empty()).then(|| Element {
        code,
        transid: text("transid"),
        description: text("description"),
        correlation_id: text("correlationid"),
    })
}

/// The element that is about the attempt `id`: the only one, or the only one that names it. One
/// that names another attempt is about that one.
fn own<'a>(elements: &'a [Element], id: &str) -> Option<&'a Element> {
    if let [only] = elements {
        let is_own = only.correlation_id.is_empty() || only.correlation_id == id;
        return is_own.then_some(only);
    }
    let mut naming = elements.iter().filter(|it| it.correlation_id == id);
    let first = naming.next()?;
    naming.next().is_none().then_some(first)
}
