//! The values of a template as Webex Connect wants them: a map whose keys are the names that were
//! chosen when the template was made.

use serde_json::{Map, Value as Json, json};

use crate::batch::content::{Button, ButtonValue, Handle, Header, MediaKind, Typed};
use crate::batch::{Filling, Parameter};

/// Keys that say what else a template holds, so that no variable can have such a name.
pub(super) const RESERVED: [&str; 5] = ["image", "video", "document", "quickReply", "otp"];

/// The whole map.
pub(super) fn parameters(filling: &Filling) -> Map<String, Json> {
    let mut map = Map::new();
    if let Some(Header::Media(kind, media)) = &filling.header {
        let mut file = json!({ "link": media.source.link() });
        if let Some(filename) = media
            .filename
            .as_ref()
            .filter(|_| *kind == MediaKind::Document)
        {
            file["filename"] = json!(filename);
        }
        map.insert(media_name(*kind).to_owned(), file);
    }
    if let Some(code) = one_time_code(filling) {
        map.insert("otp".into(), json!({ "type": "otp", "value": code }));
    }
    map.extend(variables(filling));
    let replies: Vec<Json> = quick_replies(filling)
        .map(|(label, payload)| {
            json!({ "button_text": label.unwrap_or_default(), "payload": payload })
        })
        .collect();
    if !replies.is_empty() {
        map.insert("quickReply".into(), replies.into());
    }
    map
}

/// The code of an authentication template, which has no other values.
pub(super) fn one_time_code(filling: &Filling) -> Option<&str> {
    let is_code = handle(filling).is_some_and(|handle| handle.one_time_code);
    filling
        .body
        .first()
        .filter(|_| is_code)
        .map(|code| code.text.as_str())
}

/// What has a name of its own, and its value.
pub(super) fn variables(filling: &Filling) -> Vec<(String, Json)> {
    if one_time_code(filling).is_some() {
        return Vec::new();
    }
    let handle = handle(filling);
    let mut variables = Vec::new();
    if let Some(Header::Text(text)) = &filling.header {
        let name = handle.and_then(|handle| handle.header.as_deref());
        variables.push((name_of(name, text, 1), json!(text.text)));
    }
    for (place, value) in filling.body.iter().enumerate() {
        let name = handle.and_then(|handle| handle.body.get(place));
        let name = name_of(name.map(String::as_str), value, place + 1);
        variables.push((name, written(value)));
    }
    for (index, end) in filling.buttons.iter().filter_map(link) {
        let named = handle.and_then(|handle| of_button(&handle.buttons, index));
        let payload = json!({ "type": "url", "payload": end.text });
        variables.push((name_of(named, end, 1), payload));
    }
    variables
}

/// What stands on each quick reply, and what comes back when it is tapped.
pub(super) fn quick_replies(filling: &Filling) -> impl Iterator<Item = (Option<&str>, &str)> {
    let handle = handle(filling);
    filling.buttons.iter().filter_map(move |button| {
        let ButtonValue::QuickReply(payload) = &button.value else {
            return None;
        };
        let label = handle.and_then(|handle| of_button(&handle.labels, button.index));
        Some((label, payload.as_str()))
    })
}

fn handle(filling: &Filling) -> Option<&Handle> {
    filling.handle.as_deref()
}

fn link(button: &Button) -> Option<(u8, &Parameter)> {
    match &button.value {
        ButtonValue::Url(end) => Some((button.index, end)),
        _ => None,
    }
}

fn of_button(named: &[(u8, String)], index: u8) -> Option<&str> {
    let found = named.iter().find(|(other, _)| *other == index);
    found.map(|(_, name)| name.as_str())
}

/// The name of a variable: the definition's, or the placeholder's own, or the one that the portal
/// gives to a placeholder with this number.
fn name_of(declared: Option<&str>, value: &Parameter, number: usize) -> String {
    match declared.or(value.name.as_deref()) {
        Some(name) if !name.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
        Some(digits) if !digits.is_empty() => format!("variable{digits}"),
        _ => format!("variable{number}"),
    }
}

fn written(value: &Parameter) -> Json {
    match &value.typed {
        None => json!(value.text),
        Some(Typed::Currency { code, amount_1000 }) => json!({
            "type": "currency",
            "currency_code": code,
            "amount_1000": amount_1000.to_string(),
            "fallback_value": value.text,
        }),
        Some(Typed::DateTime) => json!({ "type": "date_time", "fallback_value": value.text }),
    }
}

/// The key of a file in a header.
pub(super) fn media_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Video | MediaKind::Gif => "video",
        MediaKind::Document => "document",
        MediaKind::Audio => "audio",
        MediaKind::Sticker => "sticker",
    }
}
