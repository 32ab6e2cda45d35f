//! Whether a JSON value has a shape, in the words in which Infobip says that it has not.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What is wrong, by the path of the member.
pub(super) type Errors = BTreeMap<String, Vec<String>>;

/// What may stand in a place.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A text with so many characters.
    Text(usize, usize),
    /// An address.
    Link,
    /// A text without line breaks, tabs and long runs of spaces.
    Line,
    /// A number between these.
    Number(f64, f64),
    /// A whole number between these.
    Whole(i64, i64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An object with these members.
    Object(&'static [Member]),
    /// An object whose `type` says which members it has.
    Typed(&'static [(&'static str, &'static [Member])]),
    /// So many of the same.
    List(usize, usize, &'static Shape),
    /// Anything.
    Any,
}

/// A member of an object: its name, its shape, and whether it must be there.
pub(super) type Member = (&'static str, Shape, Need);

/// Whether a member must be there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Need {
    /// It must.
    Must,
    /// It may.
    May,
}

impl Shape {
    /// Notes all that is wrong with `value` at `path`.
    pub(super) fn check(&self, value: &Value, path: &str, errors: &mut Errors) {
        let mut wrong = |what: String| errors.entry(path.to_owned()).or_default().push(what);
        match (self, value) {
            (Self::Any, _) | (Self::Flag, Value::Bool(_)) => {}
            (Self::Text(least, most), Value::String(text)) => {
                let chars = text.chars().count();
                if *least > 0 && text.trim().is_empty() {
                    wrong("must not be blank".into());
                }
                if !(*least..=*most).contains(&chars) {
                    wrong(format!("size must be between {least} and {most}"));
                }
            }
            (Self::Link, Value::String(link)) => {
                let is_web = |it: &url::Url| matches!(it.scheme(), "http" | "https");
                if !url::Url::parse(link).is_ok_and(|it| is_web(&it)) {
                    wrong("is not a valid url".into());
                }
                if !(1..=2048).contains(&link.chars().count()) {
                    wrong("size must be between 1 and 2048".into());
                }
            }
            (Self::Line, Value::String(text)) => {
                if text.contains(['\n', '\r', '\t']) || text.contains("     ") {
                    let what = "cannot have new-line/tab characters or more than 4 consecutive \
                                spaces";
                    wrong(what.into());
                }
            }
            (Self::Number(least, most), Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                if number.is_nan() || number < *least {
                    wrong(format!("must be greater than or equal to {least}"));
                } else if number > *most {
                    wrong(format!("must be less than or equal to {most}"));
                }
            }
            (Self::Whole(least, most), Value::Number(number)) => {
                let good = |it: i64| (*least..=*most).contains(&it);
                if !number.as_i64().is_some_and(good) {
                    wrong(format!("must be a whole number from {least} to {most}"));
                }
            }
            (Self::Word(words), Value::String(word)) if words.contains(&word.as_str()) => {}
            (Self::Object(members), Value::Object(object)) => {
                object_of(members, (object, path), errors);
            }
            (Self::Typed(kinds), Value::Object(object)) => {
                typed(kinds, (object, path), errors);
            }
            (Self::List(least, most, of), Value::Array(items)) => {
                if *least > 0 && items.is_empty() {
                    wrong("must not be empty".into());
                } else if items.len() > *most {
                    wrong(format!("size must be between {least} and {most}"));
                }
                for (at, item) in items.iter().enumerate() {
                    of.check(item, &format!("{path}[{at}]"), errors);
                }
            }
            (_, Value::Null) => wrong("must not be null".into()),
            _ => wrong("has the wrong type".into()),
        }
    }
}

fn object_of(members: &[Member], at: (&Map<String, Value>, &str), errors: &mut Errors) {
    let (object, path) = at;
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path if path.ends_with('.') => format!("{path}{key}"),
        path => format!("{path}.{key}"),
    };
    for (key, shape, need) in members {
        match (object.get(*key), need) {
            (Some(value), _) => shape.check(value, &below(key), errors),
            (None, Need::Must) => {
                let what = match shape {
                    Shape::Text(..) | Shape::Link => "must not be blank",
                    Shape::List(..) => "must not be empty",
                    _ => "must not be null",
                };
                errors.entry(below(key)).or_default().push(what.into());
            }
            (None, Need::May) => {}
        }
    }
    // Whether the API takes what it does not know is not documented: here it does not.
    for key in object.keys() {
        if !members.iter().any(|(known, ..)| known == key) {
            errors
                .entry(below(key))
                .or_default()
                .push("is not known".into());
        }
    }
}

fn typed(
    kinds: &[(&str, &[Member])],
    (object, path): (&Map<String, Value>, &str),
    errors: &mut Errors,
) {
    let named = object.get("type").and_then(Value::as_str);
    let Some((_, members)) = kinds.iter().find(|(kind, _)| Some(*kind) == named) else {
        let what = "is not one of the known types";
        errors
            .entry(format!("{path}.type"))
            .or_default()
            .push(what.into());
        return;
    };
    let mut rest = object.clone();
    rest.remove("type");
    object_of(members, (&rest, path), errors);
}
