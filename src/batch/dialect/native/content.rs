//! What one recipient will read: the values of a row find their placeholders.

use std::sync::Arc;

use super::{Notes, PLACEHOLDERS_MAX, SessionText, resolve, too_many, wrong_kind};
use crate::batch::fault::{Code, Trouble};
use crate::batch::template::{HINTS_MAX, Template, quoted_list, unknown_hint};
use crate::batch::tree::{Node, Value};
use crate::batch::values::Given;
use crate::batch::{Content, Filling, Parameter};

/// Where the values of a row come from.
pub(super) struct Sources<'a> {
    /// The row's own `placeholders`.
    pub(super) own: Option<&'a Node<'a>>,
    /// The file's names for the placeholders, in order; none if not declared.
    pub(super) declared: &'a [String],
    /// Values for what the row does not give.
    pub(super) defaults: &'a [(String, Node<'static>)],
    /// Where the row itself begins.
    pub(super) row_at: usize,
}

/// A value that was found, and how it was named in the file.
struct Origin<'a> {
    key: &'a str,
    key_at: usize,
    /// `None` for a default from the head.
    node: Option<&'a Node<'a>>,
}

/// A value to be checked, with its origin.
struct Gathered<'a> {
    given: Vec<Given<'a>>,
    origins: Vec<Origin<'a>>,
}

const PLACEHOLDERS: &str = "placeholders";

impl<'a> Gathered<'a> {
    /// Gathers values for `names`. `None` when they are not even of the right shape, which is
    /// noted.
    fn gather(names: &'a [String], sources: &Sources<'a>, notes: &mut Notes<'_>) -> Option<Self> {
        let mut gathered = Self {
            given: Vec::with_capacity(names.len()),
            origins: Vec::with_capacity(names.len()),
        };
        match sources.own.map(|node| (node, &node.value)) {
            None | Some((_, Value::Null)) => {}
            Some((node, Value::Object(entries))) if entries.len() > PLACEHOLDERS_MAX => {
                notes.fault(too_many(entries.len()), &[PLACEHOLDERS], node.at);
                return None;
            }
            Some((_, Value::Object(entries))) => {
                for entry in entries {
                    let key = entry.key.as_ref();
                    let name = resolve(key, names, sources.declared).unwrap_or(key);
                    if gathered.has(name) {
                        let trouble = Trouble::new(
                            Code::JsonDuplicateKey,
                            "one value for each placeholder",
                            "a second one",
                        );
                        let tail = [PLACEHOLDERS, key];
                        notes.fault(trouble.hint("remove one of them"), &tail, entry.key_at);
                        continue;
                    }
                    gathered.add(name, key, entry.key_at, Some(&entry.node), &entry.node);
                }
            }
            Some((node, Value::List(list))) => {
                gathered.list(names, list, node.at, sources, notes)?;
            }
            Some((node, _)) => {
                let trouble = wrong_kind("an object of values by name", node);
                notes.fault(trouble, &[PLACEHOLDERS], node.at);
                return None;
            }
        }
        for (key, node) in sources.defaults {
            let Some(name) = resolve(key, names, sources.declared) else {
                continue;
            };
            if !gathered.has(name) {
                gathered.add(name, key, 0, None, node);
            }
        }
        Some(gathered)
    }

    fn list(
        &mut self,
        names: &'a [String],
        list: &'a [Node<'a>],
        at: usize,
        sources: &Sources<'a>,
        notes: &mut Notes<'_>,
    ) -> Option<()> {
        if list.len() != names.len() {
            let trouble = Trouble::new(
                Code::ParameterCount,
                match names.len() {
                    0 => "no values: there are no placeholders".into(),
                    1 => "1 value, for the one placeholder".into(),
                    count => format!("{count} values, one for each placeholder, in order"),
                },
                match list.len() {
                    1 => "1 value".into(),
                    count => format!("{count} values"),
                },
            );
            notes.fault(trouble, &[PLACEHOLDERS], at);
            return None;
        }
        // Where the file declares an order of its own, its arrays follow it.
        let declared = sources.declared;
        for (place, node) in list.iter().enumerate() {
            let name = declared
                .get(place)
                .and_then(|declared| names.iter().find(|name| *name == declared))
                .unwrap_or(&names[place]);
            self.add(name, name, node.at, Some(node), node);
        }
        Some(())
    }

    fn has(&self, name: &str) -> bool {
        self.given.iter().any(|given| given.name == name)
    }

    fn add(
        &mut self,
        name: &'a str,
        key: &'a str,
        key_at: usize,
        own: Option<&'a Node<'a>>,
        node: &'a Node<'a>,
    ) {
        self.given.push(Given { name, node });
        self.origins.push(Origin {
            key,
            key_at,
            node: own,
        });
    }

    /// Notes what is wrong with one value, or with all of them together.
    fn fault(
        &self,
        given: Option<usize>,
        trouble: Trouble,
        sources: &Sources<'_>,
        notes: &mut Notes<'_>,
    ) {
        let Some(origin) = given.and_then(|at| self.origins.get(at)) else {
            match sources.own {
                Some(node) => notes.fault(trouble, &[PLACEHOLDERS], node.at),
                None => notes.fault(trouble, &[], sources.row_at),
            }
            return;
        };
        match (origin.node, sources.own.map(|node| &node.value)) {
            (Some(node), Some(Value::List(list))) => {
                let place = list.iter().position(|it| std::ptr::eq(it, node));
                let place = place.unwrap_or_default().to_string();
                notes.fault(trouble, &[PLACEHOLDERS, &place], node.at);
            }
            (Some(node), _) => {
                let at = match trouble.code {
                    Code::ParameterUnknown => origin.key_at,
                    _ => node.at,
                };
                notes.fault(trouble, &[PLACEHOLDERS, origin.key], at);
            }
            (None, _) => notes.fault(trouble, &[], sources.row_at),
        }
    }
}

/// The content of a message with a template; `None` when something is wrong, which is noted.
pub(super) fn template(
    template: &Arc<Template>,
    sources: &Sources<'_>,
    notes: &mut Notes<'_>,
) -> Option<Content> {
    let faults_before = notes.faults.len();
    let gathered = Gathered::gather(template.names(), sources, notes)?;
    for found in template.check(&gathered.given) {
        gathered.fault(found.given, found.trouble, sources, notes);
    }
    if notes.faults.len() > faults_before {
        return None;
    }
    let value_of = |name: &String| {
        let given = gathered.given.iter().find(|given| given.name == name)?;
        Some(Parameter {
            name: template.is_named().then(|| name.clone()),
            text: given.node.text()?.to_owned(),
            typed: None,
        })
    };
    Some(Content::Template(Filling {
        name: template.name().to_owned(),
        language: template.language().to_owned(),
        body: template.names().iter().filter_map(value_of).collect(),
        ..Filling::default()
    }))
}

/// The content of a session message; `None` when something is wrong, which is noted. `message` is
/// where the row's own text stands.
pub(super) fn session(
    text: &SessionText,
    preview_url: bool,
    sources: &Sources<'_>,
    message: Option<&Node<'_>>,
    notes: &mut Notes<'_>,
) -> Option<Content> {
    let faults_before = notes.faults.len();
    let gathered = Gathered::gather(&text.names, sources, notes)?;
    for (at, given) in gathered.given.iter().enumerate() {
        if !text.names.iter().any(|name| name == given.name) {
            let known = match text.names.len() {
                0 => "no values: the text has no placeholders".into(),
                _ => format!("a placeholder of the text: {}", quoted_list(&text.names)),
            };
            let mut trouble = Trouble::new(Code::ParameterUnknown, known, "another name");
            if notes.faults.len() < HINTS_MAX {
                trouble = trouble.hint(unknown_hint(given.name, &text.names));
            }
            gathered.fault(Some(at), trouble, sources, notes);
        } else if given.node.text().is_none() {
            let trouble = Trouble::new(Code::ParameterWrongKind, "a text", given.node.kind())
                .hint("put the value in quotation marks");
            gathered.fault(Some(at), trouble, sources, notes);
        }
    }
    let mut values = Vec::with_capacity(text.names.len());
    for name in &text.names {
        if let Some(given) = gathered.given.iter().find(|given| given.name == name) {
            values.push(given.node.text().unwrap_or_default());
        } else {
            let expected = format!("a value for the placeholder `{name}`");
            let trouble = Trouble::new(Code::ParameterMissing, expected, "none");
            gathered.fault(None, trouble, sources, notes);
        }
    }
    if notes.faults.len() > faults_before {
        return None;
    }
    let body = match (text.fill(&values), message) {
        (Ok(body), _) => body,
        (Err(trouble), Some(node)) => {
            notes.fault(trouble, &["message"], node.at);
            return None;
        }
        (Err(trouble), None) => {
            gathered.fault(None, trouble, sources, notes);
            return None;
        }
    };
    Some(Content::Text { body, preview_url })
}
