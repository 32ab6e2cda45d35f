//! What happens next to a message: states, outcomes, and the one step between states.
//!
//! In: where a message stands, what became of an attempt, the tenant's policy, the time, a random
//! share for jitter. Out: where it stands next. Pure: the loops store what is decided here, and a
//! crash between deciding and storing is a crash before deciding.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batch::{BatchId, Moment, Phone};

pub mod breaker;
pub mod lane;
pub mod pace;
pub mod receipt;
pub mod retention;
pub mod retry;
pub mod sending;
pub mod settling;
pub mod standing;
pub mod steering;
pub mod turns;
pub mod view;
pub mod window;

/// One of the tenant's numbers, as a sender of messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Sender {
    /// The number that the recipient sees.
    pub number: Phone,
    /// The provider's own name for it (Cloud API: the phone number id); empty where it has none.
    pub provider_id: String,
    /// How many messages a second the provider takes from it.
    pub messages_per_second: f64,
}

/// What a tenant wants done where the right answer depends on its trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Policy {
    /// What to do with a message that may have gone out.
    pub unknown: UnknownPolicy,
}

/// What to do with a message that may have gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownPolicy {
    /// Never send it again; report it as unknown if nothing settles it.
    #[default]
    Hold,
    /// Send it once more, and mark it as a possible duplicate.
    Resend,
}

/// The name of one try at one message: `<batch>-<index>-<attempt>`. It goes out in the field that
/// the provider echoes in receipts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AttemptId {
    /// The batch.
    pub batch: BatchId,
    /// The message's index in it, from 0.
    pub index: u64,
    /// Which try this is, from 1.
    pub attempt: u32,
}

impl AttemptId {
    /// Reads the name back; `None` when the text is not exactly one, as what others put into that
    /// field is not.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '-');
        let attempt = parts.next()?.parse().ok()?;
        let index = parts.next()?.parse().ok()?;
        let batch = BatchId::parse(parts.next()?)?;
        let id = Self {
            batch,
            index,
            attempt,
        };
        (id.to_string() == text).then_some(id)
    }
}

impl From<AttemptId> for String {
    fn from(id: AttemptId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for AttemptId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("no name of an attempt")
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.batch, self.index, self.attempt)
    }
}

/// Where a message stands. `Waiting` without a row of its own is the state of most messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// To be sent, at once or not before some moment.
    Waiting,
    /// An attempt was begun and its outcome is not yet recorded.
    InFlight,
    /// The provider took it.
    Accepted,
    /// Refused for good.
    Failed,
    /// Its row is wrong; never sent.
    Invalid,
    /// Its time ran out before it could be sent.
    Expired,
    /// The tenant asked for it to be left out.
    Suppressed,
    /// Its batch was cancelled before it was sent.
    Cancelled,
    /// It may have gone out; nobody can say.
    Unknown,
}

impl State {
    /// Every state, in the order of the status file.
    pub const ALL: [State; 9] = [
        State::Invalid,
        State::Waiting,
        State::InFlight,
        State::Accepted,
        State::Failed,
        State::Expired,
        State::Suppressed,
        State::Cancelled,
        State::Unknown,
    ];

    /// The word for it in tables, results and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::InFlight => "inFlight",
            State::Accepted => "accepted",
            State::Failed => "failed",
            State::Invalid => "invalid",
            State::Expired => "expired",
            State::Suppressed => "suppressed",
            State::Cancelled => "cancelled",
            State::Unknown => "unknown",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more happens to the message at hand-over.
    pub const fn is_final(self) -> bool {
        !matches!(self, State::Waiting | State::InFlight)
    }
}

/// Why an attempt ended as it did, in words for the tenant. Written into results as `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// Our own dotted code, as in `provider.throttled`.
    pub code: String,
    /// One short sentence, ours.
    pub title: String,
    /// The provider's own explanation, bounded; empty if it gave none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What the tenant or the operator can do; empty if nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// The provider's own code; empty if it gave none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider_code: String,
}

impl Reason {
    /// A reason with a code and a title.
    pub fn new(code: &str, title: &str) -> Self {
        Self {
            code: code.into(),
            title: title.into(),
            detail: String::new(),
            hint: String::new(),
            provider_code: String::new(),
        }
    }
}

/// What became of one attempt. It says what to do next, not what went wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The provider took it; done here.
    Accepted {
        /// The provider's id of the message.
        provider_id: String,
    },
    /// Never try again.
    Refused {
        /// Why.
        reason: Reason,
        /// Whether the fault lies in the row, so that a mended row could be sent.
        in_row: bool,
    },
    /// Try later.
    Deferred {
        /// Why.
        reason: Reason,
        /// How long the provider asked to wait; `None` when it did not say.
        wait: Option<Duration>,
        /// What else must wait with it.
        scope: Scope,
    },
    /// It may have gone out; do not guess.
    Unclear {
        /// What was seen.
        reason: Reason,
    },
}

/// How far a deferral reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This message only.
    Message,
    /// Every message from this sender to this recipient.
    Recipient,
    /// Every message of this sender, because it goes too fast.
    Rate,
    /// Every message of this sender.
    Sender,
    /// Every message that uses this template.
    Template,
    /// Every message sent to this provider with these credentials.
    Credential,
    /// Every message sent to this address.
    Endpoint,
}

/// One try at one message, as it must be known to begin it and to judge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The batch.
    pub batch: BatchId,
    /// The message's index in it.
    pub index: u64,
    /// Which try it is, from 1.
    pub attempt: u32,
    /// How many of the tries before do not count, because the provider never looked at them.
    pub uncounted: u32,
    /// After this moment the message is not sent.
    pub expires_at: Moment,
    /// Whether an earlier attempt may have gone out.
    pub possible_duplicate: bool,
}

impl Attempt {
    /// Its name at the provider.
    pub fn id(&self) -> AttemptId {
        AttemptId {
            batch: self.batch.clone(),
            index: self.index,
            attempt: self.attempt,
        }
    }

    /// The attempt as it is judged.
    pub fn tried(&self) -> Tried {
        Tried {
            attempt: self.attempt.saturating_sub(self.uncounted),
            expires_at: self.expires_at,
            possible_duplicate: self.possible_duplicate,
        }
    }
}

/// An attempt whose outcome is being judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Which try it was among those that count, from 1.
    pub attempt: u32,
    /// After this moment the message is not sent any more.
    pub expires_at: Moment,
    /// Whether an earlier attempt of the message may have gone out already.
    pub possible_duplicate: bool,
}

/// Where a message stands after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing more happens to it at hand-over.
    Done {
        /// A final state.
        state: State,
        /// The provider's id when it was accepted, otherwise empty.
        provider_id: String,
        /// Why, unless it was accepted.
        reason: Option<Reason>,
        /// Whether a mended row could be sent.
        in_row: bool,
    },
    /// It waits to be tried again.
    Again {
        /// Not before this moment.
        not_before: Moment,
        /// Why the last try did not do.
        reason: Reason,
        /// Whether an attempt may have gone out already.
        possible_duplicate: bool,
        /// Whether the try counts: one that the provider never looked at does not.
        counts: bool,
    },
}

/// The one step between states: where a message stands after `outcome`. `share` is a random number
/// from 0.0 up to 1.0 for the jitter of waits.
pub fn after(outcome: Outcome, tried: Tried, policy: Policy, now: Moment, share: f64) -> Step {
    match outcome {
        Outcome::Accepted { provider_id } => Step::Done {
            state: State::Accepted,
            provider_id,
            reason: None,
            in_row: false,
        },
        // What may have gone out already is not reported as never sent, nor offered to be mended.
        Outcome::Refused { reason, .. } if tried.possible_duplicate => Step::Done {
            state: State::Unknown,
            provider_id: String::new(),
            reason: Some(reason),
            in_row: false,
        },
        Outcome::Refused { reason, in_row } => Step::Done {
            state: State::Failed,
            provider_id: String::new(),
            reason: Some(reason),
            in_row,
        },
        Outcome::Deferred { reason, wait, .. } => {
            let wait = retry::wait(tried.attempt, wait, share);
            again(reason, wait, tried, now, tried.possible_duplicate)
        }
        Outcome::Unclear { reason } => match policy.unknown {
            // One more try only: a peer that never answers must not be fed the same message for
            // ever.
            UnknownPolicy::Resend if !tried.possible_duplicate => {
                let wait = retry::wait(tried.attempt, None, share);
                again(reason, wait, tried, now, true)
            }
            _ => Step::Done {
                state: State::Unknown,
                provider_id: String::new(),
                reason: Some(reason),
                in_row: false,
            },
        },
    }
}

/// Waiting for another try, or the end if its time runs out before that.
fn again(
    reason: Reason,
    wait: Duration,
    tried: Tried,
    now: Moment,
    possible_duplicate: bool,
) -> Step {
    let not_before = now.plus_ms(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
    if not_before < tried.expires_at {
        return Step::Again {
            not_before,
            reason,
            possible_duplicate,
            counts: true,
        };
    }
    // What may have gone out is not reported as never sent.
    let state = if possible_duplicate {
        State::Unknown
    } else {
        State::Expired
    };
    Step::Done {
        state,
        provider_id: String::new(),
        reason: Some(reason),
        in_row: false,
    }
}

/// Where a message stands that was in flight when the daemon stopped without its answer.
pub fn after_crash(tried: Tried, policy: Policy, now: Moment) -> Step {
    let reason = Reason {
        hint: "ask the recipient or the provider before sending it again".into(),
        ..Reason::new(
            "provider.interrupted",
            "the service stopped after the message was handed over and before the answer came",
        )
    };
    after(Outcome::Unclear { reason }, tried, policy, now, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(1_000_000);
    const HOLD: Policy = Policy {
        unknown: UnknownPolicy::Hold,
    };
    const RESEND: Policy = Policy {
        unknown: UnknownPolicy::Resend,
    };

    fn tried(attempt: u32) -> Tried {
        Tried {
            attempt,
            expires_at: NOW.plus_ms(60_000),
            possible_duplicate: false,
        }
    }

    fn reason() -> Reason {
        Reason::new("provider.test", "a test")
    }

    fn deferred(wait_s: u64) -> Outcome {
        let wait = Some(Duration::from_secs(wait_s));
        Outcome::Deferred {
            reason: reason(),
            wait,
            scope: Scope::Message,
        }
    }

    fn state(step: &Step) -> State {
        match step {
            Step::Done { state, .. } => *state,
            Step::Again { .. } => State::Waiting,
        }
    }

    /// Receipts are told apart by this text: what is not ours must not be taken for it.
    #[test]
    fn the_name_of_an_attempt_is_read_back() {
        let text = "20261121T091502Z-7kq2xm-14-2";
        let id = AttemptId::parse(text).expect("a name");
        assert_eq!((id.index, id.attempt), (14, 2));
        assert_eq!(id.to_string(), text);
        for other in [
            "",
            "row-17",
            "20261121T091502Z-7kq2xm",
            "20261121T091502Z-7kq2xm-14",
            "20261121T091502Z-7kq2xm-014-2",
            "20261121T091502Z-7kq2xm-14-+2",
            "20261121T091502Z-7kq2xm-14-2 ",
            "20261121T091502Z-7kq2xm-14-99999999999",
        ] {
            assert_eq!(AttemptId::parse(other), None, "{other}");
        }
    }

    /// The table every promise about sending rests on.
    #[test]
    fn each_outcome_leads_to_one_state() {
        let accepted = Outcome::Accepted {
            provider_id: "wamid.1".into(),
        };
        let refused = Outcome::Refused {
            reason: reason(),
            in_row: true,
        };
        let unclear = Outcome::Unclear { reason: reason() };
        let cases = [
            (accepted, HOLD, State::Accepted),
            (refused, HOLD, State::Failed),
            (deferred(1), HOLD, State::Waiting),
            (deferred(61), HOLD, State::Expired),
            (unclear.clone(), HOLD, State::Unknown),
            (unclear, RESEND, State::Waiting),
        ];
        for (outcome, policy, expected) in cases {
            let step = after(outcome.clone(), tried(1), policy, NOW, 0.5);
            assert_eq!(state(&step), expected, "{outcome:?}");
        }
    }

    /// Under `resend` a message goes out at most once more, and is marked.
    #[test]
    fn what_may_have_gone_out_is_sent_once_more_at_most() {
        let unclear = || Outcome::Unclear { reason: reason() };
        let Step::Again {
            possible_duplicate, ..
        } = after(unclear(), tried(1), RESEND, NOW, 0.0)
        else {
            panic!("sent again");
        };
        assert!(possible_duplicate);
        let marked = Tried {
            possible_duplicate,
            ..tried(2)
        };
        assert_eq!(
            state(&after(unclear(), marked, RESEND, NOW, 0.0)),
            State::Unknown
        );
        assert_eq!(
            state(&after(deferred(61), marked, RESEND, NOW, 0.0)),
            State::Unknown
        );
        let refused = Outcome::Refused {
            reason: reason(),
            in_row: true,
        };
        let step = after(refused, marked, RESEND, NOW, 0.0);
        assert_eq!(state(&step), State::Unknown);
        assert_eq!(state(&after_crash(marked, RESEND, NOW)), State::Unknown);
        assert_eq!(state(&after_crash(tried(1), HOLD, NOW)), State::Unknown);
    }
}
