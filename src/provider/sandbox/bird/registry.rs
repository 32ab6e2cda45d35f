//! The templates of the stand-in, in Bird's form: a project with one channel template that has a
//! content for each language. They are made of definitions in the Cloud API's form, whose `id` is
//! the project's and whose `variables` name what varies.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::shape::Findings;
use crate::provider::bird::{LATEST, is_uuid};

/// The templates.
#[derive(Debug, Default)]
pub(super) struct Registry(BTreeMap<String, Project>);

#[derive(Debug)]
struct Project {
    name: String,
    /// Each language with its definition.
    languages: BTreeMap<String, Language>,
}

#[derive(Debug)]
struct Language {
    active: bool,
    category: String,
    /// The names of what varies, and whether a message must give a value.
    keys: BTreeMap<String, bool>,
    blocks: Vec<Json>,
}

impl Registry {
    /// The registry of those definitions that have a project's id.
    pub(super) fn of(definitions: &[Json]) -> Self {
        let mut registry = Self::default();
        for definition in definitions {
            let text = |key: &str| definition[key].as_str().unwrap_or_default();
            if !is_uuid(text("id")) {
                continue;
            }
            let project = registry.0.entry(text("id").to_owned());
            let project = project.or_insert_with(|| Project {
                name: text("name").to_owned(),
                languages: BTreeMap::new(),
            });
            let locale = text("language").replace('_', "-");
            project.languages.insert(locale, Language::of(definition));
        }
        registry
    }

    /// The projects of a workspace: every workspace has the same.
    pub(super) fn projects(&self, workspace: &str) -> Vec<Json> {
        let of = |(id, project): (&String, &Project)| {
            let locales: Vec<&String> = project.languages.keys().collect();
            json!({
                "id": id, "workspaceId": workspace, "name": project.name,
                "type": "channelTemplate", "scope": 3, "supportedPlatforms": ["whatsapp"],
                "locales": locales, "activeResourceId": version(id),
            })
        };
        self.0.iter().map(of).collect()
    }

    /// The channel templates of a project.
    pub(super) fn templates(&self, id: &str) -> Option<Vec<Json>> {
        let project = self.0.get(id)?;
        let mut contents = Vec::new();
        let mut statuses = Map::new();
        let mut keys: BTreeMap<&String, bool> = BTreeMap::new();
        for (locale, language) in &project.languages {
            contents.push(json!({
                "platform": "whatsapp", "locale": locale, "blocks": language.blocks,
            }));
            let status = if language.active { "active" } else { "pending" };
            statuses.insert(locale.clone(), json!(status));
            keys.extend(language.keys.iter().map(|(key, needed)| (key, *needed)));
        }
        let any = project.languages.values().any(|language| language.active);
        let category = project.languages.values().map(|it| &it.category).next();
        let variable = |(key, _): (&&String, &bool)| json!({ "key": key, "type": "string", "format": "none", "description": "" });
        Some(vec![json!({
            "id": version(id), "projectId": id,
            "status": if any { "active" } else { "draft" },
            "localeStatuses": statuses,
            "defaultLocale": project.languages.keys().next(),
            "deployments": [
                { "key": "whatsappTemplateName", "platform": "whatsapp", "value": project.name },
                { "key": "whatsappCategory", "platform": "whatsapp", "value": category },
            ],
            "variables": keys.iter().map(variable).collect::<Vec<_>>(),
            "platformContent": contents,
        })])
    }

    /// Checks the `template` of a send call.
    pub(super) fn check(&self, template: &Json, findings: &mut Findings) {
        let members = [
            "projectId",
            "version",
            "locale",
            "parameters",
            "variables",
            "name",
            "attachments",
            "shortLinks",
            "utmParameters",
            "settings",
        ];
        if !findings.closed("template", template, (&members, 3)) {
            return;
        }
        let given = given(template, findings);
        let text = |key: &str| template[key].as_str().unwrap_or_default();
        let project = self.0.get(text("projectId"));
        // Without any template, any is taken.
        if !is_uuid(text("projectId")) || (project.is_none() && !self.0.is_empty()) {
            findings.add("template.projectId", "no such project");
        }
        let Some(project) = project else {
            return;
        };
        if text("version") != LATEST && text("version") != version(text("projectId")) {
            findings.add("template.version", "no such version");
        }
        let language = project.languages.get(text("locale"));
        let Some(language) = language.filter(|language| language.active) else {
            findings.add("template.locale", "not an active language of the template");
            return;
        };
        for (key, needed) in &language.keys {
            if *needed && !given.contains(key) {
                findings.add(format!("template.parameters.{key}"), "missing");
            }
        }
        for key in given.iter().filter(|key| !language.keys.contains_key(*key)) {
            findings.add(format!("template.parameters.{key}"), "no such variable");
        }
    }
}

/// The names of the values in a message.
fn given(template: &Json, findings: &mut Findings) -> Vec<String> {
    let (parameters, variables) = (&template["parameters"], &template["variables"]);
    if !parameters.is_null() && !variables.is_null() {
        findings.add("template.variables", "beside parameters");
    }
    let mut keys = Vec::new();
    let items = findings.items("template.parameters", parameters);
    if items.is_empty() && !parameters.is_null() {
        findings.add("template.parameters", "empty");
    }
    for (at, item) in items.iter().enumerate() {
        let path = format!("template.parameters[{at}]");
        findings.closed(&path, item, (&["type", "key", "value"], 2));
        if item["type"] == "string" && !item["value"].is_string() {
            findings.add(format!("{path}.value"), "not a text");
        }
        keys.extend(item["key"].as_str().map(str::to_owned));
    }
    for (key, value) in variables.as_object().into_iter().flatten() {
        if !value.is_string() {
            findings.add(format!("template.variables.{key}"), "not a text");
        }
        keys.push(key.clone());
    }
    keys
}

/// The id of the only version of a project's template: the project's, with other first digits.
fn version(project: &str) -> String {
    format!("00000000{}", project.get(8..).unwrap_or_default())
}

impl Language {
    fn of(definition: &Json) -> Self {
        let text = |key: &str| definition[key].as_str().unwrap_or_default();
        let mut names = BTreeMap::new();
        for (name, place) in definition["variables"].as_object().into_iter().flatten() {
            names.insert(place.as_str().unwrap_or_default(), name.as_str());
        }
        let mut language = Self {
            active: text("status").eq_ignore_ascii_case("APPROVED"),
            category: text("category").to_uppercase(),
            keys: BTreeMap::new(),
            blocks: Vec::new(),
        };
        for component in definition["components"].as_array().into_iter().flatten() {
            language.component(component, &names);
        }
        language
    }

    fn component(&mut self, component: &Json, names: &BTreeMap<&str, &str>) {
        let kind = component["type"].as_str().unwrap_or_default();
        let kind = kind.to_lowercase();
        match kind.as_str() {
            "buttons" => {
                let buttons = component["buttons"].as_array().into_iter().flatten();
                for (index, button) in buttons.enumerate() {
                    self.button(&format!("button:{index}"), button, names);
                }
            }
            "header" if component["format"] != "TEXT" => {
                let name = names.get("header").copied().unwrap_or("header");
                self.keys.insert(name.to_owned(), true);
                let file = json!({ "mediaUrl": format!("{{{{{name}}}}}") });
                let block = match component["format"].as_str() {
                    Some("IMAGE") => json!({ "type": "image", "role": kind, "image": file }),
                    format => {
                        let is_video = format == Some("VIDEO");
                        let kind_of = if is_video {
                            "video/mp4"
                        } else {
                            "application/pdf"
                        };
                        let mut file = file;
                        file["contentType"] = json!(kind_of);
                        json!({ "type": "file", "role": kind, "file": file })
                    }
                };
                self.blocks.push(block);
            }
            _ => {
                let text = component["text"].as_str().unwrap_or_default();
                let text = self.named(text, &kind, names);
                let text = json!({ "text": text });
                let block = json!({ "type": "text", "role": kind, "text": text });
                self.blocks.push(block);
            }
        }
    }

    /// A text with Bird's names of its placeholders, which are kept.
    fn named(&mut self, text: &str, place: &str, names: &BTreeMap<&str, &str>) -> String {
        let mut said = String::new();
        let mut rest = text;
        while let Some((before, (mark, after))) = rest
            .split_once("{{")
            .and_then(|(before, inside)| Some((before, inside.split_once("}}")?)))
        {
            let mark = mark.trim();
            let own = match place {
                "body" => names.get(format!("body:{mark}").as_str()),
                place => names.get(place),
            };
            let name = own.copied().unwrap_or(mark);
            self.keys.insert(name.to_owned(), true);
            said.extend([before, "{{", name, "}}"]);
            rest = after;
        }
        said + rest
    }

    fn button(&mut self, place: &str, button: &Json, names: &BTreeMap<&str, &str>) {
        let words = &button["text"];
        let kind = button["type"].as_str().unwrap_or_default();
        let block = match kind.to_uppercase().as_str() {
            "URL" => {
                let url = button["url"].as_str().unwrap_or_default();
                let url = self.named(url, place, names);
                json!({ "type": "link-action", "linkAction": { "text": words, "url": url } })
            }
            "PHONE_NUMBER" => json!({
                "type": "call-phone-number-action",
                "callPhoneNumberAction": { "text": words, "phoneNumber": button["phone_number"] },
            }),
            "QUICK_REPLY" => {
                // What comes back may be said, and need not be.
                if let Some(name) = names.get(place) {
                    self.keys.insert((*name).to_owned(), false);
                }
                json!({ "type": "reply-action", "replyAction": { "text": words } })
            }
            other => {
                if let Some(name) = names.get(place) {
                    self.keys.insert((*name).to_owned(), true);
                }
                let kind = other.to_lowercase().replace('_', "-");
                json!({ "type": format!("{kind}-action"), "text": words })
            }
        };
        self.blocks.push(block);
    }
}
