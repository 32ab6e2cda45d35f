//! What a template says in one language, from Bird's blocks to the Cloud API's components.

use serde_json::{Map, Value as Json, json};

/// The components of a definition, and the names of those places that do not show theirs.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) components: Vec<Json>,
    pub(super) variables: Map<String, Json>,
}

/// What the blocks say.
pub(super) fn built(content: &Json, template: &Json, locale: &str) -> Built {
    let mut built = Built::default();
    let mut buttons = Vec::new();
    for block in content["blocks"].as_array().into_iter().flatten() {
        let kind = block["type"].as_str().unwrap_or_default();
        match (kind, block["role"].as_str().unwrap_or_default()) {
            ("text", role) => {
                let text = &block["text"]["text"];
                built.text(role, text, template, locale);
            }
            ("image", "header") => built.file("IMAGE", &block["image"]),
            ("file", "header") => {
                let kind = block["file"]["contentType"].as_str().unwrap_or_default();
                let is_video = kind.starts_with("video/");
                let format = if is_video { "VIDEO" } else { "DOCUMENT" };
                built.file(format, &block["file"]);
            }
            (kind, _) if kind.ends_with("-action") => {
                let index = buttons.len();
                buttons.push(built.button(kind, block, index));
            }
            // Told by its name, so that whoever uses the template learns why it cannot be.
            (kind, _) => built
                .components
                .push(json!({ "type": kind.to_uppercase() })),
        }
    }
    if !buttons.is_empty() {
        let buttons = json!({ "type": "BUTTONS", "buttons": buttons });
        built.components.push(buttons);
    }
    built
}

/// What is known where the answer has no blocks: the names of what varies. They stand in a body,
/// which is where most of them do; a message names them in the same way wherever they are.
pub(super) fn guessed(template: &Json, name: &str) -> Built {
    let keys = template["variables"].as_array().into_iter().flatten();
    let keys = keys.filter_map(|it| it["key"].as_str());
    let marks: Vec<String> = keys.map(|key| format!("{{{{{key}}}}}")).collect();
    let text = match marks.as_slice() {
        [] => name.to_owned(),
        marks => marks.join(" "),
    };
    Built {
        components: vec![json!({ "type": "BODY", "text": text })],
        variables: Map::new(),
    }
}

impl Built {
    fn text(&mut self, role: &str, text: &Json, template: &Json, locale: &str) {
        let examples = examples(template, locale);
        self.components.push(match role {
            "header" => json!({
                "type": "HEADER", "format": "TEXT", "text": text,
                "example": { "header_text_named_params": examples },
            }),
            "footer" => json!({ "type": "FOOTER", "text": text }),
            _ => json!({
                "type": "BODY", "text": text,
                "example": { "body_text_named_params": examples },
            }),
        });
    }

    /// A file in the header. One that is always the same asks for nothing.
    fn file(&mut self, format: &str, file: &Json) {
        let address = file["mediaUrl"].as_str().unwrap_or_default();
        let name = address
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
            .map(str::trim);
        match name {
            Some(name) => {
                self.variables.insert(name.into(), json!("header"));
                let header = json!({ "type": "HEADER", "format": format });
                self.components.push(header);
            }
            None if address.contains("{{") => {
                let format = format!("{format} WITH A PART OF ITS ADDRESS");
                let header = json!({ "type": "HEADER", "format": format });
                self.components.push(header);
            }
            None => {}
        }
    }

    fn button(&mut self, kind: &str, block: &Json, index: usize) -> Json {
        let own = |key: &str| &block[key];
        match kind {
            "link-action" => {
                let link = own("linkAction");
                let url = link["url"].as_str().unwrap_or_default();
                // A number is not taken for a name, so that it is said.
                let mark = url
                    .split_once("{{")
                    .and_then(|(_, rest)| rest.split_once("}}"));
                if let Some((mark, _)) = mark.filter(|(mark, _)| mark.trim().parse::<u32>().is_ok())
                {
                    let place = json!(format!("button:{index}"));
                    self.variables.insert(mark.trim().into(), place);
                }
                json!({ "type": "URL", "text": link["text"], "url": url })
            }
            "reply-action" => json!({ "type": "QUICK_REPLY", "text": own("replyAction")["text"] }),
            "call-phone-number-action" => {
                let call = own("callPhoneNumberAction");
                json!({
                    "type": "PHONE_NUMBER", "text": call["text"],
                    "phone_number": call["phoneNumber"],
                })
            }
            other => json!({ "type": other.to_uppercase() }),
        }
    }
}

/// An example for each variable, as the Cloud API writes them.
fn examples(template: &Json, locale: &str) -> Vec<Json> {
    let variables = template["variables"].as_array().into_iter().flatten();
    variables
        .filter_map(|variable| {
            let example = &variable["examplesLocale"][locale]["exampleValueStrings"][0];
            let example = example.as_str()?;
            Some(json!({ "param_name": variable["key"].as_str()?, "example": example }))
        })
        .collect()
}
