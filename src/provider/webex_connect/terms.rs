//! What Webex Connect takes of what files say, and its own limits.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Settings;
use super::parameters::{self, RESERVED};
use super::wire::{endings, mime_type, wants_links};
use crate::batch::content::{ButtonValue, Header, Location, Media, MediaKind};
use crate::batch::fault::Code;
use crate::batch::terms::{Asked, Needs, Objection, Part, Terms};
use crate::batch::{Content, Filling, Message, UrlOptions};
use crate::provider::Kind;

/// The longest one-time code, in characters.
const CODE_CHARS_MAX: usize = 15;
/// The most quick replies of a template.
const QUICK_REPLIES_MAX: usize = 3;
/// The longest text above a list, and the longest id of what is tapped, in characters.
const BODY_CHARS_MAX: usize = 1024;
const ID_CHARS_MAX: usize = 200;

/// What this provider takes of what files say.
#[derive(Clone, Copy, Debug)]
pub struct Takes;

impl Takes {
    /// What it takes; the settings change nothing of it.
    pub fn new(_settings: &Settings) -> Self {
        Self
    }
}

impl Terms for Takes {
    fn provider(&self) -> &'static str {
        Kind::WebexConnect.as_str()
    }

    fn honours(&self, asked: Asked) -> bool {
        matches!(asked, Asked::IdentityHash | Asked::UrlOptions)
    }

    fn needs(&self) -> Needs {
        Needs {
            handle: true,
            quick_replies: true,
        }
    }

    fn objections(&self, message: &Message) -> Vec<Objection> {
        let mut found = Vec::new();
        match &message.content {
            Content::Template(filling) => template(filling, &mut found),
            Content::Text { .. } | Content::Contacts(_) => {}
            Content::Media {
                kind, media, voice, ..
            } => file(*kind, media, *voice, &mut found),
            Content::Location(place) => found.extend(nameless(place)),
            Content::Interactive(interactive) => tapped(interactive, &mut found),
            Content::Reaction { .. } => found.push(not_sent("a reaction")),
        }
        if let Some(links) = &message.options.url_options {
            link_options(links, &mut found);
        }
        found
    }
}

fn is_number(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
}

fn template(filling: &Filling, found: &mut Vec<Objection>) {
    if filling
        .handle
        .as_ref()
        .is_none_or(|handle| !is_number(&handle.id))
    {
        let expected = "a template whose definition has the provider's `id`, a number";
        let was = "none, or another text";
        let objection = Objection::fault(Part::Template, Code::TemplateUnsupported, expected, was);
        let hint = "ask your operator to write the number from the portal's list into it";
        found.push(objection.hint(hint));
    }
    names(filling, found);
    if let Some(header) = &filling.header {
        found.extend(heading(header));
    }
    if parameters::one_time_code(filling).is_some_and(|code| !is_code(code)) {
        let expected = format!("a code of at most {CODE_CHARS_MAX} characters without blanks");
        let part = Part::Placeholders;
        found.push(Objection::fault(
            part,
            Code::ParameterOneTimeCode,
            expected,
            "another",
        ));
    }
    buttons(filling, found);
    if !filling.cards.is_empty() {
        found.push(component(Part::Cards, "a carousel"));
    }
    if filling.offer_expires_at.is_some() {
        found.push(component(Part::Offer, "an offer that ends"));
    }
}

/// Values go by names: each needs its own, and none that means something else.
fn names(filling: &Filling, found: &mut Vec<Objection>) {
    let variables = parameters::variables(filling);
    let mut seen = BTreeSet::new();
    let doubled = variables.iter().any(|(name, _)| !seen.insert(name));
    let reserved = variables
        .iter()
        .any(|(name, _)| RESERVED.contains(&name.as_str()));
    for (is_so, what) in [
        (doubled, "two variables with one name"),
        (
            reserved,
            "a variable with a name that the provider keeps for itself",
        ),
    ] {
        if is_so {
            let expected = "a template whose variables each have a name of their own";
            let objection =
                Objection::fault(Part::Template, Code::TemplateUnsupported, expected, what);
            let hint = "ask your operator to write the names from the portal into `variables`";
            found.push(objection.hint(hint));
        }
    }
}

fn is_code(code: &str) -> bool {
    code.chars().count() <= CODE_CHARS_MAX && !code.contains(char::is_whitespace)
}

fn heading(header: &Header) -> Option<Objection> {
    match header {
        Header::Text(_) => None,
        Header::Media(MediaKind::Image | MediaKind::Video | MediaKind::Document, media) => {
            match media.source.link() {
                None => media.source.id().map(|_| by_id(Part::Header)),
                Some(link) if !link.starts_with("https://") => {
                    let expected = "an https address, as the provider asks for since 2026";
                    let found = "an http address";
                    let fault = Objection::fault(Part::Header, Code::MediaUrl, expected, found);
                    Some(fault.warning())
                }
                Some(_) => None,
            }
        }
        Header::Media(..) => Some(component(Part::Header, "an animation in its header")),
        Header::Location(_) => Some(component(Part::Header, "a place in its header")),
        Header::Product { .. } => Some(component(Part::Header, "a product in its header")),
    }
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
    let mut count = 0;
    let mut is_bare = false;
    for (label, _) in parameters::quick_replies(filling) {
        count += 1;
        is_bare |= label.is_none();
    }
    if count > QUICK_REPLIES_MAX {
        let what = format!("{count} quick replies, of which {QUICK_REPLIES_MAX} are taken");
        found.push(component(Part::Buttons, &what));
    }
    if is_bare {
        let what = "a quick reply without its `text` in the definition";
        found.push(component(Part::Buttons, what));
    }
}

/// The template has something that the provider cannot be given.
fn component(part: Part, what: &str) -> Objection {
    let expected = "a template of which webex-connect can fill everything";
    let found = format!("one with {what}");
    Objection::fault(part, Code::TemplateUnsupported, expected, found)
        .hint("use a template without it")
}

fn by_id(part: Part) -> Objection {
    let expected = "the address of the file";
    let found = "an id, which webex-connect does not take";
    Objection::fault(part, Code::BatchUnsupportedKey, expected, found)
        .hint("put the file where everybody can fetch it")
}

fn file(kind: MediaKind, media: &Media, voice: Option<bool>, found: &mut Vec<Objection>) {
    match media.source.link() {
        None if media.source.id().is_some() => found.push(by_id(Part::Content)),
        Some(link) if mime_type(kind, link).is_none() => {
            let known: Vec<String> = endings(kind)
                .iter()
                .map(|(it, _)| format!(".{it}"))
                .collect();
            let expected = format!("an address that ends in one of {}", known.join(", "));
            let what = "one with another ending, or none";
            let objection = Objection::fault(Part::Content, Code::MediaKind, expected, what);
            found.push(objection.hint("the provider is told the file's type by its ending"));
        }
        // A file of the tenant's own is told as such.
        None | Some(_) => {}
    }
    if voice == Some(true) {
        let expected = "`voice` left out: webex-connect sends sounds as files";
        let part = Part::Content;
        let fault = Objection::fault(part, Code::BatchUnsupportedKey, expected, "`voice`");
        found.push(fault.warning());
    }
}

/// An address is shown beside a name only.
fn nameless(place: &Location) -> Option<Objection> {
    (place.address.is_some() && place.name.is_none()).then(|| {
        let expected = "`name` beside `address`, without which it is not shown";
        let part = Part::Content;
        Objection::fault(part, Code::BatchMissingKey, expected, "none").warning()
    })
}

fn tapped(interactive: &Json, found: &mut Vec<Objection>) {
    let kind = interactive["type"].as_str().unwrap_or_default();
    if !matches!(kind, "button" | "list") {
        found.push(not_sent(&format!("`{kind}`")));
        return;
    }
    let header = &interactive["header"];
    let in_header = header["type"].as_str().filter(|kind| *kind != "text");
    if in_header.is_some_and(|kind| header[kind]["link"].is_null()) {
        found.push(by_id(Part::Content));
    }
    let chars = |text: &Json| text.as_str().map_or(0, |text| text.chars().count());
    let body = chars(&interactive["body"]["text"]);
    if body > BODY_CHARS_MAX {
        found.push(too_long("`body` of at most", BODY_CHARS_MAX, body));
    }
    let action = &interactive["action"];
    let buttons = each(&action["buttons"]).map(|button| &button["reply"]);
    let rows = each(&action["sections"]).flat_map(|section| each(&section["rows"]));
    let longest = buttons.chain(rows).map(|it| chars(&it["id"])).max();
    if let Some(longest) = longest.filter(|longest| *longest > ID_CHARS_MAX) {
        found.push(too_long("each `id` of at most", ID_CHARS_MAX, longest));
    }
}

fn each(list: &Json) -> impl Iterator<Item = &Json> {
    list.as_array().into_iter().flatten()
}

fn too_long(what: &str, most: usize, chars: usize) -> Objection {
    let expected = format!("{what} {most} characters");
    let found = format!("{chars} characters");
    Objection::fault(Part::Content, Code::SessionLength, expected, found)
}

fn not_sent(what: &str) -> Objection {
    let expected = "a text, a file, a place, contact cards, buttons or a list";
    let found = format!("{what}, which webex-connect does not send");
    Objection::fault(Part::Content, Code::BatchUnsupportedKey, expected, found)
}

fn link_options(links: &UrlOptions, found: &mut Vec<Objection>) {
    let part = Part::Asked(Asked::UrlOptions);
    if wants_links(links) && links.custom_domain.is_none() {
        let expected = "`customDomain`, without which webex-connect makes no short links";
        found.push(Objection::fault(
            part,
            Code::BatchMissingKey,
            expected,
            "none",
        ));
    }
    for (is_asked, key) in [
        (links.tracking_url.is_some(), "`trackingUrl`"),
        (links.remove_protocol == Some(true), "`removeProtocol`"),
    ] {
        if is_asked {
            let expected = "keys that the provider webex-connect honours";
            found.push(Objection::fault(
                part,
                Code::BatchUnsupportedKey,
                expected,
                key,
            ));
        }
    }
}
