//! The texts of a message that people read, and the marks in them. What stands in the place of the
//! marks is for `given` to find.

use std::borrow::Cow;

use super::form::{Form, lent};
use super::{Kind, Marks, Misfit, PLACEHOLDERS_MAX};
use crate::batch::dialect::native::key_twice;
use crate::batch::fault::{Code, Trouble};
use crate::batch::marks::{Brackets, Piece, has_mark, pieces};
use crate::batch::template::too_many;
use crate::batch::tree::{NOWHERE, Node, Value, duplicates};

/// The key of values that a flow is given in its own words: nothing beneath it is ours.
pub(super) const FLOW_PAYLOAD: &str = "flow_action_payload";

/// What the texts of a message hold.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The names in its marks, each once, in their order.
    pub(super) names: Vec<String>,
    /// Which of them stand in the head of the file.
    of_head: Vec<bool>,
    /// How many pieces the marks cut the texts into.
    pieces: usize,
    /// Whether the content has members that count as absent.
    has_null: bool,
    marks: Marks,
}

impl Texts {
    /// Reads the texts of a content.
    pub(super) fn of(form: &Form<'_>, marks: Marks) -> Result<Self, Vec<Misfit>> {
        let mut texts = Self {
            marks,
            ..Self::default()
        };
        let mut misfits = Vec::new();
        texts.read(form.node(), form.kind, Read::No, &mut misfits);
        if texts.names.len() > PLACEHOLDERS_MAX {
            let at = form.main_at();
            misfits.push(Misfit::new(at, too_many(texts.names.len())));
        }
        if misfits.is_empty() {
            return Ok(texts);
        }
        Err(super::sorted(misfits))
    }

    /// The content with its marks and without what counts as absent.
    pub(super) fn stripped<'b>(&self, form: &'b Form<'b>) -> Cow<'b, Node<'b>> {
        if !self.has_null {
            return Cow::Borrowed(form.node());
        }
        let mut node = lent(form.node());
        strip(&mut node);
        Cow::Owned(node)
    }

    /// The mark at this place of [`names`](Self::names), as people are told of it. What only looks
    /// like a mark may be a part of the text that its recipient alone should read.
    pub(super) fn shown(&self, at: usize) -> String {
        match self.tellable(at) {
            Some(name) => format!("the placeholder `{name}`"),
            None => format!("the {} mark of the text", ordinal(at + 1)),
        }
    }

    /// The names that people may be told.
    pub(super) fn tellable_names(&self) -> Vec<String> {
        let all = 0..self.names.len();
        let names = all.filter_map(|at| self.tellable(at));
        names.map(str::to_owned).collect()
    }

    fn tellable(&self, at: usize) -> Option<&str> {
        let name = self.names.get(at)?;
        let of_head = self.of_head.get(at).is_some_and(|of_head| *of_head);
        (of_head || is_identifier(name)).then_some(name)
    }

    fn read(&mut self, node: &Node<'_>, kind: Kind, read: Read, misfits: &mut Vec<Misfit>) {
        match &node.value {
            Value::Text(text) if read == Read::Yes => {
                let found = self.text(text, node.at == NOWHERE);
                misfits.extend(found.err().map(|trouble| Misfit::new(node.at, trouble)));
            }
            Value::List(nodes) => {
                for node in nodes {
                    self.read(node, kind, read, misfits);
                }
            }
            Value::Object(entries) => {
                for entry in duplicates(entries) {
                    misfits.push(Misfit::new(entry.key_at, key_twice()));
                }
                for entry in entries {
                    self.has_null |= entry.node.value == Value::Null;
                    if entry.key != FLOW_PAYLOAD {
                        self.read(&entry.node, kind, Read::of(kind, &entry.key), misfits);
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, of_head: bool) -> Result<(), Trouble> {
        if self.marks == Marks::Words {
            return Ok(());
        }
        if has_mark(text, Brackets::Curly) {
            return Err(Trouble::new(
                Code::SessionMarks,
                "marks such as `[[name]]` in a session text",
                "marks such as `{{name}}`",
            )
            .hint("write `[[name]]`; `{{name}}` belongs in approved templates"));
        }
        if !text.contains("[[") {
            return Ok(());
        }
        let pieces = pieces(text, Brackets::Square);
        self.pieces += pieces.len();
        if self.pieces > 2 * PLACEHOLDERS_MAX {
            return Err(too_many(self.pieces / 2));
        }
        for piece in pieces {
            if let Piece::Mark(name) = piece
                && self.names.len() <= PLACEHOLDERS_MAX
                && !self.names.iter().any(|known| known == name)
            {
                self.names.push(name.into());
                self.of_head.push(of_head);
            }
        }
        Ok(())
    }
}

/// Takes away what counts as absent.
pub(super) fn strip(node: &mut Node<'_>) {
    match &mut node.value {
        Value::List(nodes) => nodes.iter_mut().for_each(strip),
        Value::Object(entries) => {
            entries.retain(|entry| entry.node.value != Value::Null);
            for entry in entries.iter_mut().filter(|entry| entry.key != FLOW_PAYLOAD) {
                strip(&mut entry.node);
            }
        }
        _ => {}
    }
}

/// Whether a text is read by people, so that marks in it are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Yes,
    No,
}

impl Read {
    pub(super) fn of(kind: Kind, key: &str) -> Self {
        let is_read = match kind {
            Kind::Text => key == "body",
            Kind::Media(_) => matches!(key, "link" | "file" | "caption" | "filename"),
            Kind::Location => matches!(key, "name" | "address"),
            Kind::Contacts => true,
            Kind::Interactive => matches!(
                key,
                "text"
                    | "title"
                    | "description"
                    | "display_text"
                    | "url"
                    | "link"
                    | "filename"
                    | "button"
                    | "flow_cta"
            ),
            Kind::Reaction => false,
        };
        if is_read { Self::Yes } else { Self::No }
    }
}

/// Whether a text has marks that values take the place of.
pub(super) fn is_marked(node: &Node<'_>) -> bool {
    node.text()
        .is_some_and(|text| has_mark(text, Brackets::Square))
}

/// Whether a name is one that programs have for their values.
fn is_identifier(name: &str) -> bool {
    // Longer ones are sentences.
    const CHARS_MAX: usize = 64;
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    name.len() <= CHARS_MAX
        && name.starts_with(|char: char| char.is_ascii_alphabetic())
        && name.bytes().all(inner)
}

/// `1st`, `2nd`, `3rd`, `4th` …
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// People are told which mark lacks its value, and must find it.
    #[test]
    fn marks_are_counted_as_people_count() {
        for (number, word) in [
            (1, "1st"),
            (2, "2nd"),
            (3, "3rd"),
            (11, "11th"),
            (22, "22nd"),
        ] {
            assert_eq!(ordinal(number), word);
        }
    }

    /// A code between brackets must not stand in a report.
    #[test]
    fn only_names_are_told() {
        for (name, told) in [
            ("first_name", true),
            ("order.id-2", true),
            ("482913", false),
            ("Ana Maria", false),
            ("é", false),
            ("", false),
        ] {
            assert_eq!(is_identifier(name), told, "{name}");
        }
        assert!(!is_identifier(&"a".repeat(65)));
    }
}
