//! What a row says is held against its template: faults at their places, or what is to be filled
//! in. The validator's own words would quote values, so its errors are told by rule and place.

use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value as Json;

use super::filling::Maker;
use super::parts::Parts;
use super::words::{self, Broken};
use super::{HINTS_MAX, Template, quoted_list, unknown_hint};
use crate::batch::Filling;
use crate::batch::fault::{Code, Misfit, Trouble};
use crate::batch::terms::Needs;
use crate::batch::tree::NOWHERE;
use crate::batch::values::{Members, ROW_KEYS, Said, View};

/// The most that is told of one row and its template.
const MISFITS_MAX: usize = 100;

/// Who speaks: a row says all that its template needs, a head may leave everything to the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Row,
    Head,
}

impl Template {
    /// What is to be filled in for a provider with these needs, or everything that keeps it from
    /// being sent.
    pub(in crate::batch) fn fill(
        &self,
        parts: &Parts<'_>,
        needs: Needs,
    ) -> Result<Filling, Vec<Misfit>> {
        let (said, misfits) = parts.gather(&self.shape);
        let plain = || self.shape.takes_plainly(&said);
        if misfits.is_empty() && (plain() || self.validator.is_valid(View::Row(&said))) {
            return Maker::for_provider(needs).filling(self, &said);
        }
        Err(self.misfits(&said, misfits, Speaker::Row))
    }

    /// Everything that is wrong with what the head of a file says for its rows, which may add to
    /// it.
    pub(in crate::batch) fn check_head(&self, parts: &Parts<'_>) -> Vec<Misfit> {
        let (said, misfits) = parts.gather(&self.shape);
        if misfits.is_empty() && self.validator.is_valid(View::Row(&said)) {
            return Maker::default()
                .filling(self, &said)
                .err()
                .unwrap_or_default();
        }
        self.misfits(&said, misfits, Speaker::Head)
    }

    fn misfits(&self, said: &Said<'_>, mut misfits: Vec<Misfit>, speaker: Speaker) -> Vec<Misfit> {
        // What was too ill to be put together is told already, and its values are not missing.
        let too_ill = !misfits.is_empty() && said.parts[0].is_none();
        let mut told: Vec<(String, Misfit)> = Vec::new();
        for error in self.validator.iter_errors(View::Row(said)) {
            let path = error.instance_path().as_str();
            let schema_path = error.schema_path().as_str();
            let Some(broken) = self.broken(View::Row(said), error.kind(), (path, schema_path))
            else {
                continue;
            };
            let excused = match (&broken.kind, broken.rule) {
                (Kind::Required { property }, "row") => {
                    speaker == Speaker::Head || (too_ill && *property == ROW_KEYS[0])
                }
                (Kind::Required { .. }, "placeholders" | "buttons") => {
                    speaker == Speaker::Head && is_top(path)
                }
                // What is no object has none of the keys, and is told to be none.
                (Kind::OneOfMultipleValid { .. }, _) => broken.view.members().is_none(),
                _ => false,
            };
            if excused {
                continue;
            }
            let found = match broken.kind {
                Kind::AdditionalProperties { .. } => unknown(&broken),
                _ => vec![Misfit {
                    at: broken.view.at(),
                    trouble: words::trouble(&broken),
                }],
            };
            told.extend(found.into_iter().map(|misfit| (path.to_owned(), misfit)));
            if told.len() >= MISFITS_MAX {
                break;
            }
        }
        for misfit in without_followers(told) {
            if !misfits.contains(&misfit) {
                misfits.push(misfit);
            }
        }
        misfits
    }

    /// The rule that is broken; `paths` lead to the value and to the keyword that refuses it.
    fn broken<'a>(
        &'a self,
        row: View<'a>,
        kind: &'a Kind,
        paths: (&'a str, &str),
    ) -> Option<Broken<'a>> {
        let (path, schema_path) = paths;
        let parent = schema_path
            .rsplit_once('/')
            .map_or("", |(parent, _)| parent);
        let schema = self.schema.pointer(parent).unwrap_or(&Json::Null);
        Some(Broken {
            rule: schema["$comment"].as_str().unwrap_or_default(),
            kind,
            view: row.pointed(path)?,
            schema,
            key: path.rsplit('/').next().unwrap_or_default(),
        })
    }
}

/// A header or button of another kind has other keys: its kind says all that is wrong with it.
fn without_followers(told: Vec<(String, Misfit)>) -> Vec<Misfit> {
    let is_kind = |misfit: &Misfit| {
        matches!(
            misfit.trouble.code,
            Code::TemplateHeaderKind | Code::TemplateButtonKind
        )
    };
    let others: Vec<String> = told
        .iter()
        .filter(|(_, misfit)| is_kind(misfit))
        .filter_map(|(path, _)| path.rsplit_once('/'))
        .map(|(object, _)| object.to_owned())
        .collect();
    let follows = |path: &str| {
        others.iter().any(|object| {
            path.strip_prefix(object.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    told.into_iter()
        .filter(|(path, misfit)| is_kind(misfit) || !follows(path))
        .map(|(_, misfit)| misfit)
        .collect()
}

/// Whether a path leads to a part of the row and not into one.
fn is_top(path: &str) -> bool {
    path.matches('/').count() <= 1
}

/// What is said of members that the template does not have.
fn unknown(broken: &Broken<'_>) -> Vec<Misfit> {
    let view = broken.view;
    let known: Vec<String> = broken.schema["properties"]
        .as_object()
        .map(|known| known.keys().cloned().collect())
        .unwrap_or_default();
    let (code, expected) = match broken.rule {
        "placeholders" | "header.placeholders" => (
            Code::ParameterUnknown,
            if known.is_empty() {
                "no placeholders: this template has none".to_owned()
            } else {
                format!("a placeholder of this template: {}", quoted_list(&known))
            },
        ),
        "buttons" => (
            Code::TemplateComponentUnknown,
            format!("the index of a button that varies: {}", quoted_list(&known)),
        ),
        _ => (
            Code::BatchUnknownKey,
            format!("one of the keys {}", quoted_list(&known)),
        ),
    };
    let found = match code {
        Code::ParameterUnknown => "another name",
        Code::TemplateComponentUnknown => "another index",
        _ => "another key",
    };
    // Comparing names is slow; a row with more unknown ones is of another kind.
    let mut compared = 0..HINTS_MAX;
    let members = view.members().into_iter().flat_map(Members::iter);
    members
        .filter(|(name, ..)| !known.iter().any(|known| known == name))
        .take(MISFITS_MAX)
        .map(|(name, key_at, _)| {
            let hint = match (code, compared.next()) {
                (Code::TemplateComponentUnknown, _) => {
                    "buttons are counted from 0, those that do not vary included".into()
                }
                (_, Some(_)) => unknown_hint(name, &known),
                (_, None) => String::new(),
            };
            Misfit {
                at: if key_at == NOWHERE { view.at() } else { key_at },
                trouble: Trouble::new(code, expected.clone(), found).hint(hint),
            }
        })
        .collect()
}
