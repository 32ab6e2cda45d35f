//! The numbers that a tenant's messages leave from.

use std::collections::BTreeMap;

use super::file::{Section, shown_text};
use super::problem::Place;
use crate::batch::Phone;
use crate::delivery::Sender;
use crate::provider::{Kind, bird};

/// What every number may send at first, whichever way its messages go to Meta.
const SENDER_RATE: f64 = 80.0;
const RATE_MAX: f64 = 100_000.0;

/// The numbers that messages leave from.
pub(super) fn senders(top: &Section<'_>, kind: Kind) -> Vec<Sender> {
    let sections = top.sections("senders");
    if sections.is_empty() && !top.has("senders") {
        match kind {
            Kind::MetaCloud | Kind::Infobip | Kind::Bird | Kind::WebexConnect | Kind::Botsquad => {
                let and_id = id_key(kind).map(|id| format!(" and `{}`", id.name));
                let text = format!(
                    "there is no `[[senders]]`, so nothing can be sent; add one with `number`{}",
                    and_id.unwrap_or_default()
                );
                top.problem("senders", text);
            }
            Kind::Sandbox => top.file().note_whole(format!(
                "there is no `[[senders]]` in {}, so none of its messages can be sent",
                top.file().path().display()
            )),
        }
    }
    if let (Kind::Botsquad, [_, second, ..]) = (kind, sections.as_slice()) {
        let text = "botsquad sends from the bot's own number alone, so there can be no second one; \
                    give it a tenant of its own";
        second.problem("number", text);
    }
    let mut seen = BTreeMap::new();
    let mut senders = Vec::new();
    for section in &sections {
        refuse_second(section, "number", &mut seen);
        for id in &IDS {
            refuse_second(section, id.name, &mut seen);
        }
        senders.extend(sender(section, kind));
    }
    senders
}

fn sender(section: &Section<'_>, kind: Kind) -> Option<Sender> {
    section.require(
        "number",
        "write it with its country code, such as `\"+15550001111\"`",
    );
    let takes = "`+` and 7 to 15 digits, such as `\"+15550001111\"`";
    let number = section.read("number", takes, |value| Phone::from_e164(value.as_str()?));
    let provider_id = provider_id(section, kind);
    let takes = format!("a number above 0 and up to {RATE_MAX}");
    let rate = section.number("messages_per_second", &takes, |rate| {
        rate > 0.0 && rate <= RATE_MAX
    });
    let number = number?;
    // Others call it by its digits, and the sandbox takes any id.
    let digits = number.as_str().trim_start_matches('+');
    Some(Sender {
        provider_id: provider_id.unwrap_or(digits).to_owned(),
        messages_per_second: rate.unwrap_or(SENDER_RATE),
        number,
    })
}

/// What a provider calls a number by.
struct Id {
    kind: Kind,
    name: &'static str,
    takes: &'static str,
    cure: &'static str,
    good: fn(&str) -> bool,
}

const IDS: [Id; 3] = [
    Id {
        kind: Kind::MetaCloud,
        name: "phone_number_id",
        takes: "the id that the provider gives the number, digits in quotes",
        cure: "it stands beside the number in the provider's console",
        good: |text| !text.is_empty() && is_digits(text),
    },
    Id {
        kind: Kind::Bird,
        name: "channel_id",
        takes: "the id of the number's channel, a UUID",
        cure: "it stands in the address of the channel's page",
        good: bird::is_uuid,
    },
    Id {
        kind: Kind::WebexConnect,
        name: "app_id",
        takes: "the id of the number's app, such as `\"a_170000000000000001\"`",
        cure: "it stands with the app's other settings in the portal",
        good: |text| {
            text.strip_prefix("a_")
                .is_some_and(|id| !id.is_empty() && is_digits(id))
        },
    },
];

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a provider of this kind calls a number by; `None` if by its digits.
fn id_key(kind: Kind) -> Option<&'static Id> {
    IDS.iter().find(|id| id.kind == kind)
}

fn provider_id<'a>(section: &Section<'a>, kind: Kind) -> Option<&'a str> {
    let mut own = None;
    for id in &IDS {
        let read = section.read(id.name, id.takes, |value| {
            value.as_str().filter(|text| (id.good)(text))
        });
        if id.kind == kind {
            section.require(id.name, id.cure);
            own = read;
        } else if kind != Kind::Sandbox {
            let why = format!("{} has no use for it", kind.as_str());
            section.note_idle(id.name, &why);
        } else if own.is_none() {
            own = read;
        }
    }
    own
}

/// Two senders with one number, or one id, are a slip of the hand: messages would leave from
/// another number than the file says.
fn refuse_second<'a>(
    section: &Section<'a>,
    key: &'static str,
    seen: &mut BTreeMap<(&'static str, &'a str), Place>,
) {
    let Some(value) = section.peek(key) else {
        return;
    };
    let place = section.place(key);
    if let Some(first) = seen.get(&(key, value)) {
        let (full, value, line) = (section.full(key), shown_text(value), first.line);
        let text =
            format!("`{full}` is {value}, as in line {line} already; each sender has its own");
        section.problem(key, text);
    } else {
        seen.insert((key, value), place);
    }
}
