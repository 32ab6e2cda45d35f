//! Definitions of templates, as the Cloud API's list returns them, become templates.

use serde_json::Value as Json;

use super::schema::compile;
use super::{Segment, Template};
use crate::batch::marks::{Brackets, Piece, pieces};

/// The one status that can be sent.
pub(super) const APPROVED: &str = "APPROVED";

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
    let list = match &json {
        Json::Array(list) => list.as_slice(),
        Json::Object(one) if one.contains_key("components") => std::slice::from_ref(&json),
        Json::Object(answer) => match answer.get("data").and_then(Json::as_array) {
            Some(list) => list.as_slice(),
            None => return vec![Err("it holds no template: there is no `components`".into())],
        },
        _ => {
            return vec![Err(
                "it holds no template: it is not an object or an array".into()
            )];
        }
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

fn template(definition: &Json) -> Result<Template, String> {
    let text = |key: &str| definition[key].as_str().filter(|text| !text.is_empty());
    let name = text("name").ok_or("it has no `name`")?.to_owned();
    let language = text("language").ok_or("it has no `language`")?.to_owned();
    // A definition written by hand may leave the status out; nothing says that it is approved.
    let status = text("status").ok_or("it has no `status`")?.to_uppercase();
    let category = text("category").unwrap_or_default().to_uppercase();
    let components = definition["components"]
        .as_array()
        .ok_or("it has no `components`")?;
    let body = components
        .iter()
        .find(|component| is_kind(component, "BODY"))
        .and_then(|component| component["text"].as_str().map(|text| (component, text)));
    let unsupported = match body {
        None => "a body without text".into(),
        Some(_) => unsupported(components, category == "AUTHENTICATION"),
    };
    let (component, body_text) = body.unwrap_or((&Json::Null, ""));
    let body_pieces = pieces(body_text, Brackets::Curly);
    let names = names(&body_pieces);
    let numbered = names.iter().all(|name| name.parse::<u32>().is_ok());
    let by_name = match text("parameter_format") {
        Some(format) => format.eq_ignore_ascii_case("NAMED"),
        None => !numbered,
    };
    let names = if by_name { names } else { in_order(names)? };
    let body: Vec<Segment> = body_pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Words(words) => Segment::Words(words.into()),
            Piece::Mark(mark) => {
                let at = names.iter().position(|name| name == mark);
                at.map_or_else(|| Segment::Words(mark.into()), Segment::Mark)
            }
        })
        .collect();
    let uses = (0..names.len())
        .map(|at| body.iter().filter(|&it| *it == Segment::Mark(at)).count())
        .collect();
    let fixed_chars = body
        .iter()
        .map(|segment| match segment {
            Segment::Words(words) => words.chars().count(),
            Segment::Mark(_) => 0,
        })
        .sum();
    let (schema, validator) = compile(&name, &language, &names)?;
    Ok(Template {
        examples: examples(component, &names),
        name,
        language,
        status,
        authentication: category == "AUTHENTICATION",
        named: by_name,
        body,
        names,
        uses,
        fixed_chars,
        unsupported,
        schema,
        validator,
    })
}

fn is_kind(object: &Json, kind: &str) -> bool {
    object["type"]
        .as_str()
        .is_some_and(|it| it.eq_ignore_ascii_case(kind))
}

/// The distinct names of placeholders, in the order of the text.
fn names(pieces: &[Piece<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in pieces {
        if let Piece::Mark(name) = piece
            && !names.iter().any(|known| known == name)
        {
            names.push((*name).into());
        }
    }
    names
}

/// Numbered placeholders run from 1 without gaps, wherever they stand in the text.
fn in_order(names: Vec<String>) -> Result<Vec<String>, String> {
    let expected: Vec<String> = (1..=names.len()).map(|number| number.to_string()).collect();
    let mut sorted = names;
    sorted.sort_by_key(|name| name.parse::<u32>().unwrap_or(u32::MAX));
    if sorted == expected {
        Ok(expected)
    } else {
        Err("its placeholders are not numbered from 1 without gaps".into())
    }
}

/// An example value for each placeholder: the definition's own, as far as it has them.
fn examples(body: &Json, names: &[String]) -> Vec<String> {
    let example = &body["example"];
    let listed: Vec<&str> = match &example["body_text"] {
        Json::Array(list) => match list.first() {
            Some(Json::Array(first)) => first.iter().filter_map(Json::as_str).collect(),
            _ => list.iter().filter_map(Json::as_str).collect(),
        },
        Json::String(one) => vec![one.as_str()],
        _ => Vec::new(),
    };
    let by_name = example["body_text_named_params"].as_array();
    names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            by_name
                .into_iter()
                .flatten()
                .find(|given| given["param_name"] == name.as_str())
                .and_then(|given| given["example"].as_str())
                .or(listed.get(at).copied())
                .filter(|text| !text.is_empty())
                .map_or_else(|| format!("value of {name}"), str::to_owned)
        })
        .collect()
}

/// The first component that needs values which cannot be given yet; empty if there is none.
fn unsupported(components: &[Json], authentication: bool) -> String {
    for component in components {
        let kind = component["type"]
            .as_str()
            .unwrap_or_default()
            .to_uppercase();
        let found = match kind.as_str() {
            "BODY" | "FOOTER" => String::new(),
            "HEADER" => header(component),
            "BUTTONS" => buttons(component, authentication),
            "LIMITED_TIME_OFFER" => "a limited-time offer".into(),
            "CAROUSEL" => "a carousel".into(),
            _ => format!("a component of the kind {kind}"),
        };
        if !found.is_empty() {
            return found;
        }
    }
    String::new()
}

fn header(component: &Json) -> String {
    let format = component["format"].as_str().unwrap_or_default();
    let text = component["text"].as_str().unwrap_or_default();
    match format.to_uppercase().as_str() {
        "TEXT" if has_placeholder(text) => "a placeholder in its header".into(),
        "TEXT" => String::new(),
        "IMAGE" => "an image header".into(),
        "VIDEO" => "a video header".into(),
        "DOCUMENT" => "a document header".into(),
        "LOCATION" => "a location header".into(),
        other => format!("a header of the kind {other}"),
    }
}

fn buttons(component: &Json, authentication: bool) -> String {
    let buttons = component["buttons"].as_array();
    for button in buttons.into_iter().flatten() {
        let kind = button["type"].as_str().unwrap_or_default().to_uppercase();
        let url = button["url"].as_str().unwrap_or_default();
        let found = match kind.as_str() {
            // The button of a one-time password reads back as a link in some accounts.
            "OTP" => "a one-time-password button".into(),
            "URL" if authentication => "a one-time-password button".into(),
            "URL" if has_placeholder(url) => "a link button with a placeholder".into(),
            "URL"
            | "QUICK_REPLY"
            | "PHONE_NUMBER"
            | "VOICE_CALL"
            | "CATALOG"
            | "SPM"
            | "REQUEST_CONTACT_INFO" => String::new(),
            "COPY_CODE" => "a copy-code button".into(),
            "FLOW" => "a flow button".into(),
            "MPM" => "a product-list button".into(),
            other => format!("a button of the kind {other}"),
        };
        if !found.is_empty() {
            return found;
        }
    }
    String::new()
}

fn has_placeholder(text: &str) -> bool {
    crate::batch::marks::has_mark(text, Brackets::Curly)
}
