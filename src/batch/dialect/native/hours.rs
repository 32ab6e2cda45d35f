//! The keys that say in which hours a message goes and what goes first.

use std::sync::LazyLock;

use super::{ROW_FAULTS_MAX, key_twice, other, wrong_kind};
use crate::batch::Priority;
use crate::batch::dialect::near::Known;
use crate::batch::fault::{Code, Misfit, Trouble};
use crate::batch::tree::{Node, Value, duplicates};
use crate::batch::window::written::{self, DAYS_TAKEN, HOUR_TAKEN, ZONE_TAKEN};
use crate::batch::window::{Days, Hour, SendWindow, Zone};

/// The keys of a window.
const KEYS: [&str; 4] = ["from", "to", "timeZone", "days"];

/// Other words for them: whoever writes one means it.
const OTHER_WORDS: [(&str, &str); 12] = [
    ("start", "from"),
    ("begin", "from"),
    ("startTime", "from"),
    ("end", "to"),
    ("until", "to"),
    ("endTime", "to"),
    ("tz", "timeZone"),
    ("zone", "timeZone"),
    ("offset", "timeZone"),
    ("day", "days"),
    ("weekdays", "days"),
    ("daysOfWeek", "days"),
];

/// The hours in which a message may go. Where they name no zone, they are those of `zone`.
pub(super) fn window(node: &Node<'_>, zone: &Zone) -> Result<SendWindow, Vec<Misfit>> {
    if !matches!(node.value, Value::Object(_)) {
        let expected = "an object with `from`, `to`, and if need be `timeZone` and `days`";
        return Err(vec![Misfit::new(node.at, wrong_kind(expected, node))]);
    }
    let mut reading = Reading {
        node,
        misspelt: Vec::new(),
        misfits: Vec::new(),
    };
    reading.keys();
    let from = reading.hour("from");
    let to = reading.hour("to");
    let zone = match reading.given("timeZone") {
        None => Some(zone.clone()),
        Some(node) => reading.take(read_zone(node), node.at),
    };
    let days = reading.days();
    let hours = reading.in_order(from, to);
    if let (Some((from, to)), Some(zone), Some(days)) = (hours, zone, days)
        && reading.misfits.is_empty()
        && let Some(window) = SendWindow::new(from, to, zone, days)
    {
        return Ok(window);
    }
    Err(reading.misfits)
}

/// What goes first.
pub(super) fn priority(node: &Node<'_>) -> Result<Priority, Trouble> {
    match node.text() {
        Some("high") => Ok(Priority::High),
        Some("normal") => Ok(Priority::Normal),
        Some("low") => Ok(Priority::Low),
        _ => {
            let expected = "`high`, `normal` or `low`";
            Err(Trouble::new(Code::BatchBadValue, expected, other(node)))
        }
    }
}

/// A window that does not open before its message expires.
pub(super) fn never_open() -> Trouble {
    Trouble::new(
        Code::PolicyWindowClosed,
        "a `sendWindow` that opens before the message expires",
        "one that opens later",
    )
    .hint(
        "write a later `expiresAt` or more `validitySeconds` (without them a message waits as long \
         as your operator has set), or a wider `sendWindow`",
    )
}

struct Reading<'n> {
    node: &'n Node<'n>,
    /// The keys that others were meant to be.
    misspelt: Vec<&'static str>,
    misfits: Vec<Misfit>,
}

impl<'n> Reading<'n> {
    fn misfit(&mut self, at: usize, trouble: Trouble) {
        if self.misfits.len() < ROW_FAULTS_MAX {
            self.misfits.push(Misfit::new(at, trouble));
        }
    }

    fn take<T>(&mut self, read: Result<T, Trouble>, at: usize) -> Option<T> {
        read.map_err(|trouble| self.misfit(at, trouble)).ok()
    }

    /// The member under this key, unless it is `null`.
    fn given(&self, key: &str) -> Option<&'n Node<'n>> {
        let node = self.node.get(key);
        node.filter(|node| node.value != Value::Null)
    }

    /// Whatever else stands here was meant to change the window.
    fn keys(&mut self) {
        for entry in duplicates(self.node.entries()) {
            self.misfit(entry.key_at, key_twice());
        }
        for entry in self.node.entries() {
            if !KEYS.contains(&entry.key.as_ref()) {
                let meant = meant(&entry.key);
                self.misspelt.extend(meant);
                self.misfit(entry.key_at, unknown(meant));
            }
        }
    }

    fn hour(&mut self, key: &'static str) -> Option<Hour> {
        let Some(node) = self.given(key) else {
            if !self.misspelt.contains(&key) {
                let expected = format!("`{key}`, {HOUR_TAKEN}");
                let trouble = Trouble::new(Code::BatchMissingKey, expected, "none");
                self.misfit(self.node.at, trouble);
            }
            return None;
        };
        let read = match node.text() {
            None => Err(wrong_kind(HOUR_TAKEN, node)),
            Some(text) => Hour::parse(text).ok_or_else(|| {
                let expected = format!("{HOUR_TAKEN}, up to `24:00`");
                Trouble::new(Code::BatchBadValue, expected, "a text of another form")
            }),
        };
        self.take(read, node.at)
    }

    /// Hours from which one can tell when it is open.
    fn in_order(&mut self, from: Option<Hour>, to: Option<Hour>) -> Option<(Hour, Hour)> {
        let (from, to) = (from?, to?);
        let (key, trouble) = if from == to {
            let expected = "another hour than in `from`";
            let trouble = Trouble::new(Code::BatchBadValue, expected, "the same hour");
            let hint = "write `00:00` and `24:00` for the whole day";
            ("to", trouble.hint(hint))
        } else if from == Hour::END {
            let trouble = Trouble::new(Code::BatchBadValue, "an hour before `24:00`", "`24:00`");
            let hint = "write `00:00` for the hour at which a day begins";
            ("from", trouble.hint(hint))
        } else {
            return Some((from, to));
        };
        let at = self.given(key).map_or(self.node.at, |node| node.at);
        self.misfit(at, trouble);
        None
    }

    fn days(&mut self) -> Option<Days> {
        let Some(node) = self.given("days") else {
            return Some(Days::ALL);
        };
        let items = match &node.value {
            Value::Text(_) => std::slice::from_ref(node),
            Value::List(items) if items.is_empty() => {
                let expected = "at least one day";
                let trouble = Trouble::new(Code::BatchBadValue, expected, "an empty array");
                self.misfit(node.at, trouble.hint("leave `days` out for every day"));
                return None;
            }
            Value::List(items) => items,
            _ => {
                self.misfit(node.at, wrong_kind("an array of days", node));
                return None;
            }
        };
        let days: Vec<Option<Days>> = items
            .iter()
            .map(|item| self.take(read_days(item), item.at))
            .collect();
        days.into_iter()
            .try_fold(None::<Days>, |all, days| {
                let days = days?;
                Some(Some(all.map_or(days, |all| all.and(days))))
            })
            .flatten()
    }
}

/// The key of a window that an unknown one resembles.
fn meant(key: &str) -> Option<&'static str> {
    static KNOWN: LazyLock<Known<&str>> = LazyLock::new(|| {
        let words = OTHER_WORDS.iter().map(|(word, _)| *word);
        Known::of(KEYS.into_iter().chain(words))
    });
    let near = *KNOWN.near(key)?;
    let other = OTHER_WORDS.iter().find(|(word, _)| *word == near);
    Some(other.map_or(near, |(_, meant)| *meant))
}

fn unknown(meant: Option<&str>) -> Trouble {
    let Some(meant) = meant else {
        let expected = "`from`, `to`, `timeZone` and `days` alone";
        let trouble = Trouble::new(Code::BatchUnknownKey, expected, "another key");
        return trouble.hint("remove it");
    };
    let found = "a key that resembles one";
    Trouble::new(Code::BatchMisspeltKey, "a key of a window", found)
        .hint(format!("did you mean `{meant}`?"))
}

fn read_zone(node: &Node<'_>) -> Result<Zone, Trouble> {
    let Some(text) = node.text() else {
        return Err(wrong_kind(ZONE_TAKEN, node));
    };
    Zone::parse(text).ok_or_else(|| {
        let found = "a text that names none";
        let trouble = Trouble::new(Code::BatchBadValue, ZONE_TAKEN, found);
        match written::zone_near(text) {
            Some(near) => trouble.hint(format!("did you mean `{near}`?")),
            None => trouble.hint("names are those of the IANA time zone data base"),
        }
    })
}

fn read_days(node: &Node<'_>) -> Result<Days, Trouble> {
    let Some(text) = node.text() else {
        let trouble = wrong_kind(DAYS_TAKEN, node);
        return Err(trouble.hint("numbers count from another day in every program"));
    };
    written::days(text).ok_or_else(|| {
        let trouble = Trouble::new(Code::BatchBadValue, DAYS_TAKEN, "a text that is no day");
        match written::day_near(text) {
            Some(near) => trouble.hint(format!("did you mean `{near}`?")),
            None => trouble,
        }
    })
}
