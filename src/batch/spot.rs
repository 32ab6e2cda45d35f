//! Where a piece of a file stands, so that faults in it get their pointer, line and column. Only
//! bad rows pay for it.

use std::collections::{HashMap, HashSet};

use super::fault::{Code, Fault, Trouble};
use super::scan::{Place, ROWS_KEY};

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

/// How a pointer begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pointer<'a> {
    /// With the keys of the head.
    Head(&'a [&'a str]),
    /// With the row of this index in a `.json` file.
    Row(u64),
    /// With the row's own line.
    Line(u64),
}

impl Pointer<'_> {
    /// The index of the row; `None` in the head.
    pub(super) fn index(&self) -> Option<u64> {
        match *self {
            Self::Head(_) => None,
            Self::Row(index) | Self::Line(index) => Some(index),
        }
    }
}

impl Spot<'_> {
    /// The fault at the byte `at` of the piece; `tail` leads from the piece to the value.
    pub(super) fn fault(&self, trouble: Trouble, tail: &[&str], at: usize) -> Fault {
        let at = at.min(self.bytes.len());
        self.fault_at(trouble, tail, self.place.after(&self.bytes[..at]))
    }

    /// The fault at a place of its own.
    pub(super) fn fault_at(&self, trouble: Trouble, tail: &[&str], place: Place) -> Fault {
        let mut pointer = String::new();
        match self.pointer {
            Pointer::Head(keys) => append(&mut pointer, keys),
            Pointer::Row(index) => append(&mut pointer, &[ROWS_KEY, &index.to_string()]),
            Pointer::Line(_) => {}
        }
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
pub(super) struct Warnings {
    list: Vec<Fault>,
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
            self.list.push(fault());
        }
    }

    /// What `key` resembles, found by `compare` the first time. Longer keys, and those after very
    /// many others, resemble nothing: comparing is slow, and a file must not make it endless.
    pub(super) fn resembled(
        &mut self,
        key: &str,
        compare: impl FnOnce() -> Option<&'static str>,
    ) -> Option<&'static str> {
        const KEY_BYTES_MAX: usize = 64;
        const KEPT_MAX: usize = 1000;
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
        if let Some(found) = self.resembled.get(key) {
            return *found;
        }
        if self.resembled.len() >= KEPT_MAX {
            return None;
        }
        let found = compare();
        self.resembled.insert(key.to_owned(), found);
        found
    }

    /// The warnings, by their place.
    pub(super) fn into_list(mut self) -> Vec<Fault> {
        sort(&mut self.list);
        self.list
    }
}
