//! Definitions of templates, as files and answers of providers hold them, become templates. Each
//! way of writing one has a file beside this one.

use serde_json::Value as Json;

use super::Template;

mod cloud;
mod infobip;

/// A definition that cannot be read. It is told to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateProblem {
    /// The file it stands in.
    pub file: String,
    /// What is wrong, as a sentence without a full stop.
    pub text: String,
}

/// The templates in one file, each as a template or as what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Vec<Result<Template, String>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let json: Json = match serde_json::from_slice(bytes) {
        Ok(json) => json,
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            return vec![Err(format!(
                "it is not JSON from line {line}, column {column} on"
            ))];
        }
    };
    let list = match list(&json) {
        Ok(list) => list,
        Err(text) => return vec![Err(text)],
    };
    list.iter()
        .enumerate()
        .map(|(at, definition)| {
            template(definition).map_err(|text| match definition["name"].as_str() {
                Some(name) => format!("`{name}`: {text}"),
                None => format!("template {} of the file: {text}", at + 1),
            })
        })
        .collect()
}

/// The definitions: one, an array of them, or an answer with them.
fn list(json: &Json) -> Result<&[Json], String> {
    /// Where the Cloud API, Infobip's senders and Infobip's account keep their lists.
    const LISTS: [&str; 3] = ["data", "templates", "results"];
    match json {
        Json::Array(list) => Ok(list),
        Json::Object(one) if one.contains_key("components") || one.contains_key("structure") => {
            Ok(std::slice::from_ref(json))
        }
        Json::Object(answer) => LISTS
            .iter()
            .find_map(|key| answer.get(*key).and_then(Json::as_array))
            .map(Vec::as_slice)
            .ok_or_else(|| "it holds no template: there is no `components`".into()),
        _ => Err("it holds no template: it is not an object or an array".into()),
    }
}

fn template(definition: &Json) -> Result<Template, String> {
    if definition["structure"].is_object() {
        cloud::template(&infobip::in_cloud_words(definition)?, &infobip::SENDABLE)
    } else {
        cloud::template(definition, &cloud::SENDABLE)
    }
}
