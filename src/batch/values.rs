//! What a row says to a template, as one object that a JSON Schema can be held against without
//! copying a byte of it. How its parts are found is for `template` to know.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node as JsonNode, NodeIdentity, Object};

use super::tree::{Entry, NOWHERE, Node, Value};

/// The keys of a row that speak to its template.
pub(super) const ROW_KEYS: [&str; 5] = [
    "placeholders",
    "templateHeader",
    "templateButtons",
    "templateCards",
    "templateOffer",
];

/// What a row says to its template, in the order of [`ROW_KEYS`].
#[derive(Clone, Debug, Default)]
pub(super) struct Said<'a> {
    /// A part for each key; `None` where neither the row nor the head says anything.
    pub(super) parts: [Option<Part<'a>>; ROW_KEYS.len()],
}

/// A value as it stands in the file, or one that was put together from several places of it.
#[derive(Clone, Debug)]
pub(super) enum Part<'a> {
    /// As it stands in the file.
    Node(&'a Node<'a>),
    /// An object put together.
    Object(Gathered<'a>),
    /// An array put together.
    List {
        /// Where the array of the row stands.
        at: usize,
        /// What it holds.
        items: Vec<Part<'a>>,
    },
}

/// An object put together.
#[derive(Clone, Debug)]
pub(super) struct Gathered<'a> {
    /// Where the object of the row stands; nowhere if the row has none.
    pub(super) at: usize,
    /// What it holds, each name once.
    pub(super) members: Vec<Member<'a>>,
}

/// A member of such an object.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    /// The name: the template's, or the row's own where the template has no such place.
    pub(super) name: &'a str,
    /// Where the row's own name for it stands.
    pub(super) key_at: usize,
    /// The value.
    pub(super) part: Part<'a>,
}

impl Gathered<'_> {
    /// Whether there is a value under this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }
}

/// The representation that validators are compiled for.
#[derive(Debug)]
pub(super) struct Filled;

/// A value within it.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    /// All that a row says.
    Row(&'a Said<'a>),
    /// An object put together.
    Object(&'a Gathered<'a>),
    /// An array put together.
    List(usize, &'a [Part<'a>]),
    /// A value as it stands in the file.
    Node(&'a Node<'a>),
    /// A name by itself.
    Name(&'a str),
}

impl<'a> View<'a> {
    /// What a part is seen as.
    pub(super) fn of(part: &'a Part<'a>) -> Self {
        match part {
            Part::Node(node) => Self::Node(node),
            Part::Object(object) => Self::Object(object),
            Part::List { at, items } => Self::List(*at, items),
        }
    }

    /// Where it begins.
    pub(super) fn at(self) -> usize {
        match self {
            Self::Row(_) | Self::Name(_) => NOWHERE,
            Self::Object(object) => object.at,
            Self::List(at, _) => at,
            Self::Node(node) => node.at,
        }
    }

    /// The node, if it stands in the file as it is.
    pub(super) fn node(self) -> Option<&'a Node<'a>> {
        match self {
            Self::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub(super) fn text(self) -> Option<&'a str> {
        self.node().and_then(Node::text)
    }

    /// What it is, in words for people; never its value.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Row(_) | Self::Object(_) => "an object",
            Self::List(..) => "an array",
            Self::Node(node) => node.kind(),
            Self::Name(_) => "a text",
        }
    }

    /// Its members, if it is an object.
    pub(super) fn members(self) -> Option<Members<'a>> {
        match self {
            Self::Row(said) => Some(Members::Row(said)),
            Self::Object(object) => Some(Members::Gathered(&object.members)),
            Self::Node(Node {
                value: Value::Object(entries),
                ..
            }) => Some(Members::Entries(entries)),
            _ => None,
        }
    }

    /// Its items, if it is an array.
    pub(super) fn items(self) -> Option<Items<'a>> {
        match self {
            Self::List(_, items) => Some(Items::Parts(items)),
            Self::Node(Node {
                value: Value::List(nodes),
                ..
            }) => Some(Items::Nodes(nodes)),
            _ => None,
        }
    }

    /// The member of this name.
    pub(super) fn member(self, name: &str) -> Option<Self> {
        self.members()?
            .find(|(known, ..)| *known == name)
            .map(|(.., view)| view)
    }

    /// The item at this place.
    pub(super) fn item(self, place: usize) -> Option<Self> {
        match self.items()? {
            Items::Parts(items) => items.get(place).map(View::of),
            Items::Nodes(nodes) => nodes.get(place).map(View::Node),
        }
    }

    /// What a JSON Pointer leads to.
    pub(super) fn pointed(self, pointer: &str) -> Option<Self> {
        pointer.split('/').skip(1).try_fold(self, |view, key| {
            let key = key.replace("~1", "/").replace("~0", "~");
            match view.items() {
                Some(_) => view.item(key.parse().ok()?),
                None => view.member(&key),
            }
        })
    }
}

/// The members of an object: name, where the name stands, value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Members<'a> {
    Row(&'a Said<'a>),
    Gathered(&'a [Member<'a>]),
    Entries(&'a [Entry<'a>]),
}

/// The items of an array.
#[derive(Clone, Copy, Debug)]
pub(super) enum Items<'a> {
    Parts(&'a [Part<'a>]),
    Nodes(&'a [Node<'a>]),
}

impl Json for Filled {
    type Node<'a> = View<'a>;
    type PreparedKey = String;
    type StringBuffer = String;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut String, string: &str, f: impl FnOnce(View<'_>) -> T) -> T {
        string.clone_into(buffer);
        f(View::Name(buffer))
    }
}

impl<'a> JsonNode<'a, Filled> for View<'a> {
    type Object = Members<'a>;
    type Array = Items<'a>;
    type Number = Digits<'a>;

    fn as_object(&self) -> Option<Members<'a>> {
        self.members()
    }

    fn as_array(&self) -> Option<Items<'a>> {
        self.items()
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match *self {
            Self::Node(node) => node.text().map(Cow::Borrowed),
            Self::Name(name) => Some(Cow::Borrowed(name)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Digits<'a>> {
        match *self {
            Self::Node(Node {
                value: Value::Number(text),
                ..
            }) => Some(Digits(text)),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Node(Node {
                value: Value::Bool(it),
                ..
            }) => Some(*it),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.json_type() == JsonType::Null
    }

    fn json_type(&self) -> JsonType {
        match self {
            Self::Row(_) | Self::Object(_) => JsonType::Object,
            Self::List(..) => JsonType::Array,
            Self::Name(_) => JsonType::String,
            Self::Node(node) => match &node.value {
                Value::Null => JsonType::Null,
                Value::Bool(_) => JsonType::Boolean,
                Value::Number(_) => JsonType::Number,
                Value::Text(_) => JsonType::String,
                Value::List(_) => JsonType::Array,
                Value::Object(_) => JsonType::Object,
            },
        }
    }

    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        // Errors are reworded from their kind and place alone, so that no value can leak into
        // them: the value that an error would quote is left empty.
        Cow::Owned(serde_json::Value::Null)
    }

    /// Our schemas list texts, whole numbers and `null` only.
    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        match expected {
            serde_json::Value::String(expected) => {
                self.as_string().is_some_and(|it| it == *expected)
            }
            serde_json::Value::Number(expected) => self
                .as_number()
                .is_some_and(|it| it.as_i64().is_some() && it.as_i64() == expected.as_i64()),
            serde_json::Value::Null => self.is_null(),
            _ => false,
        }
    }

    fn identity(&self) -> Option<NodeIdentity> {
        None
    }
}

impl<'a> Object<'a, Filled> for Members<'a> {
    type Node = View<'a>;
    type MemberName = &'a str;
    type MembersIter = Pairs<'a>;

    fn len(&self) -> usize {
        match self {
            Self::Row(said) => said.parts.iter().flatten().count(),
            Self::Gathered(members) => members.len(),
            Self::Entries(entries) => entries.len(),
        }
    }

    fn get(&self, key: &String) -> Option<View<'a>> {
        self.find(|(name, ..)| name == key).map(|(.., view)| view)
    }

    fn members(&self) -> Pairs<'a> {
        Pairs(self.iter())
    }
}

impl<'a> Members<'a> {
    /// The members, one after the other.
    pub(super) fn iter(self) -> MembersIter<'a> {
        MembersIter {
            members: self,
            at: 0,
        }
    }

    fn find(
        self,
        mut is_it: impl FnMut(&(&'a str, usize, View<'a>)) -> bool,
    ) -> Option<(&'a str, usize, View<'a>)> {
        self.iter().find(|member| is_it(member))
    }
}

/// The members, one after the other.
#[derive(Clone, Debug)]
pub(super) struct MembersIter<'a> {
    members: Members<'a>,
    at: usize,
}

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, usize, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.at;
            self.at += 1;
            return match self.members {
                Members::Row(said) => match said.parts.get(at)? {
                    Some(part) => Some((ROW_KEYS[at], NOWHERE, View::of(part))),
                    None => continue,
                },
                Members::Gathered(members) => members
                    .get(at)
                    .map(|member| (member.name, member.key_at, View::of(&member.part))),
                Members::Entries(entries) => entries
                    .get(at)
                    .map(|entry| (entry.key.as_ref(), entry.key_at, View::Node(&entry.node))),
            };
        }
    }
}

/// The members as the validator asks for them.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a>(MembersIter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, _, view)| (name, view))
    }
}

impl<'a> Array<'a, Filled> for Items<'a> {
    type Node = View<'a>;
    type ElementsIter = ItemsIter<'a>;

    fn len(&self) -> usize {
        match self {
            Self::Parts(items) => items.len(),
            Self::Nodes(nodes) => nodes.len(),
        }
    }

    fn elements(&self) -> ItemsIter<'a> {
        self.iter()
    }
}

impl<'a> Items<'a> {
    /// The items, one after the other.
    pub(super) fn iter(self) -> ItemsIter<'a> {
        ItemsIter { items: self, at: 0 }
    }
}

/// The items, one after the other.
#[derive(Clone, Debug)]
pub(super) struct ItemsIter<'a> {
    items: Items<'a>,
    at: usize,
}

impl<'a> Iterator for ItemsIter<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        let at = self.at;
        self.at += 1;
        match self.items {
            Items::Parts(items) => items.get(at).map(View::of),
            Items::Nodes(nodes) => nodes.get(at).map(View::Node),
        }
    }
}

/// A number as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits<'a>(&'a str);

impl JsonNumber for Digits<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok()
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn is_integer(&self) -> bool {
        self.is_written_as_integer()
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        let number = self
            .0
            .parse()
            .unwrap_or_else(|_| serde_json::Number::from(0));
        Cow::Owned(number)
    }
}
