//! Infobip: messages to requests, replies to outcomes. What a message is in its words stands in
//! `said`, how several become requests in `exchange`, what its answers mean in `answer`.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::templates::{Change, Reading, Step};
use super::{Adapter, Credential, Kind, Load, Next, Reply, Request, Scheme, Secret, Token};
use crate::batch::terms::{Asked, Needs, Objection, Terms};
use crate::batch::{Message, Options};
use crate::delivery::receipt::{Callback, Receipt};
use crate::delivery::{AttemptId, Reason, Sender};
use said::Said;

pub use receipts::SettleBy;

mod answer;
mod errors;
mod exchange;
#[cfg(test)]
mod golden;
mod interactive;
mod order;
mod receipts;
mod said;
mod session;
mod statuses;
mod template;
mod templates;
#[cfg(test)]
mod tests;
mod token;

/// How many templates one request may be set to hold. Infobip names no limit.
pub const BULK_MAX: usize = 1000;

/// How many it holds if nothing is set.
pub const BULK: usize = 100;

/// How long the whole exchange for one request may take: slow connections to Infobip have been
/// seen.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// What the adapter wants to know besides the address and the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many templates one request holds at most.
    pub bulk_max: usize,
    /// What the secret is.
    pub auth: Auth,
    /// How messages are settled whose answer never came.
    pub settle_by: SettleBy,
    /// Where Infobip is to say what became of messages; empty for where it does by itself.
    pub notify_url: Secret,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bulk_max: BULK,
            auth: Auth::ApiKey,
            settle_by: SettleBy::default(),
            notify_url: Secret::default(),
        }
    }
}

/// What lets requests in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The secret is an API key.
    ApiKey,
    /// The secret is a user name and a password with a colon between them.
    Basic,
    /// The secret is a client's; with it tokens are asked for that hold for a while.
    OAuth2 {
        /// The client.
        client_id: String,
    },
}

impl Auth {
    /// Its name in settings.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::Basic => "basic",
            Self::OAuth2 { .. } => "oauth2",
        }
    }

    /// The client whose secret it is; empty if it is no client's.
    pub fn client_id(&self) -> &str {
        match self {
            Self::OAuth2 { client_id } => client_id,
            Self::ApiKey | Self::Basic => "",
        }
    }
}

/// What Infobip takes of what files say.
#[derive(Clone, Debug)]
pub struct Takes;

impl Takes {
    /// What it takes with these settings: they change nothing in it.
    pub fn new(_settings: &Settings) -> Self {
        Self
    }
}

impl Terms for Takes {
    fn provider(&self) -> &'static str {
        Kind::Infobip.as_str()
    }

    fn honours(&self, asked: Asked) -> bool {
        match asked {
            Asked::ReplyTo
            | Asked::SmsFailover
            | Asked::UrlOptions
            | Asked::EntityId
            | Asked::ApplicationId => true,
            Asked::IdentityHash
            | Asked::Tags
            | Asked::ShortLinks
            | Asked::UseCase
            | Asked::FrequencyCap => false,
        }
    }

    fn needs(&self) -> Needs {
        Needs {
            quick_replies: true,
            ..Needs::default()
        }
    }

    fn objections(&self, message: &Message) -> Vec<Objection> {
        Said::of(message).objections
    }
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct Infobip {
    base_url: String,
    credential: Credential,
    settings: Settings,
}

impl Adapter for Infobip {
    fn endpoint(&self) -> &str {
        &self.base_url
    }

    fn bulk_max(&self) -> usize {
        self.settings.bulk_max
    }

    fn session_bulk_max(&self) -> usize {
        1
    }

    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn token_request(&self, secret: &Secret) -> Option<Request> {
        self.question_for_token(secret)
    }

    fn token(&self, reply: &Reply) -> Result<Token, Reason> {
        Self::given_token(reply)
    }

    fn pull(&self, senders: &[Sender]) -> Option<Box<dyn Reading>> {
        Some(Box::new(self.lists(senders)))
    }

    fn change(&self, change: &Change, senders: &[Sender], replies: &[Reply]) -> Option<Step<Json>> {
        self.next_of_change(change, senders, replies)
    }

    fn next(&self, load: &Load<'_>, replies: &[Reply]) -> Next {
        exchange::next(self, load, replies)
    }

    fn receipts(&self, callback: &Callback) -> Vec<Receipt> {
        self.read_receipts(callback)
    }

    fn can_be_asked(&self) -> bool {
        self.settings.settle_by != SettleBy::Nothing
    }

    fn ask(&self, ids: &[AttemptId]) -> Option<Request> {
        self.question(ids)
    }

    fn told(&self, reply: &Reply) -> Vec<Receipt> {
        self.answered(reply)
    }
}

impl Infobip {
    /// An adapter for the API at `base_url`.
    pub fn new(base_url: String, secret: Secret, settings: Settings) -> Self {
        let credential = match settings.auth {
            Auth::ApiKey => Credential::new(Scheme::App, secret),
            Auth::Basic => Credential::new(Scheme::Basic, secret),
            // The secret is never shown in a request for messages; the first token comes later.
            Auth::OAuth2 { .. } => Credential::new(Scheme::Bearer, Secret::default()),
        };
        Self {
            base_url,
            credential,
            settings,
        }
    }

    /// The request that sends the messages at these places of `load`: templates, or one other.
    fn request(&self, load: &Load<'_>, said: &[Said], group: &[usize]) -> Request {
        let call = said[group[0]].call;
        let message = |at: &usize| {
            let mut message = envelope(load, *at, &said[*at]);
            let notify_url = self.settings.notify_url.reveal();
            if !notify_url.is_empty() {
                message["notifyUrl"] = json!(notify_url);
            }
            message
        };
        let body = if call == template::CALL {
            let messages: Vec<Json> = group.iter().map(message).collect();
            // No two requests have the same, be it one of them again in part.
            let bulk_id = format!("{}-of-{}", load.ids[group[0]], group.len());
            json!({ "bulkId": bulk_id, "messages": messages })
        } else {
            message(&group[0])
        };
        self.post(&format!("/whatsapp/1/message/{call}"), &body)
    }

    fn post(&self, path: &str, body: &Json) -> Request {
        let url = format!("{}{path}", self.base_url);
        Request {
            timeout: TIMEOUT,
            ..Request::post(url, body.to_string(), &self.credential)
        }
    }
}

/// One message as every call has it. Our own name of the attempt comes back in all that is said of
/// the message later; the tenant's own data stay here.
fn envelope(load: &Load<'_>, at: usize, said: &Said) -> Json {
    let message = load.messages[at];
    let digits = |number: &crate::batch::Phone| number.as_str().trim_start_matches('+').to_owned();
    let mut envelope = json!({
        "from": digits(&load.sender.number),
        "to": digits(&message.to),
        "messageId": load.ids[at].to_string(),
        "content": said.content,
    });
    if let Some(members) = envelope.as_object_mut() {
        options(&message.options, said.call, members);
    }
    envelope
}

fn options(options: &Options, call: &str, members: &mut Map<String, Json>) {
    // These have no links that could be made short, and the member does not exist there.
    let has_links = !matches!(call, "audio" | "sticker" | "location" | "contact");
    if let Some(url) = options.url_options.as_ref().filter(|_| has_links) {
        members.insert("urlOptions".into(), json!(url));
    }
    if let Some(sms) = &options.sms_failover {
        members.insert("smsFailover".into(), json!(sms));
    }
    for (key, id) in [
        ("entityId", &options.entity_id),
        ("applicationId", &options.application_id),
    ] {
        if let Some(id) = id {
            members.insert(key.into(), json!(id));
        }
    }
    if let Some(id) = &options.reply_to {
        members.insert("context".into(), json!({ "replyToMessageId": id }));
    }
}
