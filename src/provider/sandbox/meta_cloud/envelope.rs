//! What the stand-in checks in a request, and the words in which it refuses one. Pure: rates,
//! memory and answers are the server's.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::content;
use super::template::Template;

/// The longest text of a session message, in characters.
const TEXT_CHARS_MAX: usize = 4096;

/// The longest value of the echoed field, in characters.
const ECHO_CHARS_MAX: usize = 512;

/// The fewest and the most digits of a number.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// By which call a message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// `messages`, which takes all.
    Messages,
    /// `marketing_messages`, which takes templates for marketing alone.
    MarketingMessages,
}

/// A refusal in the API's form.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// `Retry-After` in seconds.
    pub(super) retry_after_secs: Option<u64>,
    code: u32,
    subcode: Option<u32>,
    title: Cow<'static, str>,
    details: &'static str,
}

impl Refusal {
    fn new(status: u16, code: u32, title: &'static str, details: &'static str) -> Self {
        Self {
            status,
            retry_after_secs: None,
            code,
            subcode: None,
            title: title.into(),
            details,
        }
    }

    /// A parameter is unknown, or has another type or form.
    pub(super) fn parameter(details: &'static str) -> Self {
        Self::new(400, 100, "(#100) Invalid parameter", details)
    }

    /// Something that must be there is missing.
    pub(super) fn missing(details: &'static str) -> Self {
        Self::new(
            400,
            131_008,
            "(#131008) Required parameter is missing",
            details,
        )
    }

    /// A value is not one that is taken.
    pub(super) fn value(details: &'static str) -> Self {
        Self::new(
            400,
            131_009,
            "(#131009) Parameter value is not valid",
            details,
        )
    }

    /// The body could not be read at all.
    pub(super) fn unreadable(details: &'static str) -> Self {
        Self::parameter(details)
    }

    /// A template is not taken, for the reason that this code stands for.
    pub(super) fn template(subcode: u32, details: &'static str) -> Self {
        Self {
            subcode: Some(subcode),
            ..Self::parameter(details)
        }
    }

    /// There is no approved template of this name and language.
    pub(super) fn no_template() -> Self {
        let title = "(#132001) Template name does not exist in the translation";
        Self::new(
            404,
            132_001,
            title,
            "no approved template has this name and language",
        )
    }

    /// The template is paused.
    pub(super) fn template_paused() -> Self {
        let title = "(#132015) Template is paused";
        Self::new(
            400,
            132_015,
            title,
            "the template is paused because of low quality",
        )
    }

    /// The template is disabled.
    pub(super) fn template_disabled() -> Self {
        let title = "(#132016) Template is disabled";
        Self::new(400, 132_016, title, "the template was paused too often")
    }

    /// The body has another number of placeholders.
    pub(super) fn other_count() -> Self {
        let title = "(#132000) Number of parameters does not match the expected number of params";
        let details = "body: number of localizable_params does not match the expected number";
        Self::new(400, 132_000, title, details)
    }

    /// A path that the API does not have.
    pub(super) fn path(path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        Self {
            title: format!("Unknown path components: {shown}").into(),
            ..Self::new(404, 2500, "", "")
        }
    }

    /// More messages a second than allowed.
    pub(super) fn throttled() -> Self {
        let details = "Cloud API message throughput has been reached.";
        Self {
            retry_after_secs: Some(1),
            ..Self::new(429, 130_429, "(#130429) Rate limit hit", details)
        }
    }

    /// The recipient cannot be reached.
    pub(super) fn undeliverable() -> Self {
        let title = "(#131026) Message undeliverable";
        Self::new(400, 131_026, title, "Message Undeliverable.")
    }

    /// The recipient does not want these messages.
    pub(super) fn opted_out() -> Self {
        let title = "(#131050) User has stopped receiving marketing messages";
        Self::new(
            400,
            131_050,
            title,
            "The user does not want these messages.",
        )
    }

    /// The service failed and says so itself.
    pub(super) fn service_failed() -> Self {
        let details = "Message failed to send due to an unknown error.";
        Self::new(500, 131_000, "(#131000) Something went wrong", details)
    }

    /// The API's usual refusal with this status; `None` where it is others that answer so.
    pub(super) fn of(status: u16) -> Option<Self> {
        Some(match status {
            401 => Self::new(401, 190, "Error validating access token", ""),
            403 => Self::new(403, 10, "(#10) Permission denied", ""),
            404 => Self::new(404, 803, "(#803) Some of the aliases do not exist", ""),
            429 => Self::throttled(),
            500 => Self::service_failed(),
            503 => Self::new(503, 131_016, "(#131016) Service unavailable", ""),
            400 | 405..=499 => Self {
                status,
                ..Self::value("a value is not taken")
            },
            _ => return None,
        })
    }

    /// The JSON body.
    pub(super) fn body(&self) -> String {
        let mut error = json!({
            "message": self.title,
            "type": "OAuthException",
            "code": self.code,
        });
        if !self.details.is_empty() {
            error["error_data"] = json!({"messaging_product": "whatsapp", "details": self.details});
        }
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = subcode.into();
        }
        error["fbtrace_id"] = "Asandbox".into();
        json!({ "error": error }).to_string()
    }
}

/// Whether a bearer token is there; any will do.
pub(super) fn bearer(header: Option<&[u8]>) -> Result<(), Refusal> {
    match header.map(|value| value.strip_prefix(b"Bearer ")) {
        Some(Some(token)) if !token.is_empty() => Ok(()),
        Some(_) => Err(Refusal::new(401, 190, "Invalid OAuth access token.", "")),
        None => {
            let title = "An access token is required to request this resource.";
            Err(Refusal::new(401, 104, title, ""))
        }
    }
}

/// Whether the path is `v<N>.<N>` and a number's id.
pub(super) fn path(version: &str, phone_number_id: &str) -> Result<(), Refusal> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let version = version.strip_prefix('v').and_then(|v| v.split_once('.'));
    if !version.is_some_and(|(major, minor)| is_number(major) && is_number(minor)) {
        return Err(Refusal::path(""));
    }
    if !is_number(phone_number_id) {
        let title = "Unsupported post request. Object does not exist";
        return Err(Refusal::new(404, 803, title, ""));
    }
    Ok(())
}

/// The digits of a number.
pub(super) fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// The body of a send call, as far as it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope {
    messaging_product: Option<String>,
    recipient_type: Option<String>,
    product_policy: Option<String>,
    message_activity_sharing: Option<bool>,
    /// The recipient, as it was written.
    pub(super) to: Option<String>,
    r#type: Option<String>,
    /// What is echoed in receipts: the sender's own id of the attempt.
    pub(super) biz_opaque_callback_data: Option<String>,
    #[serde(rename = "context")]
    _context: Option<Box<RawValue>>,
    #[serde(rename = "recipient_identity_key_hash")]
    _recipient_identity_key_hash: Option<String>,
    template: Option<Template>,
    text: Option<Text>,
    image: Option<Box<RawValue>>,
    video: Option<Box<RawValue>>,
    audio: Option<Box<RawValue>>,
    document: Option<Box<RawValue>>,
    sticker: Option<Box<RawValue>>,
    location: Option<Box<RawValue>>,
    contacts: Option<Box<RawValue>>,
    interactive: Option<Box<RawValue>>,
    reaction: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Text {
    body: Option<String>,
    #[serde(rename = "preview_url")]
    _preview_url: Option<bool>,
}

impl Envelope {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                Refusal::parameter("a member is unknown, doubled or of the wrong type")
            }
            _ => Refusal::parameter("the body is not JSON"),
        })
    }

    /// Checks its shape and gives the recipient's digits.
    pub(super) fn check(&self, call: Call) -> Result<String, Refusal> {
        if self.messaging_product.as_deref() != Some("whatsapp") {
            return Err(Refusal::parameter("messaging_product must be whatsapp"));
        }
        if !matches!(self.recipient_type.as_deref(), None | Some("individual")) {
            return Err(Refusal::parameter("recipient_type must be individual"));
        }
        self.called_by(call)?;
        let digits = self.recipient()?;
        let echo = self.biz_opaque_callback_data.as_deref().unwrap_or_default();
        if echo.chars().count() > ECHO_CHARS_MAX {
            return Err(Refusal::parameter("biz_opaque_callback_data is too long"));
        }
        self.content()?;
        Ok(digits)
    }

    /// What only one of the calls takes.
    fn called_by(&self, call: Call) -> Result<(), Refusal> {
        let policy = self.product_policy.as_deref();
        match call {
            Call::Messages if policy.is_some() || self.message_activity_sharing.is_some() => {
                Err(Refusal::parameter("a member belongs to another call"))
            }
            Call::MarketingMessages if self.r#type.as_deref() != Some("template") => {
                let title = "(#131055) Method not allowed";
                Err(Refusal::new(
                    400,
                    131_055,
                    title,
                    "Only marketing templates.",
                ))
            }
            Call::MarketingMessages
                if !matches!(policy, None | Some("CLOUD_API_FALLBACK" | "STRICT")) =>
            {
                Err(Refusal::value("product_policy is not one of its values"))
            }
            _ => Ok(()),
        }
    }

    /// The template that it calls for.
    pub(super) fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    fn recipient(&self) -> Result<String, Refusal> {
        let Some(to) = self.to.as_deref().filter(|to| !to.is_empty()) else {
            let title = "The parameter to is required.";
            return Err(Refusal::new(400, 100, title, ""));
        };
        let good = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')');
        let digits = digits(to);
        if !to.chars().all(good) || !DIGITS.contains(&digits.len()) {
            return Err(Refusal::parameter("to is not a phone number"));
        }
        Ok(digits)
    }

    fn content(&self) -> Result<(), Refusal> {
        let Some(kind) = self.r#type.as_deref() else {
            return Err(Refusal::missing("type is missing"));
        };
        let other = match kind {
            "template" => return self.template.as_ref().map_or_else(absent, Template::check),
            "text" => return self.text.as_ref().map_or_else(absent, Text::check),
            "image" => &self.image,
            "video" => &self.video,
            "audio" => &self.audio,
            "document" => &self.document,
            "sticker" => &self.sticker,
            "location" => &self.location,
            "contacts" => &self.contacts,
            "interactive" => &self.interactive,
            "reaction" => &self.reaction,
            _ => return Err(Refusal::value("type is not a type of message")),
        };
        other
            .as_deref()
            .map_or_else(absent, |value| content::check(kind, value))
    }
}

fn absent() -> Result<(), Refusal> {
    Err(Refusal::missing("the member named by type is missing"))
}

impl Text {
    fn check(&self) -> Result<(), Refusal> {
        match self.body.as_deref() {
            None | Some("") => Err(Refusal::missing("text.body is missing")),
            Some(body) if body.chars().count() > TEXT_CHARS_MAX => {
                Err(Refusal::parameter("text.body is too long"))
            }
            Some(_) => Ok(()),
        }
    }
}
