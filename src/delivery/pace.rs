//! How fast a sender may go. Turns are booked on a line of evenly spaced slots, so that no second
//! ever holds more of them than the sender's rate; who waits for a booked slot, and how, is the
//! loops' business.

use std::time::Duration;

/// How far a late caller may reach back for slots that went by unused. It makes up for timers that
/// wake a little late, and is too short to let a burst through.
const REACH_BACK: Duration = Duration::from_millis(10);

/// The slots of one sender, on a steady clock that starts anywhere.
#[derive(Clone, Debug)]
pub struct Pace {
    spacing: Duration,
    next_slot: Duration,
    held_until: Duration,
}

impl Pace {
    /// Slots for `per_second` messages a second, which must be above zero.
    pub fn new(per_second: f64) -> Self {
        Self {
            spacing: Duration::from_secs_f64(1.0 / per_second.max(1e-6)),
            next_slot: Duration::ZERO,
            held_until: Duration::ZERO,
        }
    }

    /// Books the next free slot and says when it is: at `now` or later.
    pub fn book(&mut self, now: Duration) -> Duration {
        let earliest = now.saturating_sub(REACH_BACK).max(self.held_until);
        let slot = self.next_slot.max(earliest);
        self.next_slot = slot + self.spacing;
        slot.max(now)
    }

    /// Gives out no slot before `until`.
    pub fn hold(&mut self, until: Duration) {
        self.held_until = self.held_until.max(until);
        self.next_slot = self.next_slot.max(until);
    }

    /// Until when no slot is given out; in the past when nothing holds.
    pub fn held_until(&self) -> Duration {
        self.held_until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A provider counts by the second: one message too many gets the whole sender throttled.
        #[test]
        fn no_second_holds_more_slots_than_the_rate(
            rate in 1.0_f64..2000.0,
            pauses_us in prop::collection::vec(0_u64..30_000, 1..400),
        ) {
            let mut pace = Pace::new(rate);
            let mut now = Duration::from_secs(5);
            let mut slots = Vec::new();
            for pause in pauses_us {
                now += Duration::from_micros(pause);
                let slot = pace.book(now);
                prop_assert!(slot >= now);
                slots.push(slot);
                now = slot;
            }
            let slack = (rate * REACH_BACK.as_secs_f64()).ceil() as usize + 1;
            for (at, first) in slots.iter().enumerate() {
                let end = *first + Duration::from_secs(1);
                let within = slots[at..].iter().take_while(|slot| **slot < end);
                prop_assert!(within.count() <= rate.ceil() as usize + slack);
            }
        }
    }

    /// A throttled sender that goes on at once is throttled for longer.
    #[test]
    fn a_hold_is_kept() {
        let mut pace = Pace::new(100.0);
        let now = Duration::from_secs(1);
        assert_eq!(pace.book(now), now);
        pace.hold(Duration::from_secs(3));
        assert_eq!(pace.book(now), Duration::from_secs(3));
        assert_eq!(pace.book(now), Duration::from_millis(3010));
    }
}
