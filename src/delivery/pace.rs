//! How fast a sender may go: slots for its messages, and what it learns of the provider's true
//! limit. Who waits for a slot, and how, is the loops' business.
//!
//! A slot is booked ahead of time, so that the intent can be committed meanwhile, and the request
//! leaves at its slot. What counts for the provider is when it leaves: of that a record is kept for
//! as long as a second, and nothing leaves that would be one too many in it.

use std::collections::VecDeque;
use std::time::Duration;

/// How far a late caller may reach back for slots that went by unused. It makes up for timers that
/// wake late; the record of what left keeps it from becoming a burst.
const REACH_BACK: Duration = Duration::from_millis(100);

/// How far ahead slots are booked: as long as it takes to commit an intent.
pub const AHEAD: Duration = Duration::from_millis(20);

/// Messages that leave in one request have slots within so long: without it a request would hold
/// one message wherever a sender's rate is ordinary. It is as long as the next of higher priority
/// may have to wait for them, and far below the second in which the rate is counted.
const GATHERED: Duration = Duration::from_millis(500);

/// Slots are this much further apart than the rate allows, because the way to the provider takes
/// now longer and now shorter, and it counts what arrives. As wide as it can be: a sender that also
/// leaves late in its first seconds must not lose more than two hundredths of its rate.
const SLOT_MARGIN: f64 = 1.013;

/// The same for the record of what left. Narrower than that of slots, so that what left late does
/// not push back all that follows.
const RECORD_MARGIN: f64 = 1.011;

/// What is left of the rate when the provider throttles.
const BACK_OFF: f64 = 0.7;

/// No throttling brings the rate below this share of what is set.
const SHARE_MIN: f64 = 0.01;

/// How long nothing must have been throttled before the rate grows again.
const CLEAN: Duration = Duration::from_secs(5);

/// How often the rate grows by a step.
const STEP_EVERY: Duration = Duration::from_secs(1);

/// A step, as a share of the rate that is set: far below the rate that was throttled last, and near
/// it, where each step may be the one too many.
const STEP_FAR: f64 = 0.03;
const STEP_NEAR: f64 = 0.005;

/// What counts as near.
const NEAR: f64 = 0.9;

/// The slots of one sender, on a steady clock that starts anywhere.
#[derive(Clone, Debug)]
pub struct Pace {
    /// What is set, in messages a second.
    limit: f64,
    /// What has been learned: at most the limit.
    rate: f64,
    next_slot: Duration,
    held_until: Duration,
    /// The rate that was throttled last; the limit if none was.
    throttled_rate: f64,
    /// When the rate was lowered last.
    lowered_at: Option<Duration>,
    /// When the rate may next grow.
    grows_at: Duration,
}

impl Pace {
    /// Slots for `per_second` messages a second, which must be above zero.
    pub fn new(per_second: f64) -> Self {
        let limit = per_second.max(1e-6);
        Self {
            limit,
            rate: limit,
            next_slot: Duration::ZERO,
            held_until: Duration::ZERO,
            throttled_rate: limit,
            lowered_at: None,
            grows_at: Duration::ZERO,
        }
    }

    /// What is set, in messages a second.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// What has been learned, in messages a second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Goes by another limit. What was learned stays as far as it is below.
    pub fn set_limit(&mut self, per_second: f64) {
        let learned = self.rate < self.limit;
        self.limit = per_second.max(1e-6);
        if !learned || self.rate > self.limit {
            self.rate = self.limit;
        }
        self.throttled_rate = self.throttled_rate.min(self.limit).max(self.rate);
    }

    /// Goes on with what an earlier run has learned.
    pub fn relearn(&mut self, per_second: f64, now: Duration) {
        self.rate = per_second.clamp(self.limit * SHARE_MIN, self.limit);
        self.throttled_rate = self.rate;
        self.grows_at = now + CLEAN;
    }

    /// When the next slot is free: at `now` or later.
    pub fn next(&self, now: Duration) -> Duration {
        let earliest = now.saturating_sub(REACH_BACK).max(self.held_until);
        self.next_slot.max(earliest).max(now)
    }

    /// How many slots, up to `most`, lie no further than [`GATHERED`]; at least one.
    pub fn slots(&self, now: Duration, most: usize) -> usize {
        if most <= 1 {
            return 1;
        }
        let earliest = now.saturating_sub(REACH_BACK).max(self.held_until);
        let first = self.next_slot.max(earliest);
        let span = (now + GATHERED).saturating_sub(first);
        let free = (span.as_secs_f64() / self.spacing().as_secs_f64()) as usize;
        free.clamp(1, most)
    }

    /// Books the next `count` free slots for messages that leave together, and says when: with the
    /// first of them, at `now` or later.
    pub fn book(&mut self, now: Duration, count: usize) -> Duration {
        self.grow(now);
        let earliest = now.saturating_sub(REACH_BACK).max(self.held_until);
        let slot = self.next_slot.max(earliest);
        self.next_slot = slot + self.spacing().mul_f64(count as f64);
        slot.max(now)
    }

    /// Gives out no slot before `until`.
    pub fn hold(&mut self, until: Duration) {
        self.held_until = self.held_until.max(until);
        self.next_slot = self.next_slot.max(until);
    }

    /// Forgets a hold.
    pub fn release(&mut self, now: Duration) {
        if self.held_until > now {
            self.held_until = now;
            self.next_slot = now;
        }
    }

    /// The provider throttled a message that left at `left_at`: goes slower. What left before the
    /// rate was last lowered says nothing about the rate since. Says whether that changed anything.
    pub fn throttled(&mut self, left_at: Duration, now: Duration) -> bool {
        self.grows_at = now + CLEAN;
        if self.lowered_at.is_some_and(|lowered| left_at <= lowered) {
            return false;
        }
        self.throttled_rate = self.rate;
        self.rate = (self.rate * BACK_OFF).max(self.limit * SHARE_MIN);
        self.lowered_at = Some(now);
        true
    }

    fn grow(&mut self, now: Duration) {
        if self.rate >= self.limit || now < self.grows_at {
            return;
        }
        let far = self.rate < self.throttled_rate * NEAR;
        let step = if far { STEP_FAR } else { STEP_NEAR };
        self.rate = (self.rate + self.limit * step).min(self.limit);
        self.grows_at = now + STEP_EVERY;
    }

    fn spacing(&self) -> Duration {
        Duration::from_secs_f64(SLOT_MARGIN / self.rate)
    }
}

/// What left in the last second.
#[derive(Clone, Debug, Default)]
pub struct Record(VecDeque<Duration>);

impl Record {
    /// Lets `count` messages leave at `now`, of a sender with this rate, or says how much longer
    /// they must wait.
    pub fn leave(&mut self, now: Duration, count: usize, rate: f64) -> Result<(), Duration> {
        // A second and a little, longer only below one message a second.
        let span = Duration::from_secs_f64(RECORD_MARGIN / rate.min(1.0));
        while self.0.front().is_some_and(|left| *left + span <= now) {
            self.0.pop_front();
        }
        let most = (rate.ceil() as usize).max(count);
        let over = (self.0.len() + count).saturating_sub(most);
        if over > 0
            && let Some(left) = self.0.get(over - 1)
        {
            return Err((*left + span).saturating_sub(now));
        }
        self.0.extend(std::iter::repeat_n(now, count));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A call for many messages that holds one each time costs its tenant the calls, and the
    /// provider's patience.
    #[test]
    fn a_request_for_many_holds_many_at_an_ordinary_rate() {
        let mut pace = Pace::new(80.0);
        let now = Duration::from_secs(5);
        assert_eq!(pace.slots(now, 1), 1);
        let first = pace.slots(now, 100);
        assert!((30..=60).contains(&first), "{first}");
        pace.book(now, first);
        let next = pace.next(now);
        assert!(next > now + Duration::from_millis(300), "{next:?}");
        assert!((30..=60).contains(&pace.slots(next, 100)));
        assert_eq!(Pace::new(0.5).slots(now, 100), 1);
    }

    proptest! {
        /// A provider counts by the second: one message too many gets the whole sender throttled.
        #[test]
        fn no_second_holds_more_messages_than_the_rate(
            rate in 1.0_f64..2000.0,
            delays_us in prop::collection::vec((0_u64..40_000, 0_u64..60_000), 1..400),
        ) {
            let (mut pace, mut record) = (Pace::new(rate), Record::default());
            let mut now = Duration::from_secs(5);
            let mut left = Vec::new();
            for (thinking, late) in delays_us {
                now += Duration::from_micros(thinking);
                let slot = pace.book(now, 1);
                let mut leaves = slot + Duration::from_micros(late);
                while let Err(wait) = record.leave(leaves, 1, rate) {
                    prop_assert!(!wait.is_zero());
                    leaves += wait;
                }
                left.push(leaves);
                now = now.max(leaves);
            }
            for (at, first) in left.iter().enumerate() {
                let end = *first + Duration::from_secs(1);
                let within = left[at..].iter().take_while(|slot| **slot < end);
                prop_assert!(within.count() <= rate.ceil() as usize, "{rate}");
            }
        }

        /// The provider's limit is what the tenant pays for: late timers must not cost it.
        #[test]
        fn a_busy_sender_comes_close_to_its_rate(
            rate in 5.0_f64..2000.0,
            late_us in prop::collection::vec(0_u64..3_000, 64),
        ) {
            let (mut pace, mut record) = (Pace::new(rate), Record::default());
            let start = Duration::from_secs(5);
            let (mut now, mut count) = (start, 0_u32);
            let end = start + Duration::from_secs(20);
            loop {
                let slot = pace.book(now, 1);
                let late = late_us[count as usize % late_us.len()];
                let mut leaves = slot + Duration::from_micros(late);
                while let Err(wait) = record.leave(leaves, 1, rate) {
                    leaves += wait;
                }
                if leaves >= end {
                    break;
                }
                count += 1;
                now = now.max(slot);
            }
            prop_assert!(f64::from(count) >= rate * 20.0 * 0.98 - 1.0, "{count} of {rate}");
        }
    }

    /// A throttled sender that goes on at once is throttled for longer.
    #[test]
    fn a_hold_is_kept() {
        let mut pace = Pace::new(100.0);
        let now = Duration::from_secs(1);
        assert_eq!(pace.book(now, 1), now);
        pace.hold(Duration::from_secs(3));
        assert_eq!(pace.book(now, 1), Duration::from_secs(3));
        let second = pace.book(now, 1);
        assert!(second > Duration::from_millis(3009) && second < Duration::from_millis(3011));
    }

    /// The answers of requests that were under way together are one signal: taking each for one
    /// would bring a sender to a standstill. And what was lost must come back.
    #[test]
    fn a_throttled_sender_slows_down_once_and_recovers() {
        let mut pace = Pace::new(100.0);
        let began = Duration::from_secs(10);
        assert!(pace.throttled(began, began + Duration::from_millis(50)));
        for late in 51..90 {
            assert!(!pace.throttled(began, began + Duration::from_millis(late)));
        }
        assert!((pace.rate() - 70.0).abs() < 0.001);
        for second in 11..70 {
            pace.book(Duration::from_secs(second), 1);
        }
        assert!(pace.rate() > 95.0, "{}", pace.rate());
        pace.relearn(40.0, Duration::from_secs(80));
        assert!((pace.rate() - 40.0).abs() < 0.001);
        pace.set_limit(30.0);
        assert!((pace.rate() - 30.0).abs() < 0.001);
    }

    /// Messages that leave in one request count one by one at the provider.
    #[test]
    fn messages_that_leave_together_take_a_slot_each() {
        let mut pace = Pace::new(1000.0);
        let now = Duration::from_secs(1);
        assert_eq!(pace.slots(now, 1), 1);
        let several = pace.slots(now, 100);
        assert!((15..=100).contains(&several), "{several}");
        pace.book(now, several);
        let booked = Duration::from_millis(several as u64);
        assert!(pace.next(now) + REACH_BACK > now + booked);
    }
}
