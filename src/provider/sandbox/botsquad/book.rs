//! The broadcasts that the stand-in has taken, and how their users stand each time it is asked. It
//! is bounded: the oldest go first.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::broadcast::{Broadcast, User};

/// How many broadcasts are remembered.
const BROADCASTS_MAX: usize = 4096;

/// All of them, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    broadcast: Broadcast,
    is_scripted: bool,
    asked: u32,
}

impl Book {
    /// Takes one, and tells how it stands.
    pub(super) fn put(&mut self, id: String, broadcast: Broadcast, is_scripted: bool) -> Value {
        if self.entries.len() >= BROADCASTS_MAX {
            self.entries.pop_front();
        }
        let entry = Entry {
            id,
            broadcast,
            is_scripted,
            asked: 0,
        };
        let told = entry.told();
        self.entries.push_back(entry);
        told
    }

    /// How the one with this id stands, which may change with being asked.
    pub(super) fn asked(&mut self, id: &str) -> Option<Value> {
        let entry = self.entries.iter_mut().rfind(|entry| entry.id == id)?;
        entry.asked = entry.asked.saturating_add(1);
        Some(entry.told())
    }
}

/// How a user stands: the word for it, and why.
type Standing = (&'static str, Option<(&'static str, &'static str)>);

impl Entry {
    fn told(&self) -> Value {
        let users = &self.broadcast.users;
        let standings: Vec<Standing> = users.iter().map(|user| self.standing(user)).collect();
        let count = |words: &[&str]| {
            let known = standings.iter().filter(|(word, _)| words.contains(word));
            known.count()
        };
        let pending = count(&["pending", "retrying"]);
        let mut statuses = Vec::new();
        let mut failures = Vec::new();
        for (user, (status, why)) in users.iter().zip(&standings) {
            let (reason, details) = why.unzip();
            let item = json!({
                "phone": user.phone, "status": status, "reason": reason, "details": details,
            });
            if *status == "failure" {
                failures.push(item.clone());
            }
            // Nothing is told of anybody before it was asked for.
            if self.asked > 0 {
                statuses.push(item);
            }
        }
        json!({
            "id": self.id,
            "status": if pending > 0 { "pending" } else { "finished" },
            "statistics": {
                "total": users.len(), "pending": pending, "success": count(&["sent"]),
                "failure": failures.len(), "cancelled": 0,
            },
            "statuses": statuses,
            "failures": failures,
        })
    }

    fn standing(&self, user: &User) -> Standing {
        let digits = &user.digits;
        let ending = digits.get(digits.len().saturating_sub(4)..);
        match ending.filter(|_| self.is_scripted) {
            _ if self.asked == 0 => ("pending", None),
            Some("0404") => (
                "failure",
                Some(("undeliverable", "(#131026) Message undeliverable")),
            ),
            Some("0410") => ("failure", Some(("optout", "the user opted out"))),
            Some("0429") if self.asked == 1 => ("pending", None),
            Some("0500") if self.asked == 1 => ("retrying", None),
            _ => ("sent", None),
        }
    }
}
