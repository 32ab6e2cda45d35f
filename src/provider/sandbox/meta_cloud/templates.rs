//! The templates that the stand-in keeps: listed page by page, made, changed, removed, and held
//! against the messages that use them. Pure: the server carries it out.
//!
//! Of a template that is handed in the verdict stands after it was listed once: `REJECTED` where
//! its name ends in `_rejected`, otherwise `APPROVED`. A call that the API does not have
//! (`POST /{version}/{template id}/status`, `{"status": "PAUSED"}`) gives it any other.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::envelope::Refusal;

/// The most templates that are kept, as of a verified account.
const TEMPLATES_MAX: usize = 6_000;
/// The most templates of a page, and how many it has where nobody says.
const PAGE: (usize, usize) = (1_000, 25);
/// The longest name and the longest body, in characters.
const NAME_CHARS_MAX: usize = 512;
const BODY_CHARS_MAX: usize = 1_024;

/// The id of the first template.
const FIRST_ID: u64 = 802_400_000_000_001;

/// The templates of one account.
#[derive(Debug, Default)]
pub(in crate::provider::sandbox) struct Templates {
    held: Vec<Map<String, Value>>,
    made: u64,
}

impl Templates {
    /// These definitions: each one template, an array of them, or a list as the API answers it.
    /// What is no template of the API's is left out.
    pub(in crate::provider::sandbox) fn of(definitions: &[Value]) -> Self {
        let mut templates = Self::default();
        for definition in definitions {
            let several = definition
                .as_array()
                .or_else(|| definition["data"].as_array());
            let all = several.map_or(std::slice::from_ref(definition), Vec::as_slice);
            for one in all.iter().filter_map(Value::as_object) {
                let is_whole = ["name", "language"]
                    .iter()
                    .all(|key| one.contains_key(*key));
                if is_whole && templates.held.len() < TEMPLATES_MAX {
                    let mut one = one.clone();
                    let id = templates.next_id();
                    one.entry("id").or_insert(id);
                    templates.held.push(one);
                }
            }
        }
        templates
    }

    fn next_id(&mut self) -> Value {
        self.made += 1;
        (FIRST_ID + self.made).to_string().into()
    }

    /// A page of the list.
    pub(super) fn list(&mut self, asked: &HashMap<String, String>, url: &str) -> Value {
        let number = |key: &str| asked.get(key).and_then(|text| text.parse::<usize>().ok());
        let limit = number("limit").unwrap_or(PAGE.1).clamp(1, PAGE.0);
        let from = number("after").unwrap_or(0);
        let name = asked.get("name").map_or("", String::as_str);
        let is_meant = |one: &&Map<String, Value>| text(one, "name").contains(name);
        let meant: Vec<_> = self.held.iter().filter(is_meant).cloned().collect();
        let page: Vec<_> = meant.iter().skip(from).take(limit).cloned().collect();
        let end = from + page.len();
        let mut answer = json!({"data": page,
            "paging": {"cursors": {"before": from.to_string(), "after": end.to_string()}}});
        if end < meant.len() {
            answer["paging"]["next"] = json!(format!("{url}?limit={limit}&after={end}"));
        }
        self.review();
        answer
    }

    fn review(&mut self) {
        for one in &mut self.held {
            if text(one, "status") == "PENDING" {
                let is_bad = text(one, "name").ends_with("_rejected");
                let status = if is_bad { "REJECTED" } else { "APPROVED" };
                one.insert("status".into(), status.into());
            }
        }
    }

    /// A template is handed in.
    pub(super) fn create(&mut self, definition: &Value) -> Result<Value, Refusal> {
        let definition = definition.as_object();
        let definition = definition.ok_or_else(|| Refusal::parameter("no template"))?;
        let (name, language) = (text(definition, "name"), text(definition, "language"));
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
            return Err(Refusal::parameter(
                "name has other characters than a-z, 0-9 and _",
            ));
        }
        if language.is_empty() {
            return Err(Refusal::missing("language is missing"));
        }
        let category = text(definition, "category").to_ascii_uppercase();
        if !["AUTHENTICATION", "MARKETING", "UTILITY"].contains(&category.as_str()) {
            return Err(Refusal::parameter("category is not one of its values"));
        }
        components(definition.get("components"))?;
        if self.at(name, language).is_some() {
            return Err(Refusal::parameter(
                "there is a template of this name and language",
            ));
        }
        if self.held.len() >= TEMPLATES_MAX {
            return Err(Refusal::template(
                2_388_019,
                "the account has too many templates",
            ));
        }
        let id = self.next_id();
        let mut one = definition.clone();
        one.insert("id".into(), id.clone());
        one.insert("status".into(), "PENDING".into());
        one.insert("category".into(), category.clone().into());
        self.held.push(one);
        Ok(json!({"id": id, "status": "PENDING", "category": category}))
    }

    /// A template is changed, or its state is.
    pub(super) fn edit(&mut self, id: &str, change: &Value) -> Result<Value, Refusal> {
        let change = change.as_object();
        let change = change.ok_or_else(|| Refusal::parameter("no change"))?;
        let one = self.of_id(id)?;
        if text(one, "status") == "PENDING" {
            return Err(Refusal::template(
                2_388_039,
                "the template is being looked at",
            ));
        }
        let known = [
            "category",
            "components",
            "parameter_format",
            "message_send_ttl_seconds",
        ];
        if let Some(components) = change.get("components") {
            self::components(Some(components))?;
        }
        for (key, value) in change {
            if ["name", "language"].contains(&key.as_str()) {
                continue;
            }
            if !known.contains(&key.as_str()) {
                return Err(Refusal::parameter("a member is unknown"));
            }
            one.insert(key.clone(), value.clone());
        }
        one.insert("status".into(), "PENDING".into());
        Ok(json!({"success": true}))
    }

    /// A template gets this status, as it would in the provider's own time.
    pub(super) fn set_status(&mut self, id: &str, change: &Value) -> Result<Value, Refusal> {
        let Some(status) = change["status"].as_str() else {
            return Err(Refusal::missing("status is missing"));
        };
        self.of_id(id)?.insert("status".into(), status.into());
        Ok(json!({"success": true}))
    }

    /// Templates of this name are removed: all, or the one with this id.
    pub(super) fn delete(&mut self, asked: &HashMap<String, String>) -> Result<Value, Refusal> {
        let Some(name) = asked.get("name") else {
            return Err(Refusal::missing("name is missing"));
        };
        let id = asked.get("hsm_id");
        let is_meant = |one: &Map<String, Value>| {
            text(one, "name") == name && id.is_none_or(|id| text(one, "id") == id)
        };
        let before = self.held.len();
        self.held.retain(|one| !is_meant(one));
        if self.held.len() == before {
            return Err(Refusal::parameter("there is no such template"));
        }
        Ok(json!({"success": true}))
    }

    /// Whether a message can be sent with a template and so many values in its body. Without any
    /// template all are taken.
    pub(super) fn take(&self, called: &(&str, &str, usize)) -> Result<(), Refusal> {
        let (name, language, values) = *called;
        if self.held.is_empty() {
            return Ok(());
        }
        let Some(at) = self.at(name, language) else {
            return Err(Refusal::no_template());
        };
        let one = &self.held[at];
        match text(one, "status") {
            "APPROVED" => {}
            "PAUSED" => return Err(Refusal::template_paused()),
            "DISABLED" => return Err(Refusal::template_disabled()),
            _ => return Err(Refusal::no_template()),
        }
        // What a code's template says is written by the provider.
        if text(one, "category") == "AUTHENTICATION" || values == placeholders(one) {
            return Ok(());
        }
        Err(Refusal::other_count())
    }

    fn at(&self, name: &str, language: &str) -> Option<usize> {
        let is_it = |one: &Map<String, Value>| {
            text(one, "name") == name && text(one, "language") == language
        };
        self.held.iter().position(is_it)
    }

    fn of_id(&mut self, id: &str) -> Result<&mut Map<String, Value>, Refusal> {
        let mut held = self.held.iter_mut();
        let found = held.find(|one| text(one, "id") == id);
        found.ok_or_else(|| Refusal::of(404).expect("the API has words for it"))
    }
}

fn text<'v>(object: &'v Map<String, Value>, key: &str) -> &'v str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_body(component: &Value) -> bool {
    let kind = component["type"].as_str().unwrap_or_default();
    kind.eq_ignore_ascii_case("BODY")
}

/// A template has exactly one body, which is not too long.
fn components(given: Option<&Value>) -> Result<(), Refusal> {
    let Some(components) = given.and_then(Value::as_array) else {
        return Err(Refusal::missing("components is missing"));
    };
    let bodies: Vec<_> = components.iter().filter(|it| is_body(it)).collect();
    let [body] = bodies.as_slice() else {
        return Err(Refusal::template(2_388_072, "a template has one body"));
    };
    let words = body["text"].as_str().unwrap_or_default();
    if words.chars().count() > BODY_CHARS_MAX {
        return Err(Refusal::template(2_388_040, "the body is too long"));
    }
    if words.starts_with("{{") || words.ends_with("}}") {
        return Err(Refusal::template(
            2_388_299,
            "the body begins or ends with a variable",
        ));
    }
    Ok(())
}

/// How many different placeholders the body has.
fn placeholders(template: &Map<String, Value>) -> usize {
    let components = template.get("components").and_then(Value::as_array);
    let body = components.and_then(|components| components.iter().find(|it| is_body(it)));
    let words = body
        .and_then(|body| body["text"].as_str())
        .unwrap_or_default();
    let names = words.split("{{").skip(1);
    let names = names.filter_map(|rest| Some(rest.split_once("}}")?.0.trim()));
    names.collect::<std::collections::BTreeSet<_>>().len()
}
