//! Infobip lists only the buttons that vary, in the order of the template. Which index each of them
//! has there, the definition tells.

use crate::batch::dialect::guest::{at_place, copied, given, made_at, meant, sections, word_at};
use crate::batch::template::Template;
use crate::batch::tree::{Entry, Node, Value};

/// The words for kinds of buttons, and those of the native form.
const KINDS: [(&str, &str); 8] = [
    ("QUICK_REPLY", "quick-reply"),
    ("URL", "url"),
    ("COPY_CODE", "copy-code"),
    ("FLOW", "flow"),
    ("CATALOG", "catalog"),
    ("MULTI_PRODUCT", "multi-product"),
    ("ORDER_DETAILS", "order-details"),
    ("VOICE_CALL", "voice-call"),
];

/// The buttons by their index in the template, or on the card of this place.
pub(super) fn turn<'a>(
    list: &Node<'a>,
    template: Option<&Template>,
    card: Option<usize>,
) -> Node<'a> {
    let mut free = template.map(|template| template.varying_buttons(card));
    let replies = replies_of(free.as_deref().unwrap_or_default());
    let mut buttons: Vec<Entry<'a>> = Vec::with_capacity(list.items().len());
    for (place, item) in list.items().iter().enumerate() {
        let Some(kind) = meant(item.get("type"), &KINDS) else {
            continue;
        };
        let index = match &mut free {
            None => place,
            Some(free) => {
                let fits = |(_, kinds): &(usize, &[&str])| kinds.contains(&kind);
                match free.iter().position(fits) {
                    // What stands before it was left out, or comes too late.
                    Some(at) => free
                        .drain(..=at)
                        .next_back()
                        .map_or(place, |(index, _)| index),
                    None => spare(&buttons),
                }
            }
        };
        buttons.push(Entry {
            key: index.to_string().into(),
            key_at: item.at,
            node: button(item, kind),
        });
    }
    // Without an index, some payloads of several cannot be told to be those of certain buttons.
    if buttons
        .iter()
        .any(|entry| replies.iter().any(|it| *it == entry.key))
    {
        let lacking = replies
            .into_iter()
            .filter(|index| buttons.iter().all(|entry| entry.key != *index));
        let lacking: Vec<Entry<'a>> = lacking
            .map(|index| Entry {
                key: index.into(),
                key_at: list.at,
                node: made_at(list, [("value", None)]),
            })
            .collect();
        buttons.extend(lacking);
    }
    at_place(list, Value::Object(buttons))
}

/// The indices of the quick replies among these buttons.
fn replies_of(buttons: &[(usize, &[&str])]) -> Vec<String> {
    let is_reply = |(_, kinds): &&(usize, &[&str])| kinds.contains(&"quick-reply");
    let replies = buttons.iter().filter(is_reply);
    replies.map(|(index, _)| index.to_string()).collect()
}

/// An index that no template has, so that the native reader tells of a button too many.
fn spare(taken: &[Entry<'_>]) -> usize {
    const BEYOND: usize = 10;
    BEYOND + taken.len()
}

fn button<'a>(item: &Node<'a>, kind: &'static str) -> Node<'a> {
    let word = item.get("type").map(|named| word_at(named, kind));
    let own = |key: &str| copied(item, key);
    match kind {
        "flow" => made_at(
            item,
            [
                ("type", word),
                ("token", own("flowToken")),
                ("data", own("data")),
            ],
        ),
        "catalog" => {
            let thumbnail = own("thumbnailProductRetailerId");
            made_at(item, [("type", word), ("thumbnail", thumbnail)])
        }
        "multi-product" => made_at(
            item,
            [
                ("type", word),
                ("thumbnail", own("thumbnailProductRetailerId")),
                ("sections", given(item, "sections").map(listed)),
            ],
        ),
        "order-details" => made_at(item, [("type", word), ("action", own("action"))]),
        "voice-call" => made_at(
            item,
            [
                ("type", word),
                ("minutes", own("callValidityPeriod")),
                ("payload", own("callContextPayload")),
            ],
        ),
        _ => made_at(item, [("type", word), ("value", own("parameter"))]),
    }
}

fn listed<'a>(list: &Node<'a>) -> Node<'a> {
    sections(list, |section| copied(section, "productRetailerIds"))
}
