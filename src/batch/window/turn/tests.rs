//! Windows held against a clock that is looked at each minute.

use jiff::ToSpan as _;
use jiff::civil::{DateTime, Time};
use proptest::prelude::*;

use super::*;
use crate::batch::window::{Days, Zone};

/// Zones with all that clocks do: changes by an hour and by half of one, at midnight and at other
/// hours, on both halves of the globe, and none at all.
const ZONES: [&str; 10] = [
    "Europe/Amsterdam",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "-03:30",
];

fn window(from: &str, to: &str, zone: &str, days: &[Weekday]) -> SendWindow {
    let hour = |text| Hour::parse(text).expect("an hour");
    let zone = Zone::parse(zone).expect("a zone");
    let days = Days::of(days.iter().copied()).unwrap_or_default();
    SendWindow::new(hour(from), hour(to), zone, days).expect("a window")
}

fn at(text: &str) -> Moment {
    Moment::parse(text).expect("a moment")
}

/// Whether the window is open, by what the calendar says of the moment.
fn looked_up(window: &SendWindow, at: Moment) -> bool {
    let shown: DateTime = window.time_zone.as_jiff().to_datetime(at.timestamp());
    let minutes = |time: Time| time.hour() as u16 * 60 + time.minute() as u16;
    let (now, from, to) = (
        minutes(shown.time()),
        window.from.minutes(),
        window.to.minutes(),
    );
    let yesterday = shown.date().checked_sub(1.day()).expect("a day");
    let (today, yesterday) = (shown.date().weekday(), yesterday.weekday());
    if from < to {
        return window.days.has(today) && (from..to).contains(&now);
    }
    (window.days.has(today) && now >= from) || (window.days.has(yesterday) && now < to)
}

/// People are woken, or not reached, on the days on which clocks are changed.
#[test]
fn windows_turn_with_the_clocks() {
    // Amsterdam skips 02:00 to 03:00 on 2026-03-29 and shows it twice on 2026-10-25, both at
    // 01:00Z; Lord Howe changes by half an hour.
    let cases = "
        UTC 08:00 20:00 2026-11-21T09:15:02.114Z open 2026-11-21T20:00:00Z
        UTC 08:00 20:00 2026-11-21T20:00:00Z closed 2026-11-22T08:00:00Z
        UTC 22:00 06:00 2026-11-21T05:59:59.999Z open 2026-11-21T06:00:00Z
        UTC 22:00 24:00 2026-11-21T23:00:00Z open 2026-11-22T00:00:00Z
        UTC 22:00 00:00 2026-11-21T23:00:00Z open 2026-11-22T00:00:00Z
        +02:00 08:00 20:00 2026-11-21T05:00:00Z closed 2026-11-21T06:00:00Z
        Europe/Amsterdam 02:30 04:00 2026-03-29T00:30:00Z closed 2026-03-29T01:00:00Z
        Europe/Amsterdam 01:00 02:30 2026-03-29T00:30:00Z open 2026-03-29T01:00:00Z
        Europe/Amsterdam 02:10 02:40 2026-03-29T00:30:00Z closed 2026-03-30T00:10:00Z
        Europe/Amsterdam 02:00 02:30 2026-10-25T00:10:00Z open 2026-10-25T00:30:00Z
        Europe/Amsterdam 02:00 02:30 2026-10-25T00:30:00Z closed 2026-10-25T01:00:00Z
        Europe/Amsterdam 02:00 02:30 2026-10-25T01:00:00Z open 2026-10-25T01:30:00Z
        Europe/Amsterdam 02:00 03:00 2026-10-25T00:10:00Z open 2026-10-25T02:00:00Z
        Australia/Lord_Howe 02:15 03:00 2026-10-03T15:00:00Z closed 2026-10-03T15:30:00Z
        Australia/Lord_Howe 01:30 02:00 2026-04-04T14:45:00Z open 2026-04-04T15:30:00Z";
    for case in cases.lines().skip(1) {
        let words: Vec<&str> = case.split_whitespace().collect();
        let [zone, from, to, now, stands, until] = words[..] else {
            panic!("{case}");
        };
        let (is_open, until) = (stands == "open", at(until));
        let turn = window(from, to, zone, &[]).turn(at(now));
        assert_eq!(turn, Turn { is_open, until }, "{case}");
    }
}

/// A night that begins on Friday ends on Saturday, though Saturday is no day of the window.
#[test]
fn a_window_belongs_to_the_day_it_begins_on() {
    let friday = window("22:00", "06:00", "UTC", &[Weekday::Friday]);
    for (now, is_open, until) in [
        ("2026-11-20T05:00:00Z", false, "2026-11-20T22:00:00Z"),
        ("2026-11-20T23:00:00Z", true, "2026-11-21T06:00:00Z"),
        ("2026-11-21T05:00:00Z", true, "2026-11-21T06:00:00Z"),
        ("2026-11-21T23:00:00Z", false, "2026-11-27T22:00:00Z"),
    ] {
        let until = at(until);
        assert_eq!(friday.turn(at(now)), Turn { is_open, until }, "{now}");
    }
}

/// A window that never closes must not be looked along for ever.
#[test]
fn a_window_of_whole_days_is_open_for_as_long_as_is_looked() {
    let always = window("00:00", "24:00", "Europe/Amsterdam", &[]);
    let now = at("2026-03-20T12:00:00Z");
    let until = now.plus_ms(AHEAD_MS);
    assert_eq!(
        always.turn(now),
        Turn {
            is_open: true,
            until
        }
    );
    assert_eq!(always.opens_at(now), Some(now));
}

/// A clock that is set wrong must not keep the loop busy for ever, or take it down.
#[test]
fn moments_beyond_the_calendar_are_answered() {
    for zone in ["Europe/Amsterdam", "UTC", "+14:00", "-12:00"] {
        let window = window("22:00", "06:00", zone, &[Weekday::Monday]);
        for now in [i64::MIN, i64::MIN / 2, -1, 0, 1 << 60, i64::MAX] {
            let now = Moment::from_millis(now);
            assert!(window.turn(now).until >= now, "{zone} {now:?}");
            window.opens_at(now);
        }
    }
}

prop_compose! {
    /// A window, and a moment within two days of a change of its clocks.
    fn windows_near_changes()(
        zone in 0..ZONES.len(),
        from in 0_u16..1440,
        to in 1_u16..=1440,
        quarter: bool,
        days in 1_u8..128,
        change in 0_usize..12,
        off in -2 * DAY_MS..2 * DAY_MS,
    ) -> (SendWindow, Moment) {
        let zone = Zone::parse(ZONES[zone]).expect("a zone");
        let start = at("2024-01-01T00:00:00Z");
        let change = zone.as_jiff().following(start.timestamp()).nth(change);
        let near = change.map_or(start, |change| moment(change.timestamp()));
        // Hours near those that are skipped and doubled are the hard ones.
        let (from, to) = if quarter { (from % 16 * 15, to % 20 * 15) } else { (from, to) };
        let to = if from == to { to + 1 } else { to };
        let window = SendWindow::new(Hour(from), Hour(to), zone, Days(days)).expect("a window");
        (window, near.plus_ms(off))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What is sent at an hour that the tenant ruled out cannot be taken back.
    #[test]
    fn a_turn_is_what_the_clocks_show_each_minute((window, now) in windows_near_changes()) {
        let turn = window.turn(now);
        prop_assert_eq!(turn.is_open, looked_up(&window, now));
        prop_assert!(turn.until > now);
        let mut minute = Moment::from_millis(now.as_millis().div_euclid(MINUTE_MS) * MINUTE_MS);
        while minute.plus_ms(MINUTE_MS) <= turn.until {
            minute = minute.plus_ms(MINUTE_MS);
            let stands = looked_up(&window, minute) == turn.is_open;
            let lasts = minute < turn.until || turn.until == now.plus_ms(AHEAD_MS);
            prop_assert_eq!(stands, lasts, "{} in {:?}", minute, &window);
        }
    }
}
