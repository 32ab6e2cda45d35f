//! Checks of closed objects, field by field, as Bird names its fields in a refusal.

use serde_json::Value as Json;

/// What is wrong with a request, and where.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<(String, String)>);

impl Findings {
    /// Something is wrong with the value at `path`.
    pub(super) fn add(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.0.push((path.into(), reason.into()));
    }

    /// The value must be an object with none but these members, of which the first `needed` are
    /// there; gives whether it is an object.
    pub(super) fn closed(
        &mut self,
        path: &str,
        value: &Json,
        (members, needed): (&[&str], usize),
    ) -> bool {
        let Some(object) = value.as_object() else {
            self.add(path, "not an object");
            return false;
        };
        for key in object.keys().filter(|key| !members.contains(&key.as_str())) {
            self.add(within(path, key), "unknown field");
        }
        for key in &members[..needed] {
            if object.get(*key).is_none_or(Json::is_null) {
                self.add(within(path, key), "missing");
            }
        }
        true
    }

    /// The value is absent, or a text of this many characters.
    pub(super) fn text(&mut self, path: &str, value: &Json, chars: (usize, usize)) {
        match value {
            Json::Null => {}
            Json::String(text) => {
                let count = text.chars().count();
                if count < chars.0 || count > chars.1 {
                    self.add(path, "too short or too long");
                }
            }
            _ => self.add(path, "not a text"),
        }
    }

    /// The value is absent, or `true` or `false`.
    pub(super) fn flag(&mut self, path: &str, value: &Json) {
        if !value.is_null() && !value.is_boolean() {
            self.add(path, "not a boolean");
        }
    }

    /// The value is the address of a file.
    pub(super) fn address(&mut self, path: &str, value: &Json) {
        let address = value.as_str().unwrap_or_default();
        if url::Url::parse(address).is_err() {
            self.add(path, "not a URI");
        }
    }

    /// The items of a list that is absent or a list.
    pub(super) fn items<'v>(&mut self, path: &str, value: &'v Json) -> &'v [Json] {
        match value {
            Json::Null => &[],
            Json::Array(items) => items,
            _ => {
                self.add(path, "not an array");
                &[]
            }
        }
    }
}

/// The path of a member.
pub(super) fn within(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}
