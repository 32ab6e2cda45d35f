//! What all dialects but the native one have in common: a schema for the head and one for the rows,
//! and a way to say the same in the native form. Every value keeps its place in the file.

use std::borrow::Cow;

use super::judge::Judge;
use super::native::ROW_FAULTS_MAX;
use super::{Dialect, bird, botsquad, cloud_api, infobip, webex_connect};
use crate::batch::fault::{Code, Misfit, Trouble};
use crate::batch::read::Layout;
use crate::batch::template::Templates;
use crate::batch::tree::{Entry, Node, Value};

/// A dialect that is not the native one.
pub(super) struct Guest {
    /// What the head must look like; `None` for dialects without one.
    pub(super) head: Option<Judge>,
    /// What a row must look like.
    pub(super) row: Judge,
    /// How rows are read that are whole requests, each with its own head; `None` for dialects in
    /// which rows always look alike.
    pub(super) whole: Option<Whole>,
    /// Says a head in the native form.
    pub(super) turn_head: Turn,
    /// Says a row in the native form.
    pub(super) turn_row: Turn,
}

/// Says a head or row in the native form.
pub(super) type Turn = for<'a> fn(&Node<'a>, &Surroundings<'a>) -> Turned<'a>;

/// How rows are read that are whole requests.
pub(super) struct Whole {
    /// What they must look like.
    pub(super) judge: Judge,
    /// Says one in the native form.
    pub(super) turn: Turn,
}

impl Guest {
    /// What rows must look like in a file of this layout, and how they are turned. The layout
    /// alone decides: a tenant's own column must not make a row another thing.
    pub(super) fn rows(&self, layout: Layout) -> (&Judge, Turn) {
        match (&self.whole, layout) {
            (Some(whole), Layout::Array | Layout::Lines | Layout::Single) => {
                (&whole.judge, whole.turn)
            }
            _ => (&self.row, self.turn_row),
        }
    }
}

/// Keys of the native form that every head takes in which rows stand under a key: the dialects
/// themselves know nothing of files.
const FILE_KEYS: [&str; 5] = ["rows", "onInvalid", "batchKey", "allowDuplicate", "dryRun"];

/// Keys of the native form that say when, for every head, every whole request and rows that have
/// no keys of their own for it.
const TIME_KEYS: [&str; 6] = [
    "scheduledAt",
    "expiresAt",
    "validitySeconds",
    "sendWindow",
    "priority",
    "ignoreQuietHours",
];

/// The schema of a whole request, made of that of a head: what is for a whole file is none of it.
pub(super) fn without_file_keys(head: &mut serde_json::Value) {
    if let Some(properties) = head["properties"].as_object_mut() {
        properties.retain(|key, _| !FILE_KEYS.contains(&key.as_str()));
    }
}

/// What a row or head is turned against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// The members of the head, for dialects whose rows need them.
    pub(super) head: &'a Node<'static>,
    /// The tenant's templates.
    pub(super) templates: &'a Templates,
}

/// A head or row in the native form. Turning never fails: what cannot be said is left out, and what
/// is wrong is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Turned<'a> {
    /// Its members, under native keys.
    pub(super) members: Vec<Entry<'a>>,
    /// What is wrong and no schema can say.
    pub(super) misfits: Vec<Misfit>,
    /// Keys that cannot be honoured: the name for people, and where it stands.
    pub(super) ignored: Vec<(&'static str, usize)>,
}

impl<'a> Turned<'a> {
    /// Adds a value under a native key.
    pub(super) fn put(&mut self, key: &'static str, node: Node<'a>) {
        self.members.push(Entry {
            key: Cow::Borrowed(key),
            key_at: node.at,
            node,
        });
    }

    /// Adds a value under a native key, if there is one.
    pub(super) fn copy(&mut self, key: &'static str, node: Option<&Node<'a>>) {
        if let Some(node) = node.filter(|node| node.value != Value::Null) {
            self.put(key, node.clone());
        }
    }

    /// Adds what a head says about the whole file.
    pub(super) fn for_file(&mut self, head: &Node<'a>) {
        for key in FILE_KEYS {
            self.copy(key, head.get(key));
        }
    }

    /// Adds what a head, a whole request or a row says about when it is sent.
    pub(super) fn times(&mut self, node: &Node<'a>) {
        for key in TIME_KEYS {
            self.copy(key, node.get(key));
        }
    }

    /// Notes a key of `node` that stands there and cannot be honoured; `manual` is its name.
    pub(super) fn ignore(&mut self, node: &Node<'_>, key: &str, manual: &'static str) {
        let found = node.entries().iter().find(|entry| entry.key == key);
        if let Some(entry) = found.filter(|entry| says_something(&entry.node)) {
            self.ignored.push((manual, entry.key_at));
        }
    }

    /// Whether there is a value under this native key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.members.iter().any(|entry| entry.key == key)
    }

    /// Tells what is wrong at the byte `at`.
    pub(super) fn misfit(&mut self, at: usize, trouble: Trouble) {
        if self.misfits.len() < ROW_FAULTS_MAX {
            self.misfits.push(Misfit { at, trouble });
        }
    }
}

/// Whether a value says more than the absence of its key.
pub(super) fn says_something(node: &Node<'_>) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => false,
        Value::List(nodes) => !nodes.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Text(_) => true,
    }
}

/// A value of our own making that stands where `place` does.
pub(super) fn at_place<'a>(place: &Node<'_>, value: Value<'a>) -> Node<'a> {
    Node {
        at: place.at,
        end: place.end,
        value,
    }
}

/// A word of our own that stands where `place` does.
pub(super) fn word_at<'a>(place: &Node<'_>, word: &'static str) -> Node<'a> {
    at_place(place, Value::Text(Cow::Borrowed(word)))
}

/// An object of our own making that stands where `place` does.
pub(super) fn object_at<'a>(
    place: &Node<'_>,
    members: impl IntoIterator<Item = (Cow<'a, str>, Node<'a>)>,
) -> Node<'a> {
    let entries = members
        .into_iter()
        .map(|(key, node)| Entry {
            key,
            key_at: node.at,
            node,
        })
        .collect();
    at_place(place, Value::Object(entries))
}

/// An object of our own making that stands where `place` does, with those members that there are.
pub(super) fn made_at<'a, const N: usize>(
    place: &Node<'_>,
    members: [(&'static str, Option<Node<'a>>); N],
) -> Node<'a> {
    let there = members.into_iter();
    let there = there.filter_map(|(key, node)| Some((Cow::Borrowed(key), node?)));
    object_at(place, there)
}

/// The member of `node` with this key, unless it is `null`.
pub(super) fn given<'n, 'a>(node: &'n Node<'a>, key: &str) -> Option<&'n Node<'a>> {
    node.get(key).filter(|node| node.value != Value::Null)
}

/// A copy of the member of `node` with this key, unless it is `null`.
pub(super) fn copied<'a>(node: &Node<'a>, key: &str) -> Option<Node<'a>> {
    given(node, key).cloned()
}

/// The one of `words` that `node` says, in upper or lower case, and what it stands for.
pub(super) fn meant<T: Copy>(node: Option<&Node<'_>>, words: &[(&str, T)]) -> Option<T> {
    let text = node?.text()?;
    let found = words
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, meaning)| *meaning)
}

/// Fault: an id that no definition of a template has.
pub(super) fn unknown_id() -> Trouble {
    Trouble::new(
        Code::TemplateUnknown,
        "the id of one of your templates",
        "an id that none of them has",
    )
    .hint("it is the `id` of a template's definition; the folder `templates` lists the templates")
}

/// The dialect's schemas and converters; `None` for the native form.
pub(super) fn guest(dialect: Dialect) -> Option<&'static Guest> {
    match dialect {
        Dialect::Native => None,
        Dialect::CloudApi => Some(&*cloud_api::GUEST),
        Dialect::Infobip => Some(&*infobip::GUEST),
        Dialect::Bird => Some(&*bird::GUEST),
        Dialect::WebexConnect => Some(&*webex_connect::GUEST),
        Dialect::Botsquad => Some(&*botsquad::GUEST),
    }
}

/// The dialect's own names for keys of the native form, as far as the native reader's faults call
/// them by name.
pub(super) fn words(dialect: Dialect) -> &'static [(&'static str, &'static str)] {
    match dialect {
        Dialect::CloudApi => cloud_api::WORDS,
        Dialect::Infobip => infobip::WORDS,
        Dialect::Bird => bird::WORDS,
        Dialect::WebexConnect => webex_connect::WORDS,
        Dialect::Botsquad => botsquad::WORDS,
        Dialect::Native => &[],
    }
}

/// Sections of products, whose ids `products` finds in each.
pub(super) fn sections<'a>(
    list: &Node<'a>,
    products: impl Fn(&Node<'a>) -> Option<Node<'a>>,
) -> Node<'a> {
    let section = |section: &Node<'a>| {
        let members = [
            ("title", copied(section, "title")),
            ("products", products(section)),
        ];
        made_at(section, members)
    };
    let list_of = list.items().iter().map(section).collect();
    at_place(list, Value::List(list_of))
}
