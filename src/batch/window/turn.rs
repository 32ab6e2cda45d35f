//! Whether a window is open at a moment, and when that turns. It is open while the clocks of its
//! zone show one of its hours: an hour that clocks skip begins where they go on, and one that they
//! show twice counts both times.

use jiff::Timestamp;
use jiff::civil::Weekday;

use super::{Hour, SendWindow};
use crate::batch::Moment;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// How far ahead is looked: further than any message may wait.
const AHEAD_MS: i64 = 40 * DAY_MS;

/// How a window stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whether it is open.
    pub is_open: bool,
    /// The first moment after that at which it no longer stands so; 40 days ahead if it stands so
    /// for as long as that.
    pub until: Moment,
}

impl SendWindow {
    /// How it stands at `now`, and until when.
    pub fn turn(&self, now: Moment) -> Turn {
        let end = now.plus_ms(AHEAD_MS);
        let mut clock = Clock::at(self, now);
        let is_open = self.shows(clock.shown_ms());
        // Each step is one to the next hour that matters or to the next change of the clocks, of
        // which there are a few in a day.
        while clock.at < end {
            clock.step(self);
            if self.shows(clock.shown_ms()) != is_open {
                let until = clock.at.min(end);
                return Turn { is_open, until };
            }
        }
        Turn {
            is_open,
            until: end,
        }
    }

    /// The first moment from `now` on at which it is open; `None` when there is none for 40 days.
    pub fn opens_at(&self, now: Moment) -> Option<Moment> {
        // Each row of a file asks, and most files come while it is open.
        let shown_ms = now.as_millis().saturating_add(offset_ms(self, now));
        if self.shows(shown_ms) {
            return Some(now);
        }
        let turn = self.turn(now);
        (turn.until < now.plus_ms(AHEAD_MS)).then_some(turn.until)
    }

    /// Whether it is open while clocks show this, in milliseconds since their 1970 began.
    fn shows(&self, shown_ms: i64) -> bool {
        let (day, of_day) = (shown_ms.div_euclid(DAY_MS), shown_ms.rem_euclid(DAY_MS));
        let (from, to) = (ms(self.from), ms(self.to));
        let begun = of_day >= from && self.days.has(weekday(day));
        if from < to {
            return begun && of_day < to;
        }
        begun || (of_day < to && self.days.has(weekday(day - 1)))
    }

    /// How long after `shown_ms` clocks next show an hour at which it may turn.
    fn next_ms(&self, shown_ms: i64) -> i64 {
        let of_day = shown_ms.rem_euclid(DAY_MS);
        // Days that are left out and those that are not meet at midnight.
        let hours = [0, ms(self.from), ms(self.to)];
        let ahead = |hour: i64| {
            let ahead = (hour - of_day).rem_euclid(DAY_MS);
            if ahead == 0 { DAY_MS } else { ahead }
        };
        hours.map(ahead).into_iter().min().unwrap_or(DAY_MS)
    }
}

fn ms(hour: Hour) -> i64 {
    i64::from(hour.minutes()) * MINUTE_MS
}

/// The weekday of a day, counted from 1970-01-01, a Thursday.
fn weekday(day: i64) -> Weekday {
    const THURSDAY: i64 = 3;
    let offset = (day + THURSDAY).rem_euclid(7) as i8;
    Weekday::from_monday_zero_offset(offset).unwrap_or(Weekday::Thursday)
}

/// How far the clocks of a window's zone are ahead of UTC.
fn offset_ms(window: &SendWindow, at: Moment) -> i64 {
    let offset = window.time_zone.as_jiff().to_offset(at.timestamp());
    i64::from(offset.seconds()) * 1_000
}

/// The clocks of a zone at a moment.
struct Clock {
    at: Moment,
    /// How far they are ahead of UTC.
    offset_ms: i64,
    /// When they are changed next, if ever.
    changes_at: Option<Moment>,
}

impl Clock {
    fn at(window: &SendWindow, at: Moment) -> Self {
        let change = window.time_zone.as_jiff().following(at.timestamp()).next();
        Self {
            at,
            offset_ms: offset_ms(window, at),
            changes_at: change.map(|change| moment(change.timestamp())),
        }
    }

    fn shown_ms(&self) -> i64 {
        self.at.as_millis().saturating_add(self.offset_ms)
    }

    /// Goes on to the next moment at which the window may turn.
    fn step(&mut self, window: &SendWindow) {
        let next = self.at.plus_ms(window.next_ms(self.shown_ms()));
        match self.changes_at {
            // Of moments beyond the calendar the zone knows nothing, and time goes on all the same.
            Some(change) if self.at < change && change <= next => *self = Self::at(window, change),
            _ => self.at = next,
        }
    }
}

fn moment(timestamp: Timestamp) -> Moment {
    Moment::from_millis(timestamp.as_millisecond())
}

#[cfg(test)]
mod tests;
