//! What the stand-in checks in what is sent: a template and its parameters, or a content of one
//! type.

use serde_json::{Map, Value};

use super::envelope::{Refusal, text};

/// The longest texts, in characters.
const TEXT_CHARS_MAX: usize = 4096;
const CAPTION_CHARS_MAX: usize = 1024;
const BODY_CHARS_MAX: usize = 1024;
const LINE_CHARS_MAX: usize = 60;
const ID_CHARS_MAX: usize = 200;
const BUTTON_CHARS_MAX: usize = 20;
const TITLE_CHARS_MAX: usize = 24;
const DESCRIPTION_CHARS_MAX: usize = 72;
const CODE_CHARS_MAX: usize = 15;
/// The most of what stands there several times.
const QUICK_REPLIES_MAX: usize = 3;
const BUTTONS_MAX: usize = 3;
const ROWS_MAX: usize = 10;

type Checked = Result<(), Refusal>;

/// Checks what an envelope sends.
pub(super) fn check(envelope: &Value) -> Checked {
    let wa = &envelope["channels"]["OTT-Messaging"]["wa"];
    match (envelope.get("message"), wa.get("type")) {
        (None, None) => Err(Refusal::missing("channels")),
        (Some(message), None) => template(message),
        (None, Some(_)) => session(wa),
        (Some(_), Some(_)) => Err(Refusal::value("message")),
    }?;
    if wa
        .get("identity_key_hash")
        .is_some_and(|hash| !hash.is_string())
    {
        return Err(Refusal::value("identity_key_hash"));
    }
    match envelope.get("options") {
        None => Ok(()),
        Some(options) => {
            let flags = ["trackClicks", "shortenLinks", "allowFallbackURL"];
            for flag in flags.iter().filter_map(|key| options.get(key)) {
                if flag != "true" && flag != "false" {
                    return Err(Refusal::value("options"));
                }
            }
            text(options, "domain").map(|_| ())
        }
    }
}

/// Whether the account has the template, and it is given no name that its definition does not
/// have. Where no templates are known, any will do.
pub(super) fn known(envelope: &Value, templates: &[Value]) -> Checked {
    let Some(message) = envelope.get("message").filter(|_| !templates.is_empty()) else {
        return Ok(());
    };
    let mut own = templates
        .iter()
        .filter(|it| it["id"] == message["template"]);
    let own = own
        .next()
        .ok_or_else(|| Refusal::new(("7108", "Invalid template id")))?;
    let Some(names) = own["variables"].as_object() else {
        return Ok(());
    };
    let given = message["parameters"].as_object().map(Map::keys);
    let mut given = given.into_iter().flatten();
    let is_known = |key: &String| names.contains_key(key) || RESERVED.contains(&key.as_str());
    is(given.all(is_known), "parameters")
}

/// What is called alike in every template.
const RESERVED: [&str; 5] = ["image", "video", "document", "quickReply", "otp"];

fn template(message: &Value) -> Checked {
    let id = text(message, "template")?;
    if !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::new(("7108", "Invalid template id")));
    }
    let parameters = match message.get("parameters") {
        None => return Err(Refusal::missing("parameters")),
        Some(Value::Object(parameters)) => parameters,
        Some(_) => return Err(Refusal::value("parameters")),
    };
    let headers = ["image", "video", "document"];
    if headers
        .iter()
        .filter(|key| parameters.contains_key(**key))
        .count()
        > 1
    {
        return Err(Refusal::value("parameters"));
    }
    for (key, value) in parameters {
        match key.as_str() {
            "image" | "video" | "document" => link(value, "link")?,
            "quickReply" => quick_replies(value)?,
            "otp" => one_time_code(value)?,
            _ => variable(key, value)?,
        }
    }
    Ok(())
}

fn quick_replies(value: &Value) -> Checked {
    let replies = value
        .as_array()
        .filter(|replies| replies.len() <= QUICK_REPLIES_MAX);
    for reply in replies.ok_or_else(|| Refusal::value("quickReply"))? {
        text(reply, "button_text")?;
        text(reply, "payload")?;
    }
    Ok(())
}

fn one_time_code(value: &Value) -> Checked {
    let code = text(value, "value")?;
    let is_code = code.chars().count() <= CODE_CHARS_MAX && !code.contains(' ');
    is(value["type"] == "otp" && is_code, "otp")
}

fn variable(key: &str, value: &Value) -> Checked {
    let wanted: &[&str] = match value["type"].as_str() {
        None => {
            let good = value.as_str().is_some_and(|text| {
                let spaces = "     ";
                !text.is_empty() && !text.contains(['\n', '\t']) && !text.contains(spaces)
            });
            return is(good, key);
        }
        Some("date_time") => &["fallback_value"],
        Some("currency") => &["currency_code", "amount_1000", "fallback_value"],
        Some("url") => &["payload"],
        Some(_) => return Err(Refusal::value(key)),
    };
    wanted
        .iter()
        .try_for_each(|member| text(value, member).map(|_| ()))
}

fn session(wa: &Value) -> Checked {
    let kind = text(wa, "type")?;
    let value = wa.get(kind).ok_or_else(|| Refusal::missing(kind))?;
    match kind {
        "text" => {
            let preview = wa
                .get("preview_url")
                .is_none_or(|it| it == "true" || it == "false");
            is(preview, "preview_url")?;
            line(value, "body", TEXT_CHARS_MAX)
        }
        "image" | "video" | "document" => file(kind, value, &["filename", "caption"]),
        "audio" | "sticker" => file(kind, value, &[]),
        "location" => {
            degrees(value, "longitude", 180.0)?;
            degrees(value, "latitude", 90.0)
        }
        "contacts" => {
            let contacts = value.as_array().filter(|contacts| !contacts.is_empty());
            let contacts = contacts.ok_or_else(|| Refusal::value("contacts"))?;
            contacts.iter().try_for_each(contact)
        }
        "list" => list(value),
        "reply" => reply(value),
        _ => Err(Refusal::value("type")),
    }
}

/// A file has an address, a type that goes with its ending, and only `more` besides.
fn file(kind: &str, value: &Value, more: &[&str]) -> Checked {
    link(value, "url")?;
    let mime = text(value, "mimeType")?;
    let prefix = match kind {
        "document" => "",
        "sticker" => "image/webp",
        kind => kind,
    };
    is(mime.contains('/') && mime.starts_with(prefix), "mimeType")?;
    let members = value.as_object().map(Map::keys).into_iter().flatten();
    for key in members.filter(|key| !matches!(key.as_str(), "url" | "mimeType")) {
        is(more.contains(&key.as_str()), key)?;
    }
    optional(value, "caption", CAPTION_CHARS_MAX)
}

fn link(value: &Value, key: &str) -> Checked {
    let link = text(value, key)?;
    is(
        link.starts_with("https://") || link.starts_with("http://"),
        key,
    )
}

fn degrees(value: &Value, key: &str, most: f64) -> Checked {
    let degrees: Option<f64> = match value.get(key) {
        None => return Err(Refusal::missing(key)),
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_f64(),
    };
    is(degrees.is_some_and(|it| (-most..=most).contains(&it)), key)
}

fn contact(contact: &Value) -> Checked {
    const PARTS: [&str; 5] = ["first_name", "last_name", "middle_name", "prefix", "suffix"];
    let name = &contact["name"];
    text(name, "formatted_name")?;
    is(PARTS.iter().any(|part| name[part].is_string()), "name")
}

/// What both lists and buttons have.
fn framed(value: &Value) -> Checked {
    let body = value.get("body").ok_or_else(|| Refusal::missing("body"))?;
    line(body, "text", BODY_CHARS_MAX)?;
    value
        .get("footer")
        .map_or(Ok(()), |footer| line(footer, "text", LINE_CHARS_MAX))
}

fn list(value: &Value) -> Checked {
    framed(value)?;
    if let Some(header) = value.get("header") {
        is(header["type"] == "text", "header")?;
        line(header, "text", LINE_CHARS_MAX)?;
    }
    let action = &value["action"];
    line(action, "button", BUTTON_CHARS_MAX)?;
    let sections = action["sections"].as_array().map_or(&[][..], Vec::as_slice);
    let mut rows = 0;
    for section in sections {
        if sections.len() > 1 {
            line(section, "title", TITLE_CHARS_MAX)?;
        }
        for row in section["rows"].as_array().into_iter().flatten() {
            rows += 1;
            line(row, "id", ID_CHARS_MAX)?;
            line(row, "title", TITLE_CHARS_MAX)?;
            optional(row, "description", DESCRIPTION_CHARS_MAX)?;
        }
    }
    is((1..=ROWS_MAX).contains(&rows), "sections")
}

fn reply(value: &Value) -> Checked {
    framed(value)?;
    if let Some(header) = value.get("header") {
        match text(header, "type")? {
            "text" => line(header, "text", LINE_CHARS_MAX)?,
            kind @ ("image" | "video" | "document") => link(&header[kind], "url")?,
            _ => return Err(Refusal::value("header")),
        }
    }
    let buttons = value["action"]["buttons"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    is((1..=BUTTONS_MAX).contains(&buttons.len()), "buttons")?;
    for button in buttons {
        is(button["type"] == "reply", "buttons")?;
        line(&button["reply"], "id", ID_CHARS_MAX)?;
        line(&button["reply"], "title", BUTTON_CHARS_MAX)?;
    }
    Ok(())
}

fn line(value: &Value, key: &str, chars_max: usize) -> Checked {
    is(text(value, key)?.chars().count() <= chars_max, key)
}

fn optional(value: &Value, key: &str, chars_max: usize) -> Checked {
    value
        .get(key)
        .map_or(Ok(()), |_| line(value, key, chars_max))
}

fn is(good: bool, what: &str) -> Checked {
    if good {
        return Ok(());
    }
    Err(Refusal::value(what))
}
