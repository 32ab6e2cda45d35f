//! The ways of writing a batch. Files are told apart by their shape; whatever their form, heads and
//! rows become those of the native one, whose reader makes messages of them. Where head and rows
//! begin and end is found by `scan` for all of them.

use std::fmt;

use super::fault::{Code, Fault, Trouble};
use super::read::{Checker, Head, Row};
use super::session::Marks;
use super::spot::{Members, Pointer, Spot, Warnings};
use super::tree::{Node, Value};
use guest::{Surroundings, Turned, guest};
use judge::Judgement;
use native::Notes;

mod bird;
mod botsquad;
mod cloud_api;
mod guest;
mod infobip;
mod judge;
pub(super) mod native;
mod near;
mod parameters;
#[cfg(test)]
mod saying;
mod shape;
#[cfg(test)]
mod tests;
mod webex_connect;

pub(super) use shape::{Shape, Top, recognise, shows_dialect};

/// A way of writing a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// Our own: a campaign file as Messangi's users write it, plus optional keys.
    #[default]
    Native,
    /// A message of Meta's Cloud API.
    CloudApi,
    /// Infobip's request for template messages.
    Infobip,
    /// A message of Bird's Channels API.
    Bird,
    /// A request of Webex Connect's messaging API.
    WebexConnect,
    /// A broadcast of Botsquad.
    Botsquad,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 6] = [
        Self::Native,
        Self::CloudApi,
        Self::Infobip,
        Self::Bird,
        Self::WebexConnect,
        Self::Botsquad,
    ];

    /// Its name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::CloudApi => "cloud-api",
            Self::Infobip => "infobip",
            Self::Bird => "bird",
            Self::WebexConnect => "webex-connect",
            Self::Botsquad => "botsquad",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The head of a file, with its faults, and how many rows it says there are.
pub(super) fn read_head(
    dialect: Dialect,
    members: Members<'_>,
    checker: Checker<'_>,
    warnings: &mut Warnings,
) -> (Head, Option<u64>, Vec<Fault>) {
    let spot = Spot {
        bytes: &[],
        place: super::scan::Place::START,
        pointer: Pointer::Members(members),
    };
    let own = members.object();
    let Some(guest) = guest(dialect) else {
        let told = native::Told {
            entries: own.entries(),
            marks: Marks::Filled,
        };
        return native::read_head(told, spot, checker, warnings);
    };
    let mut notes = Notes::new(spot, warnings);
    let judged = match &guest.head {
        Some(judge) => judge.judge(&own),
        None => Judgement::default(),
    };
    let nothing = Node::nothing();
    let around = Surroundings {
        head: &nothing,
        templates: checker.templates,
    };
    let turned = (guest.turn_head)(&own, &around);
    tell(judged, &turned, checker, &mut notes);
    let mut faults = notes.into_faults();
    let told = native::Told {
        entries: &turned.members,
        marks: Marks::Words,
    };
    let (mut head, row_count, found) = native::read_head(told, spot, checker, warnings);
    faults = joined(faults, in_words_of(dialect, found), &spot.root());
    head.own = own.uprooted();
    (head, row_count, faults)
}

/// One row, read against the head.
pub(super) fn read_row(
    spot: Spot<'_>,
    head: &Head,
    checker: Checker<'_>,
    warnings: &mut Warnings,
) -> Row {
    let Some(node) = Node::parse(spot.bytes) else {
        let trouble = Trouble::new(Code::JsonSyntax, "JSON", "something else");
        return native::bad_row(spot, spot.fault(trouble, 0));
    };
    let Value::Object(entries) = &node.value else {
        let expected = match head.dialect {
            Dialect::Native => "an object with `to`",
            _ => "an object",
        };
        let trouble = Trouble::new(Code::BatchWrongKind, expected, node.kind());
        return native::bad_row(spot, spot.fault(trouble, node.at));
    };
    let Some(guest) = guest(head.dialect) else {
        return native::read_row(entries, spot, head, checker, warnings);
    };
    let (judge, turn) = guest.rows(head.layout);
    let judged = judge.judge(&node);
    let around = Surroundings {
        head: &head.own,
        templates: checker.templates,
    };
    let turned = turn(&node, &around);
    let mut notes = Notes::new(spot, warnings);
    tell(judged, &turned, checker, &mut notes);
    let faults = notes.into_faults();
    let mut row = native::read_row(&turned.members, spot, head, checker, warnings);
    let found = match &mut row {
        Row::Bad(bad) => in_words_of(head.dialect, std::mem::take(&mut bad.faults)),
        Row::Good(_) => Vec::new(),
    };
    native::with_faults(row, joined(faults, found, &spot.root()))
}

/// What is wrong with a head or row, to which `root` points: what its own schema and its turning
/// told, and of what the native reader `found` all that has nothing to do with it. In the same
/// places the former say it better, and what is missing altogether follows from them.
fn joined(mut told: Vec<Fault>, found: Vec<Fault>, root: &str) -> Vec<Fault> {
    if told.is_empty() {
        return found;
    }
    let is_apart = |own: &Fault| {
        let mut others = told.iter().filter(|other| other.pointer != root);
        let is_apart = !others.any(|other| is_along(&own.pointer, &other.pointer));
        own.code == Code::PhoneMissing || own.pointer != root && is_apart
    };
    let apart: Vec<Fault> = found.into_iter().filter(is_apart).collect();
    told.extend(apart);
    told
}

/// Whether one of two pointers leads to the place of the other, or past it.
fn is_along(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let rest = long.strip_prefix(short);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The same faults with the dialect's own names for keys of the native form.
fn in_words_of(dialect: Dialect, mut faults: Vec<Fault>) -> Vec<Fault> {
    for fault in &mut faults {
        for (native, own) in guest::words(dialect) {
            for text in [&mut fault.expected, &mut fault.hint] {
                if text.contains(native) {
                    *text = text.replace(native, own);
                }
            }
        }
    }
    faults
}

/// Notes what the schema and the turning found; an unknown key is a warning, unless all are faults.
fn tell(
    judged: Judgement<'_, '_>,
    turned: &Turned<'_>,
    checker: Checker<'_>,
    notes: &mut Notes<'_>,
) {
    let misfits = judged.misfits.into_iter();
    for misfit in misfits.chain(turned.misfits.iter().cloned()) {
        notes.fault(misfit.trouble, misfit.at);
    }
    for entry in judged.unknown {
        notes.nameless_key(&entry.key, entry.key_at, checker.rules.strict);
    }
    for (manual, at) in &turned.ignored {
        notes.ignored_key(manual, *at);
    }
}
