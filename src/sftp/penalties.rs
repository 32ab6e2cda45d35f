//! Addresses that fail again and again are refused for a while, longer each time, and forgotten
//! after an hour of peace. It is told the time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::crowd::Source;

/// How many addresses are remembered; the one that was quiet for the longest makes room.
const SOURCES_MAX: usize = 4096;
/// What each misdeed costs. A debt is paid off by waiting: a second for a second.
const WRONG_CREDENTIALS: Duration = Duration::from_secs(5);
const GRACE_EXCEEDED: Duration = Duration::from_secs(10);
const GARBAGE: Duration = Duration::from_secs(10);
/// The debt at which an address is refused.
const DEBT_MAX: Duration = Duration::from_secs(30);
/// How long it is refused the first time; each further time doubles it.
const REFUSAL_MIN: Duration = Duration::from_secs(15);
const REFUSAL_MAX: Duration = Duration::from_mins(10);
/// How long after its last misdeed an address is remembered.
const MEMORY: Duration = Duration::from_hours(1);

/// What a stranger did that nobody does who may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misdeed {
    /// It showed so many wrong passwords, or wrong keys for so many users.
    WrongCredentials(u32),
    /// It took all the time there is to log in.
    GraceExceeded,
    /// It did not speak SSH.
    Garbage,
}

impl Misdeed {
    fn cost(self) -> Duration {
        match self {
            Self::WrongCredentials(count) => WRONG_CREDENTIALS.saturating_mul(count),
            Self::GraceExceeded => GRACE_EXCEEDED,
            Self::Garbage => GARBAGE,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// What it owed at its last misdeed.
    debt: Duration,
    last_at: Instant,
    /// How many times it has been refused.
    times: u32,
    refused_until: Option<Instant>,
}

impl Record {
    fn refuses(&self, now: Instant) -> bool {
        self.refused_until.is_some_and(|until| now < until)
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        !self.refuses(now) && now.saturating_duration_since(self.last_at) >= MEMORY
    }
}

/// The addresses that have failed.
#[derive(Debug, Default)]
pub(super) struct Penalties {
    records: HashMap<Source, Record>,
}

impl Penalties {
    /// Whether this address is refused.
    pub(super) fn refuse(&self, source: Source, now: Instant) -> bool {
        let record = self.records.get(&source);
        record.is_some_and(|record| record.refuses(now))
    }

    /// Notes what a connection from there did.
    pub(super) fn note(&mut self, source: Source, misdeed: Misdeed, now: Instant) {
        self.make_room(source, now);
        let record = self.records.entry(source).or_insert(Record {
            debt: Duration::ZERO,
            last_at: now,
            times: 0,
            refused_until: None,
        });
        // Those who came before the refusal began must not go on for nothing.
        if let Some(until) = record.refused_until.filter(|until| now < *until) {
            record.refused_until = Some((until + misdeed.cost()).min(now + REFUSAL_MAX));
            record.last_at = now;
            return;
        }
        if record.is_forgotten(now) {
            record.times = 0;
        }
        let paid = now.saturating_duration_since(record.last_at);
        record.debt = record
            .debt
            .saturating_sub(paid)
            .saturating_add(misdeed.cost());
        record.last_at = now;
        if record.debt >= DEBT_MAX {
            let factor = 2_u32.saturating_pow(record.times);
            let length = REFUSAL_MIN.saturating_mul(factor).min(REFUSAL_MAX);
            record.refused_until = Some(now + length);
            record.times = record.times.saturating_add(1);
            record.debt = Duration::ZERO;
        }
    }

    /// Takes back what was noted of somebody who has logged in after all.
    pub(super) fn forgive(&mut self, source: Source, misdeed: Misdeed) {
        if let Some(record) = self.records.get_mut(&source) {
            record.debt = record.debt.saturating_sub(misdeed.cost());
        }
    }

    fn make_room(&mut self, source: Source, now: Instant) {
        if self.records.len() < SOURCES_MAX || self.records.contains_key(&source) {
            return;
        }
        self.records.retain(|_, record| !record.is_forgotten(now));
        if self.records.len() < SOURCES_MAX {
            return;
        }
        let quiet = self.records.iter().min_by_key(|(_, record)| record.last_at);
        if let Some(quiet) = quiet.map(|(source, _)| *source) {
            self.records.remove(&quiet);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(number: u32) -> Source {
        Source::of(std::net::Ipv4Addr::from(number).into())
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Somebody who guesses must soon have to wait, and somebody who slips must not.
    #[test]
    fn a_debt_grows_with_failures_and_is_paid_by_waiting() {
        use Misdeed::{Garbage, GraceExceeded, WrongCredentials};
        let table: [(&[(u64, Misdeed)], bool); 8] = [
            (&[(0, WrongCredentials(1))], false),
            (&[(0, WrongCredentials(5))], false),
            (&[(0, WrongCredentials(6))], true),
            (&[(0, WrongCredentials(5)), (1, WrongCredentials(1))], false),
            (&[(0, WrongCredentials(5)), (1, WrongCredentials(2))], true),
            (&[(0, GraceExceeded), (0, Garbage), (0, Garbage)], true),
            // A job with a wrong password that runs each minute harms nobody behind its address.
            (
                &[
                    (0, WrongCredentials(3)),
                    (60, WrongCredentials(3)),
                    (120, WrongCredentials(3)),
                ],
                false,
            ),
            (&[(0, WrongCredentials(u32::MAX))], true),
        ];
        let began = crate::clock::steady();
        for (misdeeds, refused) in table {
            let mut penalties = Penalties::default();
            let mut now = began;
            for (after, misdeed) in misdeeds {
                now = began + seconds(*after);
                penalties.note(source(1), *misdeed, now);
            }
            assert_eq!(penalties.refuse(source(1), now), refused, "{misdeeds:?}");
            assert!(!penalties.refuse(source(2), now), "its neighbour");
        }
    }

    /// A refusal must begin short and end, and only for those who go on become long.
    #[test]
    fn a_refusal_doubles_each_time_up_to_ten_minutes_and_is_forgotten() {
        let mut penalties = Penalties::default();
        let mut now = crate::clock::steady();
        for length in [15, 30, 60, 120, 240, 480, 600, 600] {
            penalties.note(source(1), Misdeed::WrongCredentials(6), now);
            assert!(penalties.refuse(source(1), now + seconds(length - 1)));
            now += seconds(length);
            assert!(!penalties.refuse(source(1), now), "{length}");
        }
        now += MEMORY;
        penalties.note(source(1), Misdeed::WrongCredentials(6), now);
        assert!(!penalties.refuse(source(1), now + seconds(15)));
    }

    /// Whoever knocks with many hands at once must not have most of its guesses for nothing.
    #[test]
    fn what_goes_on_during_a_refusal_prolongs_it() {
        let mut penalties = Penalties::default();
        let now = crate::clock::steady();
        penalties.note(source(1), Misdeed::WrongCredentials(6), now);
        penalties.note(source(1), Misdeed::WrongCredentials(2), now);
        assert!(penalties.refuse(source(1), now + seconds(24)));
        assert!(!penalties.refuse(source(1), now + seconds(25)));
        penalties.note(source(1), Misdeed::WrongCredentials(u32::MAX), now);
        assert!(penalties.refuse(source(1), now + seconds(599)));
        assert!(!penalties.refuse(source(1), now + REFUSAL_MAX));
    }

    /// Somebody who mistypes and then gets in must not be a step nearer to a refusal.
    #[test]
    fn what_is_forgiven_was_never_noted() {
        let mut penalties = Penalties::default();
        let now = crate::clock::steady();
        for _ in 0..20 {
            penalties.note(source(1), Misdeed::WrongCredentials(5), now);
            assert!(!penalties.refuse(source(1), now));
            penalties.forgive(source(1), Misdeed::WrongCredentials(5));
        }
        penalties.forgive(source(2), Misdeed::Garbage);
    }

    /// A flood from everywhere must not fill the memory.
    #[test]
    fn the_table_is_bounded() {
        let mut penalties = Penalties::default();
        let began = crate::clock::steady();
        for number in 0..SOURCES_MAX as u32 + 10 {
            let now = began + Duration::from_millis(u64::from(number));
            penalties.note(source(number), Misdeed::WrongCredentials(6), now);
        }
        assert_eq!(penalties.records.len(), SOURCES_MAX);
        let now = began + seconds(10);
        assert!(!penalties.refuse(source(0), now), "the oldest made room");
        assert!(penalties.refuse(source(SOURCES_MAX as u32), now));
    }

    proptest! {
        /// Whatever happens, nobody waits for more than ten minutes, nor anybody who did nothing.
        #[test]
        fn nobody_is_refused_for_ever(
            steps in prop::collection::vec((0_u64..400, 0_u32..9), 0..60),
        ) {
            let mut penalties = Penalties::default();
            let mut now = crate::clock::steady();
            for (after, count) in steps {
                now += seconds(after);
                penalties.note(source(1), Misdeed::WrongCredentials(count), now);
                prop_assert!(!penalties.refuse(source(1), now + REFUSAL_MAX));
                prop_assert!(!penalties.refuse(source(2), now));
                if penalties.refuse(source(1), now) {
                    now += REFUSAL_MAX;
                }
            }
        }
    }
}
