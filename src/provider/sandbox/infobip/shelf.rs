//! The templates that the stand-in holds for its numbers, and whether a message fits one of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::shape::Errors;
use super::words::{Mishap, NO_TEMPLATE, WRONG_VALUES};
use crate::batch::Moment;

/// The most templates of one number, and the most numbers that have any.
const TEMPLATES_MAX: usize = 1000;
const SENDERS_MAX: usize = 1000;

/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 512;

/// Templates by the number that they belong to, each as the API lists it.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    templates: BTreeMap<String, Vec<Value>>,
    made: u64,
}

impl Shelf {
    /// All templates of a number.
    pub(super) fn of(&self, sender: &str) -> &[Value] {
        self.templates.get(sender).map_or(&[], Vec::as_slice)
    }

    /// The one with this id.
    pub(super) fn one(&self, sender: &str, id: &str) -> Option<&Value> {
        self.of(sender).iter().find(|it| it["id"] == id)
    }

    /// Takes a new one in. It is approved at once, though the answer says that this is to come.
    pub(super) fn make(
        &mut self,
        sender: &str,
        body: &Value,
        now: Moment,
    ) -> Result<Value, Errors> {
        let mut errors = Errors::new();
        let mut wrong =
            |path: &str, what: &str| errors.entry(path.to_owned()).or_default().push(what.into());
        let name = body["name"].as_str().unwrap_or_default();
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !(1..=NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(good) {
            wrong("name", "must match ^[a-z0-9_]{1,512}$");
        }
        let language = body["language"].as_str().unwrap_or_default();
        if language.is_empty() {
            wrong("language", "must not be blank");
        }
        let category = body["category"].as_str().unwrap_or_default();
        if !matches!(category, "MARKETING" | "UTILITY" | "AUTHENTICATION") {
            wrong("category", "is not one of the known categories");
        }
        let structure = structure(body, &mut wrong);
        let is_same = |it: &Value| it["name"] == name && it["language"] == language;
        if self.of(sender).iter().any(is_same) {
            wrong("name", "there is such a template in this language");
        }
        let is_new = !self.templates.contains_key(sender);
        if self.of(sender).len() >= TEMPLATES_MAX || is_new && self.templates.len() >= SENDERS_MAX {
            wrong("name", "there are too many templates");
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        self.made += 1;
        let now = written(now);
        let template = json!({
            "id": (700_000_000_000 + self.made).to_string(),
            "businessAccountId": 111_222_333,
            "name": name,
            "language": language,
            "status": "APPROVED",
            "category": category,
            "structure": structure,
            "quality": "UNKNOWN",
            "createdAt": now,
            "lastUpdatedAt": now,
        });
        let mut told = template.clone();
        told["status"] = json!("PENDING");
        self.templates
            .entry(sender.to_owned())
            .or_default()
            .push(template);
        Ok(told)
    }

    /// Changes one; `None` if there is no such id.
    pub(super) fn change(&mut self, sender: &str, id: &str, body: &Value) -> Option<Value> {
        let of_sender = self.templates.get_mut(sender)?;
        let template = of_sender.iter_mut().find(|it| it["id"] == id)?;
        for key in ["category", "structure"] {
            if let Some(value) = body.get(key) {
                template[key] = value.clone();
            }
        }
        Some(template.clone())
    }

    /// Removes all of this name; tells whether there were any.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let mut removed = false;
        for templates in self.templates.values_mut() {
            let before = templates.len();
            templates.retain(|it| it["name"] != name);
            removed |= templates.len() < before;
        }
        removed
    }

    /// What is wrong with the content of a message. While a number has no templates here, it may
    /// send any.
    pub(super) fn misfit(&self, sender: &str, content: &Value) -> Option<Mishap> {
        let templates = self.of(sender);
        if templates.is_empty() {
            return None;
        }
        let is_meant = |it: &&Value| {
            it["name"] == content["templateName"] && it["language"] == content["language"]
        };
        let Some(template) = templates.iter().find(is_meant) else {
            return Some(NO_TEMPLATE);
        };
        if !matches!(template["status"].as_str(), Some("APPROVED" | "REINSTATED")) {
            return Some(NO_TEMPLATE);
        }
        let data = &content["templateData"];
        let fits = fits(&template["structure"], data);
        (!fits).then_some(WRONG_VALUES)
    }
}

/// A moment as the API writes it: its offset has no colon.
pub(super) fn written(moment: Moment) -> String {
    moment.to_string().replace('Z', "+0000")
}

/// The structure as it is listed. One for codes is registered otherwise than it is listed.
fn structure(body: &Value, wrong: &mut impl FnMut(&str, &str)) -> Value {
    let given = &body["structure"];
    if body["category"] == "AUTHENTICATION" {
        let buttons = given["buttons"].as_array().map_or(&[][..], Vec::as_slice);
        if buttons.len() != 1 || !buttons[0]["otpType"].is_string() {
            wrong("structure.buttons", "must be exactly one with an otpType");
        }
        return json!({
            "body": { "text": "*{{1}}* is your verification code.", "examples": ["123456"] },
            "buttons": [{
                "type": "URL", "text": "Copy code",
                "url": "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}",
            }],
            "type": "MEDIA",
        });
    }
    if given["body"]["text"].as_str().is_none_or(str::is_empty) {
        wrong("structure.body.text", "must not be blank");
    }
    let mut listed = given.clone();
    if listed.is_object() {
        let is_plain = given["header"].is_null() && given["buttons"].is_null();
        listed["type"] = json!(if is_plain { "TEXT" } else { "MEDIA" });
    }
    listed
}

/// Whether what varies in a template or card has been given, and nothing else.
fn fits(structure: &Value, data: &Value) -> bool {
    let values = data["body"]["placeholders"].as_array().map_or(0, Vec::len);
    let places = places(structure["body"]["text"].as_str().unwrap_or_default());
    if values != places || !header_fits(&structure["header"], &data["header"]) {
        return false;
    }
    let cards = |of: &Value| {
        of["carousel"]["cards"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let (registered, given) = (cards(structure), cards(data));
    let all_fit = registered
        .iter()
        .zip(&given)
        .all(|(card, it)| fits(card, it));
    registered.len() == given.len() && all_fit && buttons_fit(structure, data)
}

fn header_fits(registered: &Value, given: &Value) -> bool {
    match registered["format"].as_str() {
        Some("TEXT") => {
            let varies = registered["text"]
                .as_str()
                .is_some_and(|it| it.contains("{{"));
            varies == (given["type"] == "TEXT") && (varies || given.is_null())
        }
        Some(format) => given["type"] == format,
        None => given.is_null(),
    }
}

/// Buttons that vary must be there, in order; those that only open something need not be.
fn buttons_fit(structure: &Value, data: &Value) -> bool {
    let list = |of: &Value| of["buttons"].as_array().cloned().unwrap_or_default();
    let needed = list(structure).into_iter().filter_map(|button| {
        let kind = button["type"].as_str()?.to_owned();
        let varies = match kind.as_str() {
            "URL" => button["url"].as_str().is_some_and(|it| it.contains("{{")),
            "QUICK_REPLY" | "COPY_CODE" | "MULTI_PRODUCT" | "ORDER_DETAILS" => true,
            _ => false,
        };
        varies.then_some(kind)
    });
    let given = list(data).into_iter().filter_map(|button| {
        let kind = button["type"].as_str()?.to_owned();
        let opens = matches!(kind.as_str(), "FLOW" | "CATALOG" | "VOICE_CALL");
        (!opens).then_some(kind)
    });
    needed.eq(given)
}

/// How many different places a text has.
fn places(text: &str) -> usize {
    let places = text.split("{{").skip(1);
    let named = places.filter_map(|rest| rest.split_once("}}"));
    named
        .map(|(name, _)| name)
        .collect::<BTreeSet<&str>>()
        .len()
}
