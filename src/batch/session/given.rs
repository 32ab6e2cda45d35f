//! The values that stand in the place of the marks of a message: the row's own, or those that the
//! head gives for all.

use std::borrow::Cow;

use super::form::{Form, lent};
use super::words::{FLOW_PAYLOAD, Read, Texts, strip};
use super::{Kind, Misfit, PLACEHOLDERS_MAX};
use crate::batch::fault::{Code, Trouble};
use crate::batch::marks::{Brackets, Piece, has_mark, pieces};
use crate::batch::template::{
    HINTS_MAX, is_marked, quoted_list, resolve, second_value, too_many, unfinished, unknown_hint,
    wrong_count,
};
use crate::batch::tree::{Entry, NOWHERE, Node, Value};

/// A text that is longer once it is filled is filled no further: every text that marks are filled
/// in has a lower limit in the schema.
const FILLED_BYTES_MAX: usize = 64 * 1024;

/// The values for the marks of one message, one for each name.
#[derive(Debug)]
pub(super) struct Given<'b> {
    texts: &'b Texts,
    values: Vec<&'b str>,
}

impl<'b> Given<'b> {
    /// Finds a value for each name: the row's `own`, else one of the `defaults`.
    pub(super) fn gather(
        texts: &'b Texts,
        own: Option<&'b Node<'b>>,
        declared: &[String],
        defaults: &'b [(String, Node<'static>)],
    ) -> Result<Self, Vec<Misfit>> {
        let names = texts.names.as_slice();
        let mut gathering = Gathering {
            texts,
            names,
            declared,
            found: names.iter().map(|_| None).collect(),
            misfits: Vec::new(),
        };
        if let Some(node) = own {
            gathering.own(node)?;
        }
        for (key, node) in defaults {
            if let Some(at) = resolve(key, names, declared)
                && gathering.found[at].is_none()
            {
                gathering.found[at] = Some(node);
            }
        }
        let values = gathering.values(own.map_or(NOWHERE, |node| node.at));
        if gathering.misfits.is_empty() {
            return Ok(Self { texts, values });
        }
        Err(gathering.misfits)
    }

    /// The content with its marks filled and without what counts as absent. A text of the head's
    /// that was filled stands at `values_at`: what is wrong with it lies in the values.
    pub(super) fn filled(&self, form: &'b Form<'b>, values_at: usize) -> Cow<'b, Node<'b>> {
        if self.texts.names.is_empty() {
            return self.texts.stripped(form);
        }
        let mut node = lent(form.node());
        strip(&mut node);
        self.fill(&mut node, form.kind, Read::No, values_at);
        Cow::Owned(node)
    }

    fn fill(&self, node: &mut Node<'_>, kind: Kind, read: Read, values_at: usize) {
        match &mut node.value {
            Value::Text(text) if read == Read::Yes && has_mark(text, Brackets::Square) => {
                *text = Cow::Owned(self.text(text));
                if node.at == NOWHERE {
                    node.at = values_at;
                }
            }
            Value::List(nodes) => {
                for node in nodes {
                    self.fill(node, kind, read, values_at);
                }
            }
            Value::Object(entries) => {
                for entry in entries {
                    if entry.key != FLOW_PAYLOAD {
                        let read = Read::of(kind, &entry.key);
                        self.fill(&mut entry.node, kind, read, values_at);
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&self, text: &str) -> String {
        let value = |name: &str| {
            let at = self.texts.names.iter().position(|known| known == name);
            at.and_then(|at| self.values.get(at).copied())
                .unwrap_or_default()
        };
        let mut filled = String::new();
        for piece in pieces(text, Brackets::Square) {
            filled.push_str(match piece {
                Piece::Words(words) => words,
                Piece::Mark(name) => value(name),
            });
            // It is told as too long by now, and must not fill the memory.
            if filled.len() > FILLED_BYTES_MAX {
                break;
            }
        }
        filled
    }
}

/// Values as they come together.
struct Gathering<'b, 'd> {
    texts: &'b Texts,
    names: &'b [String],
    declared: &'d [String],
    found: Vec<Option<&'b Node<'b>>>,
    misfits: Vec<Misfit>,
}

impl<'b> Gathering<'b, '_> {
    fn own(&mut self, node: &'b Node<'b>) -> Result<(), Vec<Misfit>> {
        let misfit = match &node.value {
            Value::Object(entries) if entries.len() > PLACEHOLDERS_MAX => {
                Misfit::new(node.at, too_many(entries.len()))
            }
            Value::Object(entries) => {
                for entry in entries {
                    self.entry(entry);
                }
                return Ok(());
            }
            Value::List(list) if list.len() != self.names.len() => {
                Misfit::new(node.at, wrong_count(self.names.len(), list.len()))
            }
            Value::List(list) => {
                self.list(list);
                return Ok(());
            }
            _ => {
                let expected = "an object of values by name";
                let trouble = Trouble::new(Code::BatchWrongKind, expected, node.kind());
                Misfit::new(node.at, trouble)
            }
        };
        Err(vec![misfit])
    }

    fn entry(&mut self, entry: &'b Entry<'b>) {
        let key = entry.key.as_ref();
        let Some(at) = resolve(key, self.names, self.declared) else {
            self.unknown(key, entry.key_at);
            return;
        };
        if self.found[at].is_some() {
            self.misfits.push(Misfit::new(entry.key_at, second_value()));
            return;
        }
        self.found[at] = Some(&entry.node);
    }

    fn list(&mut self, list: &'b [Node<'b>]) {
        // Where the file declares an order of its own, its arrays follow it.
        for (place, node) in list.iter().enumerate() {
            let declared = self.declared.get(place);
            let own = declared.and_then(|name| self.names.iter().position(|it| it == name));
            self.found[own.unwrap_or(place)] = Some(node);
        }
    }

    fn unknown(&mut self, key: &str, key_at: usize) {
        let names = self.texts.tellable_names();
        let mut trouble = if names.is_empty() && !self.names.is_empty() {
            Trouble::new(
                Code::ParameterUnknown,
                "a mark of the text, by its name or number",
                "another name",
            )
        } else {
            unknown_name(&names)
        };
        if self.misfits.len() < HINTS_MAX {
            trouble = trouble.hint(unknown_hint(key, &names));
        }
        self.misfits.push(Misfit::new(key_at, trouble));
    }

    /// The values, one for each name; what is missing is missed at `at`.
    fn values(&mut self, at: usize) -> Vec<&'b str> {
        let mut values = Vec::with_capacity(self.names.len());
        for (place, found) in self.found.iter().enumerate() {
            match found {
                None => {
                    let expected = format!("a value for {}", self.texts.shown(place));
                    let trouble = Trouble::new(Code::ParameterMissing, expected, "none");
                    self.misfits.push(Misfit::new(at, trouble));
                }
                Some(node) => match node.text() {
                    Some(text) if is_marked(text) => {
                        self.misfits.push(Misfit::new(node.at, unfinished(text)));
                    }
                    Some(text) => values.push(text),
                    None => self.misfits.push(Misfit::new(node.at, not_text(node))),
                },
            }
        }
        values
    }
}

/// What is said about a value for no placeholder.
pub(super) fn unknown_name(names: &[String]) -> Trouble {
    let known = match names.len() {
        0 => "no values: the text has no placeholders".into(),
        _ => format!("a placeholder of the text: {}", quoted_list(names)),
    };
    Trouble::new(Code::ParameterUnknown, known, "another name")
}

/// What is said about a value that is none.
pub(super) fn not_text(node: &Node<'_>) -> Trouble {
    let trouble = Trouble::new(Code::ParameterWrongKind, "a text", node.kind());
    trouble.hint("put the value in quotation marks")
}
