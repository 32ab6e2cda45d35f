//! References such as `{{ name }}` in the values of a template: each user's own value takes their
//! place, or else the one for all users.

use crate::batch::dialect::guest::{Turned, at_place};
use crate::batch::fault::{Code, Trouble};
use crate::batch::marks::{Brackets, Piece, pieces};
use crate::batch::tree::{Entry, NOWHERE, Node, Value};

/// The most references in a template: each is looked up for each user.
const REFERENCES_MAX: usize = 256;
/// The longest `components`, in bytes: they are copied for each user.
const COMPONENTS_BYTES_MAX: usize = 64 << 10;
/// The most bytes that references may put into the components of one user: a long value that is
/// named often must not fill the memory.
const FILLED_BYTES_MAX: usize = 64 << 10;
/// The most values of a user or of all users; the schemas tell of more.
const PARAMS_MAX: usize = 256;

/// Where the values come from.
pub(super) struct Sources<'n, 'a> {
    /// The user's own.
    pub(super) own: Option<&'n Node<'a>>,
    /// Those for all users.
    pub(super) defaults: Option<&'n Node<'a>>,
    /// Where it is told that one is missing.
    pub(super) row_at: usize,
}

/// Tells what is wrong with the references in the head's components.
pub(super) fn check(components: &Node<'_>, turned: &mut Turned<'_>) {
    let too_much = |expected: String, found: usize| {
        Trouble::new(Code::BatchBadValue, expected, found.to_string())
    };
    let bytes = components.end.saturating_sub(components.at);
    let references = count(components);
    if bytes > COMPONENTS_BYTES_MAX {
        let expected = format!("`components` of at most {COMPONENTS_BYTES_MAX} bytes");
        turned.misfit(components.at, too_much(expected, bytes));
    } else if references > REFERENCES_MAX {
        let expected = format!("at most {REFERENCES_MAX} references");
        turned.misfit(components.at, too_much(expected, references));
    } else {
        look_through(components, turned);
    }
}

fn count(node: &Node<'_>) -> usize {
    match &node.value {
        Value::Text(text) => text.matches("{{").count(),
        Value::List(nodes) => nodes.iter().map(count).sum(),
        Value::Object(entries) => entries.iter().map(|entry| count(&entry.node)).sum(),
        _ => 0,
    }
}

/// Tells what looks like a reference in `node` and is none.
fn look_through(node: &Node<'_>, turned: &mut Turned<'_>) {
    match &node.value {
        Value::Text(text) if !is_sound(text) => {
            let expected = "references such as `{{ name }}`";
            let trouble = Trouble::new(Code::BatchBadValue, expected, "marks of another form");
            let hint = "a name stands between two pairs of braces, without other signs";
            turned.misfit(node.at, trouble.hint(hint));
        }
        Value::List(nodes) => nodes.iter().for_each(|node| look_through(node, turned)),
        Value::Object(entries) => entries.iter().for_each(|it| look_through(&it.node, turned)),
        _ => {}
    }
}

/// Whether every mark in a text is a reference: sections, partials, comments and marks of three
/// braces are not.
fn is_sound(text: &str) -> bool {
    let pieces = pieces(text, Brackets::Curly);
    let is_braced = |pair: &[Piece<'_>]| match *pair {
        [Piece::Words(words), Piece::Mark(_)] => words.ends_with('{'),
        [Piece::Mark(_), Piece::Words(words)] => words.starts_with('}'),
        _ => false,
    };
    let is_reference = |piece: &Piece<'_>| match piece {
        Piece::Words(words) => !words.contains("{{") && !words.contains("}}"),
        Piece::Mark(name) => !name.starts_with(['#', '^', '/', '>', '!', '&', '=']),
    };
    pieces.iter().all(is_reference) && !pieces.windows(2).any(is_braced)
}

/// `components` with all of their references replaced. A value that comes from the user stands
/// where the user wrote it. What is too long altogether is told, and filled no further.
pub(super) fn fill<'a>(
    components: &Node<'a>,
    sources: &Sources<'_, 'a>,
    turned: &mut Turned<'a>,
) -> Node<'a> {
    let mut filling = Filling {
        sources,
        turned,
        left: FILLED_BYTES_MAX,
        is_told: false,
    };
    filling.node(components)
}

/// Components as they are filled for one user.
struct Filling<'f, 'n, 'a> {
    sources: &'f Sources<'n, 'a>,
    turned: &'f mut Turned<'a>,
    /// How many bytes may still be put in place.
    left: usize,
    /// Whether it is told that there are too many.
    is_told: bool,
}

impl<'n, 'a> Filling<'_, 'n, 'a> {
    fn node(&mut self, node: &Node<'a>) -> Node<'a> {
        let value = match &node.value {
            Value::Text(text) if text.contains("{{") => return self.filled(text),
            Value::List(nodes) => Value::List(nodes.iter().map(|node| self.node(node)).collect()),
            Value::Object(entries) => {
                let entries = entries.iter().map(|entry| Entry {
                    key: entry.key.clone(),
                    key_at: entry.key_at,
                    node: self.node(&entry.node),
                });
                Value::Object(entries.collect())
            }
            other => other.clone(),
        };
        Node {
            at: node.at,
            end: node.end,
            value,
        }
    }

    fn filled(&mut self, text: &str) -> Node<'a> {
        let parts = pieces(text, Brackets::Curly);
        if let [Piece::Mark(name)] = parts[..] {
            let value = self.value(name);
            return value.and_then(as_text).unwrap_or_else(Node::nothing);
        }
        let mut whole = String::with_capacity(text.len());
        let (mut at, mut end) = (NOWHERE, NOWHERE);
        for part in parts {
            match part {
                Piece::Words(words) => whole.push_str(words),
                Piece::Mark(name) => {
                    if let Some(value) = self.value(name) {
                        whole.push_str(written(value).unwrap_or_default());
                        if at == NOWHERE {
                            (at, end) = (value.at, value.end);
                        }
                    }
                }
            }
        }
        Node {
            at,
            end,
            value: Value::Text(whole.into()),
        }
    }

    /// The value of one reference; that there is none, or no room for it, is told.
    fn value(&mut self, name: &str) -> Option<&'n Node<'a>> {
        let sources = self.sources;
        let Some(found) = given(sources.own, name).or_else(|| given(sources.defaults, name)) else {
            let expected = format!("a value for `{name}` in `params`");
            let trouble = Trouble::new(Code::ParameterMissing, expected, "none");
            let hint = "write it for this user, or once for all beside `users`";
            self.turned.misfit(sources.row_at, trouble.hint(hint));
            return None;
        };
        let length = written(found).map_or(0, str::len);
        if let Some(left) = self.left.checked_sub(length) {
            self.left = left;
            return Some(found);
        }
        if !self.is_told {
            self.is_told = true;
            let at = if found.at == NOWHERE {
                sources.row_at
            } else {
                found.at
            };
            self.turned.misfit(at, too_long());
        }
        None
    }
}

/// Fault: what a user's values come to is too long.
fn too_long() -> Trouble {
    let expected = format!("values of at most {FILLED_BYTES_MAX} bytes wherever they are named");
    Trouble::new(Code::BatchBadValue, expected, "more")
        .hint("a value counts as often as the template names it")
}

fn given<'n, 'a>(params: Option<&'n Node<'a>>, name: &str) -> Option<&'n Node<'a>> {
    let mut entries = params?.entries().iter().take(PARAMS_MAX);
    let entry = entries.find(|entry| entry.key == name)?;
    Some(&entry.node).filter(|node| node.value != Value::Null)
}

/// The text of a value; a number's as it is written.
fn written<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text),
        _ => None,
    }
}

/// A value as the text that it is written as.
fn as_text<'a>(node: &Node<'a>) -> Option<Node<'a>> {
    match &node.value {
        Value::Text(_) => Some(node.clone()),
        Value::Number(text) => Some(at_place(node, Value::Text(text.clone()))),
        _ => None,
    }
}
