//! What a row says, once its template's schema has passed it, becomes what providers are given.
//! Rules that no schema can state are checked on the way.

use serde_json::Value as Json;

use super::parts::INDICES;
use super::shape::{ButtonKind, CARD_BODY_CHARS_MAX, Face, HEADER_CHARS_MAX, HeaderKind};
use super::text::Text;
use super::{PRODUCTS_MAX, Template};
use crate::batch::address::{self, Place};
use crate::batch::content::{
    Button, ButtonValue, Card, Header, Location, Media, MediaFile, MediaKind, MediaSource,
    ProductSection, Typed,
};
use crate::batch::fault::{Code, Misfit, Trouble};
use crate::batch::media;
use crate::batch::terms::Needs;
use crate::batch::tree::{NOWHERE, Value};
use crate::batch::values::{Items, Said, View};
use crate::batch::verbatim;
use crate::batch::{Filling, Moment, Parameter};

/// A filling in the making, with what is found on the way.
#[derive(Debug, Default)]
pub(super) struct Maker {
    misfits: Vec<Misfit>,
    needs: Needs,
}

/// What a row says to one face of a template.
#[derive(Clone, Copy, Default)]
struct Spoken<'a> {
    header: Option<View<'a>>,
    placeholders: Option<View<'a>>,
    buttons: Option<View<'a>>,
}

impl Maker {
    /// The same for a provider that needs this of templates.
    pub(super) fn for_provider(needs: Needs) -> Self {
        let misfits = Vec::new();
        Self { misfits, needs }
    }

    /// The filling, or what is wrong with it.
    pub(super) fn filling(
        mut self,
        template: &Template,
        said: &Said<'_>,
    ) -> Result<Filling, Vec<Misfit>> {
        let shape = &template.shape;
        let [placeholders, header, buttons, cards, offer] =
            std::array::from_fn(|at| said.parts[at].as_ref().map(View::of));
        let spoken = Spoken {
            header,
            placeholders,
            buttons,
        };
        let own = self.face(&shape.face, spoken, shape.body_chars_max());
        let faces = shape.cards.iter().enumerate();
        let cards = faces
            .map(|(at, face)| {
                let card = cards.and_then(|cards| cards.item(at));
                let member = |key| card.and_then(|card| card.member(key));
                let spoken = Spoken {
                    header: member("header"),
                    placeholders: member("placeholders"),
                    buttons: member("buttons"),
                };
                self.face(face, spoken, CARD_BODY_CHARS_MAX)
            })
            .collect();
        let ends = offer.and_then(|offer| offer.member("expiresAt"));
        let filling = Filling {
            name: template.name.clone(),
            language: template.language.clone(),
            header: own.header,
            body: own.body,
            buttons: own.buttons,
            cards,
            marketing: template.marketing,
            offer_expires_at: ends.and_then(|view| self.moment(view)),
            handle: self.needs.handle.then(|| Box::new(template.handle())),
        };
        if self.misfits.is_empty() {
            Ok(filling)
        } else {
            Err(self.misfits)
        }
    }

    fn misfit(&mut self, at: usize, trouble: Trouble) {
        self.misfits.push(Misfit { at, trouble });
    }

    fn face(&mut self, face: &Face, spoken: Spoken<'_>, body_chars_max: usize) -> Card {
        let body = self.body(&face.body, spoken.placeholders, body_chars_max);
        let header = spoken
            .header
            .and_then(|view| self.header(&face.header, view));
        let buttons = self.buttons(face, spoken.buttons, body.first());
        Card {
            header,
            body,
            buttons,
        }
    }

    fn body(&mut self, text: &Text, said: Option<View<'_>>, chars_max: usize) -> Vec<Parameter> {
        let at = said.map_or(NOWHERE, View::at);
        let mut body = Vec::with_capacity(text.names.len());
        for (place, name) in text.names.iter().enumerate() {
            let value = said.and_then(|said| said.member(name).or_else(|| said.item(place)));
            if let Some(value) = value {
                body.push(self.parameter(value, text.named.then(|| name.clone())));
            } else {
                // Left out, the value behind it would be read in its place.
                let expected = format!("a value for the placeholder `{name}`");
                let trouble = Trouble::new(Code::ParameterMissing, expected, "none");
                self.misfit(at, trouble);
            }
        }
        let chars = text.chars(body.iter().map(|value| value.text.chars().count()));
        if chars > chars_max {
            self.misfit(at, too_long(chars_max, chars));
        }
        body
    }

    /// A value: a text, an amount of money or a date.
    fn parameter(&mut self, value: View<'_>, name: Option<String>) -> Parameter {
        let typed = value.members().map(|_| self.typed(value));
        let text = match typed {
            Some(_) => value.member("fallback").and_then(View::text),
            None => value.text(),
        };
        Parameter {
            name,
            text: text.unwrap_or_default().to_owned(),
            typed,
        }
    }

    fn typed(&mut self, value: View<'_>) -> Typed {
        let (Some(code), Some(amount)) = (value.member("currency"), value.member("amount1000"))
        else {
            if let Some(moment) = value.member("dateTime") {
                self.moment(moment);
            }
            return Typed::DateTime;
        };
        let digits = digits(amount).unwrap_or_default();
        let amount_1000 = digits.parse().unwrap_or_else(|_| {
            let expected = "a whole number of thousandths";
            let found = "a number of another form";
            let trouble = Trouble::new(Code::ParameterCurrency, expected, found);
            self.misfit(
                amount.at(),
                trouble.hint("write its digits without a point"),
            );
            0
        });
        Typed::Currency {
            code: code.text().unwrap_or_default().to_owned(),
            amount_1000,
        }
    }

    /// A moment whose form is right; its date may still be none.
    fn moment(&mut self, view: View<'_>) -> Option<Moment> {
        let moment = view.text().and_then(Moment::parse);
        if moment.is_none() {
            let expected = "a date and time with its offset, such as 2026-11-21T09:15:00Z";
            let trouble = Trouble::new(Code::ParameterDate, expected, "a day or hour there is not");
            self.misfit(view.at(), trouble);
        }
        moment
    }

    fn header(&mut self, kind: &HeaderKind, view: View<'_>) -> Option<Header> {
        let text = |key: &str| view.member(key).and_then(View::text).map(str::to_owned);
        match kind {
            HeaderKind::None => None,
            HeaderKind::Text(words) => self.header_text(words, view).map(Header::Text),
            HeaderKind::Media(kind) => Some(Header::Media(*kind, self.media(*kind, view)?)),
            HeaderKind::Location => Some(Header::Location(Location {
                latitude: self.degrees(view.member("latitude")?, 90.0)?,
                longitude: self.degrees(view.member("longitude")?, 180.0)?,
                name: text("name"),
                address: text("address"),
            })),
            HeaderKind::Product => Some(Header::Product {
                retailer_id: text("productId")?,
                catalog_id: text("catalogId"),
            }),
        }
    }

    fn header_text(&mut self, words: &Text, view: View<'_>) -> Option<Parameter> {
        let value = match view.member("placeholders") {
            Some(list) => {
                let first = list.members().and_then(|members| members.iter().next());
                list.item(0).or(first.map(|(.., value)| value))
            }
            None => view.member("value").or_else(|| view.member("text")),
        }?;
        let name = words.names.first().filter(|_| words.named).cloned();
        let mut parameter = self.parameter(value, name);
        // Headers take texts only: of an amount or a date its text is sent.
        parameter.typed = None;
        let chars = words.chars([parameter.text.chars().count()]);
        if chars > HEADER_CHARS_MAX {
            self.misfit(value.at(), too_long(HEADER_CHARS_MAX, chars));
        }
        Some(parameter)
    }

    fn media(&mut self, kind: MediaKind, view: View<'_>) -> Option<Media> {
        let text = |key: &str| view.member(key).and_then(View::text).map(str::to_owned);
        let at = |key: &str| view.member(key).map_or(view.at(), View::at);
        let source = if let Some(file) = text("file") {
            let named = media::named(&file).map(MediaFile::named);
            let file = named.map_err(|trouble| self.misfit(at("file"), trouble));
            MediaSource::File(file.ok()?)
        } else if let Some(url) = text("url") {
            if let Err(trouble) = address::file(&url, kind, Place::Template) {
                self.misfit(at("url"), trouble);
            }
            MediaSource::Link(url)
        } else {
            MediaSource::Id(text("id")?)
        };
        Some(Media {
            source,
            filename: text("filename"),
        })
    }

    fn degrees(&mut self, view: View<'_>, most: f64) -> Option<f64> {
        let degrees: Option<f64> = digits(view).and_then(|text| text.parse().ok());
        let degrees = degrees.filter(|it| (-most..=most).contains(it));
        if degrees.is_none() {
            let expected = format!("degrees from -{most} to {most}");
            let trouble = Trouble::new(Code::ParameterCoordinates, expected, "another number");
            self.misfit(
                view.at(),
                trouble.hint("look whether latitude and longitude are swapped"),
            );
        }
        degrees
    }

    fn buttons(
        &mut self,
        face: &Face,
        said: Option<View<'_>>,
        code: Option<&Parameter>,
    ) -> Vec<Button> {
        let mut buttons = Vec::new();
        for (index, button) in face.buttons.iter().enumerate() {
            let view = INDICES
                .get(index)
                .and_then(|key| said.and_then(|said| said.member(key)));
            let value = match (&button.kind, code) {
                (ButtonKind::OneTimeCode, Some(code)) => Some(self.one_time_code(view, code)),
                (ButtonKind::QuickReply, _) if self.needs.quick_replies => self
                    .button(&button.kind, view)
                    .or_else(|| Some(ButtonValue::QuickReply(button.label.clone()))),
                (kind, _) => self.button(kind, view),
            };
            buttons.extend(value.map(|value| Button {
                index: index as u8,
                value,
            }));
        }
        buttons
    }

    /// The button has the code of the body; a second one may only say the same.
    fn one_time_code(&mut self, view: Option<View<'_>>, code: &Parameter) -> ButtonValue {
        if let Some(view) = view {
            let own = view.member("value").unwrap_or(view);
            if own.text() != Some(&code.text) {
                let trouble = Trouble::new(
                    Code::TemplateCodesDiffer,
                    "the code of the body, or no code at all",
                    "another code",
                );
                let hint = "the button is given the body's code by itself: remove this one";
                self.misfit(own.at(), trouble.hint(hint));
            }
        }
        ButtonValue::Url(Parameter::text(code.text.clone()))
    }

    /// What a row says to a button; those that open something stand there though nothing is said.
    fn button(&mut self, kind: &ButtonKind, view: Option<View<'_>>) -> Option<ButtonValue> {
        let member = |key: &str| view.and_then(|view| view.member(key));
        let text = |key: &str| member(key).and_then(View::text).map(str::to_owned);
        let value = || {
            let value = view?.text().map(str::to_owned);
            value.or_else(|| text("value"))
        };
        match kind {
            ButtonKind::Fixed(_) | ButtonKind::OneTimeCode => None,
            ButtonKind::QuickReply => value().map(ButtonValue::QuickReply),
            ButtonKind::Url(link) => value().map(|text| {
                ButtonValue::Url(Parameter {
                    name: link.name.clone(),
                    ..Parameter::text(text)
                })
            }),
            ButtonKind::CopyCode(_) => value().map(ButtonValue::CopyCode),
            ButtonKind::Flow => Some(ButtonValue::Flow {
                token: text("token"),
                data: member("data").and_then(|data| self.verbatim(data)),
            }),
            ButtonKind::Catalog => Some(ButtonValue::Catalog {
                thumbnail: text("thumbnail"),
            }),
            ButtonKind::MultiProduct => Some(ButtonValue::MultiProduct {
                thumbnail: text("thumbnail"),
                sections: self.sections(member("sections")?),
            }),
            ButtonKind::OrderDetails => {
                let action = self.verbatim(member("action")?)?;
                Some(ButtonValue::OrderDetails(action))
            }
            ButtonKind::VoiceCall => Some(ButtonValue::VoiceCall {
                minutes: member("minutes").and_then(|view| digits(view)?.parse().ok()),
                payload: text("payload"),
            }),
        }
    }

    /// What is handed on as it is.
    fn verbatim(&mut self, view: View<'_>) -> Option<Json> {
        let node = view.node()?;
        self.misfits.extend(verbatim::changed(node));
        Some(verbatim::json(node))
    }

    fn sections(&mut self, view: View<'_>) -> Vec<ProductSection> {
        let sections: Vec<ProductSection> = each(view)
            .map(|section| {
                let title = section.member("title").and_then(View::text);
                ProductSection {
                    title: title.unwrap_or_default().to_owned(),
                    products: section
                        .member("products")
                        .into_iter()
                        .flat_map(each)
                        .filter_map(|product| product.text().map(str::to_owned))
                        .collect(),
                }
            })
            .collect();
        let count: usize = sections.iter().map(|section| section.products.len()).sum();
        if count > PRODUCTS_MAX {
            let expected = format!("at most {PRODUCTS_MAX} products in all sections together");
            let trouble = Trouble::new(Code::ParameterProducts, expected, format!("{count}"));
            self.misfit(view.at(), trouble);
        }
        sections
    }
}

fn too_long(chars_max: usize, chars: usize) -> Trouble {
    let expected = format!("at most {chars_max} characters with all values in place");
    Trouble::new(
        Code::ParameterTooLong,
        expected,
        format!("{chars} characters"),
    )
    .hint("shorten the longest value")
}

fn each(view: View<'_>) -> impl Iterator<Item = View<'_>> {
    view.items().into_iter().flat_map(Items::iter)
}

/// A number as it is written, be it in quotation marks or not.
fn digits(view: View<'_>) -> Option<&str> {
    match &view.node()?.value {
        Value::Number(text) | Value::Text(text) => Some(text),
        _ => None,
    }
}
