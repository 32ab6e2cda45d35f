//! The JSON Schema for what a row says to one template: customers find it beside the template's
//! example, and rows are held against it.
//!
//! Each schema inside names in `$comment` the rule that it states, so that what breaks it can be
//! told in words of our own; `words` has those.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value as Json, json};

use super::shape::{ButtonPart, Face, HeaderKind, Shape};
use super::text::Text;
use crate::batch::values::{Filled, ROW_KEYS};

mod rules;

#[cfg(test)]
pub(super) use rules::{ILL_SPACE, MARK};
pub(super) use rules::{PRODUCTS_MAX, media_word};

/// The schema for a row of this template, and what holds rows against it.
pub(super) fn compile(
    name: &str,
    language: &str,
    shape: &Shape,
) -> Result<(Json, Validator<Filled>), String> {
    let schema = row(name, language, shape);
    let validator = jsonschema::options_for::<Filled>()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| format!("its components make no schema: {}", error.masked()))?;
    Ok((schema, validator))
}

fn row(name: &str, language: &str, shape: &Shape) -> Json {
    let [placeholders, header, buttons, cards, offer] = ROW_KEYS;
    let face = &shape.face;
    let mut properties = Map::new();
    let mut required = Vec::new();
    properties.insert(
        placeholders.into(),
        self::placeholders(&face.body, shape.code),
    );
    if !face.body.names.is_empty() {
        required.push(placeholders);
    }
    properties.insert(header.into(), self::header(&face.header));
    if face.header_varies() {
        required.push(header);
    }
    properties.insert(
        buttons.into(),
        self::buttons(&face.buttons, "#/properties/templateButtons"),
    );
    if face.buttons.iter().any(|button| button.kind.is_required()) {
        required.push(buttons);
    }
    properties.insert(cards.into(), self::cards(&shape.cards));
    if !shape.cards.is_empty() {
        required.push(cards);
    }
    if shape.offer_ends() {
        properties.insert(offer.into(), rules::offer());
        required.push(offer);
    } else {
        properties.insert(
            offer.into(),
            nothing("The template has no offer that ends."),
        );
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "row",
        "title": format!("A row for the template {name} in {language}"),
        "description": format!(
            "What a row says to this template, the values at the top of the file included. The \
             row's other keys are described in batch.v1.json. The body has at most {} characters \
             with all values in place.",
            shape.body_chars_max(),
        ),
        "type": "object",
        "properties": properties,
        "required": required,
        "$defs": rules::shared(),
    })
}

/// What stands where the template takes nothing.
fn nothing(description: &str) -> Json {
    json!({ "$comment": "nothing", "description": description, "type": "null" })
}

fn placeholders(text: &Text, code: bool) -> Json {
    let values: Vec<(&String, Json)> = text
        .names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let rule = if code && at == 0 { "code" } else { "value" };
            let words = format!("What is read in the place of {{{{{name}}}}}.");
            (name, described(rule, &words))
        })
        .collect();
    let in_order: Vec<&Json> = values.iter().map(|(_, value)| value).collect();
    let mut list = json!({
        "$comment": "placeholders",
        "maxItems": in_order.len(),
        "minItems": in_order.len(),
    });
    // An empty list of items is no schema.
    if !in_order.is_empty() {
        list["prefixItems"] = json!(in_order);
    }
    let by_name: Map<String, Json> = values
        .iter()
        .map(|(name, value)| ((*name).clone(), value.clone()))
        .collect();
    let mut kinds = vec!["object", "array"];
    if text.names.is_empty() {
        kinds.push("null");
    }
    json!({
        "$comment": "placeholders",
        "description": "The values of the body's placeholders: an object by name, or an array in \
            order.",
        "type": kinds,
        "if": { "type": "array" },
        "then": list,
        "else": {
            "$comment": "placeholders",
            "properties": by_name,
            "required": text.names,
            "additionalProperties": false,
        },
    })
}

fn described(rule: &str, words: &str) -> Json {
    json!({ "description": words, "$ref": format!("#/$defs/{rule}") })
}

fn header(kind: &HeaderKind) -> Json {
    match kind {
        HeaderKind::Text(text) => match text.names.first() {
            Some(name) => rules::text_header(name),
            None => nothing("The template's header does not vary."),
        },
        HeaderKind::None => nothing("The template has no header."),
        HeaderKind::Media(kind) => rules::media(*kind),
        HeaderKind::Location => rules::location(),
        HeaderKind::Product => rules::product(),
    }
}

/// The buttons as an object by index, or as an array of buttons that name their index; `at` is
/// where this schema stands.
fn buttons(buttons: &[ButtonPart], at: &str) -> Json {
    let mut by_index = Map::new();
    let (mut indices, mut required, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for (index, button) in buttons.iter().enumerate() {
        if !button.kind.varies() {
            continue;
        }
        by_index.insert(index.to_string(), rules::button(index, button));
        indices.extend([json!(index), json!(index.to_string())]);
        types.extend(button.kind.types().iter().copied());
        if button.kind.is_required() {
            required.push(index);
        }
    }
    if by_index.is_empty() {
        return json!({
            "$comment": "nothing",
            "description": "No button of the template varies.",
            "type": ["null", "array", "object"],
            "maxItems": 0,
            "maxProperties": 0,
        });
    }
    types.sort_unstable();
    types.dedup();
    let needed: Vec<Json> = required.iter().map(|index| listed(*index)).collect();
    let mut list = json!({
        "$comment": "buttons",
        "items": in_a_list(at, &types, &indices),
    });
    if !needed.is_empty() {
        list["allOf"] = json!(needed);
    }
    let named: Vec<String> = required.iter().map(usize::to_string).collect();
    let mut kinds = vec!["object", "array"];
    if required.is_empty() {
        kinds.push("null");
    }
    json!({
        "$comment": "buttons",
        "description": "What varies in the buttons: an object by index, counted from 0 over all \
            buttons of the template, or an array of objects with `type`, `index` and `value`.",
        "type": kinds,
        "if": { "type": "array" },
        "then": list,
        "else": {
            "$comment": "buttons",
            "properties": by_index,
            "required": named,
            "additionalProperties": false,
        },
    })
}

/// A button in an array: it names its index, or is a kind with the values of several.
fn in_a_list(at: &str, types: &[&str], indices: &[Json]) -> Json {
    let place = json!({ "description": "Its place among all buttons, from 0.", "enum": indices });
    let each = indices.chunks(2).map(|index| {
        let button = format!("{at}/else/properties/{}", index[0]);
        json!({
            "if": { "required": ["index"], "properties": { "index": { "enum": index } } },
            "then": { "$ref": button },
        })
    });
    let each: Vec<Json> = each.collect();
    json!({
        "$comment": "buttons",
        "type": "object",
        "properties": {
            "type": { "description": "The kind of button.", "enum": types },
            "index": place,
            "values": {
                "description": "The values of several buttons of this kind, each with its index.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": { "index": place },
                    "required": ["index"],
                    "allOf": each,
                },
            },
        },
        "oneOf": [{ "required": ["index"] }, { "required": ["values"] }],
        "allOf": each,
    })
}

/// An array with the button of this index in it.
fn listed(index: usize) -> Json {
    let is_it = json!({
        "required": ["index"],
        "properties": { "index": { "enum": [index, index.to_string()] } },
    });
    json!({ "contains": { "anyOf": [
        is_it,
        { "required": ["values"], "properties": { "values": { "contains": is_it } } },
    ]}})
}

fn cards(cards: &[Face]) -> Json {
    if cards.is_empty() {
        return json!({
            "$comment": "nothing",
            "description": "The template has no cards.",
            "type": ["null", "array"],
            "maxItems": 0,
        });
    }
    let each: Vec<Json> = cards.iter().enumerate().map(card).collect();
    json!({
        "$comment": "cards",
        "description": "The cards of the carousel, all of them, in the order of the template.",
        "type": "array",
        "prefixItems": each,
        "minItems": cards.len(),
        "maxItems": cards.len(),
    })
}

fn card((place, face): (usize, &Face)) -> Json {
    let mut required = Vec::new();
    if face.header_varies() {
        required.push("header");
    }
    if !face.body.names.is_empty() {
        required.push("placeholders");
    }
    if face.buttons.iter().any(|button| button.kind.is_required()) {
        required.push("buttons");
    }
    let at = format!("#/properties/templateCards/prefixItems/{place}/properties/buttons");
    json!({
        "$comment": "card",
        "description": "What varies in this card.",
        "type": "object",
        "properties": {
            "header": header(&face.header),
            "placeholders": placeholders(&face.body, false),
            "buttons": buttons(&face.buttons, &at),
        },
        "required": required,
        "additionalProperties": false,
    })
}
