//! The schema of a dialect's head or row, and what is said about what does not satisfy it. The
//! validator's own words would quote the value, so its errors are told by kind and place.

use std::collections::HashSet;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, PatternOptions, Validator};
use serde_json::Value as Json;

use super::guest::says_something;
use super::native::{ROW_FAULTS_MAX, deciding, key_twice, resembled_deciding};
use super::near::Known;
use crate::batch::fault::{Code, Misfit, Trouble};
use crate::batch::tree::{Entry, Node, Value, duplicates};
use crate::batch::values::{Filled, View};

/// The most unknown keys of one head or row that are compared with known ones, and as many within
/// it: a slip of the hand stands among few of them, and comparing is slow.
const COMPARED_MAX: usize = 200;
/// The schema's own words for what belongs in a place, where its keywords do not say it.
const EXPECTED: &str = "x-expected";
/// The schema's own words on how to mend it.
const HINT: &str = "x-hint";
/// The schema's own code for what is wrong in a place.
const CODE: &str = "x-code";
/// Says of an object within that it is a row: keys of the native form could be meant there.
pub(super) const ROW: &str = "x-row";

/// A schema, compiled.
pub(super) struct Judge {
    schema: Json,
    /// The keys of the outermost object, where no others may stand. The compiled schema takes any:
    /// a column of the tenant's own is common, and asking the schema why it is wrong is slow.
    own_keys: Option<Known<String>>,
    validator: Validator<Filled>,
}

/// What a schema has to say about a head or row.
#[derive(Debug, Default)]
pub(super) struct Judgement<'n, 'a> {
    /// What is wrong.
    pub(super) misfits: Vec<Misfit>,
    /// Keys that it does not have and that resemble none: whether they are faults is for the
    /// tenant's rules to say.
    pub(super) unknown: Vec<&'n Entry<'a>>,
    /// How many keys were compared with known ones, of the outermost ones and of those within:
    /// a tenant's many columns must not hide a slip in what stands beside them.
    compared: [usize; 2],
}

impl Judge {
    /// Compiles one of our own schemas.
    pub(super) fn new(schema: &str) -> Self {
        let schema: Json = serde_json::from_str(schema).expect("our own schemas are JSON");
        let is_closed = schema["additionalProperties"] == Json::Bool(false);
        let own_keys = schema["properties"]
            .as_object()
            .filter(|_| is_closed)
            .map(|properties| Known::of(properties.keys().cloned()));
        let mut open = schema.clone();
        if let (Some(members), Some(_)) = (open.as_object_mut(), &own_keys) {
            members.remove("additionalProperties");
        }
        let validator = jsonschema::options_for::<Filled>()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .build(&open)
            .expect("our own schemas compile");
        Self {
            schema,
            own_keys,
            validator,
        }
    }

    /// Everything in `node` that the schema does not allow. However many keys it does not know,
    /// what is wrong beside them is found.
    pub(super) fn judge<'n, 'a>(&self, node: &'n Node<'a>) -> Judgement<'n, 'a> {
        let mut found = Judgement::default();
        twice(node, &mut found.misfits);
        self.outermost(node, &mut found);
        if self.validator.is_valid(View::Node(node)) {
            return found;
        }
        let told = found.unknown.len();
        for error in self.validator.iter_errors(View::Node(node)) {
            if found.misfits.len() >= ROW_FAULTS_MAX {
                break;
            }
            let path = error.instance_path().as_str();
            let place = node.walk(path).unwrap_or(node);
            let keyword = error.schema_path().as_str();
            let around = keyword.rsplit_once('/').map_or("", |(around, _)| around);
            let schema = self.schema.pointer(around).unwrap_or(&Json::Null);
            if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
                found.inside(schema, place, unexpected);
            } else {
                found.misfits.push(reword(error.kind(), schema, place));
            }
        }
        let is_silent = found.unknown.len() == told;
        found.misfits.dedup();
        // Places that several parts of the schema describe are told once.
        let mut seen = HashSet::new();
        found.unknown.retain(|entry| seen.insert(entry.key_at));
        if found.misfits.is_empty() && is_silent {
            let trouble = Trouble::new(Code::BatchBadValue, "another form", node.kind());
            found.misfits.push(Misfit::new(node.at, trouble));
        }
        found
    }

    /// Keys of the outermost object that the schema does not have.
    fn outermost<'n, 'a>(&self, node: &'n Node<'a>, found: &mut Judgement<'n, 'a>) {
        let Some(known) = &self.own_keys else {
            return;
        };
        let properties = &self.schema["properties"];
        for entry in node.entries() {
            if properties.get(entry.key.as_ref()).is_some() {
                continue;
            }
            found.of_a_row(entry, known);
        }
    }
}

/// Where an unknown key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// In the head or row itself, where keys of the native form could stand.
    Outermost,
    /// Further inside.
    Inside,
}

impl<'n, 'a> Judgement<'n, 'a> {
    fn misfit(&mut self, at: usize, trouble: Trouble) {
        if self.misfits.len() < ROW_FAULTS_MAX {
            self.misfits.push(Misfit { at, trouble });
        }
    }

    /// Keys inside of an object within, where `schema` does not have them.
    fn inside(&mut self, schema: &Json, place: &'n Node<'a>, unexpected: &[String]) {
        let is_row = schema[ROW] == Json::Bool(true);
        let properties = schema["properties"].as_object();
        let known = properties.into_iter().flat_map(|it| it.keys());
        let known = if is_row || self.compared[Side::Inside as usize] < COMPARED_MAX {
            Known::of(known.map(String::as_str))
        } else {
            Known::of([])
        };
        let unexpected: HashSet<&str> = unexpected.iter().map(String::as_str).collect();
        for entry in place.entries() {
            if !unexpected.contains(entry.key.as_ref()) {
                continue;
            }
            if is_row {
                self.of_a_row(entry, &known);
            } else {
                self.unknown(entry, &known, Side::Inside);
            }
        }
    }

    /// A key that a row or head does not have.
    fn of_a_row<K: AsRef<str>>(&mut self, entry: &'n Entry<'a>, known: &Known<K>) {
        match deciding(&entry.key) {
            Some(manual) if says_something(&entry.node) => {
                self.misfit(entry.key_at, elsewhere(format!("`{manual}`")));
            }
            _ => self.unknown(entry, known, Side::Outermost),
        }
    }

    /// A key that is none of the `known`.
    fn unknown<K>(&mut self, entry: &'n Entry<'a>, known: &Known<K>, side: Side)
    where
        K: AsRef<str>,
    {
        let compared = &mut self.compared[side as usize];
        *compared += 1;
        if *compared > COMPARED_MAX {
            self.unknown.push(entry);
            return;
        }
        let may_decide = side == Side::Outermost && says_something(&entry.node);
        let decides = may_decide.then(|| resembled_deciding(&entry.key)).flatten();
        // Another word for a key of ours means that key where the form has it.
        let meant = decides.filter(|near| known.near(near).is_some_and(|it| it.as_ref() == *near));
        let near = known.near(&entry.key).map(AsRef::as_ref);
        if let Some(near) = near.or(meant) {
            let trouble = Trouble::new(
                Code::BatchMisspeltKey,
                "a key of this format",
                "a key that resembles one",
            );
            let hint = format!("did you mean `{near}`?");
            self.misfit(entry.key_at, trouble.hint(hint));
        } else if let Some(near) = decides {
            let was = format!("a key that resembles `{near}`");
            self.misfit(entry.key_at, elsewhere(was));
        } else {
            self.unknown.push(entry);
        }
    }
}

/// A key of the native form that decides what is sent, where another form does not have it.
fn elsewhere(found: String) -> Trouble {
    Trouble::new(
        Code::BatchUnsupportedKey,
        "keys that this form has in this place",
        found,
    )
    .hint("it would decide what is sent or when, and has no meaning here: remove it")
}

/// What an error of the validator says about `place`, in words of our own.
fn reword(kind: &ValidationErrorKind, schema: &Json, place: &Node<'_>) -> Misfit {
    let own_words = schema[EXPECTED].as_str();
    let own_code = serde_json::from_value::<Code>(schema[CODE].clone()).ok();
    let hint = schema[HINT].as_str().unwrap_or_default();
    let say = |code: Code, expected: String, was: &str| {
        let expected = own_words.map_or(expected, str::to_owned);
        Trouble::new(own_code.unwrap_or(code), expected, was).hint(hint)
    };
    let trouble = match kind {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            // The words of an object as such say nothing about what it lacks.
            let is_object = !schema["properties"].is_null();
            let expected = own_words.filter(|_| !is_object);
            let expected = expected.map_or(format!("`{name}`"), str::to_owned);
            let mut trouble = Trouble::new(Code::BatchMissingKey, expected, "none");
            if !is_object {
                trouble.code = own_code.unwrap_or(trouble.code);
                trouble.hint = hint.into();
            }
            trouble
        }
        ValidationErrorKind::Type { kind } => say(Code::BatchWrongKind, types(kind), place.kind()),
        ValidationErrorKind::Enum { options } => {
            let words = options.as_array().into_iter().flatten();
            let expected = one_of(words.filter_map(Json::as_str));
            say(Code::BatchBadValue, expected, other(place))
        }
        ValidationErrorKind::Constant { expected_value } => {
            let expected = match expected_value.as_str() {
                Some(word) => format!("`{word}`"),
                None => format!("`{expected_value}`"),
            };
            say(Code::BatchBadValue, expected, other(place))
        }
        other => {
            let (expected, was) = measure(other, place);
            say(Code::BatchBadValue, expected, &was)
        }
    };
    Misfit::new(place.at, trouble)
}

fn types(kind: &TypeKind) -> String {
    let word = |kind: JsonType| match kind {
        JsonType::Array => "an array",
        JsonType::Boolean => "`true` or `false`",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a text",
    };
    match kind {
        TypeKind::Single(kind) => word(*kind).to_owned(),
        TypeKind::Multiple(kinds) => {
            // That `null` counts as absent is no advice.
            let kinds = kinds.iter().filter(|kind| *kind != JsonType::Null);
            let words: Vec<&str> = kinds.map(word).collect();
            words.join(" or ")
        }
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn other(place: &Node<'_>) -> &'static str {
    match &place.value {
        Value::Text(text) if !text.is_empty() => "another word",
        Value::Number(_) => "another number",
        _ => place.kind(),
    }
}

/// What a keyword that counts or compares says, and what was found instead.
fn measure(kind: &ValidationErrorKind, place: &Node<'_>) -> (String, String) {
    use ValidationErrorKind as Kind;
    let chars = place.text().map_or(0, |text| text.chars().count());
    let items = match &place.value {
        Value::List(items) => items.len(),
        Value::Object(entries) => entries.len(),
        _ => 0,
    };
    match kind {
        Kind::MinLength { .. } if chars == 0 => ("a text".into(), "an empty text".into()),
        Kind::MinLength { limit } => (
            format!("at least {limit} characters"),
            format!("{chars} characters"),
        ),
        Kind::MaxLength { limit } => (
            format!("at most {limit} characters"),
            format!("{chars} characters"),
        ),
        Kind::MinItems { limit } => (
            format!("at least {}", count(*limit, "element")),
            count(items as u64, "element"),
        ),
        Kind::MaxItems { limit } => (
            format!("at most {}", count(*limit, "element")),
            count(items as u64, "element"),
        ),
        Kind::MinProperties { limit } => (
            format!("at least {}", count(*limit, "key")),
            count(items as u64, "key"),
        ),
        Kind::MaxProperties { limit } => (
            format!("at most {}", count(*limit, "key")),
            count(items as u64, "key"),
        ),
        Kind::Pattern { .. } => ("a text of another form".into(), other(place).into()),
        Kind::Minimum { limit } => (format!("at least {limit}"), "a smaller number".into()),
        Kind::Maximum { limit } => (format!("at most {limit}"), "a larger number".into()),
        Kind::FalseSchema => ("nothing".into(), place.kind().into()),
        _ => ("another form".into(), place.kind().into()),
    }
}

fn count(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

/// Keys that stand twice in one object: only their author knows which of the values is meant.
fn twice(node: &Node<'_>, found: &mut Vec<Misfit>) {
    for entry in duplicates(node.entries()) {
        if found.len() < ROW_FAULTS_MAX {
            found.push(Misfit::new(entry.key_at, key_twice()));
        }
    }
    for entry in node.entries() {
        twice(&entry.node, found);
    }
    for item in node.items() {
        twice(item, found);
    }
}

#[cfg(test)]
mod tests;
