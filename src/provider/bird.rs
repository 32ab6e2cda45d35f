//! Bird, which was MessageBird, by its Channels API: messages to requests, replies to outcomes. One
//! request sends one message to one recipient; `wire` writes it, `answer` reads what comes back,
//! `templates` lists what the workspace has. Opening connections and waiting are left to others.

use std::time::Duration;

use super::cause::Cause;
use super::templates::Reading;
use super::{
    Adapter, CallbackSecrets, Credential, Load, Next, Proof, Reply, Request, Scheme, Secret,
};
use crate::batch::terms::Objection;
use crate::clock;
use crate::delivery::receipt::{Callback, Receipt};
use crate::delivery::{Outcome, Sender};

mod answer;
mod failure;
mod filling;
#[cfg(test)]
mod golden;
pub(in crate::provider) mod receipts;
mod session;
mod takes;
pub mod templates;
mod wire;

pub use takes::Takes;

/// The version of every template that is sent unless another one is set.
pub const LATEST: &str = "latest";

/// How old a signature may be unless another span is set.
const CALLBACK_AGE: Duration = Duration::from_mins(5);

/// What the adapter wants to know besides the address and the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The id of the workspace.
    pub workspace_id: String,
    /// Which version of a template is sent: `latest`, or the id of one.
    pub template_version: String,
    /// How the values of templates are written.
    pub template_values: TemplateValues,
    /// The header that tells a message from others, for those whose account honours one; `None`
    /// for none.
    pub idempotency_header: Option<&'static str>,
    /// The address that Bird was told to call back, which it signs; empty if callbacks are not
    /// signed.
    pub callback_url: String,
    /// How old, or how far ahead, the moment of a signature may be.
    pub callback_age_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workspace_id: String::new(),
            template_version: LATEST.to_owned(),
            template_values: TemplateValues::Parameters,
            idempotency_header: None,
            callback_url: String::new(),
            callback_age_max: CALLBACK_AGE,
        }
    }
}

impl Settings {
    /// The name of the header that tells a message from others, as the settings have it.
    pub fn idempotency_header_name(&self) -> &'static str {
        let known = IDEMPOTENCY_HEADERS.iter();
        let mut own = known.filter(|(_, header)| *header == self.idempotency_header);
        own.next().map_or("none", |(name, _)| name)
    }
}

/// How the values of templates are written. The API takes both and does not say which of them would
/// win, so that only one is ever sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateValues {
    /// A list of values with their types and keys.
    Parameters,
    /// An object of texts, as it was written before there were types.
    Variables,
}

impl TemplateValues {
    /// Both of them, with their names.
    pub const ALL: [(&'static str, Self); 2] = [
        ("parameters", Self::Parameters),
        ("variables", Self::Variables),
    ];

    /// Its name in the settings, which is that of the member.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Variables => "variables",
        }
    }
}

/// The headers that can be set to tell a message from others, with their names in the settings.
pub const IDEMPOTENCY_HEADERS: [(&str, Option<&str>); 3] = [
    ("none", None),
    ("Idempotency-Key", Some("idempotency-key")),
    ("X-Idempotency-Key", Some("x-idempotency-key")),
];

/// Whether a text is an id as Bird gives them: a UUID.
pub fn is_uuid(text: &str) -> bool {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let mut groups = text.split('-');
    let whole = GROUPS.iter().all(|&length| {
        groups.next().is_some_and(|group| {
            group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    });
    whole && groups.next().is_none()
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct Bird {
    base_url: String,
    credential: Credential,
    settings: Settings,
}

impl Adapter for Bird {
    fn endpoint(&self) -> &str {
        &self.base_url
    }

    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn pull(&self, _senders: &[Sender]) -> Option<Box<dyn Reading>> {
        Some(Box::new(self.pulling()))
    }

    fn next(&self, load: &Load<'_>, replies: &[Reply]) -> Next {
        if let Some(reply) = replies.last() {
            return Next::Done(vec![self.outcome(reply)]);
        }
        match self.request(load) {
            Ok(request) => Next::Send(request),
            Err(objections) => Next::Done(vec![unsayable(&objections)]),
        }
    }

    fn verify(&self, callback: &Callback, secrets: &CallbackSecrets) -> Proof {
        self.verified(callback, secrets, clock::now())
    }

    fn receipts(&self, callback: &Callback) -> Vec<Receipt> {
        self.read_receipts(callback)
    }
}

impl Bird {
    /// An adapter for the API at `base_url`.
    pub fn new(base_url: String, access_token: Secret, settings: Settings) -> Self {
        Self {
            base_url,
            credential: Credential::new(Scheme::AccessKey, access_token),
            settings,
        }
    }

    /// The request that sends the one message of a load.
    fn request(&self, load: &Load<'_>) -> Result<Request, Vec<Objection>> {
        let body = wire::envelope(load, &self.settings)?;
        let url = format!(
            "{}/workspaces/{}/channels/{}/messages",
            self.base_url, self.settings.workspace_id, load.sender.provider_id
        );
        let mut request = Request::post(url, body, &self.credential);
        if let Some(header) = self.settings.idempotency_header {
            // The same for each try at a message: that a second one is known again is all it is
            // good for.
            let id = &load.ids[0];
            let key = Secret::new(format!("{}-{}", id.batch, id.index));
            request.headers.push((header, key));
        }
        Ok(request)
    }
}

/// What becomes of a message that Bird has no words for. Rows are held against that when their file
/// is checked; this one was checked for another provider or by another template.
fn unsayable(objections: &[Objection]) -> Outcome {
    let mut words: Vec<String> = objections
        .iter()
        .map(|it| format!("expected {}, found {}", it.expected, it.found))
        .collect();
    words.dedup();
    Outcome::Refused {
        reason: Cause::MessageType.reason(&words.join("; "), String::new()),
        in_row: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slip in an id would send every message to an address that does not exist.
    #[test]
    fn an_id_is_told_from_its_slips() {
        let good = "7c2f8f0a-41d5-4d0c-9a56-3b1f2f7e9d10";
        assert!(is_uuid(good));
        assert!(is_uuid(&good.to_uppercase()));
        for bad in [
            "",
            "ws_7c2f",
            "7c2f8f0a41d54d0c9a563b1f2f7e9d10",
            "7c2f8f0a-41d5-4d0c-9a56-3b1f2f7e9d1",
            "7c2f8f0a-41d5-4d0c-9a56-3b1f2f7e9d10-",
            "7c2f8f0a-41d5-4d0c-9a56-3b1f2f7e9dxx",
        ] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }
}
