//! Definitions as the Cloud API's list of templates writes them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::Template;
use super::super::schema;
use super::super::shape::{
    BUTTONS_MAX, ButtonKind, ButtonPart, CARDS_MAX, Face, HeaderKind, Link, Offer, Shape,
};
use super::super::text::Text;
use super::super::variable::Variable;
use crate::batch::content::MediaKind;
use crate::batch::marks::{Brackets, Piece, has_mark, pieces};

/// The one state in which a template can be sent.
pub(super) const SENDABLE: [&str; 1] = ["APPROVED"];

/// What WhatsApp writes into the body of a one-time code, where the definition does not say it.
const CODE_BODY: &str = "{{1}} is your verification code.";

/// A definition being read.
struct Reading {
    /// Whether placeholders have names, where the definition tells.
    named: Option<bool>,
    authentication: bool,
    /// The first thing that cannot be filled; empty if there is none.
    unsupported: String,
}

/// The template that a definition describes; `sendable` are the states in which it can be sent.
pub(super) fn template(definition: &Json, sendable: &[&str]) -> Result<Template, String> {
    let text = |key: &str| definition[key].as_str().filter(|text| !text.is_empty());
    let name = text("name").ok_or("it has no `name`")?.to_owned();
    let language = text("language").ok_or("it has no `language`")?.to_owned();
    // A definition written by hand may leave the status out; nothing says that it is approved.
    let status = text("status").ok_or("it has no `status`")?.to_uppercase();
    let components = definition["components"]
        .as_array()
        .ok_or("it has no `components`")?;
    let category = text("category").unwrap_or_default();
    let mut reading = Reading {
        named: text("parameter_format").map(|format| format.eq_ignore_ascii_case("NAMED")),
        authentication: category.eq_ignore_ascii_case("AUTHENTICATION"),
        unsupported: String::new(),
    };
    let shape = reading.shape(components)?;
    if is_order_status(definition) {
        reading.refuse("an order status".into());
    }
    let (schema, validator) = schema::compile(&name, &language, &shape)?;
    Ok(Template {
        id: match &definition["id"] {
            Json::String(id) => id.clone(),
            Json::Number(id) => id.to_string(),
            _ => String::new(),
        },
        variables: variables(&definition["variables"], &shape)?,
        sendable: sendable.contains(&status.as_str()),
        marketing: category.eq_ignore_ascii_case("MARKETING"),
        name,
        language,
        status,
        shape,
        unsupported: reading.unsupported,
        schema,
        validator,
    })
}

/// Whether each message says how an order stands, in a component that no row can fill.
fn is_order_status(definition: &Json) -> bool {
    let kind = definition["sub_category"].as_str();
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("ORDER_STATUS"))
}

/// The names that a provider has for the places of a template.
fn variables(given: &Json, shape: &Shape) -> Result<BTreeMap<String, Variable>, String> {
    let mut variables = BTreeMap::new();
    for (name, place) in given.as_object().into_iter().flatten() {
        let place = place
            .as_str()
            .and_then(|place| Variable::read(place, shape));
        let place = place.ok_or_else(|| {
            format!("its `variables` give `{name}` a place that the template does not have")
        })?;
        variables.insert(name.clone(), place);
    }
    Ok(variables)
}

impl Reading {
    fn shape(&mut self, components: &[Json]) -> Result<Shape, String> {
        let mut shape = Shape::default();
        for component in components {
            let kind = upper(component, "type");
            match kind.as_str() {
                // These are read together; the last one needs nothing from a row.
                "HEADER" | "BODY" | "BUTTONS" | "CALL_PERMISSION_REQUEST" => {}
                "FOOTER" => shape.footer = word(component, "text"),
                "CAROUSEL" => shape.cards = self.cards(component)?,
                "LIMITED_TIME_OFFER" => {
                    let ends = &component["limited_time_offer"]["has_expiration"];
                    shape.offer = match ends.as_bool() {
                        Some(true) => Offer::Ends,
                        _ => Offer::Open,
                    };
                }
                _ => self.refuse(format!("a component of the kind {kind}")),
            }
        }
        let buttons = components.iter().filter(|it| is_kind(it, "BUTTONS"));
        let mut buttons = buttons.flat_map(|it| it["buttons"].as_array().into_iter().flatten());
        // A one-time code has such a button even where nothing else tells what it is.
        self.authentication |= buttons.any(|button| is_kind(button, "OTP"));
        shape.code = self.authentication;
        shape.face = self.face(components)?;
        if shape.code && shape.face.body.names.is_empty() {
            self.refuse("a one-time code that its body does not show".into());
        }
        if shape.face.body.segments.is_empty() {
            self.refuse("a body without text".into());
        }
        Ok(shape)
    }

    /// Only the first thing is told: one is enough to keep a template from being used.
    fn refuse(&mut self, what: String) {
        if self.unsupported.is_empty() {
            self.unsupported = what;
        }
    }

    fn face(&mut self, components: &[Json]) -> Result<Face, String> {
        let mut face = Face::default();
        for component in components {
            match upper(component, "type").as_str() {
                "HEADER" => face.header = self.header(component)?,
                "BODY" => {
                    let text = component["text"].as_str();
                    let text = text.or(self.authentication.then_some(CODE_BODY));
                    face.body = Text::cut(text.unwrap_or_default(), self.named)?
                        .with_examples(&component["example"], "body_text");
                }
                "BUTTONS" => {
                    let buttons = component["buttons"].as_array().into_iter().flatten();
                    face.buttons = buttons.map(|button| self.button(button)).collect();
                }
                _ => {}
            }
        }
        if face.buttons.len() > BUTTONS_MAX {
            self.refuse(format!("more than {BUTTONS_MAX} buttons"));
        }
        Ok(face)
    }

    fn header(&mut self, component: &Json) -> Result<HeaderKind, String> {
        let format = upper(component, "format");
        Ok(match format.as_str() {
            "TEXT" => {
                let text = Text::cut(&word(component, "text"), self.named)?
                    .with_examples(&component["example"], "header_text");
                if text.names.len() > 1 {
                    self.refuse("several placeholders in its header".into());
                }
                HeaderKind::Text(text)
            }
            "IMAGE" => HeaderKind::Media(MediaKind::Image),
            "VIDEO" => HeaderKind::Media(MediaKind::Video),
            "DOCUMENT" => HeaderKind::Media(MediaKind::Document),
            "GIF" => HeaderKind::Media(MediaKind::Gif),
            "LOCATION" => HeaderKind::Location,
            "PRODUCT" => HeaderKind::Product,
            _ => {
                self.refuse(format!("a header of the kind {format}"));
                HeaderKind::None
            }
        })
    }

    fn cards(&mut self, component: &Json) -> Result<Vec<Face>, String> {
        let cards = component["cards"].as_array().map_or(&[][..], Vec::as_slice);
        match cards.len() {
            0 => self.refuse("a carousel without cards".into()),
            1..=CARDS_MAX => {}
            _ => self.refuse(format!("more than {CARDS_MAX} cards")),
        }
        let components = |card: &Json| card["components"].as_array().cloned().unwrap_or_default();
        let cards = cards.iter().take(CARDS_MAX);
        cards.map(|card| self.face(&components(card))).collect()
    }

    fn button(&mut self, button: &Json) -> ButtonPart {
        let kind = upper(button, "type");
        let kind = match kind.as_str() {
            // The button of a one-time code reads back as a link in most accounts.
            "OTP" | "URL" | "COPY_CODE" if self.authentication => ButtonKind::OneTimeCode,
            "URL" => self.link(button),
            "QUICK_REPLY" => ButtonKind::QuickReply,
            "COPY_CODE" => ButtonKind::CopyCode(first(&button["example"])),
            "FLOW" => ButtonKind::Flow,
            "CATALOG" => ButtonKind::Catalog,
            "MPM" => ButtonKind::MultiProduct,
            "ORDER_DETAILS" => ButtonKind::OrderDetails,
            "VOICE_CALL" => ButtonKind::VoiceCall,
            "PHONE_NUMBER" => ButtonKind::Fixed(word(button, "phone_number")),
            "SPM" | "REQUEST_CONTACT_INFO" => ButtonKind::Fixed(String::new()),
            _ => {
                self.refuse(format!("a button of the kind {kind}"));
                ButtonKind::Fixed(String::new())
            }
        };
        ButtonPart {
            label: word(button, "text"),
            kind,
        }
    }

    fn link(&mut self, button: &Json) -> ButtonKind {
        let url = word(button, "url");
        let [Piece::Words(stem), Piece::Mark(name)] = pieces(&url, Brackets::Curly)[..] else {
            if has_mark(&url, Brackets::Curly) {
                self.refuse("a link with a placeholder that is not its end".into());
            }
            return ButtonKind::Fixed(url);
        };
        let example = first(&button["example"]);
        ButtonKind::Url(Link {
            example: example.strip_prefix(stem).unwrap_or(&example).to_owned(),
            name: name.parse::<u32>().is_err().then(|| name.to_owned()),
            stem: stem.to_owned(),
        })
    }
}

/// A text, or the first one of an array.
fn first(example: &Json) -> String {
    let text = example.as_str().or(example[0].as_str());
    text.unwrap_or_default().to_owned()
}

fn word(object: &Json, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

fn upper(object: &Json, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_uppercase()
}

fn is_kind(object: &Json, kind: &str) -> bool {
    object["type"]
        .as_str()
        .is_some_and(|it| it.eq_ignore_ascii_case(kind))
}
