//! What became of messages: reports that are handed out once, and logs that can be looked up. All
//! of it is bounded; what is oldest goes first.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::callbacks::{self, Form, Speaker};
use super::shelf::written;
use super::words::{DELIVERED, Mishap, Status};
use crate::batch::Moment;

/// The most reports that lie here, and the most messages that are known.
const REPORTS_MAX: usize = 64 << 10;
const KNOWN_MAX: usize = 64 << 10;

/// How many reports one answer holds if nothing is asked, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 1000;

/// What is said of one message.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) message_id: String,
    pub(super) bulk_id: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) at: Moment,
    pub(super) status: Status,
    pub(super) mishap: Mishap,
}

/// Callbacks as Infobip has them: nothing in them shows whose they are.
pub(in super::super) const CALLBACKS: Form = Form {
    bodies: |statuses| {
        let results: Vec<&Value> = statuses.iter().map(|status| &status.content).collect();
        vec![json!({ "results": results }).to_string()]
    },
    headers: |_, _, _| Vec::new(),
};

impl Report {
    /// Has said what became of the message.
    pub(super) fn tell(&self, speaker: &Speaker) {
        for content in self.callbacks() {
            let about = self.from.clone();
            speaker.tell(callbacks::Status { about, content });
        }
    }

    /// What is said of it, one after the other: that it was delivered, and then that it was seen.
    pub(super) fn callbacks(&self) -> Vec<Value> {
        let mut callbacks = vec![json!({
            "bulkId": self.bulk_id,
            "messageId": self.message_id,
            "to": self.to,
            "sentAt": written(self.at),
            "doneAt": written(self.at),
            "messageCount": 1,
            "price": { "pricePerMessage": 0.0, "currency": "EUR" },
            "status": self.status.written(),
            "error": self.mishap.written(),
        })];
        if self.status == DELIVERED {
            callbacks.push(json!({
                "messageId": self.message_id,
                "from": self.from,
                "to": self.to,
                "sentAt": written(self.at),
                "seenAt": written(self.at),
            }));
        }
        callbacks
    }

    fn written(&self) -> Value {
        json!({
            "event": "DELIVERY",
            "channel": "WHATSAPP",
            "sender": self.from,
            "destination": self.to,
            "sentAt": written(self.at),
            "doneAt": written(self.at),
            "bulkId": self.bulk_id,
            "messageId": self.message_id,
            "messageCount": 1,
            "status": self.status.written(),
            "error": self.mishap.written(),
            // Nothing may stumble over what is new.
            "novelty": { "kind": "sandbox" },
        })
    }
}

/// Reports that wait, and messages that are known.
#[derive(Debug, Default)]
pub(super) struct Tray {
    reports: VecDeque<Report>,
    known: HashMap<String, Report>,
    order: VecDeque<String>,
}

impl Tray {
    /// Whether a message with this id was taken.
    pub(super) fn knows(&self, message_id: &str) -> bool {
        self.known.contains_key(message_id)
    }

    /// Takes a message in; `told` says whether it is reported.
    pub(super) fn take(&mut self, report: Report, told: Told) {
        if told == Told::Later {
            if self.reports.len() >= REPORTS_MAX {
                self.reports.pop_front();
            }
            self.reports.push_back(report.clone());
        }
        let id = report.message_id.clone();
        if self.known.insert(id.clone(), report).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > KNOWN_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// Hands out what is asked for; it is gone then.
    pub(super) fn reports(&mut self, query: &str) -> Value {
        let asked = |key: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let found = pairs.find(|(name, _)| name == key);
            found.map(|(_, value)| value.into_owned())
        };
        let limit = asked("limit").and_then(|text| text.parse().ok());
        let limit = limit.unwrap_or(LIMIT).min(LIMIT_MAX);
        let (message_id, bulk_id) = (asked("messageId"), asked("bulkId"));
        let channel = asked("channel").is_none_or(|channel| channel == "WHATSAPP");
        let is_asked = |report: &Report| {
            let of =
                |wanted: &Option<String>, own: &String| wanted.as_ref().is_none_or(|it| it == own);
            channel && of(&message_id, &report.message_id) && of(&bulk_id, &report.bulk_id)
        };
        let mut results = Vec::new();
        self.reports.retain(|report| {
            let goes = results.len() < limit && is_asked(report);
            if goes {
                results.push(report.written());
            }
            !goes
        });
        json!({ "results": results })
    }

    /// What is known of the messages that are asked for; it stays.
    pub(super) fn logs(&self, query: &str) -> Value {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let ids = pairs.filter(|(name, _)| name == "messageId");
        let results: Vec<Value> = ids
            .filter_map(|(_, id)| self.known.get(id.as_ref()))
            .map(Report::written)
            .take(LIMIT_MAX)
            .collect();
        json!({ "results": results })
    }
}

/// Whether a message is reported by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is.
    Later,
    /// It is not: whoever wants to know must look.
    Never,
}
