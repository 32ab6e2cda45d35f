//! How batches and messages stand, as the store keeps them and reports tell them.

use serde::{Deserialize, Serialize};

use super::{Reason, State};
use crate::batch::read::BadRow;
use crate::batch::{Arrival, Fault, Message, Moment, Phone};

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// The file is safe; nobody has read it.
    Received,
    /// It is being read.
    Checking,
    /// The file was refused.
    Rejected,
    /// The file was refused because its content was sent before.
    Duplicate,
    /// It was checked as a dry run.
    Checked,
    /// Its messages are being sent.
    Sending,
    /// Nothing is left to send.
    Finished,
    /// It was cancelled; attempts that had begun have not all ended.
    Cancelling,
    /// It was cancelled, and nothing of it is in flight any more.
    Cancelled,
}

impl BatchState {
    /// Every state, in the order of a batch's life.
    pub const ALL: [BatchState; 9] = [
        BatchState::Received,
        BatchState::Checking,
        BatchState::Rejected,
        BatchState::Duplicate,
        BatchState::Checked,
        BatchState::Sending,
        BatchState::Finished,
        BatchState::Cancelling,
        BatchState::Cancelled,
    ];

    /// The word for it in tables, status files and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            BatchState::Received => "received",
            BatchState::Checking => "checking",
            BatchState::Rejected => "rejected",
            BatchState::Duplicate => "duplicate",
            BatchState::Checked => "checked",
            BatchState::Sending => "sending",
            BatchState::Finished => "finished",
            BatchState::Cancelling => "cancelling",
            BatchState::Cancelled => "cancelled",
        }
    }

    /// Whether nothing is left to do but to report.
    pub const fn is_settled(self) -> bool {
        !matches!(
            self,
            Self::Received | Self::Checking | Self::Sending | Self::Cancelling
        )
    }
}

/// How many messages of a batch are in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// Rows that are wrong.
    pub invalid: u64,
    /// Attempts begun, without outcome.
    pub in_flight: u64,
    /// Taken by the provider.
    pub accepted: u64,
    /// Refused for good.
    pub failed: u64,
    /// Out of time.
    pub expired: u64,
    /// Left out on the tenant's wish.
    pub suppressed: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// May have gone out.
    pub unknown: u64,
}

impl Counts {
    /// Those that wait to be sent, while the batch is being sent.
    pub fn waiting(&self) -> u64 {
        self.total.saturating_sub(self.in_flight + self.closed())
    }

    /// Those to which nothing more happens.
    pub fn closed(&self) -> u64 {
        self.invalid
            + self.accepted
            + self.failed
            + self.expired
            + self.suppressed
            + self.cancelled
            + self.unknown
    }
}

/// A batch as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStanding {
    /// The arrival.
    pub arrival: Arrival,
    /// Where it stands.
    pub state: BatchState,
    /// SHA-256 of the expanded bytes; empty until checked.
    pub sha256: String,
    /// The way it is written; empty until checked.
    pub dialect: String,
    /// The campaign's label; empty if none.
    pub campaign_name: String,
    /// Why it was refused.
    pub refusal: Option<Fault>,
    /// Odd things that stopped nothing.
    pub warnings: Vec<Fault>,
    /// How many faults were found.
    pub fault_count: u64,
    /// When sending could begin.
    pub started_at: Option<Moment>,
    /// When nothing was left to send.
    pub finished_at: Option<Moment>,
    /// Messages by state.
    pub counts: Counts,
    /// Whether a newer file of the same name has arrived.
    pub superseded: bool,
    /// Whether it is not checked before its `.done` has come.
    pub waits_for_done: bool,
    /// When it was cancelled; its file may still have to be read.
    pub cancelled_at: Option<Moment>,
    /// Why, in the words of whoever cancelled it; may be empty.
    pub cancel_reason: String,
    /// When the earliest of its messages may go; `None` for at once.
    pub scheduled_at: Option<Moment>,
    /// How many of its unknown messages are held, because something may yet say what became of
    /// them.
    pub held: u64,
    /// Until when the last of them is held at the most.
    pub held_until: Option<Moment>,
}

impl BatchStanding {
    /// Until when nothing of it is to be sent, because each message has a moment of its own and
    /// none has come; `None` if that keeps nothing.
    pub fn waits_until(&self, now: Moment) -> Option<Moment> {
        let counts = &self.counts;
        let untouched = counts.total == counts.waiting() + counts.invalid + counts.suppressed;
        let is_sending = self.state == BatchState::Sending;
        self.scheduled_at
            .filter(|at| is_sending && untouched && *at > now)
    }

    /// How many messages keep it from its end only because something may yet say what became of
    /// them, and until when; `None` while anything else is left to do.
    pub fn waits_for_receipts(&self) -> Option<(u64, Moment)> {
        let counts = &self.counts;
        let is_left = counts.in_flight == 0 && counts.total == counts.closed();
        let under_way = matches!(self.state, BatchState::Sending | BatchState::Cancelling);
        let until = self.held_until.filter(|_| is_left && under_way)?;
        Some((self.held, until))
    }
}

/// A message as it stands, for the report.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageStanding {
    /// Its place in the file.
    pub index: u64,
    /// The message; `None` for a row that cannot be sent.
    pub message: Option<Message>,
    /// Where it stands.
    pub state: State,
    /// How often sending it was begun.
    pub attempts: u32,
    /// When it came into this state; `None` while nothing has happened to it.
    pub changed_at: Option<Moment>,
    /// The provider's id; empty until accepted.
    pub provider_id: String,
    /// Whether an earlier attempt may have gone out.
    pub possible_duplicate: bool,
    /// Whether a mended row could be sent.
    pub in_row: bool,
    /// Why it is where it is.
    pub note: Option<Note>,
}

impl MessageStanding {
    /// A message to which nothing has happened.
    pub fn untouched(index: u64) -> Self {
        Self {
            index,
            message: None,
            state: State::Waiting,
            attempts: 0,
            changed_at: None,
            provider_id: String::new(),
            possible_duplicate: false,
            in_row: false,
            note: None,
        }
    }
}

/// Why a message is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Note {
    /// The last reason of an attempt.
    Reason(Reason),
    /// A row that cannot be sent.
    #[serde(rename_all = "camelCase")]
    Row {
        /// The line it starts on.
        line: u64,
        /// The recipient, if that much could be read.
        to: Option<Phone>,
        /// The tenant's own reference, if that much could be read.
        reference: Option<String>,
        /// The tenant's own data, if that much could be read.
        callback_data: Option<String>,
        /// What is wrong with it.
        faults: Vec<Fault>,
    },
}

impl Note {
    /// What is kept of a row that cannot be sent.
    pub fn of_bad_row(row: &BadRow) -> Self {
        Self::Row {
            line: row.line,
            to: row.to.clone(),
            reference: row.reference.clone(),
            callback_data: row.callback_data.clone(),
            faults: row.faults.clone(),
        }
    }
}
