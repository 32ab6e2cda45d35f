//! The bytes of one row or one value of the head become a tree that borrows from them, keeps keys
//! in their order with duplicates, and knows where everything stands. The bytes have passed
//! [`syntax`](super::syntax) before, so that reading them is quick and has one way to fail.

use std::borrow::Cow;

/// Where a value stands that is not in the piece at hand, but comes from the head of the file.
pub(super) const NOWHERE: usize = usize::MAX;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node<'a> {
    /// Bytes before it.
    pub(super) at: usize,
    /// Bytes before it and in it.
    pub(super) end: usize,
    /// What it is.
    pub(super) value: Value<'a>,
}

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(Cow<'a, str>),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Node<'a>>),
    /// An object.
    Object(Vec<Entry<'a>>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry<'a> {
    /// The key.
    pub(super) key: Cow<'a, str>,
    /// Where the key begins.
    pub(super) key_at: usize,
    /// The value.
    pub(super) node: Node<'a>,
}

impl<'a> Node<'a> {
    /// Reads a whole JSON text. `None` when it is none, which whoever checked its syntax knows.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut cursor = Cursor { text, at: 0 };
        cursor.node()
    }

    /// `null`, standing nowhere.
    pub(super) const fn nothing() -> Self {
        Self {
            at: NOWHERE,
            end: NOWHERE,
            value: Value::Null,
        }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The first member with this key.
    pub(super) fn get(&self, key: &str) -> Option<&Node<'a>> {
        match &self.value {
            Value::Object(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.node),
            _ => None,
        }
    }

    /// Its elements; none if it is no array.
    pub(super) fn items(&self) -> &[Node<'a>] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => &[],
        }
    }

    /// Its members; none if it is no object.
    pub(super) fn entries(&self) -> &[Entry<'a>] {
        match &self.value {
            Value::Object(entries) => entries,
            _ => &[],
        }
    }

    /// The value that a JSON Pointer leads to.
    pub(super) fn walk(&self, pointer: &str) -> Option<&Node<'a>> {
        pointer.split('/').skip(1).try_fold(self, |node, key| {
            let key = key.replace("~1", "/").replace("~0", "~");
            match &node.value {
                Value::List(nodes) => nodes.get(key.parse::<usize>().ok()?),
                _ => node.get(&key),
            }
        })
    }

    /// The same value, `by` bytes further on.
    pub(super) fn moved(mut self, by: usize) -> Self {
        self.shift(by);
        self
    }

    fn shift(&mut self, by: usize) {
        self.at += by;
        self.end += by;
        match &mut self.value {
            Value::List(nodes) => nodes.iter_mut().for_each(|node| node.shift(by)),
            Value::Object(entries) => {
                for entry in entries {
                    entry.key_at += by;
                    entry.node.shift(by);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    /// The same value for any time, standing nowhere: it is used for rows that do not hold it.
    pub(super) fn uprooted(&self) -> Node<'static> {
        let value = match &self.value {
            Value::Null => Value::Null,
            Value::Bool(it) => Value::Bool(*it),
            Value::Number(text) => Value::Number(text.to_string().into()),
            Value::Text(text) => Value::Text(text.to_string().into()),
            Value::List(nodes) => Value::List(nodes.iter().map(Node::uprooted).collect()),
            Value::Object(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| Entry {
                        key: entry.key.to_string().into(),
                        key_at: NOWHERE,
                        node: entry.node.uprooted(),
                    })
                    .collect(),
            ),
        };
        Node {
            at: NOWHERE,
            end: NOWHERE,
            value,
        }
    }

    /// The keys and places that lead to the value or key at the byte `at`.
    pub(super) fn path_to(&self, at: usize) -> Vec<Cow<'a, str>> {
        let mut path = Vec::new();
        let mut node = self;
        while at > node.at {
            let within = |node: &Node<'_>| (node.at..node.end).contains(&at);
            let next = match &node.value {
                Value::List(nodes) => nodes
                    .iter()
                    .position(within)
                    .map(|place| (place.to_string().into(), &nodes[place])),
                Value::Object(entries) => entries
                    .iter()
                    .find(|entry| entry.key_at == at || within(&entry.node))
                    .map(|entry| (entry.key.clone(), &entry.node)),
                _ => None,
            };
            let Some((key, inner)) = next else { break };
            path.push(key);
            node = inner;
        }
        path
    }

    /// Whether it says as much as the absence of its key.
    pub(super) fn is_hollow(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::List(nodes) => nodes.is_empty(),
            Value::Object(entries) => entries.iter().all(|entry| entry.node.value == Value::Null),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// What it is, in words for people; never its value.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(true) => "`true` without quotation marks",
            Value::Bool(false) => "`false` without quotation marks",
            Value::Number(_) => "a number without quotation marks",
            Value::Text(text) if text.is_empty() => "an empty text",
            Value::Text(_) => "a text",
            Value::List(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// The second entries of keys that stand in an object twice.
pub(super) fn duplicates<'e, 'a>(entries: &'e [Entry<'a>]) -> Vec<&'e Entry<'a>> {
    // Rows have a handful of keys: comparing each with each is quicker than hashing them.
    const FEW: usize = 24;
    if entries.len() <= FEW {
        let mut found = Vec::new();
        for (at, entry) in entries.iter().enumerate().skip(1) {
            if entries[..at].iter().any(|other| other.key == entry.key) {
                found.push(entry);
            }
        }
        return found;
    }
    let mut seen = std::collections::HashSet::new();
    entries
        .iter()
        .filter(|entry| !seen.insert(entry.key.as_ref()))
        .collect()
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn node(&mut self) -> Option<Node<'a>> {
        let first = self.peek()?;
        let at = self.at;
        let value = match first {
            b'"' => Value::Text(self.string()?),
            b'{' => self.object()?,
            b'[' => self.list()?,
            b't' => self.word("true", Value::Bool(true))?,
            b'f' => self.word("false", Value::Bool(false))?,
            b'n' => self.word("null", Value::Null)?,
            _ => Value::Number(Cow::Borrowed(self.number()?)),
        };
        let end = self.at;
        Some(Node { at, end, value })
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Option<Value<'a>> {
        let end = self.at + word.len();
        let found = self.text.get(self.at..end)? == word;
        self.at = end;
        found.then_some(value)
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        self.at += length;
        (length > 0).then(|| &self.text[start..self.at])
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        let mut plain = true;
        loop {
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    plain = false;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        self.at = at + 1;
        if plain {
            return self.text.get(start + 1..at).map(Cow::Borrowed);
        }
        let quoted = self.text.get(start..=at)?;
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    }

    fn list(&mut self) -> Option<Value<'a>> {
        self.take(b'[')?;
        let mut nodes = Vec::new();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(Value::List(nodes));
        }
        loop {
            nodes.push(self.node()?);
            if self.peek()? == b',' {
                self.at += 1;
            } else {
                self.take(b']')?;
                return Some(Value::List(nodes));
            }
        }
    }

    fn object(&mut self) -> Option<Value<'a>> {
        // Most rows and most objects in them fit without growing.
        const USUAL: usize = 6;
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(Value::Object(Vec::new()));
        }
        let mut entries = Vec::with_capacity(USUAL);
        loop {
            (self.peek()? == b'"').then_some(())?;
            let key_at = self.at;
            let key = self.string()?;
            self.take(b':')?;
            let node = self.node()?;
            entries.push(Entry { key, key_at, node });
            if self.peek()? == b',' {
                self.at += 1;
            } else {
                self.take(b'}')?;
                return Some(Value::Object(entries));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn plain(node: &Node<'_>) -> serde_json::Value {
        match &node.value {
            Value::Null => json!(null),
            Value::Bool(it) => json!(it),
            Value::Number(text) => serde_json::from_str(text).expect("a number"),
            Value::Text(text) => json!(text),
            Value::List(nodes) => nodes.iter().map(plain).collect(),
            Value::Object(entries) => entries
                .iter()
                .map(|entry| (entry.key.to_string(), plain(&entry.node)))
                .collect(),
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|it| json!(it)),
            any::<i64>().prop_map(|it| json!(it)),
            any::<String>().prop_map(|it| json!(it)),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|it| json!(it)),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|it| it.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// A value read wrongly would be delivered wrongly.
        #[test]
        fn a_tree_says_what_the_text_says(value in any_json(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&value)
            } else {
                serde_json::to_string(&value)
            };
            let text = text.expect("it is JSON");
            let node = Node::parse(text.as_bytes()).expect("a tree");
            prop_assert_eq!(plain(&node), value);
        }

        /// No row may stop the daemon.
        #[test]
        fn no_bytes_cause_a_panic(text in r#"([\[\]{},:"\\ ]|a|1|true|null|é|\n){0,24}"#) {
            let _ = Node::parse(text.as_bytes());
        }
    }

    /// A key given twice has two values, and only its sender knows which one is meant.
    #[test]
    fn keys_that_stand_twice_are_found() {
        let node = Node::parse(br#"{"a":1, "b":2, "a":3}"#).expect("a tree");
        let Value::Object(entries) = node.value else {
            panic!("an object");
        };
        let found = duplicates(&entries);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].key_at, found[0].node.at), (15, 19));
        let many: Vec<String> = (0..40).map(|at| format!("\"{at}\":0")).collect();
        let text = format!("{{{},\"7\":0}}", many.join(","));
        let node = Node::parse(text.as_bytes()).expect("a tree");
        let Value::Object(entries) = node.value else {
            panic!("an object");
        };
        assert_eq!(duplicates(&entries).len(), 1);
    }
}
