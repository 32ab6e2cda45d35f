//! Values that stand under names of the provider's own find their places in a template: the
//! placeholders of its body, its header or a button. What is wrong with a value in its place is
//! for the native reader to know.

use std::borrow::Cow;

use super::guest::{Turned, at_place, object_at, word_at};
use super::native::ROW_FAULTS_MAX;
use crate::batch::content::MediaKind;
use crate::batch::fault::{Code, Trouble};
use crate::batch::template::{HINTS_MAX, HeaderNeed, Places, Variable, quoted_list, unknown_hint};
use crate::batch::tree::{Entry, Node, Value};

/// A value and the name under which it stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Named<'a> {
    /// The name.
    pub(super) name: Cow<'a, str>,
    /// Where the name stands.
    pub(super) name_at: usize,
    /// The value.
    pub(super) node: Node<'a>,
    /// Where it may go.
    pub(super) wish: Wish,
}

/// Where a value may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Anywhere.
    Anywhere,
    /// Into the body only: it is more than a text.
    Body,
    /// Behind the link of a button only.
    Link,
}

/// The values that have found their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Placed<'a> {
    /// Members of `placeholders`.
    pub(super) body: Vec<Entry<'a>>,
    /// `templateHeader`.
    pub(super) header: Option<Node<'a>>,
    /// Members of `templateButtons`.
    pub(super) buttons: Vec<Entry<'a>>,
}

impl<'a> Placed<'a> {
    /// Gives each of `values` its place; what has none is told to `turned`. A template that is not
    /// known (`None`) takes all of them as its body's: that it is not known is told elsewhere.
    pub(super) fn place(
        &mut self,
        values: Vec<Named<'a>>,
        places: Option<&Places<'_>>,
        turned: &mut Turned<'a>,
    ) {
        let Some(places) = places else {
            for value in values {
                let name = value.name.clone();
                self.body.push(entry(name, value.name_at, value.node));
            }
            return;
        };
        let mut left = Vec::new();
        for value in values {
            match places.of_name(&value.name) {
                Some(place) if fits(&place, value.wish) => self.put(&place, value, places, turned),
                _ => left.push(value),
            }
        }
        let links: Vec<Variable> = self.open_links(places);
        let (link, mut left): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|value| value.wish == Wish::Link);
        left.extend(self.only_one(link, &links, places, turned));
        let open = self.open(places);
        let left = match left.as_slice() {
            [one] if one.wish == Wish::Anywhere => self.only_one(left, &open, places, turned),
            _ => left,
        };
        for (at, value) in left.iter().take(ROW_FAULTS_MAX).enumerate() {
            turned.misfit(value.name_at, unknown(value, places, at < HINTS_MAX));
        }
    }

    /// What stands alone goes to the only place that is open; otherwise all are given back.
    fn only_one(
        &mut self,
        mut values: Vec<Named<'a>>,
        open: &[Variable],
        places: &Places<'_>,
        turned: &mut Turned<'a>,
    ) -> Vec<Named<'a>> {
        if let ([place], 1) = (open, values.len())
            && let Some(value) = values.pop()
        {
            self.put(place, value, places, turned);
        }
        values
    }

    fn open_links(&self, places: &Places<'_>) -> Vec<Variable> {
        let free = |index: &&u8| !self.has_button(**index);
        let links = places.links.iter().filter(free);
        links.map(|index| Variable::Button(*index)).collect()
    }

    /// The places beside the body that still ask for a text.
    fn open(&self, places: &Places<'_>) -> Vec<Variable> {
        let mut open = self.open_links(places);
        let codes = places
            .codes
            .iter()
            .filter(|index| !self.has_button(**index));
        open.extend(codes.map(|index| Variable::Button(*index)));
        if places.header != HeaderNeed::None && self.header.is_none() {
            open.push(Variable::Header);
        }
        open
    }

    fn has_button(&self, index: u8) -> bool {
        let index = index.to_string();
        self.buttons.iter().any(|button| button.key == index)
    }

    fn put(
        &mut self,
        place: &Variable,
        value: Named<'a>,
        places: &Places<'_>,
        turned: &mut Turned<'a>,
    ) {
        let taken = match place {
            Variable::Body(name) => self.body.iter().any(|entry| entry.key == *name),
            Variable::Header => self.header.is_some(),
            Variable::Button(index) => self.has_button(*index),
        };
        if taken {
            let expected = "one value for each parameter";
            let trouble = Trouble::new(Code::JsonDuplicateKey, expected, "a second one");
            turned.misfit(value.name_at, trouble.hint("remove one of them"));
            return;
        }
        let node = value.node;
        match place {
            Variable::Body(name) => {
                self.body
                    .push(entry(name.clone().into(), value.name_at, node));
            }
            Variable::Header => self.header = Some(header(places.header, node)),
            Variable::Button(index) => {
                let kind = if places.codes.contains(index) {
                    "copy-code"
                } else if places.replies.iter().any(|(known, _)| known == index) {
                    "quick-reply"
                } else {
                    "url"
                };
                self.button(*index, kind, &node);
            }
        }
    }

    /// Adds the value of a button.
    pub(super) fn button(&mut self, index: u8, kind: &'static str, value: &Node<'a>) {
        let at = value.at;
        let members = [
            ("type".into(), word_at(value, kind)),
            ("value".into(), value.clone()),
        ];
        let button = object_at(value, members);
        self.buttons
            .push(entry(index.to_string().into(), at, button));
    }

    /// Says in the native form what was placed; `place` is where it all stands.
    pub(super) fn say(self, place: &Node<'a>, turned: &mut Turned<'a>) {
        if !self.body.is_empty() {
            turned.put("placeholders", at_place(place, Value::Object(self.body)));
        }
        if let Some(header) = self.header {
            turned.put("templateHeader", header);
        }
        if !self.buttons.is_empty() {
            let buttons = at_place(place, Value::Object(self.buttons));
            turned.put("templateButtons", buttons);
        }
    }
}

fn fits(place: &Variable, wish: Wish) -> bool {
    match wish {
        Wish::Anywhere => true,
        Wish::Body => matches!(place, Variable::Body(_)),
        Wish::Link => matches!(place, Variable::Button(_)),
    }
}

fn header(need: HeaderNeed, value: Node<'_>) -> Node<'_> {
    let (kind, key) = match need {
        HeaderNeed::File(kind) => (word(kind), "url"),
        HeaderNeed::Text | HeaderNeed::None => ("text", "value"),
    };
    let kind = ("type".into(), word_at(&value, kind));
    object_at(&value.clone(), [kind, (key.into(), value)])
}

fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "video",
        MediaKind::Document => "document",
        MediaKind::Gif => "gif",
        MediaKind::Image | MediaKind::Audio | MediaKind::Sticker => "image",
    }
}

fn entry<'a>(key: Cow<'a, str>, key_at: usize, node: Node<'a>) -> Entry<'a> {
    Entry { key, key_at, node }
}

/// What is said of a value without a place.
fn unknown(value: &Named<'_>, places: &Places<'_>, compare: bool) -> Trouble {
    if places.of_name(&value.name).is_some() {
        let found = match value.wish {
            Wish::Link => "the end of a link",
            Wish::Body | Wish::Anywhere => "an amount or a date",
        };
        let expected = "a text, which is what stands in this place";
        return Trouble::new(Code::ParameterWrongKind, expected, found);
    }
    let names: Vec<String> = places.names().cloned().collect();
    let expected = match (value.wish, names.is_empty()) {
        (Wish::Link, _) => "the name of a button of this template whose link varies".into(),
        (_, true) => "no values: the template has no parameters with names".into(),
        (_, false) => format!("a parameter of this template: {}", quoted_list(&names)),
    };
    let near = if compare {
        unknown_hint(&value.name, &names)
    } else {
        String::new()
    };
    let hint = if near.is_empty() {
        "if it is right, its place is missing under `variables` in the template's definition".into()
    } else {
        near
    };
    Trouble::new(Code::ParameterUnknown, expected, "another name").hint(hint)
}
