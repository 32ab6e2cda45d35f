//! What an operator's command asks of the daemon and what it is told, as both write it over the
//! admin socket: JSON, of which fields are only ever added.

use serde::{Deserialize, Serialize};

use crate::batch::{BatchId, Moment, Phone, TenantName};
use crate::delivery::standing::Counts;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "command",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Asked {
    /// The batches that fit, newest first.
    Batches(Wanted),
    /// One batch, by its id, an unambiguous part of it, or its file's name.
    Batch {
        /// Which.
        batch: String,
    },
    /// Why a batch is not faster, and when it will have ended.
    Explain {
        /// Which.
        batch: String,
    },
    /// One message.
    Message {
        /// Of which batch.
        batch: String,
        /// Its place in the file, from 0.
        index: u64,
    },
    /// The messages that fit, of the newest batches first.
    Messages {
        /// To this number.
        #[serde(default)]
        to: Option<String>,
        /// With this reference.
        #[serde(default)]
        reference: Option<String>,
        /// Of this batch only.
        #[serde(default)]
        batch: Option<String>,
    },
    /// Every sender.
    Senders {
        /// Only this tenant's.
        #[serde(default)]
        tenant: Option<TenantName>,
    },
    /// Nothing of a subject begins any more.
    Pause {
        /// What.
        subject: Named,
        /// Why.
        #[serde(default)]
        reason: String,
        /// For how long; `None` until it is resumed.
        #[serde(default)]
        for_ms: Option<u64>,
    },
    /// A pause ends.
    Resume {
        /// What.
        subject: Named,
    },
    /// What waits for another try is tried at once.
    Retry {
        /// What.
        subject: Named,
    },
    /// A batch is stopped for good.
    Cancel {
        /// Which.
        batch: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// A sender is made slower than its settings say.
    Limit {
        /// Its number.
        number: String,
        /// Whose it is; needed where several tenants have it.
        #[serde(default)]
        tenant: Option<TenantName>,
        /// Messages a second at most; `None` for as many as the settings say.
        #[serde(default)]
        per_second: Option<f64>,
    },
}

/// Which batches are listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Wanted {
    /// Of this tenant.
    pub tenant: Option<TenantName>,
    /// In this state, by the word of the status file.
    pub state: Option<String>,
    /// With this file name.
    pub file: Option<String>,
    /// With this content.
    pub sha256: Option<String>,
    /// Received at or after this moment.
    pub since: Option<Moment>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// What a command steers, as a person names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "scope",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Named {
    /// A batch, by its id, an unambiguous part of it, or its file's name.
    Batch {
        /// Which.
        batch: String,
    },
    /// A sender.
    Sender {
        /// Its number.
        number: String,
        /// Whose it is; needed where several tenants have it.
        #[serde(default)]
        tenant: Option<TenantName>,
    },
    /// A tenant.
    Tenant {
        /// Its name.
        tenant: TenantName,
    },
    /// A template.
    Template {
        /// Whose it is; needed where there are several tenants.
        #[serde(default)]
        tenant: Option<TenantName>,
        /// Its name.
        name: String,
        /// In one language; `None` for every language.
        #[serde(default)]
        language: Option<String>,
    },
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Batches.
    Batches(Vec<BatchTold>),
    /// One batch.
    Batch(Box<BatchTold>),
    /// Why a batch is not faster.
    Explained(Box<Explained>),
    /// One message: its line in the results as it would be now, with its batch.
    Message(serde_json::Value),
    /// Messages.
    Messages(MessagesTold),
    /// Senders.
    Senders(Vec<SenderTold>),
    /// It is done; what it comes to, in a sentence.
    Done(String),
    /// It is not done, or not there; why, in a sentence.
    No(String),
}

/// One batch, as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchTold {
    /// Its id.
    pub batch: BatchId,
    /// Whose it is.
    pub tenant: TenantName,
    /// Its file's name.
    pub file: String,
    /// Where it stands, by the word of the status file.
    pub state: String,
    /// Whether all its reports are in place, so that nothing changes any more.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Messages by state.
    pub counts: CountsTold,
    /// Why it does not go on, in a sentence; empty when it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub held: String,
    /// The label in the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub campaign_name: String,
    /// SHA-256 of the content; empty until it was read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// The code of the fault for which the file was refused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub refusal: String,
    /// When its file was received.
    pub received_at: String,
    /// When sending could begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<String>,
    /// Why, in the words of whoever cancelled it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cancel_reason: String,
    /// When nothing was left to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// When it will probably have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_end_at: Option<String>,
}

/// How many messages are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the words of the status file, whose schema says it"
)]
pub struct CountsTold {
    pub total: u64,
    pub invalid: u64,
    pub waiting: u64,
    pub in_flight: u64,
    pub accepted: u64,
    pub failed: u64,
    pub expired: u64,
    pub suppressed: u64,
    pub cancelled: u64,
    pub unknown: u64,
}

impl CountsTold {
    /// `counts` of a batch; when it `is_settled`, nothing of it waits.
    pub(super) fn of(counts: &Counts, is_settled: bool) -> Self {
        Self {
            total: counts.total,
            invalid: counts.invalid,
            waiting: if is_settled { 0 } else { counts.waiting() },
            in_flight: counts.in_flight,
            accepted: counts.accepted,
            failed: counts.failed,
            expired: counts.expired,
            suppressed: counts.suppressed,
            cancelled: counts.cancelled,
            unknown: counts.unknown,
        }
    }

    /// Those to which nothing more happens.
    pub fn closed(&self) -> u64 {
        self.total.saturating_sub(self.waiting + self.in_flight)
    }
}

/// Why a batch is not faster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The batch.
    #[serde(flatten)]
    pub batch: BatchTold,
    /// The limit that binds, by its word.
    pub limit: String,
    /// The same in a sentence.
    pub because: String,
    /// Until when it binds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The index of the next message that was never tried, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Of several senders the one that will end last, and so decides the estimated end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_last: Option<Phone>,
    /// The senders that it uses.
    pub senders: Vec<SenderTold>,
}

/// Messages that were found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessagesTold {
    /// Each as its line in the results would be now, with its batch.
    pub messages: Vec<serde_json::Value>,
    /// Whether all messages were looked at.
    pub is_whole: bool,
}

/// One sender, as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderTold {
    /// Whose it is.
    pub tenant: TenantName,
    /// Its number.
    pub number: Phone,
    /// The rate that holds, in messages a second.
    pub rate: f64,
    /// What its settings allow.
    pub configured_rate: f64,
    /// What the provider was found to take, if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned_rate: Option<f64>,
    /// What the operator allows, if anything was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operators_rate: Option<f64>,
    /// How fast it went over the last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_rate: Option<f64>,
    /// Attempts under way.
    pub in_flight: usize,
    /// Attempts that may be under way at once.
    pub permits: usize,
    /// What stops it, in a sentence; empty when nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub held: String,
}
