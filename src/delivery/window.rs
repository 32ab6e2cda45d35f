//! When a message may leave: in the hours that its file gave it, and not in the hours in which its
//! tenant wants quiet. When a single window is open is for `batch::window` to say.

use super::lane::Lane;
use crate::batch::{Moment, SendWindow};

/// Hours in which a tenant wants nothing sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours(pub SendWindow);

/// How far ahead an opening is looked for: further than any message may wait.
const AHEAD_MS: i64 = 40 * 24 * 60 * 60 * 1000;

/// What a message must wait for before it may leave. Messages with the same gate wait together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate<'a> {
    window: Option<&'a SendWindow>,
    quiet: &'a [QuietHours],
}

/// A stretch of time in which sending is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The first moment of it, not before the one that was asked for.
    pub opens_at: Moment,
    /// The first moment after it. Until then the answer need not be asked for again: whoever asks
    /// later but before this finds `opens_at`, or their own moment if that is later.
    pub closes_at: Moment,
}

impl<'a> Gate<'a> {
    /// The gate of a lane whose tenant wants quiet in `quiet`.
    pub fn of(lane: &'a Lane, quiet: &'a [QuietHours]) -> Self {
        let quiet = if lane.ignore_quiet_hours { &[] } else { quiet };
        Self::new(lane.send_window.as_ref(), quiet)
    }

    /// The gate that is open in `window`, or always without one, but not in the quiet hours.
    pub const fn new(window: Option<&'a SendWindow>, quiet: &'a [QuietHours]) -> Self {
        Self { window, quiet }
    }

    /// Whether it is never closed.
    pub const fn is_always_open(&self) -> bool {
        self.window.is_none() && self.quiet.is_empty()
    }

    /// The first stretch from `now` on in which it is open; `None` when it opens nowhere in the
    /// next 40 days.
    pub fn opening(&self, now: Moment) -> Option<Opening> {
        let end = now.plus_ms(AHEAD_MS);
        let mut at = now;
        // Each round goes past a whole stretch in which one of the windows forbids.
        while at < end {
            match self.standing(at, now) {
                Standing::Open { until } => {
                    return Some(Opening {
                        opens_at: at,
                        closes_at: until,
                    });
                }
                Standing::Closed { until } => at = until,
            }
        }
        None
    }

    /// The first moment from `now` on at which it is open; `None` when there is none in the next
    /// 40 days.
    pub fn opens_at(&self, now: Moment) -> Option<Moment> {
        self.opening(now).map(|opening| opening.opens_at)
    }

    fn standing(&self, at: Moment, now: Moment) -> Standing {
        let mut open_until = now.plus_ms(AHEAD_MS);
        let mut closed_until = None;
        let mut note = |is_allowed: bool, until: Moment| {
            if is_allowed {
                open_until = open_until.min(until);
            } else {
                closed_until = closed_until.max(Some(until));
            }
        };
        if let Some(turn) = self.window.map(|window| window.turn(at)) {
            note(turn.is_open, turn.until);
        }
        for QuietHours(hours) in self.quiet {
            let turn = hours.turn(at);
            note(!turn.is_open, turn.until);
        }
        match closed_until {
            Some(until) => Standing::Closed { until },
            None => Standing::Open { until: open_until },
        }
    }
}

/// How a gate stands at a moment, and until when at least.
enum Standing {
    Open { until: Moment },
    Closed { until: Moment },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::Message;
    use crate::batch::window::{Days, Hour, Zone};

    const MINUTE_MS: i64 = 60_000;
    const ZONES: [&str; 5] = [
        "Europe/Amsterdam",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "+13:00",
    ];

    fn window(from: &str, to: &str, zone: &str) -> SendWindow {
        let hour = |text| Hour::parse(text).expect("an hour");
        let zone = Zone::parse(zone).expect("a zone");
        SendWindow::new(hour(from), hour(to), zone, Days::ALL).expect("a window")
    }

    fn at(text: &str) -> Moment {
        Moment::parse(text).expect("a moment")
    }

    /// A reminder at night wakes people; one that is never sent reaches nobody.
    #[test]
    fn a_message_leaves_in_its_window_and_out_of_quiet_hours() {
        let own = window("06:00", "12:00", "UTC");
        let quiet = [QuietHours(window("22:00", "07:00", "UTC"))];
        let night = [QuietHours(window("05:00", "13:00", "UTC"))];
        let now = "2026-11-21T23:00:00Z";
        let (six, seven) = ("2026-11-22T06:00:00Z", "2026-11-22T07:00:00Z");
        let (noon, ten) = ("2026-11-22T12:00:00Z", "2026-11-22T22:00:00Z");
        for (gate, expected) in [
            (Gate::new(Some(&own), &[]), Some((six, noon))),
            (Gate::new(None, &quiet), Some((seven, ten))),
            (Gate::new(Some(&own), &quiet), Some((seven, noon))),
            // Its own window lies in the quiet hours.
            (Gate::new(Some(&own), &night), None),
        ] {
            let expected = expected.map(|(opens, closes)| Opening {
                opens_at: at(opens),
                closes_at: at(closes),
            });
            assert_eq!(gate.opening(at(now)), expected, "{gate:?}");
            assert!(!gate.is_always_open());
        }
        let open = Gate::new(None, &[]);
        assert!(open.is_always_open());
        assert_eq!(open.opens_at(at(now)), Some(at(now)));
    }

    /// A code that waits for the morning opens nothing any more.
    #[test]
    fn a_message_that_ignores_quiet_hours_keeps_its_own_window() {
        let quiet = [QuietHours(window("22:00", "07:00", "UTC"))];
        let text = r#"{"index":0,"line":1,"to":"+31612345678","from":"+15550001111",
            "expiresAt":1,"content":{"text":{"body":"x","previewUrl":false}}}"#;
        let plain: Message = serde_json::from_str(text).expect("a message");
        let lane = Lane::of(&plain);
        assert_eq!(Gate::of(&lane, &quiet), Gate::new(None, &quiet));
        let urgent = Message {
            ignore_quiet_hours: true,
            send_window: Some(window("06:00", "12:00", "UTC")),
            ..plain
        };
        let own = urgent.send_window.as_ref();
        let lane = Lane::of(&urgent);
        assert_eq!(Gate::of(&lane, &quiet), Gate::new(own, &[]));
    }

    prop_compose! {
        fn windows()(
            zone in 0..ZONES.len(),
            from in 0_u16..96,
            length in 1_u16..96,
            days in proptest::sample::subsequence(vec![0_i8, 1, 2, 3, 4, 5, 6], 1..=7),
        ) -> SendWindow {
            let hour = |quarter: u16| {
                let quarter = quarter % 96;
                let text = format!("{}:{:02}", quarter / 4, quarter % 4 * 15);
                Hour::parse(&text).expect("an hour")
            };
            let day = |day| jiff::civil::Weekday::from_monday_zero_offset(day).expect("a day");
            let days = Days::of(days.into_iter().map(day)).expect("days");
            let zone = Zone::parse(ZONES[zone]).expect("a zone");
            SendWindow::new(hour(from), hour(from + length), zone, days).expect("a window")
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// The loop sleeps until the answer: one too late sends nothing, one too early at night.
        #[test]
        fn an_opening_is_what_each_minute_allows(
            own in proptest::option::of(windows()),
            quiet in proptest::collection::vec(windows(), 0..3),
            change in proptest::sample::select(vec![
                "2026-03-08T00:00:00Z", "2026-03-28T12:00:00Z", "2026-04-04T00:00:00Z",
                "2026-10-03T00:00:00Z", "2026-10-24T12:00:00Z", "2026-11-01T00:00:00Z",
            ]),
            minutes in 0_i64..2880,
        ) {
            let quiet: Vec<QuietHours> = quiet.into_iter().map(QuietHours).collect();
            let gate = Gate::new(own.as_ref(), &quiet);
            let allows = |at: Moment| {
                let open = |window: &SendWindow| window.turn(at).is_open;
                own.as_ref().is_none_or(open) && !quiet.iter().any(|hours| open(&hours.0))
            };
            let now = at(change).plus_ms(minutes * MINUTE_MS);
            let found = gate.opening(now);
            // Ten days hold every day of the week and each change of these clocks.
            for minute in 0..10 * 24 * 60 {
                let at = now.plus_ms(minute * MINUTE_MS);
                let expected = match found {
                    None => false,
                    Some(opening) if at >= opening.closes_at => break,
                    Some(opening) => at >= opening.opens_at,
                };
                prop_assert_eq!(allows(at), expected, "{} {:?}", at, found);
            }
            if let Some(opening) = found {
                let horizon = now.plus_ms(AHEAD_MS);
                prop_assert!(opening.closes_at >= horizon || !allows(opening.closes_at));
            }
        }
    }
}
