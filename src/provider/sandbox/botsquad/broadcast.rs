//! What the stand-in checks in a broadcast, and how it fills the references of its template.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Map, Value};

/// A broadcast that can be sent.
#[derive(Debug)]
pub(super) struct Broadcast {
    pub(super) users: Vec<User>,
}

/// A user of it.
#[derive(Debug)]
pub(super) struct User {
    /// The number as it was written.
    pub(super) phone: String,
    /// Its digits.
    pub(super) digits: String,
}

/// Why a broadcast was not taken.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// In the words that go with a status.
    Status(StatusCode),
    /// The template and what is given for it do not go together.
    Template {
        component: String,
        message: &'static str,
    },
}

impl Refusal {
    pub(super) fn not_let_in() -> Self {
        Self::Status(StatusCode::UNAUTHORIZED)
    }

    pub(super) fn too_fast() -> Self {
        Self::Status(StatusCode::TOO_MANY_REQUESTS)
    }

    fn request() -> Self {
        Self::Status(StatusCode::BAD_REQUEST)
    }

    fn template(component: &str, message: &'static str) -> Self {
        Self::Template {
            component: component.to_owned(),
            message,
        }
    }
}

impl Broadcast {
    /// Reads and checks one.
    pub(super) fn read(body: &[u8], templates: &[Value]) -> Result<Self, Refusal> {
        let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::request())?;
        let template = body.get("template").ok_or_else(Refusal::request)?;
        let texts = texts(template)?;
        known(template, templates)?;
        let defaults = body.get("params").and_then(Value::as_object);
        let given = body["users"].as_array().filter(|users| !users.is_empty());
        let mut known = BTreeSet::new();
        let mut users = Vec::new();
        for user in given.ok_or_else(Refusal::request)? {
            let user = filled(user, &texts, defaults)?;
            if !known.insert(user.digits.clone()) {
                return Err(Refusal::request());
            }
            users.push(user);
        }
        Ok(Self { users })
    }
}

/// Whether the account has the template, and its body is given as many values as it has. Where no
/// templates are known, any will do.
fn known(template: &Value, templates: &[Value]) -> Result<(), Refusal> {
    if templates.is_empty() {
        return Ok(());
    }
    let is_own =
        |it: &&Value| it["name"] == template["name"] && it["language"] == template["language"];
    let own = templates.iter().find(is_own);
    let own = own.ok_or_else(|| Refusal::template("template", "no such template"))?;
    let body = |of: &'_ Value, kind: &str| {
        let components = of["components"].as_array().into_iter().flatten();
        let mut bodies = components.filter(|it| it["type"] == kind);
        bodies.next().cloned().unwrap_or_default()
    };
    let wanted = body(own, "BODY");
    let text = wanted["text"].as_str().unwrap_or_default();
    let given = body(template, "body");
    let given = given["parameters"].as_array().map_or(0, Vec::len);
    // A template of the kind for codes has its text made by the provider.
    let is_right = text.is_empty() || text.matches("{{").count() == given;
    is_right
        .then_some(())
        .ok_or_else(|| Refusal::template("body", "another number of parameters"))
}

/// Every text of the template that may hold references, after a look at its form.
pub(super) fn texts(template: &Value) -> Result<Vec<&str>, Refusal> {
    let is_word = |key: &str| template[key].as_str().is_some_and(|text| !text.is_empty());
    if !is_word("name") || !is_word("language") {
        return Err(Refusal::template("template", "name and language are texts"));
    }
    let mut seen = BTreeSet::new();
    let mut texts = Vec::new();
    for component in template["components"].as_array().into_iter().flatten() {
        let kind = component["type"].as_str().unwrap_or_default();
        let place = match kind {
            "header" | "body" => kind.to_owned(),
            "button" => {
                let index = component["index"].as_u64().filter(|index| *index < 10);
                let index = index.ok_or_else(|| Refusal::template(kind, "no such index"))?;
                format!("button {index}")
            }
            _ => return Err(Refusal::template(kind, "no such component")),
        };
        if !seen.insert(place.clone()) {
            return Err(Refusal::template(&place, "it stands there twice"));
        }
        let parameters = component["parameters"].as_array();
        let parameters = parameters.filter(|parameters| !parameters.is_empty());
        for it in parameters.ok_or_else(|| Refusal::template(&place, "no parameters"))? {
            let text = parameter((kind, &component["sub_type"]), it);
            texts.extend(text.map_err(|message| Refusal::template(&place, message))?);
        }
    }
    Ok(texts)
}

/// The text of a parameter; `None` for a file.
fn parameter<'v>(
    (component, sub_type): (&str, &Value),
    parameter: &'v Value,
) -> Result<Option<&'v str>, &'static str> {
    let kind = parameter["type"].as_str().unwrap_or_default();
    match (component, kind, sub_type.as_str()) {
        ("header", "image" | "video" | "document", _) => {
            let link = parameter[kind]["link"].as_str().unwrap_or_default();
            let is_link = link.starts_with("https://") || link.starts_with("http://");
            is_link.then_some(None).ok_or("a file needs its link")
        }
        ("header" | "body", "text", _) | ("button", "text", Some("url")) => {
            let text = parameter["text"].as_str().filter(|text| !text.is_empty());
            text.map(Some).ok_or("a text is empty or none")
        }
        ("button", "payload", Some("quick_reply")) => {
            let payload = parameter["payload"].as_str();
            payload.map(|_| None).ok_or("a payload is no text")
        }
        _ => Err("a parameter of another kind"),
    }
}

fn filled(
    user: &Value,
    texts: &[&str],
    defaults: Option<&Map<String, Value>>,
) -> Result<User, Refusal> {
    let phone = user["phone"].as_str().ok_or_else(Refusal::request)?;
    let digits = phone.strip_prefix('+').unwrap_or_default();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || !(7..=15).contains(&digits.len()) {
        return Err(Refusal::request());
    }
    if sent(user, texts, defaults).is_none() {
        return Err(Refusal::template("body", "a reference without a value"));
    }
    Ok(User {
        phone: phone.to_owned(),
        digits: digits.to_owned(),
    })
}

/// What a user would be sent: every text of the template, with the user's own values before those
/// for all. `None` when a reference has no value.
pub(super) fn sent(
    user: &Value,
    texts: &[&str],
    defaults: Option<&Map<String, Value>>,
) -> Option<Vec<String>> {
    let own = user.get("params").and_then(Value::as_object);
    let value = |name: &str| {
        let found = own.and_then(|own| own.get(name));
        found.or_else(|| defaults?.get(name))?.as_str()
    };
    texts.iter().map(|text| fill(text, value)).collect()
}

/// The text with every `{{ name }}` replaced; `None` when one has no value.
fn fill<'p>(text: &str, value: impl Fn(&str) -> Option<&'p str>) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}")?;
        filled.push_str(before);
        filled.push_str(value(name.trim())?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}
