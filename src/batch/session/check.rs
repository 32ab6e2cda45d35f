//! Content held against `schemas/session.v1.json`. The validator's own words would quote the
//! values, so its errors are told by kind and place.

use std::collections::HashSet;
use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, PatternOptions, ValidationError, Validator};
use serde_json::{Value as Json, json};

use super::form::Form;
use super::words::{Texts, is_marked};
use super::{FAULTS_MAX, Kind, Misfit, rules};
use crate::batch::fault::{Code, Trouble};
use crate::batch::template::{quoted_list, unknown_hint};
use crate::batch::tree::{Entry, Node, Value};
use crate::batch::values::{Filled, View};

/// How many unknown keys of one message are compared with the known ones.
const COMPARED_MAX: usize = 5;

/// The schema as customers get it.
static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    let text = include_str!("../../../schemas/session.v1.json");
    serde_json::from_str(text).expect("the schema that is compiled in is JSON")
});

/// One validator for each kind, in the order of [`Kind::ALL`].
static VALIDATORS: LazyLock<Vec<Validator<Filled>>> =
    LazyLock::new(|| Kind::ALL.into_iter().map(compile).collect());

fn compile(kind: Kind) -> Validator<Filled> {
    let schema = json!({
        "$schema": SCHEMA["$schema"],
        "$defs": SCHEMA["$defs"],
        "$ref": format!("#/$defs/{}", kind.as_str()),
    });
    jsonschema::options_for::<Filled>()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .expect("the schema that is compiled in is one")
}

/// Everything that is wrong with a content whose marks are filled.
pub(super) fn all(kind: Kind, node: &Node<'_>) -> Vec<Misfit> {
    let mut misfits = rules::broken(kind, node);
    let validator = &VALIDATORS[kind.index()];
    if validator.is_valid(View::Node(node)) {
        return misfits;
    }
    let mut compared = 0..COMPARED_MAX;
    let broken = misfits.clone();
    for error in validator.iter_errors(View::Node(node)).take(FAULTS_MAX) {
        reword(&error, node, &mut compared, &mut misfits);
    }
    // Of an address that is too long, one of the two says enough.
    let is_told = |at| broken.iter().any(|other| other.at == at);
    misfits.retain(|it| it.trouble.code != Code::SessionLength || !is_told(it.at));
    if misfits.is_empty() {
        // What no rule names is still not what will be taken.
        let expected = format!("`{}` as in the Cloud API", kind.as_str());
        let trouble = Trouble::new(Code::BatchBadValue, expected, "another form");
        misfits.push(Misfit::new(node.at, trouble));
    }
    misfits
}

/// What is wrong with a content whatever its marks will be filled with.
pub(super) fn unfilled(form: &Form<'_>, texts: &Texts) -> Vec<Misfit> {
    let mut open = Vec::new();
    marked(form.node(), &mut open);
    let mut misfits = all(form.kind, &texts.stripped(form));
    misfits.retain(|misfit| !open.contains(&misfit.at));
    misfits
}

/// Where texts with marks stand.
fn marked(node: &Node<'_>, open: &mut Vec<usize>) {
    match &node.value {
        Value::Text(_) if is_marked(node) => open.push(node.at),
        Value::List(nodes) => nodes.iter().for_each(|node| marked(node, open)),
        Value::Object(entries) => entries.iter().for_each(|entry| marked(&entry.node, open)),
        _ => {}
    }
}

fn reword(
    error: &ValidationError<'_>,
    root: &Node<'_>,
    compared: &mut std::ops::Range<usize>,
    misfits: &mut Vec<Misfit>,
) {
    let (node, key) = find(root, error.instance_path().as_str());
    let trouble = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unknown_keys(node, unexpected, &known_keys(error), compared, misfits);
            return;
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            Trouble::new(Code::BatchMissingKey, format!("`{name}`"), "none")
        }
        ValidationErrorKind::Type { kind } => wrong_kind(kind, node),
        ValidationErrorKind::MinLength { .. } => length(key, None, node),
        ValidationErrorKind::MaxLength { limit } => length(key, Some(*limit), node),
        ValidationErrorKind::MinItems { .. } => {
            Trouble::new(Code::SessionCount, "at least 1 entry", "none")
        }
        ValidationErrorKind::MaxItems { limit } => {
            let expected = format!("at most {limit} entries");
            Trouble::new(Code::SessionCount, expected, entries(node))
        }
        ValidationErrorKind::MinProperties { .. } => {
            let expected = "at least 1 value, or no such key";
            Trouble::new(Code::BatchBadValue, expected, "an empty object")
        }
        ValidationErrorKind::Constant { expected_value } => {
            one_of(std::slice::from_ref(&**expected_value), node)
        }
        ValidationErrorKind::Enum { options } => {
            one_of(options.as_array().map_or(&[], Vec::as_slice), node)
        }
        ValidationErrorKind::Pattern { .. } if is_blank(node) => length(key, None, node),
        ValidationErrorKind::Pattern { .. } => pattern(key),
        ValidationErrorKind::AnyOf { .. } if matches!(key, "latitude" | "longitude") => {
            rules::degrees(key, node)
        }
        // What is told by a rule that knows more about it.
        _ => return,
    };
    misfits.push(Misfit::new(node.at, trouble));
}

/// The value that a pointer leads to, and the last key on its way.
fn find<'n, 'p>(root: &'n Node<'n>, pointer: &'p str) -> (&'n Node<'n>, &'p str) {
    let (mut node, mut key) = (root, "");
    for step in pointer.split('/').skip(1) {
        let next = match &node.value {
            Value::Object(entries) => {
                key = step;
                entries
                    .iter()
                    .find(|entry| entry.key == step)
                    .map(|entry| &entry.node)
            }
            Value::List(nodes) => step.parse().ok().and_then(|at: usize| nodes.get(at)),
            _ => None,
        };
        let Some(next) = next else { break };
        node = next;
    }
    (node, key)
}

/// The keys that are known where an unknown one was found.
fn known_keys(error: &ValidationError<'_>) -> Vec<String> {
    let path = error.schema_path().as_str();
    let object = path.strip_suffix("/additionalProperties").unwrap_or(path);
    SCHEMA
        .pointer(object)
        .and_then(|object| object["properties"].as_object())
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

fn unknown_keys(
    node: &Node<'_>,
    unexpected: &[String],
    known: &[String],
    compared: &mut std::ops::Range<usize>,
    misfits: &mut Vec<Misfit>,
) {
    let Value::Object(entries) = &node.value else {
        return;
    };
    let unexpected: HashSet<&str> = unexpected.iter().map(String::as_str).collect();
    let is_unknown = |entry: &&Entry<'_>| unexpected.contains(entry.key.as_ref());
    for entry in entries.iter().filter(is_unknown).take(FAULTS_MAX) {
        // Comparing names is slow; an object with more unknown ones is of another kind.
        let near = match compared.next() {
            Some(_) => unknown_hint(&entry.key, known),
            None => String::new(),
        };
        let (code, hint) = if near.is_empty() {
            let hint = "remove it: WhatsApp refuses keys that it does not know";
            (Code::BatchUnknownKey, hint.to_owned())
        } else {
            (Code::BatchMisspeltKey, near)
        };
        let expected = format!("one of {}", quoted_list(known));
        let trouble = Trouble::new(code, expected, "another key").hint(hint);
        misfits.push(Misfit::new(entry.key_at, trouble));
    }
}

fn wrong_kind(kind: &TypeKind, node: &Node<'_>) -> Trouble {
    let expected = match kind {
        TypeKind::Single(JsonType::Boolean) => "`true` or `false`",
        TypeKind::Single(JsonType::Object) => "an object",
        TypeKind::Single(JsonType::Array) => "an array",
        TypeKind::Single(JsonType::String) => "a text",
        _ => "another kind of value",
    };
    let trouble = Trouble::new(Code::BatchWrongKind, expected, node.kind());
    match (expected, &node.value) {
        ("a text", _) => quoted(trouble, node),
        ("an array", Value::Object(_)) => trouble.hint("put it in `[` and `]`"),
        ("`true` or `false`", Value::Text(text)) if matches!(text.as_ref(), "true" | "false") => {
            trouble.hint("remove the quotation marks")
        }
        _ => trouble,
    }
}

/// The hint for what would be a text in quotation marks.
fn quoted(trouble: Trouble, node: &Node<'_>) -> Trouble {
    match node.value {
        Value::Number(_) | Value::Bool(_) => trouble.hint("put it in quotation marks"),
        _ => trouble,
    }
}

/// What is said about a text that is too short or, with a limit, too long.
fn length(key: &str, limit: Option<u64>, node: &Node<'_>) -> Trouble {
    let text = node.text().unwrap_or_default();
    let expected = match (key, limit) {
        ("body", _) => "a text of 1 to 4096 characters with all values in place".into(),
        (_, Some(limit)) => format!("at most {limit} characters with all values in place"),
        (_, None) => "a text".into(),
    };
    let found = match text.chars().count() {
        _ if is_blank(node) => "an empty text".into(),
        chars => format!("{chars} characters"),
    };
    Trouble::new(Code::SessionLength, expected, found)
}

fn is_blank(node: &Node<'_>) -> bool {
    node.text().is_some_and(|text| text.trim().is_empty())
}

fn entries(node: &Node<'_>) -> String {
    match &node.value {
        Value::List(nodes) => nodes.len().to_string(),
        _ => "another number".into(),
    }
}

fn one_of(options: &[Json], node: &Node<'_>) -> Trouble {
    let names: Vec<String> = options
        .iter()
        .filter_map(|option| option.as_str().map(str::to_owned))
        .collect();
    let expected = match names.as_slice() {
        [only] => format!("`{only}`"),
        several => format!("one of {}", quoted_list(several)),
    };
    match node.text() {
        Some(text) if !text.is_empty() => {
            Trouble::new(Code::BatchBadValue, expected, "another word")
        }
        Some(_) => Trouble::new(Code::BatchBadValue, expected, node.kind()),
        None => quoted(
            Trouble::new(Code::BatchWrongKind, expected, node.kind()),
            node,
        ),
    }
}

/// What is said about a text of another form.
fn pattern(key: &str) -> Trouble {
    let expected = match key {
        "email" => "an e-mail address",
        "phone" => "a phone number of at least 3 digits",
        "wa_id" => "digits alone",
        "birthday" => "a date such as 1984-05-17",
        "id" => "a text without spaces at its ends",
        _ => "a text of another form",
    };
    Trouble::new(Code::BatchBadValue, expected, "a text of another form")
}
