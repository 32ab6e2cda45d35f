//! What the stand-in checks in a message without a template, beyond the text.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::envelope::Refusal;

/// The longest caption, in characters.
const CAPTION_CHARS_MAX: usize = 1024;
/// The most contact cards.
const CONTACTS_MAX: usize = 5;
/// The most reply buttons.
const BUTTONS_MAX: usize = 3;
/// The longest label of a button, in characters.
const LABEL_CHARS_MAX: usize = 20;
/// The longest label of a button that opens a flow, in characters.
const FLOW_LABEL_CHARS_MAX: usize = 30;
/// The longest title of a row or a section, in characters.
const TITLE_CHARS_MAX: usize = 24;
/// The longest text of a header or a footer, in characters.
const SMALL_CHARS_MAX: usize = 60;
/// The longest text above a list, and above all else that can be tapped, in characters.
const BODY_CHARS_MAX: (usize, usize) = (4096, 1024);
/// The most rows of a list in all of its sections.
const ROWS_MAX: usize = 10;

/// Checks the member that is named as the type.
pub(super) fn check(kind: &str, value: &RawValue) -> Result<(), Refusal> {
    let Ok(value) = serde_json::from_str::<Value>(value.get()) else {
        return Err(Refusal::parameter("the content is not JSON"));
    };
    match (kind, &value) {
        ("contacts", Value::Array(cards)) => contacts(cards),
        ("contacts", _) => Err(wrong_type()),
        ("location", Value::Object(place)) => location(place),
        ("reaction", Value::Object(reaction)) => {
            known(reaction, &["message_id", "emoji"])?;
            text(reaction, "message_id", usize::MAX)?;
            match reaction.get("emoji") {
                Some(Value::String(_)) => Ok(()),
                _ => Err(Refusal::missing("reaction.emoji is missing")),
            }
        }
        ("interactive", Value::Object(interactive)) => self::interactive(interactive),
        (_, Value::Object(file)) => media(kind, file),
        _ => Err(wrong_type()),
    }
}

/// A file has either an id or an address.
pub(super) fn one_source(file: &Map<String, Value>) -> Result<(), Refusal> {
    match (file.get("id"), file.get("link")) {
        (None, None) => Err(Refusal::missing("a file has neither id nor link")),
        (Some(_), Some(_)) => Err(Refusal::parameter("a file has both id and link")),
        (Some(Value::String(_)), None) => Ok(()),
        (None, Some(Value::String(link))) if is_web(link) => Ok(()),
        (None, Some(Value::String(_))) => Err(Refusal::value("a file's link is no web address")),
        _ => Err(wrong_type()),
    }
}

fn is_web(link: &str) -> bool {
    url::Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn wrong_type() -> Refusal {
    Refusal::parameter("the content has the wrong JSON type")
}

/// Every member is one that the API has.
fn known(object: &Map<String, Value>, keys: &[&str]) -> Result<(), Refusal> {
    if object.keys().all(|key| keys.contains(&key.as_str())) {
        return Ok(());
    }
    Err(Refusal::parameter("a member is unknown"))
}

/// A text that must be there, and is not too long.
fn text<'v>(object: &'v Map<String, Value>, key: &str, most: usize) -> Result<&'v str, Refusal> {
    match object.get(key) {
        None => Err(Refusal::missing("a text is missing")),
        Some(Value::String(text)) if text.is_empty() => Err(Refusal::missing("a text is empty")),
        Some(Value::String(text)) if text.chars().count() > most => {
            Err(Refusal::value("a text is too long"))
        }
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::parameter("a text has the wrong JSON type")),
    }
}

fn object<'v>(value: &'v Map<String, Value>, key: &str) -> Result<&'v Map<String, Value>, Refusal> {
    match value.get(key) {
        None => Err(Refusal::missing("an object is missing")),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(Refusal::parameter("an object has the wrong JSON type")),
    }
}

fn list<'v>(value: &'v Map<String, Value>, key: &str) -> Result<&'v [Value], Refusal> {
    match value.get(key) {
        None => Err(Refusal::missing("a list is missing")),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(Refusal::parameter("a list has the wrong JSON type")),
    }
}

fn media(kind: &str, file: &Map<String, Value>) -> Result<(), Refusal> {
    let keys: &[&str] = match kind {
        "image" | "video" => &["id", "link", "caption"],
        "document" => &["id", "link", "caption", "filename"],
        "audio" => &["id", "link", "voice"],
        _ => &["id", "link"],
    };
    known(file, keys)?;
    one_source(file)?;
    for (key, most) in [("caption", CAPTION_CHARS_MAX), ("filename", usize::MAX)] {
        if file.contains_key(key) {
            text(file, key, most)?;
        }
    }
    Ok(())
}

fn location(place: &Map<String, Value>) -> Result<(), Refusal> {
    known(place, &["latitude", "longitude", "name", "address"])?;
    for (key, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        let degrees = match place.get(key) {
            None => return Err(Refusal::missing("a coordinate is missing")),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_f64(),
        };
        if !degrees.is_some_and(|degrees: f64| degrees.abs() <= most) {
            return Err(Refusal::value("a coordinate is out of range"));
        }
    }
    Ok(())
}

/// A contact card, of which the API knows every member.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contact {
    name: Option<Map<String, Value>>,
    phones: Option<Vec<Map<String, Value>>>,
    emails: Option<Vec<Map<String, Value>>>,
    urls: Option<Vec<Map<String, Value>>>,
    #[serde(rename = "addresses")]
    _addresses: Option<Vec<Map<String, Value>>>,
    #[serde(rename = "org")]
    _org: Option<Map<String, Value>>,
    #[serde(rename = "birthday")]
    _birthday: Option<String>,
}

fn contacts(cards: &[Value]) -> Result<(), Refusal> {
    if !(1..=CONTACTS_MAX).contains(&cards.len()) {
        return Err(Refusal::value("contacts holds 1 to 5 cards"));
    }
    for card in cards {
        let Ok(card) = Contact::deserialize(card) else {
            return Err(Refusal::parameter(
                "a contact has an unknown or wrong member",
            ));
        };
        let Some(name) = &card.name else {
            return Err(Refusal::missing("a contact has no name"));
        };
        text(name, "formatted_name", usize::MAX)?;
        if name.len() == 1 {
            return Err(Refusal::missing("a name has formatted_name alone"));
        }
        for (list, key) in [
            (&card.phones, "phone"),
            (&card.emails, "email"),
            (&card.urls, "url"),
        ] {
            for entry in list.iter().flatten() {
                text(entry, key, usize::MAX)?;
            }
        }
    }
    Ok(())
}

fn interactive(message: &Map<String, Value>) -> Result<(), Refusal> {
    let kind = text(message, "type", usize::MAX)?;
    let (list_chars, other_chars) = BODY_CHARS_MAX;
    let body_chars = if kind == "list" {
        list_chars
    } else {
        other_chars
    };
    if kind != "product" || message.contains_key("body") {
        text(object(message, "body")?, "text", body_chars)?;
    }
    if message.contains_key("footer") {
        text(object(message, "footer")?, "text", SMALL_CHARS_MAX)?;
    }
    if message.contains_key("header") {
        header(kind, object(message, "header")?)?;
    }
    tapped(kind, message, object(message, "action")?)
}

/// What can be tapped.
fn tapped(
    kind: &str,
    message: &Map<String, Value>,
    action: &Map<String, Value>,
) -> Result<(), Refusal> {
    match kind {
        "button" => buttons(list(action, "buttons")?),
        "list" => {
            text(action, "button", LABEL_CHARS_MAX)?;
            rows(list(action, "sections")?)
        }
        "cta_url" => {
            let parameters = object(action, "parameters")?;
            text(parameters, "display_text", LABEL_CHARS_MAX)?;
            if is_web(text(parameters, "url", usize::MAX)?) {
                return Ok(());
            }
            Err(Refusal::value("a link is no web address"))
        }
        "flow" => flow(object(action, "parameters")?),
        "product" => {
            text(action, "catalog_id", usize::MAX)?;
            text(action, "product_retailer_id", usize::MAX).map(drop)
        }
        "product_list" => {
            object(message, "header")?;
            text(action, "catalog_id", usize::MAX)?;
            list(action, "sections").map(drop)
        }
        "catalog_message" | "location_request_message" | "call_permission_request" => {
            text(action, "name", usize::MAX).map(drop)
        }
        _ => Err(Refusal::value("interactive.type is not one")),
    }
}

fn header(kind: &str, header: &Map<String, Value>) -> Result<(), Refusal> {
    match (kind, text(header, "type", usize::MAX)?) {
        ("product", _) => Err(Refusal::parameter("a product has no header")),
        (_, "text") => text(header, "text", SMALL_CHARS_MAX).map(drop),
        ("list" | "product_list", _) => Err(Refusal::value("this header must be a text")),
        (_, file @ ("image" | "video" | "document")) => one_source(object(header, file)?),
        _ => Err(Refusal::value("header.type is not one")),
    }
}

fn buttons(buttons: &[Value]) -> Result<(), Refusal> {
    if !(1..=BUTTONS_MAX).contains(&buttons.len()) {
        return Err(Refusal::value("there are 1 to 3 buttons"));
    }
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for button in buttons {
        let button = button.as_object().ok_or_else(wrong_type)?;
        let reply = object(button, "reply")?;
        let fresh = ids.insert(text(reply, "id", 256)?);
        if !titles.insert(text(reply, "title", LABEL_CHARS_MAX)?) || !fresh {
            return Err(Refusal::value("two buttons have the same id or title"));
        }
    }
    Ok(())
}

fn rows(sections: &[Value]) -> Result<(), Refusal> {
    let mut ids = BTreeSet::new();
    for section in sections {
        let section = section.as_object().ok_or_else(wrong_type)?;
        if sections.len() > 1 {
            text(section, "title", TITLE_CHARS_MAX)?;
        }
        for row in list(section, "rows")? {
            let row = row.as_object().ok_or_else(wrong_type)?;
            text(row, "title", TITLE_CHARS_MAX)?;
            if !ids.insert(text(row, "id", 200)?) {
                return Err(Refusal::value("two rows have the same id"));
            }
        }
    }
    match ids.len() {
        1..=ROWS_MAX => Ok(()),
        _ => Err(Refusal::value("a list has 1 to 10 rows")),
    }
}

fn flow(parameters: &Map<String, Value>) -> Result<(), Refusal> {
    if text(parameters, "flow_message_version", usize::MAX)? != "3" {
        return Err(Refusal::value("flow_message_version is not 3"));
    }
    text(parameters, "flow_cta", FLOW_LABEL_CHARS_MAX)?;
    let named = ["flow_id", "flow_name"].map(|key| parameters.contains_key(key));
    match named {
        [true, true] => Err(Refusal::parameter("a flow has both an id and a name")),
        [false, false] => Err(Refusal::missing("a flow has neither an id nor a name")),
        _ => Ok(()),
    }
}
