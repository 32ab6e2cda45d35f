//! What this stand-in keeps: the newest messages, so that they can be read and listed, and the
//! templates.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};

use super::registry::Registry;
use crate::batch::Moment;

/// How many messages are kept; before them the oldest go.
const MESSAGES_MAX: usize = 10_000;

const DAY_MS: i64 = 24 * 3_600_000;

/// What is kept.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) registry: Registry,
    /// The newest first.
    messages: Mutex<VecDeque<Json>>,
}

impl Shelf {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            messages: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Json>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, message: Json) {
        let mut messages = self.lock();
        messages.truncate(MESSAGES_MAX - 1);
        messages.push_front(message);
    }

    pub(super) fn message(&self, channel: &str, id: &str) -> Option<Json> {
        let messages = self.lock();
        let is_it = |it: &&Json| it["id"] == id && it["channelId"] == channel;
        messages.iter().find(is_it).cloned()
    }

    /// The messages of a channel, the newest first.
    pub(super) fn messages(&self, channel: &str) -> Vec<Json> {
        let messages = self.lock();
        let own = messages.iter().filter(|it| it["channelId"] == channel);
        own.cloned().collect()
    }
}

/// Why a message that was stored goes no further.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// The state of the message.
    pub(super) status: &'static str,
    code: u32,
    description: &'static str,
    /// Where it broke, and the code there.
    source: (&'static str, &'static str),
}

impl Failure {
    pub(super) const UNDELIVERABLE: Self = Self {
        status: "sending_failed",
        code: 15_005,
        description: "the message is undeliverable",
        source: ("whatsapp", "131026"),
    };
    pub(super) const UNDELIVERED: Self = Self {
        status: "delivery_failed",
        ..Self::UNDELIVERABLE
    };
    pub(super) const SKIPPED: Self = Self {
        status: "skipped",
        code: 14_000,
        description: "the recipient gets no more messages of this kind",
        source: ("pre-processing", ""),
    };
    pub(super) const WINDOW_CLOSED: Self = Self {
        status: "delivery_failed",
        code: 15_000,
        description: "more than 24 hours have passed since the recipient's last message",
        source: ("whatsapp", "131047"),
    };
    pub(super) const UNSUPPORTED: Self = Self {
        status: "sending_failed",
        code: 12_002,
        description: "the content cannot be turned into a message of the platform",
        source: ("pre-processing", ""),
    };
}

/// Puts a message into a state.
pub(super) fn put(message: &mut Json, status: &str, failure: Option<Failure>) {
    message["status"] = json!(status);
    if let Some(failure) = failure {
        let (name, code) = failure.source;
        message["failure"] = json!({
            "code": failure.code,
            "description": failure.description,
            "source": { "name": name, "code": code },
        });
    }
}

/// A day from `now`.
pub(super) fn in_a_day(now: Moment) -> String {
    now.plus_ms(DAY_MS).to_string()
}
