//! What Botsquad takes of what files say: templates alone, and of those what can be written in a
//! broadcast.

use super::Settings;
use crate::batch::content::{ButtonValue, Header, MediaKind};
use crate::batch::fault::Code;
use crate::batch::terms::{Asked, Objection, Part, Terms};
use crate::batch::{Content, Filling, Message, Parameter};
use crate::provider::Kind;

/// What opens a reference.
const BRACES: &str = "{{";

/// What this provider takes of what files say.
#[derive(Clone, Copy, Debug)]
pub struct Takes {
    allow_braces: bool,
}

impl Takes {
    /// What it takes with these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            allow_braces: settings.allow_braces,
        }
    }
}

impl Terms for Takes {
    fn provider(&self) -> &'static str {
        Kind::Botsquad.as_str()
    }

    fn honours(&self, _asked: Asked) -> bool {
        false
    }

    fn objections(&self, message: &Message) -> Vec<Objection> {
        let Content::Template(filling) = &message.content else {
            let expected = "a template, for botsquad sends nothing else";
            let what = "a message without one";
            let code = Code::BatchUnsupportedKey;
            return vec![Objection::fault(Part::Content, code, expected, what)];
        };
        let mut found = Vec::new();
        found.extend(filling.header.as_ref().and_then(heading));
        buttons(filling, &mut found);
        if !filling.cards.is_empty() {
            found.push(component(Part::Cards, "a carousel"));
        }
        if filling.offer_expires_at.is_some() {
            found.push(component(Part::Offer, "an offer that ends"));
        }
        found.extend(typed(filling));
        if !self.allow_braces {
            found.extend(braces(filling));
        }
        found
    }
}

/// The template has something that a broadcast cannot hold.
fn component(part: Part, what: &str) -> Objection {
    let expected = "a template of which botsquad can fill everything";
    let found = format!("one with {what}");
    Objection::fault(part, Code::TemplateUnsupported, expected, found)
        .hint("use a template without it")
}

fn heading(header: &Header) -> Option<Objection> {
    let what = match header {
        Header::Text(_) => return None,
        Header::Media(MediaKind::Image | MediaKind::Video | MediaKind::Document, media) => {
            return media.source.id().map(|_| {
                let expected = "the address of the file";
                let found = "an id, which botsquad does not take";
                let code = Code::BatchUnsupportedKey;
                Objection::fault(Part::Header, code, expected, found)
                    .hint("put the file where everybody can fetch it")
            });
        }
        Header::Media(..) => "an animation in its header",
        Header::Location(_) => "a place in its header",
        Header::Product { .. } => "a product in its header",
    };
    Some(component(Part::Header, what))
}

fn buttons(filling: &Filling, found: &mut Vec<Objection>) {
    let other = filling
        .buttons
        .iter()
        .find_map(|button| match &button.value {
            ButtonValue::QuickReply(_) | ButtonValue::Url(_) => None,
            ButtonValue::CopyCode(_) => Some("a button that copies a code"),
            ButtonValue::Flow { .. } => Some("a button that opens a flow"),
            ButtonValue::Catalog { .. } => Some("a button that opens a catalogue"),
            ButtonValue::MultiProduct { .. } => Some("a button that lists products"),
            ButtonValue::OrderDetails(_) => Some("a button that pays an order"),
            ButtonValue::VoiceCall { .. } => Some("a button that starts a call"),
        });
    found.extend(other.map(|what| component(Part::Buttons, what)));
}

/// Amounts and dates go as the text that stands in for them.
fn typed(filling: &Filling) -> Option<Objection> {
    let is_typed = filling.body.iter().any(|value| value.typed.is_some());
    is_typed.then(|| {
        let expected = "texts: botsquad does not write amounts and dates as the recipient does";
        let found = "an amount or a date";
        let code = Code::BatchUnsupportedKey;
        Objection::fault(Part::Placeholders, code, expected, found)
            .hint("its text is sent")
            .warning()
    })
}

/// Whether the service would take a value with braces for a reference is not known.
fn braces(filling: &Filling) -> Vec<Objection> {
    let text = |value: &Parameter| value.text.contains(BRACES);
    let header = match &filling.header {
        Some(Header::Text(value)) => text(value),
        Some(Header::Media(_, media)) => {
            let name = media.filename.as_deref().unwrap_or_default();
            let link = media.source.link().unwrap_or_default();
            name.contains(BRACES) || link.contains(BRACES)
        }
        _ => false,
    };
    let button = filling.buttons.iter().any(|button| match &button.value {
        ButtonValue::Url(end) => text(end),
        ButtonValue::QuickReply(payload) => payload.contains(BRACES),
        _ => false,
    });
    let parts = [
        (Part::Header, header),
        (Part::Placeholders, filling.body.iter().any(text)),
        (Part::Buttons, button),
    ];
    let with_braces = parts.into_iter().filter(|(_, has)| *has);
    let objection = |(part, _)| {
        let expected = "a value without `{{`, which botsquad may fill itself";
        Objection::fault(part, Code::ParameterMarks, expected, "one with it")
    };
    with_braces.map(objection).collect()
}
