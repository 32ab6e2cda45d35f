//! A message in Infobip's words, with all that Infobip does not take of it. Files are checked and
//! requests are made by the same words, so that what passed the check can be sent.

use serde_json::Value as Json;

use crate::batch::content::{Media, MediaKind};
use crate::batch::fault::Code;
use crate::batch::terms::{Asked, Objection, Part, Weight};
use crate::batch::{Content, Message};

use super::{session, template};

/// A content as a call of the API wants it.
#[derive(Debug)]
pub(super) struct Said {
    /// The call: what follows `/whatsapp/1/message/`.
    pub(super) call: &'static str,
    /// Its `content`.
    pub(super) content: Json,
    /// What is not taken, or not as it was meant.
    pub(super) objections: Vec<Objection>,
}

impl Said {
    /// Puts `message` into Infobip's words.
    pub(super) fn of(message: &Message) -> Self {
        let mut remarks = Remarks::default();
        let (call, content) = match &message.content {
            Content::Template(filling) => {
                (template::CALL, template::content(filling, &mut remarks))
            }
            other => session::content(other, &message.options, &mut remarks),
        };
        options(message, &mut remarks);
        Self {
            call,
            content,
            objections: remarks.0,
        }
    }

    /// Why it cannot be sent; `None` if it can.
    pub(super) fn fault(&self) -> Option<&Objection> {
        let is_fault = |it: &&Objection| it.weight == Weight::Fault;
        self.objections.iter().find(is_fault)
    }
}

/// What is asked for besides, where this kind of message does not have it.
fn options(message: &Message, remarks: &mut Remarks) {
    /// The longest id of an entity or an application, in characters.
    const ID_CHARS_MAX: usize = 255;
    let asked = &message.options;
    let is_template = matches!(message.content, Content::Template(_));
    if asked.sms_failover.is_some() && !is_template {
        let expected = "a template: only those are followed by an SMS";
        let part = Part::Asked(Asked::SmsFailover);
        remarks.fault(part, Code::BatchUnsupportedKey, expected, "`smsFailover`");
    }
    if asked.reply_to.is_some() && is_template {
        let expected = "a message without a template: templates show no quote";
        let part = Part::Asked(Asked::ReplyTo);
        remarks.warn(part, Code::BatchUnsupportedKey, expected, "`replyTo`");
    }
    for (key, id) in [
        (Asked::EntityId, &asked.entity_id),
        (Asked::ApplicationId, &asked.application_id),
    ] {
        remarks.length(Part::Asked(key), id.as_deref(), ID_CHARS_MAX);
    }
}

/// What is remarked on the way.
#[derive(Debug, Default)]
pub(super) struct Remarks(Vec<Objection>);

impl Remarks {
    /// Something for which the row is refused.
    pub(super) fn fault(&mut self, part: Part, code: Code, expected: &str, found: &str) {
        self.0.push(Objection::fault(part, code, expected, found));
    }

    /// The same with a word on what to do.
    pub(super) fn fault_with(&mut self, (part, code): (Part, Code), said: [&str; 3]) {
        let [expected, found, hint] = said;
        let fault = Objection::fault(part, code, expected, found);
        self.0.push(fault.hint(hint));
    }

    /// Something that the tenant is told of.
    pub(super) fn warn(&mut self, part: Part, code: Code, expected: &str, found: &str) {
        let fault = Objection::fault(part, code, expected, found);
        self.0.push(fault.warning());
    }

    /// A text that must not be longer than this.
    pub(super) fn length(&mut self, part: Part, text: Option<&str>, chars_max: usize) {
        // Counting is slow, and there are never more characters than bytes.
        let Some(text) = text.filter(|text| text.len() > chars_max) else {
            return;
        };
        let chars = text.chars().count();
        if chars > chars_max {
            let code = match part {
                Part::Content => Code::SessionLength,
                Part::Asked(_) => Code::BatchBadValue,
                _ => Code::ParameterTooLong,
            };
            let expected = format!("at most {chars_max} characters");
            self.fault(part, code, &expected, &format!("{chars} characters"));
        }
    }

    /// The address of a file: Infobip keeps none that could be called by an id.
    pub(super) fn link<'m>(&mut self, part: Part, media: &'m Media) -> &'m str {
        if let Some(link) = media.source.link() {
            return link;
        }
        let said = [
            "the address of the file",
            "an id",
            "Infobip fetches each file from an address and knows no ids of files",
        ];
        // A file of the tenant's own is told as such.
        if media.source.id().is_some() {
            self.fault_with((part, Code::MediaSource), said);
        }
        ""
    }
}

/// The kinds of files by the names that the API gives them in headers.
pub(super) const fn media_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "IMAGE",
        MediaKind::Video => "VIDEO",
        MediaKind::Document => "DOCUMENT",
        MediaKind::Gif => "GIF",
        MediaKind::Audio => "AUDIO",
        MediaKind::Sticker => "STICKER",
    }
}
