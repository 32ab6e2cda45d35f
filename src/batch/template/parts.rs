//! What a row and the head of its file say to a template, put together: arrays become objects by
//! name, buttons stand under their index, and what the row leaves out comes from the head.

use super::shape::{BUTTONS_MAX, ButtonKind, Face, Shape};
use super::text::Text;
use crate::batch::fault::{Code, Misfit, Trouble};
use crate::batch::tree::{Entry, NOWHERE, Node, Value, duplicates};
use crate::batch::values::{Gathered, Member, Part, ROW_KEYS, Said};

/// The most values for placeholders that a row can give: each is compared with each.
pub(in crate::batch) const PLACEHOLDERS_MAX: usize = 256;

/// The most that the head of a file says to templates, in bytes: each of its rows is kept with it.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How deep values are looked through for keys that stand twice; rows nest no deeper.
const DEPTH_MAX: usize = 64;

/// The keys under which buttons stand.
pub(super) const INDICES: [&str; BUTTONS_MAX] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The parts of a row, or of the head of its file, that speak to its template. A part of the head
/// that no row has bytes for stands nowhere.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::batch) struct Parts<'a> {
    /// `placeholders`: values by name or in order.
    pub(in crate::batch) placeholders: Option<&'a Node<'a>>,
    /// `templateHeader`.
    pub(in crate::batch) header: Option<&'a Node<'a>>,
    /// `templateButtons`.
    pub(in crate::batch) buttons: Option<&'a Node<'a>>,
    /// `templateCards`.
    pub(in crate::batch) cards: Option<&'a Node<'a>>,
    /// `templateOffer`.
    pub(in crate::batch) offer: Option<&'a Node<'a>>,
    /// The file's own names for the placeholders, in its order; none if it declares none.
    pub(in crate::batch) declared: &'a [String],
    /// What the head says for rows that do not say it themselves.
    pub(in crate::batch) defaults: Option<&'a Parts<'a>>,
}

/// What a head says for all rows, for as long as they are read.
#[derive(Clone, Debug, Default)]
pub(in crate::batch) struct HeadParts {
    parts: [Option<Node<'static>>; ROW_KEYS.len()],
    bytes: usize,
}

/// Parts being put together.
pub(super) struct Gathering<'a, 's> {
    shape: &'s Shape,
    declared: &'a [String],
    /// What is wrong with them before any schema is asked.
    pub(super) misfits: Vec<Misfit>,
}

impl<'a> Parts<'a> {
    /// Parts in the order of [`ROW_KEYS`].
    pub(in crate::batch) fn new(parts: [Option<&'a Node<'a>>; ROW_KEYS.len()]) -> Self {
        let [placeholders, header, buttons, cards, offer] = parts;
        Self {
            placeholders,
            header,
            buttons,
            cards,
            offer,
            ..Self::default()
        }
    }

    /// All that is said to a template of this shape, and what is wrong with the way it is said.
    /// `None` stands for a part that is too ill to be looked at further.
    pub(super) fn gather<'s: 'a>(&self, shape: &'s Shape) -> (Said<'a>, Vec<Misfit>) {
        let mut gathering = Gathering {
            shape,
            declared: self.declared,
            misfits: Vec::new(),
        };
        let none = Parts::default();
        let head = self.defaults.copied().unwrap_or(none);
        let face = &shape.face;
        let header =
            said(self.header).or_else(|| said(head.header).filter(|_| face.header_varies()));
        let cards =
            said(self.cards).or_else(|| said(head.cards).filter(|_| !shape.cards.is_empty()));
        let offer = said(self.offer).or_else(|| said(head.offer).filter(|_| shape.offer_ends()));
        for part in [header, offer].into_iter().flatten() {
            gathering.twice(part);
        }
        let said = Said {
            parts: [
                gathering.placeholders(self.placeholders, head.placeholders),
                header
                    .filter(|part| face.header_varies() || !part.is_hollow())
                    .map(without_nulls),
                gathering.buttons(face, (self.buttons, head.buttons)),
                cards
                    .filter(|part| !shape.cards.is_empty() || !part.is_hollow())
                    .map(|cards| gathering.cards(cards)),
                offer
                    .filter(|part| shape.offer_ends() || !part.is_hollow())
                    .map(without_nulls),
            ],
        };
        (said, gathering.misfits)
    }
}

impl HeadParts {
    /// Keeps what stands under the key at this place of [`ROW_KEYS`], if it is not too much.
    pub(in crate::batch) fn keep(&mut self, place: usize, node: &Node<'_>) -> Result<(), Misfit> {
        self.bytes = self.bytes.saturating_add(node.end - node.at);
        if self.bytes > HEAD_BYTES_MAX {
            let expected = "at most 64 KiB at the top for all that is said to templates";
            let trouble = Trouble::new(Code::BatchHeadTooLong, expected, "more");
            let hint = "each message is kept with it: say in the rows what is long";
            return Err(Misfit::new(node.at, trouble.hint(hint)));
        }
        if let Some(part) = self.parts.get_mut(place) {
            *part = Some(node.uprooted());
        }
        Ok(())
    }

    /// The parts as rows fall back on them.
    pub(in crate::batch) fn parts(&self) -> Parts<'_> {
        Parts::new(self.parts.each_ref().map(Option::as_ref))
    }
}

/// A part that is there.
fn said<'a>(node: Option<&'a Node<'a>>) -> Option<&'a Node<'a>> {
    node.filter(|node| node.value != Value::Null)
}

/// Keys that stand in a value twice, however deep.
pub(in crate::batch) fn keys_twice(node: &Node<'_>) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    twice(node, DEPTH_MAX, &mut misfits);
    misfits
}

fn twice(node: &Node<'_>, depth_left: usize, misfits: &mut Vec<Misfit>) {
    match &node.value {
        Value::Object(entries) if depth_left > 0 => {
            for entry in duplicates(entries) {
                let trouble =
                    Trouble::new(Code::JsonDuplicateKey, "each key once", "a key given twice");
                misfits.push(Misfit::new(
                    entry.key_at,
                    trouble.hint("remove one of the two"),
                ));
            }
            for entry in entries {
                twice(&entry.node, depth_left - 1, misfits);
            }
        }
        Value::List(nodes) if depth_left > 0 => {
            for node in nodes {
                twice(node, depth_left - 1, misfits);
            }
        }
        _ => {}
    }
}

/// The same object without those of its members that count as absent.
fn without_nulls<'a>(node: &'a Node<'a>) -> Part<'a> {
    let is_there = |entry: &&Entry<'_>| entry.node.value != Value::Null;
    match &node.value {
        Value::Object(entries) if !entries.iter().all(|entry| is_there(&entry)) => {
            let mut gathered = empty(node.at);
            let there = entries.iter().filter(is_there);
            gathered.members.extend(there.map(as_it_stands));
            Part::Object(gathered)
        }
        _ => Part::Node(node),
    }
}

impl<'a> Gathering<'a, 'a> {
    fn misfit(&mut self, at: usize, trouble: Trouble) {
        self.misfits.push(Misfit { at, trouble });
    }

    fn placeholders(
        &mut self,
        own: Option<&'a Node<'a>>,
        head: Option<&'a Node<'a>>,
    ) -> Option<Part<'a>> {
        let text = &self.shape.face.body;
        let head = said(head);
        let Some(own) = said(own) else {
            if text.names.is_empty() && head.is_none() {
                return None;
            }
            let mut gathered = empty(NOWHERE);
            self.defaults(text, head, &mut gathered);
            return Some(Part::Object(gathered));
        };
        // Rows that name exactly what the template asks for are taken as they stand.
        if let Value::Object(entries) = &own.value
            && entries.len() == text.names.len()
            && entries.len() <= PLACEHOLDERS_MAX
            && text
                .names
                .iter()
                .all(|name| entries.iter().any(|entry| entry.key == *name))
            && entries.iter().all(|entry| entry.node.value != Value::Null)
        {
            for entry in entries {
                self.twice(&entry.node);
            }
            return Some(Part::Node(own));
        }
        let mut gathered = empty(own.at);
        match &own.value {
            Value::Object(entries) if entries.len() > PLACEHOLDERS_MAX => {
                self.misfit(own.at, too_many(entries.len()));
                return None;
            }
            Value::Object(entries) => self.by_name(text, entries, &mut gathered),
            Value::List(list) if list.len() == text.names.len() => {
                self.in_order(text, list, &mut gathered);
            }
            Value::List(list) => {
                self.misfit(own.at, wrong_count(text.names.len(), list.len()));
                return None;
            }
            _ => {
                let expected = "an object of values by name";
                self.misfit(
                    own.at,
                    Trouble::new(Code::BatchWrongKind, expected, own.kind()),
                );
                return None;
            }
        }
        self.defaults(text, head, &mut gathered);
        Some(Part::Object(gathered))
    }

    fn by_name(&mut self, text: &'a Text, entries: &'a [Entry<'a>], gathered: &mut Gathered<'a>) {
        // What is null counts as absent.
        let present = |entry: &&Entry<'_>| entry.node.value != Value::Null;
        for entry in entries.iter().filter(present) {
            let key = entry.key.as_ref();
            let known = resolve(key, &text.names, self.declared);
            let name = known.map_or(key, |at| &text.names[at]);
            if gathered.has(name) {
                self.misfit(entry.key_at, second_value());
                continue;
            }
            self.twice(&entry.node);
            gathered.members.push(Member {
                name,
                key_at: entry.key_at,
                part: Part::Node(&entry.node),
            });
        }
    }

    /// Where the file lists the template's names in an order of its own, its arrays follow it.
    /// Numbers are no names: the first value is that of `{{1}}`, whatever the file calls it.
    fn in_order(&mut self, text: &'a Text, list: &'a [Node<'a>], gathered: &mut Gathered<'a>) {
        let names = &text.names;
        for (place, node) in list.iter().enumerate() {
            let declared = self.declared.get(place).filter(|_| text.named);
            let name = declared
                .and_then(|declared| names.iter().find(|name| *name == declared))
                .unwrap_or(&names[place]);
            if gathered.has(name) {
                self.misfit(node.at, second_value());
                continue;
            }
            self.twice(node);
            gathered.members.push(Member {
                name,
                key_at: node.at,
                part: Part::Node(node),
            });
        }
    }

    /// Values of the head for what the row does not give.
    fn defaults(
        &mut self,
        text: &'a Text,
        head: Option<&'a Node<'a>>,
        gathered: &mut Gathered<'a>,
    ) {
        let Some(Value::Object(entries)) = head.map(|node| &node.value) else {
            return;
        };
        for entry in entries.iter().take(PLACEHOLDERS_MAX) {
            let known = resolve(&entry.key, &text.names, self.declared);
            if let Some(name) = known.map(|at| text.names[at].as_str())
                && !gathered.has(name)
            {
                gathered.members.push(Member {
                    name,
                    key_at: NOWHERE,
                    part: Part::Node(&entry.node),
                });
            }
        }
    }

    /// Buttons by their index, the row's own before the head's.
    fn buttons(
        &mut self,
        face: &'a Face,
        (own, head): (Option<&'a Node<'a>>, Option<&'a Node<'a>>),
    ) -> Option<Part<'a>> {
        let (own, head) = (said(own), said(head));
        if !face.buttons_vary() {
            return own.filter(|own| !own.is_hollow()).map(Part::Node);
        }
        let mut gathered = empty(own.map_or(NOWHERE, |own| own.at));
        if let Some(own) = own {
            match &own.value {
                Value::Object(entries) => {
                    self.twice(own);
                    gathered.members.extend(there(entries));
                }
                Value::List(items) => self.listed(face, items, &mut gathered),
                _ => return Some(Part::Node(own)),
            }
        }
        let mut defaults = empty(NOWHERE);
        match head.map(|head| &head.value) {
            Some(Value::Object(entries)) => defaults.members.extend(there(entries)),
            Some(Value::List(items)) => self.listed(face, items, &mut defaults),
            _ => {}
        }
        for member in defaults.members {
            let known = INDICES.iter().position(|index| *index == member.name);
            let part = known.and_then(|at| face.buttons.get(at));
            if part.is_some_and(|part| part.kind.varies()) && !gathered.has(member.name) {
                gathered.members.push(member);
            }
        }
        Some(Part::Object(gathered))
    }

    /// An array of buttons: each names its index, or is a kind with the values of several.
    fn listed(&mut self, face: &'a Face, items: &'a [Node<'a>], gathered: &mut Gathered<'a>) {
        if items.len() > BUTTONS_MAX {
            let expected = format!("at most {BUTTONS_MAX} buttons");
            let found = format!("{} of them", items.len());
            let at = items[BUTTONS_MAX].at;
            self.misfit(
                at,
                Trouble::new(Code::TemplateComponentUnknown, expected, found),
            );
        }
        for item in items.iter().take(BUTTONS_MAX) {
            self.twice(item);
            let Value::Object(entries) = &item.value else {
                let expected = "an object with `type`, `index` and `value`";
                self.misfit(
                    item.at,
                    Trouble::new(Code::BatchWrongKind, expected, item.kind()),
                );
                continue;
            };
            match (member(entries, "values"), member(entries, "index")) {
                (Some(values), None) => self.of_one_kind(face, entries, values, gathered),
                _ => {
                    self.indexed(item, entries, gathered);
                }
            }
        }
    }

    /// `{"type": …, "values": [{"index": …, "value": …}]}`.
    fn of_one_kind(
        &mut self,
        face: &'a Face,
        entries: &'a [Entry<'a>],
        values: &'a Node<'a>,
        gathered: &mut Gathered<'a>,
    ) {
        let other = |entry: &&Entry<'_>| {
            entry.node.value != Value::Null && !matches!(entry.key.as_ref(), "type" | "values")
        };
        if let Some(other) = entries.iter().find(other) {
            let expected = "`type` and `values`";
            let trouble = Trouble::new(Code::BatchUnknownKey, expected, "another key");
            self.misfit(other.key_at, trouble.hint("remove it"));
        }
        let Value::List(items) = &values.value else {
            let expected = "an array of objects with `index` and `value`";
            self.misfit(
                values.at,
                Trouble::new(Code::BatchWrongKind, expected, values.kind()),
            );
            return;
        };
        for item in items.iter().take(BUTTONS_MAX + 1) {
            let Value::Object(inner) = &item.value else {
                let expected = "an object with `index` and `value`";
                self.misfit(
                    item.at,
                    Trouble::new(Code::BatchWrongKind, expected, item.kind()),
                );
                continue;
            };
            let Some(at) = self.indexed(item, inner, gathered) else {
                continue;
            };
            let kind = face.buttons.get(at).map(|part| &part.kind);
            if let (Some(kind), Some(word)) = (kind, member(entries, "type"))
                && kind.varies()
                && !word.text().is_some_and(|word| kind.types().contains(&word))
            {
                self.misfit(word.at, wrong_type(kind, word));
            }
        }
    }

    /// A button that names its own index.
    fn indexed(
        &mut self,
        item: &'a Node<'a>,
        entries: &'a [Entry<'a>],
        gathered: &mut Gathered<'a>,
    ) -> Option<usize> {
        let expected = format!("an `index` from 0 to {}", BUTTONS_MAX - 1);
        let Some(index) = member(entries, "index") else {
            let trouble = Trouble::new(Code::ParameterMissing, expected, "none");
            self.misfit(item.at, trouble.hint("buttons are counted from 0"));
            return None;
        };
        let at = match &index.value {
            Value::Number(text) => INDICES.iter().position(|known| known == text),
            Value::Text(text) => INDICES.iter().position(|known| known == text),
            _ => None,
        };
        let Some(at) = at else {
            let found = match &index.value {
                Value::Number(_) => "another number",
                Value::Text(_) => "another text",
                _ => index.kind(),
            };
            self.misfit(index.at, Trouble::new(Code::BatchBadValue, expected, found));
            return None;
        };
        if gathered.has(INDICES[at]) {
            let trouble = Trouble::new(Code::JsonDuplicateKey, "each button once", "a second one");
            self.misfit(index.at, trouble.hint("remove one of them"));
            return None;
        }
        gathered.members.push(Member {
            name: INDICES[at],
            key_at: index.at,
            part: without_nulls(item),
        });
        Some(at)
    }

    /// The cards with their buttons by index.
    fn cards(&mut self, cards: &'a Node<'a>) -> Part<'a> {
        let shape = self.shape;
        let Value::List(list) = &cards.value else {
            return Part::Node(cards);
        };
        if shape.cards.is_empty() {
            return Part::Node(cards);
        }
        let items = list
            .iter()
            .enumerate()
            .map(|(at, card)| match (&card.value, shape.cards.get(at)) {
                (Value::Object(entries), Some(face)) => {
                    Part::Object(self.card(card, entries, face))
                }
                _ => Part::Node(card),
            })
            .collect();
        Part::List {
            at: cards.at,
            items,
        }
    }

    fn card(
        &mut self,
        card: &'a Node<'a>,
        entries: &'a [Entry<'a>],
        face: &'a Face,
    ) -> Gathered<'a> {
        self.twice(card);
        let mut gathered = empty(card.at);
        for entry in entries
            .iter()
            .filter(|entry| entry.node.value != Value::Null)
        {
            let part = match entry.key.as_ref() {
                "buttons" => self.buttons(face, (Some(&entry.node), None)),
                "header" => Some(without_nulls(&entry.node)),
                _ => Some(Part::Node(&entry.node)),
            };
            gathered.members.extend(part.map(|part| Member {
                name: &entry.key,
                key_at: entry.key_at,
                part,
            }));
        }
        gathered
    }

    /// Notes keys that stand twice. What comes from the head was looked through once for all rows.
    fn twice(&mut self, node: &Node<'_>) {
        if node.at != NOWHERE {
            twice(node, DEPTH_MAX, &mut self.misfits);
        }
    }
}

fn empty<'a>(at: usize) -> Gathered<'a> {
    Gathered {
        at,
        members: Vec::new(),
    }
}

/// Buttons that are there, each under its index.
fn there<'a>(entries: &'a [Entry<'a>]) -> impl Iterator<Item = Member<'a>> {
    let there = entries
        .iter()
        .filter(|entry| entry.node.value != Value::Null);
    there.map(|entry| Member {
        part: without_nulls(&entry.node),
        ..as_it_stands(entry)
    })
}

fn as_it_stands<'a>(entry: &'a Entry<'a>) -> Member<'a> {
    Member {
        name: &entry.key,
        key_at: entry.key_at,
        part: Part::Node(&entry.node),
    }
}

fn member<'a>(entries: &'a [Entry<'a>], key: &str) -> Option<&'a Node<'a>> {
    let found = entries.iter().find(|entry| entry.key == key);
    said(found.map(|entry| &entry.node))
}

/// Which of a list of names a key means: by name, by the file's own name for the placeholder in
/// this place, or by its number from 1.
pub(in crate::batch) fn resolve(key: &str, names: &[String], declared: &[String]) -> Option<usize> {
    names
        .iter()
        .position(|name| name == key)
        .or_else(|| declared.iter().position(|name| name == key))
        .or_else(|| key.parse::<usize>().ok()?.checked_sub(1))
        .filter(|at| *at < names.len())
}

/// What is said of a second value for the same placeholder.
pub(in crate::batch) fn second_value() -> Trouble {
    let expected = "one value for each placeholder";
    Trouble::new(Code::JsonDuplicateKey, expected, "a second one").hint("remove one of them")
}

/// What is said of a button that is of another kind than the template's.
fn wrong_type(kind: &ButtonKind, given: &Node<'_>) -> Trouble {
    let found = match given.text() {
        Some(text) if !text.is_empty() => "another kind",
        _ => given.kind(),
    };
    let expected = format!("`{}`: the kind of this button", kind.types().join("` or `"));
    Trouble::new(Code::TemplateButtonKind, expected, found).hint("buttons are counted from 0")
}

/// What is said of more placeholders than are looked at.
pub(in crate::batch) fn too_many(found: usize) -> Trouble {
    let expected = format!("at most {PLACEHOLDERS_MAX} placeholders");
    Trouble::new(Code::ParameterCount, expected, found.to_string())
}

/// What is said of an array that has not one value for each placeholder.
pub(in crate::batch) fn wrong_count(names: usize, values: usize) -> Trouble {
    Trouble::new(
        Code::ParameterCount,
        match names {
            0 => "no values: there are no placeholders".into(),
            1 => "1 value, for the one placeholder".into(),
            count => format!("{count} values, one for each placeholder, in order"),
        },
        match values {
            1 => "1 value".into(),
            count => format!("{count} values"),
        },
    )
}
