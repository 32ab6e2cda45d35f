//! The values of a template: header, placeholders, buttons, cards and offer.

use super::buttons;
use crate::batch::dialect::guest::{Turned, at_place, copied, given, made_at, meant, word_at};
use crate::batch::template::Template;
use crate::batch::tree::{Node, Value};

/// Turns what `templateData` says to `template`, if that is known.
pub(super) fn turn<'a>(data: &Node<'a>, template: Option<&Template>, turned: &mut Turned<'a>) {
    let buttons = given(data, "buttons").map(|list| buttons::turn(list, template, None));
    let cards = given(data, "carousel").and_then(|carousel| given(carousel, "cards"));
    let cards = cards.map(|cards| {
        let items = cards.items().iter().enumerate();
        let items = items.map(|(place, item)| card(item, template, place));
        at_place(cards, Value::List(items.collect()))
    });
    let offer = given(data, "limitedTimeOffer")
        .map(|offer| made_at(offer, [("expiresAt", copied(offer, "expirationTime"))]));
    for (key, node) in [
        ("placeholders", placeholders(data)),
        ("templateHeader", header(data)),
        ("templateButtons", buttons),
        ("templateCards", cards),
        ("templateOffer", offer),
    ] {
        turned.copy(key, node.as_ref());
    }
}

fn card<'a>(card: &Node<'a>, template: Option<&Template>, place: usize) -> Node<'a> {
    let buttons = given(card, "buttons").map(|list| buttons::turn(list, template, Some(place)));
    made_at(
        card,
        [
            ("header", header(card)),
            ("placeholders", placeholders(card)),
            ("buttons", buttons),
        ],
    )
}

/// The values of the body that `face` has, be it the message itself or a card.
fn placeholders<'a>(face: &Node<'a>) -> Option<Node<'a>> {
    copied(given(face, "body")?, "placeholders")
}

fn header<'a>(face: &Node<'a>) -> Option<Node<'a>> {
    const KINDS: [(&str, &str); 6] = [
        ("TEXT", "text"),
        ("IMAGE", "image"),
        ("VIDEO", "video"),
        ("DOCUMENT", "document"),
        ("GIF", "gif"),
        ("LOCATION", "location"),
    ];
    let header = given(face, "header")?;
    let named = header.get("type")?;
    let kind = meant(Some(named), &KINDS)?;
    let word = Some(word_at(named, kind));
    Some(match kind {
        "text" => {
            let value = given(header, "placeholder");
            let list = value.map(|value| at_place(value, Value::List(vec![value.clone()])));
            made_at(header, [("type", word), ("placeholders", list)])
        }
        "location" => made_at(
            header,
            [
                ("type", word),
                ("latitude", copied(header, "latitude")),
                ("longitude", copied(header, "longitude")),
                ("name", coordinates(header)),
                ("address", coordinates(header)),
            ],
        ),
        _ => made_at(
            header,
            [
                ("type", word),
                ("url", copied(header, "mediaUrl")),
                ("filename", copied(header, "filename")),
            ],
        ),
    })
}

/// Infobip's places have no name and no address, without which WhatsApp refuses them: they are
/// called as they lie.
fn coordinates<'a>(header: &Node<'a>) -> Option<Node<'a>> {
    let [latitude, longitude] = ["latitude", "longitude"].map(|key| given(header, key));
    let (Value::Number(latitude), Value::Number(longitude)) = (&latitude?.value, &longitude?.value)
    else {
        return None;
    };
    let text = format!("{latitude}, {longitude}");
    Some(at_place(header, Value::Text(text.into())))
}
