//! The schema for the values of one template, and what is said about values that do not satisfy it.
//! The validator's own words would quote the values, so its errors are told by kind and place.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Value as Json, json};

use super::{BODY_CHARS_MAX, Template, quoted_list, unknown_hint};
use crate::batch::fault::{Code, Trouble};
use crate::batch::marks::{Brackets, has_mark};
use crate::batch::values::{Filled, Given, View};

/// How many unknown names of one row are compared with the known ones.
pub(in crate::batch) const HINTS_MAX: usize = 5;

/// A run of this many spaces is refused by WhatsApp.
const SPACES: &str = "     ";

/// What the template's values came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::batch) struct ValueTrouble {
    /// Which of the given values it is; `None` for all of them together.
    pub(in crate::batch) given: Option<usize>,
    /// What is wrong.
    pub(in crate::batch) trouble: Trouble,
}

/// Compiles the schema for values of these placeholders.
pub(super) fn compile(
    name: &str,
    language: &str,
    names: &[String],
) -> Result<(Json, Validator<Filled>), String> {
    let value = json!({
        "type": "string",
        "minLength": 1,
        "not": { "type": "string", "anyOf": [
            { "pattern": "[\\n\\r\\t]| {5}" },
            { "pattern": "\\[\\[[^\\[\\]{}\\n\\r]+\\]\\]|\\{\\{[^\\[\\]{}\\n\\r]+\\}\\}" },
        ]},
    });
    let properties: serde_json::Map<String, Json> = names
        .iter()
        .map(|name| {
            let mut value = value.clone();
            value["description"] = json!(format!("What is read in the place of {{{{{name}}}}}."));
            (name.clone(), value)
        })
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Values of one row for the template {name} in {language}"),
        "description": "The row's own `placeholders` and those at the top of the file, together. \
            Values have no line breaks, no tabs, no runs of more than 4 spaces and no marks such \
            as [[x]] or {{x}}; the whole text has at most 1024 characters.",
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
    });
    let validator = jsonschema::options_for::<Filled>()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| format!("its placeholders make no schema: {}", error.masked()))?;
    Ok((schema, validator))
}

impl Template {
    /// Everything that is wrong with the values for one message; empty when it can be sent.
    pub(in crate::batch) fn check(&self, given: &[Given<'_>]) -> Vec<ValueTrouble> {
        if self.validator.is_valid(View::Row(given)) {
            return self.length(given).into_iter().collect();
        }
        let mut found = Vec::new();
        for error in self.validator.iter_errors(View::Row(given)) {
            let path = error.instance_path().as_str();
            let at = path.strip_prefix('/').and_then(|name| {
                let name = name.replace("~1", "/").replace("~0", "~");
                given.iter().position(|given| given.name == name)
            });
            self.reword(error.kind(), at, given, &mut found);
        }
        found.dedup();
        found
    }

    fn reword(
        &self,
        kind: &ValidationErrorKind,
        at: Option<usize>,
        given: &[Given<'_>],
        found: &mut Vec<ValueTrouble>,
    ) {
        let mut add = |given: Option<usize>, code, expected: String, was: &str, hint: &str| {
            found.push(ValueTrouble {
                given,
                trouble: Trouble {
                    code,
                    expected,
                    found: was.into(),
                    hint: hint.into(),
                },
            });
        };
        let node = at.map(|at| given[at].node);
        match kind {
            ValidationErrorKind::Required { property } => add(
                None,
                Code::ParameterMissing,
                format!(
                    "a value for the placeholder `{}`",
                    property.as_str().unwrap_or_default()
                ),
                "none",
                "",
            ),
            ValidationErrorKind::AdditionalProperties { .. } => {
                let known = if self.names.is_empty() {
                    "no placeholders: this template has none".into()
                } else {
                    format!(
                        "a placeholder of this template: {}",
                        quoted_list(&self.names)
                    )
                };
                // Comparing names is slow; a row with more unknown ones is of another kind.
                let mut compared = 0..HINTS_MAX;
                for (at, given) in given.iter().enumerate() {
                    if self.position(given.name).is_none() {
                        let hint = match compared.next() {
                            Some(_) => unknown_hint(given.name, &self.names),
                            None => String::new(),
                        };
                        add(
                            Some(at),
                            Code::ParameterUnknown,
                            known.clone(),
                            "another name",
                            &hint,
                        );
                    }
                }
            }
            ValidationErrorKind::MinLength { .. } => add(
                at,
                Code::ParameterEmpty,
                "a text of at least one character".into(),
                "an empty text",
                "WhatsApp refuses empty values; write what should be read there",
            ),
            ValidationErrorKind::Not { .. } => {
                let text = node.and_then(|node| node.text()).unwrap_or_default();
                let (code, expected, was, hint) = ill_text(text);
                add(at, code, expected.into(), was, hint);
            }
            _ => {
                let was = node.map_or("another kind", |node| node.kind());
                let hint = match was {
                    "an object" | "an array" => "amounts and dates are written as plain text",
                    "null" => "leave no value empty; write what should be read there",
                    _ => "put the value in quotation marks",
                };
                add(at, Code::ParameterWrongKind, "a text".into(), was, hint);
            }
        }
    }

    /// Whether the body would be too long. The values have passed the schema.
    fn length(&self, given: &[Given<'_>]) -> Option<ValueTrouble> {
        let mut chars = self.fixed_chars;
        for given in given {
            let (Some(at), Some(text)) = (self.position(given.name), given.node.text()) else {
                continue;
            };
            chars += self.uses[at] * text.chars().count();
        }
        (chars > BODY_CHARS_MAX).then(|| ValueTrouble {
            given: None,
            trouble: Trouble {
                code: Code::ParameterTooLong,
                expected: format!("at most {BODY_CHARS_MAX} characters with all values in place"),
                found: format!("{chars} characters"),
                hint: "shorten the longest value".into(),
            },
        })
    }
}

/// Says what the schema's patterns refuse in a text.
fn ill_text(text: &str) -> (Code, &'static str, &'static str, &'static str) {
    if text.contains(['\n', '\r', '\t']) || text.contains(SPACES) {
        let was = if text.contains(['\n', '\r']) {
            "a line break"
        } else if text.contains('\t') {
            "a tab"
        } else {
            "a run of more than 4 spaces"
        };
        return (
            Code::ParameterWhitespace,
            "a text without line breaks, tabs and runs of more than 4 spaces",
            was,
            "WhatsApp refuses these in template values; write it on one line",
        );
    }
    let was = if has_mark(text, Brackets::Curly) {
        "a mark such as `{{x}}`"
    } else {
        "a mark such as `[[x]]`"
    };
    (
        Code::ParameterMarks,
        "a finished text",
        was,
        "a value is delivered as it stands; put the value in place of the mark",
    )
}
