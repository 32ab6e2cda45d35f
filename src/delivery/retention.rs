//! How long what is kept after a batch has ended, what is due to go, and whether the clock that
//! says so can be believed. What is deleted, and in which steps, is for `store` and `daemon` to
//! know.

use std::time::Duration;

use crate::batch::Moment;

/// A wall clock that goes forward by more than this between two looks is doubted, and for as long
/// nothing is deleted: a wrong clock would delete everything at once.
pub const DOUBTED_FOR: Duration = Duration::from_hours(24);

/// The bounds of the time between two looks for what is due.
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);
const LOOK_EVERY_MAX: Duration = Duration::from_mins(10);

/// Between two looks lies this part of the shortest time for which anything is kept.
const LOOKS_IN_SHORTEST: u32 = 20;

/// How long things are kept after a batch has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Files in `processed/`.
    pub processed: Duration,
    /// Files in `results/` and `errors/`.
    pub results: Duration,
    /// The content of messages.
    pub content: Duration,
    /// Batches and outcomes; at least as long as anything else of the batch.
    pub history: Duration,
}

/// What is kept for a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kept {
    /// Files in `processed/`.
    Processed,
    /// Files in `results/` and `errors/`.
    Results,
    /// The content of messages.
    Content,
    /// Batches and outcomes.
    History,
}

impl Kept {
    /// All that is kept, in the order in which it goes.
    pub const ALL: [Kept; 4] = [Kept::Processed, Kept::Results, Kept::Content, Kept::History];

    /// The word for it in settings, figures and the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Results => "results",
            Self::Content => "content",
            Self::History => "history",
        }
    }
}

impl Retention {
    /// How long this is kept.
    pub fn of(self, kept: Kept) -> Duration {
        match kept {
            Kept::Processed => self.processed,
            Kept::Results => self.results,
            Kept::Content => self.content,
            Kept::History => self.history,
        }
    }

    /// What is due to go at `now`: that of batches which ended at this moment or before.
    pub fn due_until(self, kept: Kept, now: Moment) -> Moment {
        let kept_ms = i64::try_from(self.of(kept).as_millis()).unwrap_or(i64::MAX);
        now.plus_ms(kept_ms.saturating_neg())
    }

    /// How often it is worth to look for what is due.
    pub fn look_every(self) -> Duration {
        let all = Kept::ALL.map(|kept| self.of(kept));
        let shortest = all.into_iter().min().unwrap_or_default();
        (shortest / LOOKS_IN_SHORTEST).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX)
    }
}

/// Whether the wall clock can be believed, as it is kept from look to look and over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Belief {
    /// What the wall clock said when it was last believed; `None` if it never was asked.
    pub believed_at: Option<Moment>,
    /// What it said when it was last doubted; `None` while it is believed.
    pub doubted_at: Option<Moment>,
    /// For how long, by the steady clock, it has been doubted.
    pub waited: Duration,
}

impl Belief {
    /// The belief after a look at the wall clock, which says `now`, when `passed` has gone by on
    /// the steady clock since the look before; nothing if that was in an earlier run.
    #[must_use]
    pub fn look(self, now: Moment, passed: Duration) -> Self {
        let believed = Self {
            believed_at: Some(now),
            ..Self::default()
        };
        let Some(believed_at) = self.believed_at else {
            return believed;
        };
        let waited = self.waited.saturating_add(passed);
        if !is_jump(believed_at, waited, now) {
            return believed;
        }
        let goes_on = self
            .doubted_at
            .is_some_and(|doubted_at| !is_jump(doubted_at, passed, now));
        let waited = if goes_on { waited } else { Duration::ZERO };
        if waited >= DOUBTED_FOR {
            return believed;
        }
        Self {
            believed_at: Some(believed_at),
            doubted_at: Some(now),
            waited,
        }
    }

    /// Whether anything may be deleted by what the clock says.
    pub fn is_doubted(self) -> bool {
        self.doubted_at.is_some()
    }
}

/// Whether the clock went forward much further than `passed` from `from` to `to`.
fn is_jump(from: Moment, passed: Duration, to: Moment) -> bool {
    let most = passed.saturating_add(DOUBTED_FOR).as_millis();
    to > from.plus_ms(i64::try_from(most).unwrap_or(i64::MAX))
}

/// A length of time in words, in its largest whole unit.
pub fn words(length: Duration) -> String {
    const DAY_S: u64 = 24 * 3600;
    let (count, unit) = match length.as_secs() {
        0 => return "not at all".into(),
        s if s % DAY_S == 0 => (s / DAY_S, "day"),
        s if s % 3600 == 0 => (s / 3600, "hour"),
        s if s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment::from_millis(1_800_000_000_000);
    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);

    fn after(moment: Moment, length: Duration) -> Moment {
        moment.plus_ms(i64::try_from(length.as_millis()).expect("short"))
    }

    fn believed(at: Moment) -> Belief {
        Belief {
            believed_at: Some(at),
            ..Belief::default()
        }
    }

    /// What a tenant is told must be what is deleted, at once and in ten years alike.
    #[test]
    fn what_is_due_follows_the_settings() {
        let retention = Retention {
            processed: Duration::ZERO,
            results: HOUR,
            content: 7 * DAY,
            history: 3650 * DAY,
        };
        assert_eq!(retention.due_until(Kept::Processed, START), START);
        let due = retention.due_until(Kept::Results, after(START, HOUR));
        assert_eq!(due, START);
        let due = retention.due_until(Kept::History, after(START, 3650 * DAY));
        assert_eq!(due, START);
        assert_eq!(retention.look_every(), LOOK_EVERY_MIN);
        let [processed, results, content] = [30 * DAY, 90 * DAY, HOUR];
        let history = 400 * DAY;
        let longer = Retention {
            processed,
            results,
            content,
            history,
        };
        assert_eq!(longer.look_every(), 3 * MINUTE);
        let content = 7 * DAY;
        assert_eq!(Retention { content, ..longer }.look_every(), LOOK_EVERY_MAX);
    }

    /// A clock that goes as clocks go must not keep anything from going.
    #[test]
    fn an_ordinary_clock_is_believed() {
        let mut belief = Belief::default().look(START, Duration::ZERO);
        assert_eq!(belief, believed(START));
        let mut now = START;
        // A change of summer time, a step of time keeping, a stop overnight, a step back.
        for (steps, passed) in [
            (HOUR, 0),
            (MINUTE, 60),
            (23 * HOUR, 0),
            (11 * DAY, 11 * 86_400),
        ] {
            now = after(now, steps);
            belief = belief.look(now, Duration::from_secs(passed));
            assert_eq!(belief, believed(now));
        }
        let back = START.plus_ms(-1_000_000_000);
        assert_eq!(belief.look(back, MINUTE), believed(back));
    }

    /// A wrong clock must not delete in a moment what was to be kept for years.
    #[test]
    fn a_jump_ahead_is_doubted_for_a_day() {
        let years = 4 * 365 * DAY;
        let mut now = after(START, years);
        let mut belief = believed(START).look(now, MINUTE);
        assert!(belief.is_doubted());
        for hour in 1..24 {
            now = after(now, HOUR);
            belief = belief.look(now, HOUR);
            assert!(belief.is_doubted(), "hour {hour}");
        }
        // Put right before the day is over, it is believed at once.
        let right = after(START, DAY + MINUTE);
        assert_eq!(belief.look(right, MINUTE), believed(right));
        // A restart neither ends the wait nor begins it anew.
        belief = belief.look(after(now, MINUTE), Duration::ZERO);
        assert!(belief.is_doubted());
        now = after(now, HOUR);
        assert_eq!(belief.look(now, HOUR), believed(now));
    }

    /// A clock that jumps again while it is doubted is not known for any longer by then.
    #[test]
    fn a_second_jump_is_doubted_anew() {
        let mut now = after(START, 400 * DAY);
        let mut belief = believed(START).look(now, MINUTE);
        for _ in 0..23 {
            now = after(now, HOUR);
            belief = belief.look(now, HOUR);
        }
        now = after(now, 400 * DAY);
        belief = belief.look(now, HOUR);
        assert!(belief.is_doubted() && belief.waited.is_zero());
        // So is one that has gone on for years while nothing ran.
        assert!(believed(START).look(now, Duration::ZERO).is_doubted());
    }

    /// The words stand in every tenant's README.
    #[test]
    fn lengths_are_told_in_words() {
        for (length, told) in [
            (Duration::ZERO, "not at all"),
            (Duration::from_secs(1), "1 second"),
            (90 * MINUTE, "90 minutes"),
            (HOUR, "1 hour"),
            (36 * HOUR, "36 hours"),
            (DAY, "1 day"),
            (400 * DAY, "400 days"),
        ] {
            assert_eq!(words(length), told);
        }
    }
}
