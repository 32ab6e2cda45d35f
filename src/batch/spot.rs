//! Where a piece of a file stands, so that faults in it get their pointer, line and column. Only
//! bad rows pay for it.

use std::collections::{HashMap, HashSet};

use super::fault::{Code, Fault, Trouble};
use super::read::Layout;
use super::scan::Place;
use super::tree::{Entry, NOWHERE, Node, Value};

/// Bytes of the file, their place, and how a pointer to them begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Where they begin.
    pub(super) place: Place,
    /// How a pointer to them begins.
    pub(super) pointer: Pointer<'a>,
}

/// One member of the head.
#[derive(Clone, Debug)]
pub(super) struct HeadMember {
    /// Its key.
    pub(super) key: String,
    /// Where the key begins.
    pub(super) key_place: Place,
    /// Where the value begins.
    pub(super) place: Place,
    /// The bytes of its value; `None` when the head is too long.
    pub(super) bytes: Option<Vec<u8>>,
}

/// The members of a head, each kept by itself. Bytes are counted through all of them as if they
/// stood side by side, with one byte for each key, so that heads are placed as rows are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members<'a> {
    /// The members, in their order.
    pub(super) list: &'a [HeadMember],
    /// The keys that lead to them.
    pub(super) prefix: &'a [&'a str],
}

impl<'a> Members<'a> {
    /// All of them as one object.
    pub(super) fn object(&self) -> Node<'a> {
        let mut at = 0;
        let mut entries = Vec::with_capacity(self.list.len());
        for member in self.list {
            let bytes = member.bytes.as_deref().unwrap_or_default();
            let node = Node::parse(bytes).map(|node| node.moved(at + 1));
            let node = node.unwrap_or(Node {
                at: at + 1,
                end: at + 1,
                value: Value::Null,
            });
            entries.push(Entry {
                key: member.key.as_str().into(),
                key_at: at,
                node,
            });
            at += 1 + bytes.len().max(1);
        }
        Node {
            at: NOWHERE,
            end: at,
            value: Value::Object(entries),
        }
    }

    /// The member in which the byte `at` stands, and the byte within its value; `None` for the
    /// key.
    fn locate(&self, at: usize) -> Option<(&'a HeadMember, Option<usize>)> {
        let mut left = at;
        for member in self.list {
            let length = 1 + member.bytes.as_ref().map_or(1, |bytes| bytes.len().max(1));
            if left < length {
                return Some((member, left.checked_sub(1)));
            }
            left -= length;
        }
        None
    }
}

/// How a pointer begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pointer<'a> {
    /// With these keys of the head.
    Head(&'a [&'a str]),
    /// With the members of the head, of which the piece consists.
    Members(Members<'a>),
    /// With the row of this index, in the layout of its file.
    Row(Layout, u64),
}

impl Pointer<'_> {
    /// The index of the row; `None` in the head.
    pub(super) fn index(&self) -> Option<u64> {
        match *self {
            Self::Head(_) | Self::Members(_) => None,
            Self::Row(_, index) => Some(index),
        }
    }
}

impl Spot<'_> {
    /// The fault about the value or key at the byte `at` of the piece: a byte is enough to know
    /// its pointer, line and column. One from elsewhere is told of the whole piece.
    pub(super) fn fault(&self, trouble: Trouble, at: usize) -> Fault {
        if let Pointer::Members(members) = self.pointer {
            return self.member_fault(members, trouble, at);
        }
        let at = if at == NOWHERE { 0 } else { at };
        let at = at.min(self.bytes.len());
        let node = Node::parse(self.bytes);
        let tail = node.as_ref().map(|node| node.path_to(at));
        let tail: Vec<&str> = tail.iter().flatten().map(AsRef::as_ref).collect();
        self.fault_at(trouble, &tail, self.place.after(&self.bytes[..at]))
    }

    fn member_fault(&self, members: Members<'_>, trouble: Trouble, at: usize) -> Fault {
        let Some((member, within)) = members.locate(at) else {
            return self.fault_at(trouble, &[], self.place);
        };
        let mut keys = vec![member.key.as_str()];
        let Some(within) = within else {
            return self.fault_at(trouble, &keys, member.key_place);
        };
        let bytes = member.bytes.as_deref().unwrap_or_default();
        let within = within.min(bytes.len());
        let node = Node::parse(bytes);
        let tail = node.as_ref().map(|node| node.path_to(within));
        keys.extend(tail.iter().flatten().map(AsRef::<str>::as_ref));
        self.fault_at(trouble, &keys, member.place.after(&bytes[..within]))
    }

    /// Whether the member of the head at the byte `at` is too long to be kept.
    pub(super) fn is_too_long(&self, at: usize) -> bool {
        match self.pointer {
            Pointer::Members(members) => members
                .locate(at)
                .is_some_and(|(member, _)| member.bytes.is_none()),
            Pointer::Head(_) | Pointer::Row(..) => false,
        }
    }

    /// The pointer to the piece itself.
    pub(super) fn root(&self) -> String {
        let mut pointer = String::new();
        match self.pointer {
            Pointer::Head(keys) => append(&mut pointer, keys),
            Pointer::Members(members) => append(&mut pointer, members.prefix),
            Pointer::Row(Layout::Keyed(key), index) => {
                append(&mut pointer, &[key, &index.to_string()]);
            }
            Pointer::Row(Layout::Array, index) => append(&mut pointer, &[&index.to_string()]),
            Pointer::Row(Layout::Single | Layout::Lines, _) => {}
        }
        pointer
    }

    /// The fault at a place of its own; `tail` leads from the piece to the value.
    pub(super) fn fault_at(&self, trouble: Trouble, tail: &[&str], place: Place) -> Fault {
        let mut pointer = self.root();
        append(&mut pointer, tail);
        Fault {
            code: trouble.code,
            pointer,
            line: place.line,
            column: place.column,
            index: self.pointer.index(),
            expected: trouble.expected,
            found: trouble.found,
            hint: trouble.hint,
        }
    }
}

/// RFC 6901: `~` and `/` inside of a key are written `~0` and `~1`.
fn append(pointer: &mut String, keys: &[&str]) {
    for key in keys {
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
    }
}

/// Sorts faults by their place in the file.
pub(super) fn sort(faults: &mut [Fault]) {
    faults.sort_by_key(|fault| (fault.line, fault.column));
}

/// Odd things that stop nothing: each kind is told once a file.
#[derive(Debug, Default)]
pub struct Warnings {
    /// The warnings and the keys that they are about.
    list: Vec<(String, Fault)>,
    seen: HashSet<(Code, String)>,
    /// What unknown keys were found to resemble, so that each is compared once a file.
    resembled: HashMap<String, Option<&'static str>>,
}

impl Warnings {
    /// More kinds are not told.
    const MAX: usize = 100;

    /// Adds a warning about `key`, unless there is one already.
    pub(super) fn add(&mut self, code: Code, key: &str, fault: impl FnOnce() -> Fault) {
        if self.list.len() < Self::MAX && self.seen.insert((code, key.to_owned())) {
            self.list.push((key.to_owned(), fault()));
        }
    }

    /// Adds those of a later part of the file.
    pub fn join(&mut self, later: Self) {
        for (key, fault) in later.list {
            self.add(fault.code, &key, || fault);
        }
    }

    /// What `key` resembles, found by `compare` the first time. No hand makes a key that is much
    /// longer than all that there are.
    pub(super) fn resembled(
        &mut self,
        key: &str,
        compare: impl FnOnce() -> Option<&'static str>,
    ) -> Option<&'static str> {
        const KEY_BYTES_MAX: usize = 64;
        // Those that there is no room for are compared each time: what is found depends on no
        // other row.
        const KEPT_MAX: usize = 2_000;
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
        if let Some(found) = self.resembled.get(key) {
            return *found;
        }
        let found = compare();
        if self.resembled.len() < KEPT_MAX {
            self.resembled.insert(key.to_owned(), found);
        }
        found
    }

    /// The warnings, by their place.
    pub fn into_list(self) -> Vec<Fault> {
        let mut list: Vec<Fault> = self.list.into_iter().map(|(_, fault)| fault).collect();
        sort(&mut list);
        list
    }
}
