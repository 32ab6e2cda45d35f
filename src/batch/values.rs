//! The values that a row gives for placeholders, as an object that a JSON Schema can be held
//! against without copying a byte of it.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node as JsonNode, NodeIdentity, Object};

use super::tree::{Entry, Node, Value};

/// One value, under the template's name for its placeholder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    /// The name: the template's, or the row's own where the template has no such placeholder.
    pub(super) name: &'a str,
    /// The value as it stands in the file.
    pub(super) node: &'a Node<'a>,
}

/// The representation that validators are compiled for.
#[derive(Debug)]
pub(super) struct Filled;

/// A value within it.
#[derive(Clone, Copy, Debug)]
pub(super) enum View<'a> {
    /// All values of a row.
    Row(&'a [Given<'a>]),
    /// One of them, or a part of one.
    Node(&'a Node<'a>),
    /// A name by itself.
    Name(&'a str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Members<'a> {
    Row(&'a [Given<'a>]),
    Entries(&'a [Entry<'a>]),
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
    type Array = &'a [Node<'a>];
    type Number = Digits<'a>;

    fn as_object(&self) -> Option<Members<'a>> {
        match *self {
            Self::Row(given) => Some(Members::Row(given)),
            Self::Node(Node {
                value: Value::Object(entries),
                ..
            }) => Some(Members::Entries(entries)),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Node<'a>]> {
        match *self {
            Self::Node(Node {
                value: Value::List(nodes),
                ..
            }) => Some(nodes),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match *self {
            Self::Node(node) => node.text().map(Cow::Borrowed),
            Self::Name(name) => Some(Cow::Borrowed(name)),
            Self::Row(_) => None,
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
            Self::Row(_) => JsonType::Object,
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

    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        match (self.as_string(), expected) {
            (Some(text), serde_json::Value::String(expected)) => text == *expected,
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
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        match self {
            Self::Row(given) => given.len(),
            Self::Entries(entries) => entries.len(),
        }
    }

    fn get(&self, key: &String) -> Option<View<'a>> {
        self.members()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    fn members(&self) -> MembersIter<'a> {
        MembersIter {
            members: *self,
            at: 0,
        }
    }
}

/// The members, one after the other.
#[derive(Clone, Debug)]
pub(super) struct MembersIter<'a> {
    members: Members<'a>,
    at: usize,
}

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        self.at += 1;
        match self.members {
            Members::Row(given) => given
                .get(at)
                .map(|given| (given.name, View::Node(given.node))),
            Members::Entries(entries) => entries
                .get(at)
                .map(|entry| (entry.key.as_ref(), View::Node(&entry.node))),
        }
    }
}

impl<'a> Array<'a, Filled> for &'a [Node<'a>] {
    type Node = View<'a>;
    type ElementsIter =
        std::iter::Map<std::slice::Iter<'a, Node<'a>>, fn(&'a Node<'a>) -> View<'a>>;

    fn len(&self) -> usize {
        <[Node<'a>]>::len(self)
    }

    fn elements(&self) -> Self::ElementsIter {
        self.iter().map(View::Node)
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

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        let number = self
            .0
            .parse()
            .unwrap_or_else(|_| serde_json::Number::from(0));
        Cow::Owned(number)
    }
}
