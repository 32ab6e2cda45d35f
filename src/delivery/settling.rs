//! What settles a message that may have gone out: a receipt, the provider's own word when it is
//! asked, or the end of its hold. Pure: loops bring receipts and say what time it is.
//!
//! Nothing goes backward. What is accepted, failed, expired or cancelled stays so whatever a late
//! receipt says, and a receipt that comes twice is one that came once.

use std::time::Duration;

use super::receipt::{Receipt, Says};
use super::{Reason, State, Step};
use crate::batch::Moment;

/// How long a message is unknown before the provider is asked about it. Most receipts are there by
/// then.
pub const ASK_AFTER: Duration = Duration::from_secs(30);

/// With a short hold it is asked sooner: after this share of it.
const ASK_SHARE: u32 = 4;

/// The least time between two questions about a message.
pub const ASK_GAP_MIN: Duration = Duration::from_secs(1);

/// What can settle the messages of a tenant that may have gone out, and for how long that is waited
/// for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Hold {
    /// How long such a message is held; nothing where nothing can settle it.
    pub length: Duration,
    /// Whether its provider can be asked about it.
    pub is_asked: bool,
}

impl Hold {
    /// Until when a message is held that is unknown since `now`; `None` if it is not.
    pub fn until(self, now: Moment) -> Option<Moment> {
        (!self.length.is_zero()).then(|| plus(now, self.length))
    }

    /// When the provider is asked first about such a message; `None` if it is not.
    pub fn first_ask(self, now: Moment) -> Option<Moment> {
        let wait = ASK_AFTER.min(self.length / ASK_SHARE).max(ASK_GAP_MIN);
        (self.is_asked && wait < self.length).then(|| plus(now, wait))
    }
}

/// When the provider is asked again about a message that is unknown since `since` and held until
/// `until`, having been asked at `now`: each wait is as long as all before it together. `None` when
/// its hold ends before.
pub fn next_ask(since: Moment, until: Moment, now: Moment) -> Option<Moment> {
    let spent_ms = now.as_millis().saturating_sub(since.as_millis());
    let gap_ms = spent_ms.max(ASK_GAP_MIN.as_millis() as i64);
    Some(now.plus_ms(gap_ms)).filter(|next| *next < until)
}

fn plus(moment: Moment, span: Duration) -> Moment {
    moment.plus_ms(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

/// A message about which a receipt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Where it stands.
    pub state: State,
    /// How many tries at it were begun.
    pub attempts: u32,
    /// Whether more than one of them may have gone out.
    pub possible_duplicate: bool,
}

/// What follows from a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The provider has it.
    Accepted {
        /// The provider's id; empty if the receipt does not say.
        provider_id: String,
        /// Whether another try of it may have gone out too.
        possible_duplicate: bool,
    },
    /// It will not reach the recipient.
    Failed {
        /// Why.
        reason: Reason,
        /// Whether a mended row could be sent.
        in_row: bool,
    },
    /// It counts if the answer to the try under way never comes.
    Kept,
}

/// What `receipt` makes of a message; `None` if it changes nothing. That the provider has it is
/// believed of any try. That it failed is believed only where no other try may have gone out, and
/// of a try under way only once its answer is known not to come: results tell of the hand-over.
pub fn settle(open: Open, receipt: &Receipt) -> Option<Settled> {
    let attempt = receipt.attempt.as_ref()?.attempt;
    if attempt == 0 || attempt > open.attempts {
        return None;
    }
    match (open.state, &receipt.says) {
        (
            State::Unknown | State::InFlight | State::Waiting,
            Says::Accepted | Says::Delivered | Says::Read,
        ) => Some(Settled::Accepted {
            provider_id: receipt.provider_id.clone(),
            possible_duplicate: open.possible_duplicate && open.attempts > 1,
        }),
        (State::Unknown | State::InFlight, Says::Failed { .. })
            if open.possible_duplicate || attempt != open.attempts =>
        {
            None
        }
        (State::Unknown, Says::Failed { reason, in_row }) => Some(Settled::Failed {
            reason: reason.clone(),
            in_row: *in_row,
        }),
        (State::InFlight, Says::Failed { .. }) => Some(Settled::Kept),
        _ => None,
    }
}

/// Whether a try has come to an end that leaves open what became of it, so that a receipt counts
/// which came before.
pub fn is_open(end: &Step) -> bool {
    match end {
        Step::Done { state, .. } => *state == State::Unknown,
        Step::Again {
            possible_duplicate, ..
        } => *possible_duplicate,
    }
}

/// The step that a kept receipt makes of such an end; `None` if it is about an earlier try.
pub fn instead(attempts: u32, receipt: &Receipt) -> Option<Step> {
    let open = Open {
        state: State::Unknown,
        attempts,
        possible_duplicate: false,
    };
    match settle(open, receipt)? {
        Settled::Accepted { provider_id, .. } => Some(Step::Done {
            state: State::Accepted,
            provider_id,
            reason: None,
            in_row: false,
        }),
        Settled::Failed { reason, in_row } => Some(Step::Done {
            state: State::Failed,
            provider_id: String::new(),
            reason: Some(reason),
            in_row,
        }),
        Settled::Kept => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::BatchId;
    use crate::delivery::AttemptId;

    fn receipt(attempt: u32, says: Says) -> Receipt {
        Receipt {
            attempt: Some(AttemptId {
                batch: BatchId::parse("20261121T091502Z-7kq2xm").expect("an id"),
                index: 4,
                attempt,
            }),
            provider_id: format!("wamid.{attempt}"),
            says,
            at: Moment::from_millis(7),
        }
    }

    fn failed() -> Says {
        Says::Failed {
            reason: Reason::new("provider.recipient", "not on WhatsApp"),
            in_row: true,
        }
    }

    fn open(state: State, attempts: u32) -> Open {
        Open {
            state,
            attempts,
            possible_duplicate: false,
        }
    }

    /// The table on which it rests that what nobody knew is told right, and what was known stays.
    #[test]
    fn each_receipt_settles_what_it_can() {
        use State::{Accepted, Cancelled, Expired, Failed, InFlight, Unknown, Waiting};
        let words = |settled: Option<Settled>| match settled {
            Some(Settled::Accepted { .. }) => "accepted",
            Some(Settled::Failed { .. }) => "failed",
            Some(Settled::Kept) => "kept",
            None => "",
        };
        for (state, by_accepted, by_failed) in [
            (Unknown, "accepted", "failed"),
            (InFlight, "accepted", "kept"),
            (Waiting, "accepted", ""),
            (Accepted, "", ""),
            (Failed, "", ""),
            (Expired, "", ""),
            (Cancelled, "", ""),
        ] {
            for says in [Says::Accepted, Says::Delivered, Says::Read] {
                let found = settle(open(state, 1), &receipt(1, says));
                assert_eq!(words(found), by_accepted, "{state:?}");
            }
            let found = settle(open(state, 1), &receipt(1, failed()));
            assert_eq!(words(found), by_failed, "{state:?}");
        }
        let nameless = Receipt {
            attempt: None,
            ..receipt(1, Says::Read)
        };
        assert_eq!(settle(open(Unknown, 1), &nameless), None);
    }

    /// A message that was handed over twice is not called failed because one of the two was, and
    /// one that was not is not called a duplicate.
    #[test]
    fn of_several_tries_each_is_told_apart() {
        let twice = Open {
            possible_duplicate: true,
            ..open(State::Unknown, 2)
        };
        for attempt in [1, 2] {
            assert_eq!(settle(twice, &receipt(attempt, failed())), None);
            let found = settle(twice, &receipt(attempt, Says::Accepted));
            let expected = Settled::Accepted {
                provider_id: format!("wamid.{attempt}"),
                possible_duplicate: true,
            };
            assert_eq!(found, Some(expected));
        }
        let about_to_go_again = Open {
            possible_duplicate: true,
            ..open(State::Waiting, 1)
        };
        let found = settle(about_to_go_again, &receipt(1, Says::Accepted));
        let went_once = |settled: &Settled| match settled {
            Settled::Accepted {
                possible_duplicate, ..
            } => !possible_duplicate,
            _ => false,
        };
        assert!(found.as_ref().is_some_and(went_once));
        // A try that never began, and one before the last of which it was known not to be taken.
        assert_eq!(
            settle(open(State::Unknown, 2), &receipt(3, Says::Read)),
            None
        );
        assert_eq!(
            settle(open(State::Unknown, 2), &receipt(0, Says::Read)),
            None
        );
        assert_eq!(settle(open(State::Unknown, 2), &receipt(1, failed())), None);
        assert_eq!(instead(2, &receipt(1, failed())), None);
    }

    /// A provider is asked a handful of times about a message, not once a second and not too late.
    #[test]
    fn questions_come_at_growing_gaps_within_the_hold() {
        let asked = |minutes: u64| {
            let hold = Hold {
                length: Duration::from_mins(minutes),
                is_asked: true,
            };
            let since = Moment::from_millis(0);
            let until = hold.until(since).expect("it is held");
            let mut at = Vec::new();
            let mut next = hold.first_ask(since);
            while let Some(now) = next {
                at.push(now.as_millis() / 1_000);
                next = next_ask(since, until, now);
            }
            at
        };
        assert_eq!(asked(15), [30, 60, 120, 240, 480]);
        assert_eq!(asked(1), [15, 30]);
        let none = Hold::default();
        let now = Moment::from_millis(0);
        assert_eq!((none.until(now), none.first_ask(now)), (None, None));
    }

    fn says() -> impl Strategy<Value = Says> {
        prop_oneof![
            Just(Says::Accepted),
            Just(Says::Delivered),
            Just(Says::Read),
            Just(failed())
        ]
    }

    fn apply(open: &mut Open, receipt: &Receipt) {
        match settle(*open, receipt) {
            Some(Settled::Accepted { .. }) => open.state = State::Accepted,
            Some(Settled::Failed { .. }) => open.state = State::Failed,
            Some(Settled::Kept) | None => {}
        }
    }

    proptest! {
        /// Receipts come late, in any order and several times; whatever they say, what was settled
        /// stays, and each counts once.
        #[test]
        fn nothing_goes_backward_and_twice_is_once(
            state in prop::sample::select(&State::ALL[..]),
            attempts in 1_u32..4,
            possible_duplicate: bool,
            receipts in prop::collection::vec((0_u32..5, says()), 0..12),
        ) {
            let mut message = Open { state, attempts, possible_duplicate };
            for (attempt, says) in receipts {
                let receipt = receipt(attempt, says);
                let before = message;
                apply(&mut message, &receipt);
                let once = message;
                apply(&mut message, &receipt);
                prop_assert_eq!(message, once);
                let was_open =
                    matches!(before.state, State::Unknown | State::InFlight | State::Waiting);
                prop_assert!(was_open || message == before);
                if matches!(receipt.says, Says::Read) && was_open {
                    let began = (1..=attempts).contains(&attempt);
                    prop_assert_eq!(message.state == State::Accepted, began);
                }
            }
        }
    }
}
