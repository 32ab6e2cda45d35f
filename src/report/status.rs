//! The status file: how a batch stands, at a glance.

use serde::Serialize;

use super::pretty;
use crate::batch::{BatchId, Fault, Moment};
use crate::delivery::standing::{BatchStanding, BatchState};

/// What a status says beside how the batch stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Whether every file for this batch is in place, so that nothing will change any more.
    pub is_final: bool,
    /// When it will probably have ended; `None` when nobody can say.
    pub estimated_end_at: Option<Moment>,
    /// The files written for it, beneath `whatsapp/`.
    pub files: Vec<String>,
    /// Why it does not go on, and until when, in a sentence; empty when it does.
    pub held: String,
    /// What keeps it from being sent, where that has a word of its own.
    pub hindrance: Option<Hindrance>,
}

/// What keeps a batch from being sent, where the status has a word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// Somebody has paused it, or what it needs.
    Paused,
    /// Nothing of it has begun, and its first message is due at this moment.
    Scheduled(Moment),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    batch: &'a BatchId,
    file: &'a str,
    state: &'static str,
    #[serde(rename = "final")]
    is_final: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    dialect: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    sha256: &'a str,
    bytes: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    campaign_name: &'a str,
    counts: StatusCounts,
    received_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_end_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    cancel_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a Fault>,
    #[serde(skip_serializing_if = "str::is_empty")]
    held: &'a str,
    warnings: &'a [Fault],
    files: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusCounts {
    total: u64,
    invalid: u64,
    waiting: u64,
    in_flight: u64,
    accepted: u64,
    failed: u64,
    expired: u64,
    suppressed: u64,
    cancelled: u64,
    unknown: u64,
}

impl StatusCounts {
    fn of(standing: &BatchStanding) -> Self {
        let counts = &standing.counts;
        // Good rows of a file that was refused, or only checked, wait for nothing.
        let waits = !standing.state.is_settled();
        Self {
            total: counts.total,
            invalid: counts.invalid,
            waiting: if waits { counts.waiting() } else { 0 },
            in_flight: counts.in_flight,
            accepted: counts.accepted,
            failed: counts.failed,
            expired: counts.expired,
            suppressed: counts.suppressed,
            cancelled: counts.cancelled,
            unknown: counts.unknown,
        }
    }
}

/// The word for where a batch stands: its state, or what keeps it there.
pub fn state_word(standing: &BatchStanding, hindrance: Option<Hindrance>) -> &'static str {
    match standing.state {
        state if state.is_settled() => state.as_str(),
        _ if standing.cancelled_at.is_some() => BatchState::Cancelling.as_str(),
        BatchState::Sending => match hindrance {
            Some(Hindrance::Paused) => "paused",
            Some(Hindrance::Scheduled(_)) => "scheduled",
            None => BatchState::Sending.as_str(),
        },
        state => state.as_str(),
    }
}

/// The status file of a batch.
pub fn status(standing: &BatchStanding, outlook: &Outlook) -> Vec<u8> {
    let arrival = &standing.arrival;
    let text = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
    let scheduled_at = match outlook.hindrance {
        Some(Hindrance::Scheduled(at)) => Some(at),
        _ => None,
    };
    let sends = !matches!(standing.state, BatchState::Received | BatchState::Checking);
    pretty(&Status {
        batch: &arrival.batch,
        file: &arrival.name,
        state: state_word(standing, outlook.hindrance),
        is_final: outlook.is_final,
        dialect: &standing.dialect,
        sha256: &standing.sha256,
        bytes: arrival.size_bytes,
        campaign_name: &standing.campaign_name,
        counts: StatusCounts::of(standing),
        received_at: arrival.received_at.to_string(),
        started_at: text(standing.started_at),
        scheduled_at: text(scheduled_at),
        cancelled_at: text(standing.cancelled_at),
        cancel_reason: &standing.cancel_reason,
        estimated_end_at: text(outlook.estimated_end_at.filter(|_| sends)),
        finished_at: text(standing.finished_at),
        reason: standing.refusal.as_ref(),
        held: &outlook.held,
        warnings: &standing.warnings,
        files: &outlook.files,
    })
}
