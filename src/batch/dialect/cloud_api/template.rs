//! The template of a message: its components become header, placeholders, buttons, cards and offer.

use std::borrow::Cow;

use super::parameters::{self, header, placeholders};
use crate::batch::Moment;
use crate::batch::dialect::guest::{Turned, at_place, given, made_at, meant};
use crate::batch::fault::{Code, Trouble};
use crate::batch::tree::{Entry, Node, Value};

/// The most cards of a carousel; the schema tells of more.
const CARDS_MAX: usize = 10;

/// The most buttons of a template: of more, the schema tells that their numbers are too high.
const BUTTONS_MAX: usize = 10;

/// The parts of a template that have values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Header,
    Body,
    Button,
    Carousel,
    Offer,
    /// It is known and cannot be honoured.
    TapTarget,
}

const PARTS: [(&str, Part); 6] = [
    ("header", Part::Header),
    ("body", Part::Body),
    ("button", Part::Button),
    ("carousel", Part::Carousel),
    ("limited_time_offer", Part::Offer),
    ("tap_target_configuration", Part::TapTarget),
];

/// Where a component stands: beside the template's own, or on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Message,
    Card,
}

/// What the components of a message or of a card say.
#[derive(Default)]
struct Face<'a> {
    header: Option<Node<'a>>,
    placeholders: Option<Node<'a>>,
    buttons: Option<Node<'a>>,
    cards: Option<Node<'a>>,
    offer: Option<Node<'a>>,
}

/// Turns the content of a message whose type is `template`.
pub(in crate::batch::dialect) fn turn<'a>(template: &Node<'a>, turned: &mut Turned<'a>) {
    turned.copy("templateName", template.get("name"));
    if let Some(language) = given(template, "language") {
        turned.copy("templateLanguage", language.get("code"));
    }
    let Some(components) = given(template, "components") else {
        return;
    };
    let face = face(components, Side::Message, turned);
    for (key, node) in [
        ("placeholders", face.placeholders),
        ("templateHeader", face.header),
        ("templateButtons", face.buttons),
        ("templateCards", face.cards),
        ("templateOffer", face.offer),
    ] {
        turned.copy(key, node.as_ref());
    }
}

fn face<'a>(components: &Node<'a>, side: Side, turned: &mut Turned<'a>) -> Face<'a> {
    let mut face = Face::default();
    let mut buttons: Vec<Entry<'a>> = Vec::new();
    for component in components.items() {
        let Some(part) = meant(component.get("type"), &PARTS) else {
            continue;
        };
        if side == Side::Card && !matches!(part, Part::Header | Part::Body | Part::Button) {
            let expected = "`header`, `body` or `button` on a card";
            let at = component.get("type").map_or(component.at, |kind| kind.at);
            turned.misfit(
                at,
                Trouble::new(Code::BatchBadValue, expected, "another part"),
            );
            continue;
        }
        let parameters = given(component, "parameters");
        let (slot, made) = match part {
            Part::Header => (
                &mut face.header,
                parameters.and_then(|parameters| header(parameters.items().first()?)),
            ),
            Part::Body => (&mut face.placeholders, parameters.and_then(placeholders)),
            Part::Carousel => (
                &mut face.cards,
                given(component, "cards").map(|list| cards(list, turned)),
            ),
            Part::Offer => (
                &mut face.offer,
                parameters.and_then(|parameters| offer(parameters.items().first()?)),
            ),
            Part::Button => {
                button(component, &mut buttons, turned);
                continue;
            }
            Part::TapTarget => {
                turned.misfit(component.at, no_tap_target());
                continue;
            }
        };
        if slot.is_some() {
            turned.misfit(component.at, once());
        } else {
            *slot = made;
        }
    }
    if !buttons.is_empty() {
        face.buttons = Some(at_place(components, Value::Object(buttons)));
    }
    face
}

fn once() -> Trouble {
    Trouble::new(Code::BatchBadValue, "each component once", "a second one")
        .hint("remove one of the two")
}

fn no_tap_target() -> Trouble {
    let expected = "components that can be honoured";
    Trouble::new(
        Code::BatchUnsupportedKey,
        expected,
        "`tap_target_configuration`",
    )
    .hint("it would change where a tap leads, so it is not ignored: remove it")
}

/// Adds a button under its index.
fn button<'a>(component: &Node<'a>, buttons: &mut Vec<Entry<'a>>, turned: &mut Turned<'a>) {
    let Some(index) = given(component, "index") else {
        return;
    };
    let digits = match &index.value {
        Value::Number(text) | Value::Text(text) => text.clone(),
        _ => return,
    };
    let Some(made) = parameters::button(component) else {
        return;
    };
    if buttons.iter().any(|other| other.key == digits) {
        let trouble = Trouble::new(Code::BatchBadValue, "each button once", "a second one");
        turned.misfit(index.at, trouble.hint("buttons are counted from 0"));
        return;
    }
    if buttons.len() >= BUTTONS_MAX {
        return;
    }
    buttons.push(Entry {
        key: digits,
        key_at: index.at,
        node: made,
    });
}

/// The cards in the order that they name.
fn cards<'a>(list: &Node<'a>, turned: &mut Turned<'a>) -> Node<'a> {
    let count = list.items().len();
    let mut cards: Vec<(usize, Node<'a>)> = Vec::new();
    for (place, card) in list.items().iter().take(CARDS_MAX).enumerate() {
        let index = given(card, "card_index");
        let named = index.and_then(|index| match &index.value {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        });
        let named = named.unwrap_or(place);
        if named >= count || cards.iter().any(|(other, _)| *other == named) {
            let expected = format!("each number from 0 to {} once", count - 1);
            let trouble = Trouble::new(Code::BatchBadValue, expected, "another number");
            let at = index.map_or(card.at, |index| index.at);
            turned.misfit(
                at,
                trouble.hint("`card_index` is the place of the card, from 0"),
            );
        }
        let face = match given(card, "components") {
            Some(components) => face(components, Side::Card, turned),
            None => Face::default(),
        };
        let made = made_at(
            card,
            [
                ("header", face.header),
                ("placeholders", face.placeholders),
                ("buttons", face.buttons),
            ],
        );
        cards.push((named, made));
    }
    cards.sort_by_key(|(named, _)| *named);
    let cards = cards.into_iter().map(|(_, card)| card).collect();
    at_place(list, Value::List(cards))
}

/// When the offer ends.
fn offer<'a>(parameter: &Node<'a>) -> Option<Node<'a>> {
    // The last moment that can be written; the schema tells of later ones.
    const LAST_MS: i64 = 253_402_300_799_999;
    let ends = given(parameter, "limited_time_offer")?;
    let ends = given(ends, "expiration_time_ms")?;
    let Value::Number(digits) = &ends.value else {
        return None;
    };
    let millis = digits
        .parse()
        .ok()
        .filter(|ms| (0..=LAST_MS).contains(ms))?;
    let text = Moment::from_millis(millis).to_string();
    let moment = at_place(ends, Value::Text(Cow::Owned(text)));
    Some(made_at(parameter, [("expiresAt", Some(moment))]))
}
